//! Where audit lines wait until they are written: none is ever dropped, and no request that holds a session waits for one.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

pub use super::audit_line::{Entry, Event};
use super::target::{Place, Target};
use super::writer::Writer;
use crate::config::{self, LogFormat};
use crate::panics::restarting_thread;

/// Bytes that may wait before further logins do.
const ROOM: usize = 1 << 20;
/// How often a place that takes nothing is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a login waits for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last lines may take at the end of the process.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Audit lines can't be written, and too many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

/// Where audit lines go.
#[derive(Debug, Default)]
pub struct Audit {
    queue: Option<Arc<Queue>>,
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Queue {
    format: LogFormat,
    waiting: Mutex<Vec<u8>>,
    filled: Condvar,
    /// Bytes that wait or are being written.
    unwritten: AtomicUsize,
    failures: AtomicU64,
    reopen: AtomicBool,
    closed: AtomicBool,
}

impl Audit {
    /// Opens the place and starts the writer.
    ///
    /// # Errors
    /// When the file can't be opened or the thread can't be started.
    pub fn open(config: &config::Log) -> io::Result<Self> {
        let target = Target::open(match &config.audit {
            config::AuditLog::Stdout => Place::Stdout,
            config::AuditLog::Stderr => Place::Stderr,
            config::AuditLog::File(file) => Place::File(file.value.clone()),
        })?;
        Self::start(config.format, target)
    }

    fn start(format: LogFormat, mut target: Target) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            format,
            waiting: Mutex::default(),
            filled: Condvar::new(),
            unwritten: AtomicUsize::new(0),
            failures: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let shared = queue.clone();
        let writer = Writer::start("audit", move || {
            let mut batch = Vec::new();
            restarting_thread("audit", || shared.drain_into(&mut target, &mut batch))
        })?;
        Ok(Self { queue: Some(queue), writer: Some(writer) })
    }

    /// Hands a line over. It waits in memory as long as it can't be written.
    pub fn write(&self, entry: &Entry<'_>) {
        if let Some(queue) = &self.queue {
            queue.push(entry);
        }
    }

    /// Waits for room. Whoever starts something that leaves lines asks first, so that what waits is bounded by what was let in.
    ///
    /// # Errors
    /// [`Stuck`] when there is none for five seconds.
    pub async fn room(&self) -> Result<(), Stuck> {
        let has_room = || self.queue.as_ref().is_none_or(|queue| queue.unwritten.load(Relaxed) < ROOM);
        let deadline = Instant::now() + PATIENCE;
        while !has_room() {
            if Instant::now() > deadline {
                return Err(Stuck);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until nothing is left to be written; false when that took longer than `patience`.
    pub fn is_written_within(&self, patience: Duration) -> bool {
        let is_written = || self.queue.as_ref().is_none_or(|queue| queue.unwritten.load(Relaxed) == 0);
        let deadline = std::time::Instant::now() + patience;
        while !is_written() {
            if std::time::Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// How often writing failed since the start; no line is lost by it.
    pub fn failures(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.failures.load(Relaxed))
    }

    /// Opens the file anew before the next line, for logrotate.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            queue.reopen.store(true, Relaxed);
            queue.wake();
        }
    }
}

impl Drop for Audit {
    /// Writes what waits; only a place that takes nothing for five seconds is given up, for the process must end.
    fn drop(&mut self) {
        let Some(queue) = &self.queue else { return };
        queue.closed.store(true, Relaxed);
        queue.wake();
        if self.writer.as_ref().is_some_and(|writer| !writer.ends_within(LAST_WORDS)) {
            tracing::error!(bytes = queue.unwritten.load(Relaxed), "AUDIT LINES LOST at the end: nothing takes them");
        }
    }
}

impl Queue {
    fn push(&self, entry: &Entry<'_>) {
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        let line = match self.format {
            LogFormat::Json => entry.json(&time),
            LogFormat::Text => entry.text(&time),
        };
        self.unwritten.fetch_add(line.len(), Relaxed);
        self.lock().extend_from_slice(line.as_bytes());
        self.filled.notify_one();
    }

    /// Begins with what an earlier run left in `batch`.
    fn drain_into(&self, target: &mut Target, batch: &mut Vec<u8>) {
        let mut closed = false;
        loop {
            while let Err(error) = self.write_out(target, batch) {
                let failures = self.failures.fetch_add(1, Relaxed) + 1;
                let bytes = self.unwritten.load(Relaxed);
                tracing::error!(%error, failures, bytes, "AUDIT LINES CANNOT BE WRITTEN: they wait, and logins will");
                std::thread::sleep(AGAIN);
                if self.reopen.swap(false, Relaxed) {
                    target.reopen();
                }
            }
            if closed {
                return;
            }
            closed = self.take(batch);
            if self.reopen.swap(false, Relaxed) {
                target.reopen();
            }
        }
    }

    fn write_out(&self, target: &mut Target, batch: &mut Vec<u8>) -> io::Result<()> {
        let before = batch.len();
        let written = target.write_out(batch);
        self.unwritten.fetch_sub(before - batch.len(), Relaxed);
        written
    }

    /// Waits for lines and swaps them out; true when there will be no more.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let (closed, reopen) = (|| self.closed.load(Relaxed), || self.reopen.load(Relaxed));
        let idle = |waiting: &mut Vec<u8>| waiting.is_empty() && !closed() && !reopen();
        let mut waiting = self.filled.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let was_closed = closed();
        std::mem::swap(&mut *waiting, batch);
        was_closed
    }

    /// Under the lock, so that the writer is either before its question or waiting already.
    fn wake(&self) {
        let _asks_or_waits = self.lock();
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
