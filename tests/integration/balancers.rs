//! Load balancers and their probes: HTTP/1.0 without a host, and connections that say nothing, on every kind of listener.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Connection, Gateway, Prepared, Process, Reply, USER, Upstream};

#[tokio::test]
async fn http_1_0_without_a_host_is_answered_and_closed() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    for probe in
        ["GET / HTTP/1.0\r\n\r\n", "OPTIONS / HTTP/1.0\r\n\r\n", "HEAD /health HTTP/1.0\r\nUser-Agent: probe\r\n\r\n"]
    {
        for mut connection in [gateway.plain().await, gateway.connect().await] {
            assert_eq!(connection.request(probe).await.status, 401, "{probe}");
            assert!(connection.closed().await);
        }
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn http_1_0_reaches_what_is_public_and_what_its_session_may() {
    // An answer in chunks, which HTTP/1.0 does not know.
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nbehind\r\n0\r\n\r\n";
    let upstream = Upstream::scripted(|_| Reply::Raw(chunked.to_vec())).await;
    let routes = "routes = [{ path = '/', upstream = 'main' }, { path = '/up', upstream = 'main', access = 'public' }]";
    let gateway = Gateway::with(&upstream, routes).await;
    let pair = gateway.login(&USER).await;
    for request in ["GET /up HTTP/1.0\r\n\r\n".to_owned(), format!("GET / HTTP/1.0\r\n{}\r\n", pair.lines())] {
        let answer = gateway.plain().await.request(request).await;
        assert_eq!((answer.status, answer.text()), (200, "behind"));
        assert_eq!(answer.field("transfer-encoding"), None);
        let seen = upstream.last_request();
        assert!(seen.line().ends_with("HTTP/1.1"), "{}", seen.line());
        assert_eq!(seen.field("host"), Some(upstream.address().to_string()));
        assert_eq!(seen.field("x-forwarded-host"), None);
    }
}

#[tokio::test]
async fn the_health_listener_answers_http_1_0() {
    let gateway = Gateway::start(&Upstream::start().await).await;
    for (probe, status) in [
        ("GET /readyz HTTP/1.0\r\n\r\n", 200),
        ("HEAD /livez HTTP/1.0\r\n\r\n", 200),
        ("OPTIONS /readyz HTTP/1.0\r\n\r\n", 405),
        ("OPTIONS / HTTP/1.0\r\n\r\n", 404),
    ] {
        let mut connection = Connection::plain(gateway.health).await;
        assert_eq!(connection.request(probe).await.status, status, "{probe}");
        assert!(connection.closed().await);
    }
}

#[tokio::test]
async fn connections_that_are_held_open_keep_no_probe_from_its_answer() {
    let gateway = Gateway::start(&Upstream::start().await).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(Connection::plain(gateway.health).await);
    }
    let mut probe = Connection::plain(gateway.health).await;
    assert_eq!(probe.request("GET /readyz HTTP/1.0\r\n\r\n").await.status, 200);
    assert!(held[0].closed().await);
}

#[tokio::test]
async fn connections_that_say_nothing_are_no_news() {
    let settings = "log.level = 'info'\nserver.trusted_proxies = ['127.0.0.1']\n\
                    listeners = [{ address = '127.0.0.1:0', tls = true }, { address = '127.0.0.1:0', tls = false },\
                    { address = '127.0.0.1:0', tls = true, proxy_protocol = true }]";
    let prepared = Prepared::new(&Upstream::start().await, settings);
    let mut process = Process::serve(&prepared);
    let listeners = [process.address().await, process.address().await, process.address().await];
    let health = address(&process.says("answering probes").await);
    for address in listeners.into_iter().chain([health]) {
        connect_and_close(address, None).await;
        connect_and_close(address, Some(Duration::ZERO)).await;
    }
    // Whoever says something wrong is news, and the first news that there is: workers take turns, so each is told.
    for _ in 0..64 {
        let mut stream = TcpStream::connect(listeners[0]).await.unwrap();
        drop(stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await);
    }
    let line = process.says("INFO").await;
    assert!(line.contains("ended early") && line.contains("the client spoke no TLS"), "{line}");
}

/// By FIN, or by RST.
async fn connect_and_close(address: SocketAddr, linger: Option<Duration>) {
    let stream = TcpStream::connect(address).await.unwrap();
    socket2::SockRef::from(&stream).set_linger(linger).unwrap();
    drop(stream);
}

fn address(line: &str) -> SocketAddr {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["address"].as_str().unwrap().parse().unwrap()
}
