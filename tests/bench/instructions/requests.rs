//! Whole requests over one kept connection to a gateway in this process. What the client and the upstream do here is a read and a
//! write each.

use std::io::Write as _;
use std::net::TcpStream;

use gatewarden::server::{Running, Server};

use super::ground::{Ground, read_more};

/// 403 by a rule: everything but credentials and an upstream.
pub(crate) fn denied_by_route(ground: &Ground, times: usize) {
    exchange(ground, times, "403", |_| "GET /internal/1 HTTP/1.1\r\nhost: localhost\r\n\r\n".into());
}

/// 401: a key that opens nothing.
pub(crate) fn refused(ground: &Ground, times: usize) {
    exchange(ground, times, "401", |pair| {
        let pair = pair.replace(KEY, "x-key: 8fd26a17-eb28-4c74-aa6f-a3794f4f466c\r\nx-was: ");
        format!("GET /calls/1 HTTP/1.1\r\n{MORE}{pair}\r\n")
    });
}

/// 200, from the upstream.
pub(crate) fn forwarded(ground: &Ground, times: usize) {
    exchange(ground, times, "200", |pair| format!("GET /calls/1 HTTP/1.1\r\n{MORE}{pair}\r\n"));
}

/// 200, with a body of 1 KiB on its way there.
pub(crate) fn with_body(ground: &Ground, times: usize) {
    let body = format!("{}end of body", "b".repeat(1013));
    let length = body.len();
    exchange(ground, times, "200", |pair| {
        format!("POST /calls HTTP/1.1\r\n{MORE}{pair}content-length: {length}\r\n\r\n{body}")
    });
}

const KEY: &str = "x-key: ";
const MORE: &str = "host: localhost\r\nuser-agent: bench\r\naccept: application/json\r\naccept-encoding: gzip\r\n";

/// Sends the same request so many times, each when the one before is answered.
fn exchange(ground: &Ground, times: usize, status: &str, request: impl Fn(&str) -> String) {
    let bound = Server::prepare(&ground.config).unwrap_or_else(|bad| panic!("{bad}")).bind().unwrap();
    let address = bound.addresses()[0];
    let running = bound.start().unwrap();
    let request = request(&pair(ground, &running));
    let expected = format!("HTTP/1.1 {status} ");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answer = Vec::new();
    for _ in 0..times {
        stream.write_all(request.as_bytes()).unwrap();
        answer.clear();
        while !is_whole(&answer) {
            assert!(read_more(&mut stream, &mut answer), "the connection stays open");
        }
        assert!(answer.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&answer));
    }
}

/// The lines of a live pair.
fn pair(ground: &Ground, running: &Running) -> String {
    let issued = ground.issue(running.sessions());
    format!("{KEY}{}\r\nx-access-token: {}\r\n", issued.key.expose(), issued.token.expose())
}

/// The gateway's own answers are JSON objects, the upstream's is `ok`.
fn is_whole(answer: &[u8]) -> bool {
    answer.ends_with(b"\r\n\r\nok") || answer.ends_with(b"}")
}
