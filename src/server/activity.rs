//! What a downstream connection is doing and since when, so that each phase has its own deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use tokio::time::Instant;

use crate::config::Limits;

/// Shared by a connection's socket, its exchanges and the task that drives it; all on one thread.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    /// Exchanges whose answer has not been handed over whole.
    exchanges: AtomicU32,
    /// Whether bytes of a head have come that no exchange has begun with yet.
    head: AtomicBool,
    /// When the current phase began, in milliseconds since `opened`.
    since: AtomicU64,
    /// When the client stopped reading, in milliseconds since `opened`, plus one; 0 while it reads.
    blocked: AtomicU64,
    /// See [`crate::gateway::Peer::fragment`].
    pub(crate) fragment: Arc<AtomicBool>,
}

/// Why a connection is closed by its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// The head of a request did not arrive whole.
    Head,
    /// No request came.
    Idle,
    /// The client does not read its answer.
    NotReading,
}

impl Activity {
    /// A connection that has just been opened owes its first request's head.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            exchanges: AtomicU32::new(0),
            head: AtomicBool::new(true),
            since: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            fragment: Arc::default(),
        })
    }

    /// Bytes came; true when they are the first of a head.
    pub(crate) fn heard(&self) -> bool {
        if self.exchanges.load(Relaxed) > 0 || self.head.load(Relaxed) {
            return false;
        }
        self.head.store(true, Relaxed);
        self.since.store(self.now(), Relaxed);
        true
    }

    /// A head is whole. The exchange lasts as long as the value does.
    pub(crate) fn begin(self: &Arc<Self>) -> Exchange {
        self.exchanges.fetch_add(1, Relaxed);
        self.head.store(false, Relaxed);
        Exchange(self.clone())
    }

    /// The socket took bytes, or would not.
    pub(crate) fn wrote(&self, taken: bool) {
        match (taken, self.blocked.load(Relaxed)) {
            (true, 0) => {}
            (true, _) => self.blocked.store(0, Relaxed),
            (false, 0) => self.blocked.store(self.now() + 1, Relaxed),
            (false, _) => {}
        }
    }

    /// When the connection must have moved on, and what it is then guilty of.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<(Instant, Overdue)> {
        let at = |millis: u64| self.opened + std::time::Duration::from_millis(millis);
        let blocked = match self.blocked.load(Relaxed) {
            0 => None,
            since => Some((at(since - 1) + limits.body_idle_timeout, Overdue::NotReading)),
        };
        let since = at(self.since.load(Relaxed));
        let phase = match (self.exchanges.load(Relaxed), self.head.load(Relaxed)) {
            (0, true) => Some((since + limits.header_timeout, Overdue::Head)),
            (0, false) => Some((since + limits.keepalive_timeout, Overdue::Idle)),
            _ => None,
        };
        [blocked, phase].into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An exchange under way.
#[derive(Debug)]
pub(crate) struct Exchange(Arc<Activity>);

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.0.exchanges.fetch_sub(1, Relaxed) == 1 {
            self.0.since.store(self.0.now(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;
    use std::time::Duration;

    fn limits() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            connections: NonZeroUsize::MIN,
            streams: 1,
            header_bytes: 8192,
            body_bytes: None,
            handshake_timeout: seconds(1),
            header_timeout: seconds(10),
            body_idle_timeout: seconds(60),
            keepalive_timeout: seconds(75),
            tunnel_idle_timeout: None,
        }
    }

    fn due(activity: &Activity) -> Option<(u64, Overdue)> {
        activity.deadline(&limits()).map(|(due, why)| ((due - activity.opened).as_secs(), why))
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_deadline() {
        let activity = Activity::new();
        assert_eq!(due(&activity), Some((10, Overdue::Head)));
        let exchange = activity.begin();
        assert_eq!(due(&activity), None);
        tokio::time::advance(Duration::from_secs(100)).await;
        drop(exchange);
        assert_eq!(due(&activity), Some((175, Overdue::Idle)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(activity.heard() && !activity.heard());
        assert_eq!(due(&activity), Some((115, Overdue::Head)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_overdue_even_in_an_exchange() {
        let activity = Activity::new();
        let _exchange = activity.begin();
        activity.wrote(false);
        tokio::time::advance(Duration::from_secs(30)).await;
        activity.wrote(false);
        assert_eq!(due(&activity), Some((60, Overdue::NotReading)));
        activity.wrote(true);
        assert_eq!(due(&activity), None);
    }
}
