//! Answers that come before the request was read: a client that is still sending gets them all the same.

use bytes::Bytes;

use crate::harness::{Gateway, Pair, USER, Upstream, body_by_hand, whole};

const HALF: usize = 200 * 1024;

#[tokio::test]
async fn a_refused_upload_is_answered_read_to_its_end_and_the_connection_goes_on() {
    let (upstream, gateway, pair) = setup().await;
    let mut connection = gateway.connect().await;
    let refused = [("/api", "text/plain", 401), ("/login", "text/plain", 415), ("/login", "application/json", 413)];
    for (target, kind, status) in refused {
        connection.send(upload(target, &format!("Content-Type: {kind}\r\n"))).await;
        connection.send(vec![b'\n'; HALF]).await;
        assert_eq!(connection.answer().await.status, status, "{target}");
        connection.send(vec![b'#'; HALF]).await;
        let next = connection.request(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())).await;
        assert_eq!(next.status, 200, "after {target}");
    }
    assert_eq!(upstream.requests().len(), refused.len());
}

#[tokio::test]
async fn a_refused_upload_over_http_2_is_answered_and_its_stream_is_not_reset() {
    let (upstream, gateway, _) = setup().await;
    let h2 = gateway.h2().await;
    for (target, kind, status) in [("/api", "text/plain", 401), ("/login", "text/plain", 415)] {
        let (sender, body) = body_by_hand();
        sender.send(Bytes::from_static(&[b'x'; 1024])).unwrap();
        let request = h2.build("POST", target, &[("content-type", kind)]).body(body).unwrap();
        let answer = whole(h2.send(request).await.unwrap()).await;
        assert_eq!(answer.status, status, "{target}");
        // Over the windows of the stream and of the connection: it arrives only if it is read.
        for _ in 0..32 {
            sender.send(Bytes::from(vec![b'x'; 128 * 1024])).unwrap();
            tokio::task::yield_now().await;
        }
        assert!(!sender.is_closed(), "{target}: the stream was reset");
        drop(sender);
    }
    assert_eq!(h2.request("GET", "/api", &[]).await.status, 401);
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_refused_upload_without_an_end_is_cut() {
    let (upstream, gateway, _) = setup().await;
    let mut connection = gateway.connect().await;
    connection.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let mut sent = 0;
    while sent < 64 && connection.try_send(&chunk).await.is_ok() {
        sent += 1;
    }
    assert!((16..64).contains(&sent), "cut after {sent} MiB");
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_coding_that_would_be_lost_is_501_and_a_repeated_length_400() {
    let (upstream, gateway, pair) = setup().await;
    for coding in ["gzip, chunked", "x-gzip,deflate, Chunked"] {
        let framing = format!("Transfer-Encoding: {coding}\r\n{}", pair.lines());
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n0\r\n\r\n");
        gateway.request(head).await.is_refusal(501, "Only the chunked transfer coding is known");
    }
    let lengths =
        [("content-length", "0"), ("content-length", "0"), ("x-key", &pair.key), ("x-access-token", &pair.token)];
    assert_eq!(gateway.h2().await.request("POST", "/", &lengths).await.status, 400);
    upstream.saw_nothing();
}

#[tokio::test]
async fn an_upstream_that_answers_and_closes_before_it_has_read_is_heard() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    connection.send(upload("/", &pair.lines())).await;
    let mut exchange = upstream.exchange().await;
    exchange.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig").await;
    drop(exchange);
    let answer = connection.answer().await;
    assert_eq!((answer.status, answer.text()), (413, "big"));
}

#[tokio::test]
async fn an_upload_under_which_a_kept_connection_closes_is_502_and_its_client_may_go_on() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    connection.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())).await;
    let mut kept = upstream.exchange().await;
    kept.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(connection.answer().await.status, 200);
    connection.send(upload("/", &pair.lines())).await;
    connection.send(vec![b'#'; HALF]).await;
    assert!(kept.some().await.expect("over the same connection").starts_with(b"POST / "));
    drop(kept);
    connection.answer().await.is_refusal(502, "The API gave no answer");
    connection.send(vec![b'#'; HALF]).await;
    assert_eq!(connection.request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 401);
    assert_eq!(upstream.count(), 1, "what may have been acted upon is not sent again");
}

fn upload(target: &str, lines: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{lines}\r\n", 2 * HALF)
}

async fn setup() -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
