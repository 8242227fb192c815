//! WebSocket by the classes of the Autobahn suite's cases (RFC 6455): each has byte for byte the same result through the gateway,
//! over HTTP/1.1 and over HTTP/2 (RFC 8441), as without it. The gateway judges no frame: the two ends do.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http2_messages::Field;
use super::websocket_cases::{TEXT, all, masked, unmasked};
use crate::harness::frames::{Frames, Outcome, block, flag, frame, kind};
use crate::harness::{Connection, Exchange, Gateway, Io, Pair, USER, Upstream, upgrade, within};

const WAYS: [Way; 3] = [Way::Direct, Way::Http1, Way::Http2];

#[tokio::test]
async fn every_class_of_frames_has_the_same_result_as_without_the_gateway() {
    let scene = Scene::new(Upstream::start().await).await;
    for (what, parts) in all() {
        let mut results = Vec::new();
        for way in WAYS {
            let mut socket = scene.open(way).await;
            for part in &parts {
                // A server that has heard enough may have hung up.
                let _gone = socket.send(part).await;
            }
            results.push(socket.rest().await);
        }
        let [direct, through @ ..] = &results[..] else { unreachable!("there are three ways") };
        for (way, result) in WAYS[1..].iter().zip(through) {
            assert!(result == direct, "{what} by {way:?}: {} bytes instead of {}", result.len(), direct.len());
        }
    }
}

#[tokio::test]
async fn every_byte_goes_through_as_it_is_in_both_directions() {
    let scene = Scene::new(Upstream::by_hand().await).await;
    for way in [Way::Http1, Way::Http2] {
        let (mut socket, mut exchange) = scene.open_by_hand(way).await;
        for (what, parts) in all() {
            let bytes = parts.concat();
            for part in &parts {
                socket.send(part).await.unwrap();
            }
            let mut seen = Vec::new();
            while seen.len() < bytes.len() {
                seen.extend(exchange.some().await.expect("more bytes"));
            }
            assert!(seen == bytes, "{what} by {way:?} upstream");
            exchange.send(&bytes).await;
            assert!(socket.exactly(bytes.len()).await == bytes, "{what} by {way:?} downstream");
        }
    }
}

#[tokio::test]
async fn an_upgrade_is_done_whole_or_not_at_all() {
    let right = |accept: &str| {
        format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{accept}\r\n")
    };
    let accept = "Sec-WebSocket-Accept: ACCEPT\r\n";
    let scene = Scene::new(Upstream::by_hand().await).await;
    for (what, raw) in [
        ("another's proof", right("Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmUgYXQgYWw=\r\n")),
        ("no proof", right("")),
        ("an empty proof", right("Sec-WebSocket-Accept: \r\n")),
        ("the key as proof", right("Sec-WebSocket-Accept: dGhlIHNhbXBsZSBub25jZQ==\r\n")),
        ("two proofs", right(&format!("{accept}Sec-WebSocket-Accept: x\r\n"))),
        ("no Upgrade", right(accept).replace("Upgrade: websocket\r\n", "")),
        ("another Upgrade", right(accept).replace("websocket\r\n", "h2c\r\n")),
        ("no Connection", right(accept).replace("Connection: Upgrade\r\n", "")),
        ("HTTP/1.0", right(accept).replace("HTTP/1.1", "HTTP/1.0")),
        ("half a head", right(accept)[..60].to_owned()),
        ("nothing", String::new()),
        ("garbage", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned()),
    ] {
        for way in [Way::Http1, Way::Http2] {
            let (status, _socket, exchange) = scene.ask(way, &raw).await;
            assert_eq!(status, 502, "{what} by {way:?}");
            if let Some(mut exchange) = exchange {
                assert_eq!(exchange.some().await, None, "{what} by {way:?}");
            }
        }
    }
}

/// On HTTP/2 a 2xx would mean that the tunnel is open (RFC 8441, section 5).
#[tokio::test]
async fn an_answer_that_is_no_101_opens_nothing_and_nothing_of_the_client_goes_upstream() {
    let scene = Scene::new(Upstream::by_hand().await).await;
    for (raw, http1, http2) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, 502),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, 502),
        ("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, 302),
        ("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", 426, 426),
        ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 503, 503),
    ] {
        for (way, expected) in [(Way::Http1, http1), (Way::Http2, http2)] {
            let (status, mut socket, exchange) = scene.ask(way, raw).await;
            assert_eq!(status, expected, "{raw} by {way:?}");
            let _refused = socket.send(&masked(TEXT, b"late")).await;
            drop(socket);
            assert_eq!(more(&mut exchange.expect("a whole head")).await, None, "{raw} by {way:?}");
        }
    }
}

#[tokio::test]
async fn a_101_in_pieces_or_with_bytes_behind_it_loses_nothing() {
    let scene = Scene::new(Upstream::by_hand().await).await;
    for way in [Way::Http1, Way::Http2] {
        for (first, pieces) in [("", 1), ("", 3), ("", 50), ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1)] {
            let opening = scene.wish(way);
            let granting = async {
                let mut exchange = scene.upstream.exchange().await;
                let granted = upgrade::accepted(&scene.upstream.last_request().fields());
                let all = [first.as_bytes(), granted.as_bytes(), &unmasked(TEXT, b"at once")].concat();
                for piece in all.chunks(all.len().div_ceil(pieces)) {
                    exchange.send(piece).await;
                    tokio::task::yield_now().await;
                }
                exchange
            };
            let ((status, mut socket), exchange) = tokio::join!(opening, granting);
            assert_eq!(status, if way == Way::Http2 { 200 } else { 101 });
            drop(exchange);
            assert_eq!(socket.rest().await, unmasked(TEXT, b"at once"), "{way:?}, in {pieces}");
        }
    }
}

#[tokio::test]
async fn what_an_upstream_said_before_it_broke_off_arrives() {
    let scene = Scene::new(Upstream::by_hand().await).await;
    let last_words = unmasked(TEXT, b"last words");
    for round in 0..20 {
        for way in [Way::Http1, Way::Http2] {
            let (mut socket, mut exchange) = scene.open_by_hand(way).await;
            socket.send(&masked(TEXT, &[b'x'; 60_000])).await.unwrap();
            // It leaves the rest unread, so that its end is a reset.
            assert!(exchange.some().await.is_some());
            exchange.send(&last_words).await;
            drop(exchange);
            assert_eq!(socket.rest().await, last_words, "{way:?}, round {round}");
        }
    }
}

#[tokio::test]
async fn what_a_client_sends_early_waits_for_the_101() {
    let scene = Scene::new(Upstream::by_hand().await).await;
    for granted in [true, false] {
        let mut connection = Frames::plain(scene.gateway.plain).await;
        let early = masked(TEXT, b"early");
        connection.send([scene.connect(), frame(kind::DATA, 0, 1, &early)].concat()).await;
        let mut exchange = scene.upstream.exchange().await;
        assert_eq!(more(&mut exchange).await, None, "it came before the 101");
        if granted {
            exchange.send(upgrade::accepted(&scene.upstream.last_request().fields())).await;
            assert_eq!(exchange.some().await, Some(early));
        } else {
            exchange.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
            assert_eq!(connection.outcome(1).await, Outcome::Status(403));
            drop(connection);
            assert_eq!(more(&mut exchange).await, None);
        }
    }
}

/// What the gateway sends within a while, in which it should send nothing.
async fn more(exchange: &mut Exchange) -> Option<Vec<u8>> {
    tokio::time::timeout(Duration::from_millis(200), exchange.some()).await.ok().flatten()
}

/// How a client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    Http1,
    Http2,
}

struct Scene {
    upstream: Upstream,
    gateway: Gateway,
    pair: Pair,
}

impl Scene {
    async fn new(upstream: Upstream) -> Self {
        let gateway = Gateway::start(&upstream).await;
        let pair = gateway.login(&USER).await;
        Self { upstream, gateway, pair }
    }

    async fn open(&self, way: Way) -> Socket {
        let (status, socket) = self.wish(way).await;
        assert!([101, 200].contains(&status), "{way:?}: {status}");
        socket
    }

    async fn open_by_hand(&self, way: Way) -> (Socket, Exchange) {
        let granting = async {
            let mut exchange = self.upstream.exchange().await;
            exchange.send(upgrade::accepted(&self.upstream.last_request().fields())).await;
            exchange
        };
        tokio::join!(self.open(way), granting)
    }

    /// Asks while the upstream answers with these bytes, and hangs up where they are no whole head; `ACCEPT` stands for the right
    /// proof.
    async fn ask(&self, way: Way, raw: &str) -> (u16, Socket, Option<Exchange>) {
        let answering = async {
            let mut exchange = self.upstream.exchange().await;
            let right = upgrade::accepted(&self.upstream.last_request().fields());
            let proof = right.split("Accept: ").nth(1).unwrap().trim_end();
            exchange.send(raw.replace("ACCEPT", proof)).await;
            raw.contains("\r\n\r\n").then_some(exchange)
        };
        let ((status, socket), exchange) = tokio::join!(self.wish(way), answering);
        (status, socket, exchange)
    }

    /// Asks for a WebSocket: the status of the answer, and what is then open if it is 101, or on HTTP/2 200.
    async fn wish(&self, way: Way) -> (u16, Socket) {
        match way {
            Way::Direct => self.over_http1(Connection::plain(self.upstream.address()).await).await,
            Way::Http1 => self.over_http1(self.gateway.connect().await).await,
            Way::Http2 => {
                // Windows that no case fills.
                let settings = [(4, 1 << 24)];
                let mut connection = Frames::with_settings(self.gateway.tls, &self.gateway.ca, &settings).await;
                let window = frame(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes());
                connection.send([window, self.connect()].concat()).await;
                let Outcome::Status(status) = connection.outcome(1).await else { panic!("no answer") };
                (status, Socket { wire: Wire::Http2(connection), read: Vec::new() })
            }
        }
    }

    async fn over_http1(&self, mut connection: Connection) -> (u16, Socket) {
        connection.send(upgrade::request("/", &self.pair.lines())).await;
        let (status, _) = connection.head().await;
        let (io, read) = connection.into_parts();
        (status, Socket { wire: Wire::Http1(io), read })
    }

    /// Extended CONNECT.
    fn connect(&self) -> Vec<u8> {
        let fields: [Field; 8] = [
            (":method", b"CONNECT"),
            (":protocol", b"websocket"),
            (":scheme", b"https"),
            (":authority", b"localhost"),
            (":path", b"/"),
            ("sec-websocket-version", b"13"),
            ("x-key", self.pair.key.as_bytes()),
            ("x-access-token", self.pair.token.as_bytes()),
        ];
        frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&fields))
    }
}

/// The client's end of a tunnel, and what was read of it too far.
struct Socket {
    wire: Wire,
    read: Vec<u8>,
}

enum Wire {
    Http1(Box<dyn Io>),
    Http2(Frames),
}

impl Socket {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.wire {
            Wire::Http1(io) => {
                within("sending", io.write_all(bytes)).await?;
                io.flush().await
            }
            Wire::Http2(frames) => {
                for part in bytes.chunks(16_384) {
                    frames.try_send(frame(kind::DATA, 0, 1, part)).await?;
                }
                Ok(())
            }
        }
    }

    /// Reads on; false at the end. A reset is an end as well: what came before it stays.
    async fn fill(&mut self) -> bool {
        match &mut self.wire {
            Wire::Http1(io) => within("bytes", io.read_buf(&mut self.read)).await.is_ok_and(|read| read > 0),
            Wire::Http2(frames) => {
                let Some(frame) = frames.frame().await.filter(|frame| frame.kind != kind::RST_STREAM) else {
                    return false;
                };
                let is_data = frame.kind == kind::DATA;
                if is_data {
                    self.read.extend(frame.payload);
                }
                !is_data || frame.flags & flag::END_STREAM == 0
            }
        }
    }

    /// Exactly so many bytes.
    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.fill().await, "only {} bytes of {length} came", self.read.len());
        }
        self.read.drain(..length).collect()
    }

    /// Everything up to the end.
    async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.read)
    }
}
