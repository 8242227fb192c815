//! Lines on their way to the disk: a bounded buffer that makes nobody wait, and the loop that empties it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::target::Target;
use crate::seldom::Seldom;

/// Bytes that may wait for the disk; lines beyond are dropped and counted.
pub(super) const BUFFER: usize = 4 << 20;
/// How long lines are gathered before they are written together, unless there are [`ENOUGH`] before.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes that are written at once. Less wakes the thread more often, which costs more than the write; more pushes out of the cache what
/// the workers have in it.
const ENOUGH: usize = 256 << 10;

/// Between those who write lines and the one thread that hands them to the disk.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    dropped: AtomicU64,
    reopen: AtomicBool,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Whether the thread wants to be told of the first line; while lines come all the time, it looks for itself.
    sleeps: bool,
}

impl Queue {
    /// Takes over `count` whole lines, or none.
    pub(super) fn append(&self, lines: &[u8], count: u64) {
        let mut waiting = self.lock();
        let before = waiting.lines.len();
        if before + lines.len() > BUFFER {
            self.dropped.fetch_add(count, Relaxed);
            return;
        }
        waiting.lines.extend_from_slice(lines);
        let are_enough = before < ENOUGH && waiting.lines.len() >= ENOUGH;
        let wakes = std::mem::take(&mut waiting.sleeps) || are_enough;
        drop(waiting);
        if wakes {
            self.filled.notify_one();
        }
    }

    /// Lines dropped since the start, because the disk or the reader of standard output was too slow or full.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Opens the file anew before the next line.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Relaxed);
    }

    /// There will be no more lines.
    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
        // Under the lock the thread is either before its question or waiting already.
        let _asks_or_waits = self.lock();
        self.filled.notify_one();
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn drain_into(&self, target: &mut Target) {
        let (mut batch, mut rest, mut told) = (Vec::new(), Vec::new(), 0);
        let seldom = Seldom::new();
        loop {
            let closed = self.take(&mut batch);
            batch.splice(..0, rest.drain(..));
            let dropped = self.dropped.load(Relaxed);
            if dropped > told {
                tracing::warn!(lines = dropped - told, "access lines dropped: what reads them is too slow");
                told = dropped;
            }
            if self.reopen.swap(false, Relaxed) {
                target.reopen();
            }
            if let Err(error) = target.write_out(&mut batch) {
                rest.extend_from_slice(target.rest_of_line(&batch));
                let lines = batch[rest.len()..].iter().filter(|b| **b == b'\n').count() as u64;
                told = self.dropped.fetch_add(lines, Relaxed) + lines;
                if seldom.again().is_some() {
                    tracing::error!(%error, dropped = told, "access lines could not be written");
                }
            }
            batch.clear();
            if closed {
                return;
            }
        }
    }

    /// Waits for lines and swaps them out; true when there will be no more.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let open = || !self.closed.load(Relaxed);
        let mut waiting = self.gather(self.lock());
        while waiting.lines.is_empty() && open() {
            waiting.sleeps = true;
            let sleeps = |waiting: &mut Waiting| waiting.sleeps && open();
            waiting = self.filled.wait_while(waiting, sleeps).unwrap_or_else(PoisonError::into_inner);
            waiting.sleeps = false;
            waiting = self.gather(waiting);
        }
        let closed = !open();
        std::mem::swap(&mut waiting.lines, batch);
        closed
    }

    fn gather<'a>(&self, waiting: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
        let few = |waiting: &mut Waiting| waiting.lines.len() < ENOUGH && !self.closed.load(Relaxed);
        self.filled.wait_timeout_while(waiting, GATHER, few).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until the thread that takes is asleep.
    fn until_it_sleeps(queue: &Queue) {
        while !queue.lock().sleeps {
            std::thread::yield_now();
        }
    }

    /// What one [`Queue::take`] brings, and whether it was the last; `meanwhile` is done once it sleeps.
    fn taken(queue: &Queue, meanwhile: impl FnOnce()) -> (Vec<u8>, bool) {
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| {
                let mut batch = Vec::new();
                let closed = queue.take(&mut batch);
                (batch, closed)
            });
            until_it_sleeps(queue);
            meanwhile();
            taking.join().unwrap()
        })
    }

    #[test]
    fn who_sleeps_is_woken_by_the_first_line_and_by_the_end() {
        let queue = Queue::default();
        assert_eq!(taken(&queue, || queue.append(b"a\n", 1)), (b"a\n".to_vec(), false));
        assert_eq!(taken(&queue, || queue.close()), (Vec::new(), true));
    }

    #[test]
    fn what_was_there_at_the_end_is_taken_with_it() {
        let queue = Queue::default();
        queue.append(b"a\n", 1);
        queue.close();
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch));
        assert_eq!(batch, b"a\n");
    }

    #[test]
    fn lines_are_taken_over_all_or_none() {
        let queue = Queue::default();
        queue.append(&vec![b'x'; BUFFER - 1], 1);
        queue.append(b"two\nlines\n", 2);
        assert_eq!((queue.dropped(), queue.lock().lines.len()), (2, BUFFER - 1));
        queue.append(b"\n", 1);
        assert_eq!((queue.dropped(), queue.lock().lines.len()), (2, BUFFER));
    }
}
