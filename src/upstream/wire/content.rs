//! The body of an answer, read as it is asked for; gives the connection back once it was read to the end.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::body::Frame;

use super::chunked::Chunked;
use super::conversation::Conversation;
use super::response::Left;
use super::{BUFFER, READ};
use crate::upstream::connect::Stream;
use crate::upstream::pool::Lease;
use crate::upstream::server::Occupied;

/// The rest of an exchange whose answer has begun.
#[derive(Debug)]
pub(in crate::upstream) struct Content {
    conversation: Box<Conversation>,
    left: Left,
    persists: bool,
}

impl Content {
    pub(super) fn new(conversation: Box<Conversation>, left: Left, persists: bool) -> Self {
        Self { conversation, left, persists }
    }

    /// Whether nothing of the body is left to come.
    pub(in crate::upstream) fn is_over(&self) -> bool {
        matches!(self.left, Left::Exactly(0) | Left::Chunks(Chunked::Over))
    }

    /// Whether it comes in chunks.
    pub(in crate::upstream) fn is_chunked(&self) -> bool {
        matches!(self.left, Left::Chunks(_))
    }

    /// How many bytes are left, where that was said.
    pub(in crate::upstream) fn bytes_left(&self) -> Option<u64> {
        match self.left {
            Left::Exactly(left) => Some(left),
            Left::Chunks(_) | Left::UntilClosed => None,
        }
    }

    /// The server that answers.
    pub(in crate::upstream) fn server(&self) -> &Occupied {
        &self.conversation.lease.server
    }

    /// Whether the request is still being sent.
    pub(in crate::upstream) fn is_sending(&self) -> bool {
        !self.conversation.sending.is_over()
    }

    /// Sends on what is left of the request; ready when that was taken, or can't be. Then whoever waits for the rest of the answer
    /// finds how the exchange ends.
    pub(in crate::upstream) fn poll_sending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Conversation { sending, lease, .. } = &mut *self.conversation;
        sending.poll(&mut lease.connection.stream, cx).map(|sent| {
            if sent.is_err() {
                sending.give_up();
            }
        })
    }

    /// How long a server that has answered may take to read the rest of the request: as long as the connection may idle.
    pub(in crate::upstream) fn patience(&self) -> Duration {
        self.conversation.lease.idle_timeout
    }

    /// The next part of the body; `None` at its end.
    pub(in crate::upstream) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match self.take() {
                Err(error) => return Poll::Ready(Some(Err(error))),
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) if self.is_over() => return Poll::Ready(None),
                Ok(None) => {}
            }
            let most = self.worth_reading();
            match ready!(self.conversation.poll_read(cx, most)) {
                Ok(0) if matches!(self.left, Left::UntilClosed) => self.left = Left::Exactly(0),
                Ok(0) => {
                    let cut = io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed within its answer");
                    return Poll::Ready(Some(Err(cut)));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }

    /// What was received of the body.
    fn take(&mut self) -> io::Result<Option<Frame<Bytes>>> {
        let received = &mut self.conversation.lease.connection.received;
        match &mut self.left {
            Left::Chunks(chunks) => chunks.take(received),
            Left::Exactly(0) => Ok(None),
            Left::Exactly(_) | Left::UntilClosed if received.is_empty() => Ok(None),
            Left::Exactly(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(received.len());
                *left -= here as u64;
                // The memory behind a part is used again, the memory behind the last is another's.
                let is_last = *left == 0 && here == received.len();
                let part = if is_last { std::mem::take(received) } else { received.split_to(here) };
                Ok(Some(Frame::data(part.freeze())))
            }
            Left::UntilClosed => Ok(Some(Frame::data(received.split().freeze()))),
        }
    }

    fn worth_reading(&self) -> usize {
        let left = self.bytes_left().and_then(|left| usize::try_from(left).ok()).unwrap_or(BUFFER);
        left.clamp(READ, BUFFER)
    }

    /// Gives the connection back if the exchange left it clean: request and answer whole, and not a byte behind them.
    pub(in crate::upstream) fn finish(self) {
        let clean = self.persists && self.is_over() && self.conversation.sending.may_be_followed();
        if clean && self.conversation.lease.connection.received.is_empty() {
            self.conversation.lease.finish();
        }
    }

    /// The bare stream behind a 101, what came on it already, and the place at the server.
    pub(in crate::upstream) fn into_stream(self) -> (Stream, BytesMut, Occupied) {
        let Lease { connection, server, .. } = self.conversation.lease;
        (connection.stream, connection.received, server)
    }
}
