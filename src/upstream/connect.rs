//! Opens connections to servers, and knows of each whether its server has said anything since the last request.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::body::RequestBody;
use super::server::Server;
use super::tls::Trust;
use crate::config::{Host, ServerAddress};

/// The most that one connection holds of an answer that its client has not taken yet, and so of an answer's head.
const BUFFER: usize = 64 * 1024;

/// Between two attempts at a socket whose backlog is full; `connect_timeout` bounds them all.
const UNIX_PAUSE: Duration = Duration::from_millis(10);

/// An open connection to a server.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: http1::SendRequest<RequestBody>,
    /// What its server was verified against; absent without TLS.
    trust: Option<Trust>,
    heard: Arc<AtomicBool>,
    /// Whether it has carried a request before.
    pub(crate) reused: Cell<bool>,
}

impl Connection {
    /// Connects and starts the task that drives the connection on this worker.
    ///
    /// # Errors
    /// What the resolver, the kernel or TLS says, the last address's error if there are several.
    pub(crate) async fn open(server: &Server) -> io::Result<Self> {
        let stream = dial(&server.address).await?;
        let Some(tls) = &server.tls else { return Self::over(stream, None).await };
        let (stream, trust) = tls.secure(stream, &server.address).await?;
        Self::over(stream, Some(trust)).await
    }

    async fn over<S>(stream: S, trust: Option<Trust>) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let heard = Arc::new(AtomicBool::new(false));
        let io = TokioIo::new(Listening { stream, heard: heard.clone() });
        let (sender, driver) =
            http1::Builder::new().max_buf_size(BUFFER).handshake(io).await.map_err(io::Error::other)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(Self { sender, trust, heard, reused: Cell::new(false) })
    }

    /// Whether it can take a request, and a new one to the same server would be verified in the same way.
    pub(crate) fn is_usable(&self, server: &Server) -> bool {
        self.sender.is_ready()
            && self.trust.as_ref().is_none_or(|trust| server.tls.as_ref().is_some_and(|tls| tls.still_trusts(trust)))
    }

    /// Marks the moment a request is sent.
    pub(crate) fn begin(&self) {
        self.heard.store(false, Relaxed);
    }

    /// Whether a byte has come since [`Self::begin`].
    pub(crate) fn has_answered(&self) -> bool {
        self.heard.load(Relaxed)
    }
}

/// A connected socket.
type Socket = Either<TcpStream, UnixStream>;

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

fn written_or_closed(written: io::Result<usize>, whole: usize) -> io::Result<usize> {
    let closed = |error: &io::Error| matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
    written.or_else(|error| if closed(&error) { Ok(whole) } else { Err(error) })
}

/// A stream that notes when bytes come. A server may answer and close before it has read the whole request; its answer counts, so
/// writes that fail on a closed connection are taken as done, and reading says how the exchange ended.
#[derive(Debug)]
struct Listening<S> {
    stream: S,
    heard: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.store(true, Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf).map(|written| written_or_closed(written, buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let whole = slices.iter().map(|slice| slice.len()).sum();
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices).map(|written| written_or_closed(written, whole))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
