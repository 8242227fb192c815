//! Runs the streams of an HTTP/2 connection, and ends one whose client has stopped reading it or whose answer's term is over.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Exchange};
use super::giving::Giving;
use super::together::Newcomers;
use crate::panics::Witness;

/// The executor of one connection. hyper calls the service and then hands over the stream's future; when a stream becomes a
/// tunnel, it hands over the future that pumps what is written. So what was announced last is what is executed next.
#[derive(Clone, Debug)]
pub(crate) struct Streams(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    next: RefCell<Option<Next>>,
    patience: Duration,
    activity: Arc<Activity>,
    peer: SocketAddr,
    begun: Newcomers,
}

#[derive(Debug)]
enum Next {
    Stream(Rc<Giving>),
    /// What is cancelled when the tunnel is over, and what keeps the connection from idling until then.
    Tunnel(CancellationToken, Exchange),
}

impl Streams {
    pub(crate) fn new(patience: Duration, activity: Arc<Activity>, peer: SocketAddr) -> Self {
        Self(Rc::new(Shared { next: RefCell::default(), patience, activity, peer, begun: Newcomers::default() }))
    }

    /// Where the streams go that begin.
    pub(crate) fn begun(&self) -> Newcomers {
        self.0.begun.clone()
    }

    /// Announces the stream whose future comes next.
    pub(crate) fn announce(&self) -> Rc<Giving> {
        let giving = Rc::new(Giving::paced());
        *self.0.next.borrow_mut() = Some(Next::Stream(giving.clone()));
        giving
    }

    /// Announces the pump of a tunnel, which is of no use once that is over.
    pub(crate) fn announce_tunnel(&self, over: CancellationToken) {
        *self.0.next.borrow_mut() = Some(Next::Tunnel(over, self.0.activity.begin()));
    }
}

impl<F: Future + 'static> Executor<F> for Streams {
    /// Dropping a stream's future, or its pump, resets the stream with CANCEL (RFC 9113, section 8.1).
    fn execute(&self, future: F) {
        let (next, patience, peer) = (self.0.next.borrow_mut().take(), self.0.patience, self.0.peer);
        // Boxed, because each step to its place, and within it, would copy all of it.
        let future = Box::pin(future);
        self.0.begun.push(async move {
            let _witness = Witness::of("stream", Some(peer));
            match next {
                Some(Next::Stream(giving)) => until_done_or_ended(future, &giving, patience).await,
                Some(Next::Tunnel(over, _exchange)) => tokio::select! {
                    biased;
                    () = over.cancelled() => {}
                    _ = future => {}
                },
                None => drop(future.await),
            }
        });
    }
}

async fn until_done_or_ended(mut future: impl Future + Unpin, giving: &Giving, patience: Duration) {
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    std::future::poll_fn(|cx| {
        if Pin::new(&mut future).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            if giving.poll_over(cx).is_ready() {
                return Poll::Ready(());
            }
            let (overdue, watched) = (giving.overdue(patience), giving.watched_from());
            let Some(due) = overdue.into_iter().chain(watched).min() else { return Poll::Pending };
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            ready!(timer.as_mut().poll(cx));
            if Some(due) == overdue {
                giving.give_up();
                return Poll::Ready(());
            }
            giving.watch();
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_what_it_offered_is_not_taken() {
        let giving = Giving::paced();
        let began = Instant::now();
        giving.offer();
        until_done_or_ended(std::future::pending::<()>(), &giving, Duration::from_secs(60)).await;
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_upstream_is_left_alone() {
        let giving = Giving::paced();
        let answer = pin!(async {
            giving.offer();
            giving.took();
            tokio::time::sleep(Duration::from_secs(600)).await;
        });
        let began = Instant::now();
        until_done_or_ended(answer, &giving, Duration::from_secs(60)).await;
        assert_eq!(began.elapsed().as_secs(), 600);
    }
}
