//! Who of those that one task runs has called, so that it polls them and no others; and the task is woken only while it sleeps.

use std::sync::Arc;
use std::task::{Wake, Waker};

use crate::sync::atomic::{AtomicU64, Ordering::AcqRel, Ordering::Acquire};

/// How many can call.
pub(crate) const PLACES: u32 = 63;
/// That the task sees to whoever calls: in the same word as the calls, so that of the two none comes unseen between the other.
const AWAKE: u64 = 1 << PLACES;

/// The calls of those who have a place, as bits.
#[derive(Debug)]
pub(crate) struct Calls {
    places: AtomicU64,
    task: Waker,
}

/// Who has a place, as it is known to what it waits for.
#[derive(Debug)]
struct Caller {
    calls: Arc<Calls>,
    place: u32,
}

impl Calls {
    /// Calls that `task` sees to, which is awake.
    pub(crate) fn of(task: &Waker) -> Arc<Self> {
        Arc::new(Self { places: AtomicU64::new(AWAKE), task: task.clone() })
    }

    /// Calls for one place.
    pub(crate) fn waker(self: &Arc<Self>, place: u32) -> Waker {
        Arc::new(Caller { calls: self.clone(), place }).into()
    }

    /// The task is awake: until [`Calls::leave`] nobody wakes it.
    pub(crate) fn attend(&self) {
        self.places.fetch_or(AWAKE, AcqRel);
    }

    /// Whether anybody has called.
    pub(crate) fn any(&self) -> bool {
        self.places.load(Acquire) & !AWAKE != 0
    }

    /// Who of those at these places has called since they were asked last.
    pub(crate) fn take(&self, places: u64) -> u64 {
        let places = places & !AWAKE;
        if self.places.load(Acquire) & places == 0 { 0 } else { self.places.fetch_and(!places, AcqRel) & places }
    }

    /// The task is about to sleep; false where it must not, for somebody has called.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        self.places.fetch_and(!AWAKE, AcqRel) == AWAKE
    }
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Where somebody has called before, the task is awake or woken.
        if self.calls.places.fetch_or(1 << self.place, AcqRel) == 0 {
            self.calls.task.wake_by_ref();
        }
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
        let woken = Arc::<Woken>::default();
        let (calls, times) = (Calls::of(&woken.clone().into()), || woken.0.load(std::sync::atomic::Ordering::Relaxed));
        calls.waker(3).wake_by_ref();
        calls.waker(62).wake();
        assert_eq!((calls.take(1 << 62), calls.take(1 << 62), calls.any()), (1 << 62, 0, true));
        assert!(!calls.leave(), "somebody has called");
        assert_eq!((calls.take(!0), times()), (1 << 3, 0));
        calls.attend();
        assert!(calls.leave());
        calls.waker(0).wake();
        calls.waker(1).wake();
        assert_eq!((calls.take(!0), times()), (3, 1));
    }
}

#[cfg(all(test, feature = "races"))]
mod races {
    use super::*;
    use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};

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
            let task = Arc::new(Task::default());
            let calls = Calls::of(&task.clone().into());
            let callers = [0, 1].map(|place| {
                let waker = calls.waker(place);
                loom::thread::spawn(move || waker.wake())
            });
            let mut seen = calls.take(3);
            let sleeps = calls.leave();
            callers.into_iter().for_each(|caller| caller.join().unwrap());
            let woken = !sleeps || task.0.load(SeqCst);
            let late = calls.take(3);
            assert!(late == 0 || woken, "nobody calls in vain");
            seen |= late;
            assert_eq!(seen, 3);
        });
    }
}
