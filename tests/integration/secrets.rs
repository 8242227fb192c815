//! What is secret appears in nothing that the gateway says, at any level; and the check that runs beside every test would find it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::harness::planted::{self, Planted};
use crate::harness::{Connection, Gateway, Prepared, Process, USER, Upstream};

#[test]
fn a_secret_is_found_however_it_is_printed() {
    let planted = Planted::default();
    planted.plant(b"a planted secret");
    for leak in
        ["key: a planted secret!", "[97, 32, 112, 108, 97, 110, 116, 101, 100, 32, 115, 101, 99, 114, 101, 116]"]
    {
        assert_eq!(planted.leaks(leak.as_bytes()).len(), 1, "{leak}");
    }
    assert_eq!(planted.leaks(b"6120706c616e74656420736563726574").len(), 1);
    assert!(planted.leaks(b"a plan, a secret").is_empty());
}

#[tokio::test]
async fn a_leak_in_a_log_file_or_in_an_answer_fails_the_test() {
    let gateway = Gateway::start(&Upstream::start().await).await;
    let pair = gateway.login(&USER).await;
    for leak in [USER.password, &pair.key, pair.token.rsplit('.').next().unwrap()] {
        assert!(catch_unwind(|| planted::not_in("a test", format!("<{leak}>"))).is_err());
    }
    let line = format!("{}\n{{\"token\":\"{}\"}}\n", gateway.access_log(), pair.token);
    std::fs::write(gateway.dir.path().join("access.log"), line).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(gateway))).is_err());
}

#[tokio::test]
async fn the_whole_log_is_listened_to_at_trace_but_foreign_crates_at_info() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    assert_eq!(gateway.h2().await.get("/", &pair).await.status, 200);
    assert!(tracing::enabled!(target: "gatewarden::server", tracing::Level::TRACE));
    assert!(!tracing::enabled!(target: "h2::codec", tracing::Level::DEBUG));
    assert!(planted::said().contains("certificate loaded"));
}

#[tokio::test]
async fn a_process_at_trace_tells_no_secret_and_no_frame() {
    let upstream = Upstream::start().await;
    let prepared = Prepared::new(&upstream, "log = { level = 'trace', access = 'stdout', audit = 'stderr' }");
    let mut process = Process::serve(&prepared);
    let address = process.address().await;
    let body = format!(r#"{{"username":"{}","password":"{}"}}"#, USER.name, USER.password);
    let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let login = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut connection = Connection::tls(address, &prepared.ca).await;
    let pair = crate::harness::Pair::of(&connection.request(login).await);
    let h2 = crate::harness::H2::connect(address, &prepared.ca).await;
    assert_eq!(h2.get(&format!("/?{}", pair.query()), &pair).await.status, 200);
    process.signal("TERM").await;
    let (stdout, stderr) = process.output().await;
    assert!(stdout.contains(r#""status":200"#) && stderr.contains(r#""event":"login""#));
    planted::not_in("the access log", &stdout);
    planted::not_in("the log", &stderr);
    for foreign in ["h2::", "hyper::", "rustls::"] {
        assert!(!stderr.contains(foreign), "{stderr}");
    }
}

#[tokio::test]
async fn files_with_secrets_that_others_can_read_are_warned_about_and_those_of_their_owner_are_not() {
    let upstream = Upstream::start().await;
    for (mode, warned) in [(0o644, true), (0o602, true), (0o640, false), (0o600, false)] {
        let gateway = Gateway::start(&upstream).await;
        let folder = gateway.dir.path().to_owned();
        let files = ["token.key", "server.key", "users.toml"].map(|name| folder.join(name));
        for file in &files {
            std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        let config = gatewarden::config::load(&folder.join("gatewarden.toml"), std::iter::empty()).unwrap();
        let before = planted::said().len();
        assert!(gatewarden::server::Server::prepare(&config).is_ok());
        let said = planted::said().split_off(before);
        for file in &files {
            let names = |line: &&str| line.contains(&file.display().to_string());
            let warning = said.lines().filter(names).find(|line| line.contains("others can read"));
            assert_eq!(warning.is_some(), warned, "{mode:o} {file:?} {said}");
        }
    }
}
