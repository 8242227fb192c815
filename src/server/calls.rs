//! Who of those that one task runs has called, so that it polls them and no others; and the task is woken only while it sleeps.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::sync::OnceLock;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Wakes the task, unless it is about to look who has called.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    task: OnceLock<Waker>,
    attended: AtomicBool,
}

/// The calls of as many as there are bits.
#[derive(Debug)]
pub(crate) struct Calls {
    places: AtomicU64,
    bell: Arc<Bell>,
}

/// One of them.
#[derive(Debug)]
struct Caller {
    calls: Arc<Calls>,
    place: u32,
}

impl Bell {
    /// The task is awake, always the same: until [`Bell::leave`] it sees to whoever calls.
    pub(crate) fn attend(&self, task: &Waker) {
        if self.task.get().is_none() {
            let _first = self.task.set(task.clone());
        }
        self.attended.store(true, SeqCst);
    }

    /// The task is about to sleep. It must look for calls once more, which may have come until now.
    pub(crate) fn leave(&self) {
        // All are SeqCst: of who calls and looks whether the task is awake, and the task that says it is not and looks who has called,
        // one at least sees the other.
        self.attended.store(false, SeqCst);
    }

    fn ring(&self) {
        if !self.attended.load(SeqCst) {
            self.task.get().into_iter().for_each(Waker::wake_by_ref);
        }
    }
}

impl Calls {
    pub(crate) fn new(bell: &Arc<Bell>) -> Arc<Self> {
        Arc::new(Self { places: AtomicU64::new(0), bell: bell.clone() })
    }

    /// Calls for one place.
    pub(crate) fn waker(self: &Arc<Self>, place: u32) -> Waker {
        Arc::new(Caller { calls: self.clone(), place }).into()
    }

    /// Whether anybody has called.
    pub(crate) fn any(&self) -> bool {
        self.places.load(SeqCst) != 0
    }

    /// The places, as bits, of all who have called since this was asked last.
    pub(crate) fn take(&self) -> u64 {
        if self.any() { self.places.swap(0, SeqCst) } else { 0 }
    }
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.calls.places.fetch_or(1 << self.place, SeqCst);
        self.calls.bell.ring();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Woken(std::sync::atomic::AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn the_task_is_woken_only_while_it_sleeps_and_told_who_has_called() {
        let (bell, woken) = (Arc::<Bell>::default(), Arc::<Woken>::default());
        let (calls, times) = (Calls::new(&bell), || woken.0.load(std::sync::atomic::Ordering::Relaxed));
        bell.attend(&woken.clone().into());
        calls.waker(3).wake_by_ref();
        calls.waker(63).wake();
        assert_eq!((times(), calls.take(), calls.take()), (0, 1 << 63 | 1 << 3, 0));
        bell.leave();
        calls.waker(0).wake();
        assert_eq!((times(), calls.any(), calls.take(), calls.any()), (1, true, 1, false));
    }
}

#[cfg(all(test, feature = "races"))]
mod races {
    use super::*;

    #[derive(Default)]
    struct Task(AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }

    #[test]
    fn whoever_calls_is_seen_or_the_task_is_woken() {
        loom::model(|| {
            let (bell, task) = (Arc::<Bell>::default(), Arc::new(Task::default()));
            let calls = Calls::new(&bell);
            bell.attend(&task.clone().into());
            let waker = calls.waker(1);
            let far = loom::thread::spawn(move || waker.wake());
            let mut seen = calls.take();
            bell.leave();
            seen |= calls.take();
            far.join().unwrap();
            assert!(seen == 2 || (task.0.load(SeqCst) && calls.take() == 2));
        });
    }
}
