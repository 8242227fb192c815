//! Busy polling: answers that are looked for come as all others do, and whoever waits for a slow one sleeps.

use std::time::Duration;

use crate::harness::{Connection, Gateway, Pair, Prepared, Process, USER, Upstream};

const LOOKS: &str = "upstreams.main.busy_poll = '200us'\nserver.workers = 1";

#[tokio::test]
async fn answers_that_are_looked_for_come_and_their_connections_are_used_again() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, LOOKS).await;
    let pair = gateway.login(&USER).await;
    let (mut one, mut other) = (gateway.connect().await, gateway.connect().await);
    for _ in 0..10 {
        one.send(get("/one", &pair)).await;
        other.send(get("/other", &pair)).await;
        assert_eq!((one.answer().await.status, other.answer().await.status), (200, 200));
    }
    assert!(upstream.requests().iter().all(|request| request.connection < 2));
}

#[tokio::test]
async fn whoever_waits_longer_costs_nothing_more() {
    let upstream = Upstream::by_hand().await;
    let prepared = Prepared::new(&upstream, &format!("log.level = 'info'\n{LOOKS}"));
    let mut process = Process::serve(&prepared);
    let mut slow = Connection::tls(process.address().await, &prepared.ca).await;
    let pair = slow.login(&USER).await;
    slow.send(get("/slow", &pair)).await;
    let mut exchange = upstream.exchange().await;
    let before = process.cpu_ticks();
    // Long enough for a loop that spins to show; that nothing happens is what is tested here.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spent = process.cpu_ticks() - before;
    assert!(spent < 30, "{spent} ticks of 100 in one second, waiting for an answer");
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(slow.answer().await.status, 200);
}

fn get(path: &str, pair: &Pair) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}
