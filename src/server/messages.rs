//! Where the messages of an HTTP/1.1 connection begin and end; the one reading that hyper's must agree with.

use super::chunk;
use super::head::{Body, Fields, Head, Whole, line};
use crate::gateway::Flaw;

/// How far a stream of requests has been judged.
#[derive(Debug)]
pub(crate) struct Messages {
    part: Part,
    /// Bytes of a head, and of trailers.
    most: usize,
    flaw: Option<Flaw>,
}

/// What comes next.
#[derive(Debug)]
enum Part {
    Head(Head),
    /// So many bytes of a body.
    Length(u64),
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(u64),
    ChunkEnd,
    /// So many bytes of them so far.
    Trailers(Fields, usize),
    /// Another message or another protocol: the answer decides.
    Undecided,
    /// Another protocol.
    Foreign,
}

impl Messages {
    pub(crate) fn new(most: usize) -> Self {
        Self { part: Part::Head(Head::default()), most, flaw: None }
    }

    /// How many of the bytes that came next may be seen. What is left must come again, with more; or there is a flaw in it.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() {
            match self.step(&bytes[passed..]) {
                Ok(0) => break,
                Ok(more) => passed += more,
                Err(flaw) => {
                    self.flaw = Some(flaw);
                    break;
                }
            }
        }
        passed
    }

    /// Why nothing more may be seen.
    pub(crate) fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    /// Whether the next byte belongs to a head.
    pub(crate) fn is_at_head(&self) -> bool {
        matches!(self.part, Part::Head(_))
    }

    /// Whether the answer to the last message must be known before what comes behind it is understood.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.part, Part::Undecided)
    }

    /// The answer is known.
    pub(crate) fn decide(&mut self, switched: bool) {
        self.part = if switched { Part::Foreign } else { Part::Head(Head::default()) };
    }

    fn step(&mut self, rest: &[u8]) -> Result<usize, Flaw> {
        match &mut self.part {
            Part::Head(head) => {
                let Some(whole) = head.look(rest, self.most)? else { return Ok(0) };
                self.part = Part::after(&whole);
                Ok(whole.bytes)
            }
            Part::Length(left) => {
                let taken = take(left, rest);
                if *left == 0 {
                    self.part = Part::Head(Head::default());
                }
                Ok(taken)
            }
            Part::Chunk(left) => {
                let taken = take(left, rest);
                if *left == 0 {
                    self.part = Part::ChunkEnd;
                }
                Ok(taken)
            }
            Part::ChunkSize => self.chunk_size(rest),
            Part::ChunkEnd => self.chunk_end(rest),
            Part::Trailers(..) => self.trailers(rest),
            Part::Undecided => Ok(0),
            Part::Foreign => Ok(rest.len()),
        }
    }

    fn chunk_size(&mut self, rest: &[u8]) -> Result<usize, Flaw> {
        let Some((bytes, size)) = chunk::size(rest)? else { return Ok(0) };
        self.part = if size == 0 { Part::Trailers(Fields::default(), 0) } else { Part::Chunk(size) };
        Ok(bytes)
    }

    fn chunk_end(&mut self, rest: &[u8]) -> Result<usize, Flaw> {
        match rest {
            [b'\r', b'\n', ..] => {
                self.part = Part::ChunkSize;
                Ok(2)
            }
            [b'\r'] => Ok(0),
            _ => Err(Flaw::Ambiguous("A chunk is longer than it says")),
        }
    }

    fn trailers(&mut self, rest: &[u8]) -> Result<usize, Flaw> {
        let Part::Trailers(fields, bytes) = &mut self.part else { return Ok(0) };
        let line = line(rest)?;
        if *bytes + line.map_or(rest.len(), <[u8]>::len) > self.most {
            return Err(Flaw::TooLarge);
        }
        let taken = line.map_or(0, |line| line.len() + 2);
        match line {
            None => {}
            Some(b"") => self.part = Part::Head(Head::default()),
            Some(line) => {
                fields.take(line)?;
                *bytes += taken;
            }
        }
        Ok(taken)
    }
}

impl Part {
    fn after(head: &Whole) -> Self {
        match head.body {
            Body::Chunked => Self::ChunkSize,
            // With a body it is no handshake of a kind that is known here.
            Body::Length(0) if head.upgrades => Self::Undecided,
            Body::Length(0) => Self::Head(Head::default()),
            Body::Length(length) => Self::Length(length),
        }
    }
}

/// As many bytes of `rest` as are `left`.
fn take(left: &mut u64, rest: &[u8]) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
    *left -= taken as u64;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// What may be seen of a stream that comes in pieces, and whether it ends in a flaw.
    fn seen(stream: &str, piece: usize) -> (String, bool) {
        let (mut messages, mut held, mut seen) = (Messages::new(1024), Vec::new(), Vec::new());
        for bytes in stream.as_bytes().chunks(piece) {
            held.extend_from_slice(bytes);
            let passed = messages.advance(&held);
            seen.extend(held.drain(..passed));
            if messages.flaw().is_some() {
                break;
            }
        }
        (String::from_utf8(seen).unwrap(), messages.flaw().is_some())
    }

    #[track_caller]
    fn pass(stream: &str) {
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(seen(stream, piece), (stream.to_owned(), false), "in pieces of {piece}");
        }
    }

    #[track_caller]
    fn stop(before: &str, rest: &str) {
        for piece in [1, 2, 3, 7, 1000] {
            assert_eq!(seen(&format!("{before}{rest}"), piece), (before.to_owned(), true), "in pieces of {piece}");
        }
    }

    #[test]
    fn messages_follow_one_another() {
        let length = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET ";
        let chunks = format!("{CHUNKED}3\r\nabc\r\n2;x=\"y\"\r\n\r\n\r\n0\r\nX-Trailer: 1\r\n\r\n");
        pass(&format!("{GET}{length}{chunks}{GET}{CHUNKED}0\r\n\r\n{length}"));
    }

    #[test]
    fn nothing_is_seen_from_a_flaw_on() {
        stop(GET, "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n");
        stop(CHUNKED, "3 \r\nabc\r\n0\r\n\r\n");
        stop(&format!("{CHUNKED}3\r\nabc"), "d\r\n0\r\n\r\n");
        stop(&format!("{CHUNKED}3\r\nabc"), "\n0\r\n\r\n");
        stop(&format!("{CHUNKED}3\r\nabc\r\n"), "\r\n0\r\n\r\n");
        stop(&format!("{CHUNKED}0\r\n"), "X : y\r\n\r\n");
        stop(&format!("{CHUNKED}0\r\nX: y\r\n"), "\n");
        stop(&format!("{CHUNKED}0\r\n\r\n"), "0\r\n\r\n");
    }

    #[test]
    fn trailers_are_bounded_as_heads_are() {
        let (passed, flawed) = seen(&format!("{CHUNKED}0\r\n{}\r\n", "X: yz\r\n".repeat(1000)), 10);
        assert!(flawed && passed.len() <= CHUNKED.len() + 3 + 1024);
        let (_, flawed) = seen(&format!("{CHUNKED}0\r\n{}", "x".repeat(2000)), 10);
        assert!(flawed);
    }

    #[test]
    fn what_comes_behind_an_upgrade_waits_for_the_answer() {
        let upgrade = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
        for (switched, seen) in [(true, 6), (false, 0)] {
            let mut messages = Messages::new(1024);
            assert_eq!(messages.advance(format!("{upgrade}\0\n\0GET").as_bytes()), upgrade.len());
            assert!(messages.is_undecided() && messages.advance(b"\0\n\0GET") == 0);
            messages.decide(switched);
            assert_eq!(messages.advance(b"\0\n\0GET"), seen);
            assert_eq!(messages.flaw().is_some(), !switched);
        }
    }

    #[test]
    fn an_upgrade_with_a_body_is_a_message_like_any_other() {
        pass(&format!("GET / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx{GET}"));
    }
}
