//! What a panic costs: one task. It is counted, said without its own words, and what must go on begins again.

use std::any::Any;
use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::telemetry::counters::ByName;

#[cfg(not(panic = "unwind"))]
compile_error!("a panic must cost one task, not the process: build with panic = \"unwind\"");

/// Before something begins again: what panics at once would spin otherwise.
const PAUSE: Duration = Duration::from_millis(100);

/// All panics of the process, by the task that they ended.
static COUNTED: ByName = ByName::new();

/// The panics so far, by the task that they ended.
pub(crate) fn counted() -> Vec<(&'static str, u64)> {
    COUNTED.read()
}

/// Counts a panic that was caught, and says what it ended.
pub(crate) fn note(task: &'static str, peer: Option<SocketAddr>) {
    COUNTED.add(task);
    let peer = peer.map(tracing::field::display);
    tracing::error!(task, peer, reason = "panicked", "a fault of the gateway ended this task and no other");
}

/// Has panics said where all else is said, and `written` called then. The words of most are left out: what was formatted into them
/// may be a secret.
pub(crate) fn say_where(written: impl Fn() + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |panic: &PanicHookInfo<'_>| {
        let (thread, words) = (std::thread::current(), words(panic.payload()));
        let (thread, place) = (thread.name(), panic.location().map(tracing::field::display));
        tracing::error!(thread, place, words, "PANIC: please report this line");
        written();
    }));
}

/// What a panic says, where that is part of the program.
fn words(payload: &(dyn Any + Send)) -> Option<&'static str> {
    payload.downcast_ref::<&'static str>().copied()
}

/// Lives in a task, or in a stream within one, and counts the panic that ends it: whoever polls that catches it, and drops what it holds
/// on the way.
#[derive(Debug)]
pub(crate) struct Witness {
    task: &'static str,
    /// Whom the task is for, where it knows.
    pub(crate) peer: Cell<Option<SocketAddr>>,
}

impl Witness {
    pub(crate) fn of(task: &'static str, peer: Option<SocketAddr>) -> Self {
        Self { task, peer: Cell::new(peer) }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            note(self.task, self.peer.get());
        }
    }
}

/// Runs what `begin` begins until it ends, and begins again where a panic ended it.
pub(crate) async fn restarting<T>(task: &'static str, mut begin: impl AsyncFnMut() -> T) -> T {
    loop {
        let mut run = pin!(begin());
        let polled = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_words) => Poll::Ready(None),
        });
        if let Some(ended) = polled.await {
            return ended;
        }
        note(task, None);
        tokio::time::sleep(PAUSE).await;
    }
}

/// As [`restarting`], for a thread.
pub(crate) fn restarting_thread<T>(task: &'static str, mut run: impl FnMut() -> T) -> T {
    loop {
        if let Ok(ended) = catch_unwind(AssertUnwindSafe(&mut run)) {
            return ended;
        }
        note(task, None);
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(task: &str) -> u64 {
        counted().iter().find(|(name, _)| *name == task).map_or(0, |(_, times)| *times)
    }

    #[test]
    fn what_was_formatted_into_a_panic_is_not_repeated() {
        let said = |panics: fn()| catch_unwind(panics).map_err(|payload| words(&*payload)).unwrap_err();
        assert_eq!(said(|| panic!("part of the program")), Some("part of the program"));
        assert_eq!(said(|| panic!("{}", std::process::id())), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_begins_again_and_keeps_what_it_was_lent() {
        let (sender, mut inbox) = tokio::sync::mpsc::unbounded_channel();
        (1..=4).for_each(|number| sender.send(number).unwrap());
        drop(sender);
        let mut got = Vec::new();
        let serve = async || {
            while let Some(number) = inbox.recv().await {
                assert!(number % 2 == 1, "even numbers are too much");
                got.push(number);
            }
        };
        restarting("test_loop", serve).await;
        assert_eq!((got, times("test_loop")), (vec![1, 3], 2));
    }

    #[test]
    fn a_thread_that_panics_begins_again() {
        let mut left = 2;
        let run = || {
            left -= 1;
            assert!(left == 0, "not yet");
            "ended"
        };
        assert_eq!((restarting_thread("test_thread", run), times("test_thread")), ("ended", 1));
    }

    #[tokio::test]
    async fn a_task_that_panics_is_counted_and_one_that_ends_or_is_aborted_is_not() {
        let witnessed = |panics: bool| async move {
            let _witness = Witness::of("test_task", Some(SocketAddr::from(([192, 0, 2, 1], 7))));
            tokio::task::yield_now().await;
            assert!(!panics, "asked to");
        };
        tokio::spawn(witnessed(false)).await.unwrap();
        let aborted = tokio::spawn(witnessed(false));
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        assert_eq!(times("test_task"), 0);
        assert!(tokio::spawn(witnessed(true)).await.unwrap_err().is_panic());
        assert_eq!(times("test_task"), 1);
    }
}
