//! Gathers what an HTTP/2 connection writes and sends it once a poll: h2 flushes before each frame, and each flush would be a TLS
//! record and a syscall of its own.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::finish::Finish;

/// What may wait; beyond it writes wait too. h2 holds floods of PING and SETTINGS by that back pressure.
const MOST: usize = 64 * 1024;

thread_local! {
    /// Memory for what waits. One that a worker's connections take in turn, and give back when all is sent: most idle most of the time,
    /// and what was just used is still in the cache.
    static SPARE: Cell<Vec<u8>> = Cell::default();
}

/// A stream whose flushes do nothing; [`Flushing`] sends what was written.
#[derive(Debug)]
pub(crate) struct Deferred<S>(Rc<RefCell<Gathered<S>>>);

#[derive(Debug)]
struct Gathered<S> {
    stream: S,
    waiting: Vec<u8>,
    /// How much of it was sent.
    sent: usize,
    /// Whether the stream may hold a part of what it took: TLS does when the socket is full.
    unflushed: bool,
    /// Why nothing can be sent any more; whoever reads is told.
    failed: Option<io::ErrorKind>,
}

/// A connection over a [`Deferred`] stream, which it drains after each poll.
#[derive(Debug)]
pub(crate) struct Flushing<C, S> {
    connection: C,
    stream: Rc<RefCell<Gathered<S>>>,
}

impl<S> Deferred<S> {
    pub(crate) fn new(stream: S) -> Self {
        let gathered = Gathered { stream, waiting: Vec::new(), sent: 0, unflushed: false, failed: None };
        Self(Rc::new(RefCell::new(gathered)))
    }

    /// Makes a connection over this stream, and drains it from then on.
    pub(crate) fn serve<C>(self, connect: impl FnOnce(Self) -> C) -> Flushing<C, S> {
        let stream = self.0.clone();
        Flushing { connection: connect(self), stream }
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Sends what waits, then flushes.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.waiting.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
            self.unflushed = true;
        }
        self.give_back();
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Gathered<S> {
    /// Where more can be written.
    fn room(&mut self) -> &mut Vec<u8> {
        if self.waiting.capacity() == 0 {
            self.waiting = SPARE.take();
        }
        &mut self.waiting
    }

    /// Leaves the memory, which holds nothing any more, to others.
    fn give_back(&mut self) {
        self.sent = 0;
        let mut spare = std::mem::take(&mut self.waiting);
        if spare.capacity() > 0 {
            spare.clear();
            SPARE.set(spare);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Deferred<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.borrow_mut();
        match gathered.failed {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None => Pin::new(&mut gathered.stream).poll_read(cx, buf),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Deferred<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut gathered = self.0.borrow_mut();
        if gathered.waiting.len() >= MOST {
            ready!(gathered.poll_drain(cx))?;
        }
        let taken = buf.len().min(MOST);
        gathered.room().extend_from_slice(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.borrow_mut();
        ready!(gathered.poll_drain(cx))?;
        Pin::new(&mut gathered.stream).poll_shutdown(cx)
    }
}

impl<C, S> Future for Flushing<C, S>
where
    C: Future<Output = hyper::Result<()>> + Unpin,
    S: AsyncWrite + Unpin,
{
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.connection).poll(cx);
        let mut stream = self.stream.borrow_mut();
        if let Poll::Ready(Err(error)) = stream.poll_drain(cx) {
            stream.failed = Some(error.kind());
            stream.give_back();
            cx.waker().wake_by_ref();
        }
        polled
    }
}

impl<C: Finish + Unpin, S: AsyncWrite + Unpin> Finish for Flushing<C, S> {
    fn finish(mut self: Pin<&mut Self>) {
        Pin::new(&mut self.connection).finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn deferred(capacity: usize) -> (Deferred<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(capacity);
        (Deferred::new(near), far)
    }

    #[tokio::test]
    async fn what_is_written_and_flushed_is_sent_after_the_poll_at_once() {
        let (stream, mut far) = deferred(1024);
        let serving = stream.serve(|mut stream| {
            Box::pin(async move {
                for part in ["one ", "two ", "three"] {
                    stream.write_all(part.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                }
                tokio::task::yield_now().await;
                std::future::pending::<hyper::Result<()>>().await
            })
        });
        let mut bytes = [0; 64];
        let read = tokio::select! {
            _ = serving => unreachable!("it never ends"),
            read = far.read(&mut bytes) => read.unwrap(),
        };
        assert_eq!(&bytes[..read], b"one two three");
    }

    #[tokio::test]
    async fn writes_wait_beyond_the_bound_until_the_other_side_reads() {
        let (stream, mut far) = deferred(16);
        let gathered = stream.0.clone();
        let serving = stream.serve(|mut stream| {
            Box::pin(async move {
                stream.write_all(&vec![b'x'; 10 * MOST]).await.unwrap();
                stream.shutdown().await.unwrap();
                Ok(())
            })
        });
        let read = async {
            tokio::task::yield_now().await;
            assert!(gathered.borrow().waiting.len() <= 2 * MOST);
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all.len()
        };
        let (served, length): (hyper::Result<()>, usize) = tokio::join!(serving, read);
        assert!(served.is_ok() && length == 10 * MOST);
    }

    #[tokio::test]
    async fn what_the_stream_holds_back_is_sent_without_another_write() {
        let (near, mut far) = tokio::io::duplex(16);
        let stream = Deferred::new(tokio::io::BufWriter::with_capacity(1024, near));
        let serving = stream.serve(|mut stream| {
            Box::pin(async move {
                stream.write_all(&[b'x'; 100]).await.unwrap();
                stream.read_u8().await.unwrap();
                Ok(())
            })
        });
        let read = async {
            far.read_exact(&mut [0; 100]).await.unwrap();
            far.write_u8(1).await.unwrap();
        };
        let both = async { tokio::join!(serving, read) };
        let (served, ()): (hyper::Result<()>, ()) = tokio::time::timeout(std::time::Duration::from_secs(10), both)
            .await
            .expect("nothing is held back for ever");
        assert!(served.is_ok());
    }

    #[tokio::test]
    async fn who_reads_is_told_when_nothing_can_be_sent() {
        let (stream, far) = deferred(16);
        drop(far);
        let serving = stream.serve(|mut stream| {
            Box::pin(async move {
                stream.write_all(b"lost").await.unwrap();
                tokio::task::yield_now().await;
                let error = stream.read_u8().await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
                Ok(())
            })
        });
        let served: hyper::Result<()> = serving.await;
        assert!(served.is_ok());
    }
}
