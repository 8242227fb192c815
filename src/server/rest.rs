//! How a connection that idles comes to park: [`super::parking::Lot`] looks at it for a while, then asks it, then it does.

use super::activity::Activity;
use super::parking::PATIENCE;
use crate::sync::atomic::{AtomicU8, Ordering::Relaxed};

const NOT_WATCHED: u8 = 0;
const WATCHED: u8 = 1;
const ASKED: u8 = 2;
const PARKS: u8 = 3;
/// For ever: it says goodbye.
const CLOSES: u8 = 4;

/// How far it has come; belongs to one thread, like all that asks.
#[derive(Debug, Default)]
pub(crate) struct Rest(AtomicU8);

impl Rest {
    fn is(&self, stage: u8) -> bool {
        self.0.load(Relaxed) == stage
    }

    fn becomes(&self, stage: u8) {
        self.0.store(stage, Relaxed);
    }
}

impl Activity {
    /// Whether it idles and nobody looks at it; from now on somebody does.
    pub(super) fn may_be_watched(&self) -> bool {
        let may = self.rest.is(NOT_WATCHED) && self.idles_since().is_some();
        if may {
            self.rest.becomes(WATCHED);
        }
        may
    }

    /// Whether it must be looked at again. Who has idled for long enough is asked to park instead.
    pub(super) fn is_watched_on(&self) -> bool {
        if !self.rest.is(WATCHED) {
            return false;
        }
        match self.idles_since() {
            Some(since) if since.elapsed() < PATIENCE => return true,
            Some(_) => {
                self.rest.becomes(ASKED);
                self.wake();
            }
            None => self.rest.becomes(NOT_WATCHED),
        }
        false
    }

    /// Whether it was asked to park and can: from now until [`Activity::parked`] its stream stays open, whatever hyper says.
    pub(super) fn begins_to_park(&self) -> bool {
        if !self.rest.is(ASKED) {
            return false;
        }
        let parks = self.idles_since().is_some();
        self.rest.becomes(if parks { PARKS } else { NOT_WATCHED });
        parks
    }

    /// It is parked, or could not be.
    pub(super) fn parked(&self) {
        if self.rest.is(PARKS) {
            self.rest.becomes(NOT_WATCHED);
        }
    }

    /// hyper shuts the stream: whether that is the end of the connection, which parks no more then.
    pub(super) fn closes(&self) -> bool {
        if self.rest.is(PARKS) {
            return false;
        }
        self.rest.becomes(CLOSES);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_idles_for_long_enough_is_asked_to_park() {
        let activity = Activity::new();
        drop(activity.begin());
        assert!(activity.may_be_watched() && !activity.may_be_watched());
        assert!(activity.is_watched_on() && !activity.begins_to_park());
        tokio::time::advance(PATIENCE).await;
        assert!(!activity.is_watched_on());
        assert!(activity.begins_to_park());
        assert!(!activity.closes(), "its stream stays open");
        activity.parked();
        assert!(activity.may_be_watched());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_between_is_watched_anew_when_it_is_done() {
        let activity = Activity::new();
        drop(activity.begin());
        assert!(activity.may_be_watched());
        let exchange = activity.begin();
        tokio::time::advance(PATIENCE).await;
        assert!(!activity.is_watched_on() && !activity.begins_to_park() && !activity.may_be_watched());
        drop(exchange);
        assert!(activity.may_be_watched());
        tokio::time::advance(PATIENCE).await;
        assert!(!activity.is_watched_on());
        let _too_late = activity.begin();
        assert!(!activity.begins_to_park());
        assert!(activity.closes());
    }

    #[tokio::test(start_paused = true)]
    async fn who_owes_a_head_or_has_bytes_to_send_or_says_goodbye_does_not_park() {
        let [owes, blocked, leaves] = [(); 3].map(|()| Activity::new());
        assert!(!owes.may_be_watched());
        for activity in [&owes, &blocked, &leaves] {
            drop(activity.begin());
        }
        owes.heard();
        blocked.wrote(false);
        assert!(leaves.closes());
        for activity in [owes, blocked, leaves] {
            assert!(!activity.may_be_watched());
        }
    }
}
