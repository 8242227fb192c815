//! HTTP/1.1 with as little work as can be: a generator that shares its core with the upstream must ask faster than a proxy answers.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The largest answer that is kept for [`Connection::answer`]; more is thrown away as it comes.
const KEPT: usize = 64 << 10;

/// A connection over which one request after the other goes.
pub(crate) struct Connection {
    stream: Box<TlsStream<TcpStream>>,
    received: BytesMut,
}

/// What an answer's head says.
struct Head {
    status: u16,
    bytes: usize,
    body: usize,
}

impl Connection {
    pub(crate) fn new(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: Box::new(stream), received: BytesMut::new() }
    }

    /// Sends a request and reads its answer to the end; the status and the length.
    pub(crate) async fn exchange(&mut self, head: &[u8], body: &[u8]) -> io::Result<(u16, usize)> {
        self.received.clear();
        self.stream.write_all(head).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await?;
        let head = loop {
            self.read().await?;
            if let Some(head) = head_of(&self.received)? {
                break head;
            }
        };
        self.received.advance(head.bytes);
        let mut left = head.body - self.received.len().min(head.body);
        while left > 0 {
            if self.received.len() > KEPT {
                self.received.clear();
            }
            left -= self.read().await?.min(left);
        }
        Ok((head.status, head.body))
    }

    /// The body of the last answer, if that was short.
    pub(crate) fn answer(&self) -> &[u8] {
        &self.received
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.received.reserve(16 << 10);
        let count = self.stream.read_buf(&mut self.received).await?;
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(count) }
    }
}

/// The head, once it is there. All peers say how long their answers are.
fn head_of(received: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut answer = httparse::Response::new(&mut fields);
    let Ok(parsed) = answer.parse(received) else { return Err(io::ErrorKind::InvalidData.into()) };
    let httparse::Status::Complete(bytes) = parsed else { return Ok(None) };
    let length = answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let body = length.and_then(|length| std::str::from_utf8(length.value).ok()?.parse().ok());
    match (answer.code, body) {
        (Some(status), Some(body)) => Ok(Some(Head { status, bytes, body })),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
