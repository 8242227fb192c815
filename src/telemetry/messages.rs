//! The program's own messages on their way to standard error: a bounded buffer, so that nobody who says something waits for whoever
//! reads it. Knows nothing of what they say.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::target::Target;
use crate::panics::restarting_thread;

/// Bytes that may wait; messages beyond are dropped and counted.
const BUFFER: usize = 1 << 20;

/// Takes messages, each of them in one write.
#[derive(Clone, Debug)]
pub(super) struct Messages(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Whether some have been taken out and may not be written yet.
    writing: bool,
}

impl Messages {
    /// Starts the thread that writes, which lives as long as the process.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(super) fn start(mut target: Target) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let shared = queue.clone();
        std::thread::Builder::new().name("messages".into()).spawn(move || {
            restarting_thread("messages", || shared.drain_into(&mut target));
        })?;
        Ok(Self(queue))
    }

    /// Messages dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// Waits until all are written, but not for ever: there may be nobody who reads them.
    pub(super) fn flush(&self, patience: Duration) {
        drop(self.0.emptied.wait_timeout_while(self.0.lock(), patience, |state| state.is_busy()));
    }
}

impl Write for Messages {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.waiting.len() + message.len() > BUFFER {
            self.0.dropped.fetch_add(1, Relaxed);
        } else {
            state.waiting.extend_from_slice(message);
            self.0.filled.notify_one();
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl State {
    fn is_busy(&self) -> bool {
        self.writing || !self.waiting.is_empty()
    }
}

impl Queue {
    fn drain_into(&self, target: &mut Target) -> ! {
        let (mut batch, mut told) = (Vec::new(), 0);
        loop {
            self.take(&mut batch);
            let written = target.write_out(&mut batch);
            let torn = target.rest_of_line(&batch).len();
            let lost = batch[torn..].iter().filter(|byte| **byte == b'\n').count() as u64;
            batch.truncate(torn);
            let dropped = self.dropped.fetch_add(lost, Relaxed) + lost;
            // Not where writing failed, for this would fail as well, and so on.
            if written.is_ok() && dropped > told {
                tracing::warn!(messages = dropped - told, "messages dropped: what reads them is too slow, or was gone");
                told = dropped;
            }
        }
    }

    /// Waits for messages and takes them out.
    fn take(&self, batch: &mut Vec<u8>) {
        let mut state = self.lock();
        state.writing = false;
        self.emptied.notify_all();
        let idle = |state: &mut State| state.waiting.is_empty();
        state = self.filled.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        state.writing = true;
        batch.append(&mut state.waiting);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::telemetry::target::Place;

    const LONG_ENOUGH: Duration = Duration::from_secs(30);

    fn into(path: &Path) -> Messages {
        Messages::start(Target::open(Place::File(path.to_owned())).unwrap()).unwrap()
    }

    #[test]
    fn what_was_said_is_there_once_it_is_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("messages");
        let mut messages = into(&path);
        for number in 0..100 {
            writeln!(messages, "message {number}").unwrap();
        }
        Messages::flush(&messages, LONG_ENOUGH);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().last(), Some("message 99"));
    }

    #[test]
    fn nobody_waits_for_who_does_not_read_and_what_does_not_fit_is_counted() {
        let (mut read, write) = io::pipe().unwrap();
        let mut messages = Messages::start(Target::into(write)).unwrap();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        while messages.dropped() < 10 {
            messages.write_all(&line).unwrap();
        }
        Messages::flush(&messages, Duration::from_millis(1));
        assert!(messages.0.lock().is_busy(), "waited for, but not for ever");
        std::thread::spawn(move || io::copy(&mut read, &mut io::sink()));
        Messages::flush(&messages, LONG_ENOUGH);
        assert!(!messages.0.lock().is_busy() && messages.dropped() == 10);
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_what_can_later_is() {
        let (read, write) = io::pipe().unwrap();
        drop(read);
        let mut messages = Messages::start(Target::into(write)).unwrap();
        messages.write_all(b"lost\n").unwrap();
        Messages::flush(&messages, LONG_ENOUGH);
        assert_eq!(messages.dropped(), 1);
    }
}
