//! The threads that check passwords: few, of low priority, behind a bounded queue. Knows no passwords.

use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::config::Login;
use crate::panics;

/// Nice enough that a login storm takes nothing from requests that hold a session.
const NICENESS: i32 = 10;

/// Lowers this thread's priority.
pub(super) fn step_back() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "password checks run at normal priority");
    }
}

/// The queue was full, or the check's turn didn't come in time, or it panicked.
pub(super) struct Overloaded;

/// Runs checks on its own threads. Those end once it is dropped and their check is done.
pub(super) struct Checks {
    shared: Arc<Shared>,
    threads: NonZeroUsize,
    queue: usize,
    timeout: Duration,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Threads that run no check.
    free: usize,
    closed: bool,
}

struct Job {
    /// True once nobody waits any more, unless a thread has taken the job before.
    given_up: Arc<AtomicBool>,
    deadline: Instant,
    work: Box<dyn FnOnce() + Send>,
}

/// Set when the login goes away, so that a check that still waits is skipped. One that runs keeps its thread.
struct GiveUp(Arc<AtomicBool>);

impl Checks {
    /// Starts `concurrency` threads.
    ///
    /// # Errors
    /// The system's, where it gives no thread.
    pub(super) fn start(login: &Login) -> io::Result<Self> {
        let (threads, queue, timeout) = (login.concurrency, login.queue, login.queue_timeout);
        let checks = Self { shared: Arc::default(), threads, queue, timeout };
        checks.shared.lock().free = login.concurrency.get();
        for _ in 0..login.concurrency.get() {
            let shared = Arc::clone(&checks.shared);
            std::thread::Builder::new().name("password-check".into()).spawn(move || shared.work())?;
        }
        Ok(checks)
    }

    /// Whether these are what the configuration wants.
    pub(super) fn suit(&self, login: &Login) -> bool {
        (self.threads, self.queue, self.timeout) == (login.concurrency, login.queue, login.queue_timeout)
    }

    /// The answer that `check` sends from one of the threads; it may go on working afterwards.
    ///
    /// # Errors
    /// [`Overloaded`].
    pub(super) async fn run<T: Send + 'static>(
        &self,
        check: impl FnOnce(oneshot::Sender<T>) + Send + 'static,
    ) -> Result<T, Overloaded> {
        let (send, mut answer) = oneshot::channel();
        let (start, started) = oneshot::channel();
        let give_up = GiveUp(Arc::default());
        let deadline = Instant::now() + self.timeout;
        let work = Box::new(move || {
            let _ = start.send(());
            check(send);
        });
        self.enqueue(Job { given_up: Arc::clone(&give_up.0), deadline, work })?;
        // Only the wait has a deadline: what has begun is paid for and answers.
        if tokio::time::timeout_at(deadline.into(), started).await.is_err() && give_up.now() {
            return Err(Overloaded);
        }
        (&mut answer).await.map_err(|_| Overloaded)
    }

    fn enqueue(&self, job: Job) -> Result<(), Overloaded> {
        let mut state = self.shared.lock();
        if state.waiting.len() >= state.free + self.queue {
            state.waiting.retain(|job| !job.given_up.load(Relaxed));
        }
        if state.waiting.len() >= state.free + self.queue {
            return Err(Overloaded);
        }
        state.waiting.push_back(job);
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl GiveUp {
    /// True unless a thread was faster and has taken the job.
    fn now(&self) -> bool {
        !self.0.swap(true, Relaxed)
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Shared {
    fn work(&self) {
        step_back();
        while let Some(job) = self.next() {
            // Claimed by the same swap with which a login gives up: exactly one of both gets it.
            let wanted = !job.given_up.swap(true, Relaxed) && Instant::now() <= job.deadline;
            if wanted && catch_unwind(AssertUnwindSafe(job.work)).is_err() {
                panics::note("password_check", None);
            }
            self.lock().free += 1;
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                state.free -= 1;
                return Some(job);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
