//! Bodies on their way through: counted, bounded and timed towards the upstream; giving the connection back towards the client.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::headers::{Reserved, strip_trailers};
use super::pool::Lease;

/// Why a request body did not arrive whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// The client stopped sending.
    Stalled,
    /// More bytes than `limits.body_bytes`.
    TooLarge,
    /// The client broke off or broke the framing.
    Broken,
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stalled => "the request body stopped",
            Self::TooLarge => "the request body is too large",
            Self::Broken => "the request body broke off",
        })
    }
}

impl std::error::Error for BodyFault {}

/// What is known of a request body while it streams.
#[derive(Debug)]
pub struct Progress {
    /// Bytes received from the client.
    pub received: Cell<u64>,
    /// What went wrong, if anything did.
    pub fault: Cell<Option<BodyFault>>,
    moved: Cell<Instant>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { received: Cell::new(0), fault: Cell::new(None), moved: Cell::new(Instant::now()) }
    }
}

impl Progress {
    pub(super) fn note_moved(&self) {
        self.moved.set(Instant::now());
    }

    /// When the body last moved.
    pub(crate) fn moved(&self) -> Instant {
        self.moved.get()
    }
}

/// Bounds on a request body.
#[derive(Clone, Copy, Debug)]
pub struct BodyBounds {
    /// The most bytes it may have.
    pub bytes: Option<u64>,
    /// How long the client may stop while the upstream wants more.
    pub idle: Duration,
}

/// A request body towards an upstream. Bodies that are not there cost nothing.
#[derive(Debug, Default)]
pub struct RequestBody(Option<Box<Streaming>>);

#[derive(Debug)]
struct Streaming {
    incoming: Incoming,
    progress: Rc<Progress>,
    bounds: BodyBounds,
    trailers: TrailerRule,
    stall: Option<Pin<Box<Sleep>>>,
}

/// Which trailers may pass.
#[derive(Clone, Debug)]
pub struct TrailerRule {
    /// Names in `Trailer`.
    pub announced: Vec<HeaderName>,
    /// Names that never pass.
    pub reserved: Arc<Reserved>,
}

impl RequestBody {
    /// No body.
    pub const EMPTY: Self = Self(None);

    /// Streams `incoming`, noting its progress.
    pub fn streaming(incoming: Incoming, progress: Rc<Progress>, bounds: BodyBounds, trailers: TrailerRule) -> Self {
        Self(Some(Box::new(Streaming { incoming, progress, bounds, trailers, stall: None })))
    }

    /// Whether there is no body at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The progress of a body that is there.
    pub(crate) fn progress(&self) -> Option<Rc<Progress>> {
        self.0.as_ref().map(|streaming| streaming.progress.clone())
    }
}

impl Streaming {
    fn fail(&self, fault: BodyFault) -> BodyFault {
        self.progress.fault.set(Some(fault));
        fault
    }

    /// Runs while the upstream wants more and the client sends nothing; an upstream that does not read never gets here.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<BodyFault> {
        let idle = self.bounds.idle;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(self.fail(BodyFault::Stalled))
    }

    fn pass(&mut self, mut frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyFault> {
        self.stall = None;
        self.progress.note_moved();
        if let Some(data) = frame.data_ref() {
            let received = self.progress.received.get() + data.len() as u64;
            self.progress.received.set(received);
            if self.bounds.bytes.is_some_and(|most| received > most) {
                return Err(self.fail(BodyFault::TooLarge));
            }
        } else if let Some(trailers) = frame.trailers_mut() {
            strip_trailers(trailers, &self.trailers.announced, &self.trailers.reserved);
        }
        Ok(frame)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let Some(streaming) = &mut self.0 else { return Poll::Ready(None) };
        match Pin::new(&mut streaming.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(streaming.pass(frame))),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(streaming.fail(BodyFault::Broken)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => streaming.poll_stall(cx).map(|fault| Some(Err(fault))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|streaming| streaming.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |streaming| streaming.incoming.size_hint())
    }
}

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
