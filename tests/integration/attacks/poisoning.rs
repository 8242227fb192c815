//! Family 7 behind the gateway: whatever an API sends beside its answer, or instead of it, is never the answer to another request.
//! CVE-2026-71324 (Traefik: a pool that a tunnel poisoned), hyper#4123's kin on the way back.

use super::ROUTES;
use crate::harness::{Answer, Gateway, Recorded, Reply, Upstream};

/// What somebody else would get.
const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

/// An upstream that poisons the answer for `/open/first` and is good otherwise.
async fn poisoned(poison: String, closes: bool) -> Upstream {
    Upstream::scripted(move |request: &Recorded| match request.target() {
        "/open/first" if closes => Reply::RawThenClose(poison.clone().into_bytes()),
        "/open/first" => Reply::Raw(poison.clone().into_bytes()),
        _ => Reply::ok("", "mine"),
    })
    .await
}

fn get(path: &str) -> String {
    format!("GET /open/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[track_caller]
fn is_mine(answer: &Answer, poison: &str) {
    assert_eq!((answer.status, answer.text()), (200, "mine"), "{poison:?}");
}

#[tokio::test]
async fn bytes_after_an_answer_are_nobodys_answer() {
    for (method, first) in [
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n"),
        ("GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ] {
        for after in [EVIL, "x", "\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
            let poison = format!("{first}{after}");
            let upstream = poisoned(poison.clone(), false).await;
            let gateway = Gateway::with(&upstream, ROUTES).await;
            let mut connection = gateway.plain().await;
            let answer = connection.request(get("first").replacen("GET", method, 1)).await;
            assert!(answer.status < 400 && answer.text() != "evil", "{poison:?}: {}", answer.status);
            for _ in 0..2 {
                is_mine(&connection.request(get("second")).await, &poison);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_whose_length_is_wrong_or_said_twice_ends_with_its_connection() {
    for poison in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 49\r\n\r\nokay",
        "HTTP/1.1 200 OK\r\nContent-Length: 4, 49\r\n\r\nokay",
        "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nokay",
        "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nokay",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nokay",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
        "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "\r\nnot HTTP\r\n\r\n",
    ] {
        let poison = format!("{poison}{EVIL}");
        let upstream = poisoned(poison.clone(), true).await;
        let gateway = Gateway::with(&upstream, ROUTES).await;
        let mut connection = gateway.plain().await;
        connection.send(get("first")).await;
        let first = connection.try_head().await;
        assert!(first.is_none_or(|(status, _)| status == 502 || status == 200), "{poison:?}");
        is_mine(&gateway.plain().await.request(get("second")).await, &poison);
        assert_eq!(upstream.last_request().connection, 1, "{poison:?}: a connection of its own");
    }
}

#[tokio::test]
async fn an_answer_that_is_shorter_than_it_says_is_cut_and_not_filled_with_another() {
    for poison in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nx\r\n\r\n",
    ] {
        let upstream = poisoned(poison.to_owned(), true).await;
        let gateway = Gateway::with(&upstream, ROUTES).await;
        let mut connection = gateway.plain().await;
        connection.send(get("first")).await;
        connection.try_head().await;
        while connection.exactly(1).await.is_ok() {}
        is_mine(&gateway.plain().await.request(get("second")).await, poison);
    }
}

/// RFC 9110, section 9.3.1: a body of which a method knows nothing is another request to a server that doesn't look for one.
#[tokio::test]
async fn a_body_where_servers_look_for_none_is_the_last_on_its_connection() {
    let (upstream, gateway) = with_upstream().await;
    let inner = "GET /shut HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = format!("Content-Length: {}\r\n\r\n{inner}", inner.len());
    let chunks = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len());
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        for framed in [&length, &chunks] {
            let request = format!("{method} /open/first HTTP/1.1\r\nHost: localhost\r\n{framed}");
            assert_eq!(gateway.plain().await.request(request).await.status, 200, "{method}");
            let first = upstream.last_request();
            assert_eq!(first.field("connection").as_deref(), Some("close"), "{method}");
            assert_eq!(first.body, inner.as_bytes(), "{method}");
            assert_eq!(gateway.plain().await.request(get("second")).await.status, 200);
            assert_ne!(upstream.last_request().connection, first.connection, "{method}");
        }
    }
    let request = format!("POST /open/first HTTP/1.1\r\nHost: localhost\r\n{length}");
    assert_eq!(gateway.plain().await.request(request).await.status, 200);
    assert_eq!(upstream.last_request().field("connection"), None, "who looks for a body may be asked again");
}

async fn with_upstream() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, ROUTES).await;
    (upstream, gateway)
}

#[tokio::test]
async fn an_answer_that_comes_too_late_or_twice_is_given_to_nobody() {
    let settings = format!("upstreams.main.response_timeout = '200ms'\n{ROUTES}");
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, &settings).await;
    let mut client = gateway.plain().await;
    // Too late.
    client.send(get("first")).await;
    let mut late = upstream.exchange().await;
    assert_eq!(client.answer().await.status, 504);
    let _sent = late.try_send(EVIL).await;
    // Twice: the second time while the connection idles.
    client.send(get("second")).await;
    let mut twice = upstream.exchange().await;
    twice.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine").await;
    is_mine(&client.answer().await, "late");
    let _sent = twice.try_send(EVIL).await;
    // Whoever still has the connection would write on it.
    twice.cancelled().await;
    client.send(get("third")).await;
    let mut third = upstream.exchange().await;
    third.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine").await;
    is_mine(&client.answer().await, "twice");
}

#[tokio::test]
async fn an_answer_before_the_request_was_sent_whole_leaves_its_connection_to_nobody() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, ROUTES).await;
    let mut client = gateway.plain().await;
    client.send("POST /open/first HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").await;
    let mut early = upstream.exchange().await;
    early.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await;
    assert_eq!(client.answer().await.text(), "early");
    // On a connection of its own: the other still owes the upstream half a body.
    let mut another = gateway.plain().await;
    another.send(get("second")).await;
    upstream.exchange().await.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine").await;
    is_mine(&another.answer().await, "early");
    drop(client);
    early.cancelled().await;
}
