//! Second attempts: what was not sent is sent once more, what an upstream may have acted upon is not.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::{Answer, Connection, Gateway, Pair, Reply, USER, Upstream};

/// Answers the first request of each connection and closes on the second, as a server does whose keep-alive ran out.
async fn tired() -> Upstream {
    Upstream::scripted({
        let last = AtomicUsize::new(usize::MAX);
        move |request| match last.swap(request.connection, Ordering::Relaxed) {
            same if same == request.connection => Reply::Close,
            _ => Reply::ok("", "fresh"),
        }
    })
    .await
}

#[tokio::test]
async fn a_safe_request_that_a_reused_connection_swallowed_is_sent_once_more() {
    let upstream = tired().await;
    let (mut connection, _gateway, pair) = connect(&upstream).await;
    for method in ["GET", "GET", "OPTIONS", "GET"] {
        let answer = connection.request(request(method, &pair, "")).await;
        assert_eq!((answer.status, answer.text()), (200, "fresh"), "{method}");
    }
}

#[tokio::test]
async fn an_unsafe_request_that_was_sent_is_never_sent_again() {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let upstream = tired().await;
        let (mut connection, _gateway, pair) = connect(&upstream).await;
        assert_eq!(connection.request(request("GET", &pair, "")).await.status, 200);
        let answer = connection.request(request(method, &pair, "body")).await;
        answer_is_the_gateways(&answer, 502);
        assert_eq!(upstream.requests().iter().filter(|request| request.line().starts_with(method)).count(), 1);
    }
}

#[tokio::test]
async fn a_safe_request_with_a_body_is_never_sent_again() {
    let upstream = tired().await;
    let (mut connection, _gateway, pair) = connect(&upstream).await;
    assert_eq!(connection.request(request("GET", &pair, "")).await.status, 200);
    answer_is_the_gateways(&connection.request(request("GET", &pair, "body")).await, 502);
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn a_request_that_a_new_connection_swallowed_is_502_and_never_sent_again() {
    let upstream = Upstream::scripted(|_| Reply::Close).await;
    let (mut connection, _gateway, pair) = connect(&upstream).await;
    answer_is_the_gateways(&connection.request(request("GET", &pair, "")).await, 502);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_that_began_is_never_asked_for_again() {
    let upstream = Upstream::scripted(|_| Reply::RawThenClose(b"HTTP/1.1 200 O".to_vec())).await;
    let (mut connection, _gateway, pair) = connect(&upstream).await;
    answer_is_the_gateways(&connection.request(request("GET", &pair, "")).await, 502);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_502() {
    let upstream = Upstream::scripted(|_| Reply::RawThenClose(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec())).await;
    let (mut connection, _gateway, pair) = connect(&upstream).await;
    answer_is_the_gateways(&connection.request(request("GET", &pair, "")).await, 502);
}

#[tokio::test]
async fn a_server_that_refuses_makes_way_for_another_whatever_the_method() {
    let (upstream, gone) = (Upstream::start().await, Upstream::start().await);
    gone.stop().await;
    let settings = format!("upstreams.main.servers = ['http://{}', 'UPSTREAM']", gone.address());
    let gateway = Gateway::with(&upstream, &settings).await;
    let pair = gateway.login(&USER).await;
    for method in ["GET", "POST", "PUT", "DELETE", "GET", "POST"] {
        assert_eq!(gateway.request(request(method, &pair, "body")).await.status, 200, "{method}");
    }
    assert_eq!(upstream.requests().len(), 6);
}

#[tokio::test]
async fn an_upstream_that_is_gone_is_502_and_one_that_comes_back_is_used() {
    let upstream = Upstream::start().await;
    let (mut connection, gateway, pair) = connect(&upstream).await;
    assert_eq!(connection.request(request("GET", &pair, "")).await.status, 200);
    upstream.stop().await;
    answer_is_the_gateways(&gateway.request(request("GET", &pair, "")).await, 502);
    answer_is_the_gateways(&gateway.request(request("POST", &pair, "body")).await, 502);
    upstream.restart().await;
    let back = || async { gateway.request(request("GET", &pair, "")).await.status == 200 };
    crate::harness::eventually("the upstream to be used again", back).await;
}

#[tokio::test]
async fn connections_to_the_upstream_are_reused() {
    let upstream = Upstream::start().await;
    let (mut connection, _gateway, pair) = connect(&upstream).await;
    for _ in 0..5 {
        assert_eq!(connection.request(request("POST", &pair, "body")).await.status, 200);
    }
    assert!(upstream.requests().iter().all(|request| request.connection == 0));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_is_504() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, "upstreams.main.response_timeout = '200ms'").await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    connection.send(request("GET", &pair, "")).await;
    let mut exchange = upstream.exchange().await;
    answer_is_the_gateways(&connection.answer().await, 504);
    exchange.cancelled().await;
}

#[track_caller]
fn answer_is_the_gateways(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().starts_with(r#"{"status":"error","info":""#), "{}", answer.text());
}

async fn connect(upstream: &Upstream) -> (Connection, Gateway, Pair) {
    let gateway = Gateway::start(upstream).await;
    let pair = gateway.login(&USER).await;
    (gateway.connect().await, gateway, pair)
}

fn request(method: &str, pair: &Pair, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} / HTTP/1.1\r\nHost: localhost\r\n{length}{}\r\n{body}", pair.lines())
}
