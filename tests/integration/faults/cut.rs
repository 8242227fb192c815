//! A server that dies in the middle of a body: what its client gets is never a complete answer.

use http_body_util::BodyExt as _;

use super::{get, in_front_of, reason_of};
use crate::harness::{Connection, Pair, Upstream, eventually, within};

/// Answers that end too early, each with what of it comes before the end.
const BEGUN: [(&str, &str); 5] = [
    ("/length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
    ("/chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    ("/chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"),
    ("/last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n"),
    ("/size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n"),
];

#[tokio::test]
async fn over_http_1_the_answer_ends_without_its_last_chunk_or_its_length() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = in_front_of(&upstream.url(), "").await;
    for (path, begun) in BEGUN {
        let mut connection = gateway.connect().await;
        connection.send(get(path, &pair)).await;
        let mut exchange = upstream.exchange().await;
        exchange.send(begun).await;
        assert_eq!(connection.head().await.0, 200);
        drop(exchange);
        let rest = rest(connection).await;
        assert!(rest.len() < 20 && !rest.ends_with(b"0\r\n\r\n"), "{path}: {rest:?}");
        assert_eq!(reason_of(&gateway, path).await, "answer_broke_off");
    }
}

#[tokio::test]
async fn over_http_2_the_stream_is_reset_and_others_go_on() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = in_front_of(&upstream.url(), "").await;
    let h2 = gateway.h2().await;
    for (path, begun) in BEGUN {
        let presented = [("x-key", pair.key.as_str()), ("x-access-token", pair.token.as_str())];
        let request = h2.build("GET", path, &presented).body(crate::harness::body("")).unwrap();
        let behind = async {
            let mut exchange = upstream.exchange().await;
            exchange.send(begun).await;
            exchange
        };
        let (answer, exchange) = tokio::join!(h2.send(request), behind);
        drop(exchange);
        let collected = within("the end", answer.unwrap().into_body().collect()).await;
        let error = collected.expect_err(path);
        assert!(std::error::Error::source(&error).is_some(), "{path}: a reset, not an end: {error:?}");
        assert_eq!(reason_of(&gateway, path).await, "answer_broke_off");
    }
    assert_eq!(h2.request("GET", "/", &[]).await.status, 401, "the connection lives");
}

#[tokio::test]
async fn a_server_that_falls_silent_in_a_body_is_waited_for_until_the_client_leaves() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = in_front_of(&upstream.url(), "upstreams.main.response_timeout = '100ms'").await;
    let mut connection = gateway.connect().await;
    connection.send(get("/silent", &pair)).await;
    let mut exchange = upstream.exchange().await;
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    assert_eq!(connection.head().await.0, 200);
    assert_eq!(connection.chunk().await, b"half");
    // Well past the deadline of the head, which is over; that nothing happens is what is tested here.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    exchange.send("4\r\nmore\r\n").await;
    assert_eq!(connection.chunk().await, b"more");
    drop(connection);
    exchange.cancelled().await;
    assert_eq!(reason_of(&gateway, "/silent").await, "client_gone");
}

#[tokio::test]
async fn a_tunnel_whose_server_dies_ends_and_leaves_nothing_behind() {
    let upstream = Upstream::start().await;
    let (gateway, pair) = in_front_of(&upstream.url(), "").await;
    let mut connection = tunnel(gateway.connect().await, &pair).await;
    upstream.stop().await;
    assert!(connection.closed().await);
    let open = || async {
        let answer = Connection::plain(gateway.health).await.request("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        answer.text().contains("\ngatewarden_tunnels 0\n")
            && answer.text().contains("\ngatewarden_requests_in_flight 0\n")
    };
    eventually("the tunnel to be forgotten", open).await;
}

async fn tunnel(mut connection: Connection, pair: &Pair) -> Connection {
    connection.send(crate::harness::upgrade::request("/tunnel", &pair.lines())).await;
    assert_eq!(connection.head().await.0, 101);
    connection
}

/// Everything up to the end of the connection.
async fn rest(mut connection: Connection) -> Vec<u8> {
    let mut all = Vec::new();
    while let Ok(byte) = connection.exactly(1).await {
        all.extend(byte);
    }
    all
}
