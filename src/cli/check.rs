//! `gatewarden check`: the validation of `serve`, without sockets.

use std::path::Path;

use super::{CliError, say};
use crate::config;
use crate::server::Server;

/// Reads the configuration and every file it names.
pub(super) fn run(file: &Path) -> Result<(), CliError> {
    let config = config::load(file, super::environment())?;
    Server::prepare(&config)?;
    let (listeners, routes, upstreams) = (config.listeners.len(), config.routes.len(), config.upstreams.len());
    say(format_args!(
        "{}: ok (listeners: {listeners}, routes: {routes}, upstreams: {upstreams}, directories: {})",
        file.display(),
        config.directories.len()
    ))
}
