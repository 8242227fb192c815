//! A server whose answers are no HTTP, or HTTP that means nothing: 502, and no later request is the worse for it.

use super::{in_front_of, reason_of};
use crate::harness::{Gateway, Pair, Reply, Upstream, upgrade};

/// Answers `/bad` with those bytes and then closes or not, and everything else properly.
async fn garbling(raw: &[u8], closes: bool) -> Upstream {
    let raw = raw.to_vec();
    Upstream::scripted(move |request| match request.target() {
        "/bad" if closes => Reply::RawThenClose(raw.clone()),
        "/bad" => Reply::Raw(raw.clone()),
        _ => Reply::ok("", "good"),
    })
    .await
}

#[tokio::test]
async fn what_is_no_http_is_502_and_later_requests_notice_nothing() {
    let huge = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: a\r\n".repeat(200));
    for raw in [
        &b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..],
        b"<html>an answer of HTTP/0.9</html>\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"\0\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d\0\x04\0\x10\0\0",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: three\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\0A: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
        huge.as_bytes(),
        many.as_bytes(),
    ] {
        for closes in [true, false] {
            let shown = String::from_utf8_lossy(&raw[..raw.len().min(60)]);
            let upstream = garbling(raw, closes).await;
            let (gateway, pair) = in_front_of(&upstream.url(), "").await;
            good(&gateway, &pair).await;
            let answer = gateway.get("/bad", &pair.lines()).await;
            assert_eq!((answer.status, answer.text()), (502, NO_ANSWER), "{shown} {closes}");
            assert_eq!(reason_of(&gateway, "/bad").await, "broken_answer", "{shown}");
            good(&gateway, &pair).await;
            assert_eq!(gateway.h2().await.get("/bad", &pair).await.status, 502, "{shown}");
        }
    }
}

#[tokio::test]
async fn a_websocket_handshake_that_is_answered_with_garbage_opens_nothing() {
    let upstream = Upstream::scripted(|_| Reply::RawThenClose(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec())).await;
    let (gateway, pair) = in_front_of(&upstream.url(), "").await;
    let answer = gateway.request(upgrade::request("/", &pair.lines())).await;
    assert_eq!((answer.status, answer.text()), (502, NO_ANSWER));
}

#[tokio::test]
async fn interim_answers_are_consumed_and_a_flood_of_them_ends_at_the_deadline() {
    let some = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(3);
    let upstream = Upstream::answering(format!("{some}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")).await;
    let (gateway, pair) = in_front_of(&upstream.url(), "").await;
    assert_eq!(gateway.get("/", &pair.lines()).await.text(), "ok");

    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = in_front_of(&upstream.url(), "upstreams.main.response_timeout = '300ms'").await;
    let mut connection = gateway.connect().await;
    connection.send(super::get("/flood", &pair)).await;
    let mut exchange = upstream.exchange().await;
    let flood = async { while exchange.try_send("HTTP/1.1 102 Processing\r\n\r\n".repeat(500)).await.is_ok() {} };
    let (answer, ()) = tokio::join!(connection.answer(), flood);
    answer.is_refusal(504, "The API took too long");
    assert_eq!(reason_of(&gateway, "/flood").await, "upstream_timeout");
}

const NO_ANSWER: &str = r#"{"status":"error","info":"The API gave no answer"}"#;

async fn good(gateway: &Gateway, pair: &Pair) {
    let answer = gateway.get("/good", &pair.lines()).await;
    assert_eq!((answer.status, answer.text()), (200, "good"));
}
