//! When which session is due to be swept: an ordered set of seconds. Knows no users and removes nothing elsewhere.

#![expect(clippy::mutable_key_type, reason = "ordered by second and key, which don't change in a set")]

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::session::Session;
use crate::clock::BootTime;
use crate::sync::atomic::Ordering::Relaxed;
use crate::sync::{Mutex, MutexGuard};

/// How long an ended record stays, so that its client is told that it expired.
const KEPT: Duration = Duration::from_secs(60);
const SHARDS: u8 = 64;

/// Ordered sets rather than buckets of a wheel: what is logged out leaves at once and nothing behind.
pub(super) struct Expiry {
    shards: Box<[Mutex<BTreeSet<Due>>]>,
    idle_timeout: Option<Duration>,
}

/// Ordered by the second that the session itself remembers, which saves as much again as this takes.
struct Due(Arc<Session>);

impl Expiry {
    pub(super) fn new(idle_timeout: Option<Duration>) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), idle_timeout }
    }

    pub(super) fn insert(&self, session: &Arc<Session>) {
        self.put(&mut self.lock(session), Arc::clone(session));
    }

    pub(super) fn remove(&self, session: &Arc<Session>) {
        let mut shard = self.lock(session);
        shard.remove(&Due(Arc::clone(session)));
    }

    /// Takes out at most `most` sessions whose records are no longer kept.
    pub(super) fn take_due(&self, now: BootTime, most: usize) -> Vec<Arc<Session>> {
        /// Under one lock at a time: a login never waits for more than this.
        const AT_ONCE: usize = 128;
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut more = true;
            while more && taken.len() < most {
                let some;
                (some, more) = self.take_some(shard, now, AT_ONCE.min(most - taken.len()));
                taken.extend(some);
            }
        }
        taken
    }

    /// Looks at no more than `most`; true when there may be others.
    fn take_some(&self, shard: &Mutex<BTreeSet<Due>>, now: BootTime, most: usize) -> (Vec<Arc<Session>>, bool) {
        let mut taken = Vec::new();
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..most {
            // The last second stands for all that come after it, and those never come.
            let due = |due: &Due| due.second() != u32::MAX && u64::from(due.second()) <= now.as_millis() / 1000;
            let Some(Due(session)) = shard.first().is_some_and(due).then(|| shard.pop_first()).flatten() else {
                return (taken, false);
            };
            if session.end(self.idle_timeout) + KEPT <= now {
                taken.push(session);
            } else {
                // It was used since it was put here: its idle time began anew.
                self.put(&mut shard, session);
            }
        }
        (taken, true)
    }

    fn put(&self, shard: &mut BTreeSet<Due>, session: Arc<Session>) {
        let second = (session.end(self.idle_timeout) + KEPT).as_millis().div_ceil(1000);
        let second = u32::try_from(second).unwrap_or(u32::MAX);
        session.due.store(second, Relaxed);
        shard.insert(Due(session));
    }

    fn lock(&self, session: &Session) -> MutexGuard<'_, BTreeSet<Due>> {
        let shard = usize::from(session.key.first_byte() % SHARDS);
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

impl Due {
    fn second(&self) -> u32 {
        self.0.due.load(Relaxed)
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.second().cmp(&other.second()).then_with(|| self.0.key.cmp(&other.0.key))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}
