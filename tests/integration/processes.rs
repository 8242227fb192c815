//! The program as init systems see it: signals at any moment, and an exit code.

use tokio::net::unix::pipe;

use crate::harness::{Connection, Prepared, Process, Upstream, command};

#[tokio::test]
async fn a_log_that_cannot_be_written_is_a_problem_of_the_configuration_with_its_line() {
    for key in ["access", "audit"] {
        let prepared = Prepared::new(&Upstream::start().await, &format!("log.{key} = 'DIR/none/a.log'"));
        for command in ["check", "serve"] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_gatewarden"))
                .args([command, "--config"])
                .arg(&prepared.path)
                .output()
                .unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(64), "{command} {key}: {told}");
            let text = std::fs::read_to_string(&prepared.path).unwrap();
            let line = 1 + text.lines().position(|line| line.starts_with(&format!("{key} = "))).unwrap();
            assert!(told.contains(&format!("gatewarden.toml:{line}: log.{key}: ")), "{told}");
        }
        assert!(!prepared.dir.path().join("none").exists());
    }
}

#[tokio::test]
async fn a_route_that_no_request_could_select_is_a_problem_of_the_configuration() {
    for path in ["/shut.", "/a%20/b", "/..."] {
        let settings =
            format!("routes = [{{ path = '/', upstream = 'main' }}, {{ path = '{path}', access = 'deny' }}]");
        let prepared = Prepared::new(&Upstream::start().await, &settings);
        let output = command(&["check", "--config", prepared.path.to_str().unwrap()], "").await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{path}: {told}");
        assert!(told.contains(&format!("routes.path: \"{path}\" is another path to some servers")), "{told}");
    }
}

#[tokio::test]
async fn a_signal_drains_and_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let prepared = Prepared::new(&Upstream::start().await, "log.level = 'info'");
        let mut process = Process::serve(&prepared);
        process.address().await;
        process.signal(signal).await;
        assert_eq!(process.ended().await, Some(0), "{signal}");
    }
}

/// It reads its files, and then waits for a reader of its access log.
#[tokio::test]
async fn a_signal_before_it_listens_is_not_lost() {
    let prepared = Prepared::new(&Upstream::start().await, "log.level = 'info'");
    let log = prepared.dir.path().join("access.log");
    rustix::fs::mkfifoat(rustix::fs::CWD, &log, 0o600.into()).unwrap();
    let mut process = Process::serve(&prepared);
    process.says("certificate loaded").await;
    process.signal("HUP").await;
    process.signal("TERM").await;
    let _reader = pipe::OpenOptions::new().open_receiver(&log).unwrap();
    assert_eq!(process.ended().await, Some(0));
}

#[tokio::test]
async fn standard_output_that_nobody_reads_keeps_no_process_alive() {
    let prepared = Prepared::new(&Upstream::start().await, "log = { level = 'info', access = 'stdout' }");
    let mut process = Process::serve(&prepared);
    let mut connection = Connection::tls(process.address().await, &prepared.ca).await;
    // Over what a pipe holds.
    for _ in 0..400 {
        let path = "x".repeat(500);
        let answer = connection.request(format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
        assert_eq!(answer.status, 401);
    }
    process.signal("TERM").await;
    assert_eq!(process.ended().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let prepared = Prepared::new(&Upstream::start().await, "log.level = 'info'\nserver.drain_delay = '60s'");
    let mut process = Process::serve(&prepared);
    process.address().await;
    process.signal("TERM").await;
    process.says("drain").await;
    process.signal("TERM").await;
    process.says("a second signal: ending at once").await;
    assert_eq!(process.ended().await, Some(1));
    let audit = std::fs::read_to_string(prepared.dir.path().join("audit.log")).unwrap();
    assert!(audit.contains("\"event\":\"shutdown\"") && audit.contains("sessions=0"), "{audit}");
}
