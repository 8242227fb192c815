//! One server of an upstream: how busy it is, and whether it is left alone for a while because it refused.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::tls::Secured;
use crate::clock::BootTime;
use crate::config::{Host, ServerAddress};
use crate::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

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
    /// Of its label; what draws sessions to it.
    pub(super) affinity: u64,
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
            affinity: fnv1a(label.as_bytes()),
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

    /// Leaves the server alone for a while that grows each time in a row. What it refuses meanwhile, when many were under way or there
    /// is no other, is the same time. Whether this was the first.
    pub(crate) fn refused(&self, now: BootTime) -> bool {
        let before = self.back_at();
        let doublings = self.refusals.load(Relaxed).min(5);
        let until = now + (FIRST_EJECTION * 2u32.pow(doublings)).min(LONGEST_EJECTION);
        let first = before <= now.as_millis()
            && self.ejected_until.compare_exchange(before, until.as_millis(), Relaxed, Relaxed).is_ok();
        if first {
            self.refusals.fetch_add(1, Relaxed);
            self.ejections.fetch_add(1, Relaxed);
        }
        first
    }

    /// Forgets earlier refusals.
    pub(crate) fn accepted(&self) {
        if self.refusals.load(Relaxed) != 0 {
            self.refusals.store(0, Relaxed);
            self.ejected_until.store(0, Relaxed);
        }
    }

    /// Counts an exchange for as long as the value lives, unless the server has as many as `most`.
    pub(super) fn occupy(self: &Arc<Self>, most: usize) -> Option<Occupied> {
        let one_more = |outstanding| (outstanding < most).then_some(outstanding + 1);
        self.outstanding.fetch_update(Relaxed, Relaxed, one_more).ok()?;
        self.given.fetch_add(1, Relaxed);
        Some(Occupied(self.clone()))
    }

    /// Requests that it has not finished.
    pub(crate) fn outstanding(&self) -> usize {
        self.outstanding.load(Relaxed)
    }

    /// Requests that it was ever given.
    pub(crate) fn given(&self) -> u64 {
        self.given.load(Relaxed)
    }

    /// How often it was left alone.
    pub(crate) fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// Whether it refused when it was last asked.
    pub(super) fn refuses(&self) -> bool {
        self.refusals.load(Relaxed) != 0
    }

    /// Whether it refused lately.
    pub(super) fn is_ejected(&self, now: BootTime) -> bool {
        self.back_at() > now.as_millis()
    }

    /// Until when it is left alone, in milliseconds of boot time.
    pub(super) fn back_at(&self) -> u64 {
        self.ejected_until.load(Relaxed)
    }
}

/// FNV-1a: the same in every process, so that gateways agree.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_server_that_refused_is_left_alone_for_a_growing_while() {
        let server = Server::new(0, ServerAddress::Unix("/run/a".into()), None);
        assert!(server.refused(NOW));
        assert!(
            server.is_ejected(NOW + Duration::from_millis(999)) && !server.is_ejected(NOW + Duration::from_secs(1))
        );
        let again = NOW + Duration::from_secs(1);
        assert!(server.refused(again));
        assert!(!server.refused(again) && !server.refused(again + Duration::from_millis(1)), "the same time");
        assert!(server.is_ejected(again + Duration::from_millis(1_999)));
        assert!(!server.is_ejected(again + Duration::from_secs(2)));
        assert_eq!(server.ejections(), 2);
        server.accepted();
        assert!(!server.is_ejected(again));
    }
}

#[cfg(all(test, feature = "races"))]
mod races {
    use super::*;

    #[test]
    fn no_order_gives_a_server_more_than_its_most_or_loses_a_place() {
        loom::model(|| {
            let server = Arc::new(Server::new(0, ServerAddress::Unix("/run/a".into()), None));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let server = server.clone();
                    loom::thread::spawn(move || {
                        server.occupy(1).map(|_occupied| assert_eq!(server.outstanding(), 1)).is_some()
                    })
                })
                .collect();
            let given = threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|given| *given).count();
            assert!(given >= 1);
            assert_eq!((server.outstanding(), server.given()), (0, given as u64));
        });
    }
}
