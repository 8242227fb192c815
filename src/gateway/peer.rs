//! The other end of a downstream connection: its address and what TLS said of it.

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use tokio::sync::OwnedSemaphorePermit;

use super::authority::Last;
use super::flaw::Flaw;
use super::peers::Counted;

/// One downstream connection. Lives as long as anything of it does, tunnels included.
#[derive(Debug)]
pub struct Peer {
    /// The address that the kernel gave, or that a trusted proxy announced.
    pub address: SocketAddr,
    /// Whether it speaks TLS, here or with the proxy that announced it.
    pub tls: bool,
    /// Whether it is a proxy that passes bytes on and doesn't say whose. Then headers are the words of somebody unknown.
    pub unnamed: bool,
    /// The server name of the TLS handshake, in lower case.
    pub sni: Option<Box<str>>,
    /// The client's name by its certificate, verified against `tls.client_ca`.
    pub client: Option<Box<str>>,
    /// The port with TLS that everything is redirected to; absent where requests are answered.
    pub redirects_to: Option<u16>,
    /// Set by the socket side when it hands over [`super::STAND_IN`]: why.
    pub(crate) flaw: Arc<OnceLock<Flaw>>,
    /// Its place among the connections.
    pub seat: Option<Seat>,
    /// See [`Peer::address_value`].
    pub(crate) told: OnceCell<HeaderValue>,
    /// The host that it named last.
    pub(crate) named: Last,
}

/// A connection's place: one of `limits.connections`, one of its worker's, and one of its peer's. Dropped, it is free again.
#[derive(Debug)]
pub struct Seat {
    _place: OwnedSemaphorePermit,
    load: Arc<AtomicUsize>,
    _counted: Option<Counted>,
}

impl Seat {
    /// Takes the place, and counts in the worker's `load`.
    pub fn take(place: OwnedSemaphorePermit, load: Arc<AtomicUsize>) -> Self {
        load.fetch_add(1, Relaxed);
        Self { _place: place, load, _counted: None }
    }

    /// Counts for a peer as well.
    #[must_use]
    pub(crate) fn counted(mut self, counted: Option<Counted>) -> Self {
        self._counted = counted;
        self
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Relaxed);
    }
}

impl Peer {
    /// Its address without the port, as upstreams are told it; written once a connection.
    pub(crate) fn address_value(&self) -> &HeaderValue {
        let written = || HeaderValue::from_str(&self.address.ip().to_canonical().to_string());
        self.told.get_or_init(|| written().unwrap_or(HeaderValue::from_static("unknown")))
    }

    /// A connection of which nothing is known but where it comes from.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            tls: false,
            unnamed: false,
            sni: None,
            client: None,
            redirects_to: None,
            flaw: Arc::default(),
            seat: None,
            told: OnceCell::new(),
            named: Last::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn test(address: &str) -> Self {
        Self { tls: true, ..Self::at(address.parse().unwrap()) }
    }
}
