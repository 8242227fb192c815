//! A downstream HTTP/1.1 stream that shows hyper a head only once it was judged whole, and of a body only what is framed as it should be.
//! It parses nothing for anybody: hyper reads the very same bytes, and what could be read in two ways it never sees.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::activity::Activity;
use super::messages::Messages;
use super::readable::Readable;
use crate::gateway::{Flaw, STAND_IN};

/// How long a client that was refused may take to notice: what it still sends would otherwise take the answer from it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long an answer may take whose client says that it sends nothing more: it may be waiting, but most who say so are gone.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// How much of what comes behind a request is held, in bytes, until that is answered; the rest waits in the socket.
const AHEAD: usize = 1024;

/// A stream that is judged as it is read.
#[derive(Debug)]
pub(crate) struct Strict<S> {
    stream: S,
    activity: Arc<Activity>,
    messages: Messages,
    /// What hyper has not seen, mostly nothing: the beginning of a head, or what came before an answer was given.
    held: BytesMut,
    /// How many bytes of it may be seen.
    passed: usize,
    /// Whether there was a flaw, so that nothing more will be seen.
    over: bool,
    leaving: Option<Pin<Box<Sleep>>>,
    /// Runs while the client waits for an answer with its own side closed.
    half_closed: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + Unpin> Strict<S> {
    /// `most` bounds a head in bytes.
    pub(crate) fn new(stream: S, activity: Arc<Activity>, most: usize) -> Self {
        let (messages, held) = (Messages::new(most), BytesMut::new());
        Self { stream, activity, messages, held, passed: 0, over: false, leaving: None, half_closed: None }
    }

    /// Reads into `buf`; false at the end of the stream.
    fn poll_more(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(Ok(buf.filled().len() > before))
    }

    /// Takes what came last in `buf` back but for what may be seen; true when that is something.
    fn judge(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> bool {
        let came = &buf.filled()[before..];
        if self.held.is_empty() {
            let passed = self.messages.advance(came);
            self.held.extend_from_slice(&came[passed..]);
            buf.set_filled(before + passed);
            return passed > 0;
        }
        self.held.extend_from_slice(came);
        buf.set_filled(before);
        self.passed = self.messages.advance(&self.held);
        false
    }

    fn show(&mut self, buf: &mut ReadBuf<'_>) {
        let shown = self.passed.min(buf.remaining());
        buf.put_slice(&self.held[..shown]);
        self.held.advance(shown);
        self.passed -= shown;
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// Lets the answer be 400 in its turn, where a request begins, and the request fail, where its body goes on.
    fn refuse(&mut self, flaw: Flaw) -> io::Result<()> {
        self.over = true;
        self.held.clear();
        if !self.messages.is_at_head() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the framing of a request's body is malformed"));
        }
        self.activity.flaw.get_or_init(|| flaw);
        self.held.extend_from_slice(STAND_IN);
        self.passed = STAND_IN.len();
        Ok(())
    }

    /// Whether some of a head has come, and not all of it.
    fn is_within_head(&self) -> bool {
        !self.held.is_empty() && self.messages.is_at_head()
    }

    fn lateness(&self) -> Option<Flaw> {
        (self.is_within_head() && self.activity.is_head_late()).then_some(Flaw::TooSlow)
    }

    /// Looks whether the answer that is waited for is known; then what came meanwhile is judged.
    fn decide(&mut self) {
        if self.messages.is_undecided()
            && let Some(switched) = self.activity.take_decision()
        {
            self.messages.decide(switched);
            self.passed = self.messages.advance(&self.held);
        }
    }

    /// Reads on until the client has closed too, or has had the time to.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let leaving = self.leaving.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        let mut unread = [0; 1024];
        while leaving.as_mut().poll(cx).is_pending() {
            let mut unread = ReadBuf::new(&mut unread);
            match Pin::new(&mut self.stream).poll_read(cx, &mut unread) {
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => {}
                Poll::Ready(_) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Readable + Unpin> Strict<S> {
    /// Looks whether the client is still there that waits for an answer: hyper reads on by itself, but only when that is given. It could
    /// look too, at each request, and in vain, through TLS and with memory that it takes for that; here only who has called is asked.
    ///
    /// # Errors
    /// The client is gone.
    fn look_for_client(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.activity.is_answering() {
            self.half_closed = None;
            return Ok(());
        }
        let is_between = self.messages.is_at_head() || self.messages.is_undecided();
        if !is_between || self.over || (self.half_closed.is_none() && !self.is_half_closed(cx)?) {
            return Ok(());
        }
        let gone = self.half_closed.get_or_insert_with(|| Box::pin(sleep(HALF_CLOSED))).as_mut().poll(cx).is_ready();
        if gone { Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client is gone")) } else { Ok(()) }
    }

    /// Whether the client sends, or may, what nobody reads any more: closed at once, the connection would take the answer from it.
    fn leaves_something(&self, cx: &mut Context<'_>) -> bool {
        if self.over || self.leaving.is_some() {
            return true;
        }
        let is_between = self.messages.is_at_head() || self.messages.is_undecided();
        is_between && (!self.held.is_empty() || self.stream.poll_readable(cx).is_ready())
    }

    /// Whether the client has closed its side, and has nothing else to be answered. What comes instead is held.
    fn is_half_closed(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.held.len() >= AHEAD || self.stream.poll_readable(cx).is_pending() {
            return Ok(false);
        }
        let mut ahead = [0; AHEAD];
        let mut ahead = ReadBuf::new(&mut ahead[self.held.len()..]);
        let Poll::Ready(came) = self.poll_more(cx, &mut ahead)? else { return Ok(false) };
        self.held.extend_from_slice(ahead.filled());
        self.passed += self.messages.advance(&self.held[self.passed..]);
        Ok(!came && self.held.is_empty())
    }
}

impl<S: Readable> Readable for Strict<S> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.passed > 0 { Poll::Ready(()) } else { self.stream.poll_readable(cx) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            this.decide();
            if this.passed > 0 {
                this.show(buf);
                return Poll::Ready(Ok(()));
            }
            if this.over {
                return Poll::Pending;
            }
            if let Some(flaw) = this.messages.flaw().or_else(|| this.lateness()) {
                this.refuse(flaw)?;
                continue;
            }
            if this.messages.is_undecided() && !this.held.is_empty() {
                // Nobody need be woken: who waits for the answer, hyper or a tunnel, reads on by himself when it is given.
                return Poll::Pending;
            }
            let before = buf.filled().len();
            if !ready!(this.poll_more(cx, buf))? {
                // hyper says what is wrong with half a message.
                this.passed = this.held.len();
                this.show(buf);
                return Poll::Ready(Ok(()));
            }
            if this.judge(buf, before) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Readable + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_within_head() {
            // It came while an answer was under way, perhaps: then its time begins behind that.
            self.activity.heard();
        }
        self.look_for_client(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.activity.closes() {
            return Poll::Ready(Ok(()));
        }
        if self.leaving.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        if self.leaves_something(cx) { self.poll_leave(cx).map(Ok) } else { Poll::Ready(Ok(())) }
    }
}

#[cfg(test)]
#[path = "strict_tests.rs"]
mod tests;
