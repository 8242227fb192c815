//! Tells those who still wait after a while that they do, with one timer for all of a worker's: since all wait equally long, whoever
//! came first is due first, but for a turn of the loop that lies between when some began and when they come; nearly all are gone before.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Those who wait, in the order in which they are due.
#[derive(Debug)]
pub(crate) struct Soon {
    lasts: Duration,
    waiting: RefCell<Waiting>,
    /// Whether [`Soon::attend`] has nobody to wait for.
    rests: Cell<bool>,
    some: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The number of the first in `places`.
    first: u64,
    /// `None` where somebody has left; never at the front.
    places: VecDeque<Option<(Instant, Waker)>>,
}

/// A place among those who wait, for as long as the value lives.
struct Place<'a> {
    soon: &'a Soon,
    number: u64,
}

impl Soon {
    /// For those who wait so long.
    pub(crate) fn new(lasts: Duration) -> Self {
        Self { lasts, waiting: RefCell::default(), rests: Cell::new(false), some: Notify::new() }
    }

    /// What comes of `work`; `None` when, some time after `since`, it is still not done. Somebody must [`Soon::attend`].
    pub(super) fn or_later<T>(
        &self,
        since: Instant,
        work: &mut (impl Future<Output = T> + Unpin),
    ) -> impl Future<Output = Option<T>> {
        let mut place = None;
        poll_fn(move |cx| {
            if let Poll::Ready(done) = Pin::new(&mut *work).poll(cx) {
                return Poll::Ready(Some(done));
            }
            let place = place.get_or_insert_with(|| self.place(since + self.lasts, cx.waker()));
            if place.keep(cx.waker()) { Poll::Pending } else { Poll::Ready(None) }
        })
    }

    /// Calls those who are due, for ever.
    pub(super) async fn attend(&self) {
        loop {
            match self.next_due() {
                Some(due) => sleep_until(due).await,
                None => {
                    self.rests.set(true);
                    self.some.notified().await;
                }
            }
            self.waiting.borrow_mut().call(Instant::now());
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.waiting.borrow().places.front().and_then(|place| place.as_ref().map(|(due, _)| *due))
    }

    fn place(&self, due: Instant, waker: &Waker) -> Place<'_> {
        let waiting = &mut *self.waiting.borrow_mut();
        let number = waiting.first + waiting.places.len() as u64;
        waiting.places.push_back(Some((due, waker.clone())));
        if self.rests.replace(false) {
            self.some.notify_one();
        }
        Place { soon: self, number }
    }
}

impl Waiting {
    fn call(&mut self, now: Instant) {
        while let Some((_, waker)) = self.places.front_mut().and_then(|place| place.take_if(|(due, _)| *due <= now)) {
            waker.wake();
            self.close_up();
        }
    }

    /// Where that place is, if it was not called.
    fn place(&mut self, number: u64) -> Option<&mut Option<(Instant, Waker)>> {
        self.places.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }

    fn close_up(&mut self) {
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
    }
}

impl Place<'_> {
    /// Has that task called when it is due; false when it is.
    fn keep(&self, task: &Waker) -> bool {
        let mut waiting = self.soon.waiting.borrow_mut();
        let Some(Some((_, waker))) = waiting.place(self.number) else { return false };
        waker.clone_from(task);
        true
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let waiting = &mut *self.soon.waiting.borrow_mut();
        if let Some(place) = waiting.place(self.number) {
            *place = None;
            waiting.close_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const SHORT: Duration = Duration::from_millis(50);

    /// What comes of work that takes so long, and when.
    async fn waited(soon: &Soon, takes: u64) -> (bool, Duration) {
        let began = Instant::now();
        let done = soon.or_later(began, &mut Box::pin(sleep(Duration::from_millis(takes)))).await;
        (done.is_some(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_done_in_time_is_done_and_who_is_not_is_told_in_time() {
        let soon = Soon::new(SHORT);
        let millis = Duration::from_millis;
        let waiting = async {
            for _ in 0..2 {
                let all = tokio::join!(waited(&soon, 60), waited(&soon, 10), waited(&soon, 49), waited(&soon, 1_000));
                let told = (false, SHORT);
                assert_eq!(all, (told, (true, millis(10)), (true, millis(49)), told));
                assert!(soon.waiting.borrow().places.is_empty(), "nobody is left behind");
                sleep(millis(200)).await;
            }
        };
        tokio::select! {
            () = waiting => {}
            () = soon.attend() => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn places_behind_one_that_is_kept_are_given_back_with_it() {
        let soon = Soon::new(SHORT);
        let (due, waker) = (Instant::now() + SHORT, Waker::noop());
        let (first, second, third) = (soon.place(due, waker), soon.place(due, waker), soon.place(due, waker));
        drop(second);
        assert_eq!(soon.waiting.borrow().places.len(), 3);
        drop(first);
        assert_eq!(soon.waiting.borrow().places.len(), 1);
        assert!(third.keep(waker));
        soon.waiting.borrow_mut().call(due);
        assert!(!third.keep(waker));
        let fourth = soon.place(due, waker);
        drop(third);
        assert!(fourth.keep(waker), "it leaves no place but its own");
    }
}
