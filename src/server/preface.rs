//! Tells HTTP/2 by prior knowledge (RFC 9113, section 3.3) from HTTP/1.1, by the first bytes of a connection without TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::readable::Readable;

/// What an HTTP/2 client sends first (RFC 9113, section 3.4). No HTTP/1.1 request begins so.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Room for the whole head of most requests, so that telling costs no read that would not have been.
const FIRST_READ: usize = 4096;

/// A stream whose first bytes were read already, and come first all the same.
#[derive(Debug)]
pub(crate) struct Replayed<S> {
    first: Bytes,
    stream: S,
}

/// Reads until it is clear whether this is HTTP/2. A connection that ends before is not.
///
/// # Errors
/// What the socket says.
pub(crate) async fn tell<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(bool, Replayed<S>)> {
    let mut first = BytesMut::with_capacity(FIRST_READ);
    let speaks_http2 = loop {
        let compared = first.len().min(PREFACE.len());
        let (same, whole) = (first[..compared] == PREFACE[..compared], compared == PREFACE.len());
        if !same || whole {
            break same;
        }
        if stream.read_buf(&mut first).await? == 0 {
            break false;
        }
    };
    Ok((speaks_http2, Replayed { first: first.freeze(), stream }))
}

impl<S: Readable> Readable for Replayed<S> {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.first.is_empty() { self.stream.poll_readable(cx) } else { Poll::Ready(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Replayed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let taken = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..taken]);
        self.first.advance(taken);
        if self.first.is_empty() {
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Replayed<S> {
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
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is told of bytes that come in pieces, and what is read afterwards.
    fn told(bytes: &[u8], piece: usize) -> (bool, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut io = in_pieces(bytes, piece);
            let (speaks_http2, mut replayed) = tell(&mut io).await.unwrap();
            let mut read = Vec::new();
            replayed.read_to_end(&mut read).await.unwrap();
            (speaks_http2, read)
        })
    }

    fn in_pieces(bytes: &[u8], piece: usize) -> impl AsyncRead + Unpin {
        bytes.chunks(piece).fold(Box::new(tokio::io::empty()) as Box<dyn AsyncRead + Unpin>, |before, chunk| {
            Box::new(before.chain(io::Cursor::new(chunk.to_vec())))
        })
    }

    #[test]
    fn only_the_whole_preface_is_http_2() {
        let more = [PREFACE, b"\0\0\0\x04\0\0\0\0\0"].concat();
        for piece in [1, 3, 24, 100] {
            assert_eq!(told(&more, piece), (true, more.clone()));
            assert_eq!(told(PREFACE, piece), (true, PREFACE.to_vec()));
            for other in
                [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\n", b"PRI * HTTP/1.1\r\n\r\n", b"PUT / HTTP/1.1\r\n\r\n"]
            {
                assert_eq!(told(other, piece), (false, other.to_vec()));
            }
        }
    }

    proptest! {
        #[test]
        fn no_byte_is_lost(bytes: Vec<u8>, piece in 1usize..64) {
            prop_assert_eq!(told(&bytes, piece), (false, bytes));
        }
    }
}
