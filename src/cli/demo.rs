//! `gatewarden demo`: the whole product on 127.0.0.1 with nothing prepared, and lines to paste.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use tempfile::TempDir;
use tracing::Level;
use uuid::Uuid;

use super::{CliError, cert, echo, files, say, serve};
use crate::config::{self, LogFormat};
use crate::directory::{Password, Role, UsersFile};
use crate::server::{Bound, Running, Server};
use crate::telemetry::log;

/// A demo user and a password that lives as long as the demo.
struct DemoUser {
    name: &'static str,
    role: Role,
    password: String,
}

/// Runs the demo until a signal.
pub(super) fn run(port: u16) -> Result<(), CliError> {
    log::start(Level::WARN, LogFormat::Text)?;
    let waiting = serve::Waiting::listen()?;
    let folder = tempfile::Builder::new().prefix("gatewarden-demo-").tempdir()?;
    let users = demo_users();
    fill(&folder, &users)?;
    let api = echo::start()?;
    let bound = bind(&folder, port, api)?;
    let address = *bound.addresses().first().ok_or_else(|| CliError::Failed("the demo has no listener".into()))?;
    let running = bound.start()?;
    if address.port() != port {
        say(format_args!("Port {port} is taken, so this demo listens on {}.\n", address.port()))?;
    }
    say(lines_to_paste(address, &folder.path().join("ca.pem"), &users))?;
    waiting.until_drained(running, Running::reopen_logs)
}

fn demo_users() -> [DemoUser; 3] {
    let user = |name, role| DemoUser { name, role, password: Uuid::new_v4().simple().to_string() };
    [user("root", Role::Root), user("admin@demo.example", Role::Admin), user("100@demo.example", Role::User)]
}

fn fill(folder: &TempDir, users: &[DemoUser]) -> Result<(), CliError> {
    let made = cert::throwaway(&["localhost", "127.0.0.1"])?;
    let write = |name: &str, bytes: &[u8]| files::create(&folder.path().join(name), files::PRIVATE, bytes);
    write("server.pem", made.chain.as_bytes())?;
    write("server.key", made.key.as_bytes())?;
    write("ca.pem", made.ca.as_bytes())?;
    write("token.key", files::random::<64>()?.as_ref())?;
    let file = UsersFile::at(&folder.path().join("users.toml"));
    for user in users {
        let added = file.add(user.name, &user.role, &Password::new(user.password.clone()));
        added.map_err(|error| CliError::new(error.to_string()))?;
    }
    Ok(())
}

/// The port that was asked for, or any other if it is taken.
fn bind(folder: &TempDir, port: u16, api: SocketAddr) -> Result<Bound, CliError> {
    let is_taken = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err();
    let text = configuration(folder.path(), if is_taken { 0 } else { port }, api);
    let config = config::parse(&text, Path::new("demo"), std::iter::empty())?;
    let bound: io::Result<Bound> = Server::prepare(&config)?.bind();
    Ok(bound?)
}

fn configuration(folder: &Path, port: u16, api: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        r#"
        [[listeners]]
        address = "127.0.0.1:{port}"
        tls = true
        [tls]
        certificates = [{{ chain = "{folder}/server.pem", key = "{folder}/server.key" }}]
        [tokens]
        secret_files = ["{folder}/token.key"]
        [[directories]]
        kind = "file"
        path = "{folder}/users.toml"
        [cors]
        [upstreams.api]
        servers = ["http://{api}"]
        [[routes]]
        path = "/"
        upstream = "api"
        [limits]
        connections = 500
        [log]
        access = "none"
        "#
    )
}

fn lines_to_paste(address: SocketAddr, authority: &Path, users: &[DemoUser]) -> String {
    let curl = format!("curl -sS -w '\\n' --cacert {}", authority.display());
    let url = format!("https://{address}");
    let list: String =
        users.iter().map(|user| format!("    {:<20} {:<6} {}\n", user.name, user.role, user.password)).collect();
    let (name, password) = users.last().map_or(("", ""), |user| (user.name, user.password.as_str()));
    format!(
        r#"gatewarden demo: {url} (this machine only; Ctrl-C ends it and deletes everything)

    user                 role   password
{list}
Paste these into another terminal, one after the other.

# 1. Without a session nothing gets through: 401
{curl} -i {url}/hello

# 2. Log in, and keep the pair
LOGIN=$({curl} {url}/login -H 'Content-Type: application/json' -d '{{"username":"{name}","password":"{password}"}}')
echo "$LOGIN"
KEY=$(printf '%s' "$LOGIN" | sed 's/.*"key":"\([^"]*\)".*/\1/')
TOKEN=$(printf '%s' "$LOGIN" | sed 's/.*"token":"\([^"]*\)".*/\1/')

# 3. Use the API behind: it echoes what reached it, with the identity that the gateway vouches for
{curl} {url}/hello -H "X-Key: $KEY" -H "X-Access-Token: $TOKEN"

# 4. Log out
{curl} -X POST {url}/logout -H "X-Key: $KEY" -H "X-Access-Token: $TOKEN"

# 5. Out is out: 401
{curl} -i {url}/hello -H "X-Key: $KEY" -H "X-Access-Token: $TOKEN"
"#
    )
}
