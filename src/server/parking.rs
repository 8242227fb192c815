//! HTTP/1.1 connections leave hyper, and its buffers, while they idle: before their first byte, and a moment after an answer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Parts};
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until};

use super::activity::Activity;
use super::answer::Answer;
use super::drive::{Bounds, Driven, drive};
use super::ended::Ended;
use super::readable::Readable;
use super::strict::Strict;

/// How long a connection idles before it is parked: longer than a busy client pauses, for who parks and leaves again pays for both.
pub(crate) const PATIENCE: Duration = Duration::from_millis(50);

/// The connections of one worker that may have begun to idle. One timer for all: a request moves none.
#[derive(Debug, Default)]
pub(crate) struct Lot {
    watched: RefCell<Vec<Weak<Activity>>>,
    some: Notify,
}

impl Lot {
    /// Looks at a connection from now on, if it idles and is not looked at yet.
    pub(crate) fn watch(&self, activity: &Arc<Activity>) {
        if !activity.may_be_watched() {
            return;
        }
        let mut watched = self.watched.borrow_mut();
        watched.push(Arc::downgrade(activity));
        if watched.len() == 1 {
            self.some.notify_one();
        }
    }

    /// Asks who has idled for long enough to park, again and again.
    pub(crate) async fn attend(&self) {
        loop {
            if self.watched.borrow().is_empty() {
                self.some.notified().await;
            }
            sleep(PATIENCE).await;
            let keeps = |activity: &Weak<Activity>| activity.upgrade().is_some_and(|activity| activity.is_watched_on());
            self.watched.borrow_mut().retain(keeps);
        }
    }
}

/// Serves a connection to its end. While it is parked, all that is left is its stream, and what it is held to.
pub(crate) async fn serve<S, V>(
    mut stream: Strict<S>,
    mut service: V,
    builder: &Builder,
    bounds: Bounds<'_>,
) -> Result<(), Ended>
where
    S: AsyncRead + AsyncWrite + Readable + Unpin + Send + 'static,
    V: HttpService<Incoming, ResBody = Answer>,
    V::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        wait(&stream, bounds).await;
        // On the heap, so that it is gone while the connection is parked.
        match Box::pin(serve_until_idle((stream, service), builder, bounds)).await? {
            Some(parts) if parts.read_buf.is_empty() => (stream, service) = (parts.io.into_inner(), parts.service),
            // An idle hyper holds nothing, for it never sees a head that is not whole.
            Some(_) => return Err(Ended::Io(io::ErrorKind::InvalidData.into())),
            None => return Ok(()),
        }
    }
}

/// `None` at the end of the connection.
async fn serve_until_idle<S, V>(
    (stream, service): (Strict<S>, V),
    builder: &Builder,
    bounds: Bounds<'_>,
) -> Result<Option<Parts<TokioIo<Strict<S>>, V>>, Ended>
where
    S: AsyncRead + AsyncWrite + Readable + Unpin + Send + 'static,
    V: HttpService<Incoming, ResBody = Answer>,
    V::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    match drive(&mut connection, bounds).await? {
        Driven::Done => Ok(None),
        Driven::Parked => Ok(connection.into_parts()),
    }
}

/// Waits until there is something to read, or anything else that only hyper can deal with: it says goodbye, for one.
async fn wait(stream: &impl Readable, bounds: Bounds<'_>) {
    let Some((due, _)) = bounds.activity.deadline(bounds.limits) else { return };
    let mut due = pin!(sleep_until(due));
    let mut closed = pin!(bounds.closing.cancelled());
    poll_fn(|cx| {
        if stream.poll_readable(cx).is_ready() || bounds.activity.leaves() {
            return Poll::Ready(());
        }
        if closed.as_mut().poll(cx).is_ready() { Poll::Ready(()) } else { due.as_mut().poll(cx) }
    })
    .await;
}
