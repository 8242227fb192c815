//! The threads that check passwords: few, of low priority, behind a bounded queue. Knows no passwords.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
use tokio::sync::oneshot;

use crate::config::Login;
use crate::panics;

/// Nice enough that logins take little from requests that hold a session.
const NICENESS: i32 = 10;

/// Lowers this thread's priority.
pub(super) fn step_back() {
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::debug!(%error, "password checks run at normal priority");
    }
}

/// Leaves this thread only the time that nobody else wants, for good: niceness alone lets a check finish its slice of
/// milliseconds before a request that has just come.
fn stand_aside() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let thread = thread_priority::thread_native_id();
    if let Err(error) = thread_priority::set_thread_priority_and_policy(thread, ThreadPriority::Min, idle) {
        tracing::debug!(%error, "password checks of a flood run as others do");
    }
}

/// The queue was full, or the check's turn didn't come in time, or it panicked.
pub(super) struct Overloaded;

/// Runs checks on its own threads. Those start as checks come and end when none waits.
pub(super) struct Checks {
    shared: Arc<Shared>,
    timeout: Duration,
}

struct Shared {
    state: Mutex<State>,
    threads: usize,
    queue: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// Threads that live.
    running: usize,
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
    /// None runs yet.
    pub(super) fn new(login: &Login) -> Self {
        let shared = Shared { state: Mutex::default(), threads: login.concurrency.get(), queue: login.queue };
        Self { shared: Arc::new(shared), timeout: login.queue_timeout }
    }

    /// Whether these are what the configuration wants.
    pub(super) fn suit(&self, login: &Login) -> bool {
        let own = (self.shared.threads, self.shared.queue, self.timeout);
        own == (login.concurrency.get(), login.queue, login.queue_timeout)
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
        self.shared.admit(Job { given_up: Arc::clone(&give_up.0), deadline, work })?;
        // Only the wait has a deadline: what has begun is paid for and answers.
        if tokio::time::timeout_at(deadline.into(), started).await.is_err() && give_up.now() {
            return Err(Overloaded);
        }
        (&mut answer).await.map_err(|_| Overloaded)
    }
}

impl Job {
    fn run(self) {
        // Claimed by the same swap with which a login gives up: exactly one of both gets it.
        let wanted = !self.given_up.swap(true, Relaxed) && Instant::now() <= self.deadline;
        if wanted && catch_unwind(AssertUnwindSafe(self.work)).is_err() {
            panics::note("password_check", None);
        }
    }
}

impl GiveUp {
    /// True unless a thread was faster and has taken the job.
    fn now(&self) -> bool {
        !self.0.swap(true, Relaxed)
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Shared {
    /// Begins the job, or lets it wait while all threads are busy.
    fn admit(self: &Arc<Self>, job: Job) -> Result<(), Overloaded> {
        let mut state = self.lock();
        if state.running < self.threads {
            return self.start(&mut state, job);
        }
        if state.waiting.len() >= self.queue {
            state.waiting.retain(|job| !job.given_up.load(Relaxed));
        }
        if state.waiting.len() >= self.queue {
            return Err(Overloaded);
        }
        state.waiting.push_back(job);
        Ok(())
    }

    fn start(self: &Arc<Self>, state: &mut State, job: Job) -> Result<(), Overloaded> {
        let shared = Arc::clone(self);
        let started = thread::Builder::new().name("password-check".into()).spawn(move || shared.work(job));
        let started = started.map_err(|error| {
            tracing::warn!(%error, "no thread to check a password: raise the limit on threads");
            Overloaded
        });
        started.map(|_| state.running += 1)
    }

    fn work(&self, first: Job) {
        step_back();
        first.run();
        let mut aside = false;
        while let Some((job, crowded)) = self.next() {
            // No thread may take this back, but this one ends with the queue.
            if crowded && !aside {
                stand_aside();
                aside = true;
            }
            job.run();
        }
    }

    /// The job that waits longest, and whether half the queue was taken: then it isn't a few people who log in. Absent where
    /// none waits and the thread is to end.
    fn next(&self) -> Option<(Job, bool)> {
        let mut state = self.lock();
        let crowded = 2 * state.waiting.len() > self.queue;
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.running -= 1;
        }
        next.map(|job| (job, crowded))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
