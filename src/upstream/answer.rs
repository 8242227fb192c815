//! The body of an upstream's answer on its way to the client.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::body::TrailerRule;
use super::headers::strip_trailers;
use super::wire::Content;
use crate::panics::Witness;

/// What [`pump`] hands over: a part of the answer, or that it was whole. Nothing at all means that the pump is gone.
type Part = Option<io::Result<Frame<Bytes>>>;

/// The body of an upstream's answer. Read to the end, it gives the connection back.
#[derive(Debug)]
pub struct AnswerBody {
    source: Source,
    /// Bytes still to come, where that was said.
    left: Option<u64>,
    /// Which trailers pass; none do where there is no rule.
    trailers: Option<TrailerRule>,
    /// Why the answer broke off, until that is told.
    broken: Option<io::Error>,
}

#[derive(Debug)]
enum Source {
    Over,
    /// Read by whoever reads this.
    Direct(Content),
    /// Read by a task, which sends the rest of the request as well: the client may finish that before it reads.
    Piped(mpsc::Receiver<Part>),
}

impl AnswerBody {
    pub(super) fn new(content: Content, trailers: Option<TrailerRule>) -> Self {
        let left = content.bytes_left();
        let source = if content.is_sending() {
            let (sender, receiver) = mpsc::channel(1);
            tokio::task::spawn_local(pump(content, sender));
            Source::Piped(receiver)
        } else if content.is_over() {
            content.finish();
            Source::Over
        } else {
            Source::Direct(content)
        };
        Self { source, left, trailers, broken: None }
    }

    /// Gives the connection back as soon as the last byte is there, for that is when the client may ask again.
    fn finish_if_over(&mut self) {
        if matches!(&self.source, Source::Direct(content) if content.is_over())
            && let Source::Direct(content) = std::mem::replace(&mut self.source, Source::Over)
        {
            content.finish();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if let Some(error) = this.broken.take() {
            this.source = Source::Over;
            return Poll::Ready(Some(Err(error)));
        }
        let mut polled = match &mut this.source {
            Source::Over => return Poll::Ready(None),
            Source::Direct(content) => ready!(content.poll_frame(cx)),
            Source::Piped(parts) => ready!(parts.poll_recv(cx)).unwrap_or_else(|| Some(Err(pump_is_gone()))),
        };
        match &mut polled {
            Some(Ok(frame)) => {
                match (frame.trailers_mut(), &this.trailers) {
                    (Some(trailers), Some(rule)) => strip_trailers(trailers, &rule.announced, &rule.reserved),
                    (Some(trailers), None) => trailers.clear(),
                    (None, _) => {}
                }
                let sent = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.left = this.left.map(|left| left.saturating_sub(sent));
                this.finish_if_over();
            }
            Some(Err(_)) => {
                // Told a moment later, so that the client gets what came before; hyper would throw it away.
                this.broken = polled.and_then(Result::err);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            None => {
                this.finish_if_over();
                this.source = Source::Over;
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Over) || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// Sends the rest of the request and hands the answer over, until both are whole or nobody takes the answer any more.
async fn pump(mut content: Content, parts: mpsc::Sender<Part>) {
    let _witness = Witness::of("upload", None);
    let untaken = parts.clone();
    let (mut untaken, mut parts) = (Box::pin(async move { untaken.closed().await }), PollSender::new(parts));
    let whole = poll_fn(|cx| {
        if untaken.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        let _sent = content.poll_sending(cx);
        poll_hand_over(&mut content, &mut parts, cx)
    });
    let whole = whole.await;
    drop((untaken, parts));
    if whole {
        let patience = content.patience();
        let sent = pin!(poll_fn(|cx| content.poll_sending(cx)));
        let _late = tokio::time::timeout(patience, sent).await;
        content.finish();
    }
}

/// Ready when the answer was handed over whole, or broke off.
fn poll_hand_over(content: &mut Content, parts: &mut PollSender<Part>, cx: &mut Context<'_>) -> Poll<bool> {
    loop {
        if ready!(parts.poll_reserve(cx)).is_err() {
            return Poll::Ready(false);
        }
        let part = ready!(content.poll_frame(cx));
        let (whole, broken) = (part.is_none(), matches!(part, Some(Err(_))));
        if parts.send_item(part).is_err() || broken {
            return Poll::Ready(false);
        }
        if whole {
            return Poll::Ready(true);
        }
    }
}

/// The client must not take for whole what the end of its pump cut.
fn pump_is_gone() -> io::Error {
    io::Error::other("what reads the answer is gone")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn read(parts: Vec<Part>) -> Result<Bytes, io::Error> {
        let (sender, receiver) = mpsc::channel(8);
        for part in parts {
            sender.send(part).await.unwrap();
        }
        drop(sender);
        let body = AnswerBody { source: Source::Piped(receiver), left: None, trailers: None, broken: None };
        body.collect().await.map(|whole| whole.to_bytes())
    }

    #[tokio::test]
    async fn an_answer_whose_pump_panics_is_not_taken_for_whole() {
        let part = || Some(Ok(Frame::data(Bytes::from_static(b"part"))));
        assert_eq!(read(vec![part(), None]).await.unwrap(), "part");
        for cut in [vec![part()], vec![]] {
            assert_eq!(read(cut).await.unwrap_err().kind(), io::ErrorKind::Other);
        }
    }
}
