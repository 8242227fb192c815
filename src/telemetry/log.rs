//! The program's own messages, on standard error, so that access lines have standard output for themselves.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

use crate::config::LogFormat;

/// Starts logging for the process; a second call changes nothing. Foreign crates are capped at `info`: at `trace` they print
/// what passes through them, secrets included.
pub fn start(level: Level, format: LogFormat) {
    let foreign = LevelFilter::from_level(level.min(Level::INFO));
    let filter = Targets::new().with_default(foreign).with_target("gatewarden", level);
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        LogFormat::Text => lines.with_filter(filter).boxed(),
    };
    let _already_started = tracing_subscriber::registry().with(lines).try_init();
}
