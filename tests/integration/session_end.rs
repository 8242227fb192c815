//! The end of a session ends what it opened, at once and upstream too; what others opened goes on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use gatewarden::auth::{Ended, Ring};
use gatewarden::clock::BootTime;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::harness::{
    ADMIN, Connection, Exchange, Gateway, H2, Pair, ROOT, USER, Upstream, body, body_by_hand, chunked, eventually,
    upgrade, users_file, within,
};

/// 100 ms by design; the rest is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);
const SLOW: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nfirst";
const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
/// A close frame with 1008.
const CLOSED: &[u8] = &[0x88, 2, 0x03, 0xf0];

#[tokio::test]
async fn a_logout_ends_twenty_tunnels_downloads_and_event_streams_and_nobody_elses() {
    let (upstream, gateway, pair) = setup("").await;
    let other = gateway.login(&USER).await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(tunnel(&gateway, &upstream, &pair).await);
        held.push(answer(&gateway, &upstream, &pair, SLOW).await);
        held.push(answer(&gateway, &upstream, &pair, EVENTS).await);
    }
    let mut spared_tunnel = tunnel(&gateway, &upstream, &other).await;
    let mut spared = answer(&gateway, &upstream, &other, SLOW).await;
    let start = Instant::now();
    assert_eq!(gateway.logout(&pair).await.status, 200);
    let ends = join_all(held.into_iter().map(|(mut connection, mut exchange)| async move {
        exchange.cancelled().await;
        rest(&mut connection).await
    }));
    for (at, rest) in ends.await.into_iter().enumerate() {
        assert_eq!(rest, if at % 3 == 0 { CLOSED } else { b"" }, "number {at}");
    }
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    for (connection, exchange) in [&mut spared_tunnel, &mut spared] {
        exchange.send("still").await;
        assert_eq!(connection.exactly(5).await.unwrap(), b"still");
    }
}

#[tokio::test]
async fn a_logout_over_http_2_resets_the_sessions_streams_with_cancel_and_is_itself_answered() {
    let (upstream, gateway, pair) = setup("").await;
    let other = gateway.login(&USER).await;
    let h2 = gateway.h2().await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(stream(&h2, &upstream, &pair, SLOW).await);
        held.push(stream(&h2, &upstream, &pair, EVENTS).await);
    }
    let (mut spared, mut spared_exchange) = stream(&h2, &upstream, &other, SLOW).await;
    let start = Instant::now();
    let presented = [("x-key", pair.key.as_str()), ("x-access-token", pair.token.as_str())];
    assert_eq!(h2.request("POST", "/logout", &presented).await.status, 200);
    for (answer, exchange) in &mut held {
        assert_eq!(reset_reason(answer).await, Some(h2::Reason::CANCEL));
        exchange.cancelled().await;
    }
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    spared_exchange.send("still").await;
    let frame = within("a frame", spared.frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "still");
}

#[tokio::test]
async fn where_no_answer_has_begun_the_client_gets_401() {
    let (upstream, gateway, pair) = setup("").await;
    let (mut poll, mut upload) = (gateway.connect().await, gateway.connect().await);
    poll.send(get(&pair)).await;
    let mut polled = upstream.exchange().await;
    upload.send(format!("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n{}\r\nhalf", pair.lines())).await;
    let mut uploaded = upstream.exchange().await;
    let h2 = gateway.h2().await;
    let h2_poll = tokio::spawn({
        let (h2, pair) = (h2.clone(), pair.clone());
        async move { h2.get("/", &pair).await.status }
    });
    let mut h2_polled = upstream.exchange().await;
    let (sender, unfinished) = body_by_hand();
    sender.send(Bytes::from_static(b"half")).unwrap();
    let h2_upload = tokio::spawn({
        let request = h2.build("PUT", "/", &presented(&pair)).body(unfinished).unwrap();
        async move { h2.send(request).await.unwrap().status() }
    });
    let mut h2_uploaded = upstream.exchange().await;
    assert_eq!(gateway.logout(&pair).await.status, 200);
    for connection in [&mut poll, &mut upload] {
        connection.answer().await.is_refusal(401, "Invalid token or key");
    }
    assert_eq!(within("an answer", h2_poll).await.unwrap(), 401);
    assert_eq!(within("an answer", h2_upload).await.unwrap(), 401);
    for exchange in [&mut polled, &mut uploaded, &mut h2_polled, &mut h2_uploaded] {
        exchange.cancelled().await;
    }
    drop(sender);
    poll.send(get(&gateway.login(&USER).await)).await;
    upstream.exchange().await.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext").await;
    assert_eq!(poll.answer().await.text(), "next", "the connection goes on");
}

#[tokio::test]
async fn a_client_in_the_middle_of_an_upload_hears_401() {
    let (upstream, gateway, _) = setup("").await;
    for _ in 0..3 {
        let pair = gateway.login(&USER).await;
        let mut connection = gateway.connect().await;
        let head = format!("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n{}\r\n", pair.lines());
        connection.send(head).await;
        let mut exchange = upstream.exchange().await;
        let reading = tokio::spawn(async move { exchange.cancelled().await });
        let part = vec![b'x'; 64 * 1024];
        for number in 0..122 {
            if number == 10 {
                gateway.sessions().revoke_user(USER.name, Ended::UserRemoved, BootTime::now());
            }
            connection.try_send(&part).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        connection.try_send(&part[..8_000_000 - 122 * 65536]).await.unwrap();
        connection.answer().await.is_refusal(401, "Invalid token or key");
        within("the upstream's end", reading).await.unwrap();
    }
}

#[tokio::test]
async fn an_upload_whose_answer_has_begun_is_cut_both_ways() {
    let (upstream, gateway, pair) = setup("").await;
    let mut connection = gateway.connect().await;
    let head = format!("PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n{}\r\n", pair.lines());
    connection.send(head).await;
    connection.send(chunked(b"one")).await;
    let mut exchange = upstream.exchange().await;
    assert_eq!(exchange.chunk().await, b"one");
    exchange.send(EVENTS).await;
    assert_eq!(connection.head().await.0, 200);
    let h2 = gateway.h2().await;
    let (sender, unfinished) = body_by_hand();
    sender.send(Bytes::from_static(b"two")).unwrap();
    let request = h2.build("PUT", "/", &presented(&pair)).body(unfinished).unwrap();
    let given = async {
        let mut exchange = upstream.exchange().await;
        assert_eq!(exchange.chunk().await, b"two");
        exchange.send(EVENTS).await;
        exchange
    };
    let (answer, mut h2_exchange) = tokio::join!(h2.send(request), given);
    let mut answer = answer.unwrap().into_body();
    within("a frame", answer.frame()).await.unwrap().unwrap();
    assert_eq!(gateway.logout(&pair).await.status, 200);
    exchange.cancelled().await;
    h2_exchange.cancelled().await;
    connection.chunk().await;
    assert!(connection.try_chunk().await.is_err(), "no last chunk");
    assert_eq!(reset_reason(&mut answer).await, Some(h2::Reason::CANCEL));
    drop(sender);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_all_the_same() {
    let (upstream, gateway, pair) = setup("").await;
    let mut connection = gateway.connect().await;
    connection.send(get(&pair)).await;
    let mut download = upstream.exchange().await;
    download.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    fill(&mut download).await;
    let (unread_tunnel, mut tunnelled) = tunnel(&gateway, &upstream, &pair).await;
    fill(&mut tunnelled).await;
    let h2 = gateway.h2().await;
    let (unread_stream, mut streamed) = stream(&h2, &upstream, &pair, SLOW).await;
    fill(&mut streamed).await;
    let start = Instant::now();
    assert_eq!(gateway.logout(&pair).await.status, 200);
    for exchange in [&mut download, &mut tunnelled, &mut streamed] {
        exchange.cancelled().await;
    }
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    drop((connection, unread_tunnel, unread_stream));
}

#[tokio::test]
async fn an_end_between_admission_and_watching_is_not_missed() {
    let (upstream, gateway, _) = setup("sessions.per_user = 1").await;
    for _ in 0..5 {
        let pair = gateway.login(&USER).await;
        let mut waiting = gateway.connect().await;
        waiting.send(get(&pair)).await;
        let mut waited = upstream.exchange().await;
        let (mut given, mut giving) = answer(&gateway, &upstream, &pair, EVENTS).await;
        let (mut opened, mut opening) = tunnel(&gateway, &upstream, &pair).await;
        assert_eq!(gateway.sessions().revoke_user(USER.name, Ended::UserRemoved, BootTime::now()), 1);
        waiting.answer().await.is_refusal(401, "Invalid token or key");
        assert_eq!((rest(&mut given).await, rest(&mut opened).await), (vec![], CLOSED.to_vec()));
        for exchange in [&mut waited, &mut giving, &mut opening] {
            exchange.cancelled().await;
        }
    }
}

#[tokio::test]
async fn expiry_ends_what_the_session_opened() {
    join_all(["sessions.lifetime = '3s'", "sessions.idle_timeout = '3s'"].map(|settings| async move {
        let (upstream, gateway, pair) = setup(settings).await;
        let mut poll = gateway.connect().await;
        poll.send(get(&pair)).await;
        let mut polled = upstream.exchange().await;
        let mut held = [tunnel(&gateway, &upstream, &pair).await, answer(&gateway, &upstream, &pair, EVENTS).await];
        poll.answer().await.is_refusal(401, "Token expired");
        polled.cancelled().await;
        assert_eq!(rest(&mut held[0].0).await, CLOSED, "{settings}");
        assert_eq!(rest(&mut held[1].0).await, b"", "{settings}");
    }))
    .await;
}

#[tokio::test]
async fn a_removed_user_a_removed_secret_and_a_newer_login_over_the_cap_end_it_too() {
    let (upstream, gateway, _) = setup("sessions.per_user = 1").await;
    let spared_pair = gateway.login(&ADMIN).await;
    let mut spared = answer(&gateway, &upstream, &spared_pair, EVENTS).await;
    let pair = gateway.login(&USER).await;
    let mut removed = answer(&gateway, &upstream, &pair, EVENTS).await;
    assert_eq!(gateway.sessions().revoke_user(USER.name, Ended::UserRemoved, BootTime::now()), 1);
    assert_eq!(rest(&mut removed.0).await, b"");
    let pair = gateway.login(&USER).await;
    let mut pushed_out = tunnel(&gateway, &upstream, &pair).await;
    let pair = gateway.login(&USER).await;
    assert_eq!(rest(&mut pushed_out.0).await, CLOSED);
    spared.1.send(chunked(b"still")).await;
    assert_eq!(spared.0.chunk().await, b"still");
    let mut signed = tunnel(&gateway, &upstream, &pair).await;
    assert_eq!(gateway.sessions().revoke_signed_by(secret_id(&gateway), BootTime::now()), 2);
    assert_eq!(rest(&mut signed.0).await, CLOSED);
    assert_eq!(rest(&mut spared.0).await, b"");
    for exchange in [&mut removed.1, &mut pushed_out.1, &mut signed.1, &mut spared.1] {
        exchange.cancelled().await;
    }
}

#[tokio::test]
async fn a_user_that_is_cut_from_the_file_and_a_secret_that_a_reload_drops_end_what_is_open() {
    let (upstream, gateway, pair) = setup("").await;
    let root = gateway.login(&ROOT).await;
    let mut cut = tunnel(&gateway, &upstream, &pair).await;
    let mut signed = answer(&gateway, &upstream, &root, EVENTS).await;
    let (new, users) = (gateway.dir.path().join("new.toml"), gateway.dir.path().join("users.toml"));
    std::fs::write(&new, users_file(&[ADMIN, ROOT])).unwrap();
    std::fs::rename(new, users).unwrap();
    assert_eq!(rest(&mut cut.0).await, CLOSED);
    signed.1.send(chunked(b"still")).await;
    assert_eq!(signed.0.chunk().await, b"still");
    std::fs::write(gateway.dir.path().join("new.key"), [7; 48]).unwrap();
    gateway.reload(&upstream, "tokens.secret_files = ['DIR/new.key']");
    assert_eq!(rest(&mut signed.0).await, b"");
    for exchange in [&mut cut.1, &mut signed.1] {
        exchange.cancelled().await;
    }
}

#[tokio::test]
async fn nothing_is_put_inside_a_frame() {
    let (upstream, gateway, pair) = setup("").await;
    let (mut connection, mut exchange) = tunnel(&gateway, &upstream, &pair).await;
    exchange.send(b"\x81\x05hel").await;
    assert_eq!(connection.exactly(5).await.unwrap(), b"\x81\x05hel");
    assert_eq!(gateway.logout(&pair).await.status, 200);
    exchange.cancelled().await;
    assert_eq!(rest(&mut connection).await, b"");
}

#[tokio::test]
async fn the_access_line_says_that_the_session_was_over() {
    let (upstream, gateway, pair) = setup("log.access = 'DIR/access.log'").await;
    let mut cut = answer(&gateway, &upstream, &pair, EVENTS).await;
    assert_eq!(gateway.logout(&pair).await.status, 200);
    cut.1.cancelled().await;
    let said = |line: &str| line.contains(r#""status":200"#) && line.contains(r#""refusal":"session_over""#);
    eventually("the line", || async { gateway.access_log().lines().any(said) }).await;
}

#[tokio::test]
async fn an_exchange_of_nobody_goes_on_for_ever() {
    let (upstream, gateway, pair) = setup("routes = [{ path = '/', upstream = 'main', access = 'public' }]").await;
    let (mut connection, mut exchange) = answer(&gateway, &upstream, &pair, EVENTS).await;
    assert_eq!(gateway.logout(&pair).await.status, 200);
    exchange.send(chunked(b"still")).await;
    assert_eq!(connection.chunk().await, b"still");
}

/// An open WebSocket, and its other end.
async fn tunnel(gateway: &Gateway, upstream: &Upstream, pair: &Pair) -> (Connection, Exchange) {
    let mut connection = gateway.connect().await;
    connection.send(upgrade::request("/", &pair.lines())).await;
    let mut exchange = upstream.exchange().await;
    exchange.send(upgrade::accepted(&upstream.last_request().fields())).await;
    assert_eq!(connection.head().await.0, 101);
    (connection, exchange)
}

/// An answer that has begun and does not end, read as far as it goes.
async fn answer(gateway: &Gateway, upstream: &Upstream, pair: &Pair, begun: &str) -> (Connection, Exchange) {
    let mut connection = gateway.connect().await;
    connection.send(get(pair)).await;
    let mut exchange = upstream.exchange().await;
    exchange.send(begun).await;
    let (_, fields) = connection.head().await;
    let first = if fields.all("content-length").is_empty() {
        connection.chunk().await
    } else {
        connection.exactly(5).await.unwrap()
    };
    assert_eq!(first, b"first");
    (connection, exchange)
}

/// The same on HTTP/2.
async fn stream(h2: &H2, upstream: &Upstream, pair: &Pair, begun: &str) -> (Incoming, Exchange) {
    let request = h2.build("GET", "/", &presented(pair)).body(body("")).unwrap();
    let given = async {
        let mut exchange = upstream.exchange().await;
        exchange.send(begun).await;
        exchange
    };
    let (answer, exchange) = tokio::join!(h2.send(request), given);
    let mut answer = answer.unwrap().into_body();
    let first = within("the first part", answer.frame()).await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    (answer, exchange)
}

/// Sends until nobody takes any more.
async fn fill(exchange: &mut Exchange) {
    let part = vec![b'x'; 64 * 1024];
    while let Ok(sent) = tokio::time::timeout(Duration::from_millis(300), exchange.try_send(&part)).await {
        sent.unwrap();
    }
}

/// What comes before the connection ends.
async fn rest(connection: &mut Connection) -> Vec<u8> {
    let mut rest = Vec::new();
    while let Ok(byte) = connection.exactly(1).await {
        rest.extend(byte);
    }
    rest
}

async fn reset_reason(answer: &mut Incoming) -> Option<h2::Reason> {
    loop {
        match within("the end of a stream", answer.frame()).await? {
            Ok(_) => {}
            Err(error) => return std::error::Error::source(&error)?.downcast_ref::<h2::Error>()?.reason(),
        }
    }
}

fn secret_id(gateway: &Gateway) -> gatewarden::auth::SecretId {
    let config = gatewarden::config::load(&gateway.dir.path().join("gatewarden.toml"), std::iter::empty()).unwrap();
    let ring = Ring::load(&config.tokens, &mut gatewarden::config::Problems::default()).unwrap();
    ring.ids().next().unwrap()
}

fn presented(pair: &Pair) -> [(&str, &str); 2] {
    [("x-key", &pair.key), ("x-access-token", &pair.token)]
}

fn get(pair: &Pair) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
