//! A recording upstream: keeps the raw head and body of every request it got, and answers by script or by the test's own hand.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::{SinkExt, StreamExt};
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, protocol::Role};

use super::client::Io;
use super::message::{Fields, Framing, Reader};
use super::tls::Identity;
use super::{upgrade, within};

/// One request as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
    /// Request line and fields, without the empty line.
    pub(crate) head: String,
    /// The body, decoded.
    pub(crate) body: Vec<u8>,
    /// What came after a chunked body.
    pub(crate) trailers: Fields,
}

impl Recorded {
    /// The request line: `GET /path HTTP/1.1`.
    pub(crate) fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// The request target.
    pub(crate) fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn fields(&self) -> Fields {
        Fields::of_head(&self.head)
    }

    /// The only value of a field.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.fields().one(name).map(str::to_owned)
    }
}

/// What the upstream does with a request.
pub(crate) enum Reply {
    /// These bytes; the connection is kept.
    Raw(Vec<u8>),
    /// These bytes, then the end of the connection.
    RawThenClose(Vec<u8>),
    /// The end of the connection without a byte.
    Close,
    /// 200 with the request's own body.
    Echo,
    /// 101, then every message back.
    WebSocketEcho,
}

impl Reply {
    /// A 200 with a body and more header lines, each ended by CRLF.
    pub(crate) fn ok(fields: &str, body: &str) -> Self {
        Self::Raw(format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n{body}", body.len()).into())
    }
}

type Script = dyn Fn(&Recorded) -> Reply + Send + Sync;

enum Manner {
    Script(Box<Script>),
    ByHand(UnboundedSender<Exchange>),
}

struct Shared {
    manner: Manner,
    requests: Mutex<Vec<Recorded>>,
    connections: Mutex<usize>,
    tls: Option<TlsAcceptor>,
    handshakes: Mutex<Vec<Handshake>>,
}

/// What a handshake of the gateway said.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    pub(crate) kind: HandshakeKind,
    pub(crate) name: Option<String>,
    pub(crate) alpn: Option<Vec<u8>>,
}

/// A server on a free port of the loopback.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    by_hand: tokio::sync::Mutex<UnboundedReceiver<Exchange>>,
    running: Mutex<Option<JoinSet<()>>>,
}

impl Upstream {
    /// Answers everything with a small 200, and a WebSocket handshake with an echo.
    pub(crate) async fn start() -> Self {
        Self::scripted(|request| match request.fields().one("upgrade") {
            Some(_) => Reply::WebSocketEcho,
            None => Reply::ok("content-type: text/plain\r\n", "behind"),
        })
        .await
    }

    /// Answers everything with the same bytes.
    pub(crate) async fn answering(raw: impl Into<Vec<u8>>) -> Self {
        let raw = raw.into();
        Self::scripted(move |_| Reply::Raw(raw.clone())).await
    }

    /// Answers by a script, which is asked once the whole request was read.
    pub(crate) async fn scripted(script: impl Fn(&Recorded) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(Manner::Script(Box::new(script)), unbounded_channel().1, None).await
    }

    /// Hands every exchange to the test once its head was read: see [`Upstream::exchange`].
    pub(crate) async fn by_hand() -> Self {
        let (sender, receiver) = unbounded_channel();
        Self::with(Manner::ByHand(sender), receiver, None).await
    }

    /// As [`Upstream::start`], over TLS with this certificate.
    pub(crate) async fn secured(identity: &Identity) -> Self {
        let script = |request: &Recorded| match request.fields().one("upgrade") {
            Some(_) => Reply::WebSocketEcho,
            None => Reply::ok("content-type: text/plain\r\n", "behind"),
        };
        let tls = TlsAcceptor::from(identity.server_config());
        Self::with(Manner::Script(Box::new(script)), unbounded_channel().1, Some(tls)).await
    }

    async fn with(manner: Manner, by_hand: UnboundedReceiver<Exchange>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            manner,
            requests: Mutex::default(),
            connections: Mutex::default(),
            tls,
            handshakes: Mutex::default(),
        });
        let running = Mutex::new(Some(serve(listener, shared.clone())));
        Self { address, shared, by_hand: by_hand.into(), running }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a configuration calls it.
    pub(crate) fn url(&self) -> String {
        match self.shared.tls {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// The handshakes that succeeded so far.
    pub(crate) fn handshakes(&self) -> Vec<Handshake> {
        lock(&self.shared.handshakes).clone()
    }

    /// Everything it got so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.requests).clone()
    }

    /// How many that were.
    pub(crate) fn count(&self) -> usize {
        lock(&self.shared.requests).len()
    }

    /// What it got after as many.
    pub(crate) fn since(&self, count: usize) -> Vec<Recorded> {
        lock(&self.shared.requests)[count..].to_vec()
    }

    /// The one request it got.
    #[track_caller]
    pub(crate) fn only_request(&self) -> Recorded {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// The newest request it got.
    #[track_caller]
    pub(crate) fn last_request(&self) -> Recorded {
        lock(&self.shared.requests).last().cloned().expect("the upstream saw nothing")
    }

    /// Fails the test if anything came through.
    #[track_caller]
    pub(crate) fn saw_nothing(&self) {
        let requests = self.requests();
        assert!(requests.is_empty(), "the upstream saw {requests:?}");
    }

    /// The next exchange of an upstream that is driven by hand.
    pub(crate) async fn exchange(&self) -> Exchange {
        let next = async { self.by_hand.lock().await.recv().await };
        within("a request at the upstream", next).await.expect("the upstream runs")
    }

    /// Closes the port and cuts every connection.
    pub(crate) async fn stop(&self) {
        let running = lock(&self.running).take();
        if let Some(mut tasks) = running {
            tasks.shutdown().await;
        }
    }

    /// Listens again, on the same port.
    pub(crate) async fn restart(&self) {
        self.stop().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        *lock(&self.running) = Some(serve(socket.listen(64).unwrap(), self.shared.clone()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Accepts until it is dropped; the connections end with it.
fn serve(listener: TcpListener, shared: Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let number = next(&shared.connections);
            let shared = shared.clone();
            // An error here is a gateway that hung up, which is its right.
            connections.spawn(async move {
                if let Ok(stream) = accepted(stream, &shared).await {
                    drop(connection(stream, number, &shared).await);
                }
            });
        }
    });
    tasks
}

/// After the handshake, where there is one.
async fn accepted(stream: TcpStream, shared: &Shared) -> io::Result<Box<dyn Io>> {
    let Some(tls) = &shared.tls else { return Ok(Box::new(stream)) };
    let stream = tls.accept(stream).await?;
    let session = stream.get_ref().1;
    lock(&shared.handshakes).push(Handshake {
        kind: session.handshake_kind().expect("a handshake"),
        name: session.server_name().map(str::to_owned),
        alpn: session.alpn_protocol().map(<[u8]>::to_vec),
    });
    Ok(Box::new(stream))
}

fn next(counter: &Mutex<usize>) -> usize {
    let mut count = lock(counter);
    *count += 1;
    *count - 1
}

/// Serves one connection until either side ends it.
async fn connection(stream: Box<dyn Io>, number: usize, shared: &Shared) -> io::Result<()> {
    let mut reader = Reader::new(stream);
    while let Some(head) = reader.until(b"\r\n\r\n").await? {
        let mut request = Recorded { connection: number, head, body: Vec::new(), trailers: Fields::default() };
        match &shared.manner {
            Manner::ByHand(sender) => {
                lock(&shared.requests).push(request.clone());
                drop(sender.send(Exchange { reader }));
                return Ok(());
            }
            Manner::Script(script) => {
                let framing = Framing::of(&request.fields(), Framing::Empty);
                (request.body, request.trailers) = reader.body(framing).await?;
                let reply = script(&request);
                lock(&shared.requests).push(request.clone());
                if !answer(&mut reader, &request, reply).await? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// Carries a reply out; false when the connection is over.
async fn answer(reader: &mut Reader<Box<dyn Io>>, request: &Recorded, reply: Reply) -> io::Result<bool> {
    match reply {
        Reply::Raw(bytes) => reader.io.write_all(&bytes).await.map(|()| true),
        Reply::RawThenClose(bytes) => reader.io.write_all(&bytes).await.map(|()| false),
        Reply::Echo => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.body.len());
            reader.io.write_all(&[head.as_bytes(), &request.body].concat()).await.map(|()| true)
        }
        Reply::WebSocketEcho => {
            reader.io.write_all(upgrade::accepted(&request.fields()).as_bytes()).await?;
            drop(echo_frames(reader).await);
            Ok(false)
        }
        Reply::Close => Ok(false),
    }
}

/// Gives every message back until the client closes.
async fn echo_frames(reader: &mut Reader<Box<dyn Io>>) -> tungstenite::Result<()> {
    let read = std::mem::take(&mut reader.buffer);
    let mut socket = WebSocketStream::from_partially_read(&mut reader.io, read, Role::Server, None).await;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

/// One exchange in the hands of a test: the head was read, nothing was answered. Dropped, it cuts the connection.
pub(crate) struct Exchange {
    reader: Reader<Box<dyn Io>>,
}

impl Exchange {
    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the gateway reads");
    }

    /// Sends bytes if the gateway still listens.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within("sending to the gateway", self.reader.io.write_all(bytes.as_ref())).await
    }

    /// The next chunk of the request's body; empty at its end.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        within("a chunk from the gateway", self.reader.chunk()).await.expect("a chunk")
    }

    /// Some bytes as they came; `None` when the gateway hung up.
    pub(crate) async fn some(&mut self) -> Option<Vec<u8>> {
        within("bytes from the gateway", self.reader.some()).await.unwrap_or(None)
    }

    /// Waits until the gateway hangs up.
    pub(crate) async fn cancelled(&mut self) {
        while self.some().await.is_some() {}
    }
}
