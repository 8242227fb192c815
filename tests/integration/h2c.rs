//! HTTP/2 without TLS, by prior knowledge: told from HTTP/1.1 by the first bytes, and held to the same deadlines.

use gatewarden::auth::Ended;
use gatewarden::clock::BootTime;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::harness::{Connection, Gateway, H2, Pair, USER, Upstream, eventually, within};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn a_plain_listener_speaks_http_2_to_who_begins_with_it_and_http_1_to_others() {
    let (upstream, gateway, pair) = setup("").await;
    let h2 = h2c(&gateway).await;
    for _ in 0..3 {
        let answer = h2.get("/x", &pair).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"behind"[..]));
    }
    assert_eq!(upstream.last_request().field("x-forwarded-proto").as_deref(), Some("http"));
    let mut http1 = gateway.plain().await;
    for _ in 0..2 {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
        assert_eq!(http1.request(request).await.text(), "behind");
    }
}

#[tokio::test]
async fn what_is_refused_over_tls_is_refused_without_it() {
    let (upstream, gateway, _) = setup("").await;
    let h2 = h2c(&gateway).await;
    assert_eq!(h2.request("GET", "/", &[]).await.status, 401);
    assert_eq!(h2.request("TRACE", "/", &[]).await.status, 501);
    upstream.saw_nothing();
}

#[tokio::test]
async fn heads_and_prefaces_that_come_in_pieces_lose_no_byte() {
    let (_upstream, gateway, pair) = setup("").await;
    let mut connection = gateway.plain().await;
    let request = format!("PUT /p HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n{}\r\nbody", pair.lines());
    for piece in request.as_bytes().chunks(1) {
        connection.send(piece).await;
    }
    assert_eq!(connection.answer().await.text(), "behind");
    let mut stream = TcpStream::connect(gateway.plain).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in PREFACE.chunks(1) {
        stream.write_all(piece).await.unwrap();
    }
    // An empty SETTINGS frame, which is answered by one of the gateway's.
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut frame = [0; 4];
    within("a frame", tokio::io::AsyncReadExt::read_exact(&mut stream, &mut frame)).await.unwrap();
    assert_eq!(frame[3], 4);
}

#[tokio::test]
async fn a_preface_that_stops_is_closed_in_time_and_at_once_by_a_drain() {
    let (_upstream, gateway, _) = setup("limits.header_timeout = '300ms'").await;
    for begun in [&b""[..], &PREFACE[..10], PREFACE] {
        let mut connection = gateway.plain().await;
        connection.send(begun).await;
        while connection.exactly(1).await.is_ok() {}
    }
    let (_upstream, gateway, _) = setup("server.drain_timeout = '60s'").await;
    let mut connection = gateway.plain().await;
    connection.send(&PREFACE[..10]).await;
    gateway.drain();
    assert!(connection.closed().await);
    gateway.ended().await;
}

#[tokio::test]
async fn over_tls_only_alpn_decides() {
    let (upstream, gateway, pair) = setup("").await;
    let mut connection = gateway.connect().await;
    connection.send(PREFACE).await;
    assert!(connection.try_head().await.is_none_or(|(status, _)| status == 400));
    let answer = gateway.get("/", &pair.lines()).await;
    assert_eq!((answer.status, upstream.requests().len()), (200, 1));
}

#[tokio::test]
async fn an_upgrade_to_h2c_is_no_prior_knowledge() {
    let (upstream, gateway, pair) = setup("").await;
    let mut connection: Connection = gateway.plain().await;
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let answer =
        connection.request(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{upgrade}{}\r\n", pair.lines())).await;
    assert_eq!(answer.text(), "behind");
    let request = upstream.only_request();
    assert_eq!((request.field("upgrade"), request.field("http2-settings")), (None, None));
}

#[tokio::test]
async fn a_logout_ends_what_the_session_opened_here_too() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    let h2 = h2c(&gateway).await;
    let polling = tokio::spawn(async move {
        let status = h2.get("/", &pair).await.status;
        (status, h2, pair)
    });
    let mut exchange = upstream.exchange().await;
    assert_eq!(gateway.sessions().revoke_user(USER.name, Ended::UserRemoved, BootTime::now()), 1);
    assert_eq!(within("an answer", polling).await.unwrap().0, 401);
    exchange.cancelled().await;
    eventually("no session", || async { gateway.sessions().is_empty() }).await;
}

async fn h2c(gateway: &Gateway) -> H2 {
    let stream = within("connecting", TcpStream::connect(gateway.plain)).await.unwrap();
    H2::over(stream, format!("http://localhost:{}", gateway.plain.port())).await
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
