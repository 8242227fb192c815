//! One line for each login, refused login, logout and end of a session; none is ever dropped. Knows no passwords.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};
use tokio::time::Instant;

use super::target::{Place, Target, escaped};
use crate::config::{self, LogFormat};

/// Bytes that may wait before further logins do.
const ROOM: usize = 1 << 20;
/// How often a place that takes nothing is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a login waits for room.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last lines may take at the end of the process.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session was issued.
    Login,
    /// A login was refused, or its client left before it was decided.
    LoginRefused,
    /// A login was refused before its password was looked at, since there were too many.
    LoginThrottled,
    /// A session was ended by its holder.
    Logout,
    /// Nobody was logged out, for no live pair was presented.
    LogoutRefused,
    /// A session ended in another way.
    SessionEnded,
    /// The process ends, and with it all sessions that are left.
    Shutdown,
}

/// What an audit line says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Entry<'a> {
    /// What happened.
    #[serde(serialize_with = "name")]
    pub event: Event,
    /// The canonical name, as claimed where a login was refused; absent where it is not one.
    pub user: Option<&'a str>,
    /// The client, behind trusted proxies.
    pub peer: Option<IpAddr>,
    /// The public id of the session.
    pub session: Option<&'a str>,
    /// The name of the session's role.
    pub role: Option<&'a str>,
    /// Why: the label of a refusal, the budget of a throttle, or what ended a session.
    pub reason: Option<&'a str>,
    /// Also in `X-Request-Id`.
    pub request_id: Option<&'a str>,
}

/// Audit lines can't be written, and too many wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stuck;

/// Where audit lines go.
#[derive(Debug, Default)]
pub struct Audit {
    queue: Option<Arc<Queue>>,
    /// Closes when the writer is done.
    writer: Option<Mutex<mpsc::Receiver<Infallible>>>,
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

impl Entry<'_> {
    /// Says nothing yet but what happened.
    pub fn of(event: Event) -> Self {
        Self { event, user: None, peer: None, session: None, role: None, reason: None, request_id: None }
    }
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
            config::AuditLog::File(path) => Place::File(path.clone()),
        })?;
        Self::start(config.format, target)
    }

    fn start(format: LogFormat, target: Target) -> io::Result<Self> {
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
        let (done, writer) = mpsc::channel();
        std::thread::Builder::new().name("audit".into()).spawn(move || {
            let _open_until_the_end = done;
            shared.drain_into(target);
        })?;
        Ok(Self { queue: Some(queue), writer: Some(Mutex::new(writer)) })
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
        let writer = self.writer.take().map(|writer| writer.into_inner().unwrap_or_else(PoisonError::into_inner));
        if writer.is_some_and(|writer| writer.recv_timeout(LAST_WORDS) == Err(mpsc::RecvTimeoutError::Timeout)) {
            tracing::error!(bytes = queue.unwritten.load(Relaxed), "AUDIT LINES LOST at the end: nothing takes them");
        }
    }
}

impl Queue {
    fn push(&self, entry: &Entry<'_>) {
        let time = humantime::format_rfc3339_millis(SystemTime::now());
        let line = match self.format {
            LogFormat::Json => json(entry, &time),
            LogFormat::Text => text(entry, &time),
        };
        self.unwritten.fetch_add(line.len(), Relaxed);
        self.lock().extend_from_slice(line.as_bytes());
        self.filled.notify_one();
    }

    fn drain_into(&self, mut target: Target) {
        let mut batch = Vec::new();
        loop {
            let closed = self.take(&mut batch);
            if self.reopen.swap(false, Relaxed) {
                target.reopen();
            }
            while let Err(error) = self.write_out(&mut target, &mut batch) {
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

fn json(entry: &Entry<'_>, time: &dyn std::fmt::Display) -> String {
    let members = serde_json::to_string(entry).unwrap_or_default();
    format!("{{\"time\":\"{time}\",\"target\":\"audit\",{}\n", members.trim_start_matches('{'))
}

fn text(entry: &Entry<'_>, time: &dyn std::fmt::Display) -> String {
    let or_dash = |text: Option<&str>| text.map_or("-".to_owned(), escaped);
    let (user, session, role) = (or_dash(entry.user), or_dash(entry.session), or_dash(entry.role));
    let (reason, request_id) = (or_dash(entry.reason), or_dash(entry.request_id));
    let peer = entry.peer.map_or("-".to_owned(), |peer| peer.to_string());
    let event = entry.event.name();
    format!(
        "{time} audit {event} user={user} peer={peer} session={session} role={role} reason={reason} id={request_id}\n"
    )
}

fn name<S: Serializer>(event: &Event, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(event.name())
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginRefused => "login_refused",
            Self::LoginThrottled => "login_throttled",
            Self::Logout => "logout",
            Self::LogoutRefused => "logout_refused",
            Self::SessionEnded => "session_ended",
            Self::Shutdown => "shutdown",
        }
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
