//! A gateway that hides who its users are, with as many users of each kind of hash.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use argon2::password_hash::PasswordHasher;
use gatewarden::config;
use gatewarden::server::{Running, Server};
use tempfile::TempDir;

/// A running gateway; dropped, it is cut.
pub(crate) struct Ground {
    pub(crate) address: SocketAddr,
    _running: Running,
    _dir: TempDir,
}

impl Ground {
    /// With more settings of its logins.
    pub(crate) fn new(login: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token.key"), [7; 64]).unwrap();
        std::fs::write(dir.path().join("users.toml"), users()).unwrap();
        let text = format!(
            "listeners = [{{ address = '127.0.0.1:0', tls = false }}]\ntokens.secret_files = ['DIR/token.key']\n\
             directories = [{{ kind = 'file', path = 'DIR/users.toml', rehash = false }}]\n\
             login = {{ hide_unknown_users = true, {login} }}\n\
             upstreams.a.servers = ['http://127.0.0.1:1']\nroutes = [{{ path = '/', upstream = 'a' }}]\n\
             health.listen = '127.0.0.1:0'\nlog = {{ level = 'error', access = 'none', audit = 'DIR/audit.log' }}\n"
        );
        let text = text.replace("DIR", &dir.path().display().to_string());
        let config =
            config::parse(&text, Path::new("bench.toml"), std::iter::empty()).unwrap_or_else(|bad| panic!("{bad}"));
        let bound = Server::prepare(&config).unwrap_or_else(|bad| panic!("{bad}")).bind().unwrap();
        let address = bound.addresses()[0];
        Self { address, _running: bound.start().unwrap(), _dir: dir }
    }
}

/// Names of one length, for what a name costs is no secret; several, so that none stands for its kind.
pub(crate) fn names(kind: &str) -> impl Iterator<Item = String> {
    let begin = kind.bytes().next().map_or('x', char::from);
    (b'a'..=b'p').map(move |letter| format!("{begin}{}@example.com", char::from(letter).to_string().repeat(7)))
}

/// What this program writes itself, what it imports, and what the engine kept.
fn users() -> String {
    let argon2id = argon2::Argon2::default().hash_password(b"secret").unwrap().to_string();
    let bcrypt = bcrypt::hash("secret", 4).unwrap();
    let mut text = String::new();
    for (kind, hash) in [("new", &*argon2id), ("bcrypt", &bcrypt), ("a1", "a1:7129f01c6a40d81aca9d10d8e3f1bd8c")] {
        for name in names(kind) {
            write!(text, "[[users]]\nname = '{name}'\npassword = '{hash}'\nrole = 'user'\n").unwrap();
        }
    }
    text
}
