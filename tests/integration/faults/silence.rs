//! A server that resets or falls silent, before its answer or in the middle of its head.

use tokio::io::AsyncReadExt as _;

use super::connecting::reset;
use super::{behind, get, in_front_of, reason_of};
use crate::harness::Upstream;

#[tokio::test]
async fn a_server_that_falls_silent_before_or_in_its_head_is_504_and_its_connection_closes() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = in_front_of(&upstream.url(), "upstreams.main.response_timeout = '300ms'").await;
    for (path, begun) in [("/before", ""), ("/line", "HTTP/1.1 20"), ("/head", "HTTP/1.1 200 OK\r\nX-A: a\r\nX-")] {
        let mut connection = gateway.connect().await;
        connection.send(get(path, &pair)).await;
        let mut exchange = upstream.exchange().await;
        exchange.send(begun).await;
        connection.answer().await.is_refusal(504, "The API took too long");
        exchange.cancelled().await;
        assert_eq!(reason_of(&gateway, path).await, "upstream_timeout");
    }
}

#[tokio::test]
async fn a_server_that_closes_in_its_head_is_502() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = in_front_of(&upstream.url(), "").await;
    for (path, begun) in [("/before", ""), ("/line", "HTTP/1.1 20"), ("/head", "HTTP/1.1 200 OK\r\nX-A: a\r\nX-")] {
        let mut connection = gateway.connect().await;
        connection.send(get(path, &pair)).await;
        let mut exchange = upstream.exchange().await;
        exchange.send(begun).await;
        drop(exchange);
        connection.answer().await.is_refusal(502, "The API gave no answer");
        assert_eq!(reason_of(&gateway, path).await, "broken_answer");
    }
}

#[tokio::test]
async fn a_server_that_resets_instead_of_answering_is_502_and_is_asked_once() {
    let (asked, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let address = behind(move |mut stream| {
        let asked = asked.clone();
        async move {
            let read = stream.read(&mut [0; 4096]).await.unwrap_or(0);
            asked.send(read).unwrap();
            reset(stream);
        }
    })
    .await;
    let (gateway, pair) = in_front_of(&format!("http://{address}"), "").await;
    gateway.get("/reset", &pair.lines()).await.is_refusal(502, "The API gave no answer");
    assert_eq!(reason_of(&gateway, "/reset").await, "broken_answer");
    assert!(heard.recv().await.is_some_and(|read| read > 0) && heard.try_recv().is_err());
}
