//! The head of an HTTP/1.1 request, judged line by line as it comes: it is to the letter what RFC 9112 says, or it is refused.

use memchr::{memchr, memchr_iter, memchr3};

use super::fields::{BARE_LF, Fields, are_clean, token_length};
use crate::gateway::{Flaw, HELD_FRAGMENT};

/// Digits of a length: more could be more than 64 bits hold.
const MOST_DIGITS: usize = 19;

/// How far a head that is not whole has been looked at.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    looked: usize,
}

/// What the lines of a head say.
#[derive(Debug, Default)]
struct Head {
    has_request_line: bool,
    is_http_10: bool,
    upgrades: bool,
    fields: Fields,
    length: Option<u64>,
    chunked: bool,
}

/// A head that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Its bytes, the empty line included.
    pub(crate) bytes: usize,
    pub(crate) body: Body,
    /// Whether it may be answered with another protocol.
    pub(crate) upgrades: bool,
}

/// What comes after a head (RFC 9112, section 6.3).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Length(u64),
    Chunked,
}

impl Begun {
    /// Judges what came of a head that begins with `bytes`; `None` while there must be more of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn look(&mut self, bytes: &[u8], most: usize) -> Result<Option<Whole>, Flaw> {
        // Read again for every line that comes, of which there are not many, but not for every byte.
        let has_more = self.looked == 0 || memchr(b'\n', &bytes[self.looked..]).is_some();
        let whole = if has_more { Head::read(bytes)? } else { None };
        if whole.as_ref().map_or(bytes.len(), |whole| whole.bytes) > most {
            return Err(Flaw::TooLarge);
        }
        if whole.is_none() {
            let split = usize::from(bytes[..self.looked].ends_with(b"\r"));
            are_clean(&bytes[self.looked - split..])?;
            self.looked = bytes.len();
        }
        Ok(whole)
    }
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Option<Whole>, Flaw> {
        let (mut head, mut start) = (Self::default(), 0);
        for end in memchr_iter(b'\n', bytes) {
            let line = bytes[start..end].strip_suffix(b"\r").ok_or(BARE_LF)?;
            start = end + 1;
            if !line.is_empty() {
                head.take(line)?;
            } else if head.has_request_line {
                are_clean(&bytes[..start])?;
                return head.end(start).map(Some);
            } else {
                // RFC 9112, section 2.2: a client may have sent a line end too many.
                head.fields.count()?;
            }
        }
        Ok(None)
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Flaw> {
        if !self.has_request_line {
            self.has_request_line = true;
            return self.request_line(line);
        }
        // Most lines say nothing about framing. Whether they are lines at all hyper sees, and answers 400 as well.
        if line[0].is_ascii_alphabetic() && !matches!(line[0] | 0x20, b'c' | b't' | b'u') {
            return self.fields.count();
        }
        let (name, value) = self.fields.take(line)?;
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrades = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value)?,
            _ => {}
        }
        Ok(())
    }

    /// RFC 9112, section 3: single spaces, and nothing that a URI drops.
    fn request_line(&mut self, line: &[u8]) -> Result<(), Flaw> {
        const MALFORMED: Flaw = Flaw::Ambiguous("The request line is malformed");
        self.is_http_10 = line.ends_with(b" HTTP/1.0");
        if !self.is_http_10 && !line.ends_with(b" HTTP/1.1") {
            return Err(Flaw::Ambiguous("The version is neither HTTP/1.1 nor HTTP/1.0"));
        }
        let words = &line[..line.len() - b" HTTP/1.1".len()];
        let (method, rest) = words.split_at(token_length(words));
        let (false, Some((b' ', target))) = (method.is_empty(), rest.split_first()) else { return Err(MALFORMED) };
        match memchr3(b'#', b' ', b'\t', target).map(|at| target[at]) {
            None if target.is_empty() => return Err(MALFORMED),
            None => {}
            Some(b'#') => return Err(HELD_FRAGMENT),
            Some(_) => return Err(MALFORMED),
        }
        match (method, target) {
            // What comes behind it may be meant for a tunnel that is not there.
            (b"CONNECT", _) => Err(Flaw::NotImplemented("Method not implemented")),
            (b"OPTIONS", b"*") => Ok(()),
            (_, b"*") => Err(Flaw::Ambiguous("The target * is for OPTIONS only")),
            _ => Ok(()),
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Flaw> {
        if self.length.is_some() {
            return Err(Flaw::Ambiguous("The Content-Length header is repeated"));
        }
        let digits = !value.is_empty() && value.len() <= MOST_DIGITS && value.iter().all(u8::is_ascii_digit);
        if !digits {
            return Err(Flaw::Ambiguous("The Content-Length header is malformed"));
        }
        self.length = Some(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Flaw> {
        if self.chunked {
            return Err(Flaw::Ambiguous("The Transfer-Encoding header is repeated"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(unknown_coding(value));
        }
        self.chunked = true;
        Ok(())
    }

    fn end(&self, bytes: usize) -> Result<Whole, Flaw> {
        let body = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(Flaw::Ambiguous("Content-Length and Transfer-Encoding exclude each other")),
            (true, None) if self.is_http_10 => {
                return Err(Flaw::Ambiguous("HTTP/1.0 knows no Transfer-Encoding"));
            }
            (true, None) => Body::Chunked,
            (false, length) => Body::Length(length.unwrap_or(0)),
        };
        Ok(Whole { bytes, body, upgrades: self.upgrades && !self.is_http_10 })
    }
}

/// A coding that is well known, or none at all (RFC 9112, sections 6.1 and 7.2).
fn unknown_coding(value: &[u8]) -> Flaw {
    let known = |coding: &[u8]| {
        let coding = coding.trim_ascii().to_ascii_lowercase();
        matches!(&coding[..], b"gzip" | b"x-gzip" | b"deflate" | b"compress" | b"x-compress")
    };
    let mut codings = value.rsplit(|b| *b == b',');
    let chunked_last = codings.next().is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
    if chunked_last && value.contains(&b',') && codings.all(known) {
        return Flaw::NotImplemented("Only the chunked transfer coding is known");
    }
    Flaw::Ambiguous("The Transfer-Encoding header is malformed")
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
