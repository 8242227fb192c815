//! The end of the process: readiness fails first, what is under way finishes, what does not is cut.

use crate::harness::{Connection, Frame, Gateway, Pair, USER, Upstream, WebSocket, eventually, within};

#[tokio::test]
async fn a_ready_gateway_says_so() {
    let gateway = Gateway::start(&Upstream::start().await).await;
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(probe(&gateway, path).await, 200, "{path}");
    }
    assert_eq!(probe(&gateway, "/other").await, 404);
}

#[tokio::test]
async fn readiness_fails_while_connections_are_still_accepted() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "server.drain_delay = '3s'").await;
    let pair = gateway.login(&USER).await;
    gateway.drain();
    eventually("readiness to fail", || async { probe(&gateway, "/readyz").await == 503 }).await;
    assert_eq!(probe(&gateway, "/livez").await, 200);
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
}

#[tokio::test]
async fn readiness_does_not_fail_with_an_upstream() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    upstream.stop().await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 502);
    assert_eq!(probe(&gateway, "/readyz").await, 200);
}

#[tokio::test]
async fn an_exchange_under_way_finishes_and_its_connection_closes() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = start(&upstream).await;
    let mut connection = gateway.connect().await;
    connection.send(get(&pair)).await;
    let mut exchange = upstream.exchange().await;
    gateway.drain();
    not_accepting(&gateway).await;
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast").await;
    let answer = connection.answer().await;
    assert_eq!((answer.text(), answer.field("connection")), ("last", Some("close")));
    assert!(connection.closed().await);
    gateway.ended().await;
}

#[tokio::test]
async fn idle_connections_close_at_once() {
    let upstream = Upstream::start().await;
    let (gateway, pair) = start(&upstream).await;
    let mut one = gateway.connect().await;
    assert_eq!(one.request(get(&pair)).await.status, 200);
    let h2 = gateway.h2().await;
    assert_eq!(h2.get("/", &pair).await.status, 200);
    gateway.drain();
    assert!(one.closed().await);
    gateway.ended().await;
}

#[tokio::test]
async fn tunnels_are_told_1001() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "server.drain_timeout = '300ms'").await;
    let pair = gateway.login(&USER).await;
    let Ok(mut socket) = WebSocket::open(gateway.connect().await, "/", &pair.lines()).await else { panic!("refused") };
    gateway.drain();
    assert_eq!(socket.hear().await, Frame::Close(1001));
    gateway.ended().await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, "server.drain_timeout = '300ms'").await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    connection.send(get(&pair)).await;
    let mut exchange = upstream.exchange().await;
    gateway.drain();
    gateway.ended().await;
    exchange.cancelled().await;
    assert!(connection.try_head().await.is_none_or(|(status, _)| status >= 500));
}

#[tokio::test]
async fn an_owner_who_leaves_while_it_still_accepts_ends_it_at_once() {
    let gateway = Gateway::with(&Upstream::start().await, "server.drain_delay = '60s'").await;
    gateway.drain();
    within("the end", tokio::task::spawn_blocking(move || drop(gateway))).await.unwrap();
}

async fn not_accepting(gateway: &Gateway) {
    let refused = || async { tokio::net::TcpStream::connect(gateway.tls).await.is_err() };
    eventually("the listener to close", refused).await;
}

async fn probe(gateway: &Gateway, path: &str) -> u16 {
    let mut connection = Connection::plain(gateway.health).await;
    connection.request(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await.status
}

fn get(pair: &Pair) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}

async fn start(upstream: &Upstream) -> (Gateway, Pair) {
    let gateway = Gateway::start(upstream).await;
    let pair = gateway.login(&USER).await;
    (gateway, pair)
}
