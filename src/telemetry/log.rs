//! The program's own messages, on standard error, so that access lines have standard output for themselves.

use std::io::IsTerminal as _;

use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use crate::config::LogFormat;
use crate::panics;

/// Starts logging for the process, panics included; a second call changes nothing.
pub fn start(level: Level, format: LogFormat) {
    panics::say_where();
    let colours = std::io::stderr().is_terminal();
    let _already_started = subscriber(level, format, (std::io::stderr, colours)).try_init();
}

/// What writes messages down, with colours or without. Foreign crates are capped at `info`, whatever `level` says: at `trace`
/// they print what passes through them, secrets included.
pub fn subscriber<W>(level: Level, format: LogFormat, (writer, colours): (W, bool)) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let foreign = LevelFilter::from_level(level.min(Level::INFO));
    let filter = Targets::new().with_default(foreign).with_target("gatewarden", level);
    // A message that can't be written is lost: complaining about that on the same standard error would panic.
    let lines = fmt::layer::<Registry>().with_ansi(colours).with_writer(writer).log_internal_errors(false);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_filter(filter).boxed(),
        LogFormat::Text => lines.with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(lines)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(level: Level) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = subscriber(level, LogFormat::Text, (move || writer.clone(), false));
        tracing::subscriber::with_default(lines, || {
            tracing::trace!(target: "gatewarden::server", "ours-trace");
            tracing::error!(target: "gatewarden::server", "ours-error");
            tracing::debug!(target: "h2::codec", "theirs-debug");
            tracing::trace!(target: "rustls", "theirs-trace");
            tracing::info!(target: "hyper::proto", "theirs-info");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn foreign_crates_say_nothing_below_info_whatever_the_level_is() {
        let most = written(Level::TRACE);
        assert!(["ours-trace", "ours-error", "theirs-info"].iter().all(|said| most.contains(said)), "{most}");
        assert!(!most.contains("theirs-debug") && !most.contains("theirs-trace"), "{most}");
        let least = written(Level::ERROR);
        assert!(least.contains("ours-error") && !least.contains("theirs") && !least.contains("ours-trace"), "{least}");
    }
}
