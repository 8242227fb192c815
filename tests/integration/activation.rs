//! Socket activation: a real process takes over sockets that were open before it was started.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::harness::{Connection, Prepared, Upstream, within};

/// What systemd does after fork: the sockets become descriptors 3 and 4, the environment says so, then exec.
const SYSTEMD: &str = "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=web:api \
                       exec \"$0\" serve --config \"$1\"";

#[tokio::test]
async fn sockets_of_systemd_are_accepted_on_by_their_names() {
    let upstream = Upstream::start().await;
    let prepared = prepared(&upstream, &["api", "web"]);
    let path = prepared.dir.path().join("api.sock");
    let (web, api) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let address = web.local_addr().unwrap();
    let mut process = start(&prepared, [web.into(), api.into()]);
    // Nobody waits for it to be ready: the sockets hold the connections until it is.
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(Connection::plain(address).await.request(get).await.status, 401);
    let stream = UnixStream::connect(&path).await.unwrap();
    assert_eq!(Connection::over(stream).request(get).await.status, 401);
    upstream.saw_nothing();
    closed_on_exec(process.id().unwrap());
    end(&mut process).await;
    assert!(path.exists(), "the file of a socket that systemd made is systemd's");
}

#[tokio::test]
async fn a_name_that_systemd_did_not_pass_ends_the_start_with_what_it_did_pass() {
    let prepared = prepared(&Upstream::start().await, &["https"]);
    let api = UnixListener::bind(prepared.dir.path().join("api.sock")).unwrap();
    let process = start(&prepared, [TcpListener::bind("127.0.0.1:0").unwrap().into(), api.into()]);
    let output = within("its end", process.wait_with_output()).await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot listen on systemd:https: systemd passed web, api;"), "{said}");
}

#[tokio::test]
async fn sockets_for_another_process_are_left_alone() {
    let prepared = prepared(&Upstream::start().await, &["web"]);
    for announced in ["", "LISTEN_FDS=1 LISTEN_PID=1 LISTEN_FDNAMES=web"] {
        let script = format!("{announced} exec \"$0\" serve --config \"$1\"");
        let process = command(&script, &prepared).stdin(Stdio::null()).spawn().unwrap();
        let output = within("its end", process.wait_with_output()).await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("systemd passed no socket"), "{said}");
    }
}

/// A configuration that listens on what systemd passes under these names.
fn prepared(upstream: &Upstream, names: &[&str]) -> Prepared {
    let listeners: Vec<String> =
        names.iter().map(|name| format!("{{ address = 'systemd:{name}', tls = false }}")).collect();
    Prepared::new(upstream, &format!("listeners = [{}]", listeners.join(", ")))
}

fn start(prepared: &Prepared, [third, fourth]: [OwnedFd; 2]) -> Child {
    command(SYSTEMD, prepared).stdin(third).stdout(fourth).spawn().unwrap()
}

fn command(script: &str, prepared: &Prepared) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_gatewarden")]).arg(&prepared.path);
    command.stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// No process that the gateway might start would inherit the sockets.
#[track_caller]
fn closed_on_exec(process: u32) {
    for descriptor in [3, 4] {
        let info = std::fs::read_to_string(format!("/proc/{process}/fdinfo/{descriptor}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        assert_ne!(u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000, 0, "{info}");
    }
}

async fn end(process: &mut Child) {
    let id = process.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().await.unwrap().success());
    assert_eq!(within("the end", process.wait()).await.unwrap().code(), Some(0));
}
