//! A worker's side of its counters: what a request or a connection pays to be counted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use tokio_util::task::TaskTracker;

use super::access_line::Line;
use super::counters::{Counter, Counters, RouteCounters};

/// The route of requests that no rule decided about.
const NO_ROUTE: &str = "none";

/// A worker's side of its counters. Belongs to its thread.
#[derive(Debug)]
pub struct Meter {
    counters: Arc<Counters>,
    routes: RefCell<HashMap<Arc<str>, Arc<RouteCounters>, RandomState>>,
    /// Those reasons that there were.
    refusals: RefCell<Vec<(&'static str, Arc<Counter>)>>,
}

/// A connection that is open; dropped, it is not.
#[derive(Debug)]
pub struct OpenConnection(Arc<Counters>);

impl Meter {
    /// A meter that has counted nothing; `tunnels` are its worker's.
    pub fn new(tunnels: TaskTracker) -> Self {
        Self { counters: Arc::new(Counters::new(tunnels)), routes: RefCell::default(), refusals: RefCell::default() }
    }

    /// The counters, for those who ask.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Counts a connection for as long as the value lives.
    pub fn connection(&self) -> OpenConnection {
        self.counters.accepted.add(1);
        OpenConnection(self.counters.clone())
    }

    /// Counts a request that is over, by what its access line says.
    pub fn finished(&self, line: &Line<'_>) {
        self.counters.over.add(1);
        if let Some(refusal) = line.refusal {
            self.refused(refusal);
        }
        let route = line.route.unwrap_or(NO_ROUTE);
        if let Some(known) = self.routes.borrow().get(route) {
            return known.add(line);
        }
        // Routes are configured, so that there are only so many.
        let new = self.counters.add_route(route.into());
        new.add(line);
        self.routes.borrow_mut().insert(new.route.clone(), new);
    }

    /// Without the lock of [`Counters::refusals`], but for the first of its reason: who knocks with nothing to show costs little.
    fn refused(&self, reason: &'static str) {
        let mut known = self.refusals.borrow_mut();
        if let Some((_, count)) = known.iter().find(|(name, _)| *name == reason) {
            return count.add(1);
        }
        let count = self.counters.refusals.add(reason);
        count.add(1);
        known.push((reason, count));
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::telemetry::counters::{BOUNDS, CLASSES, METHODS};

    fn line(method: &'static str, status: u16, micros: u64) -> Line<'static> {
        Line {
            peer: IpAddr::from([127, 0, 0, 1]),
            client: None,
            user: None,
            method,
            path: "/x",
            query: None,
            protocol: "h1",
            route: Some("/"),
            status,
            received: 3,
            sent: 5,
            micros,
            upstream_micros: 0,
            server: None,
            refusal: (status == 401).then_some("invalid_token"),
            request_id: b"",
        }
    }

    #[test]
    fn a_request_is_counted_once_in_each_of_its_places() {
        let meter = Meter::new(TaskTracker::new());
        let odd = [("BREW", 0), ("GET", 999)];
        let usual = METHODS.iter().flat_map(|method| [100, 204, 302, 401, 503].map(|status| (*method, status)));
        usual.chain(odd).for_each(|(method, status)| meter.finished(&line(method, status, 10)));
        meter.finished(&Line { route: None, ..line("GET", 401, 10) });
        let routes = meter.counters().routes();
        assert_eq!(routes.iter().map(|route| &*route.route).collect::<Vec<_>>(), ["/", "none"]);
        let count = |method: usize, class: usize| routes[0].requests[method][class].read();
        assert!((0..METHODS.len()).all(|method| (0..5).all(|class| count(method, class) == 1)));
        assert_eq!((count(7, 5), count(0, 5)), (1, 1), "a status that is none");
        assert_eq!((routes[0].received.read(), routes[0].sent.read()), (42 * 3, 42 * 5));
        assert_eq!(meter.counters().refusals.read(), [("invalid_token", 9)]);
        assert_eq!(meter.counters().over.read(), 43);
    }

    #[test]
    fn a_duration_falls_into_the_first_bound_that_holds_it() {
        let meter = Meter::new(TaskTracker::new());
        let two = CLASSES.iter().position(|class| *class == "2xx").unwrap();
        for micros in [0, 1_000, 1_001, 60_000_000, 60_000_001, 1 << 40] {
            meter.finished(&line("GET", 200, micros));
        }
        let counts: Vec<u64> = meter.counters().routes()[0].durations[two].counts.iter().map(|c| c.read()).collect();
        let last = BOUNDS.len();
        assert_eq!((counts[0], counts[1], counts[last - 1], counts[last]), (2, 1, 1, 2));
        assert_eq!(counts.iter().sum::<u64>(), 6);
    }

    #[test]
    fn a_connection_is_open_as_long_as_its_value_lives() {
        let meter = Meter::new(TaskTracker::new());
        let open = meter.connection();
        assert_eq!((meter.counters().accepted.read(), meter.counters().closed.read()), (1, 0));
        drop(open);
        assert_eq!((meter.counters().accepted.read(), meter.counters().closed.read()), (1, 1));
    }
}
