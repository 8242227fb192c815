//! One server of an upstream: how busy it is, and whether it is left alone for a while because it refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::HeaderValue;

use super::tls::Secured;
use crate::clock::BootTime;
use crate::config::{Host, ServerAddress};

/// How long a server that refused is left alone at first; doubled with each further refusal.
const FIRST_EJECTION: Duration = Duration::from_secs(1);
/// The longest time a server is left alone.
const LONGEST_EJECTION: Duration = Duration::from_secs(30);

/// What a server is called that has no name of its own.
const LOCALHOST: HeaderValue = HeaderValue::from_static("localhost");

/// A server and what all workers know of it.
#[derive(Debug)]
pub struct Server {
    /// Its number, which no other server of this process ever has; indexes the workers' pools.
    pub(crate) id: usize,
    pub(crate) address: ServerAddress,
    /// How it is verified; absent: it is reached without TLS.
    pub(crate) tls: Option<Arc<Secured>>,
    /// `host:port` or `unix:PATH`, for logs.
    pub(crate) label: Arc<str>,
    /// For upstreams with `host = "server"`.
    pub(crate) host_header: HeaderValue,
    outstanding: AtomicUsize,
    /// Requests it was ever given; beside what changes with each of them anyway.
    given: AtomicU64,
    ejections: AtomicU64,
    refusals: AtomicU32,
    /// Milliseconds of boot time; 0 when it never refused.
    ejected_until: AtomicU64,
}

impl Server {
    /// A server that nothing is known of.
    pub(crate) fn new(id: usize, address: ServerAddress, tls: Option<Arc<Secured>>) -> Self {
        let (label, host_header) = names(&address);
        Self {
            id,
            host_header: HeaderValue::from_str(&host_header).unwrap_or(LOCALHOST),
            label: label.into(),
            address,
            tls,
            outstanding: AtomicUsize::new(0),
            given: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        }
    }

    /// Whether that host, with or without a port, is its own, as it is configured or as `Host` says it.
    pub(crate) fn is_called(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case(&self.label) || host.as_bytes().eq_ignore_ascii_case(self.host_header.as_bytes())
    }

    /// Leaves the server alone for a while that grows with each refusal in a row.
    pub(crate) fn refused(&self, now: BootTime) {
        let doublings = self.refusals.fetch_add(1, Relaxed).min(5);
        let pause = (FIRST_EJECTION * 2u32.pow(doublings)).min(LONGEST_EJECTION);
        self.ejected_until.store((now + pause).as_millis(), Relaxed);
        self.ejections.fetch_add(1, Relaxed);
    }

    /// Forgets earlier refusals.
    pub(crate) fn accepted(&self) {
        if self.refusals.load(Relaxed) != 0 {
            self.refusals.store(0, Relaxed);
            self.ejected_until.store(0, Relaxed);
        }
    }

    /// Counts an exchange for as long as the value lives.
    pub(crate) fn occupy(self: &Arc<Self>) -> Occupied {
        self.outstanding.fetch_add(1, Relaxed);
        self.given.fetch_add(1, Relaxed);
        Occupied(self.clone())
    }

    /// Requests that it has not finished.
    pub(crate) fn outstanding(&self) -> u64 {
        self.outstanding.load(Relaxed) as u64
    }

    /// Requests that it was ever given.
    pub(crate) fn given(&self) -> u64 {
        self.given.load(Relaxed)
    }

    /// How often it refused.
    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    fn is_ejected(&self, now: BootTime) -> bool {
        self.ejected_until.load(Relaxed) > now.as_millis()
    }
}

/// What a server is called in logs, and in `Host`.
fn names(address: &ServerAddress) -> (String, String) {
    let (tls, host, port) = match address {
        ServerAddress::Unix(path) => return (format!("unix:{}", path.display()), "localhost".to_owned()),
        ServerAddress::Tcp { tls, host, port } => (*tls, host, *port),
    };
    let host = match host {
        Host::Address(ip) if ip.is_ipv6() => format!("[{ip}]"),
        Host::Address(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    let label = format!("{host}:{port}");
    let host_header = if port == if tls { 443 } else { 80 } { host } else { label.clone() };
    (label, host_header)
}

/// An exchange that a server has not finished.
#[derive(Debug)]
pub(crate) struct Occupied(pub(crate) Arc<Server>);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.outstanding.fetch_sub(1, Relaxed);
    }
}

/// The server with the fewest outstanding exchanges, `start` breaking ties; when all are ejected, the one that is back first.
/// `avoid` is taken only when there is no other.
pub(crate) fn least<'a>(
    servers: &'a [Arc<Server>],
    avoid: Option<&Arc<Server>>,
    start: usize,
    now: BootTime,
) -> Option<&'a Arc<Server>> {
    let rotated = || servers.iter().cycle().skip(start % servers.len().max(1)).take(servers.len());
    let allowed = |server: &&Arc<Server>| avoid.is_none_or(|avoided| !Arc::ptr_eq(avoided, server));
    let idlest = rotated()
        .filter(allowed)
        .filter(|server| !server.is_ejected(now))
        .min_by_key(|server| server.outstanding.load(Relaxed));
    idlest
        .or_else(|| rotated().filter(allowed).min_by_key(|server| server.ejected_until.load(Relaxed)))
        .or_else(|| rotated().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(count: usize) -> Vec<Arc<Server>> {
        let address = |port| ServerAddress::Tcp { tls: false, host: Host::Name("a".into()), port };
        (0..count).map(|id| Arc::new(Server::new(id, address(80 + id as u16), None))).collect()
    }

    #[test]
    fn a_server_is_called_by_its_host_or_its_path() {
        let v6 = ServerAddress::Tcp { tls: false, host: Host::Address("::1".parse().unwrap()), port: 81 };
        assert_eq!(names(&v6), ("[::1]:81".into(), "[::1]:81".into()));
        let usual = ServerAddress::Tcp { tls: false, host: Host::Name("api".into()), port: 80 };
        assert_eq!(names(&usual), ("api:80".into(), "api".into()));
        let secured = |port| ServerAddress::Tcp { tls: true, host: Host::Name("api".into()), port };
        assert_eq!(names(&secured(443)).1, "api");
        assert_eq!(names(&secured(80)).1, "api:80");
        assert_eq!(names(&ServerAddress::Unix("/run/a".into())), ("unix:/run/a".into(), "localhost".into()));
    }

    const NOW: BootTime = BootTime::from_millis(10_000);

    #[test]
    fn the_least_busy_server_is_chosen_and_ties_rotate() {
        let servers = servers(3);
        let _busy = servers[0].occupy();
        assert_eq!(least(&servers, None, 0, NOW).unwrap().id, 1);
        assert_eq!(least(&servers, None, 2, NOW).unwrap().id, 2);
    }

    #[test]
    fn a_server_that_refused_is_left_alone_for_a_growing_while() {
        let servers = servers(2);
        servers[0].refused(NOW);
        assert_eq!(least(&servers, None, 0, NOW).unwrap().id, 1);
        assert_eq!(least(&servers, None, 0, NOW + Duration::from_secs(1)).unwrap().id, 0);
        servers[0].refused(NOW);
        assert!(servers[0].is_ejected(NOW + Duration::from_millis(1_999)));
        servers[0].accepted();
        assert!(!servers[0].is_ejected(NOW));
    }

    #[test]
    fn when_all_are_ejected_the_one_back_first_is_tried() {
        let servers = servers(2);
        servers[1].refused(NOW);
        servers[0].refused(NOW + Duration::from_millis(1));
        assert_eq!(least(&servers, None, 0, NOW).unwrap().id, 1);
        assert_eq!(least(&servers, Some(&servers[1]), 0, NOW).unwrap().id, 0);
    }

    #[test]
    fn the_only_server_is_tried_again() {
        let servers = servers(1);
        assert_eq!(least(&servers, Some(&servers[0]), 0, NOW).unwrap().id, 0);
        assert!(least(&[], None, 0, NOW).is_none());
    }
}
