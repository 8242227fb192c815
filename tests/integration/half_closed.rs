//! A client that closes its own side once it has asked, as `nc -N` does, and waits for the answers.

use crate::harness::{Gateway, Upstream};

const ROUTES: &str = "routes = [{ path = '/', upstream = 'main', access = 'public' }]";
const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_client_that_has_said_all_hears_every_answer_and_the_end() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, ROUTES).await;
    let post = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for requests in [GET.to_owned(), post.to_owned(), format!("{GET}{post}{GET}")] {
        for mut connection in [gateway.plain().await, gateway.connect().await] {
            connection.send(&requests).await;
            connection.finish_sending().await;
            for _ in requests.matches("HTTP/1.1") {
                assert_eq!(connection.answer().await.text(), "behind");
            }
            assert!(connection.closed().await);
        }
    }
}

#[tokio::test]
async fn the_answer_may_come_after_the_client_has_closed_its_side() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, ROUTES).await;
    let mut connection = gateway.plain().await;
    connection.send(GET).await;
    connection.finish_sending().await;
    let mut exchange = upstream.exchange().await;
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").await;
    assert_eq!(connection.answer().await.text(), "late");
    assert!(connection.closed().await);
}

#[tokio::test]
async fn a_client_that_closes_and_waits_too_long_is_taken_for_gone() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, ROUTES).await;
    let mut connection = gateway.plain().await;
    connection.send(GET).await;
    connection.finish_sending().await;
    upstream.exchange().await.cancelled().await;
    assert!(connection.closed().await);
}

#[tokio::test]
async fn a_client_that_closes_in_the_middle_of_a_request_is_not_waited_for() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, ROUTES).await;
    for half in ["GET / HT", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf"] {
        let mut connection = gateway.plain().await;
        connection.send(half).await;
        connection.finish_sending().await;
        while let Some((status, _)) = connection.try_head().await {
            assert_eq!(status, 400, "{half:?}");
        }
    }
    upstream.saw_nothing();
}
