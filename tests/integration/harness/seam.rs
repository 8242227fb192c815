//! How the program is put together: the one file to change when that changes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use gatewarden::server::Server;

/// A gateway at work; dropped, it is cut.
pub(super) struct Running {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) health: Option<SocketAddr>,
    pub(super) server: gatewarden::server::Running,
}

/// Starts a gateway as `serve` does.
pub(super) fn run(path: &Path) -> Running {
    let config = gatewarden::config::load(path, std::iter::empty()).unwrap_or_else(|problems| panic!("{problems}"));
    let server = Server::prepare(&config).unwrap_or_else(|problems| panic!("{problems}"));
    let bound = server.bind().expect("free ports");
    let (addresses, health) = (bound.addresses(), bound.health_address());
    Running { addresses, health, server: bound.start().expect("threads") }
}

/// Has the configuration read again, as `serve` does at SIGHUP.
pub(super) fn reload(running: &Running, path: PathBuf) {
    running.server.reload(Box::new(move || gatewarden::config::survey(&path, std::iter::empty())));
}
