//! Request bodies on their way to an upstream: counted, bounded and timed.

use std::cell::{Cell, RefCell};
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

use super::headers::strip_trailers;
use super::reserved::Reserved;

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

/// A request body while it streams, and what is known of it.
#[derive(Debug)]
pub struct Progress {
    /// Here rather than with whoever reads it, so that an answer that comes first can take it back.
    incoming: RefCell<Option<Incoming>>,
    /// Bytes received from the client.
    pub received: Cell<u64>,
    /// What went wrong, if anything did.
    pub fault: Cell<Option<BodyFault>>,
    /// Whether the upstream wants more than the client has sent.
    owed: Cell<bool>,
    /// Whether the rest is left for [`Progress::take_back`] although nobody sends it on.
    kept: Cell<bool>,
    moved: Cell<Instant>,
}

impl Progress {
    /// Of a body of which nothing was read yet.
    pub(crate) fn of(incoming: Incoming) -> Rc<Self> {
        Rc::new(Self::new(Some(incoming)))
    }

    pub(super) fn new(incoming: Option<Incoming>) -> Self {
        let (received, fault, moved) = (Cell::new(0), Cell::new(None), Cell::new(Instant::now()));
        Self {
            incoming: RefCell::new(incoming),
            received,
            fault,
            owed: Cell::new(false),
            kept: Cell::new(false),
            moved,
        }
    }

    /// The rest of a body that its client has begun to send. Whoever reads it finds it broken off.
    pub(crate) fn take_back(&self) -> Option<Incoming> {
        if self.received.get() > 0 { self.incoming.take() } else { None }
    }

    /// The gateway will answer: the rest is its to read.
    pub(super) fn keep(&self) {
        self.kept.set(true);
    }

    pub(super) fn note_moved(&self) {
        self.owed.set(false);
        self.moved.set(Instant::now());
    }

    /// When the body last moved; while the client owes more of it, that is now: nobody waits for the upstream.
    pub(crate) fn moved(&self) -> Instant {
        if self.owed.get() { Instant::now() } else { self.moved.get() }
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

    /// Streams a body, noting its progress.
    pub fn streaming(progress: Rc<Progress>, bounds: BodyBounds, trailers: TrailerRule) -> Self {
        Self(Some(Box::new(Streaming { progress, bounds, trailers, stall: None })))
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

impl Drop for Streaming {
    /// Nobody reads on, unless the gateway answers, as it does where the body is at fault. From here on it is the upstream that
    /// is waited for.
    fn drop(&mut self) {
        self.progress.owed.set(false);
        if self.progress.fault.get().is_none() && !self.progress.kept.get() {
            self.progress.incoming.take();
        }
    }
}

impl Streaming {
    fn poll_incoming(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let mut incoming = self.progress.incoming.borrow_mut();
        let polled = incoming.as_mut().map(|incoming| Pin::new(incoming).poll_frame(cx).map_err(|_| BodyFault::Broken));
        polled.unwrap_or(Poll::Ready(Some(Err(BodyFault::Broken))))
    }

    fn fail(&self, fault: BodyFault) -> BodyFault {
        self.progress.fault.set(Some(fault));
        fault
    }

    /// Runs while the upstream wants more and the client sends nothing; an upstream that does not read never gets here.
    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<BodyFault> {
        let idle = self.bounds.idle;
        self.progress.owed.set(true);
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
        match streaming.poll_incoming(cx) {
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(streaming.pass(frame))),
            Poll::Ready(Some(Err(fault))) => Poll::Ready(Some(Err(streaming.fail(fault)))),
            Poll::Ready(None) => {
                streaming.progress.note_moved();
                Poll::Ready(None)
            }
            Poll::Pending => streaming.poll_stall(cx).map(|fault| Some(Err(fault))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|streaming| streaming.progress.incoming.borrow().as_ref().is_some_and(Incoming::is_end_stream))
    }

    fn size_hint(&self) -> SizeHint {
        let Some(streaming) = &self.0 else { return SizeHint::with_exact(0) };
        streaming.progress.incoming.borrow().as_ref().map(Incoming::size_hint).unwrap_or_default()
    }
}
