//! Runs a connection and the futures that belong to it, one a stream, within one task. As tasks of their own each would be entered into
//! the event loop's books and struck out again, and wake the connection for what it is about to be polled for anyway.

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::unconstrained;

use super::calls::{Calls, PLACES};
use super::finish::Finish;

/// How often in one poll whoever has called is polled: a stream that begins calls once more, and then the connection has something to
/// write. Who calls again and again leaves the event loop to others in between.
const ROUNDS: usize = 3;

/// The first place of the first row.
const CONNECTION: u64 = 1;

type Boxed = Pin<Box<dyn Future<Output = ()>>>;

/// Where futures are handed over that a connection is to run.
#[derive(Clone, Default)]
pub(crate) struct Newcomers(Rc<RefCell<Vec<Boxed>>>);

/// A connection and what was handed over for it, which ends with it.
pub(crate) struct Together<C> {
    connection: C,
    newcomers: Newcomers,
    rows: Vec<Row>,
}

/// Places where one future runs after the other. A late call for one that is gone does the next no harm.
struct Row {
    calls: Arc<Calls>,
    places: Vec<(Waker, Option<Boxed>)>,
    /// Those that are taken, as bits, and those of newcomers.
    taken: u64,
    new: u64,
}

impl Newcomers {
    /// Hands `future` over, to be polled soon.
    pub(crate) fn push(&self, future: impl Future<Output = ()> + 'static) {
        self.0.borrow_mut().push(Box::pin(future));
    }
}

impl<C> Together<C> {
    /// Whoever runs may hand over more: the connection, and what was handed over before.
    pub(crate) fn new(connection: C, newcomers: Newcomers) -> Self {
        Self { connection, newcomers, rows: Vec::new() }
    }

    fn take_in(&mut self, task: &Waker) {
        let newcomers = self.newcomers.clone();
        for future in newcomers.0.borrow_mut().drain(..) {
            let free = self.rows.iter().position(Row::has_room).unwrap_or(self.rows.len());
            if free == self.rows.len() {
                self.rows.push(Row::new(task));
            }
            self.rows[free].take_in(Some(future));
        }
    }

    fn run_called(&mut self) {
        for (number, row) in self.rows.iter_mut().enumerate() {
            row.run_called(if number == 0 { !CONNECTION } else { !0 });
        }
    }
}

impl<C: Future + Unpin> Together<C> {
    /// Streams first: what they answer, the connection then writes.
    fn poll_rounds(&mut self, cx: &mut Context<'_>) -> Poll<C::Output> {
        for round in 0..ROUNDS {
            // What a stream does at once is bounded by its window; what tokio grants a task at once is the connection's.
            let run = pin!(unconstrained(async { self.run_called() }));
            let _done = run.poll(cx);
            let first = &self.rows[0];
            if first.calls.take(CONNECTION) != 0 || round == 0 {
                let polled = Pin::new(&mut self.connection).poll(&mut Context::from_waker(&first.places[0].0));
                if polled.is_ready() {
                    return polled;
                }
            }
            self.take_in(cx.waker());
            if !self.rows.iter().any(Row::has_calls) {
                break;
            }
        }
        Poll::Pending
    }
}

impl<C: Future + Unpin> Future for Together<C> {
    type Output = C::Output;

    /// To be polled by one task, always the same.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        if self.rows.is_empty() {
            let mut first = Row::new(cx.waker());
            first.take_in(None);
            self.rows.push(first);
        }
        self.rows.iter().for_each(|row| row.calls.attend());
        let polled = self.poll_rounds(cx);
        let sleeps = self.rows.iter().fold(true, |sleeps, row| (row.calls.leave() && row.new == 0) & sleeps);
        if polled.is_pending() && !sleeps {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

impl<C> Drop for Together<C> {
    /// Those that never had a place know where they were handed over, and would keep each other alive.
    fn drop(&mut self) {
        drop(self.newcomers.0.take());
    }
}

impl<C: Finish + Unpin> Finish for Together<C> {
    fn finish(mut self: Pin<&mut Self>) {
        Pin::new(&mut self.connection).finish();
    }
}

impl Row {
    fn new(task: &Waker) -> Self {
        Self { calls: Calls::of(task), places: Vec::new(), taken: 0, new: 0 }
    }

    fn has_room(&self) -> bool {
        self.taken.trailing_ones() < PLACES
    }

    fn has_calls(&self) -> bool {
        self.new != 0 || self.calls.any()
    }

    /// Gives it the first free place; the connection, which is polled apart, has one without a future.
    fn take_in(&mut self, future: Option<Boxed>) {
        let place = self.taken.trailing_ones();
        self.taken |= 1 << place;
        self.new |= u64::from(future.is_some()) << place;
        match self.places.get_mut(place as usize) {
            Some((_, free)) => *free = future,
            None => self.places.push((self.calls.waker(place), future)),
        }
    }

    fn run_called(&mut self, places: u64) {
        let mut called = std::mem::take(&mut self.new) | self.calls.take(places);
        while called != 0 {
            let place = called.trailing_zeros();
            called &= called - 1;
            if self.ends(place as usize) {
                self.taken &= !(1 << place);
            }
        }
    }

    /// Polls who has that place. A panic ends him and nobody else.
    fn ends(&mut self, place: usize) -> bool {
        let Some((waker, future)) = self.places.get_mut(place) else { return true };
        let polled = catch_unwind(AssertUnwindSafe(|| match future {
            Some(future) => future.as_mut().poll(&mut Context::from_waker(waker)),
            None => Poll::Ready(()),
        }));
        if let Ok(Poll::Pending) = polled {
            return false;
        }
        let _panicked = catch_unwind(AssertUnwindSafe(|| *future = None));
        true
    }
}

impl fmt::Debug for Newcomers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Newcomers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, poll_fn};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::task::Wake;

    use super::*;

    /// Counts how often the task was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// A connection that hands over nothing, and how to poll it.
    fn idle() -> (Newcomers, Arc<Woken>, impl FnMut() -> bool) {
        let (newcomers, woken) = (Newcomers::default(), Arc::<Woken>::default());
        let mut together = Together::new(Box::pin(pending::<()>()), newcomers.clone());
        let waker = woken.clone().into();
        let poll = move || Pin::new(&mut together).poll(&mut Context::from_waker(&waker)).is_ready();
        (newcomers, woken, poll)
    }

    /// Counts in `polled`, and leaves its waker in `waits` each time.
    fn waiting(polled: &Rc<Cell<usize>>, waits: &Rc<RefCell<Vec<Waker>>>) -> impl Future<Output = ()> + use<> {
        let (polled, waits) = (polled.clone(), waits.clone());
        poll_fn(move |cx| {
            polled.set(polled.get() + 1);
            waits.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
    }

    #[test]
    fn only_who_has_called_is_polled_and_the_task_is_woken_for_it() {
        let (newcomers, woken, mut poll) = idle();
        let (polled, waits) = (Rc::<Cell<usize>>::default(), Rc::<RefCell<Vec<Waker>>>::default());
        (0..100).for_each(|_| newcomers.push(waiting(&polled, &waits)));
        assert!(!poll() && !poll());
        assert_eq!((polled.get(), woken.0.load(Relaxed)), (100, 0));
        let [one, other] = [3, 99].map(|number| waits.borrow()[number].clone());
        one.wake_by_ref();
        other.wake();
        one.wake();
        assert_eq!(woken.0.load(Relaxed), 2, "once for each row");
        assert!(!poll() && !poll());
        assert_eq!(polled.get(), 102);
    }

    #[test]
    fn a_panic_ends_one_and_its_place_is_given_to_the_next() {
        let (newcomers, _woken, mut poll) = idle();
        let (polled, waits) = (Rc::<Cell<usize>>::default(), Rc::<RefCell<Vec<Waker>>>::default());
        struct Held;
        impl Drop for Held {
            fn drop(&mut self) {
                assert!(std::thread::panicking(), "it is dropped as it panics");
            }
        }
        newcomers.push(async {
            let _held = Held;
            panic!("as it may");
        });
        newcomers.push(waiting(&polled, &waits));
        assert!(!poll());
        newcomers.push(waiting(&polled, &waits));
        assert!(!poll());
        assert_eq!(polled.get(), 2);
        waits.take().into_iter().for_each(Waker::wake);
        assert!(!poll());
        assert_eq!(polled.get(), 4);
    }

    #[test]
    fn a_connection_that_is_done_takes_all_with_it() {
        let (newcomers, alive) = (Newcomers::default(), Rc::new(()));
        let handed = (newcomers.clone(), alive.clone());
        let mut polls = 0;
        let connection = poll_fn(move |_| {
            polls += 1;
            let alive = handed.1.clone();
            handed.0.push(async move {
                pending::<()>().await;
                drop(alive);
            });
            if polls > 1 { Poll::Ready(()) } else { Poll::Pending }
        });
        let mut together = Together::new(connection, newcomers.clone());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut together).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut together).poll(&mut cx).is_ready());
        drop(together);
        assert_eq!(Rc::strong_count(&alive), 1, "not even the last one lives, which nobody polled");
    }

    #[test]
    fn who_calls_without_end_leaves_the_event_loop_to_others_and_is_polled_again() {
        let (newcomers, woken, mut poll) = idle();
        let polls = Rc::<Cell<usize>>::default();
        let counted = polls.clone();
        newcomers.push(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            cx.waker().wake_by_ref();
            Poll::Pending
        }));
        for turn in 1..10 {
            assert!(!poll());
            assert_eq!(woken.0.load(Relaxed), turn);
        }
        assert!((9..=9 * ROUNDS).contains(&polls.get()));
    }
}
