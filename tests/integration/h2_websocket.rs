//! WebSocket on HTTP/2 (RFC 8441): extended CONNECT, asked for by a client that is h2 itself.

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderValue, Request, Response};

use crate::harness::{Exchange, Gateway, Pair, USER, Upstream, eventually, upgrade, within};

#[tokio::test]
async fn extended_connect_carries_frames_both_ways_and_is_a_get_to_the_upstream() {
    let only_get = "routes = [{ path = '/', upstream = 'main', methods = ['GET'] }]";
    let (upstream, gateway, pair) = setup(Upstream::start().await, only_get).await;
    let client = Client::connect(&gateway).await;
    let mut socket = client.open(&pair, &[("origin", "https://a.example"), ("sec-websocket-protocol", "chat")]).await;
    for text in ["hello", "over h2"] {
        socket.say(text);
        assert_eq!(socket.hear(text.len() + 2).await, [&[0x81, text.len() as u8], text.as_bytes()].concat());
    }
    let request = upstream.only_request();
    assert_eq!((request.line(), request.field("upgrade").as_deref()), ("GET /socket?a=1 HTTP/1.1", Some("websocket")));
    for (name, value) in
        [("origin", "https://a.example"), ("sec-websocket-protocol", "chat"), ("x-webitel-user", USER.name)]
    {
        assert_eq!(request.field(name).as_deref(), Some(value));
    }
    assert_eq!(request.field("x-key"), None);
    let answer = socket.answer.headers();
    for gone in ["sec-websocket-accept", "connection", "upgrade"] {
        assert!(!answer.contains_key(gone), "{gone}");
    }
    assert!(answer.contains_key("x-request-id"));
}

#[tokio::test]
async fn a_refused_extended_connect_has_its_status_and_nothing_goes_upstream() {
    let (upstream, gateway, pair) =
        setup(Upstream::start().await, "routes = [{ path = '/', upstream = 'main', methods = ['GET'] }]").await;
    let client = Client::connect(&gateway).await;
    let nobody = Pair { key: pair.key.clone(), token: "x".to_owned() };
    let right = || connect("https://localhost/socket", &pair).header("sec-websocket-version", "13");
    let websocket = Protocol::from_static("websocket");
    for (status, request, protocol) in [
        (401, connect("https://localhost/", &nobody).header("sec-websocket-version", "13"), &websocket),
        (400, connect("https://localhost/", &pair), &websocket),
        (400, connect("https://localhost/", &pair).header("sec-websocket-version", "8"), &websocket),
        (400, right().uri("wss://localhost/socket"), &websocket),
        (400, right().uri("https://localhost/%2e%2e/socket"), &websocket),
        (400, right().header("host", "elsewhere"), &websocket),
        (501, right(), &Protocol::from_static("connect-udp")),
        (501, right(), &Protocol::from_static("WebSocket")),
        (405, right().uri("https://localhost/login"), &websocket),
        (405, right().uri("https://localhost/logout"), &websocket),
    ] {
        let (answer, _sender) = client.ask(request.extension(protocol.clone()).body(()).unwrap()).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert!(answer.headers().contains_key("x-request-id"));
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_plain_connect_is_501_still() {
    let (upstream, gateway, pair) = setup(Upstream::start().await, "").await;
    let client = Client::connect(&gateway).await;
    let request = connect("localhost:443", &pair).body(()).unwrap();
    let (answer, _sender) = client.ask(request).await.unwrap();
    assert_eq!(answer.status(), 501);
    upstream.saw_nothing();
}

#[tokio::test]
async fn an_upstream_that_switches_wrongly_is_502_and_one_that_refuses_is_heard() {
    let wrong = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    for (raw, status) in [(wrong, 502), ("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", 404)] {
        let (_upstream, gateway, pair) = setup(Upstream::answering(raw).await, "").await;
        let client = Client::connect(&gateway).await;
        let (answer, _sender) = client.ask(right(&pair)).await.unwrap();
        assert_eq!(answer.status(), status);
    }
}

#[tokio::test]
async fn a_logout_ends_the_sessions_tunnels_with_1008_and_nobody_elses() {
    let (upstream, gateway, pair) = setup(Upstream::by_hand().await, "").await;
    let other = gateway.login(&USER).await;
    let client = Client::connect(&gateway).await;
    let mut ended = Vec::new();
    for _ in 0..20 {
        ended.push(client.open_by_hand(&upstream, &pair).await);
    }
    let (mut in_frame, mut in_frame_exchange) = client.open_by_hand(&upstream, &pair).await;
    in_frame_exchange.send(b"\x81\x05hel").await;
    assert_eq!(in_frame.hear(5).await, b"\x81\x05hel");
    let (mut spared, mut spared_exchange) = client.open_by_hand(&upstream, &other).await;
    assert_eq!(gateway.logout(&pair).await.status, 200);
    for (socket, exchange) in &mut ended {
        assert_eq!(socket.hear(4).await, [0x88, 2, 0x03, 0xf0]);
        assert_eq!(socket.end().await, None, "an orderly end");
        exchange.cancelled().await;
    }
    assert_eq!(in_frame.end().await, Some(Reason::CANCEL));
    in_frame_exchange.cancelled().await;
    spared_exchange.send("still").await;
    assert_eq!(spared.hear(5).await, b"still");
}

#[tokio::test]
async fn a_tunnel_that_is_not_read_is_reset_with_its_session_and_after_the_idle_timeout() {
    let settings = "limits.body_idle_timeout = '700ms'\nlog.access = 'DIR/access.log'";
    let (upstream, gateway, pair) = setup(Upstream::by_hand().await, settings).await;
    let other = gateway.login(&USER).await;
    let client = Client::connect(&gateway).await;
    let (mut ended, mut ended_exchange) = client.open_by_hand(&upstream, &pair).await;
    let part = vec![b'x'; 64 * 1024];
    let patience = std::time::Duration::from_millis(200);
    while tokio::time::timeout(patience, ended_exchange.try_send(&part)).await.is_ok_and(|sent| sent.is_ok()) {}
    assert_eq!(gateway.logout(&pair).await.status, 200);
    ended_exchange.cancelled().await;
    assert_eq!(ended.end().await, Some(Reason::CANCEL));
    let (mut unread, mut unread_exchange) = client.open_by_hand(&upstream, &other).await;
    while unread_exchange.try_send(&part).await.is_ok() {}
    assert_eq!(unread.end().await, Some(Reason::CANCEL));
    for refusal in ["session_over", "client_not_reading"] {
        let said = format!(r#""refusal":"{refusal}""#);
        let line = |line: &str| line.contains(r#""method":"CONNECT""#) && line.contains(&said);
        eventually("the line", || async { gateway.access_log().lines().any(line) }).await;
    }
}

#[tokio::test]
async fn a_drain_tells_tunnels_1001_and_an_open_tunnel_keeps_its_connection() {
    let settings = "server.drain_timeout = '500ms'\nlimits.keepalive_timeout = '300ms'";
    let (upstream, gateway, pair) = setup(Upstream::by_hand().await, settings).await;
    let client = Client::connect(&gateway).await;
    let (mut socket, mut exchange) = client.open_by_hand(&upstream, &pair).await;
    // Longer than an idle connection may live: that nothing happens meanwhile is what is tested here.
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    exchange.send([0x82, 0]).await;
    assert_eq!(socket.hear(2).await, [0x82, 0]);
    gateway.drain();
    assert_eq!(socket.hear(4).await, [0x88, 2, 0x03, 0xe9]);
    gateway.ended().await;
}

#[tokio::test]
async fn a_client_that_ends_its_stream_or_resets_it_ends_the_upstreams_connection() {
    let (upstream, gateway, pair) = setup(Upstream::by_hand().await, "").await;
    let client = Client::connect(&gateway).await;
    let (mut ending, mut ended) = client.open_by_hand(&upstream, &pair).await;
    ending.sender.send_data(Bytes::new(), true).unwrap();
    ended.cancelled().await;
    let (mut resetting, mut reset) = client.open_by_hand(&upstream, &pair).await;
    resetting.sender.send_reset(Reason::CANCEL);
    reset.cancelled().await;
    drop(client.open_by_hand(&upstream, &pair).await);
}

/// One connection of the h2 library.
struct Client(SendRequest<Bytes>);

impl Client {
    async fn connect(gateway: &Gateway) -> Self {
        let stream = gateway.tls_stream("h2").await;
        let (sender, connection) = within("HTTP/2", h2::client::handshake(stream)).await.unwrap();
        // Its errors are seen by the streams.
        tokio::spawn(async move { drop(connection.await) });
        let offered = || async { sender.is_extended_connect_protocol_enabled() };
        eventually("SETTINGS_ENABLE_CONNECT_PROTOCOL", offered).await;
        Self(sender)
    }

    async fn ask(&self, request: Request<()>) -> Result<(Response<RecvStream>, SendStream<Bytes>), h2::Error> {
        let mut ready = within("a stream", self.0.clone().ready()).await?;
        let (answer, sender) = ready.send_request(request, false)?;
        Ok((within("an answer", answer).await?, sender))
    }

    async fn open(&self, pair: &Pair, headers: &[(&'static str, &'static str)]) -> Socket {
        let mut request = right(pair);
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let (answer, sender) = self.ask(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        Socket { answer, sender, heard: BytesMut::new() }
    }

    async fn open_by_hand(&self, upstream: &Upstream, pair: &Pair) -> (Socket, Exchange) {
        let granted = async {
            let mut exchange = upstream.exchange().await;
            exchange.send(upgrade::accepted(&upstream.last_request().fields())).await;
            exchange
        };
        tokio::join!(self.open(pair, &[]), granted)
    }
}

/// An open WebSocket, in raw frames.
struct Socket {
    answer: Response<RecvStream>,
    sender: SendStream<Bytes>,
    heard: BytesMut,
}

impl Socket {
    /// Sends a short text, masked with zeros.
    fn say(&mut self, text: &str) {
        let frame = [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat();
        self.sender.send_data(frame.into(), false).unwrap();
    }

    async fn hear(&mut self, length: usize) -> Vec<u8> {
        while self.heard.len() < length {
            let data = within("bytes", self.answer.body_mut().data()).await.expect("more").unwrap();
            self.answer.body_mut().flow_control().release_capacity(data.len()).unwrap();
            self.heard.extend(data);
        }
        self.heard.split_to(length).to_vec()
    }

    /// Reads to the end; the reason if that is a reset.
    async fn end(&mut self) -> Option<Reason> {
        loop {
            match within("the end", self.answer.body_mut().data()).await {
                None => return None,
                Some(Err(error)) => return error.reason(),
                Some(Ok(data)) => drop(self.answer.body_mut().flow_control().release_capacity(data.len())),
            }
        }
    }
}

fn connect(uri: &str, pair: &Pair) -> http::request::Builder {
    Request::builder().method("CONNECT").uri(uri).header("x-key", &pair.key).header("x-access-token", &pair.token)
}

fn right(pair: &Pair) -> Request<()> {
    let request = connect("https://localhost/socket?a=1", pair).header("sec-websocket-version", "13");
    request.extension(Protocol::from_static("websocket")).body(()).unwrap()
}

async fn setup(upstream: Upstream, settings: &str) -> (Upstream, Gateway, Pair) {
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
