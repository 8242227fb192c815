//! What every count stands on: a configuration, and an upstream that costs next to nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use gatewarden::auth::{Issued, Now, Ring, Sessions};
use gatewarden::config::{self, Config, Problems};
use gatewarden::directory::{Principal, Role};

/// A folder with all files, and what the configuration says.
pub(crate) struct Ground {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: Config,
}

impl Ground {
    pub(crate) fn lay() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token.key"), [7; 64]).unwrap();
        std::fs::write(dir.path().join("users.toml"), "").unwrap();
        let config = parse(dir.path(), upstream(), "");
        Self { dir, config }
    }

    /// The same with so many routes more.
    pub(crate) fn with_routes(&self, count: usize) -> Config {
        let more: String = (0..count).map(|number| format!("{{ path = '/r{number}/x', upstream = 'a' }}, ")).collect();
        parse(self.dir.path(), SocketAddr::from(([127, 0, 0, 1], 1)), &more)
    }

    /// One session.
    pub(crate) fn issue(&self, sessions: &Sessions) -> Issued {
        let ring = Ring::load(&self.config.tokens, &mut Problems::default()).unwrap();
        let name = "00000000@example.com".into();
        sessions
            .issue(Principal { name, role: Role::User, attributes: serde_json::Map::new() }, &ring, Now::read())
            .unwrap()
    }
}

fn parse(dir: &Path, upstream: SocketAddr, routes: &str) -> Config {
    let dir = dir.display();
    let text = format!(
        "listeners = [{{ address = '127.0.0.1:0', tls = false }}]\nserver.workers = 1\n\
         tokens.secret_files = ['{dir}/token.key']\n\
         directories = [{{ kind = 'file', path = '{dir}/users.toml', rehash = false }}]\n\
         log = {{ access = '{dir}/access.log', audit = '{dir}/audit.log', level = 'error' }}\n\
         upstreams.a.servers = ['http://{upstream}']\n\
         routes = [{{ path = '/', upstream = 'a' }}, {{ path = '/internal', access = 'deny' }}, {routes}]\n"
    );
    config::parse(&text, Path::new("bench.toml"), std::iter::empty()).unwrap_or_else(|bad| panic!("{bad}"))
}

/// A server that takes whatever ends with an empty line, or with `end of body`, for a request.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream.unwrap()));
        }
    });
    address
}

fn answer(mut stream: TcpStream) {
    let mut text = Vec::new();
    while read_more(&mut stream, &mut text) {
        let has_body = text.starts_with(b"POST");
        if text.ends_with(if has_body { b"end of body" } else { b"\r\n\r\n" }) {
            text.clear();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok").unwrap();
        }
    }
}

/// False at the end.
pub(crate) fn read_more(stream: &mut TcpStream, text: &mut Vec<u8>) -> bool {
    let mut some = [0; 2048];
    let length = stream.read(&mut some).unwrap_or_default();
    text.extend_from_slice(&some[..length]);
    length > 0
}
