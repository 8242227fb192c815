//! The stream of an HTTP/2 client: it is read no further once its allowance is spent, and who drives the connection is told.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::allowance::Allowance;

/// A stream whose frames are counted.
#[derive(Debug)]
pub(crate) struct Frugal<S> {
    stream: S,
    allowance: Allowance,
    activity: Arc<Activity>,
}

impl<S> Frugal<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, allowance: Allowance::new(), activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frugal<S> {
    /// Once it floods it is never ready again: [`super::drive`] looks after each poll, and closes.
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.activity.floods() {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if !self.allowance.allows(&buf.filled()[before..]) {
            self.activity.flood();
            buf.set_filled(before);
            return Poll::Pending;
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frugal<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(taken)) = polled {
            self.allowance.sent(taken);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
