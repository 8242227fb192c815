//! What each worker counts, in memory of its own: written by its thread with plain additions, read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::task::TaskTracker;

use super::access_line::Line;

/// Methods that are counted by name; all others are one.
pub const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
/// Classes of a status; the last is for clients that were gone before an answer began.
pub const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];
/// Upper bounds of durations in microseconds; above them is one more.
pub const BOUNDS: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
    60_000_000,
];
/// A number that one thread adds to and all may read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// What one worker has counted.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Requests whose head was read.
    pub begun: Counter,
    /// Requests that are over.
    pub over: Counter,
    /// Connections that were taken over from the acceptor.
    pub accepted: Counter,
    /// Those of them that are over, or became a tunnel.
    pub closed: Counter,
    /// Tunnels that are open.
    pub tunnels: TaskTracker,
    /// Requests that the gateway refused or that broke off, by reason.
    pub refusals: Named,
    /// Logins, by what became of them.
    pub logins: ByName,
    /// Connections that ended before they were done, by reason.
    pub broken: ByName,
    routes: Mutex<Vec<Arc<RouteCounters>>>,
}

/// What one worker has counted for the rules of one path.
#[derive(Debug)]
pub struct RouteCounters {
    /// The path as configured.
    pub route: Arc<str>,
    /// By [`METHODS`] and [`CLASSES`].
    pub requests: [[Counter; CLASSES.len()]; METHODS.len()],
    /// By [`CLASSES`].
    pub durations: [Durations; CLASSES.len()],
    /// Body bytes from clients.
    pub received: Counter,
    /// Body bytes to clients.
    pub sent: Counter,
}

/// How long something took, by [`BOUNDS`].
#[derive(Debug, Default)]
pub struct Durations {
    /// How many took no longer than their bound and longer than the one before; the last is without bound.
    pub counts: [Counter; BOUNDS.len() + 1],
    /// All of them together.
    pub micros: Counter,
}

/// Counts by names that are part of the program; for what is rare or fails.
#[derive(Debug, Default)]
pub struct ByName(Mutex<Vec<(&'static str, u64)>>);

/// Counters by names that are part of the program, each added to by one thread alone.
#[derive(Debug, Default)]
pub struct Named(Mutex<Vec<(&'static str, Arc<Counter>)>>);

impl Counter {
    /// Adds; only ever called by the thread that owns the counter, so that it costs no more than an addition.
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl ByName {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// One more of that name.
    pub fn add(&self, name: &'static str) {
        let mut counts = lock(&self.0);
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }

    /// What was counted so far.
    pub fn read(&self) -> Vec<(&'static str, u64)> {
        lock(&self.0).clone()
    }
}

impl Named {
    /// A new counter of that name, for whoever has none of that name yet.
    pub(super) fn add(&self, name: &'static str) -> Arc<Counter> {
        let new = Arc::<Counter>::default();
        lock(&self.0).push((name, new.clone()));
        new
    }

    /// What was counted so far.
    pub fn read(&self) -> Vec<(&'static str, u64)> {
        lock(&self.0).iter().map(|(name, count)| (*name, count.read())).collect()
    }
}

impl Counters {
    pub(super) fn new(tunnels: TaskTracker) -> Self {
        Self { tunnels, ..Self::default() }
    }

    /// What was counted by route.
    pub fn routes(&self) -> Vec<Arc<RouteCounters>> {
        lock(&self.routes).clone()
    }

    /// New counters for a path.
    pub(super) fn add_route(&self, route: Arc<str>) -> Arc<RouteCounters> {
        let new = Arc::new(RouteCounters::new(route));
        lock(&self.routes).push(new.clone());
        new
    }
}

impl RouteCounters {
    fn new(route: Arc<str>) -> Self {
        let (requests, durations) = Default::default();
        Self { route, requests, durations, received: Counter::default(), sent: Counter::default() }
    }

    pub(super) fn add(&self, line: &Line<'_>) {
        let class = usize::from(line.status / 100).checked_sub(1).unwrap_or(CLASSES.len()).min(CLASSES.len() - 1);
        let method = METHODS.iter().position(|method| *method == line.method).unwrap_or(METHODS.len() - 1);
        self.requests[method][class].add(1);
        self.durations[class].counts[BOUNDS.partition_point(|bound| *bound < line.micros)].add(1);
        self.durations[class].micros.add(line.micros);
        self.received.add(line.received);
        self.sent.add(line.sent);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
