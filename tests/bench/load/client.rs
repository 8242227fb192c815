//! Connections to the proxy under test: TLS, then HTTP/1.1 or HTTP/2, and requests with rotating pairs.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Target;

/// How to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    H1,
    H2,
}

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Dialer {
    target: Target,
    connector: TlsConnector,
    protocol: Protocol,
    resumed: Rc<Cell<usize>>,
}

impl Dialer {
    pub(crate) fn new(target: &Target, protocol: Protocol, resume: bool) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&target.ca).unwrap()).unwrap();
        // The one key exchange that all peers have: HAProxy 2.6 knows nothing newer, and would have less to do.
        let provider = CryptoProvider { kx_groups: vec![kx_group::X25519], ..default_provider() };
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let alpn: &[u8] = if protocol == Protocol::H2 { b"h2" } else { b"http/1.1" };
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = if resume { Resumption::in_memory_sessions(256) } else { Resumption::disabled() };
        Self {
            target: target.clone(),
            connector: TlsConnector::from(Arc::new(config)),
            protocol,
            resumed: Rc::default(),
        }
    }

    /// A connection after its handshake.
    pub(crate) async fn tls(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.target.target).await?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        self.resumed.set(self.resumed.get() + usize::from(resumed));
        Ok(stream)
    }

    /// Handshakes that took up an earlier session.
    pub(crate) fn resumed(&self) -> usize {
        self.resumed.get()
    }

    /// A connection that takes requests.
    pub(crate) async fn open(&self) -> Result<Sender, Box<dyn std::error::Error>> {
        let io = TokioIo::new(self.tls().await?);
        Ok(match self.protocol {
            Protocol::H1 => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::task::spawn_local(connection);
                Sender::H1(sender)
            }
            Protocol::H2 => {
                let (sender, connection) = http2::handshake(OnThisThread, io).await?;
                tokio::task::spawn_local(connection);
                Sender::H2(sender)
            }
        })
    }
}

#[derive(Clone)]
struct OnThisThread;

impl<F: Future + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// An open connection.
pub(crate) enum Sender {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    /// Sends a request and reads its answer to the end; the status and the length.
    pub(crate) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<(u16, usize)> {
        let response = match self {
            Self::H1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::H2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        read(response).await
    }

    /// Another stream of the same connection; HTTP/1.1 has only one.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::H1(_) => None,
            Self::H2(sender) => Some(Self::H2(sender.clone())),
        }
    }
}

async fn read(response: Response<Incoming>) -> hyper::Result<(u16, usize)> {
    let (head, mut body) = response.into_parts();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok((head.status.as_u16(), length))
}

/// Requests for one path, each with the next pair.
#[derive(Clone)]
pub(crate) struct Requests {
    pairs: Rc<[(HeaderValue, HeaderValue)]>,
    next: Rc<Cell<usize>>,
    uri: Uri,
    host: Option<HeaderValue>,
    body: Bytes,
}

const X_KEY: HeaderName = HeaderName::from_static("x-key");
const X_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

impl Requests {
    pub(crate) fn new(pairs: &Path, path: &str, protocol: Protocol, body: Bytes) -> Self {
        let lines = std::fs::read_to_string(pairs).unwrap();
        let pairs = lines.lines().map(|line| {
            let (key, token) = line.split_once(' ').unwrap();
            (key.parse().unwrap(), token.parse().unwrap())
        });
        let (uri, host) = match protocol {
            Protocol::H1 => (path.parse().unwrap(), Some(HeaderValue::from_static("localhost"))),
            Protocol::H2 => (format!("https://localhost{path}").parse().unwrap(), None),
        };
        Self { pairs: pairs.collect(), next: Rc::default(), uri, host, body }
    }

    pub(crate) fn next(&self) -> Request<Full<Bytes>> {
        let (key, token) = &self.pairs[self.next.replace(self.next.get() + 1) % self.pairs.len()];
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = if self.body.is_empty() { Method::GET } else { Method::POST };
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        self.host.iter().for_each(|host| drop(headers.insert(HOST, host.clone())));
        headers.insert(X_KEY, key.clone());
        headers.insert(X_ACCESS_TOKEN, token.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static("load"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}
