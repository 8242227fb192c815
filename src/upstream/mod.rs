//! The APIs behind: which server, over which connection, and what passes in each direction. Accepts only admitted requests.

mod body;
mod connect;
mod exchange;
pub mod headers;
mod pool;
mod server;
mod tunnel;
pub(crate) mod websocket;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use body::{AnswerBody, BodyBounds, BodyFault, Progress, RequestBody, TrailerRule};
pub(crate) use exchange::Answered;
pub use exchange::{Failed, Fault};
pub use pool::Pools;
pub use server::Server;
pub(crate) use tunnel::{Passed, Tunnel};

use crate::config::{self, HostPolicy};

/// The servers behind one name.
#[derive(Debug)]
pub struct Upstream {
    /// As configured; names the upstream in logs.
    pub name: Arc<str>,
    pub(crate) policy: config::Upstream,
    servers: Vec<Arc<Server>>,
    start: AtomicUsize,
}

impl Upstream {
    /// Builds every upstream; servers are numbered through, so that a worker's pools can be a plain list.
    pub fn build_all<'a>(configured: impl Iterator<Item = (&'a String, &'a config::Upstream)>) -> Vec<Arc<Self>> {
        let mut ids = 0..;
        let mut server =
            |address: &config::ServerAddress| Arc::new(Server::new(ids.next().unwrap_or(0), address.clone()));
        let mut build = |(name, policy): (&String, &config::Upstream)| {
            let servers = policy.servers.iter().map(|address| server(&address.value)).collect();
            Arc::new(Self { name: name.as_str().into(), policy: policy.clone(), servers, start: AtomicUsize::new(0) })
        };
        configured.map(&mut build).collect()
    }

    /// Whether `Host` names the server instead of what the client asked for.
    pub(crate) fn renames_host(&self) -> bool {
        self.policy.host == HostPolicy::Server
    }

    /// A server's own host and port, for clients that name none.
    pub(crate) fn server_host(&self) -> Option<http::HeaderValue> {
        self.servers.first().map(|server| server.host_header.clone())
    }

    fn next_start(&self) -> usize {
        self.start.fetch_add(1, Relaxed)
    }
}
