//! What a downstream connection is doing and since when, so that each phase has its own deadline.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

use super::rest::Rest;
use crate::config::Limits;
use crate::gateway::Flaw;
use crate::sync::OnceLock;
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst, fence};

/// Of a phase that begins with this poll of the connection, whose end asks for its deadline if it has any: most heads are answered by
/// then, and had none.
const UNREAD: u64 = u64::MAX;

const UNDECIDED: u8 = 0;
const STAYED: u8 = 1;
const SWITCHED: u8 = 2;

/// Shared by a connection's socket, its exchanges and the task that drives it, all on one thread, and by whoever needs its place.
#[derive(Debug)]
pub(crate) struct Activity {
    opened: Instant,
    /// Exchanges whose answer has not been handed over whole; written on the connection's thread alone.
    exchanges: AtomicU32,
    /// Whether bytes of a head have come that no exchange has begun with yet.
    head: AtomicBool,
    /// Whether the head that was begun took too long.
    late: AtomicBool,
    /// When the current phase began, in milliseconds since `opened`; [`UNREAD`] while nobody has asked.
    since: AtomicU64,
    /// When the client stopped reading, in milliseconds since `opened`, plus one; 0 while it reads.
    blocked: AtomicU64,
    /// Whether it is over because its client does not read.
    given_up: AtomicBool,
    /// Whether a head has ever been whole.
    proven: AtomicBool,
    /// Whether its place is needed, or it can't be given up any more.
    leaving: AtomicBool,
    /// Whether its client sent too many frames that ask for nothing.
    floods: AtomicBool,
    /// Wakes the task that drives the connection.
    waker: OnceLock<Waker>,
    /// Whether the last answer to an upgrade was 101; see [`Activity::decide`].
    switched: AtomicU8,
    /// Whether it is about to be parked.
    pub(super) rest: Rest,
    /// See [`crate::gateway::Peer::flaw`].
    pub(crate) flaw: Arc<std::sync::OnceLock<Flaw>>,
}

/// How much a connection needs its place: handshakes and first heads less than all others, and of these the longest idle least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    proven: bool,
    since: Instant,
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
    /// A connection that has just been accepted owes its handshake, and then its first request's head.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            exchanges: AtomicU32::new(0),
            head: AtomicBool::new(true),
            late: AtomicBool::new(false),
            since: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            proven: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            floods: AtomicBool::new(false),
            waker: OnceLock::new(),
            switched: AtomicU8::new(UNDECIDED),
            rest: Rest::default(),
            flaw: Arc::default(),
        })
    }

    /// The handshake is over: the time for the first head begins.
    pub(crate) fn opened(&self) {
        self.since.store(self.now(), Relaxed);
    }

    /// Bytes came; true when they are the first of a head.
    pub(crate) fn heard(&self) -> bool {
        if self.exchanges.load(Relaxed) > 0 || self.head.load(Relaxed) {
            return false;
        }
        self.head.store(true, Relaxed);
        self.since.store(UNREAD, Relaxed);
        true
    }

    /// The head that was begun takes too long: where it can be answered, it is. True the first time.
    pub(crate) fn refuse_head(&self) -> bool {
        !self.late.swap(true, Relaxed)
    }

    /// Whether the head that was begun takes too long.
    pub(crate) fn is_head_late(&self) -> bool {
        self.late.load(Relaxed)
    }

    /// A head is whole. The exchange lasts as long as the value does.
    pub(crate) fn begin(self: &Arc<Self>) -> Exchange {
        self.exchanges.store(self.exchanges.load(Relaxed) + 1, Relaxed);
        self.head.store(false, Relaxed);
        self.proven.store(true, Relaxed);
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

    /// The client has not read for too long: all answers under way end with that.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Relaxed);
    }

    /// Whether an answer is due or under way.
    pub(crate) fn is_answering(&self) -> bool {
        self.exchanges.load(Relaxed) > 0
    }

    /// A request that asked for another protocol is answered.
    pub(crate) fn decide(&self, switched: bool) {
        self.switched.store(if switched { SWITCHED } else { STAYED }, Relaxed);
    }

    /// What was decided, once.
    pub(crate) fn take_decision(&self) -> Option<bool> {
        match self.switched.swap(UNDECIDED, Relaxed) {
            UNDECIDED => None,
            decided => Some(decided == SWITCHED),
        }
    }

    /// Too many frames came that ask for nothing.
    pub(crate) fn flood(&self) {
        self.floods.store(true, Relaxed);
    }

    /// Whether too many frames came that ask for nothing.
    pub(crate) fn floods(&self) -> bool {
        self.floods.load(Relaxed)
    }

    /// When the connection must have moved on, and what it is then guilty of.
    pub(crate) fn deadline(&self, limits: &Limits) -> Option<(Instant, Overdue)> {
        let at = |millis: u64| self.opened + Duration::from_millis(millis);
        let blocked = match self.blocked.load(Relaxed) {
            0 => None,
            since => Some((at(since - 1) + limits.body_idle_timeout, Overdue::NotReading)),
        };
        let phase = match (self.exchanges.load(Relaxed), self.head.load(Relaxed)) {
            (0, true) => {
                let since = self.since();
                self.since.store(since, Relaxed);
                Some((at(since) + limits.header_timeout, Overdue::Head))
            }
            (0, false) => Some((at(self.since()) + limits.keepalive_timeout, Overdue::Idle)),
            _ => None,
        };
        [blocked, phase].into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    /// How much it needs its place; `None` while a request, or what came after it, is under way.
    pub(crate) fn claim(&self) -> Option<Claim> {
        if self.leaving.load(Relaxed) {
            return None;
        }
        self.idle_claim()
    }

    fn idle_claim(&self) -> Option<Claim> {
        let (proven, head) = (self.proven.load(Relaxed), self.head.load(Relaxed));
        if self.exchanges.load(Relaxed) > 0 || (proven && head) {
            return None;
        }
        let since = if proven { self.since() } else { 0 };
        Some(Claim { proven, since: self.opened + Duration::from_millis(since) })
    }

    /// Since when nothing has been asked of it or is on its way to its client; `None` while something is.
    pub(super) fn idles_since(&self) -> Option<Instant> {
        let busy = self.exchanges.load(Relaxed) > 0 || self.head.load(Relaxed) || self.blocked.load(Relaxed) > 0;
        (!busy).then(|| self.opened + Duration::from_millis(self.since()))
    }

    /// Whether a head has ever been whole.
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Relaxed)
    }

    /// The connection is over but for a tunnel, whose place nobody can ask for.
    pub(crate) fn over(&self) {
        self.leaving.store(true, Relaxed);
    }

    /// Whose task is to be woken by [`Activity::ask_to_leave`].
    pub(crate) fn driven_by(&self, waker: &Waker) {
        if self.waker.get().is_none() {
            let _first = self.waker.set(waker.clone());
            // See [`Activity::ask_to_leave`]: of the two threads one at least sees what the other wrote.
            fence(SeqCst);
        }
    }

    /// Its place is needed; called on any thread.
    pub(crate) fn ask_to_leave(&self) {
        self.leaving.store(true, Relaxed);
        // A task that has not begun yet looks before it waits.
        fence(SeqCst);
        self.wake();
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Whether it has been asked and can; a request that came in between keeps its place.
    pub(crate) fn leaves(&self) -> bool {
        if !self.leaving.load(Relaxed) {
            return false;
        }
        let leaves = self.idle_claim().is_some();
        self.leaving.store(leaves, Relaxed);
        leaves
    }

    #[cfg(test)]
    pub(crate) fn is_asked_to_leave(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    fn since(&self) -> u64 {
        match self.since.load(Relaxed) {
            UNREAD => self.now(),
            since => since,
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An exchange under way.
#[derive(Debug)]
pub(crate) struct Exchange(Arc<Activity>);

impl Exchange {
    /// Whether it ends because the client does not read.
    pub(crate) fn is_given_up(&self) -> bool {
        self.0.given_up.load(Relaxed)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let left = self.0.exchanges.load(Relaxed) - 1;
        self.0.exchanges.store(left, Relaxed);
        if left == 0 {
            self.0.since.store(self.0.now(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    fn limits() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            connections: NonZeroUsize::MIN,
            connections_per_peer: None,
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

#[cfg(all(test, feature = "races"))]
mod races {
    use std::sync::Arc;

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Woken(std::sync::atomic::AtomicU32);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn whoever_is_asked_to_leave_before_he_waits_or_after_hears_of_it() {
        loom::model(|| {
            let (activity, woken) = (Activity::new(), Arc::new(Woken::default()));
            let asking = {
                let activity = activity.clone();
                loom::thread::spawn(move || activity.ask_to_leave())
            };
            activity.driven_by(&woken.clone().into());
            let seen = activity.leaves();
            asking.join().unwrap();
            assert!(seen || woken.0.load(Relaxed) > 0);
        });
    }
}
