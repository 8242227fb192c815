//! How many connections each peer has, where `limits.connections_per_peer` bounds them. Counts once a connection, never a request.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ipnet::IpNet;

/// Who is counted, and how many connections each has now; nobody who has none.
#[derive(Debug)]
pub(crate) struct Peers {
    most: Option<NonZeroUsize>,
    trusted_proxies: Vec<IpNet>,
    counts: DashMap<IpAddr, usize, foldhash::fast::RandomState>,
}

/// One connection of a peer; dropped, it is counted no longer.
#[derive(Debug)]
pub(crate) struct Counted {
    peers: Arc<Peers>,
    network: IpAddr,
}

/// That a peer has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Peers {
    pub(crate) fn new(most: Option<NonZeroUsize>, trusted_proxies: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { most, trusted_proxies, counts: DashMap::default() })
    }

    /// Whether that address is a proxy that speaks for others.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    /// One more connection of a peer; `None` when it is not counted: without a bound, and for trusted proxies.
    pub(crate) fn count(self: &Arc<Self>, peer: IpAddr) -> Result<Option<Counted>, TooMany> {
        let Some(most) = self.most.filter(|_| !self.trusts(peer)) else { return Ok(None) };
        let network = network(peer);
        let mut count = self.counts.entry(network).or_insert(0);
        if *count >= most.get() {
            return Err(TooMany);
        }
        *count += 1;
        Ok(Some(Counted { peers: self.clone(), network }))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.peers.counts.entry(self.network) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// An IPv4 address, or the /64 that a client can choose its IPv6 address from.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(most: usize) -> Arc<Peers> {
        Peers::new(NonZeroUsize::new(most), vec!["10.0.0.0/8".parse().unwrap()])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_peer_has_so_many_and_no_more_at_once() {
        let peers = peers(2);
        let first = peers.count(ip("1.1.1.1")).unwrap();
        let second = peers.count(ip("::ffff:1.1.1.1")).unwrap();
        assert_eq!(peers.count(ip("1.1.1.1")).unwrap_err(), TooMany);
        assert!(peers.count(ip("1.1.1.2")).is_ok());
        drop(first);
        let third = peers.count(ip("1.1.1.1")).unwrap();
        drop((second, third));
        assert!(peers.counts.is_empty());
    }

    #[test]
    fn ipv6_is_counted_by_network() {
        let peers = peers(1);
        let _one = peers.count(ip("2001:db8::1")).unwrap();
        assert_eq!(peers.count(ip("2001:db8::ffff:2")).unwrap_err(), TooMany);
        assert!(peers.count(ip("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn proxies_and_gateways_without_a_bound_count_nobody() {
        assert!(peers(1).count(ip("10.1.1.1")).unwrap().is_none());
        assert!(peers(0).count(ip("1.1.1.1")).unwrap().is_none());
    }
}
