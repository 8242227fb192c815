//! A thread that writes lines until there are no more, and can be waited for, but not for ever.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The thread. Closes its channel when it is done; a thread's own handle can only be waited for without end.
#[derive(Debug)]
pub(super) struct Writer(Mutex<Receiver<Infallible>>);

impl Writer {
    /// Starts it.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub(super) fn start(name: &str, write: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (open, done) = channel();
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let _open_until_the_end = open;
            write();
        })?;
        Ok(Self(Mutex::new(done)))
    }

    /// Whether it was done in time.
    pub(super) fn ends_within(&self, patience: Duration) -> bool {
        let done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        done.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
    }
}
