//! A waker that remembers whether it was called. Who was told to wait is asked again only when it has called: the future of a connection
//! is polled for many reasons, and most of what it waits for has no news at most of them.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Relaxed, Ordering::Release};

/// What is waited for, by one task at a time; only [`Alarm::poll`] may ask it.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Set>);

#[derive(Debug)]
struct Set {
    bell: Arc<Bell>,
    waker: Waker,
}

#[derive(Debug)]
struct Bell {
    rang: AtomicBool,
    task: Waker,
}

impl Alarm {
    /// Asks, unless it is known that there is no news.
    pub(crate) fn poll<T>(&mut self, cx: &mut Context<'_>, ask: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let set = match self.0.take().filter(|set| set.bell.task.will_wake(cx.waker())) {
            Some(set) => self.0.insert(set),
            None => self.0.insert(Set::of(cx.waker())),
        };
        if !set.bell.rang.load(Relaxed) {
            return Poll::Pending;
        }
        // Before it is asked, so that a call in between is not lost.
        set.bell.rang.swap(false, AcqRel);
        let polled = ask(&mut Context::from_waker(&set.waker));
        if polled.is_ready() {
            // It has promised no call.
            set.bell.rang.store(true, Relaxed);
        }
        polled
    }

    /// Lets it be asked the next time, whatever it said.
    pub(crate) fn ring(&self) {
        self.0.iter().for_each(|set| set.bell.rang.store(true, Relaxed));
    }
}

impl Set {
    fn of(task: &Waker) -> Self {
        let bell = Arc::new(Bell { rang: AtomicBool::new(true), task: task.clone() });
        Self { waker: bell.clone().into(), bell }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Release);
        self.task.wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts how often it was called.
    #[derive(Default)]
    struct Calls(std::sync::atomic::AtomicUsize);

    impl Wake for Calls {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn who_waits_is_asked_again_only_when_it_has_called() {
        let (calls, mut alarm) = (Arc::new(Calls::default()), Alarm::default());
        let (task, asked) = (Waker::from(calls.clone()), Cell::new(0));
        let waiting = Cell::new(None);
        let mut ask = || {
            alarm.poll(&mut Context::from_waker(&task), |cx| {
                asked.set(asked.get() + 1);
                waiting.set(Some(cx.waker().clone()));
                Poll::<()>::Pending
            })
        };
        assert!(ask().is_pending() && ask().is_pending());
        assert_eq!(asked.get(), 1);
        waiting.take().unwrap().wake();
        assert_eq!(calls.0.load(Relaxed), 1, "its task is called");
        assert!(ask().is_pending() && ask().is_pending());
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn who_had_news_or_meets_another_task_or_is_rung_for_is_asked() {
        let asked = Cell::new(0);
        let mut alarm = Alarm::default();
        let mut ask = |waker: &Waker, answer: Poll<()>, rings: bool| {
            if rings {
                alarm.ring();
            }
            let _answer = alarm.poll(&mut Context::from_waker(waker), |_| {
                asked.set(asked.get() + 1);
                answer
            });
            asked.get()
        };
        let (one, other) = (Waker::from(Arc::new(Calls::default())), Waker::from(Arc::new(Calls::default())));
        assert_eq!(ask(&one, Poll::Ready(()), false), 1);
        assert_eq!(ask(&one, Poll::Pending, false), 2);
        assert_eq!(ask(&one, Poll::Pending, false), 2);
        assert_eq!(ask(&other, Poll::Pending, false), 3);
        assert_eq!(ask(&other, Poll::Pending, true), 4);
    }
}

#[cfg(all(test, feature = "races"))]
mod races {
    use super::*;
    use crate::sync::Mutex;

    #[derive(Default)]
    struct Task(std::sync::atomic::AtomicBool);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[test]
    fn no_order_loses_a_call() {
        loom::model(|| {
            // What a socket is: whether there is something to read, and whom to call when there is.
            let socket = Arc::new((AtomicBool::new(false), Mutex::new(None::<Waker>)));
            let task = Arc::new(Task::default());
            let (waker, mut alarm) = (Waker::from(task.clone()), Alarm::default());
            let far = socket.clone();
            let fills = loom::thread::spawn(move || {
                far.0.store(true, Release);
                let waiting = far.1.lock().unwrap().take();
                waiting.into_iter().for_each(Waker::wake);
            });
            let mut read = || {
                alarm.poll(&mut Context::from_waker(&waker), |cx| {
                    *socket.1.lock().unwrap() = Some(cx.waker().clone());
                    if socket.0.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
                })
            };
            let done = read().is_ready() || read().is_ready();
            fills.join().unwrap();
            assert!(done || (task.0.load(std::sync::atomic::Ordering::SeqCst) && read().is_ready()));
        });
    }
}
