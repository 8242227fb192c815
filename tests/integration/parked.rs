//! HTTP/1.1 connections that idle for longer than they are kept ready for a request: nobody outside can tell.

use std::time::Duration;

use crate::harness::{Frame, Gateway, Pair, USER, Upstream, WebSocket};

#[tokio::test]
async fn whoever_comes_back_again_and_again_is_answered() {
    let (upstream, gateway, pair) = setup("").await;
    for mut connection in [gateway.connect().await, gateway.plain().await] {
        for round in 0..8 {
            idle().await;
            let before = upstream.requests().len();
            for _ in 0..3 {
                assert_eq!(connection.request(get(&pair)).await.status, 200, "round {round}");
            }
            assert_eq!(upstream.requests().len(), before + 3);
        }
    }
}

#[tokio::test]
async fn bodies_and_pipelined_requests_are_whole_afterwards() {
    let (upstream, gateway, pair) = setup("").await;
    let post = format!(
        "POST /posted HTTP/1.1\r\nHost: localhost\r\n{}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        pair.lines()
    );
    for mut connection in [gateway.connect().await, gateway.plain().await] {
        for _ in 0..3 {
            idle().await;
            connection.send(format!("{post}{}{post}", get(&pair))).await;
            for _ in 0..3 {
                assert_eq!(connection.answer().await.status, 200);
            }
            assert_eq!(upstream.last_request().body, b"hello");
        }
    }
}

#[tokio::test]
async fn a_head_that_comes_in_pieces_with_long_pauses_is_one() {
    let (upstream, gateway, pair) = setup("").await;
    let (one, two) = (get(&pair), get(&pair));
    for mut connection in [gateway.connect().await, gateway.plain().await] {
        let before = upstream.requests().len();
        for piece in [&one[..1], &one[1..30], &one[30..]] {
            idle().await;
            connection.send(piece).await;
        }
        assert_eq!(connection.answer().await.status, 200);
        // The beginning of the second request comes together with the first.
        connection.send(format!("{one}{}", &two[..20])).await;
        assert_eq!(connection.answer().await.status, 200);
        idle().await;
        connection.send(&two[20..]).await;
        assert_eq!(connection.answer().await.status, 200);
        assert_eq!(upstream.requests().len(), before + 3);
    }
}

#[tokio::test]
async fn what_is_malformed_is_refused_afterwards_as_well() {
    let (upstream, gateway, pair) = setup("").await;
    for mut connection in [gateway.connect().await, gateway.plain().await] {
        assert_eq!(connection.request(get(&pair)).await.status, 200);
        idle().await;
        let before = upstream.requests().len();
        let smuggled = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            pair.lines()
        );
        assert_eq!(connection.request(smuggled).await.status, 400);
        assert!(connection.closed().await);
        assert_eq!(upstream.requests().len(), before);
    }
}

#[tokio::test]
async fn a_drain_closes_them_at_once() {
    let (_upstream, gateway, pair) = setup("").await;
    let mut connections = [gateway.connect().await, gateway.connect().await, gateway.plain().await];
    for connection in &mut connections[1..] {
        assert_eq!(connection.request(get(&pair)).await.status, 200);
    }
    idle().await;
    gateway.drain();
    for mut connection in connections {
        assert!(connection.closed().await);
    }
    gateway.ended().await;
}

#[tokio::test]
async fn the_longest_idle_makes_room_and_the_others_stay() {
    let (_upstream, gateway, pair) = setup("limits.connections = 3").await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        let mut connection = gateway.connect().await;
        assert_eq!(connection.request(get(&pair)).await.status, 200);
        idle().await;
        connections.push(connection);
    }
    let mut newest = gateway.connect().await;
    assert_eq!(newest.request(get(&pair)).await.status, 200);
    assert!(connections.remove(0).closed().await);
    for mut connection in connections {
        assert_eq!(connection.request(get(&pair)).await.status, 200);
    }
}

#[tokio::test]
async fn they_close_when_their_time_is_over_and_a_request_gives_them_more() {
    let (_upstream, gateway, pair) = setup("limits = { keepalive_timeout = '3s', header_timeout = '1s' }").await;
    let (mut silent, mut connection) = (gateway.connect().await, gateway.connect().await);
    for _ in 0..5 {
        assert_eq!(connection.request(get(&pair)).await.status, 200);
        idle().await;
    }
    assert!(silent.closed().await);
    assert!(connection.closed().await);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_gone_at_once() {
    let (_upstream, gateway, pair) = setup("").await;
    for asks in [true, false] {
        let [mut one, mut two] = [gateway.connect().await, gateway.plain().await];
        for connection in [&mut one, &mut two] {
            if asks {
                assert_eq!(connection.request(get(&pair)).await.status, 200);
            }
        }
        idle().await;
        for mut connection in [one, two] {
            connection.finish_sending().await;
            assert!(connection.closed().await);
        }
    }
}

#[tokio::test]
async fn a_websocket_opens_afterwards_and_stays() {
    let (_upstream, gateway, pair) = setup("").await;
    for mut connection in [gateway.connect().await, gateway.plain().await] {
        assert_eq!(connection.request(get(&pair)).await.status, 200);
        idle().await;
        let Ok(mut socket) = WebSocket::open(connection, "/", &pair.lines()).await else { panic!("refused") };
        idle().await;
        socket.say("after all").await;
        assert_eq!(socket.hear().await, Frame::Text("after all".into()));
    }
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}

/// Longer than a connection is kept ready; nothing fails where a slow machine needs longer.
async fn idle() {
    tokio::time::sleep(Duration::from_millis(130)).await;
}

fn get(pair: &Pair) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}
