//! The timer of a connection, which is moved forward lazily: a deadline that moves away costs nothing until the old one fires.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use super::alarm::Alarm;

/// One timer for all that a connection is held to.
#[derive(Debug)]
pub(crate) struct Timer<'a> {
    sleep: Pin<&'a mut Sleep>,
    fires: Alarm,
}

impl<'a> Timer<'a> {
    pub(crate) fn new(sleep: Pin<&'a mut Sleep>) -> Self {
        Self { sleep, fires: Alarm::default() }
    }

    /// Ready when the deadline has passed, with what it stands for.
    pub(crate) fn poll_due<T>(&mut self, cx: &mut Context<'_>, deadline: impl Fn() -> Option<(Instant, T)>) -> Poll<T> {
        loop {
            let Some((due, what)) = deadline() else { return Poll::Pending };
            if due < self.sleep.deadline() {
                self.reset(due);
            }
            if self.fires.poll(cx, |cx| self.sleep.as_mut().poll(cx)).is_pending() {
                return Poll::Pending;
            }
            if due <= Instant::now() {
                return Poll::Ready(what);
            }
            self.reset(due);
        }
    }

    fn reset(&mut self, due: Instant) {
        self.sleep.as_mut().reset(due);
        self.fires.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use tokio::time::sleep_until;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_may_move_both_ways() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut sleep = pin!(sleep_until(after(10)));
        let mut timer = Timer::new(sleep.as_mut());
        for (seconds, until) in [(20, 20), (21, 21), (15, 21)] {
            poll_fn(|cx| timer.poll_due(cx, || Some((after(seconds), ())))).await;
            assert_eq!(began.elapsed(), Duration::from_secs(until));
        }
        let due = Cell::new(60);
        let mut fired = pin!(poll_fn(|cx| timer.poll_due(cx, || Some((after(due.get()), ())))));
        assert!(futures_util::poll!(fired.as_mut()).is_pending());
        due.set(30);
        fired.await;
        assert_eq!(began.elapsed(), Duration::from_secs(30), "sooner than when it was polled first");
    }
}
