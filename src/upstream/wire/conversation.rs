//! One exchange over one connection: sends the request and reads the head of the answer, both at once, as far as each can go.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, BytesMut};
use http::{Method, Response};
use tokio::time::Instant;
use tokio_util::io::poll_read_buf;

use super::READ;
use super::content::Content;
use super::request::Sending;
use super::response::{Head, take_head};
use crate::upstream::body::{BodyFault, Progress};
use crate::upstream::outbound::Outbound;
use crate::upstream::pool::Lease;
use crate::upstream::server::Server;

/// A request that has been begun, on a connection that nobody else has.
#[derive(Debug)]
pub(in crate::upstream) struct Conversation {
    pub(super) lease: Lease,
    pub(super) sending: Sending,
    is_head: bool,
    heard: bool,
    /// By which number the worker looks for the answer, if it does.
    looked_for: Option<u64>,
}

/// Where in its memory a large part begins, see [`make_room`].
const SHIFT: usize = 128;

/// Why no answer came.
#[derive(Debug)]
pub(in crate::upstream) enum Silence {
    /// The server took nothing; the request is whole.
    NotSent,
    /// The connection had been used before, and closed without a byte.
    ClosedSilently,
    /// The client's body did not arrive whole.
    Body(BodyFault),
    /// What came was no answer, or not all of it.
    Broken(io::Error),
}

impl Conversation {
    /// Takes words and body out of `request`; nothing is sent yet. Boxed once, for it changes hands often.
    pub(in crate::upstream) fn new(lease: Lease, request: &mut Outbound) -> Box<Self> {
        let is_head = request.method == Method::HEAD;
        let sending = Sending::new(request, &lease.server.0.host_header);
        Box::new(Self { lease, sending, is_head, heard: false, looked_for: None })
    }

    /// Whether its connection has carried a request before.
    pub(in crate::upstream) fn is_reused(&self) -> bool {
        self.lease.connection.reused
    }

    /// The server that is asked.
    pub(in crate::upstream) fn server(&self) -> &Server {
        &self.lease.server.0
    }

    /// How far the request's body is, if it has any.
    pub(in crate::upstream) fn progress(&self) -> Option<Rc<Progress>> {
        self.sending.progress()
    }

    /// Lets the worker look for the answer instead of sleeping, until then.
    pub(in crate::upstream) fn look_for_answer(&mut self, until: Instant) {
        self.looked_for = Some(self.lease.pools.busy.look_for(until));
    }

    /// The head that came, and what reads the body behind it.
    pub(in crate::upstream) fn into_answer(self: Box<Self>, head: Head) -> (Response<()>, Content) {
        if let Some(number) = self.looked_for {
            self.lease.pools.busy.stop(number);
        }
        let Head { response, left, persists } = head;
        (response, Content::new(self, left, persists))
    }

    /// Sends and receives until the head of the answer is there. To be polled until it is ready, once.
    pub(in crate::upstream) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Silence>> {
        if let Poll::Ready(sent) = self.sending.poll(&mut self.lease.connection.stream, cx) {
            sent.map_err(Silence::Body)?;
            if self.sending.is_refused() {
                return Poll::Ready(Err(Silence::NotSent));
            }
        }
        loop {
            match self.take_head() {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(Silence::Broken(error))),
            }
            let read = ready!(self.poll_read(cx, READ));
            let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed before it had answered");
            match read.and_then(|read| if read == 0 { Err(closed()) } else { Ok(()) }) {
                Ok(()) => self.heard = true,
                Err(_) if self.lease.connection.reused && !self.heard => {
                    return Poll::Ready(Err(Silence::ClosedSilently));
                }
                Err(error) => return Poll::Ready(Err(Silence::Broken(error))),
            }
        }
    }

    /// The final head, if it was received; interim ones are consumed, but for the 101 that ends HTTP here.
    fn take_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            let Some(head) = take_head(&mut self.lease.connection.received, self.is_head)? else { return Ok(None) };
            let status = head.response.status();
            if !status.is_informational() || status == http::StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some(head));
            }
        }
    }

    /// Receives what there is room for, which is `most` bytes or a little more; 0 at the end of the stream.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        let Lease { connection, pools, .. } = &mut self.lease;
        if most > READ || !connection.received.is_empty() {
            make_room(&mut connection.received, most);
            return poll_read_buf(Pin::new(&mut connection.stream), cx, &mut connection.received);
        }
        let mut chunk = pools.take_chunk(most);
        let polled = poll_read_buf(Pin::new(&mut connection.stream), cx, &mut chunk);
        if !chunk.is_empty() {
            connection.received = chunk.split();
        }
        pools.give_back_chunk(chunk);
        polled
    }

    /// Makes `request` what it was, where the server took nothing, or no answer came to a request without a body.
    pub(in crate::upstream) fn give_back(mut self: Box<Self>, request: &mut Outbound) {
        self.sending.give_back(request);
    }
}

/// Room for `most` bytes behind those that are there. Large blocks of memory begin at pages, and TLS copies what is sent to 5 or 13 bytes
/// behind the beginning of one. From the beginning of another that is 25 times slower: where a copy's target is less than 64 bytes
/// behind its source, modulo 4 KiB, `rep movsb` of AMD's Zen 3 takes the two for one.
fn make_room(received: &mut BytesMut, most: usize) {
    received.reserve(most);
    if received.is_empty() && most > READ {
        received.put_bytes(0, SHIFT);
        received.advance(SHIFT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::wire::BUFFER;

    #[test]
    fn a_large_part_begins_apart_from_a_page_and_takes_no_more_memory_however_often_it_is_waited_for() {
        let mut received = BytesMut::new();
        make_room(&mut received, BUFFER);
        let begins = received.as_ptr();
        for _ in 0..10 {
            make_room(&mut received, BUFFER);
            assert_eq!((received.as_ptr(), received.capacity()), (begins, BUFFER - SHIFT));
        }
        received.put_bytes(b'x', received.capacity());
        let part = received.split().freeze();
        drop(part);
        make_room(&mut received, BUFFER);
        assert_eq!(
            (received.as_ptr(), received.capacity()),
            (begins, BUFFER - SHIFT),
            "what was given away is used again"
        );
    }

    #[test]
    fn what_is_there_stays_where_it_is() {
        let mut received = BytesMut::from(&b"begun"[..]);
        make_room(&mut received, BUFFER);
        assert_eq!(&received[..], b"begun");
        let mut received = BytesMut::new();
        make_room(&mut received, READ);
        assert_eq!(received.capacity(), READ);
    }
}
