//! Everything the gateway counts, added up for whoever scrapes it. Labels are configured or the program's own, so that they are few.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Gateway;
use crate::auth::Ended;
use crate::panics;
use crate::telemetry::counters::{BOUNDS, CLASSES, Counters, METHODS, RouteCounters};
use crate::telemetry::exposition::{Exposition, Kind, Syntax};
use crate::telemetry::{log, process};

/// The counters of all workers.
#[derive(Debug)]
pub(crate) struct Metrics {
    workers: Mutex<Vec<Arc<Counters>>>,
    start: process::Start,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self { workers: Mutex::default(), start: process::Start::now() }
    }

    /// Adds the counters of a worker.
    pub(super) fn register(&self, counters: Arc<Counters>) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(counters);
    }

    fn workers(&self) -> Vec<Arc<Counters>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Gateway {
    /// All metrics as text, with what `more` adds.
    pub fn metrics(&self, syntax: Syntax, more: impl FnOnce(&mut Exposition)) -> String {
        let mut text = Exposition::new(syntax);
        let workers = self.metrics.workers();
        text.family(Kind::Info, "gatewarden_build", "The program.");
        text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        requests(&mut text, &workers);
        connections(&mut text, &workers);
        self.sessions_and_logins(&mut text, &workers);
        self.upstreams(&mut text);
        self.logs(&mut text);
        let help = "Panics that were caught, by the task that they ended.";
        text.family(Kind::Counter, "gatewarden_panics", help);
        for (task, times) in panics::counted() {
            text.sample(&[("task", task)], times);
        }
        more(&mut text);
        process::describe(&mut text, self.metrics.start);
        text.finish()
    }

    fn sessions_and_logins(&self, text: &mut Exposition, workers: &[Arc<Counters>]) {
        by_name(text, ("gatewarden_logins", "Logins, by what became of them.", "result"), workers, |w| w.logins.read());
        text.family(Kind::Gauge, "gatewarden_sessions", "Sessions, and those that ended within the last minute.");
        text.sample(&[], self.sessions.len());
        text.family(Kind::Counter, "gatewarden_sessions_issued", "Sessions issued.");
        text.sample(&[], self.sessions.issued());
        text.family(Kind::Counter, "gatewarden_sessions_ended", "Sessions ended, by reason.");
        for why in Ended::ALL {
            text.sample(&[("reason", why.label())], self.sessions.ended(why));
        }
    }

    fn upstreams(&self, text: &mut Exposition) {
        let rules = self.rules();
        let upstreams: BTreeMap<_, _> = rules.upstreams.iter().collect();
        let mut family = |kind, name, help, value: fn(&crate::upstream::Server) -> u64| {
            text.family(kind, name, help);
            for (upstream, server) in upstreams.iter().flat_map(|(name, one)| one.servers().map(move |s| (name, s))) {
                text.sample(&[("upstream", upstream.as_str()), ("server", &*server.label)], value(server));
            }
        };
        let help = "Requests given to a server, second attempts included.";
        family(Kind::Counter, "gatewarden_upstream_requests", help, |server| server.given());
        let help = "Requests that a server has not finished.";
        family(Kind::Gauge, "gatewarden_upstream_requests_in_flight", help, |server| server.outstanding() as u64);
        let help = "Times that a server refused and was left alone for a while.";
        family(Kind::Counter, "gatewarden_upstream_ejections", help, |server| server.ejections());
    }

    fn logs(&self, text: &mut Exposition) {
        text.family(Kind::Counter, "gatewarden_log_lines_dropped", "Access lines that were not written.");
        text.sample(&[], self.access_log.dropped());
        let help = "Messages of the program that were not written to standard error.";
        text.family(Kind::Counter, "gatewarden_messages_dropped", help).sample(&[], log::dropped());
        let help = "Times that audit lines could not be written; they wait and are tried again.";
        text.family(Kind::Counter, "gatewarden_audit_failures", help).sample(&[], self.audit.failures());
    }
}

fn requests(text: &mut Exposition, workers: &[Arc<Counters>]) {
    let mut routes: BTreeMap<Arc<str>, Vec<Arc<RouteCounters>>> = BTreeMap::new();
    for route in workers.iter().flat_map(|worker| worker.routes()) {
        routes.entry(route.route.clone()).or_default().push(route);
    }
    text.family(
        Kind::Counter,
        "gatewarden_requests",
        "Requests that are over, by route, method and class of the status.",
    );
    for (route, parts) in &routes {
        each_method_and_class(parts, |method, code, count| {
            text.sample(&[("route", route), ("method", method), ("code", code)], count);
        });
    }
    let help = "From the head of a request to the last byte of its answer.";
    text.family(Kind::Histogram, "gatewarden_request_duration_seconds", help);
    for (route, parts) in &routes {
        for (class, code) in CLASSES.iter().enumerate() {
            durations(text, &[("route", route), ("code", code)], (parts, class));
        }
    }
    type Bytes = (&'static str, &'static str, fn(&RouteCounters) -> u64);
    let bytes: [Bytes; 2] = [
        ("gatewarden_received_bytes", "Bytes of the bodies that clients sent.", |route| route.received.read()),
        ("gatewarden_sent_bytes", "Bytes of the bodies that clients were sent.", |route| route.sent.read()),
    ];
    for (name, help, read) in bytes {
        text.family(Kind::Counter, name, help);
        for (route, parts) in &routes {
            text.sample(&[("route", route)], parts.iter().map(|part| read(part)).sum::<u64>());
        }
    }
    let under_way = workers.iter().map(|worker| worker.begun.read().saturating_sub(worker.over.read())).sum::<u64>();
    text.family(Kind::Gauge, "gatewarden_requests_in_flight", "Requests under way, tunnels included.")
        .sample(&[], under_way);
    by_name(text, ("gatewarden_refusals", "Requests refused or broken off, by reason.", "reason"), workers, |w| {
        w.refusals.read()
    });
}

fn each_method_and_class(parts: &[Arc<RouteCounters>], mut sample: impl FnMut(&str, &str, u64)) {
    for (method, name) in METHODS.iter().enumerate() {
        for (class, code) in CLASSES.iter().enumerate() {
            let count = parts.iter().map(|part| part.requests[method][class].read()).sum::<u64>();
            if count > 0 {
                sample(name, code, count);
            }
        }
    }
}

/// The histogram of one route and class; nothing where there was no such request.
fn durations(text: &mut Exposition, labels: &[(&'static str, &str)], (parts, class): (&[Arc<RouteCounters>], usize)) {
    let mut below = 0;
    let bounds = BOUNDS.iter().map(|micros| format!("{:?}", *micros as f64 / 1e6)).chain(["+Inf".to_owned()]);
    let bounds: Vec<_> = bounds
        .enumerate()
        .map(|(at, bound)| {
            below += parts.iter().map(|part| part.durations[class].counts[at].read()).sum::<u64>();
            (bound, below)
        })
        .collect();
    let micros = parts.iter().map(|part| part.durations[class].micros.read()).sum::<u64>();
    if below > 0 {
        text.histogram(labels, &bounds, micros as f64 / 1e6);
    }
}

fn connections(text: &mut Exposition, workers: &[Arc<Counters>]) {
    let accepted = workers.iter().map(|worker| worker.accepted.read()).sum::<u64>();
    let closed = workers.iter().map(|worker| worker.closed.read()).sum::<u64>();
    let tunnels = workers.iter().map(|worker| worker.tunnels.len()).sum::<usize>();
    text.family(Kind::Gauge, "gatewarden_connections", "Open connections, but for those that are a tunnel.");
    text.sample(&[], accepted.saturating_sub(closed));
    text.family(Kind::Counter, "gatewarden_connections_accepted", "Connections accepted.").sample(&[], accepted);
    let help = "Connections that ended before they were done, by reason.";
    by_name(text, ("gatewarden_connections_broken", help, "reason"), workers, |worker| worker.broken.read());
    text.family(Kind::Gauge, "gatewarden_tunnels", "Open tunnels.").sample(&[], tunnels);
}

/// A family of counters with one label, whose values are names in the program.
fn by_name(
    text: &mut Exposition,
    (name, help, label): (&'static str, &str, &'static str),
    workers: &[Arc<Counters>],
    counts: impl Fn(&Counters) -> Vec<(&'static str, u64)>,
) {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (value, count) in workers.iter().flat_map(|worker| counts(worker)) {
        *sums.entry(value).or_default() += count;
    }
    text.family(Kind::Counter, name, help);
    for (value, count) in sums {
        text.sample(&[(label, value)], count);
    }
}
