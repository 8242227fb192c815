//! Runs the streams of an HTTP/2 connection, and ends one whose client has stopped reading it.

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};

/// What is known of a stream's answer: while `offered` is set, the client has a part of it to read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    offered: Cell<Option<Instant>>,
}

impl Reading {
    /// The answer's body is asked for more: the client took what it was offered.
    pub(crate) fn took(&self) {
        self.offered.set(None);
    }

    /// A part of the answer is handed over.
    pub(crate) fn offer(&self) {
        self.offered.set(Some(Instant::now()));
    }
}

/// The executor of one connection. hyper calls the service and then hands over the stream's future, so the stream announced
/// last is the one that is executed next.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    next: Rc<RefCell<Option<Rc<Reading>>>>,
    patience: Duration,
}

impl Streams {
    pub(crate) fn new(patience: Duration) -> Self {
        Self { next: Rc::default(), patience }
    }

    /// Announces the stream whose future comes next.
    pub(crate) fn announce(&self) -> Rc<Reading> {
        let reading = Rc::new(Reading::default());
        *self.next.borrow_mut() = Some(reading.clone());
        reading
    }
}

impl<F: Future + 'static> Executor<F> for Streams {
    /// Dropping a stream's future resets the stream with CANCEL (RFC 9113, section 8.1).
    fn execute(&self, future: F) {
        let (reading, patience) = (self.next.borrow_mut().take(), self.patience);
        tokio::task::spawn_local(async move {
            match reading {
                Some(reading) => until_done_or_stalled(future, &reading, patience).await,
                None => drop(future.await),
            }
        });
    }
}

async fn until_done_or_stalled(future: impl Future, reading: &Reading, patience: Duration) {
    let mut future = pin!(future);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|cx| {
        if future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(offered) = reading.offered.get() else { return Poll::Pending };
        let due = offered + patience;
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_what_it_offered_is_not_taken() {
        let reading = Reading::default();
        let began = Instant::now();
        reading.offer();
        until_done_or_stalled(std::future::pending::<()>(), &reading, Duration::from_secs(60)).await;
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_upstream_is_left_alone() {
        let reading = Reading::default();
        let answer = async {
            reading.offer();
            reading.took();
            tokio::time::sleep(Duration::from_secs(600)).await;
        };
        let began = Instant::now();
        until_done_or_stalled(answer, &reading, Duration::from_secs(60)).await;
        assert_eq!(began.elapsed().as_secs(), 600);
    }
}
