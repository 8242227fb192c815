//! One line a request, through a bounded buffer that never makes a request wait and counts what it had to drop.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::access_line::Line;
use super::stamp::Stamp;
use super::target::{Place, Target};
use super::writer::Writer;
use crate::clock::wall_tick;
use crate::config::{self, LogFormat};
use crate::panics::restarting_thread;
use crate::seldom::Seldom;

/// Bytes that may wait for the disk; lines beyond are dropped and counted.
const BUFFER: usize = 4 << 20;
/// How long lines are gathered before they are written together, unless there are [`ENOUGH`] before.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes that are written at once: more would push out of the cache what the workers have in it.
const ENOUGH: usize = 64 << 10;

/// How long the last lines may take when the log is closed.
const LAST_WORDS: Duration = Duration::from_secs(1);

thread_local! {
    /// This thread's last line, kept for its memory, and its time.
    static WRITTEN: RefCell<(Vec<u8>, Stamp)> = RefCell::default();
}

/// Where access lines go.
#[derive(Debug, Default)]
pub struct AccessLog {
    queue: Option<Arc<Queue>>,
    writer: Option<Writer>,
}

#[derive(Debug)]
struct Queue {
    format: LogFormat,
    waiting: Mutex<Vec<u8>>,
    filled: Condvar,
    dropped: AtomicU64,
    reopen: AtomicBool,
    closed: AtomicBool,
}

impl AccessLog {
    /// No lines at all.
    pub fn silent() -> Self {
        Self::default()
    }

    /// Opens the target and starts the writer.
    ///
    /// # Errors
    /// When the file can't be opened or the thread can't be started.
    pub fn open(config: &config::Log) -> io::Result<Self> {
        let mut target = Target::open(match &config.access {
            config::AccessLog::None => return Ok(Self::silent()),
            config::AccessLog::Stdout => Place::Stdout,
            config::AccessLog::File(file) => Place::File(file.value.clone()),
        })?;
        let queue = Arc::new(Queue {
            format: config.format,
            waiting: Mutex::default(),
            filled: Condvar::new(),
            dropped: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        });
        let shared = queue.clone();
        let writer =
            Writer::start("access-log", move || restarting_thread("access_log", || shared.drain_into(&mut target)))?;
        Ok(Self { queue: Some(queue), writer: Some(writer) })
    }

    /// Hands a line over; never waits for the disk.
    pub fn write(&self, line: &Line<'_>) {
        if let Some(queue) = &self.queue {
            queue.push(line);
        }
    }

    /// Lines dropped since the start, because the disk or the reader of standard output was too slow or full.
    pub fn dropped(&self) -> u64 {
        self.queue.as_ref().map_or(0, |queue| queue.dropped.load(Relaxed))
    }

    /// Opens the file anew before the next line, for logrotate.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            queue.reopen.store(true, Relaxed);
        }
    }
}

impl Drop for AccessLog {
    /// Writes what waits, but waits for nobody who does not read it: the process must end.
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            queue.closed.store(true, Relaxed);
            // Under the lock the writer is either before its question or waiting already.
            let _asks_or_waits = queue.lock();
            queue.filled.notify_one();
        }
        if self.writer.as_ref().is_some_and(|writer| !writer.ends_within(LAST_WORDS)) {
            tracing::warn!("access lines lost at the end: nobody reads them");
        }
    }
}

impl Queue {
    /// The line is written before the lock is taken, which all workers share.
    fn push(&self, line: &Line<'_>) {
        WRITTEN.with_borrow_mut(|(written, time)| {
            written.clear();
            line.append(written, self.format, time.text(wall_tick()));
            self.append(written);
        });
    }

    fn append(&self, written: &[u8]) {
        let mut waiting = self.lock();
        let before = waiting.len();
        if before + written.len() > BUFFER {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        waiting.extend_from_slice(written);
        let after = waiting.len();
        drop(waiting);
        if before == 0 || (before < ENOUGH && after >= ENOUGH) {
            self.filled.notify_one();
        }
    }

    fn drain_into(&self, target: &mut Target) {
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

    /// Waits for lines, gathers for a moment, and swaps them out; true when there will be no more.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let open = || !self.closed.load(Relaxed);
        let idle = |waiting: &mut Vec<u8>| waiting.is_empty() && open();
        let few = |waiting: &mut Vec<u8>| waiting.len() < ENOUGH && open();
        let waiting = self.filled.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let gathered = self.filled.wait_timeout_while(waiting, GATHER, few).unwrap_or_else(PoisonError::into_inner);
        let (mut waiting, closed) = (gathered.0, !open());
        std::mem::swap(&mut *waiting, batch);
        closed
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::telemetry::access_line::tests::line;

    fn logged(format: LogFormat, write: impl FnOnce(&AccessLog, &Path)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let access = config::AccessLog::File(config::Located {
            value: path.clone(),
            place: config::Place::whole(Path::new("gatewarden.toml")),
        });
        let audit = config::AuditLog::Stderr;
        let config = config::Log { level: tracing::Level::INFO, format, access, audit, query: false };
        let log = AccessLog::open(&config).unwrap();
        write(&log, &path);
        drop(log);
        std::fs::read_to_string(&path).unwrap()
    }

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let text = logged(LogFormat::Json, |log, path| {
            std::fs::rename(path, path.with_extension("1")).unwrap();
            log.reopen();
            log.write(&line("/after"));
        });
        assert!(text.contains("/after"));
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let long = "x".repeat(BUFFER);
        logged(LogFormat::Json, |log, _| {
            log.write(&line(&long));
            assert_eq!(log.dropped(), 1);
        });
    }
}
