//! The PROXY protocol: required where it is asked for, believed from trusted proxies only, and in nobody's way.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Connection, Gateway, Pair, USER, Upstream, eventually, tls};

const V1: &[u8] = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n";
const TRUSTED: &str = "server.trusted_proxies = ['127.0.0.1', '10.0.0.0/8']";

#[tokio::test]
async fn the_announced_client_is_the_client() {
    let (upstream, gateway, pair) = setup("tls = false", TRUSTED).await;
    let mut v6 = [0; 36];
    (v6[0], v6[1], v6[15], v6[33]) = (0x20, 0x01, 1, 80);
    for (header, client) in [
        (V1.to_vec(), "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x21, 0x11, &[203, 0, 113, 8, 1, 2, 3, 4, 0, 1, 0, 2]), "203.0.113.8"),
        (v2(0x21, 0x11, &[203, 0, 113, 9, 1, 2, 3, 4, 0, 1, 0, 2, 4, 0, 2, 0, 0]), "203.0.113.9"),
        (v2(0x21, 0x21, &v6), "2001::1"),
        (v2(0x21, 0x31, &[0; 216]), "127.0.0.1"),
        (v2(0x20, 0x00, &[]), "127.0.0.1"),
    ] {
        // In one piece: nothing behind the header may be lost.
        let mut connection = Connection::plain(gateway.plain).await;
        let answer = connection.request([&header[..], get(&pair).as_bytes()].concat()).await;
        assert_eq!(answer.status, 200, "{header:?}");
        assert_eq!(upstream.last_request().field("x-forwarded-for").as_deref(), Some(client), "{header:?}");
        assert_eq!(connection.request(get(&pair)).await.status, 200);
    }
}

#[tokio::test]
async fn tls_begins_behind_the_header() {
    let (upstream, gateway, pair) = setup("tls = true", TRUSTED).await;
    for header in [V1.to_vec(), v2(0x21, 0x11, &[203, 0, 113, 7, 1, 2, 3, 4, 0, 1, 0, 2])] {
        let mut stream = TcpStream::connect(gateway.plain).await.unwrap();
        for byte in header {
            stream.write_all(&[byte]).await.unwrap();
        }
        let stream = tls::over(stream, &tls::config(&gateway.ca, None).into(), "localhost").await.unwrap();
        assert_eq!(Connection::over(stream).request(get(&pair)).await.status, 200);
        let request = upstream.last_request();
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some("203.0.113.7"));
        assert_eq!(request.field("x-forwarded-proto").as_deref(), Some("https"));
    }
}

#[tokio::test]
async fn a_proxy_that_ended_tls_may_say_so() {
    let (upstream, gateway, pair) = setup("tls = false", TRUSTED).await;
    let addresses = [203, 0, 113, 7, 1, 2, 3, 4, 0, 1, 0, 2];
    for (remark, scheme) in [(&[0x20, 0, 5, 1, 0, 0, 0, 0][..], "https"), (&[0x20, 0, 5, 0, 0, 0, 0, 0], "http")] {
        let header = v2(0x21, 0x11, &[&addresses, remark].concat());
        let mut connection = Connection::plain(gateway.plain).await;
        assert_eq!(connection.request([&header[..], get(&pair).as_bytes()].concat()).await.status, 200);
        assert_eq!(upstream.last_request().field("x-forwarded-proto").as_deref(), Some(scheme));
    }
}

#[tokio::test]
async fn who_announces_nothing_or_nonsense_is_closed_and_nobody_behind_sees_it() {
    let (upstream, gateway, pair) = setup("tls = false", TRUSTED).await;
    for header in [
        &b""[..],
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 4711\r\n",
        b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\n",
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
    ] {
        let mut connection = Connection::plain(gateway.plain).await;
        let _refused = connection.try_send([header, get(&pair).as_bytes()].concat()).await;
        assert!(connection.closed().await, "{header:?}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn who_is_no_trusted_proxy_is_closed_whatever_it_announces() {
    let (upstream, gateway, pair) = setup("tls = false", "server.trusted_proxies = ['10.0.0.0/8']").await;
    for header in [V1, b"", b"PROXY UNKNOWN\r\n"] {
        let mut connection = Connection::plain(gateway.plain).await;
        let _refused = connection.try_send([header, get(&pair).as_bytes()].concat()).await;
        assert!(connection.closed().await, "{header:?}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn who_is_closed_is_counted_by_the_reason() {
    for (trusted, reason) in [(TRUSTED, "unannounced"), ("server.trusted_proxies = ['10.0.0.0/8']", "untrusted_proxy")]
    {
        let (_upstream, gateway, _) = setup("tls = false", trusted).await;
        let mut connection = Connection::plain(gateway.plain).await;
        let _refused = connection.try_send("GET / HTTP/1.1\r\n\r\n").await;
        assert!(connection.closed().await);
        let line = format!("gatewarden_connections_broken_total{{reason=\"{reason}\"}} 1");
        eventually("the count", async || {
            let mut scraper = Connection::plain(gateway.health).await;
            let metrics = scraper.request("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            metrics.text().contains(&line)
        })
        .await;
    }
}

#[tokio::test]
async fn an_announcement_that_does_not_come_in_time_closes_the_connection() {
    let (_upstream, gateway, _) = setup("tls = false", &format!("{TRUSTED}\nlimits.handshake_timeout = '300ms'")).await;
    for begun in ["", "PROXY TCP4 1.2"] {
        let mut connection = Connection::plain(gateway.plain).await;
        connection.send(begun).await;
        assert!(connection.closed().await);
    }
}

#[tokio::test]
async fn an_announced_client_that_is_a_trusted_proxy_is_believed_in_turn() {
    let (upstream, gateway, pair) = setup("tls = false", TRUSTED).await;
    for (announced, client) in [("10.1.1.1", "6.6.6.6"), ("203.0.113.7", "203.0.113.7")] {
        let request = format!(
            "PROXY TCP4 {announced} 192.0.2.1 1 2\r\nGET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 6.6.6.6\r\n{}\r\n",
            pair.lines()
        );
        assert_eq!(Connection::plain(gateway.plain).await.request(request).await.status, 200);
        assert_eq!(upstream.last_request().field("x-forwarded-for").as_deref(), Some(client));
    }
}

/// Who announces nobody passes on the bytes of somebody, who wrote the headers.
#[tokio::test]
async fn headers_behind_an_announcement_of_nobody_are_not_believed() {
    let (upstream, gateway, pair) = setup("tls = false", TRUSTED).await;
    for (header, client) in [
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (v2(0x20, 0x00, &[]), "127.0.0.1"),
        (v2(0x21, 0x00, &[]), "127.0.0.1"),
        (v2(0x21, 0x31, &[0; 216]), "127.0.0.1"),
        (V1.to_vec(), "203.0.113.7"),
    ] {
        let claims =
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\nForwarded: for=\"\r\n";
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{claims}{}\r\n", pair.lines());
        let mut connection = Connection::plain(gateway.plain).await;
        assert_eq!(connection.request([&header[..], request.as_bytes()].concat()).await.status, 200, "{header:?}");
        let seen = upstream.last_request();
        assert_eq!(seen.field("x-forwarded-for").as_deref(), Some(client), "{header:?}");
        assert_eq!(seen.field("x-forwarded-proto").as_deref(), Some("http"), "{header:?}");
        assert_ne!(seen.field("x-request-id").as_deref(), Some("mine"), "{header:?}");
    }
}

#[tokio::test]
async fn connections_are_counted_by_the_announced_client() {
    let settings = format!("{TRUSTED}\nlimits.connections_per_peer = 1");
    let (_upstream, gateway, pair) = setup("tls = false", &settings).await;
    let request = |client: u8| format!("PROXY TCP4 203.0.113.{client} 192.0.2.1 1 2\r\n{}", get(&pair));
    let mut one = Connection::plain(gateway.plain).await;
    assert_eq!(one.request(request(1)).await.status, 200);
    let mut second = Connection::plain(gateway.plain).await;
    let _refused = second.try_send(request(1)).await;
    assert!(second.closed().await);
    assert_eq!(Connection::plain(gateway.plain).await.request(request(2)).await.status, 200);
}

#[tokio::test]
async fn access_lines_name_the_announced_client() {
    let settings = format!("{TRUSTED}\nlog.access = 'DIR/access.log'");
    let (_upstream, gateway, pair) = setup("tls = false", &settings).await;
    let request = [V1, get(&pair).as_bytes()].concat();
    assert_eq!(Connection::plain(gateway.plain).await.request(request).await.status, 200);
    eventually("the access line", || async { gateway.access_log().contains("\"peer\":\"203.0.113.7\"") }).await;
}

fn get(pair: &Pair) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, body].concat()
}

/// A gateway whose last listener wants the PROXY protocol.
async fn setup(last: &str, settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let listeners = format!(
        "listeners = [{{ address = '127.0.0.1:0', tls = true }}, {{ address = '127.0.0.1:0', {last}, proxy_protocol = true }}]"
    );
    let gateway = Gateway::with(&upstream, &format!("{listeners}\n{settings}")).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
