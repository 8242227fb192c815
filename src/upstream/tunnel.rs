//! A tunnel: after a 101 the bytes pass both ways unread, until one side ends it, it idles too long, or it is told to end.

use std::cell::Cell;
use std::io::{self, Cursor};
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use super::connect::Stream;
use super::server::Occupied;
use super::websocket::{Frames, close_frame};

const BUFFER: usize = 16 * 1024;
/// How long the other side may take to finish once one side has ended, or the client to answer a close frame.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long the socket may take to accept a close frame; a client that reads has room for it at once.
const PROMPT: Duration = Duration::from_millis(50);

/// The server's end of a tunnel.
pub(crate) struct FarEnd {
    pub(super) stream: Stream,
    /// What came behind the 101.
    pub(super) received: Bytes,
    /// The tunnel's place among the server's exchanges.
    pub(super) server: Occupied,
}

/// The two ends of a tunnel.
pub(crate) struct Tunnel {
    pub(crate) downstream: Upgraded,
    pub(crate) upstream: FarEnd,
    /// Without a byte in either direction for this long it ends; absent: never.
    pub(crate) idle_timeout: Option<Duration>,
    /// How long the client may leave a part unread before the tunnel ends.
    pub(crate) patience: Duration,
}

/// Bytes that passed, and why no more will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) ending: Ending,
}

/// Why a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// One of the two sides closed.
    Closed,
    /// Nothing passed for too long.
    Idle,
    /// The client stopped reading.
    Unread,
    /// The gateway ended it, with this WebSocket close code.
    Told(u16),
}

/// What both directions note as they go.
struct Traffic {
    received: Cell<u64>,
    sent: Cell<u64>,
    moved: Cell<Instant>,
    frames: Cell<Option<Frames>>,
}

impl Tunnel {
    /// Passes bytes until the tunnel ends; `told` resolves to a close code when the gateway wants it to.
    pub(crate) async fn run(self, told: impl Future<Output = u16>) -> Passed {
        let traffic = Traffic {
            received: Cell::new(0),
            sent: Cell::new(0),
            moved: Cell::new(Instant::now()),
            frames: Cell::new(Some(Frames::default())),
        };
        let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(self.downstream));
        let ending = {
            // Ends with this block: the upstream does not wait for the client's farewell.
            let FarEnd { stream, received, server: _occupied } = self.upstream;
            let (from_server, mut to_server) = tokio::io::split(stream);
            let mut from_server = Cursor::new(received).chain(from_server);
            let upward = upward(&mut from_client, &mut to_server, &traffic);
            let downward = downward(&mut from_server, &mut to_client, (&traffic, self.patience));
            tokio::select! {
                ending = until_closed(upward, downward) => ending,
                ending = until_idle(&traffic, self.idle_timeout) => ending,
                code = told => Ending::Told(code),
            }
        };
        if let Some(code) = ending.close_code() {
            let whole = traffic.frames.take().is_some_and(|frames| frames.are_whole());
            if whole && matches!(timeout(PROMPT, farewell(&mut to_client, code)).await, Ok(Ok(()))) {
                // Closing over unread bytes would reset the connection, and the close frame could be lost with it.
                let _late = timeout(FAREWELL, tokio::io::copy(&mut from_client, &mut tokio::io::sink())).await;
            }
        }
        Passed { received: traffic.received.get(), sent: traffic.sent.get(), ending }
    }
}

impl Ending {
    /// RFC 6455, section 7.4.1: 1001 is "going away".
    fn close_code(self) -> Option<u16> {
        match self {
            Self::Closed | Self::Unread => None,
            Self::Idle => Some(1001),
            Self::Told(code) => Some(code),
        }
    }
}

/// Fails only where the client broke off; an upstream that takes no more may still have something to say.
async fn upward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    traffic: &Traffic,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            let _taken = to.shutdown().await;
            return Ok(());
        }
        traffic.moved.set(Instant::now());
        traffic.received.set(traffic.received.get() + read as u64);
        if to.write_all(&buffer[..read]).await.is_err() {
            return Ok(());
        }
    }
}

/// Notes where frames end only once they were written, so that a close frame never lands inside one.
async fn downward(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    (traffic, patience): (&Traffic, Duration),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) => return to.shutdown().await,
            Ok(read) => read,
            Err(error) => {
                // What was written to a stream of HTTP/2 is on its way there in another task, and would be lost with it.
                let _late = timeout(FAREWELL, to.shutdown()).await;
                return Err(error);
            }
        };
        let mut frames = traffic.frames.take().unwrap_or_default();
        timeout(patience, deliver(to, &buffer[..read])).await??;
        frames.see(&buffer[..read]);
        traffic.frames.set(Some(frames));
        traffic.moved.set(Instant::now());
        traffic.sent.set(traffic.sent.get() + read as u64);
    }
}

async fn deliver(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// Either direction's end ends the tunnel; the other may finish what it holds, unless one broke off or went unread.
async fn until_closed(
    upward: impl Future<Output = io::Result<()>>,
    downward: impl Future<Output = io::Result<()>>,
) -> Ending {
    let (mut upward, mut downward) = (std::pin::pin!(upward), std::pin::pin!(downward));
    tokio::select! {
        ended = &mut upward => if ended.is_ok() {
            let _late = timeout(FAREWELL, downward).await;
        },
        ended = &mut downward => match ended {
            Ok(()) => drop(timeout(FAREWELL, upward).await),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ending::Unread,
            Err(_) => {}
        },
    }
    Ending::Closed
}

async fn until_idle(traffic: &Traffic, idle_timeout: Option<Duration>) -> Ending {
    let Some(idle) = idle_timeout else { return std::future::pending().await };
    loop {
        let due = traffic.moved.get() + idle;
        if due <= Instant::now() {
            return Ending::Idle;
        }
        sleep_until(due).await;
    }
}

/// A close frame, then the end.
async fn farewell(to: &mut (impl AsyncWrite + Unpin), code: u16) -> io::Result<()> {
    deliver(to, &close_frame(code)).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::*;

    /// A client that resets its connection.
    struct Reset;

    impl AsyncRead for Reset {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }

    fn traffic() -> Traffic {
        let (received, sent, moved) = (Cell::new(0), Cell::new(0), Cell::new(Instant::now()));
        Traffic { received, sent, moved, frames: Cell::new(Some(Frames::default())) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_resets_ends_it_at_once_and_one_that_closes_leaves_the_upstream_a_moment() {
        let (mut server, _far) = tokio::io::duplex(64);
        let began = Instant::now();
        let traffic = traffic();
        assert_eq!(until_closed(upward(&mut Reset, &mut server, &traffic), pending()).await, Ending::Closed);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(until_closed(ready(Ok(())), pending()).await, Ending::Closed);
        assert_eq!(began.elapsed(), FAREWELL);
    }

    #[tokio::test]
    async fn an_upstream_that_takes_no_more_may_still_be_heard() {
        let (mut server, far) = tokio::io::duplex(64);
        drop(far);
        assert!(upward(&mut &b"more"[..], &mut server, &traffic()).await.is_ok());
    }
}
