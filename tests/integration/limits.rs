//! Limits: what is slow, large or idle is told so or cut, and nobody else notices.

use std::time::{Duration, Instant};

use crate::harness::{Connection, Gateway, Pair, USER, Upstream, chunked, eventually, upgrade};

#[tokio::test]
async fn a_head_that_does_not_arrive_in_time_is_408_if_any_of_it_came_and_closes_the_connection() {
    let (upstream, gateway, _) = setup("limits.header_timeout = '300ms'").await;
    let mut silent = gateway.connect().await;
    assert!(silent.try_head().await.is_none(), "nobody asked anything");
    for begun in ["G", "GET / HTTP/1.1\r\nHost: local", "\r\n"] {
        for over_tls in [false, true] {
            let mut connection = if over_tls { gateway.connect().await } else { gateway.plain().await };
            connection.send(begun).await;
            let answer = connection.answer().await;
            answer.is_refusal(408, "The head of the request took too long");
            assert_eq!(answer.field("connection"), Some("close"), "{begun}");
            assert!(connection.closed().await);
        }
    }
    upstream.saw_nothing();
    let lines = || gateway.access_log().lines().filter(|line| line.contains(r#""refusal":"slow_head""#)).count();
    eventually("a line for each", || async { lines() == 6 }).await;
}

#[tokio::test]
async fn a_head_that_stops_after_an_answer_is_408_and_one_behind_an_answer_under_way_has_its_time() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, "limits.header_timeout = '300ms'").await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    connection.send(get(&pair) + "GET / HT").await;
    let mut exchange = upstream.exchange().await;
    // Longer than the limit above: that nothing happens meanwhile is what is tested here.
    tokio::time::sleep(Duration::from_millis(600)).await;
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(connection.answer().await.text(), "ok");
    connection.answer().await.is_refusal(408, "The head of the request took too long");
    assert!(connection.closed().await);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_head_that_trickles_is_no_excuse() {
    let (_upstream, gateway, _) = setup("limits.header_timeout = '400ms'").await;
    let mut connection = gateway.connect().await;
    let start = Instant::now();
    connection.send("GET / HTTP/1.1\r\n").await;
    while connection.try_send("X-A: b\r\n").await.is_ok() && start.elapsed() < Duration::from_secs(5) {
        // The pace of the slow client is what is tested here.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_handshake_that_does_not_come_in_time_closes_the_connection() {
    let (_upstream, gateway, _) = setup("limits.handshake_timeout = '300ms'").await;
    let mut connection = Connection::plain(gateway.tls).await;
    assert!(connection.closed().await);
}

#[tokio::test]
async fn a_connection_that_idles_after_an_answer_is_closed() {
    let (_upstream, gateway, pair) = setup("limits.keepalive_timeout = '300ms'").await;
    let mut connection = gateway.connect().await;
    assert_eq!(connection.request(get(&pair)).await.status, 200);
    assert_eq!(connection.request(get(&pair)).await.status, 200);
    assert!(connection.closed().await);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let (upstream, gateway, pair) = setup("limits.header_bytes = '16KiB'").await;
    let large = format!("X-Large: {}\r\n", "x".repeat(20 * 1024));
    let answer = gateway.get("/", &format!("{large}{}", pair.lines())).await;
    answer.is_refusal(431, "The head of the request is too large");
    let many: String = (0..2000).map(|n| format!("X-Many-{n}: x\r\n")).collect();
    assert_eq!(gateway.get("/", &format!("{many}{}", pair.lines())).await.status, 431);
    upstream.saw_nothing();
    let fits = format!("X-Large: {}\r\n", "x".repeat(12 * 1024));
    assert_eq!(gateway.get("/", &format!("{fits}{}", pair.lines())).await.status, 200);
}

#[tokio::test]
async fn http_2_headers_that_are_too_large_are_431() {
    let (upstream, gateway, pair) = setup("limits.header_bytes = '16KiB'").await;
    let large = "x".repeat(20 * 1024);
    let headers = [("x-large", large.as_str()), ("x-key", &pair.key), ("x-access-token", &pair.token)];
    assert_eq!(gateway.h2().await.request("GET", "/", &headers).await.status, 431);
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_body_over_the_bound_is_413_by_length_and_by_chunks() {
    let (_upstream, gateway, pair) = setup("limits.body_bytes = '1KiB'").await;
    assert_eq!(gateway.request(post(&pair, "Content-Length: 1024\r\n") + &"x".repeat(1024)).await.status, 200);
    assert_eq!(gateway.request(post(&pair, "Content-Length: 1025\r\n")).await.status, 413);
    let mut connection = gateway.connect().await;
    connection.send(post(&pair, "Transfer-Encoding: chunked\r\n")).await;
    connection.send(chunked(&[b'x'; 1000])).await;
    connection.send(chunked(&[b'x'; 1000])).await;
    assert_eq!(connection.answer().await.status, 413);
}

#[tokio::test]
async fn a_body_that_stops_is_408() {
    let (_upstream, gateway, pair) = setup("limits.body_idle_timeout = '300ms'").await;
    let mut connection = gateway.connect().await;
    connection.send(post(&pair, "Content-Length: 10\r\n") + "half").await;
    assert_eq!(connection.answer().await.status, 408);
}

#[tokio::test]
async fn a_client_that_owes_its_body_is_not_blamed_on_the_api() {
    let upstream = Upstream::by_hand().await;
    let settings = "limits.body_idle_timeout = '600ms'\nupstreams.main.response_timeout = '200ms'";
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    connection.send(post(&pair, "Content-Length: 10\r\n") + "half").await;
    assert_eq!(connection.answer().await.status, 408);
}

#[tokio::test]
async fn an_answer_that_is_cut_says_so_in_its_access_line() {
    let upstream = Upstream::by_hand().await;
    let settings = "log.access = 'DIR/access.log'\nserver.drain_timeout = '200ms'";
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    let mut gone = gateway.connect().await;
    gone.send(get_from("/gone", &pair)).await;
    let mut first = upstream.exchange().await;
    first.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await;
    assert_eq!(gone.head().await.0, 200);
    drop(gone);
    let line = |path, why| gateway.access_log().lines().any(|line| line.contains(path) && line.contains(why));
    eventually("the line", || async { line("/gone", "client_gone") }).await;
    let mut drained = gateway.connect().await;
    drained.send(get_from("/drained", &pair)).await;
    let _second = upstream.exchange().await;
    gateway.drain();
    eventually("the line", || async { line("/drained", "cut_by_drain") }).await;
}

fn get_from(path: &str, pair: &Pair) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}

#[tokio::test]
async fn a_login_whose_body_stops_is_408() {
    let (_upstream, gateway, _) = setup("limits.header_timeout = '300ms'").await;
    let head =
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n";
    let mut connection = gateway.connect().await;
    connection.send(format!("{head}{{\"username\"")).await;
    assert_eq!(connection.answer().await.status, 408);
}

#[tokio::test]
async fn waiting_for_the_upstream_is_not_the_clients_fault() {
    let upstream = Upstream::by_hand().await;
    let settings = "limits = { body_idle_timeout = '200ms', keepalive_timeout = '200ms', header_timeout = '200ms' }";
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    connection.send(get(&pair)).await;
    let mut exchange = upstream.exchange().await;
    // Longer than every limit above: that nothing happens meanwhile is what is tested here.
    tokio::time::sleep(Duration::from_millis(800)).await;
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nslow").await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    exchange.send("poke").await;
    assert_eq!(connection.answer().await.text(), "slowpoke");
}

#[tokio::test]
async fn a_tunnel_whose_client_stops_reading_is_closed_and_others_are_not() {
    let upstream = Upstream::by_hand().await;
    let settings = "limits.body_idle_timeout = '300ms'\nlog.access = 'DIR/access.log'";
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    let (mut unread, mut quiet) = (gateway.connect().await, gateway.connect().await);
    let mut exchanges = Vec::new();
    for connection in [&mut unread, &mut quiet] {
        connection.send(upgrade::request("/", &pair.lines())).await;
        let mut exchange = upstream.exchange().await;
        exchange.send(upgrade::accepted(&upstream.last_request().fields())).await;
        assert_eq!(connection.head().await.0, 101);
        exchanges.push(exchange);
    }
    let part = vec![b'x'; 64 * 1024];
    while exchanges[0].try_send(&part).await.is_ok() {}
    let said = |line: &str| line.contains(r#""status":101"#) && line.contains(r#""refusal":"client_not_reading""#);
    eventually("the line", || async { gateway.access_log().lines().any(said) }).await;
    exchanges[1].send("still").await;
    assert_eq!(quiet.exactly(5).await.unwrap(), b"still");
    drop(unread);
}

fn get(pair: &Pair) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}

fn post(pair: &Pair, lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}{}\r\n", pair.lines())
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
