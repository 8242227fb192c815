//! The program as it is run: SIGHUP, users files that change, and what it says of both.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::harness::{Connection, Pair, Prepared, Process, Upstream, command, eventually};

const SETTINGS: &str = "log.level = 'info'";

/// A process that serves, and how to reach it.
struct Serving {
    process: Process,
    prepared: Prepared,
    address: SocketAddr,
}

#[tokio::test]
async fn sighup_reloads_and_a_bad_file_is_told_with_every_problem() {
    let (old, new) = (Upstream::start().await, Upstream::start().await);
    let mut serving = Serving::start(&old).await;
    let root = serving.login("root", "secret-root").await;

    let bad = format!("{SETTINGS}\ntokens.secret_files = ['DIR/none.key']\nlogin.queue = 'x'");
    serving.prepared.configure(&new, &bad);
    let text = fs::read_to_string(&serving.prepared.path).unwrap();
    let line = 1 + text.lines().position(|line| line.contains("queue")).unwrap();
    serving.process.signal("HUP").await;
    serving.process.says(&format!("{}:{line}: login.queue: ", serving.prepared.path.display())).await;
    serving.process.says("none.key").await;
    serving.process.says("nothing was reloaded").await;
    assert_eq!((serving.get(&root).await, old.requests().len()), (200, 1));

    serving.prepared.configure(&new, &format!("{SETTINGS}\nlimits.streams = 7"));
    serving.process.signal("HUP").await;
    serving.process.says("limits has changed: that takes effect at the next start").await;
    serving.process.says("\"reloaded\"").await;
    assert_eq!((serving.get(&root).await, new.requests().len()), (200, 1));

    serving.process.signal("TERM").await;
    assert_eq!(serving.process.ended().await, Some(0));
}

#[tokio::test]
async fn fewer_descriptors_than_connections_are_no_change_of_the_configuration() {
    let upstream = Upstream::start().await;
    let prepared = Prepared::new(&upstream, &format!("{SETTINGS}\nlimits.connections = 10000000"));
    let mut process = Process::serve(&prepared);
    process.address().await;
    process.signal("HUP").await;
    let first = process.says("server::reload").await;
    assert!(first.contains("\"reloaded\""), "{first}");
}

#[tokio::test]
async fn what_has_not_changed_and_what_takes_no_time_is_not_told() {
    let prepared = Prepared::new(&Upstream::start().await, SETTINGS);
    let mut process = Process::serve(&prepared);
    process.says("certificate loaded").await;
    process.address().await;
    process.signal("HUP").await;
    let told = process.lines_to("\"reloaded\"").await;
    assert!(!told.iter().any(|line| line.contains("certificate loaded")), "{told:?}");
    prepared.configure(&Upstream::start().await, &format!("{SETTINGS}\ntls.min_version = '1.3'"));
    process.signal("HUP").await;
    process.says("certificate loaded").await;
    process.signal("TERM").await;
    let told = process.lines_to("draining: closing").await;
    assert!(!told.iter().any(|line| line.contains("still accepting")), "{told:?}");
}

#[tokio::test]
async fn a_broken_users_file_is_told_with_every_problem_and_keeps_its_users() {
    let upstream = Upstream::start().await;
    let mut serving = Serving::start(&upstream).await;
    let users = serving.prepared.dir.path().join("users.toml");
    let root = serving.login("root", "secret-root").await;
    let good = fs::read_to_string(&users).unwrap();
    fs::write(&users, "[[users]]\nname = \"root\"\npassword = \"x\"\nrole = \"a b\"\n").unwrap();
    serving.process.says(&format!("{}:3: ", users.display())).await;
    serving.process.says(&format!("{}:4: ", users.display())).await;
    serving.process.says("users stay as they were").await;
    assert_eq!(serving.get(&root).await, 200);
    fs::write(&users, good).unwrap();
    serving.process.says("were read again").await;
    assert_eq!(serving.get(&root).await, 200);
}

/// To open a pipe that nobody writes into takes for ever, and what a device says has no end.
#[tokio::test]
async fn what_is_no_regular_file_is_told_and_holds_no_reload_up() {
    let upstream = Upstream::start().await;
    let mut serving = Serving::start(&upstream).await;
    let at = |name: &str| serving.prepared.dir.path().join(name);
    let (users, secret, key) = (at("users.toml"), at("token.key"), at("server.key"));
    let root = serving.login("root", "secret-root").await;
    let good = [&users, &secret, &key].map(|path| fs::read(path).unwrap());
    for path in [&users, &secret, &key] {
        fs::remove_file(path).unwrap();
    }
    mkfifoat(CWD, &users, Mode::RUSR).unwrap();
    serving.process.says("it is a pipe, not a regular file; name a regular file").await;
    serving.process.says("users stay as they were").await;

    mkfifoat(CWD, &secret, Mode::RUSR).unwrap();
    symlink("/dev/zero", &key).unwrap();
    serving.process.signal("HUP").await;
    serving.process.says("it is a device, not a regular file").await;
    serving.process.says("nothing was reloaded").await;
    assert_eq!(serving.get(&root).await, 200);

    for (path, bytes) in [&users, &secret, &key].into_iter().zip(good) {
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
    }
    serving.process.says("were read again").await;
    serving.process.signal("HUP").await;
    serving.process.says("\"reloaded\"").await;
    assert_eq!(serving.get(&root).await, 200);
}

#[tokio::test]
async fn what_user_commands_do_takes_effect_by_itself() {
    let upstream = Upstream::start().await;
    let mut serving = Serving::start(&upstream).await;
    let users = serving.prepared.dir.path().join("users.toml").display().to_string();
    let root = serving.login("root", "secret-root").await;
    let user = async |name: &str, who: &str, input: &str| {
        assert!(command(&["user", name, "--users", &users, who], input).await.status.success());
    };
    user("add", "new@a.example", "a password\n").await;
    serving.process.says("were read again").await;
    let new = serving.login("new@a.example", "a password").await;
    user("passwd", "new@a.example", "another\n").await;
    eventually("the end of the session", || async { serving.get(&new).await == 401 }).await;
    user("remove", "root", "").await;
    eventually("the end of the session", || async { serving.get(&root).await == 401 }).await;
}

impl Serving {
    async fn start(upstream: &Upstream) -> Self {
        let prepared = Prepared::new(upstream, SETTINGS);
        let mut process = Process::serve(&prepared);
        let address = process.address().await;
        Self { process, prepared, address }
    }

    async fn get(&self, pair: &Pair) -> u16 {
        let mut connection = Connection::tls(self.address, &self.prepared.ca).await;
        connection.request(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())).await.status
    }

    async fn login(&self, name: &str, password: &str) -> Pair {
        let body = serde_json::json!({ "username": name, "password": password }).to_string();
        let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let mut connection = Connection::tls(self.address, &self.prepared.ca).await;
        Pair::of(&connection.request(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await)
    }
}
