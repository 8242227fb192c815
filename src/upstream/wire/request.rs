//! A request on its way out: the head written once, the body framed as it comes (RFC 9112, sections 3, 6 and 7).

use std::io::Write as _;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method};
use hyper::body::{Body as _, Frame};
use tokio::io::AsyncWrite;

use super::outgoing::Outgoing;
use crate::upstream::body::{BodyFault, Progress, RequestBody};
use crate::upstream::outbound::{Outbound, write_field};

/// What is left to send of a request.
#[derive(Debug)]
pub(super) struct Sending {
    outgoing: Outgoing,
    /// How many of the head's bytes are the request's own words, to be given back.
    said: usize,
    body: RequestBody,
    left: Left,
    /// Whether the server takes no more. It may have answered before it closed, so that reading says how the exchange ended.
    closed: bool,
    /// Whether the server has taken anything, or something of the body was read.
    begun: bool,
    /// Whether the server is told that nothing follows on this connection.
    last: bool,
}

/// Of which a body means nothing (RFC 9110, sections 9.3.1, 9.3.2, 9.3.5 and 9.3.7): a server that doesn't look for one takes it for
/// the next request.
const BODILESS: [Method; 4] = [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS];

/// How much of the body is still to be framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Exactly(u64),
    Chunks,
    Nothing,
}

impl Sending {
    /// Takes the words and the body; `host` is the server's own name.
    pub(super) fn new(request: &mut Outbound, host: &HeaderValue) -> Self {
        let body = std::mem::take(&mut request.body);
        let left = Left::of(request.announced, &body);
        let last = left != Left::Nothing && BODILESS.contains(&request.method);
        let mut outgoing = Outgoing::of(std::mem::take(&mut request.words));
        let said = outgoing.head.len();
        if !request.names_host {
            write_field(&mut outgoing.head, &HOST, host.as_bytes());
        }
        if last {
            outgoing.head.extend_from_slice(b"connection: close\r\n");
        }
        write_framing(&mut outgoing.head, request, left);
        Self { outgoing, said, body, left, closed: false, begun: false, last }
    }

    /// How far the body is, if there is any.
    pub(super) fn progress(&self) -> Option<Rc<Progress>> {
        self.body.progress()
    }

    /// Whether there is nothing left to send.
    pub(super) fn is_over(&self) -> bool {
        self.closed || (self.left == Left::Nothing && self.outgoing.is_empty())
    }

    /// Whether the whole request was taken, so that another may follow.
    pub(super) fn may_be_followed(&self) -> bool {
        !self.closed && !self.last && self.is_over()
    }

    /// Whether the server takes nothing and has taken nothing; then the body is whole.
    pub(super) fn is_refused(&self) -> bool {
        self.closed && !self.begun
    }

    /// Makes `request` what it was, to try again with: no part of a body may have been sent.
    pub(super) fn give_back(&mut self, request: &mut Outbound) {
        request.words = std::mem::take(&mut self.outgoing.head);
        request.words.truncate(self.said);
        request.body = std::mem::take(&mut self.body);
    }

    /// Sends no more; the server is left with less than it was promised.
    pub(super) fn give_up(&mut self) {
        self.closed = true;
    }

    /// Sends what can be sent; ready when all was, or the server takes no more.
    pub(super) fn poll(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BodyFault>> {
        while !self.is_over() {
            // What is there of the body goes with its head, in one write.
            if self.left != Left::Nothing && self.outgoing.takes_data() {
                match Pin::new(&mut self.body).poll_frame(cx) {
                    Poll::Ready(frame) => self.frame(frame.transpose()?)?,
                    Poll::Pending if self.outgoing.is_empty() => return Poll::Pending,
                    Poll::Pending => {}
                }
            }
            match ready!(self.outgoing.poll_write(stream, cx)) {
                Ok(written) => self.begun |= written > 0,
                Err(_reading_tells) => self.closed = true,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next part of the body over, or its end.
    fn frame(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), BodyFault> {
        self.begun = true;
        let Some(frame) = frame else { return self.end(None) };
        match frame.into_data() {
            Ok(data) => self.take(data),
            Err(frame) => self.end(frame.into_trailers().ok().as_ref()),
        }
    }

    fn take(&mut self, data: Bytes) -> Result<(), BodyFault> {
        match &mut self.left {
            Left::Exactly(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(BodyFault::Broken)?;
                if *left == 0 {
                    self.left = Left::Nothing;
                }
            }
            // An empty chunk would be the last.
            Left::Chunks if data.is_empty() => {}
            Left::Chunks => {
                let _whole = write!(self.outgoing.head(), "{:x}\r\n", data.len());
                self.outgoing.tail = b"\r\n";
            }
            Left::Nothing => return Err(BodyFault::Broken),
        }
        self.outgoing.data = data;
        Ok(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), BodyFault> {
        match std::mem::replace(&mut self.left, Left::Nothing) {
            Left::Chunks => {
                let head = self.outgoing.head();
                head.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    write_field(head, name, value.as_bytes());
                }
                head.extend_from_slice(b"\r\n");
                Ok(())
            }
            Left::Exactly(0) | Left::Nothing => Ok(()),
            Left::Exactly(_) => Err(BodyFault::Broken),
        }
    }
}

impl Left {
    /// A body whose length was announced is sent with that length, every other one in chunks.
    fn of(announced: Option<u64>, body: &RequestBody) -> Self {
        if body.is_empty() { Self::Nothing } else { announced.map_or(Self::Chunks, Self::Exactly) }
    }
}

/// The framing fields are those of the body that follows, whatever the client said; then the end of the head.
fn write_framing(out: &mut Vec<u8>, request: &Outbound, left: Left) {
    // RFC 9110, section 8.6: no body is said where the method would have one.
    let has_none = [Method::POST, Method::PUT, Method::PATCH].contains(&request.method) || request.announced.is_some();
    match left {
        Left::Exactly(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        Left::Chunks => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Left::Nothing if has_none => out.extend_from_slice(b"content-length: 0\r\n"),
        Left::Nothing => {}
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const OWN: HeaderValue = HeaderValue::from_static("one");

    /// What a server gets of a request without a body.
    fn sent(mut request: Outbound) -> String {
        let mut sending = Sending::new(&mut request, &OWN);
        let mut server = Vec::new();
        assert!(sending.poll(&mut server, &mut Context::from_waker(Waker::noop())).is_ready());
        assert!(sending.may_be_followed() && !sending.is_refused());
        String::from_utf8(server).unwrap()
    }

    /// A request that says which host it is for.
    fn request(method: Method, target: &str) -> Outbound {
        let mut request = Outbound::new(method, target);
        request.host(&HeaderValue::from_static("a"));
        request
    }

    #[test]
    fn a_head_says_what_its_body_is() {
        assert_eq!(sent(request(Method::GET, "/a?b=c")), "GET /a?b=c HTTP/1.1\r\nhost: a\r\n\r\n");
        let mut announced = request(Method::GET, "/");
        announced.announce(&HeaderValue::from_static("7"));
        assert_eq!(sent(announced), "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(sent(request(Method::POST, "/")), "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(sent(request(Method::OPTIONS, "*")), "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    }

    #[test]
    fn a_server_is_told_its_own_name_where_the_head_says_no_host() {
        assert_eq!(sent(Outbound::new(Method::GET, "/")), "GET / HTTP/1.1\r\nhost: one\r\n\r\n");
    }

    /// A server that has closed.
    struct Closed;

    impl AsyncWrite for Closed {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
            Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_server_that_took_nothing_is_known_as_such_and_the_next_is_sent_the_same() {
        let mut request = Outbound::new(Method::GET, "/");
        let mut sending = Sending::new(&mut request, &OWN);
        assert!(sending.poll(&mut Closed, &mut Context::from_waker(Waker::noop())).is_ready());
        assert!(sending.is_refused() && !sending.may_be_followed());
        sending.give_back(&mut request);
        assert_eq!(sent(request), "GET / HTTP/1.1\r\nhost: one\r\n\r\n");
    }
}
