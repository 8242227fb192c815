//! A raw HTTP/1.1 client: sends exactly the bytes it is given and reads answers without repairing them.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::gateway::User;
use super::message::{Fields, Framing, Reader};
use super::{planted, tls, within};

/// What a login hands out.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) token: String,
}

impl Pair {
    /// What the answer to a good login hands out.
    #[track_caller]
    pub(crate) fn of(login: &Answer) -> Self {
        assert_eq!(login.status, 200, "{}", login.text());
        let answer: serde_json::Value = serde_json::from_slice(&login.body).expect("JSON");
        let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
        let pair = Self { key: text("key"), token: text("token") };
        planted::pair(&pair.key, &pair.token);
        pair
    }

    /// The two header lines that present it.
    pub(crate) fn lines(&self) -> String {
        format!("X-Key: {}\r\nX-Access-Token: {}\r\n", self.key, self.token)
    }

    /// The query that presents it.
    pub(crate) fn query(&self) -> String {
        format!("x_key={}&access_token={}", self.key, self.token)
    }
}

/// An answer as it came over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
}

impl Answer {
    /// The only value of a field.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.one(name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    /// Fails the test unless the gateway itself answered with that status and text.
    #[track_caller]
    pub(crate) fn is_refusal(&self, status: u16, info: &str) {
        let expected = serde_json::json!({ "status": "error", "info": info }).to_string();
        assert_eq!((self.status, self.text()), (status, expected.as_str()), "{:?}", self.fields);
        assert_eq!(self.field("content-type"), Some("application/json"));
    }
}

/// Both directions of a byte stream, encrypted or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One connection to the gateway.
pub(crate) struct Connection {
    reader: Reader<Box<dyn Io>>,
}

impl Connection {
    /// Without TLS.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        let stream = within("connecting", TcpStream::connect(address)).await.expect("the gateway accepts");
        stream.set_nodelay(true).expect("a socket");
        Self { reader: Reader::new(Box::new(stream)) }
    }

    /// With TLS and HTTP/1.1 by ALPN, for the name `localhost`.
    pub(crate) async fn tls(address: SocketAddr, ca: &str) -> Self {
        Self::named(address, ca, "localhost").await
    }

    /// With TLS and HTTP/1.1 by ALPN, for a name of the test's choice.
    pub(crate) async fn named(address: SocketAddr, ca: &str, name: &str) -> Self {
        Self { reader: Reader::new(Box::new(handshake(address, ca, (name, "http/1.1")).await)) }
    }

    /// Over a stream of the test's own.
    pub(crate) fn over(stream: impl Io + 'static) -> Self {
        Self { reader: Reader::new(Box::new(stream)) }
    }

    /// A fresh pair of a user.
    pub(crate) async fn login(&mut self, user: &User) -> Pair {
        let body = serde_json::json!({ "username": user.name, "password": user.password });
        Pair::of(&self.post_login(&body.to_string()).await)
    }

    /// POST /login with a JSON body.
    pub(crate) async fn post_login(&mut self, body: &str) -> Answer {
        let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        self.request(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the gateway reads");
    }

    /// Sends bytes if the gateway still listens.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        planted::login(bytes.as_ref());
        let sent = async {
            self.reader.io.write_all(bytes.as_ref()).await?;
            self.reader.io.flush().await
        };
        within("sending", sent).await
    }

    /// Says that nothing more will be sent; answers can still be heard.
    pub(crate) async fn finish_sending(&mut self) {
        within("finishing", self.reader.io.shutdown()).await.expect("the gateway listens");
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn request(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        let head_only = bytes.as_ref().starts_with(b"HEAD ");
        self.send(bytes).await;
        let (status, fields) = self.head().await;
        if head_only {
            return Answer { status, fields, body: Vec::new(), trailers: Fields::default() };
        }
        self.rest(status, fields).await
    }

    /// The next answer, whole.
    pub(crate) async fn answer(&mut self) -> Answer {
        let (status, fields) = self.head().await;
        self.rest(status, fields).await
    }

    /// The next answer's head; its body stays unread.
    pub(crate) async fn head(&mut self) -> (u16, Fields) {
        self.try_head().await.expect("an answer")
    }

    /// The next answer's head; `None` when the connection ended instead.
    pub(crate) async fn try_head(&mut self) -> Option<(u16, Fields)> {
        let head = within("an answer", self.reader.until(b"\r\n\r\n")).await.unwrap_or(None)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Some((status.expect("a status"), Fields::of_head(&head)))
    }

    async fn rest(&mut self, status: u16, fields: Fields) -> Answer {
        let none = matches!(status, 100..200 | 204 | 304);
        let framing = if none { Framing::Empty } else { Framing::of(&fields, Framing::UntilClose) };
        let (body, trailers) = within("the body", self.reader.body(framing)).await.expect("a whole body");
        let answer = Answer { status, fields, body, trailers };
        if answer.status >= 400 {
            planted::not_in("a refusal", format!("{answer:?}{}", String::from_utf8_lossy(&answer.body)));
        }
        answer
    }

    /// The next chunk of a chunked body; empty at its end.
    pub(crate) async fn chunk(&mut self) -> Vec<u8> {
        within("a chunk", self.reader.chunk()).await.expect("a chunk")
    }

    /// The next chunk, or the error of a body that was cut.
    pub(crate) async fn try_chunk(&mut self) -> io::Result<Vec<u8>> {
        within("a chunk or the end", self.reader.chunk()).await
    }

    /// Exactly so many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        within("bytes", self.reader.exactly(length)).await
    }

    /// The stream, and what was already read of it.
    pub(crate) fn into_parts(self) -> (Box<dyn Io>, Vec<u8>) {
        (self.reader.io, self.reader.buffer)
    }

    /// Waits for the end of the connection; true when nothing came before it.
    pub(crate) async fn closed(&mut self) -> bool {
        !matches!(within("the end of the connection", self.reader.some()).await, Ok(Some(_)))
    }
}

/// TLS with one protocol offered.
pub(super) async fn handshake(address: SocketAddr, ca: &str, (name, alpn): (&str, &str)) -> TlsStream<TcpStream> {
    let mut config = tls::config(ca, None);
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    tls::connect(address, &config.into(), name).await.expect("a handshake")
}
