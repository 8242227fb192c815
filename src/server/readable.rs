//! Whether reading from a stream would give something, asked without a buffer to read into.

use std::task::{Context, Poll};

use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::socket::Connected;

/// A stream that can be asked.
pub(crate) trait Readable {
    /// Ready when bytes came, the end of the stream, or an error: whoever reads learns which. Seldom ready in vain.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()>;
}

impl Readable for Connected {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Either::Left(stream) => stream.poll_read_ready(cx).map(drop),
            Either::Right(stream) => stream.poll_read_ready(cx).map(drop),
        }
    }
}

impl<S: Readable> Readable for Box<S> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        S::poll_readable(self, cx)
    }
}

impl<S: Readable> Readable for TlsStream<S> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let (stream, session) = self.get_ref();
        // What came with the end of the handshake is read already.
        if session.wants_read() { stream.poll_readable(cx) } else { Poll::Ready(()) }
    }
}
