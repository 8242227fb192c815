//! Settings of where requests go: routes, upstreams, servers.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use rustls::pki_types::ServerName;

use crate::config::client_pattern::ClientPattern;
use crate::config::problem::Located;
use crate::directory::Role;

/// The servers behind one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// At least one.
    pub servers: Vec<Located<ServerAddress>>,
    /// What the `Host` header says.
    pub host: HostPolicy,
    /// Which server gets a request.
    pub balance: Balance,
    /// Requests that a server may have at once; absent: no bound.
    pub requests_per_server: Option<NonZeroUsize>,
    /// To an open connection.
    pub connect_timeout: Duration,
    /// From the request to the first byte of the answer.
    pub response_timeout: Duration,
    /// How long a worker looks for an answer instead of sleeping, from the request on; absent: it sleeps.
    pub busy_poll: Option<Duration>,
    /// How long a pooled connection may idle.
    pub idle_timeout: Duration,
    /// How servers with TLS are verified; absent: there are none.
    pub tls: Option<UpstreamTls>,
}

/// TLS towards the servers of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamTls {
    /// The authorities that are believed; absent: those of the system.
    pub ca: Option<Located<PathBuf>>,
    /// The name that servers must have a certificate for; absent: each its host.
    pub server_name: Option<ServerName<'static>>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    Tcp {
        /// Whether it is `https`.
        tls: bool,
        /// A name, resolved at each connect, or an address.
        host: Host,
        /// Default 80, with TLS 443.
        port: u16,
    },
    /// `unix:PATH`: a socket on this machine.
    Unix(PathBuf),
}

impl ServerAddress {
    /// Whether it is reached over TLS.
    pub fn is_secured(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. })
    }

    /// The name that its certificate must be for; `None` where no certificate can be.
    pub fn verified_name(&self) -> Option<ServerName<'static>> {
        match self {
            Self::Tcp { host: Host::Address(address), .. } => Some(ServerName::from(*address)),
            Self::Tcp { host: Host::Name(name), .. } => {
                ServerName::try_from(name.trim_end_matches('.').to_owned()).ok()
            }
            Self::Unix(_) => None,
        }
    }
}

/// The host part of a server's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// An IP address.
    Address(IpAddr),
    /// A DNS name.
    Name(String),
}

/// Which server of an upstream gets a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// The one with the fewest requests under way.
    Least,
    /// The same for all requests of a session, while it can be reached and has room.
    Session,
}

/// What the `Host` header says to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPolicy {
    /// What the client said.
    Preserve,
    /// The server's own host and port.
    Server,
}

/// Which request goes where, and who may send it.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// A prefix of whole segments, or the whole path where `exact`; starts with `/`.
    pub path: Located<String>,
    /// Matches this one path only.
    pub exact: bool,
    /// Name in [`super::Config::upstreams`]; absent only for [`Access::Deny`].
    pub upstream: Option<String>,
    /// Who may pass.
    pub access: Access,
    /// Lower-case hosts without port; empty: any.
    pub hosts: Vec<String>,
    /// Methods; empty: all.
    pub methods: Vec<Method>,
    /// Roles that may pass; empty: all.
    pub roles: Vec<Role>,
    /// Clients that may pass, by certificate; empty: all, and those without one.
    pub clients: Vec<Located<ClientPattern>>,
    /// Whether credentials are taken from headers.
    pub header_credentials: bool,
    /// Whether credentials are taken from the query.
    pub query_credentials: bool,
    /// Whether X-Access-Token and X-Key reach the upstream.
    pub forward_credentials: bool,
    /// Whether the prefix is cut before forwarding.
    pub strip_prefix: bool,
    /// Whether `%2f` and `%5c` in a path are passed on instead of refused.
    pub keep_encoded_slash: bool,
}

/// Who may pass a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The holder of a live session.
    Session,
    /// Anybody; nothing is verified and nothing injected.
    Public,
    /// Nobody: 403 without looking at credentials.
    Deny,
}
