//! Bytes that wait for a stream: what frames data, the data, and what ends it; as few writes as can be, and no copy of the data.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Three parts, written in this order.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) head: Vec<u8>,
    /// How much of `head` was taken.
    taken: usize,
    pub(super) data: Bytes,
    pub(super) tail: &'static [u8],
}

impl Outgoing {
    /// Begins with `head`.
    pub(super) fn of(head: Vec<u8>) -> Self {
        Self { head, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.head.len() && self.data.is_empty() && self.tail.is_empty()
    }

    /// Whether data may be given: there is none, nor anything behind it.
    pub(super) fn takes_data(&self) -> bool {
        self.data.is_empty() && self.tail.is_empty()
    }

    /// The head for more to be written into; what was taken of it is gone.
    pub(super) fn head(&mut self) -> &mut Vec<u8> {
        if self.taken == self.head.len() {
            self.head.clear();
            self.taken = 0;
        }
        &mut self.head
    }

    /// Writes once, and flushes when nothing is left, for TLS holds back. How many bytes were taken.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        if !self.is_empty() {
            let slices = [&self.head[self.taken..], &self.data, self.tail].map(IoSlice::new);
            let single = slices.iter().filter(|slice| !slice.is_empty()).count() == 1;
            let polled = match slices.iter().find(|slice| single && !slice.is_empty()) {
                Some(only) => Pin::new(&mut *stream).poll_write(cx, only),
                None => Pin::new(&mut *stream).poll_write_vectored(cx, &slices),
            };
            written = ready!(polled)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        match self.is_empty() {
            true => Pin::new(stream).poll_flush(cx).map_ok(|()| written),
            false => Poll::Ready(Ok(written)),
        }
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len() - self.taken);
        self.taken += of_head;
        let of_data = (written - of_head).min(self.data.len());
        self.data.advance(of_data);
        self.tail = &self.tail[written - of_head - of_data..];
    }
}
