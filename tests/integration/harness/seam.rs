//! How the program is put together: the one file to change when that changes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What a test may do with a gateway that runs.
pub(super) struct Running {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) health: Option<SocketAddr>,
    pub(super) drain: Box<dyn Fn() + Send + Sync>,
    pub(super) join: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

/// Starts a gateway as `serve` does.
pub(super) fn run(path: &Path) -> Running {
    let config = gatewarden::config::load(path, std::iter::empty()).unwrap_or_else(|problems| panic!("{problems}"));
    let server = gatewarden::server::Server::prepare(&config).expect("a gateway").bind().expect("free ports");
    let (addresses, health) = (server.addresses(), server.health_address());
    let handle = Arc::new(server.start());
    let drained = handle.clone();
    Running {
        addresses,
        health,
        drain: Box::new(move || drained.drain()),
        join: Mutex::new(Some(Box::new(move || drop(handle.join())))),
    }
}
