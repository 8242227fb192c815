//! More connections than there are places: who makes room, who is closed at once, and who notices nothing.

use std::time::Duration;

use crate::harness::{Connection, Gateway, Pair, USER, Upstream, eventually, upgrade, within};

#[tokio::test]
async fn a_full_gateway_closes_who_idles_longest_to_make_room() {
    let (_upstream, gateway, pair) = setup("limits.connections = 4").await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut connection = gateway.connect().await;
        assert_eq!(connection.request(get(&pair)).await.status, 200);
        idle.push(connection);
    }
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    assert!(idle[0].closed().await);
    assert_eq!(idle[3].request(get(&pair)).await.status, 200);
}

#[tokio::test]
async fn a_full_gateway_closes_handshakes_before_who_idles() {
    let (upstream, gateway, pair) = setup("limits.connections = 3").await;
    let mut idle = gateway.connect().await;
    assert_eq!(idle.request(get(&pair)).await.status, 200);
    let before = upstream.requests().len();
    let mut silent = [Connection::plain(gateway.tls).await, Connection::plain(gateway.plain).await];
    for _ in 0..2 {
        assert_eq!(gateway.get("/", "").await.status, 401);
    }
    assert!(silent[0].closed().await && silent[1].closed().await);
    assert_eq!(upstream.requests().len(), before);
    assert_eq!(idle.request(get(&pair)).await.status, 200);
}

#[tokio::test]
async fn a_flood_of_silent_connections_costs_nobody_else_anything() {
    let (_upstream, gateway, pair) = setup("limits.connections = 10").await;
    let mut idle = gateway.connect().await;
    assert_eq!(idle.request(get(&pair)).await.status, 200);
    let mut silent = Vec::new();
    for number in 0..100 {
        silent.push(Connection::plain(if number % 2 == 0 { gateway.tls } else { gateway.plain }).await);
        if number % 25 == 0 {
            assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
        }
    }
    assert!(silent[0].closed().await);
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    assert_eq!(idle.request(get(&pair)).await.status, 200);
}

#[tokio::test]
async fn an_http_2_connection_without_a_stream_makes_room_too() {
    let (_upstream, gateway, pair) = setup("limits.connections = 1").await;
    let h2 = gateway.h2().await;
    assert_eq!(h2.get("/", &pair).await.status, 200);
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    let late = h2.build("GET", "/", &[]).body(crate::harness::body("")).unwrap();
    assert!(h2.send(late).await.is_err());
}

#[tokio::test]
async fn who_has_a_request_or_a_tunnel_under_way_makes_no_room() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, "limits.connections = 2").await;
    let pair = gateway.login(&USER).await;
    let mut busy = gateway.connect().await;
    busy.send(get(&pair)).await;
    let mut exchange = upstream.exchange().await;
    let mut tunnel = gateway.connect().await;
    tunnel.send(upgrade::request("/", &pair.lines())).await;
    let mut behind = upstream.exchange().await;
    let handshake = upstream.last_request().fields();
    behind.send(upgrade::accepted(&handshake)).await;
    assert_eq!(tunnel.head().await.0, 101);
    let mut third = Connection::plain(gateway.plain).await;
    third.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    // Long enough for either of the two to be asked; that nothing happens is what is tested here.
    tokio::time::sleep(Duration::from_millis(300)).await;
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    assert_eq!(busy.answer().await.text(), "done");
    assert_eq!(third.answer().await.status, 401);
    assert!(busy.closed().await, "idle at last, it makes room");
    behind.send("through").await;
    assert_eq!(tunnel.exactly(7).await.unwrap(), b"through");
}

#[tokio::test]
async fn a_listener_on_which_nobody_calls_takes_no_place() {
    let (_upstream, gateway, pair) = setup("limits.connections = 1").await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
        assert_eq!(gateway.plain().await.request(get(&pair)).await.status, 200);
    }
}

#[tokio::test]
async fn a_peer_with_too_many_connections_is_closed_at_once() {
    let (upstream, gateway, pair) = setup("limits.connections_per_peer = 2").await;
    // The login's own connection may still be counted for a moment.
    eventually("a place", || reaches(&gateway, &pair)).await;
    let mut one = gateway.plain().await;
    assert_eq!(one.request(get(&pair)).await.status, 200);
    let other = within("another place", async {
        loop {
            let mut other = gateway.plain().await;
            if other.try_send(get(&pair)).await.is_ok() && other.try_head().await.is_some() {
                return other;
            }
        }
    })
    .await;
    let before = upstream.requests().len();
    let mut third = gateway.plain().await;
    let _refused = third.try_send(get(&pair)).await;
    assert!(third.closed().await);
    assert_eq!(upstream.requests().len(), before);
    drop(other);
    eventually("its place", || async { reaches(&gateway, &pair).await }).await;
    assert_eq!(one.request(get(&pair)).await.status, 200);
}

#[tokio::test]
async fn a_trusted_proxy_may_have_as_many_connections_as_it_needs() {
    let settings = "limits.connections_per_peer = 1\nserver.trusted_proxies = ['127.0.0.1']";
    let (_upstream, gateway, pair) = setup(settings).await;
    let mut three = [gateway.plain().await, gateway.plain().await, gateway.plain().await];
    for connection in &mut three {
        assert_eq!(connection.request(get(&pair)).await.status, 200);
    }
}

/// Whether a connection of its own is served.
async fn reaches(gateway: &Gateway, pair: &Pair) -> bool {
    let mut connection = gateway.plain().await;
    connection.try_send(get(pair)).await.is_ok() && connection.try_head().await.is_some()
}

fn get(pair: &Pair) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
