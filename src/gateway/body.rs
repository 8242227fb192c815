//! The body of an answer: the gateway's own bytes, or an upstream's stream, counted on its way to the client.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio_util::sync::CancellationToken;

use super::record::Record;
use super::term::Term;
use crate::auth::Admission;
use crate::upstream::AnswerBody;

/// What an answer carries. The record lives as long as its body, so that its line holds what was really sent.
#[derive(Debug)]
pub struct Body {
    content: Content,
    record: Option<Rc<Record>>,
    unread: Option<Incoming>,
    /// What lets an upstream's stream pass.
    admission: Option<Admission>,
    tunnel: Option<CancellationToken>,
}

#[derive(Debug)]
enum Content {
    Own(Bytes),
    Upstream(Box<AnswerBody>),
}

impl Body {
    /// The gateway's own bytes.
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Own(bytes.into()), record: None, unread: None, admission: None, tunnel: None }
    }

    /// An upstream's stream, and what lets it pass.
    pub(crate) fn upstream(body: AnswerBody, admission: Admission) -> Self {
        let content = Content::Upstream(Box::new(body));
        Self { content, record: None, unread: None, admission: Some(admission), tunnel: None }
    }

    /// Until when the answer may be given; `None` for the gateway's own and on public routes: without end. To be asked once.
    pub fn take_term(&mut self) -> Option<Term> {
        let admission = self.admission.take().filter(|admission| admission.session().is_some())?;
        Some(Term::new(admission, self.record.clone()?))
    }

    /// Says that this answer opens a tunnel, which is over when `over` is cancelled.
    pub(crate) fn opens(&mut self, over: CancellationToken) {
        self.tunnel = Some(over);
    }

    /// Cancelled when the tunnel is over that this answer opens on a stream; `None` for all other answers. To be asked once.
    pub fn take_tunnel(&mut self) -> Option<CancellationToken> {
        self.tunnel.take()
    }

    /// Empties the gateway's own bytes and says how many there were; an upstream's stream is left alone.
    pub(crate) fn cut_own(&mut self) -> Option<usize> {
        match &mut self.content {
            Content::Own(bytes) => Some(std::mem::take(bytes).len()),
            Content::Upstream(_) => None,
        }
    }

    /// Counts what is sent in `record` from here on. Keeps what nobody read of the request, unless its client still waits to be
    /// asked for it (RFC 9110, section 10.1.1), or what was on its way upstream when the gateway answered in the upstream's stead.
    pub(crate) fn record(&mut self, record: Rc<Record>, request: &mut Request<Option<Incoming>>) {
        let unread = request.body_mut().take();
        let waits = unread.is_some() && request.headers().contains_key(EXPECT);
        let is_own = matches!(self.content, Content::Own(_));
        let left = unread.filter(|_| !waits).or_else(|| record.take_back().filter(|_| is_own));
        self.unread = left.filter(|body| !body.is_end_stream());
        self.record = Some(record);
    }

    /// Says that the client does not read what is left of the answer, which is given up for that.
    pub(crate) fn leave_unread(&self) {
        if let Some(record) = self.record.as_ref().filter(|_| !self.is_end_stream()) {
            record.left_unread();
        }
    }

    /// The request's body, where this answers before it was read.
    pub(crate) fn take_unread(&mut self) -> Option<Incoming> {
        self.unread.take()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(record) = self.record.as_ref().filter(|_| !self.is_end_stream()) {
            record.cut();
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let polled = match &mut self.content {
            Content::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Upstream(body) => Pin::new(body.as_mut()).poll_frame(cx),
        };
        match (&polled, &self.record) {
            (Poll::Ready(Some(Ok(frame))), Some(record)) => record.sent(frame.data_ref().map_or(0, Bytes::len)),
            (Poll::Ready(Some(Err(_))), Some(record)) => record.broke_off(),
            (Poll::Ready(None), _) => self.content = Content::Own(Bytes::new()),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(bytes) => bytes.is_empty(),
            Content::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Upstream(body) => body.size_hint(),
        }
    }
}
