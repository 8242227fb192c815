//! Slow and many (THREATS.md, 8; CVE-2026-26999, RUSTSEC-2024-0399): whoever takes too long is answered or closed by the deadline
//! of the phase he is in, whoever comes too often is turned away, and nobody else notices.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{
    Connection, Gateway, H2, Pair, Prepared, Process, Reply, USER, Upstream, WebSocket, body_by_hand, chunked,
    eventually, within,
};

/// Generous to others on a busy machine, and far below the patience of a test.
const DEADLINES: &str = "limits = { handshake_timeout = '2s', header_timeout = '2s', body_idle_timeout = '2s' }";
/// Of a client that drips: no two bytes are further apart than any deadline.
const PACE: Duration = Duration::from_millis(100);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";
/// `:method: GET` of a head that goes on.
const HEADERS: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x82";
const CONTINUATION: &[u8] = b"\0\0\x01\x09\0\0\0\0\x01\x87";

/// What a client sends at once, and then again and again.
type Drip = (&'static [u8], &'static [u8]);

const SLOW_HELLO: Drip = (b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03", b"\0");
const SLOW_HEAD: Drip = (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"a");
const SLOW_LINES: Drip = (b"GET / HTTP/1.1\r\n", b"X-Slow: a\r\n");
const EMPTY_LINES: Drip = (b"\r\n", b"\r\n");
const SILENCE: Drip = (b"", b"");

#[tokio::test]
async fn who_opens_slowly_is_closed_in_every_phase_and_others_are_served() {
    let (upstream, gateway, pair) = setup(DEADLINES).await;
    let h2_head = [PREFACE, SETTINGS, HEADERS].concat().leak();
    let h2_idle = [PREFACE, SETTINGS].concat().leak();
    let plain = [
        SLOW_HEAD,
        SLOW_LINES,
        EMPTY_LINES,
        SILENCE,
        (b"PRI * HTTP/2.0\r\n\r\nSM", b""),
        (h2_idle, PING),
        (h2_head, CONTINUATION),
    ];
    let (gateway, pair) = (&gateway, &pair);
    let over_tcp =
        plain.iter().map(async |drip| dripped(TcpStream::connect(gateway.plain).await.unwrap(), *drip).await);
    let hellos =
        [SLOW_HELLO, SILENCE].map(async |drip| dripped(TcpStream::connect(gateway.tls).await.unwrap(), drip).await);
    let tls = [
        ("http/1.1", SLOW_HEAD),
        ("http/1.1", SILENCE),
        ("h2", SILENCE),
        ("h2", (h2_idle, PING)),
        ("h2", (h2_head, CONTINUATION)),
    ]
    .map(async |(alpn, drip)| dripped(gateway.tls_stream(alpn).await, drip).await);
    let beside = legitimate(gateway, pair, 100);
    tokio::join!(join_all(over_tcp), join_all(hellos), join_all(tls), beside);
    assert!(upstream.requests().iter().all(|request| request.target() == "/legitimate"));
}

#[tokio::test]
async fn a_preface_that_drips_is_no_excuse() {
    let (upstream, gateway, _) = setup(DEADLINES).await;
    let mut connection = Connection::plain(gateway.plain).await;
    let dripping = async {
        for byte in PREFACE.iter().cycle() {
            if connection.try_send([*byte]).await.is_err() {
                return;
            }
            // The pace of the slow client is what is tested here.
            tokio::time::sleep(PACE * 2).await;
        }
    };
    within("the end of the connection", dripping).await;
    upstream.saw_nothing();
}

#[tokio::test]
async fn an_announcement_that_drips_is_closed_and_its_proxy_is_served() {
    let listeners = "listeners = [{ address = '127.0.0.1:0', tls = true }, { address = '127.0.0.1:0', tls = false, proxy_protocol = true }]";
    let (upstream, gateway, pair) =
        setup(&format!("{listeners}\nserver.trusted_proxies = ['127.0.0.1']\n{DEADLINES}")).await;
    let drips: [Drip; 3] = [(b"PROXY UNKNOWN ", b"a"), (b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x01\x00", b"\0"), SILENCE];
    let drips = drips.map(async |drip| dripped(TcpStream::connect(gateway.plain).await.unwrap(), drip).await);
    tokio::join!(join_all(drips), legitimate(&gateway, &pair, 50));
    assert!(upstream.requests().iter().all(|request| request.target() == "/legitimate"));
}

#[tokio::test]
async fn a_body_that_stops_is_408_over_every_protocol_and_a_login_that_drips_too() {
    let (_upstream, gateway, pair) = setup(DEADLINES).await;
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{}Content-Type: application/json\r\n", pair.lines())
    };
    let stops = async |mut connection: Connection, framing: &str, begun: &[u8]| {
        connection.send([format!("{}{framing}\r\n\r\n", head("/")).as_bytes(), begun].concat()).await;
        assert_eq!(connection.answer().await.status, 408);
        assert!(connection.closed().await);
    };
    let over_http2 = async |h2: H2| {
        let (sender, body) = body_by_hand();
        sender.send("half".into()).unwrap();
        let request =
            h2.build("POST", "/", &[("x-key", &pair.key), ("x-access-token", &pair.token)]).body(body).unwrap();
        assert_eq!(h2.send(request).await.unwrap().status(), 408);
        assert_eq!(h2.get("/legitimate", &pair).await.status, 200, "the connection lives");
    };
    let login = async {
        let mut connection = gateway.plain().await;
        connection.send(format!("{}Content-Length: 1000\r\n\r\n{{\"username\":\"", head("/login"))).await;
        let (mut io, _) = connection.into_parts();
        let mut answer = Vec::new();
        let dripping = async {
            while !answer.ends_with(b"}") {
                tokio::select! {
                    read = io.read_buf(&mut answer) => assert!(read.unwrap() > 0),
                    () = tokio::time::sleep(PACE) => io.write_all(b"a").await.unwrap(),
                }
            }
        };
        within("an answer", dripping).await;
        assert!(answer.starts_with(b"HTTP/1.1 408 "));
    };
    let (plain, tls) = (gateway.plain().await, gateway.connect().await);
    let (h2, h2c) = (gateway.h2().await, h2c(&gateway).await);
    let chunk = chunked(b"half");
    tokio::join!(
        stops(plain, "Content-Length: 10", b"half"),
        stops(tls, "Transfer-Encoding: chunked", &chunk),
        over_http2(h2),
        over_http2(h2c),
        login,
        legitimate(&gateway, &pair, 50)
    );
}

#[tokio::test]
async fn who_does_not_read_his_answer_is_cut_over_every_protocol_and_others_are_served() {
    let upstream = Upstream::scripted(|request| match request.target() {
        "/large" => Reply::ok("", &"x".repeat(32 << 20)),
        _ => Reply::ok("", "small"),
    })
    .await;
    let gateway = Gateway::with(&upstream, DEADLINES).await;
    let pair = gateway.login(&USER).await;
    let request = format!("GET /large HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
    let mut unread = [gateway.plain().await, gateway.connect().await];
    for connection in &mut unread {
        connection.send(&request).await;
        assert_eq!(connection.head().await.0, 200);
    }
    let presented = [("x-key", pair.key.as_str()), ("x-access-token", pair.token.as_str())];
    let mut answers = Vec::new();
    for h2 in [gateway.h2().await, h2c(&gateway).await] {
        let request = h2.build("GET", "/large", &presented).body(crate::harness::body("")).unwrap();
        answers.push((h2.send(request).await.unwrap(), h2));
    }
    let is_cut = |line: &&str| line.contains("\"/large\"") && line.contains("\"refusal\":\"client_not_reading\"");
    let cut = || gateway.access_log().lines().filter(is_cut).count();
    let all_cut = eventually("the end of all four", async || cut() == 4);
    tokio::join!(all_cut, legitimate(&gateway, &pair, 50));
}

#[tokio::test]
async fn connections_of_one_announced_network_are_bounded_and_the_next_network_is_served() {
    let settings = "listeners = [{ address = '127.0.0.1:0', tls = true }, { address = '127.0.0.1:0', tls = false, proxy_protocol = true }]
        server.trusted_proxies = ['127.0.0.1']\nlimits.connections_per_peer = 3";
    let (upstream, gateway, pair) = setup(settings).await;
    let from = |client: &str| format!("PROXY TCP6 {client} 2001:db8::ffff 1 2\r\n{}", get(&pair));
    let mut held = Vec::new();
    for last in 0..3 {
        let mut connection = gateway.plain().await;
        assert_eq!(connection.request(from(&format!("2001:db8:0:1::{last}"))).await.status, 200);
        held.push(connection);
    }
    for last in 0..50 {
        let mut refused = gateway.plain().await;
        let _cut = refused.try_send(from(&format!("2001:db8:0:1:{last:x}::1"))).await;
        assert!(refused.closed().await);
    }
    assert_eq!(upstream.requests().len(), 3);
    assert_eq!(gateway.plain().await.request(from("2001:db8:0:2::1")).await.status, 200);
    assert_eq!(held[0].request(get(&pair)).await.status, 200);
    held.pop();
    eventually("its place", async || {
        let mut again = gateway.plain().await;
        again.try_send(from("2001:db8:0:1::9")).await.is_ok() && again.try_head().await.is_some()
    })
    .await;
}

#[tokio::test]
async fn more_idle_connections_than_there_are_places_cost_no_request_and_no_tunnel() {
    let (_upstream, gateway, pair) = setup("limits.connections = 12").await;
    let mut tunnel = WebSocket::open(gateway.connect().await, "/", &pair.lines()).await.expect("a tunnel");
    let mut first = gateway.plain().await;
    assert_eq!(first.request(get(&pair)).await.status, 200);
    let (mut idle, mut streams) = (Vec::new(), Vec::new());
    for number in 0..60 {
        if number % 3 == 0 {
            let h2 = gateway.h2().await;
            assert_eq!(h2.get("/", &pair).await.status, 200);
            streams.push(h2);
        } else {
            let mut connection = gateway.plain().await;
            assert_eq!(connection.request(get(&pair)).await.status, 200);
            idle.push(connection);
        }
    }
    assert!(first.closed().await);
    tunnel.say("still open").await;
    assert_eq!(tunnel.hear().await, crate::harness::Frame::Text("still open".into()));
}

#[tokio::test]
async fn descriptors_and_memory_return_to_where_they_were_though_no_client_hangs_up() {
    let upstream = Upstream::start().await;
    let settings = "listeners = [{ address = '127.0.0.1:0', tls = true }]\nlog.level = 'info'
        limits = { handshake_timeout = '1s', header_timeout = '1s', keepalive_timeout = '1s' }";
    let prepared = Prepared::new(&upstream, settings);
    let mut process = Process::serve(&prepared);
    let address = process.address().await;
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(Connection::tls(address, &prepared.ca).await.request(get).await.status, 401);
    eventually("the first to be gone", async || process.descriptors() <= 40).await;
    let (descriptors, memory) = (process.descriptors(), process.resident());
    let (mut silent, mut open, mut streams) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..240 {
        match number % 8 {
            0 => {
                let mut idle = Connection::tls(address, &prepared.ca).await;
                let _it_may_be_late = idle.try_send(get).await;
                open.push(idle);
            }
            1 => streams.push(H2::connect(address, &prepared.ca).await),
            _ => silent.push(TcpStream::connect(address).await.unwrap()),
        }
    }
    eventually("its descriptors", async || process.descriptors() <= descriptors + 4).await;
    let grown = process.resident().saturating_sub(memory);
    assert!(grown < 64 << 20, "{grown} bytes");
}

/// So many requests on a connection over HTTP/1.1 and on one over HTTP/2, all of which succeed.
async fn legitimate(gateway: &Gateway, pair: &Pair, requests: usize) {
    let (mut connection, h2) = (gateway.connect().await, gateway.h2().await);
    let request = format!("GET /legitimate HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
    for _ in 0..requests {
        assert_eq!(connection.request(&request).await.status, 200);
        assert_eq!(h2.get("/legitimate", pair).await.status, 200);
    }
}

/// Sends the start, then drips until the gateway closes, which it must.
async fn dripped(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite, (start, drop): Drip) {
    let (mut read, mut write) = tokio::io::split(stream);
    let dripping = async {
        let mut sent = write.write_all(start).await;
        while sent.is_ok() && write.flush().await.is_ok() {
            // The pace of the slow client is what is tested here.
            tokio::time::sleep(PACE).await;
            sent = write.write_all(drop).await;
        }
        std::future::pending::<()>().await
    };
    let mut heard = Vec::new();
    let closed = async {
        tokio::select! {
            _ = read.read_to_end(&mut heard) => {}
            () = dripping => {}
        }
    };
    within(&format!("the end of {:?}", String::from_utf8_lossy(start)), closed).await;
}

/// HTTP/2 without TLS.
async fn h2c(gateway: &Gateway) -> H2 {
    let stream = TcpStream::connect(gateway.plain).await.unwrap();
    H2::over(stream, format!("http://localhost:{}", gateway.plain.port())).await
}

fn get(pair: &Pair) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
