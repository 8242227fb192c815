//! Settings of the side that clients see: listeners, TLS, workers, limits.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::problem::Located;

/// One address that clients connect to.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Where.
    pub address: Located<ListenAddress>,
    /// Whether TLS is spoken here.
    pub tls: bool,
    /// Whether everything is redirected to the first listener that speaks TLS.
    pub redirect: bool,
    /// Whether every connection begins with the PROXY protocol, from trusted proxies only.
    pub proxy_protocol: bool,
}

/// What a listener listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// Address and port; `[::]` is dual stack; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix socket, at that path.
    Unix(PathBuf),
    /// Every socket that systemd passes under that name.
    Systemd(String),
}

/// TLS for all listeners that speak it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// Chosen by SNI, the first is the default; at least one.
    pub certificates: Vec<Certificate>,
    /// The oldest protocol version accepted.
    pub min_version: TlsVersion,
    /// How long browsers must keep to TLS (RFC 6797), whole seconds; absent: nothing is said of it.
    pub hsts: Option<Duration>,
    /// Whose clients are known by certificate; absent: nobody is asked for one.
    pub clients: Option<Clients>,
}

/// Mutual TLS.
#[derive(Clone, Debug, PartialEq)]
pub struct Clients {
    /// The authorities whose certificates are believed.
    pub ca: Located<PathBuf>,
    /// Whether a client without a certificate is turned away in the handshake.
    pub required: bool,
}

/// A certificate chain and its private key, both PEM files.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// Leaf first.
    pub chain: Located<PathBuf>,
    /// PKCS#8, SEC1 or PKCS#1.
    pub key: Located<PathBuf>,
}

/// A TLS protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    V1_2,
    /// RFC 8446.
    V1_3,
}

/// The process as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Threads that serve connections; `auto` is one per core of the cgroup.
    pub workers: NonZeroUsize,
    /// Peers whose `X-Forwarded-*` are believed; empty: nobody.
    pub trusted_proxies: Vec<IpNet>,
    /// What upstreams are told in `X-Forwarded-For`.
    pub forwarded: ForwardedPolicy,
    /// How long readiness fails while connections are still accepted.
    pub drain_delay: Duration,
    /// How long exchanges under way may take after that.
    pub drain_timeout: Duration,
}

/// What upstreams are told in `X-Forwarded-For`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedPolicy {
    /// The client's address alone.
    Replace,
    /// The client's address, then each trusted proxy's that the request came through.
    Append,
}

/// Bounds on what a client may take. Times are per phase, never for a whole exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Connections at once, all listeners together.
    pub connections: NonZeroUsize,
    /// Connections at once of one peer: an IPv4 address or an IPv6 /64; absent: no bound.
    pub connections_per_peer: Option<NonZeroUsize>,
    /// HTTP/2 streams at once in a connection.
    pub streams: u32,
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Bytes of a request body; absent: no bound.
    pub body_bytes: Option<u64>,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the first byte of a request's head to its last; also the body of a login.
    pub header_timeout: Duration,
    /// A request body that stops, or a client that stops reading.
    pub body_idle_timeout: Duration,
    /// Between an answer and the next request.
    pub keepalive_timeout: Duration,
    /// A tunnel without a byte in either direction; absent: for ever.
    pub tunnel_idle_timeout: Option<Duration>,
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}
