//! Opens connections to servers, and tells whether one that idled can still be used.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::server::Server;
use super::tls::Trust;
use crate::config::{Host, ServerAddress};

/// Between two attempts at a socket whose backlog is full; `connect_timeout` bounds them all.
const UNIX_PAUSE: Duration = Duration::from_millis(10);

/// A connected socket.
type Socket = Either<TcpStream, UnixStream>;

/// What speaks to a server, TLS or not.
pub(crate) type Stream = Either<Socket, Box<TlsStream<Socket>>>;

/// An open connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) stream: Stream,
    /// What came and was not used yet.
    pub(super) received: BytesMut,
    /// What its server was verified against; absent without TLS.
    trust: Option<Trust>,
    /// Whether it has carried a request before.
    pub(super) reused: bool,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// What the resolver, the kernel or TLS says, the last address's error if there are several.
    pub(crate) async fn open(server: &Server) -> io::Result<Self> {
        let socket = dial(&server.address).await?;
        let (stream, trust) = match &server.tls {
            None => (Either::Left(socket), None),
            Some(tls) => {
                let (stream, trust) = tls.secure(socket, &server.address).await?;
                (Either::Right(Box::new(stream)), Some(trust))
            }
        };
        Ok(Self { stream, received: BytesMut::new(), trust, reused: false })
    }

    /// Whether it can take a request, and a new one to the same server would be verified in the same way.
    pub(crate) fn is_usable(&mut self, server: &Server) -> bool {
        self.trust.as_ref().is_none_or(|trust| server.tls.as_ref().is_some_and(|tls| tls.still_trusts(trust)))
            && self.is_quiet()
    }

    /// Whether the server has neither closed it nor said anything unasked. Usually no more than a look at what the kernel has
    /// reported.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let read = match &mut self.stream {
            Either::Left(Either::Left(socket)) => socket.try_read(&mut byte),
            Either::Left(Either::Right(socket)) => socket.try_read(&mut byte),
            Either::Right(secured) => {
                let mut unasked = ReadBuf::new(&mut byte);
                let polled = Pin::new(secured).poll_read(&mut Context::from_waker(Waker::noop()), &mut unasked);
                return polled.is_pending();
            }
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

async fn dial(address: &ServerAddress) -> io::Result<Socket> {
    let stream = match address {
        ServerAddress::Unix(path) => return dial_unix(path).await.map(Either::Right),
        ServerAddress::Tcp { host: Host::Address(ip), port, .. } => {
            TcpStream::connect(SocketAddr::new(*ip, *port)).await?
        }
        ServerAddress::Tcp { host: Host::Name(name), port, .. } => TcpStream::connect((name.as_str(), *port)).await?,
    };
    stream.set_nodelay(true)?;
    Ok(Either::Left(stream))
}

/// A server that is slow to accept refuses at once, where one behind TCP would let its clients wait.
async fn dial_unix(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(UNIX_PAUSE).await,
            connected => return connected,
        }
    }
}
