//! The disk of a log is full: requests go on, access lines are dropped and counted, and audit lines wait (see `logs`).

use std::fs::OpenOptions;
use std::io::{PipeReader, PipeWriter, Write as _};
use std::process::Stdio;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::get;
use crate::harness::{Connection, Gateway, Prepared, Process, USER, Upstream, eventually, within};

#[tokio::test]
async fn access_lines_that_find_no_room_are_dropped_and_counted_and_requests_go_on() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "log.access = '/dev/full'").await;
    let pair = gateway.login(&USER).await;
    for _ in 0..5 {
        assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    }
    eventually("all six to be counted", || async { dropped(&gateway).await == 6 }).await;
}

#[tokio::test]
async fn a_program_whose_messages_find_no_room_serves_on() {
    let gone = Upstream::start().await;
    gone.stop().await;
    let settings = "log = { level = 'info', access = 'none', audit = 'stderr' }\n\
                    listeners = [{ address = 'unix:DIR/a.sock', tls = false }]";
    let prepared = Prepared::new(&gone, settings);
    let mut process = serve(&prepared, OpenOptions::new().write(true).open("/dev/full").unwrap());
    let mut connection = connected(&prepared).await;
    let pair = connection.login(&USER).await;
    for _ in 0..3 {
        connection.request(get("/", &pair)).await.is_refusal(502, "The API cannot be reached");
    }
    assert_eq!(process.try_wait().unwrap(), None, "it lives");
}

#[tokio::test]
async fn a_program_whose_messages_nobody_reads_serves_on_drains_and_has_said_all_when_somebody_does() {
    let gone = Upstream::start().await;
    gone.stop().await;
    let settings = "log = { level = 'info', access = 'none', audit = 'DIR/audit.log' }\nserver.workers = 1\n\
                    listeners = [{ address = 'unix:DIR/a.sock', tls = false }]";
    for is_read in [false, true] {
        let prepared = Prepared::new(&gone, settings);
        let (pipe, stderr, filled) = full_pipe();
        let mut process = serve(&prepared, stderr);
        let mut connection = connected(&prepared).await;
        let pair = connection.login(&USER).await;
        for _ in 0..3 {
            connection.request(get("/", &pair)).await.is_refusal(502, "The API cannot be reached");
        }
        let reading = is_read.then(|| tokio::task::spawn_blocking(move || std::io::read_to_string(pipe)));
        let pid = Pid::from_raw(process.id().unwrap() as i32).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(within("the end", process.wait()).await.unwrap().code(), Some(0), "read: {is_read}");
        let Some(reading) = reading else { continue };
        let said = within("the end of its messages", reading).await.unwrap().unwrap().split_off(filled);
        for text in ["listening", "cannot connect", "drain"] {
            assert!(said.contains(text), "{text}: {said}");
        }
        assert!(said.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{said}");
    }
}

/// A pipe that takes nothing until it is read, both its ends, and how much is in it.
fn full_pipe() -> (PipeReader, PipeWriter, usize) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    let mut filled = 0;
    while let Ok(written) = writer.write(&[b'x'; 4096]) {
        filled += written;
    }
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer, filled)
}

fn serve(prepared: &Prepared, stderr: impl Into<Stdio>) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatewarden"));
    command.args(["serve", "--config"]).arg(&prepared.path).stderr(stderr).kill_on_drop(true).spawn().unwrap()
}

async fn connected(prepared: &Prepared) -> Connection {
    let socket = prepared.dir.path().join("a.sock");
    eventually("a listener", || async { UnixStream::connect(&socket).await.is_ok() }).await;
    Connection::over(UnixStream::connect(&socket).await.unwrap())
}

#[tokio::test]
async fn a_log_at_the_limit_of_a_files_size_ends_nothing_and_tears_no_line_once_there_is_room() {
    let upstream = Upstream::start().await;
    let prepared = Prepared::new(&upstream, "log = { level = 'info', access = 'DIR/access.log' }");
    let mut process = Process::serve(&prepared);
    let address = process.address().await;
    let log = prepared.dir.path().join("access.log");
    let mut connection = Connection::tls(address, &prepared.ca).await;
    let ask = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(connection.request(ask).await.status, 401);
    let length = || std::fs::metadata(&log).unwrap().len();
    eventually("the first line", || async { length() > 0 }).await;
    process.limit_file_size(length() + 50);
    for _ in 0..3 {
        assert_eq!(connection.request(ask).await.status, 401);
    }
    process.says("access lines could not be written").await;
    process.limit_file_size(1 << 30);
    let whole = || {
        let text = std::fs::read_to_string(&log).unwrap();
        let lines: Vec<_> = text.lines().map(serde_json::from_str::<Value>).collect();
        (lines.len() >= 3 && text.ends_with('\n')).then_some(lines)
    };
    eventually("lines after that", || async {
        assert_eq!(connection_after(address, &prepared.ca).await, 401);
        whole().is_some()
    })
    .await;
    assert!(whole().unwrap().iter().all(Result::is_ok), "{:?}", whole());
}

async fn connection_after(address: std::net::SocketAddr, ca: &str) -> u16 {
    Connection::tls(address, ca).await.request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status
}

async fn dropped(gateway: &Gateway) -> u64 {
    let mut connection = Connection::plain(gateway.health).await;
    let answer = connection.request("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let dropped = answer.text().lines().find_map(|line| line.strip_prefix("gatewarden_log_lines_dropped_total "));
    dropped.unwrap().parse().unwrap()
}
