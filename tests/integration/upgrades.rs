//! Upgrades: only WebSockets, checked on both sides.

use crate::harness::{Frame, Gateway, Pair, USER, Upstream, WebSocket, upgrade};

#[tokio::test]
async fn a_handshake_with_a_body_is_refused_and_nothing_goes_upstream() {
    let (upstream, gateway, pair) = setup("").await;
    for body in ["Content-Length: 5\r\n\r\nEARLY", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
        let (head, _) = upgrade::request("/", &pair.lines())
            .rsplit_once("\r\n")
            .map(|(h, t)| (h.to_owned(), t.to_owned()))
            .unwrap();
        assert_eq!(gateway.request(format!("{head}{body}")).await.status, 400, "{body}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_websocket_carries_frames_both_ways() {
    let (upstream, gateway, pair) = setup("").await;
    let mut socket = open(&gateway, &pair).await;
    for text in ["hello", "", &"x".repeat(100_000)] {
        socket.say(text).await;
        assert_eq!(socket.hear().await, Frame::Text(text.to_owned()));
    }
    let request = upstream.only_request();
    assert_eq!(request.field("upgrade").as_deref(), Some("websocket"));
    assert_eq!(request.field("sec-websocket-version").as_deref(), Some("13"));
    assert_eq!(request.field("x-webitel-user").as_deref(), Some(USER.name));
}

#[tokio::test]
async fn a_handshake_over_http_1_0_is_a_plain_request() {
    let (upstream, gateway, pair) = setup("").await;
    let request = upgrade::request("/", &pair.lines()).replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(gateway.request(request).await.status, 200);
    let seen = upstream.only_request();
    assert_eq!((seen.field("upgrade"), seen.field("connection")), (None, None));
}

#[tokio::test]
async fn extensions_and_protocols_are_agreed_upon_by_the_two_ends() {
    let (upstream, gateway, pair) = setup("").await;
    let lines = format!(
        "Sec-WebSocket-Protocol: chat, sip\r\nSec-WebSocket-Extensions: permessage-deflate\r\n{}",
        pair.lines()
    );
    assert!(WebSocket::open(gateway.connect().await, "/", &lines).await.is_ok());
    let request = upstream.only_request();
    assert_eq!(request.field("sec-websocket-protocol").as_deref(), Some("chat, sip"));
    assert_eq!(request.field("sec-websocket-extensions").as_deref(), Some("permessage-deflate"));
}

#[tokio::test]
async fn a_websocket_opens_with_query_credentials_where_they_are_asked_for() {
    let (upstream, gateway, pair) =
        setup("routes = [{ path = '/', upstream = 'main', credentials = ['header', 'query'] }]").await;
    let target = format!("/socket?{}&room=1", pair.query());
    assert!(WebSocket::open(gateway.connect().await, &target, "").await.is_ok());
    assert_eq!(upstream.only_request().target(), "/socket?room=1");
}

#[tokio::test]
async fn a_public_route_opens_a_websocket_for_anybody() {
    let (upstream, gateway, _) = setup("routes = [{ path = '/', upstream = 'main', access = 'public' }]").await;
    assert!(WebSocket::open(gateway.connect().await, "/", "").await.is_ok());
    assert_eq!(upstream.only_request().field("x-webitel-user"), None);
}

#[tokio::test]
async fn nothing_goes_upstream_before_the_101() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    connection.send(format!("{}GET /smuggled HTTP/1.1\r\n\r\n", upgrade::request("/", &pair.lines()))).await;
    let mut exchange = upstream.exchange().await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), exchange.some()).await;
    assert!(early.is_err(), "{early:?} came before the 101");
    exchange.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(connection.head().await.0, 403);
    assert_eq!(upstream.only_request().target(), "/");
}

#[tokio::test]
async fn an_upstream_that_answers_wrongly_is_502_and_its_connection_closes() {
    let wrong = [
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: bm90IHJpZ2h0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    ];
    for raw in wrong {
        let upstream = Upstream::by_hand().await;
        let gateway = Gateway::start(&upstream).await;
        let pair = gateway.login(&USER).await;
        let mut connection = gateway.connect().await;
        connection.send(upgrade::request("/", &pair.lines())).await;
        let mut exchange = upstream.exchange().await;
        exchange.send(raw).await;
        assert_eq!(connection.answer().await.status, 502, "{raw}");
        exchange.cancelled().await;
    }
}

#[tokio::test]
async fn an_upstream_that_switches_unasked_is_502() {
    let upstream =
        Upstream::answering("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 502);
}

#[tokio::test]
async fn an_upstream_that_refuses_a_websocket_is_heard() {
    let upstream = Upstream::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone").await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    let Err(answer) = WebSocket::open(gateway.connect().await, "/", &pair.lines()).await else { panic!("it opened") };
    assert_eq!((answer.status, answer.text()), (404, "none"));
}

#[tokio::test]
async fn handshakes_that_are_none_never_upgrade() {
    let (upstream, gateway, pair) = setup("").await;
    let right = upgrade::request("/", &pair.lines());
    for broken in [
        right.replace("Version: 13", "Version: 8"),
        right.replace("Sec-WebSocket-Version: 13\r\n", ""),
        right.replace("GET /", "POST /"),
        right.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"),
        right.replace("Sec-WebSocket-Key", "X-Nothing"),
    ] {
        let status = gateway.request(&broken).await.status;
        assert_ne!(status, 101, "{broken}");
        let upgraded = upstream.requests().iter().any(|request| request.field("upgrade").is_some());
        assert!(!upgraded, "{broken}");
    }
}

#[tokio::test]
async fn other_upgrades_lose_the_header_and_go_on_as_plain_http() {
    let (upstream, gateway, pair) = setup("").await;
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
        "Connection: upgrade\r\nUpgrade: websocket2\r\n",
    ] {
        assert_eq!(gateway.get("/", &format!("{lines}{}", pair.lines())).await.text(), "behind");
        let request = upstream.last_request();
        for gone in ["upgrade", "http2-settings"] {
            assert_eq!(request.field(gone), None, "{lines}");
        }
        assert!(!request.fields().all("connection").iter().any(|value| value.to_lowercase().contains("upgrade")));
    }
}

async fn open(gateway: &Gateway, pair: &Pair) -> WebSocket {
    match WebSocket::open(gateway.connect().await, "/", &pair.lines()).await {
        Ok(socket) => socket,
        Err(answer) => panic!("{}: {}", answer.status, answer.text()),
    }
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
