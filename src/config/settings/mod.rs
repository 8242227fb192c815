//! What the program wants to know: every setting checked, converted and complete, one struct a section.

mod edge;
mod log;
mod people;
mod routing;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use crate::config::problem::Located;
pub use edge::*;
pub use log::*;
pub use people::*;
pub use routing::*;

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

/// The probes' listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Address and port.
    pub listen: Located<SocketAddr>,
}
