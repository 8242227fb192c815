//! HTTP/1.1 with as little work as can be: a generator that shares its core with the upstream must ask faster than a proxy answers.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The largest answer that is kept for [`Connection::answer`]; more is thrown away as it comes.
const KEPT: usize = 64 << 10;

/// The longest body that leaves in one record with its head.
const JOINED: usize = 8 << 10;

/// A connection over which one request after the other goes.
pub(crate) struct Connection {
    stream: Box<TlsStream<TcpStream>>,
    received: BytesMut,
}

/// What an answer's head says.
struct Head {
    status: u16,
    /// How long it is, and how long the body behind it, in bytes.
    length: usize,
    body: usize,
}

impl Connection {
    pub(crate) fn new(stream: TlsStream<TcpStream>) -> Self {
        Self { stream: Box::new(stream), received: BytesMut::new() }
    }

    /// Sends a request and reads its answer to the end; the status and the length.
    pub(crate) async fn exchange(&mut self, head: &[u8], body: &[u8]) -> io::Result<(u16, usize)> {
        self.received.clear();
        if body.len() > JOINED {
            self.stream.write_all(head).await?;
            self.stream.write_all(body).await?;
        } else {
            self.stream.write_all(&[head, body].concat()).await?;
        }
        self.stream.flush().await?;
        let head = loop {
            self.read().await?;
            if let Some(head) = head_of(&self.received)? {
                break head;
            }
        };
        self.received.advance(head.length);
        let mut came = self.received.len();
        while came < head.body {
            if self.received.len() > KEPT {
                self.received.clear();
            }
            came += self.read().await?;
        }
        if came > head.body { Err(io::ErrorKind::InvalidData.into()) } else { Ok((head.status, head.body)) }
    }

    /// The body of the last answer, if that was short; else what came of it last.
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
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let announced = answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let body = announced.and_then(|announced| std::str::from_utf8(announced.value).ok()?.parse().ok());
    match (answer.code, body) {
        (Some(status), Some(body)) => Ok(Some(Head { status, length, body })),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
