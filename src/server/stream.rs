//! A downstream socket that notes what the connection is doing as bytes pass.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::alarm::Alarm;
use super::readable::Readable;

/// A socket, TLS or not.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    speaks_http1: bool,
    /// Set while there is nothing to read: whoever drives the connection tries far more often than something comes.
    comes: RefCell<Alarm>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>, speaks_http1: bool) -> Self {
        Self { stream, activity, speaks_http1, comes: RefCell::default() }
    }

    fn saw_bytes(&self) {
        // On HTTP/2 bytes may be an acknowledgement or a ping: they begin no head, and keep no idle connection alive.
        if self.speaks_http1 {
            self.activity.heard();
        }
    }

    fn wrote<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.activity.wrote(polled.is_ready());
        polled
    }
}

impl<S: Readable> Readable for Watched<S> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.comes.borrow_mut().poll(cx, |cx| self.stream.poll_readable(cx))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Self { stream, comes, .. } = &mut *self;
        let polled = comes.get_mut().poll(cx, |cx| Pin::new(stream).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.saw_bytes();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.wrote(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_begin_a_head_on_http_1_only() {
        for (speaks_http1, begins) in [(true, true), (false, false)] {
            let activity = Activity::new();
            drop(activity.begin());
            Watched::new(tokio::io::empty(), activity.clone(), speaks_http1).saw_bytes();
            assert_eq!(!activity.heard(), begins, "a second head would begin only if none has");
        }
    }
}
