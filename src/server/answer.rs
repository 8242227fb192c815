//! An answer's body as the socket side sees it: while it lives, its exchange is under way.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio_util::sync::CancellationToken;

use super::activity::Exchange;
use super::giving::Giving;
use super::linger::linger;
use crate::gateway::Body;

/// The body, and who wants to know how far it is.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    exchange: Option<Exchange>,
    unread: Option<Incoming>,
    giving: Rc<Giving>,
}

impl Answer {
    pub(crate) fn new(mut body: Body, exchange: Exchange, giving: Rc<Giving>) -> Self {
        giving.begin(body.take_term());
        Self { unread: body.take_unread(), body, exchange: Some(exchange), giving }
    }

    /// See [`Body::take_tunnel`].
    pub(crate) fn take_tunnel(&mut self) -> Option<CancellationToken> {
        self.body.take_tunnel()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.giving.end();
        if self.giving.is_given_up() || self.exchange.as_ref().is_some_and(Exchange::is_given_up) {
            self.body.leave_unread();
        }
        if let (Some(unread), Some(exchange)) = (self.unread.take(), self.exchange.take()) {
            tokio::task::spawn_local(linger(unread, exchange));
        }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            self.giving.offer()
        } else {
            self.giving.took()
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
