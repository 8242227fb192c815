//! Drives a connection and holds it to its deadlines; the only timer that most connections ever have.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Overdue};
use super::ended::Ended;
use super::finish::Finish;
use super::giving::Giving;
use crate::config::Limits;

/// How long a connection that was told to go may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a connection is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<'a> {
    pub(crate) activity: &'a Activity,
    pub(crate) limits: &'a Limits,
    /// The answer that is given, if answers are given one by one.
    pub(crate) giving: Option<&'a Giving>,
    /// Cancelled when connections must finish.
    pub(crate) closing: &'a CancellationToken,
}

/// Polls `connection` until it is done, overdue, floods, has its place needed, or gives an answer whose term is over; asks it to finish
/// once `closing` is cancelled or it has idled too long.
pub(crate) async fn drive(connection: impl Finish, bounds: Bounds<'_>) -> Result<(), Ended> {
    let mut connection = pin!(connection);
    let mut closed = pin!(bounds.closing.cancelled());
    let mut timer = pin!(sleep_until(Instant::now() + bounds.limits.header_timeout));
    let mut told = Told::Nothing;
    poll_fn(|cx| {
        if let Poll::Ready(done) = connection.as_mut().poll(cx) {
            return Poll::Ready(done.map_err(Ended::Http));
        }
        if bounds.poll_term(timer.as_mut(), cx).is_ready() {
            return Poll::Ready(Err(Ended::TermOver));
        }
        if let Some(ended) = bounds.ended_at_once() {
            connection.as_mut().finish();
            // Once, for the goodbye; who does not take it at once gets none.
            let _over = connection.as_mut().poll(cx);
            return Poll::Ready(Err(ended));
        }
        if told == Told::Nothing && closed.as_mut().poll(cx).is_ready() {
            told = Told::ToFinish;
        } else if let Poll::Ready(overdue) = poll_due(timer.as_mut(), cx, || told.deadline(&bounds)) {
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

impl Bounds<'_> {
    fn ended_at_once(&self) -> Option<Ended> {
        if self.activity.floods() {
            return Some(Ended::Flood);
        }
        self.activity.leaves().then_some(Ended::MadeRoom)
    }

    /// Ready when the answer that is given has outlived its term.
    fn poll_term(&self, timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(giving) = self.giving else { return Poll::Pending };
        if poll_due(timer, cx, || giving.watched_from().map(|due| (due, ()))).is_ready() {
            giving.watch();
        }
        giving.poll_over(cx)
    }
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
    fn deadline(self, bounds: &Bounds<'_>) -> Option<(Instant, Overdue)> {
        match self {
            Self::ToLeave(due) => Some((due, Overdue::Idle)),
            Self::Nothing | Self::ToFinish => bounds.activity.deadline(bounds.limits),
        }
    }
}

/// Ready when the deadline has passed, with what it stands for. The timer is moved forward lazily: a deadline that moves away
/// costs nothing until the old one fires.
fn poll_due<T>(
    mut timer: Pin<&mut Sleep>,
    cx: &mut Context<'_>,
    deadline: impl Fn() -> Option<(Instant, T)>,
) -> Poll<T> {
    loop {
        let Some((due, what)) = deadline() else { return Poll::Pending };
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if due <= Instant::now() {
            return Poll::Ready(what);
        }
        timer.as_mut().reset(due);
    }
}
