//! The program's own messages, on standard error, so that access lines have standard output for themselves.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use std::time::Duration;

use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use super::messages::Messages;
use super::target::{Place, Target};
use crate::config::LogFormat;
use crate::panics;

/// How long the last messages of the process may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long whoever panics waits for his words to be written: the process may end with him.
const PANIC: Duration = Duration::from_millis(100);

/// Those of the process.
static MESSAGES: OnceLock<Messages> = OnceLock::new();

/// Starts logging for the process, panics included; a second call changes nothing.
///
/// # Errors
/// When there is no thread that could write.
pub fn start(level: Level, format: LogFormat) -> io::Result<()> {
    if MESSAGES.get().is_some() {
        return Ok(());
    }
    let messages = Messages::start(Target::open(Place::Stderr)?)?;
    let writer = MESSAGES.get_or_init(|| messages);
    let colours = io::stderr().is_terminal();
    let _already_started = subscriber(level, format, (|| writer.clone(), colours)).try_init();
    panics::say_where(|| writer.flush(PANIC));
    Ok(())
}

/// Waits until what was said is written, but not for ever. To be called before the process ends.
pub fn flush() {
    if let Some(messages) = MESSAGES.get() {
        messages.flush(LAST_WORDS);
    }
}

/// Messages dropped since the start, because nobody read what was written to standard error.
pub fn dropped() -> u64 {
    MESSAGES.get().map_or(0, Messages::dropped)
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
