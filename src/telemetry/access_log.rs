//! One line a request, through a bounded buffer that never makes a request wait and counts what it had to drop.

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::target::{Place, Target, escaped};
use super::writer::Writer;
use crate::config::{self, LogFormat};
use crate::panics::restarting_thread;
use crate::seldom::Seldom;

/// Bytes that may wait for the disk; lines beyond are dropped and counted.
const BUFFER: usize = 4 << 20;
/// How long lines are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(20);

/// How long the last lines may take when the log is closed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What an access line says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Line<'a> {
    /// The client, behind trusted proxies.
    pub peer: IpAddr,
    /// Canonical name, if a session or a login names one.
    pub user: Option<&'a str>,
    /// The client's name by its certificate; only where it showed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    /// As sent.
    pub method: &'a str,
    /// As sent, without the query.
    pub path: &'a str,
    /// Only where configured; credentials redacted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<&'a str>,
    /// `h1` or `h2`.
    pub protocol: &'a str,
    /// The path of the rule that decided.
    pub route: Option<&'a str>,
    /// 0 when the client was gone before an answer began.
    pub status: u16,
    /// Body bytes from the client.
    pub received: u64,
    /// Body bytes to the client.
    pub sent: u64,
    /// Microseconds from the head of the request to the last byte of the answer.
    pub micros: u64,
    /// Microseconds until the upstream's answer began.
    pub upstream_micros: u64,
    /// Host and port of the server that answered or failed.
    pub server: Option<&'a str>,
    /// Why the gateway refused, or what went wrong.
    pub refusal: Option<&'static str>,
    /// Also in `X-Request-Id`.
    pub request_id: &'a str,
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
    fn push(&self, line: &Line<'_>) {
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        let mut waiting = self.lock();
        let (start, was_empty) = (waiting.len(), waiting.is_empty());
        let written = match self.format {
            LogFormat::Json => {
                write!(waiting, "{{\"time\":\"{time}\",").and_then(|()| append_members(&mut waiting, line))
            }
            LogFormat::Text => write_text(&mut waiting, line, &time),
        };
        if written.is_err() || waiting.len() > BUFFER {
            waiting.truncate(start);
            self.dropped.fetch_add(1, Relaxed);
        }
        drop(waiting);
        if was_empty {
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
        let idle = |waiting: &mut Vec<u8>| waiting.is_empty() && !self.closed.load(Relaxed);
        drop(self.filled.wait_while(self.lock(), idle));
        if !self.closed.load(Relaxed) {
            std::thread::sleep(GATHER);
        }
        let closed = self.closed.load(Relaxed);
        std::mem::swap(&mut *self.lock(), batch);
        closed
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The members of `line` after an object's opening brace and first member.
fn append_members(buffer: &mut Vec<u8>, line: &Line<'_>) -> io::Result<()> {
    let brace = buffer.len();
    serde_json::to_writer(&mut *buffer, line)?;
    buffer.remove(brace);
    buffer.push(b'\n');
    Ok(())
}

fn write_text(buffer: &mut Vec<u8>, line: &Line<'_>, time: &dyn std::fmt::Display) -> io::Result<()> {
    let Line { peer, method, protocol, status, received, sent, micros, upstream_micros, .. } = line;
    let or_dash = |text: Option<&str>| text.map_or("-".to_owned(), escaped);
    let (user, route) = (or_dash(line.user), or_dash(line.route));
    let (server, refusal) = (or_dash(line.server), or_dash(line.refusal));
    let (path, request_id) = (escaped(line.path), escaped(line.request_id));
    let client = line.client.map(|client| format!(" client={}", escaped(client))).unwrap_or_default();
    let query = line.query.map(|query| format!("?{}", escaped(query))).unwrap_or_default();
    writeln!(
        buffer,
        "{time} {peer} {user} {method} {path}{query} {protocol} {status} in={received} out={sent} us={micros} \
         up={upstream_micros} route={route} server={server} refusal={refusal} id={request_id}{client}"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn line(path: &str) -> Line<'_> {
        Line {
            peer: IpAddr::from([127, 0, 0, 1]),
            user: Some("100@mydomain.com"),
            client: None,
            method: "GET",
            path,
            query: None,
            protocol: "h1",
            route: Some("/"),
            status: 200,
            received: 0,
            sent: 5,
            micros: 10,
            upstream_micros: 5,
            server: None,
            refusal: None,
            request_id: "id-1",
        }
    }

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
    fn every_line_is_an_object_whatever_the_path_holds() {
        let text = logged(LogFormat::Json, |log, _| {
            log.write(&line("/a\"b\\"));
            log.write(&line("/c"));
        });
        let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!((lines.len(), &lines[0]["path"], &lines[1]["status"]), (2, &"/a\"b\\".into(), &200.into()));
        assert!(lines[0]["time"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn text_lines_are_for_people() {
        let text = logged(LogFormat::Text, |log, _| log.write(&line("/c")));
        assert!(text.contains(" 127.0.0.1 100@mydomain.com GET /c h1 200 in=0 out=5 "), "{text}");
    }

    #[test]
    fn a_text_line_is_one_line_whatever_the_path_holds() {
        let forged = "/a\u{85}b\u{2028}c\u{2029}d\u{1b}[2Je\u{9b}f g\u{202e}h\rj\nk";
        let text = logged(LogFormat::Text, |log, _| {
            log.write(&Line { query: Some(forged), request_id: "a b\u{85}", user: Some("x y"), ..line(forged) });
        });
        let escaped = r"/a\u{85}b\u{2028}c\u{2029}d\u{1b}[2Je\u{9b}f\u{20}g\u{202e}h\rj\nk";
        assert!(text.contains(&format!(r" x\u{{20}}y GET {escaped}?{escaped} h1 200 ")), "{text}");
        assert_eq!(text.chars().filter(|c| c.is_control() || "\u{2028}\u{2029}".contains(*c)).count(), 1, "{text:?}");
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
