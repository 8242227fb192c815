//! The head of an HTTP/1.1 request, judged line by line as it comes: it is to the letter what RFC 9112 says, or it is refused.

use memchr::{memchr, memchr2};

use crate::gateway::{Flaw, HELD_FRAGMENT};

/// Lines of a head, and of trailers; as many as hyper takes.
const MOST_FIELDS: usize = 100;
/// Digits of a length: more could be more than 64 bits hold.
const MOST_DIGITS: usize = 19;

/// What is known of a head so far.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Bytes that were judged.
    looked: usize,
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

impl Head {
    /// Judges what came of a head that begins with `bytes`; `None` while there must be more of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn look(&mut self, bytes: &[u8], most: usize) -> Result<Option<Whole>, Flaw> {
        while let Some(line) = line(&bytes[self.looked..])? {
            self.looked += line.len() + 2;
            if self.looked > most {
                break;
            }
            if !line.is_empty() {
                self.take(line)?;
            } else if self.has_request_line {
                return self.end().map(Some);
            }
        }
        if bytes.len() > most { Err(Flaw::TooLarge) } else { Ok(None) }
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Flaw> {
        if !self.has_request_line {
            self.has_request_line = true;
            return self.request_line(line);
        }
        let (name, value) = self.fields.take(line)?;
        // By their length first: of most lines nobody wants to know more.
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
        let (method, rest) = split(line, b' ').ok_or(MALFORMED)?;
        let (target, version) = split(rest, b' ').ok_or(MALFORMED)?;
        if method.is_empty() || !method.iter().all(|b| is_token(*b)) || target.is_empty() {
            return Err(MALFORMED);
        }
        self.is_http_10 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(Flaw::Ambiguous("The version is neither HTTP/1.1 nor HTTP/1.0")),
        };
        match memchr2(b'#', b'\t', target).map(|at| target[at]) {
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

    fn end(&self) -> Result<Whole, Flaw> {
        let body = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(Flaw::Ambiguous("Content-Length and Transfer-Encoding exclude each other")),
            (true, None) if self.is_http_10 => {
                return Err(Flaw::Ambiguous("HTTP/1.0 knows no Transfer-Encoding"));
            }
            (true, None) => Body::Chunked,
            (false, length) => Body::Length(length.unwrap_or(0)),
        };
        Ok(Whole { bytes: self.looked, body, upgrades: self.upgrades && !self.is_http_10 })
    }
}

/// Lines of a head or of trailers, counted.
#[derive(Debug, Default)]
pub(crate) struct Fields(usize);

impl Fields {
    /// The name and the value of one more line (RFC 9112, section 5).
    ///
    /// # Errors
    /// What is wrong with it, or that it is one too many.
    pub(crate) fn take<'a>(&mut self, line: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Flaw> {
        let end = line.iter().position(|b| !is_token(*b)).unwrap_or(line.len());
        match (end, line.get(end)) {
            (0, Some(b' ' | b'\t')) => return Err(Flaw::Ambiguous("A header line is folded")),
            (1.., Some(b':')) => {}
            _ => return Err(Flaw::Ambiguous("A header line is malformed")),
        }
        self.0 += 1;
        if self.0 > MOST_FIELDS {
            return Err(Flaw::TooLarge);
        }
        Ok((&line[..end], line[end + 1..].trim_ascii()))
    }
}

/// The line that `bytes` begin with, without its CRLF; `None` while it is not whole.
///
/// # Errors
/// A line that ends otherwise, and controls but for tabs, even of a line that is not whole.
pub(crate) fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Flaw> {
    let end = memchr(b'\n', bytes);
    let ended = &bytes[..end.unwrap_or(bytes.len())];
    let line = ended.strip_suffix(b"\r");
    if end.is_some() && line.is_none() {
        return Err(Flaw::Ambiguous("A line ends without CR"));
    }
    let line = line.unwrap_or(ended);
    // Every byte is looked at, which takes less time than to look for the first that is wrong.
    let is_control = |b: u8| (b < b' ') & (b != b'\t') | (b == 0x7f);
    if line.iter().fold(false, |found, b| found | is_control(*b)) {
        return Err(Flaw::Ambiguous("A line holds a control character"));
    }
    Ok(end.map(|_| line))
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

fn split(bytes: &[u8], by: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr(by, bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// RFC 9110, section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    const TOKENS: [bool; 256] = {
        let (mut tokens, mut byte) = ([false; 256], 0u8);
        while byte < 128 {
            tokens[byte as usize] = byte.is_ascii_graphic() && !is_delimiter(byte);
            byte += 1;
        }
        tokens
    };
    TOKENS[usize::from(byte)]
}

const fn is_delimiter(byte: u8) -> bool {
    matches!(
        byte,
        b'"' | b'('
            | b')'
            | b','
            | b'/'
            | b':'
            | b';'
            | b'<'
            | b'='
            | b'>'
            | b'?'
            | b'@'
            | b'['
            | b'\\'
            | b']'
            | b'{'
            | b'}'
    )
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
