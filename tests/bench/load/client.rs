//! Connections to the proxy under test: TLS, then HTTP/1.1 or HTTP/2.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::requests::Asked;
use super::{Target, plain, trust};

/// What a browser offers, roughly: no answer here waits for its client to make room.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;

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
        // The one key exchange that all peers have: HAProxy 2.6 knows nothing newer, and would have less to do.
        let provider = CryptoProvider { kx_groups: vec![kx_group::X25519], ..default_provider() };
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust::Anybody))
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
        let stream = self.tls().await?;
        Ok(match self.protocol {
            Protocol::H1 => Sender::H1(plain::Connection::new(stream)),
            Protocol::H2 => {
                let mut builder = h2::client::Builder::new();
                builder.initial_window_size(STREAM_WINDOW).initial_connection_window_size(CONNECTION_WINDOW);
                let (sender, connection) = builder.handshake(stream).await?;
                tokio::task::spawn_local(connection);
                Sender::H2(sender)
            }
        })
    }
}

/// An open connection.
pub(crate) enum Sender {
    H1(plain::Connection),
    H2(SendRequest<Bytes>),
}

impl Sender {
    /// Sends a request and reads its answer to the end; the status and the length.
    pub(crate) async fn exchange(&mut self, asked: Asked) -> Result<(u16, usize), Box<dyn std::error::Error>> {
        match (self, asked) {
            (Self::H1(connection), Asked::H1(head, body)) => Ok(connection.exchange(&head, &body).await?),
            (Self::H2(sender), Asked::H2(request, body)) => Ok(stream(sender, *request, body).await?),
            _ => unreachable!("both are made for one protocol"),
        }
    }

    /// Another stream of the same connection; HTTP/1.1 has only one.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::H1(_) => None,
            Self::H2(sender) => Some(Self::H2(sender.clone())),
        }
    }
}

async fn stream(sender: &mut SendRequest<Bytes>, request: Request<()>, body: Bytes) -> Result<(u16, usize), h2::Error> {
    let mut ready = sender.clone().ready().await?;
    let (response, mut sending) = ready.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        sending.send_data(body, true)?;
    }
    let (head, mut body) = response.await?.into_parts();
    let mut length = 0;
    while let Some(part) = body.data().await.transpose()? {
        length += part.len();
        body.flow_control().release_capacity(part.len())?;
    }
    Ok((head.status.as_u16(), length))
}
