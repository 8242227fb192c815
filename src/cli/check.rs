//! `gatewarden check`: the validation of `serve`, without sockets.

use std::path::Path;

use super::{CliError, say};
use crate::config::LogFormat;
use crate::telemetry::log;

/// Reads the configuration and every file it names.
pub(super) fn run(file: &Path) -> Result<(), CliError> {
    log::start(tracing::Level::WARN, LogFormat::Text)?;
    let (config, _server) = super::prepare(file)?;
    let (listeners, routes, upstreams) = (config.listeners.len(), config.routes.len(), config.upstreams.len());
    say(format_args!(
        "{}: ok (listeners: {listeners}, routes: {routes}, upstreams: {upstreams}, directories: {})",
        file.display(),
        config.directories.len()
    ))
}
