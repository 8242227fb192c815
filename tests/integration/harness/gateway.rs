//! A real gateway in this process: its own directory, free ports, cheap password hashes, a throwaway certificate.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use argon2::password_hash::{PasswordHasher, phc::PasswordHash};
use gatewarden::auth::Sessions;
use md5::{Digest, Md5};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client;
use super::seam::{Running, reload, run};
use super::tls::{self, Authority, Identity};
use super::{Answer, Connection, H2, Pair, Upstream, planted};

/// Somebody in the users file.
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    pub(crate) role: &'static str,
    pub(crate) attributes: &'static str,
}

/// A user with attributes.
pub(crate) const USER: User = User {
    name: "100@mydomain.com",
    password: "secret-of-100",
    role: "user",
    attributes: r#"attributes = { acl = { cdr = ["r"] }, verto = "wss://media" }"#,
};

/// The one whose password is kept as argon2id; the others' are a1.
pub(crate) const ADMIN: User =
    User { name: "admin@mydomain.com", password: "secret-admin", role: "admin", attributes: "" };

/// A user without a domain.
pub(crate) const ROOT: User = User { name: "root", password: "secret-root", role: "root", attributes: "" };

/// The bytes that sign tokens; over 32, with a line end that must not be trimmed.
pub(crate) const SECRET: &[u8] = b"a secret of the integration tests, nowhere else\n";

/// Everything that a gateway reads when it starts, in a directory of its own.
pub(crate) struct Prepared {
    pub(crate) dir: TempDir,
    /// The configuration.
    pub(crate) path: PathBuf,
    pub(crate) ca: String,
}

impl Prepared {
    /// See [`Gateway::with`].
    pub(crate) fn new(upstream: &Upstream, settings: &str) -> Self {
        Self::with_files(upstream, settings, &[])
    }

    /// See [`Gateway::with_files`].
    pub(crate) fn with_files(upstream: &Upstream, settings: &str, files: &[(&str, &str)]) -> Self {
        planted::listen();
        let dir = tempfile::tempdir().expect("a directory");
        let ca = write_files(dir.path());
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("a file");
        }
        let path = dir.path().join("gatewarden.toml");
        let prepared = Self { dir, path, ca };
        prepared.configure(upstream, settings);
        prepared
    }

    /// Writes another configuration; nobody is told.
    pub(crate) fn configure(&self, upstream: &Upstream, settings: &str) {
        std::fs::write(&self.path, configuration(self.dir.path(), upstream, settings)).expect("a file");
    }
}

/// A running gateway; dropped, it is cut.
pub(crate) struct Gateway {
    pub(crate) tls: SocketAddr,
    pub(crate) plain: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) ca: String,
    pub(crate) dir: TempDir,
    /// Absent at the end.
    running: Option<Running>,
}

impl Gateway {
    /// With one route, `/`, to one upstream.
    pub(crate) async fn start(upstream: &Upstream) -> Self {
        Self::with(upstream, "").await
    }

    /// With settings of its own: tables are merged into the usual ones, anything else replaces them. `DIR` stands for
    /// the gateway's directory, `UPSTREAM` for the upstream's URL.
    pub(crate) async fn with(upstream: &Upstream, settings: &str) -> Self {
        Self::with_files(upstream, settings, &[]).await
    }

    /// With files of its own in its directory, by name and content.
    pub(crate) async fn with_files(upstream: &Upstream, settings: &str, files: &[(&str, &str)]) -> Self {
        let Prepared { dir, path, ca } = Prepared::with_files(upstream, settings, files);
        // In a thread of its own: preparing may block, which a test's runtime must not.
        let running = tokio::task::spawn_blocking(move || run(&path)).await.expect("a gateway");
        let (tls, plain) = (running.addresses[0], *running.addresses.last().expect("a listener"));
        let health = running.health.expect("the probes' listener");
        Self { tls, plain, health, ca, dir, running: Some(running) }
    }

    /// Writes another configuration, as [`Gateway::with`] does, and has it read as SIGHUP does.
    pub(crate) fn reload(&self, upstream: &Upstream, settings: &str) {
        let path = self.dir.path().join("gatewarden.toml");
        std::fs::write(&path, configuration(self.dir.path(), upstream, settings)).expect("a file");
        reload(self.running(), path);
    }

    /// A new TLS connection for HTTP/1.1.
    pub(crate) async fn connect(&self) -> Connection {
        Connection::tls(self.tls, &self.ca).await
    }

    /// A new TLS connection as a client that shows a certificate; an error when it is turned away.
    pub(crate) async fn connect_as(&self, identity: &Identity) -> std::io::Result<Connection> {
        let config = tls::config(&self.ca, Some(identity)).into();
        tls::connect(self.tls, &config, "localhost").await.map(Connection::over)
    }

    /// A new connection without TLS.
    pub(crate) async fn plain(&self) -> Connection {
        Connection::plain(self.plain).await
    }

    /// A new TLS connection for HTTP/2.
    pub(crate) async fn h2(&self) -> H2 {
        H2::connect(self.tls, &self.ca).await
    }

    /// A new TLS connection for a protocol of the test's choice.
    pub(crate) async fn tls_stream(&self, alpn: &str) -> TlsStream<TcpStream> {
        client::handshake(self.tls, &self.ca, ("localhost", alpn)).await
    }

    /// Sends raw bytes over a connection of its own.
    pub(crate) async fn request(&self, bytes: impl AsRef<[u8]>) -> Answer {
        self.connect().await.request(bytes).await
    }

    /// A GET with more header lines, each ended by CRLF.
    pub(crate) async fn get(&self, target: &str, lines: &str) -> Answer {
        self.request(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).await
    }

    /// POST /login with a JSON body.
    pub(crate) async fn post_login(&self, body: &str) -> Answer {
        self.connect().await.post_login(body).await
    }

    /// POST /logout.
    pub(crate) async fn logout(&self, pair: &Pair) -> Answer {
        let lines = pair.lines();
        self.request(format!("POST /logout HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: 0\r\n\r\n")).await
    }

    /// A fresh pair of a user.
    pub(crate) async fn login(&self, user: &User) -> Pair {
        self.connect().await.login(user).await
    }

    /// The live sessions, for what no client can ask for.
    pub(crate) fn sessions(&self) -> &Sessions {
        self.running().server.sessions()
    }

    /// Begins the drain.
    pub(crate) fn drain(&self) {
        self.running().server.drain();
    }

    /// Waits for the end of the drain.
    pub(crate) async fn ended(mut self) {
        let server = self.running.take().expect("it runs").server;
        super::within("the end of the drain", tokio::task::spawn_blocking(move || server.join()))
            .await
            .expect("an end");
    }

    /// What the audit log holds so far.
    pub(crate) fn audit_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("audit.log")).unwrap_or_default()
    }

    /// What the access log holds so far; only with `log.access = "DIR/access.log"`.
    pub(crate) fn access_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default()
    }
}

impl Gateway {
    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs until it is dropped")
    }
}

impl Drop for Gateway {
    /// Cuts it, and fails the test if it has told anybody a secret.
    fn drop(&mut self) {
        let told = self.running.take().map(|running| {
            let metrics = planted::metrics(self.health);
            format!("{:?} {metrics}", running.server)
        });
        if !std::thread::panicking() {
            planted::not_in("Debug or /metrics", told.unwrap_or_default());
            planted::in_nothing_said_or_written(self.dir.path());
        }
    }
}

const USUAL: &str = r#"
listeners = [{ address = "127.0.0.1:0", tls = true }, { address = "127.0.0.1:0", tls = false }]
tls.certificates = [{ chain = "DIR/server.pem", key = "DIR/server.key" }]
server.drain_timeout = "2s"
tokens.secret_files = ["DIR/token.key"]
directories = [{ kind = "file", path = "DIR/users.toml", rehash = false }]
upstreams.main.servers = ["UPSTREAM"]
routes = [{ path = "/", upstream = "main" }]
health.listen = "127.0.0.1:0"
log = { level = "error", access = "DIR/access.log", audit = "DIR/audit.log", query = true }
"#;

/// The usual settings and those, for a gateway with that directory.
fn configuration(dir: &Path, upstream: &Upstream, settings: &str) -> String {
    let fill = |text: &str| -> toml::Table {
        let text = text.replace("DIR", &dir.display().to_string());
        let text = text.replace("UPSTREAM", &upstream.url());
        text.parse().expect("TOML")
    };
    let mut config = fill(USUAL);
    merge(&mut config, fill(settings));
    toml::to_string(&config).expect("TOML")
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Certificate, secret and users; the CA's certificate is the answer.
fn write_files(dir: &Path) -> String {
    let authority = Authority::new("the gateway's CA");
    let server = authority.server(&["localhost", "127.0.0.1", "api.example.com", "other.example.com"]);
    let ca = authority.pem();
    let users = users();
    planted::secret(SECRET);
    for (name, bytes) in [
        ("server.pem", server.chain.as_bytes()),
        ("server.key", server.key.as_bytes()),
        ("token.key", SECRET),
        ("users.toml", users.as_bytes()),
    ] {
        std::fs::write(dir.join(name), bytes).expect("a file");
    }
    ca
}

fn users() -> String {
    users_file(&[USER, ADMIN, ROOT])
}

/// The text of a users file.
pub(crate) fn users_file(users: &[User]) -> String {
    let mut text = String::new();
    for User { name, password, role, attributes } in users {
        let hash = if *role == "admin" { argon2id(password) } else { a1(name, password) };
        planted::password(password);
        planted::password(&hash);
        writeln!(text, "[[users]]\nname = \"{name}\"\npassword = \"{hash}\"\nrole = \"{role}\"\n{attributes}")
            .expect("a text");
    }
    text
}

fn a1(name: &str, password: &str) -> String {
    let digest = Md5::digest(format!("{}:{password}", name.replacen('@', ":", 1)));
    digest.iter().fold("a1:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The cheapest argon2id there is.
fn argon2id(password: &str) -> String {
    let params = argon2::Params::new(8, 1, 1, None).expect("parameters");
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let hash: PasswordHash = argon2.hash_password_with_salt(password.as_bytes(), b"integration-test").expect("a hash");
    hash.to_string()
}
