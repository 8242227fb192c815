//! Where the messages of an HTTP/1.1 connection begin and end; the one reading that hyper's must agree with.

use super::chunk;
use super::fields::{Fields, line};
use super::head::{Begun, Body, Whole};
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
    Head(Begun),
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
        Self { part: Part::Head(Begun::default()), most, flaw: None }
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
        self.part = if switched { Part::Foreign } else { Part::Head(Begun::default()) };
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
                    self.part = Part::Head(Begun::default());
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
            Some(b"") => self.part = Part::Head(Begun::default()),
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
            Body::Length(0) => Self::Head(Begun::default()),
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
#[path = "messages_tests.rs"]
mod tests;
