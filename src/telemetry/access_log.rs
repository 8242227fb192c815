//! One line a request: written where the request was served, gathered for a moment, and handed to a thread that alone waits for the disk.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::access_line::Line;
use super::queue::Queue;
use super::stamp::Stamp;
use super::target::{Place, Target};
use super::writer::Writer;
use crate::clock::wall_tick;
use crate::config::{self, LogFormat};
use crate::panics::restarting_thread;

/// Bytes that a thread hands over at once: they are still in the cache, and the lock is taken for a dozen lines together.
const AT_ONCE: usize = 4 << 10;

/// How long the last lines may take when the log is closed.
const LAST_WORDS: Duration = Duration::from_secs(1);

thread_local! {
    static GATHERED: RefCell<Gathered> = RefCell::default();
}

/// Where access lines go.
#[derive(Debug, Default)]
pub struct AccessLog(Option<Opened>);

#[derive(Debug)]
struct Opened {
    queue: Arc<Queue>,
    format: LogFormat,
    writer: Writer,
}

/// The lines that a thread has not handed over yet.
#[derive(Debug, Default)]
struct Gathered {
    /// Whether somebody calls [`hand_over`] before the thread sleeps; if not, each line is handed over at once.
    waits: bool,
    queue: Option<Arc<Queue>>,
    lines: Vec<u8>,
    /// How many bytes of them are whole lines: a panic may leave a part of one.
    whole: usize,
    count: u64,
    time: Stamp,
}

/// While it lives, its thread gathers lines: whoever has it calls [`hand_over`] before the thread sleeps.
#[derive(Debug)]
pub struct Gathering(());

/// Begins to gather.
pub fn gather() -> Gathering {
    GATHERED.with_borrow_mut(|gathered| gathered.waits = true);
    Gathering(())
}

impl Drop for Gathering {
    fn drop(&mut self) {
        hand_over();
        GATHERED.with_borrow_mut(|gathered| gathered.waits = false);
    }
}

/// Hands over what this thread has gathered.
pub fn hand_over() {
    // A thread that ends has handed over already.
    let _ended = GATHERED.try_with(|gathered| gathered.borrow_mut().hand_over());
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
        let queue = Arc::new(Queue::default());
        let shared = queue.clone();
        let writer =
            Writer::start("access-log", move || restarting_thread("access_log", || shared.drain_into(&mut target)))?;
        Ok(Self(Some(Opened { queue, format: config.format, writer })))
    }

    /// Writes a line; never waits for the disk.
    pub fn write(&self, line: &Line<'_>) {
        if let Some(opened) = &self.0 {
            GATHERED.with_borrow_mut(|gathered| gathered.add(opened, line));
        }
    }

    /// Lines dropped since the start, because the disk or the reader of standard output was too slow or full.
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |opened| opened.queue.dropped())
    }

    /// Opens the file anew before the next line, for logrotate.
    pub fn reopen(&self) {
        if let Some(opened) = &self.0 {
            opened.queue.reopen();
        }
    }
}

impl Drop for Opened {
    /// Writes what waits, but waits for nobody who does not read it: the process must end.
    fn drop(&mut self) {
        hand_over();
        self.queue.close();
        if !self.writer.ends_within(LAST_WORDS) {
            tracing::warn!("access lines lost at the end: nobody reads them");
        }
    }
}

impl Gathered {
    fn add(&mut self, log: &Opened, line: &Line<'_>) {
        if self.queue.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &log.queue)) {
            self.hand_over();
            self.queue = Some(log.queue.clone());
        }
        self.lines.truncate(self.whole);
        line.append(&mut self.lines, log.format, self.time.text(wall_tick()));
        self.whole = self.lines.len();
        self.count += 1;
        if !self.waits || self.lines.len() >= AT_ONCE {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if let Some(queue) = self.queue.as_ref().filter(|_| self.count > 0) {
            queue.append(&self.lines[..self.whole], self.count);
            self.lines.clear();
            (self.whole, self.count) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::telemetry::access_line::tests::line;
    use crate::telemetry::queue::BUFFER;

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
    fn a_thread_that_gathers_hands_over_when_it_is_asked_or_has_enough_or_gathers_no_more() {
        let text = logged(LogFormat::Json, |log, _| {
            let waiting = || GATHERED.with_borrow(|gathered| gathered.count);
            let gathering = gather();
            log.write(&line("/asked"));
            assert_eq!(waiting(), 1);
            hand_over();
            assert_eq!(waiting(), 0);
            (0..100).for_each(|_| log.write(&line("/enough")));
            assert!(waiting() < 100);
            drop(gathering);
            assert_eq!(waiting(), 0);
            log.write(&line("/at once"));
            assert_eq!(waiting(), 0);
        });
        let counted = |path| text.lines().filter(|line| line.contains(path)).count();
        assert_eq!((counted("/asked"), counted("/enough"), counted("/at once")), (1, 100, 1));
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
