//! What the program wants to know: every setting checked, converted and complete, one struct a section.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;
use rustls::pki_types::ServerName;

use super::client_pattern::ClientPattern;
use super::problem::Located;
use crate::directory::Role;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where clients connect; at least one.
    pub listeners: Vec<Listener>,
    /// Certificates and versions; present when a listener speaks TLS.
    pub tls: Option<Tls>,
    /// Workers, proxies that are believed, the drain.
    pub server: Server,
    /// Bounds on what a client may take.
    pub limits: Limits,
    /// The ring of token secrets.
    pub tokens: Tokens,
    /// How long and how many sessions live.
    pub sessions: Sessions,
    /// Where passwords are verified, in the order they are asked; at least one.
    pub directories: Vec<Directory>,
    /// How a login is handled.
    pub login: Login,
    /// Cross-origin answers; absent: off.
    pub cors: Option<Cors>,
    /// Names of the headers that tell an upstream who is asking.
    pub identity: Identity,
    /// The APIs behind, by name.
    pub upstreams: BTreeMap<String, Upstream>,
    /// Which request goes where; at least one.
    pub routes: Vec<Route>,
    /// The probes' listener; absent: none.
    pub health: Option<Health>,
    /// What is logged and where.
    pub log: Log,
}

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

/// The token secrets; the first signs.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Files of raw bytes; at least one.
    pub secret_files: Vec<Located<PathBuf>>,
}

/// Bounds on sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct Sessions {
    /// From login to expiry.
    pub lifetime: Duration,
    /// Without a request for this long a session ends; absent: never.
    pub idle_timeout: Option<Duration>,
    /// Sessions of one user; the oldest goes first.
    pub per_user: NonZeroUsize,
    /// Sessions of all users; a login over it is answered 503.
    pub max: NonZeroUsize,
}

/// A users file.
#[derive(Clone, Debug, PartialEq)]
pub struct Directory {
    /// The file.
    pub path: Located<PathBuf>,
    /// Whether bcrypt and a1 hashes become argon2id at a good login.
    pub rehash: bool,
}

/// How a login is handled.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// An unknown user is answered like a wrong password, and takes as long.
    pub hide_unknown_users: bool,
    /// Which numbers the login answer gives to roles.
    pub role_numbering: RoleNumbering,
    /// Passwords checked at once.
    pub concurrency: NonZeroUsize,
    /// Logins that may wait for a check.
    pub queue: usize,
    /// How long one may wait.
    pub queue_timeout: Duration,
    /// How often passwords may be tried.
    pub throttle: Throttle,
}

/// How often passwords may be tried, within a window that begins with the first failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Throttle {
    /// Failures of one user from one network; one more of one user from everywhere before each further one has to wait.
    pub per_user: NonZeroU32,
    /// Failures from one network, whoever the users are.
    pub per_network: NonZeroU32,
    /// From the first failure to the moment when all is forgotten.
    pub window: Duration,
}

/// Which numbers the login answer gives to roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleNumbering {
    /// root 0, admin 1, user 2.
    Contract,
    /// root 2, admin 1, user 0, as the engine does today.
    Engine,
}

/// Cross-origin answers (WHATWG Fetch, CORS protocol).
#[derive(Clone, Debug, PartialEq)]
pub struct Cors {
    /// Who may ask.
    pub origins: Origins,
    /// Request headers that are allowed.
    pub headers: Vec<HeaderName>,
    /// Methods that are allowed.
    pub methods: Vec<Method>,
    /// How long a browser may keep a preflight's answer.
    pub max_age: Duration,
}

/// Origins that may read answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Answered literally as `*`.
    Any,
    /// Echoed when listed, with `Vary: Origin`.
    Listed(Vec<HeaderValue>),
}

/// Names of the headers set for upstreams; always stripped from clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The canonical user name.
    pub user: HeaderName,
    /// The part of the name after `@`.
    pub domain: HeaderName,
    /// The role's name.
    pub role: HeaderName,
    /// A public id of the session, never its key.
    pub session: HeaderName,
    /// The client's name from mutual TLS.
    pub client: HeaderName,
}

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
    /// Name in [`Config::upstreams`]; absent only for [`Access::Deny`].
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

/// The probes' listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Address and port.
    pub listen: Located<SocketAddr>,
}

/// What is logged and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The program's own messages: a level.
    pub level: tracing::Level,
    /// How they look.
    pub format: LogFormat,
    /// Where access lines go.
    pub access: AccessLog,
    /// Where audit lines go.
    pub audit: AuditLog,
    /// Whether access lines hold the query, credentials redacted.
    pub query: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where access lines go.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// Nowhere.
    None,
    /// A file, appended to, reopened on SIGHUP.
    File(Located<PathBuf>),
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

/// Where audit lines go; they can't be turned off.
#[derive(Clone, Debug, PartialEq)]
pub enum AuditLog {
    /// Standard output, among the access lines.
    Stdout,
    /// Standard error, among the program's own messages.
    Stderr,
    /// A file, appended to, reopened on SIGHUP.
    File(Located<PathBuf>),
}
