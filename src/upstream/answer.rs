//! The body of an upstream's answer on its way to the client: gives the connection back when it was read to the end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::body::TrailerRule;
use super::headers::strip_trailers;
use super::pool::Lease;

/// The body of an upstream's answer; gives the connection back when it has been read to the end.
#[derive(Debug)]
pub struct AnswerBody {
    incoming: Incoming,
    lease: Option<Lease>,
    trailers: TrailerRule,
}

impl AnswerBody {
    pub(crate) fn new(incoming: Incoming, lease: Lease, trailers: TrailerRule) -> Self {
        let mut body = Self { incoming, lease: Some(lease), trailers };
        body.finish_if_read();
        body
    }

    fn finish_if_read(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.finish();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &mut frame {
            None => drop(self.lease.take().map(Lease::finish)),
            Some(Err(_)) => drop(self.lease.take()),
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    strip_trailers(trailers, &self.trailers.announced, &self.trailers.reserved);
                }
                self.finish_if_read();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
