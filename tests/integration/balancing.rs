//! Which server gets a request: a session's own where that is asked for, and never one that has enough.

use crate::harness::{Gateway, USER, Upstream, WebSocket, eventually};

const BY_SESSION: &str = "balance = 'session'";

#[tokio::test]
async fn a_session_stays_at_one_server_and_moves_only_while_that_is_away() {
    let (servers, gateway) = three(BY_SESSION).await;
    let mut homes = Vec::new();
    for _ in 0..24 {
        let lines = gateway.login(&USER).await.lines();
        homes.push((home(&servers, &gateway, &lines).await, lines));
    }
    let used = |server: usize| homes.iter().any(|(home, _)| *home == server);
    assert!((0..3).all(used), "24 sessions, and a server without one");
    servers[0].stop().await;
    for (before, lines) in &homes {
        let now = home(&servers, &gateway, lines).await;
        assert!(if *before == 0 { now != 0 } else { now == *before }, "only sessions of the server that went move");
    }
}

#[tokio::test]
async fn requests_without_a_session_go_to_the_least_busy_server_whatever_the_balance() {
    let (servers, gateway) = three(BY_SESSION).await;
    for _ in 0..9 {
        assert_eq!(gateway.get("/open", "").await.status, 200);
    }
    assert!(servers.iter().all(|server| !server.requests().is_empty()));
}

#[tokio::test]
async fn a_server_with_enough_requests_gets_no_more_and_the_client_is_asked_to_come_back() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, "upstreams.main.requests_per_server = 1").await;
    let lines = gateway.login(&USER).await.lines();
    let mut first = gateway.connect().await;
    first.send(format!("GET /first HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).await;
    let mut exchange = upstream.exchange().await;
    let answer = gateway.get("/second", &lines).await;
    answer.is_refusal(503, "The API has too many requests at once");
    assert_eq!(answer.field("retry-after"), Some("5"));
    assert_eq!(upstream.only_request().target(), "/first");
    // The head of an answer frees no place: the server still works on the rest.
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n").await;
    assert_eq!(first.head().await.0, 200);
    assert_eq!(gateway.get("/third", &lines).await.status, 503);
    assert_eq!(upstream.only_request().target(), "/first");
    exchange.send("done").await;
    drop(exchange);
    let answering = async {
        loop {
            upstream.exchange().await.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    };
    let freed = eventually("a place", || async { gateway.get("/last", &lines).await.status == 200 });
    tokio::select! { () = freed => {}, () = answering => {} }
}

#[tokio::test]
async fn an_open_websocket_takes_a_place_until_it_closes() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "upstreams.main.requests_per_server = 1").await;
    let lines = gateway.login(&USER).await.lines();
    let socket = WebSocket::open(gateway.connect().await, "/", &lines).await.ok().unwrap();
    assert_eq!(gateway.get("/", &lines).await.status, 503);
    assert_eq!(upstream.requests().len(), 1);
    drop(socket);
    eventually("a place", || async { gateway.get("/", &lines).await.status == 200 }).await;
}

#[tokio::test]
async fn a_session_whose_server_is_full_goes_to_the_next_one() {
    let (servers, gateway) = three("balance = 'session', requests_per_server = 1").await;
    let lines = gateway.login(&USER).await.lines();
    let home = home(&servers, &gateway, &lines).await;
    let seen = servers[home].requests().len();
    let _socket = WebSocket::open(gateway.connect().await, "/", &lines).await.ok().unwrap();
    assert_eq!(servers[home].requests().len(), seen + 1);
    assert_eq!(gateway.get("/", &lines).await.status, 200);
    assert_eq!(servers[home].requests().len(), seen + 1);
}

/// The one server that four requests of a session go to.
async fn home(servers: &[Upstream], gateway: &Gateway, lines: &str) -> usize {
    let counts = || -> Vec<usize> { servers.iter().map(|server| server.requests().len()).collect() };
    let before = counts();
    for _ in 0..4 {
        assert_eq!(gateway.get("/", lines).await.status, 200);
    }
    let homes: Vec<usize> = (0..servers.len()).filter(|server| counts()[*server] != before[*server]).collect();
    assert_eq!(homes.len(), 1, "{before:?} {:?}", counts());
    homes[0]
}

async fn three(policy: &str) -> (Vec<Upstream>, Gateway) {
    let servers = vec![Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let (b, c) = (servers[1].address(), servers[2].address());
    let settings = format!(
        "upstreams.main = {{ servers = ['UPSTREAM', 'http://{b}', 'http://{c}'], {policy} }}
         routes = [{{ path = '/', upstream = 'main' }}, {{ path = '/open', upstream = 'main', access = 'public' }}]"
    );
    let gateway = Gateway::with(&servers[0], &settings).await;
    (servers, gateway)
}
