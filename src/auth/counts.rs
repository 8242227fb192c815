//! A bounded table of attempts by key: where it is full, it forgets what counts least. Knows neither names nor networks.

use std::cmp::Reverse;
use std::time::Duration;

use crate::clock::BootTime;

/// Buckets of a table; which one a key falls into, nobody outside can know.
const BUCKETS: usize = 4096;
/// Counts in a bucket.
const WAYS: usize = 16;

/// Attempts by key, within a window that begins with a key's first.
///
/// At most 65,536 keys, 40 bytes each. A key that is new to a full bucket pushes out one whose window is over or, if
/// there is none, the one with the fewest attempts, the oldest of several; never one with an attempt that is still open. So
/// whoever wants a count of `n` forgotten before its time has to make about `n` attempts with each of as many other keys
/// as the table holds, and each of those is counted and limited in its turn.
pub(super) struct Counts {
    buckets: Box<[Vec<Count>]>,
    window: Duration,
}

#[derive(Clone, Copy)]
struct Count {
    key: u64,
    made: u32,
    open: u32,
    began: BootTime,
    last: BootTime,
}

/// What a key has done in its window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Attempts, those that are open included.
    pub(super) made: u32,
    /// Attempts whose outcome is not known yet.
    pub(super) open: u32,
    /// The latest attempt.
    pub(super) last: BootTime,
    /// The end of the window.
    pub(super) until: BootTime,
}

/// What becomes of an attempt that is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It counts.
    Counts,
    /// It never was, and neither were so many before it.
    Undone(u32),
}

impl Counts {
    /// The most keys that a table holds.
    #[cfg(test)]
    pub(super) const MOST: usize = BUCKETS * WAYS;

    pub(super) fn new(window: Duration) -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Vec::new()).collect(), window }
    }

    /// What counts of a key now; nothing where it is not known.
    pub(super) fn tally(&self, key: u64, now: BootTime) -> Tally {
        let count = self.buckets[bucket(key)].iter().find(|count| count.key == key);
        count.map_or_else(Tally::default, |count| Tally {
            made: count.made(self.window, now),
            open: count.open,
            last: count.last,
            until: count.began + self.window,
        })
    }

    /// How many attempts of a key have failed.
    pub(super) fn failed(&self, key: u64) -> u32 {
        let count = self.buckets[bucket(key)].iter().find(|count| count.key == key);
        count.map_or(0, |count| count.made - count.open)
    }

    /// Whether an attempt of this key can be counted.
    pub(super) fn has_room(&self, key: u64) -> bool {
        let counts = &self.buckets[bucket(key)];
        counts.len() < WAYS || counts.iter().any(|count| count.key == key || count.open == 0)
    }

    /// Counts an attempt that is open until [`Counts::close`]; nothing where there is no room for it.
    pub(super) fn open(&mut self, key: u64, now: BootTime) {
        let window = self.window;
        let counts = &mut self.buckets[bucket(key)];
        let count = match counts.iter().position(|count| count.key == key) {
            Some(known) => &mut counts[known],
            None => {
                if counts.len() == WAYS {
                    let Some(least) = least(counts, window, now) else { return };
                    counts.swap_remove(least);
                }
                counts.push(Count { key, made: 0, open: 0, began: now, last: now });
                let Some(new) = counts.last_mut() else { return };
                new
            }
        };
        if count.is_over(window, now) {
            (count.made, count.began) = (count.open, now);
        }
        (count.made, count.open, count.last) = (count.made.saturating_add(1), count.open.saturating_add(1), now);
    }

    /// Closes an attempt of this key.
    pub(super) fn close(&mut self, key: u64, verdict: Verdict) {
        let counts = &mut self.buckets[bucket(key)];
        let Some(at) = counts.iter().position(|count| count.key == key) else { return };
        let count = &mut counts[at];
        count.open = count.open.saturating_sub(1);
        match verdict {
            Verdict::Counts => {}
            Verdict::Undone(before) => count.made = count.made.saturating_sub(before.saturating_add(1)).max(count.open),
        }
        if count.made == 0 {
            counts.swap_remove(at);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(Vec::len).sum()
    }
}

impl Count {
    fn is_over(&self, window: Duration, now: BootTime) -> bool {
        self.began + window <= now
    }

    /// Open attempts outlive their window: what they find out belongs to the next one.
    fn made(&self, window: Duration, now: BootTime) -> u32 {
        if self.is_over(window, now) { self.open } else { self.made }
    }
}

/// Where the count stands that is missed least.
fn least(counts: &[Count], window: Duration, now: BootTime) -> Option<usize> {
    let closed = counts.iter().enumerate().filter(|(_, count)| count.open == 0);
    closed.max_by_key(|(_, count)| Reverse((count.made(window, now), count.began))).map(|(at, _)| at)
}

fn bucket(key: u64) -> usize {
    key as usize % BUCKETS
}
