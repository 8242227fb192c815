//! A socket beneath TLS, which sends records as cheaply as the kernel can: a lone one as what it is, for a vector of one costs more, and
//! those that come behind a handshake together with the first answer.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::sockopt::set_tcp_quickack;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::either::Either;

use super::readable::Readable;
use super::socket::Connected;

/// What a record is whose content is encrypted, whatever that is (RFC 8446, section 5.2). What a server says within a handshake begins
/// with a record in the clear, but for two things: tickets, for which nobody waits, and alerts, for which somebody does.
const ENCRYPTED: u8 = 23;
/// How long an alert is: two bytes, their type and a tag.
const ALERT: u16 = 2 + 1 + 16;

/// A socket that carries TLS records.
#[derive(Debug)]
pub(crate) struct Records {
    stream: Connected,
    /// Whether the handshake is still under way.
    opening: bool,
    /// Whether nobody has looked yet what comes behind the handshake, whose end is not acknowledged: tickets wait, if there are any.
    owes: Cell<bool>,
}

impl Records {
    /// A socket over which a handshake begins.
    pub(crate) fn new(stream: Connected) -> Self {
        Self { stream, opening: true, owes: Cell::new(false) }
    }

    /// The handshake is over.
    pub(crate) fn opened(&mut self) {
        self.opening = false;
        self.owes.set(true);
    }

    /// Acknowledges a handshake behind which nothing has come yet: until then a client without `TCP_NODELAY` may keep its first request
    /// (RFC 1122, section 4.2.3.4), and the kernel would take 40 ms (tcp(7), `TCP_QUICKACK`).
    fn acknowledge(&self) {
        if self.owes.replace(false)
            && let Either::Left(stream) = &self.stream
        {
            // It only takes longer where that fails.
            let _late = set_tcp_quickack(stream, true);
        }
    }

    fn may_follow(&self, slices: &[IoSlice<'_>]) -> bool {
        let first = slices.iter().find(|slice| !slice.is_empty());
        let is_ticket = |record: &[u8]| match record {
            [ENCRYPTED, _, _, high, low, ..] => u16::from_be_bytes([*high, *low]) > ALERT,
            _ => false,
        };
        self.opening && first.is_some_and(|record| is_ticket(record))
    }
}

/// Sends with what is sent next, or in 200 ms (tcp(7), `TCP_CORK`; `MSG_MORE` is the same for one call).
fn poll_send_more(stream: &TcpStream, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        let send = || Ok(sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), flags)?);
        match stream.try_io(Interest::WRITABLE, send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}

impl Readable for Records {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = self.stream.poll_readable(cx);
        if polled.is_pending() {
            self.acknowledge();
        }
        polled
    }
}

impl AsyncRead for Records {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        match polled {
            Poll::Pending => self.acknowledge(),
            // What came is answered, which acknowledges all of it.
            Poll::Ready(_) => self.owes.set(false),
        }
        polled
    }
}

impl AsyncWrite for Records {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (&self.stream, slices) {
            (Either::Left(stream), _) if self.may_follow(slices) => poll_send_more(stream, cx, slices),
            (_, [only]) => Pin::new(&mut self.stream).poll_write(cx, only),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, UnixStream};
    use tokio::time::timeout;

    async fn connected() -> (Records, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Records::new(Either::Left(listener.accept().await.unwrap().0)), far)
    }

    #[tokio::test]
    async fn whatever_is_written_arrives_in_order() {
        let (mut near, mut far) = connected().await;
        assert!(near.is_write_vectored());
        near.write_all(b"\x16a").await.unwrap();
        for slices in [&[&b"\x17\x03\x03\x01\x01b"[..]][..], &[b"", b"\x17\x03\x03\x01\x01c", b"d"]] {
            let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
            let length: usize = slices.iter().map(|slice| slice.len()).sum();
            assert_eq!(near.write_vectored(&slices).await.unwrap(), length);
        }
        near.opened();
        near.write_all(b"\x17e").await.unwrap();
        near.shutdown().await.unwrap();
        let mut all = String::new();
        far.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "\x16a\x17\x03\x03\x01\x01b\x17\x03\x03\x01\x01cd\x17e");
    }

    #[tokio::test]
    async fn what_comes_behind_a_handshake_leaves_without_anything_that_follows() {
        let (mut near, mut far) = connected().await;
        near.write_all(b"\x17\x03\x03\x01\x01ticket").await.unwrap();
        near.opened();
        let mut ticket = [0; 11];
        timeout(Duration::from_secs(10), far.read_exact(&mut ticket)).await.expect("the kernel sends it").unwrap();
        assert_eq!(&ticket, b"\x17\x03\x03\x01\x01ticket");
    }

    /// What a socket has sent and the other end has not acknowledged, by the kernel's own account (proc(5), `/proc/net/tcp`).
    fn unacknowledged(sender: &TcpStream) -> u64 {
        let port = format!(":{:04X}", sender.local_addr().unwrap().port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut sockets = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let queues = sockets.find(|words| words[1].ends_with(&port)).unwrap()[4];
        u64::from_str_radix(queues.split(':').next().unwrap(), 16).unwrap()
    }

    #[tokio::test]
    async fn a_handshake_is_acknowledged_whether_tickets_wait_or_there_are_none() {
        for tickets in [&b"\x17\x03\x03\x01\x01ticket"[..], b""] {
            is_acknowledged_behind(tickets).await;
        }
    }

    async fn is_acknowledged_behind(tickets: &[u8]) {
        let (mut near, mut far) = connected().await;
        // The kernel acknowledges by answers once there were some.
        for _ in 0..3 {
            far.write_all(b"hello").await.unwrap();
            assert_eq!(near.read(&mut [0; 64]).await.unwrap(), 5);
            near.write_all(b"\x16hello").await.unwrap();
            far.read_exact(&mut [0; 6]).await.unwrap();
        }
        far.write_all(b"finished").await.unwrap();
        assert_eq!(near.read(&mut [0; 64]).await.unwrap(), 8);
        near.write_all(tickets).await.unwrap();
        near.opened();
        let before = unacknowledged(&far);
        let look = std::future::poll_fn(|cx| Poll::Ready(near.poll_readable(cx).is_pending()));
        assert!(look.await, "nothing has come");
        assert_eq!((before, unacknowledged(&far)), (8, 0));
    }

    #[tokio::test]
    async fn tickets_may_wait_for_what_follows_and_alerts_and_what_is_in_the_clear_may_not() {
        let (mut near, _far) = connected().await;
        let may_follow = |near: &Records, record: &[u8]| near.may_follow(&[IoSlice::new(b""), IoSlice::new(record)]);
        let alert = [&[ENCRYPTED, 3, 3, 0, 19][..], &[0; 19]].concat();
        let ticket = [&[ENCRYPTED, 3, 3, 0, 90][..], &[0; 90]].concat();
        for (record, may) in [(&ticket[..], true), (&alert, false), (b"\x16\x03\x03\x01\x01", false), (b"\x17", false)]
        {
            assert_eq!(may_follow(&near, record), may, "{record:?}");
        }
        near.opened();
        assert!(!may_follow(&near, &ticket), "the handshake is over");
    }

    #[tokio::test]
    async fn a_unix_socket_sends_at_once() {
        let (near, mut far) = UnixStream::pair().unwrap();
        Records::new(Either::Right(near)).write_all(b"\x17a").await.unwrap();
        assert_eq!(far.read_u16().await.unwrap(), 0x1761);
    }
}
