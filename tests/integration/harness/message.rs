//! HTTP/1.1 messages, read without judging them: the same small parser serves the recording upstream and the raw client.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Header fields in the order they came, names as they were spelled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

impl Fields {
    /// The fields of a head's lines, the first line left out.
    pub(crate) fn of_head(head: &str) -> Self {
        Self(head.split("\r\n").skip(1).filter_map(|line| line.split_once(':')).map(field).collect())
    }

    /// Every value of one name, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a name; a repeated field fails the test.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} is repeated: {all:?}");
        all.first().copied()
    }
}

fn field((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.trim().to_owned())
}

/// How a body ends.
pub(crate) enum Framing {
    Empty,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Framing {
    /// What the fields say; `otherwise` when they say nothing.
    pub(crate) fn of(fields: &Fields, otherwise: Self) -> Self {
        if fields.all("transfer-encoding").iter().any(|value| value.to_ascii_lowercase().contains("chunked")) {
            return Self::Chunked;
        }
        match fields.all("content-length").first().and_then(|value| value.parse().ok()) {
            Some(length) => Self::Length(length),
            None => otherwise,
        }
    }
}

/// Bytes of one connection, with what was read too far kept for the next message.
pub(crate) struct Reader<R> {
    pub(crate) io: R,
    pub(crate) buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(crate) fn new(io: R) -> Self {
        Self { io, buffer: Vec::new() }
    }

    /// Reads once more; false at the end of the connection.
    async fn fill(&mut self) -> io::Result<bool> {
        Ok(self.io.read_buf(&mut self.buffer).await? > 0)
    }

    /// Everything up to a delimiter, which is taken too; `None` when the connection ended before its first byte.
    pub(crate) async fn until(&mut self, delimiter: &[u8]) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = self.buffer.windows(delimiter.len()).position(|window| window == delimiter) {
                let text = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                self.buffer.drain(..at + delimiter.len());
                return Ok(Some(text));
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Whatever came, at least one byte; `None` at the end.
    pub(crate) async fn some(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.buffer.is_empty() && !self.fill().await? {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.buffer)))
    }

    /// Exactly so many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    /// One chunk; an empty one is the last.
    pub(crate) async fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.until(b"\r\n").await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| io::Error::other(format!("chunk size {line:?}")))?;
        let data = self.exactly(size).await?;
        if size > 0 {
            self.exactly(2).await?;
        }
        Ok(data)
    }

    /// A whole body and its trailers.
    pub(crate) async fn body(&mut self, framing: Framing) -> io::Result<(Vec<u8>, Fields)> {
        match framing {
            Framing::Empty => Ok(Default::default()),
            Framing::Length(length) => Ok((self.exactly(length).await?, Fields::default())),
            Framing::Chunked => self.chunked_body().await,
            Framing::UntilClose => {
                while self.fill().await? {}
                Ok((std::mem::take(&mut self.buffer), Fields::default()))
            }
        }
    }

    async fn chunked_body(&mut self) -> io::Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                return Ok((body, self.trailers().await?));
            }
            body.extend(chunk);
        }
    }

    async fn trailers(&mut self) -> io::Result<Fields> {
        let mut fields = Fields::default();
        loop {
            let line = self.until(b"\r\n").await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match line.split_once(':') {
                Some(pair) => fields.0.push(field(pair)),
                None => return Ok(fields),
            }
        }
    }
}

/// One chunk as it goes over the wire.
pub(crate) fn chunked(data: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
    bytes.extend(data);
    bytes.extend(b"\r\n");
    bytes
}
