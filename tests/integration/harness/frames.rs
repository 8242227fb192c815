//! An HTTP/2 client in raw frames (RFC 9113, section 4): it sends what no library would, and reads what comes back unjudged.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{self, Io};
use super::message::Reader;
use super::within;

/// What a client sends first (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of frames.
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const HEADERS: u8 = 1;
    pub(crate) const PRIORITY: u8 = 2;
    pub(crate) const RST_STREAM: u8 = 3;
    pub(crate) const SETTINGS: u8 = 4;
    pub(crate) const PUSH_PROMISE: u8 = 5;
    pub(crate) const PING: u8 = 6;
    pub(crate) const GOAWAY: u8 = 7;
    pub(crate) const WINDOW_UPDATE: u8 = 8;
    pub(crate) const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub(crate) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// Error codes (RFC 9113, section 7).
pub(crate) mod code {
    pub(crate) const PROTOCOL: u32 = 1;
    pub(crate) const FLOW_CONTROL: u32 = 3;
    pub(crate) const STREAM_CLOSED: u32 = 5;
    pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;
}

/// One frame as it came.
#[derive(Debug)]
pub(crate) struct RawFrame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// What became of a request, or of the connection before it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was answered.
    Status(u16),
    /// Its stream was reset, with that code.
    Reset(u32),
    /// The connection was given up, with that code.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

/// A connection. Its settings were sent, and the gateway's are acknowledged.
pub(crate) struct Frames {
    reader: Reader<Box<dyn Io>>,
}

impl Frames {
    /// Over TLS.
    pub(crate) async fn tls(address: SocketAddr, ca: &str) -> Self {
        Self::greeted(client::handshake(address, ca, ("localhost", "h2")).await, &[]).await
    }

    /// Over TLS, with settings of its own.
    pub(crate) async fn with_settings(address: SocketAddr, ca: &str, settings: &[(u16, u32)]) -> Self {
        Self::greeted(client::handshake(address, ca, ("localhost", "h2")).await, settings).await
    }

    /// By prior knowledge.
    pub(crate) async fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway accepts");
        stream.set_nodelay(true).expect("a socket");
        Self::greeted(stream, &[]).await
    }

    /// Before the preface.
    pub(crate) async fn silent(address: SocketAddr, ca: &str) -> Self {
        let stream = client::handshake(address, ca, ("localhost", "h2")).await;
        Self { reader: Reader::new(Box::new(stream)) }
    }

    async fn greeted(stream: impl Io + 'static, ours: &[(u16, u32)]) -> Self {
        let mut connection = Self { reader: Reader::new(Box::new(stream)) };
        let acknowledged = frame(kind::SETTINGS, flag::ACK, 0, &[]);
        connection.send([PREFACE, &frame(kind::SETTINGS, 0, 0, &settings(ours)), &acknowledged].concat()).await;
        connection
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the gateway reads");
    }

    /// Sends bytes if the gateway still listens.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let sent = async {
            self.reader.io.write_all(bytes.as_ref()).await?;
            self.reader.io.flush().await
        };
        within("sending", sent).await
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn frame(&mut self) -> Option<RawFrame> {
        within("a frame", read(&mut self.reader)).await.ok()
    }

    /// Reads until the gateway has said what becomes of a stream, or of the connection.
    pub(crate) async fn outcome(&mut self, stream: u32) -> Outcome {
        while let Some(frame) = self.frame().await {
            match frame.kind {
                kind::HEADERS if frame.stream == stream => return Outcome::Status(status(&frame.payload)),
                kind::RST_STREAM if frame.stream == stream => return Outcome::Reset(number(&frame.payload)),
                kind::GOAWAY => return Outcome::GoAway(number(&frame.payload[4..])),
                _ => {}
            }
        }
        Outcome::Closed
    }

    /// Waits for the answer to a PING: everything sent before was read.
    pub(crate) async fn is_alive(&mut self) -> bool {
        if self.try_send(ping()).await.is_err() {
            return false;
        }
        while let Some(frame) = self.frame().await {
            match (frame.kind, frame.flags) {
                (kind::PING, flag::ACK) => return true,
                (kind::GOAWAY, _) => return false,
                _ => {}
            }
        }
        false
    }

    /// Both directions, to flood one while the other is read or left.
    pub(crate) fn split(self) -> (FrameReader, FrameWriter) {
        let (read, write) = tokio::io::split(self.reader.io);
        (FrameReader(Reader { io: read, buffer: self.reader.buffer }), FrameWriter(write))
    }
}

/// What the gateway sends.
pub(crate) struct FrameReader(Reader<tokio::io::ReadHalf<Box<dyn Io>>>);

impl FrameReader {
    /// Reads to the end of the connection: how many frames came, and the last GOAWAY's code, if there was one.
    pub(crate) async fn end(&mut self) -> (usize, Option<u32>) {
        let (mut frames, mut code) = (0, None);
        while let Ok(frame) = within("the end of the connection", read(&mut self.0)).await {
            frames += 1;
            if frame.kind == kind::GOAWAY {
                code = Some(number(&frame.payload[4..]));
            }
        }
        (frames, code)
    }
}

/// What goes to the gateway.
pub(crate) struct FrameWriter(tokio::io::WriteHalf<Box<dyn Io>>);

impl FrameWriter {
    /// Sends the same bytes so often, unless the gateway hangs up before; how often it took them.
    pub(crate) async fn flood(&mut self, bytes: &[u8], times: usize) -> usize {
        for time in 0..times {
            if self.0.write_all(bytes).await.is_err() || self.0.flush().await.is_err() {
                return time;
            }
        }
        times
    }
}

async fn read<R: AsyncRead + Unpin>(reader: &mut Reader<R>) -> io::Result<RawFrame> {
    let head = reader.exactly(9).await?;
    let length = number(&[0, head[0], head[1], head[2]]);
    let payload = reader.exactly(length as usize).await?;
    Ok(RawFrame { kind: head[3], flags: head[4], stream: number(&head[5..]), payload })
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}

/// The status of an answer's field block: the first field, and on a new connection never from the dynamic table.
fn status(block: &[u8]) -> u16 {
    let block = if block[0] & 0xe0 == 0x20 { &block[1..] } else { block };
    match block[0] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        0x48 | 0x08 if block[1] & 0x80 == 0 => std::str::from_utf8(&block[2..5]).unwrap().parse().unwrap(),
        0x48 | 0x08 => huffman_digits(&block[2..]),
        other => panic!("no status begins with {other:#x}"),
    }
}

/// Three digits: `0` to `2` are five bits, the others six (RFC 7541, appendix B).
fn huffman_digits(coded: &[u8]) -> u16 {
    let mut bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let mut take = |count: usize| bits.by_ref().take(count).fold(0, |all, bit| all << 1 | bit);
    (0..3).fold(0, |all, _| {
        let five = take(5);
        let digit = if five < 3 { five } else { (five << 1 | take(1)) - 0x19 + 3 };
        all * 10 + digit
    })
}

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field block: each field a literal without indexing, with a new name, nothing compressed (RFC 7541, section 6.2.2).
pub(crate) fn block(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name.as_bytes(), value] {
            bytes.extend(integer(text.len()));
            bytes.extend(text);
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
pub(crate) fn integer(value: usize) -> Vec<u8> {
    let Some(mut rest) = value.checked_sub(0x7f) else { return vec![value as u8] };
    let mut bytes = vec![0x7f];
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// The payload of SETTINGS.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    values.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect()
}

/// A whole PING.
pub(crate) fn ping() -> Vec<u8> {
    frame(kind::PING, 0, 0, b"gateward")
}
