//! Drives a connection and holds it to its deadlines; the only timer that most connections ever have.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Overdue};
use crate::config::Limits;

/// How long a connection that was told to go may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// A connection that can be asked to finish what is under way and then close.
pub(crate) trait Finish: Future<Output = hyper::Result<()>> {
    /// GOAWAY, or `Connection: close` with the next answer.
    fn finish(self: Pin<&mut Self>);
}

impl<I, S, B> Finish for http1::UpgradeableConnection<I, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, E, B> Finish for http2::Connection<I, S, E>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: hyper::body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Why a connection ended before it was done.
#[derive(Debug)]
pub(crate) enum Ended {
    /// What the socket or the TLS session said.
    Io(io::Error),
    /// What the protocol said.
    Http(hyper::Error),
    /// The handshake missed its deadline.
    SlowHandshake,
    /// A later phase missed its own.
    Overdue(Overdue),
}

/// Polls `connection` until it is done or overdue; asks it to finish once `closing` is cancelled or it has idled too long.
pub(crate) async fn drive(
    connection: impl Finish,
    activity: &Activity,
    limits: &Limits,
    closing: &CancellationToken,
) -> Result<(), Ended> {
    let mut connection = pin!(connection);
    let mut closed = pin!(closing.cancelled());
    let mut timer = pin!(sleep_until(Instant::now() + limits.header_timeout));
    let mut told = Told::Nothing;
    poll_fn(|cx| {
        if let Poll::Ready(done) = connection.as_mut().poll(cx) {
            return Poll::Ready(done.map_err(Ended::Http));
        }
        if told == Told::Nothing && closed.as_mut().poll(cx).is_ready() {
            told = Told::ToFinish;
        } else if let Poll::Ready(overdue) = poll_overdue(timer.as_mut(), cx, || told.deadline(activity, limits)) {
            if overdue != Overdue::Idle || matches!(told, Told::ToLeave(_)) {
                return Poll::Ready(Err(Ended::Overdue(overdue)));
            }
            told = Told::ToLeave(Instant::now() + FAREWELL);
        } else {
            return Poll::Pending;
        }
        connection.as_mut().finish();
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// What a connection has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    /// Finish what is under way.
    ToFinish,
    /// It was idle; there is nothing to finish but a goodbye.
    ToLeave(Instant),
}

impl Told {
    fn deadline(self, activity: &Activity, limits: &Limits) -> Option<(Instant, Overdue)> {
        match self {
            Self::ToLeave(due) => Some((due, Overdue::Idle)),
            Self::Nothing | Self::ToFinish => activity.deadline(limits),
        }
    }
}

/// Ready when the deadline has passed. The timer is moved forward lazily: a deadline that moves away costs nothing until the
/// old one fires.
fn poll_overdue(
    mut timer: Pin<&mut Sleep>,
    cx: &mut Context<'_>,
    deadline: impl Fn() -> Option<(Instant, Overdue)>,
) -> Poll<Overdue> {
    loop {
        let Some((due, overdue)) = deadline() else { return Poll::Pending };
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if due <= Instant::now() {
            return Poll::Ready(overdue);
        }
        timer.as_mut().reset(due);
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Http(error) => match std::error::Error::source(error) {
                Some(cause) => write!(f, "{error}: {cause}"),
                None => write!(f, "{error}"),
            },
            Self::SlowHandshake => f.write_str("the TLS handshake took too long"),
            Self::Overdue(Overdue::Head) => f.write_str("the head of a request took too long"),
            Self::Overdue(Overdue::Idle) => f.write_str("it idled too long"),
            Self::Overdue(Overdue::NotReading) => f.write_str("the client stopped reading"),
        }
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
