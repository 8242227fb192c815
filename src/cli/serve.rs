//! `gatewarden serve`: load, log where it listens, run, reload at SIGHUP, drain.

use std::path::Path;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CliError;
use crate::config;
use crate::server::Running;
use crate::telemetry::log;

/// Runs until a signal, then drains.
pub(super) fn run(file: &Path) -> Result<(), CliError> {
    let waiting = Waiting::listen()?;
    let (_config, server) = super::prepare(file)?;
    let bound = server.bind()?;
    bound.announce();
    waiting.until_drained(bound.start()?, |running| {
        let file = file.to_owned();
        running.reopen_logs();
        running.reload(Box::new(move || config::survey(&file, super::environment())));
    })
}

/// Listens for signals; begun before anything else, so that none that comes early is lost.
pub(super) struct Waiting {
    runtime: Runtime,
    signals: Signals,
}

impl Waiting {
    pub(super) fn listen() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _context = runtime.enter();
            Signals::listen()?
        };
        Ok(Self { runtime, signals })
    }

    /// Waits for the first signal to end, drains, and gives up the drain at the second. `hang_up` is what SIGHUP does until then.
    pub(super) fn until_drained(self, running: Running, hang_up: impl Fn(&Running)) -> Result<(), CliError> {
        let Self { runtime, mut signals } = self;
        runtime.block_on(async {
            while signals.next().await == Asked::ToReload {
                hang_up(&running);
            }
            running.drain();
            let last_words = running.last_words();
            let mut drained = tokio::task::spawn_blocking(|| running.join());
            loop {
                tokio::select! {
                    _ = &mut drained => return Ok(()),
                    asked = signals.next() => if asked == Asked::ToEnd {
                        tracing::warn!("a second signal: ending at once");
                        last_words.say();
                        log::flush();
                        std::process::exit(1);
                    },
                }
            }
        })
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// Not asked for: a file that reached the limit of its size would end the process; heard, it is an error of writing only.
    _file_size: Signal,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    ToEnd,
    ToReload,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::ToEnd,
            _ = self.interrupt.recv() => Asked::ToEnd,
            _ = self.hang_up.recv() => Asked::ToReload,
        }
    }
}
