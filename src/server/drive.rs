//! Drives a connection and holds it to its deadlines; the only timer that most connections ever have.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Overdue};
use super::alarm::Alarm;
use super::ended::Ended;
use super::finish::Finish;
use super::giving::Giving;
use super::parking::Lot;
use super::timer::Timer;
use crate::config::Limits;

/// How long a connection that was told to go may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a connection is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds<'a> {
    pub(crate) activity: &'a Arc<Activity>,
    pub(crate) limits: &'a Limits,
    /// The answer that is given, if answers are given one by one.
    pub(crate) giving: Option<&'a Giving>,
    /// Where it parks while it idles, if it can.
    pub(crate) lot: Option<&'a Lot>,
    /// Cancelled when connections must finish.
    pub(crate) closing: &'a CancellationToken,
}

/// How a connection came to be driven no longer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Driven {
    Done,
    /// It idles: hyper is done with it, but its stream is open.
    Parked,
}

/// Polls `connection` until it is done, overdue, floods, has its place needed, or gives an answer whose term is over; asks it to finish
/// once `closing` is cancelled or it has idled too long. One that idles is parked, where it can be.
pub(crate) async fn drive(connection: &mut (impl Finish + Unpin), bounds: Bounds<'_>) -> Result<Driven, Ended> {
    let mut connection = Pin::new(connection);
    let (mut closed, mut closes) = (pin!(bounds.closing.cancelled()), Alarm::default());
    let sleep = pin!(sleep_until(Instant::now() + bounds.limits.header_timeout));
    let mut timer = Timer::new(sleep);
    let mut told = Told::Nothing;
    poll_fn(|cx| {
        if let Poll::Ready(done) = connection.as_mut().poll(cx) {
            return Poll::Ready(done.map(|()| Driven::Done).map_err(Ended::Http));
        }
        if bounds.poll_term(&mut timer, cx).is_ready() {
            return Poll::Ready(Err(Ended::TermOver));
        }
        if let Some(ended) = bounds.ended_at_once() {
            connection.as_mut().finish();
            // Once, for the goodbye; who does not take it at once gets none.
            let _over = connection.as_mut().poll(cx);
            return Poll::Ready(Err(ended));
        }
        if told == Told::Nothing && closes.poll(cx, |cx| closed.as_mut().poll(cx)).is_ready() {
            told = Told::ToFinish;
        } else if told == Told::Nothing
            && let Poll::Ready(parked) = bounds.poll_park(connection.as_mut(), cx)
        {
            return Poll::Ready(parked);
        } else if let Poll::Ready(overdue) = timer.poll_due(cx, || told.deadline(&bounds)) {
            if overdue == Overdue::Head && bounds.activity.refuse_head() {
                // Polled again, it begins to answer, or is overdue as before.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if overdue == Overdue::NotReading {
                bounds.activity.give_up();
            }
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
    fn poll_term(&self, timer: &mut Timer<'_>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(giving) = self.giving else { return Poll::Pending };
        if timer.poll_due(cx, || giving.watched_from().map(|due| (due, ()))).is_ready() {
            giving.watch();
        }
        giving.poll_over(cx)
    }

    /// Ready when hyper has left a connection that idles.
    fn poll_park(&self, mut connection: Pin<&mut impl Finish>, cx: &mut Context<'_>) -> Poll<Result<Driven, Ended>> {
        let Some(lot) = self.lot else { return Poll::Pending };
        if !self.activity.begins_to_park() {
            lot.watch(self.activity);
            return Poll::Pending;
        }
        connection.as_mut().finish();
        let left = connection.poll(cx);
        self.activity.parked();
        left.map_ok(|()| Driven::Parked).map_err(Ended::Http)
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
