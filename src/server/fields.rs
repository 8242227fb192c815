//! Lines of an HTTP/1.1 head or of trailers (RFC 9112, sections 2.2 and 5), as strict as nobody need be who writes them.

use memchr::{memchr, memchr_iter};

use crate::gateway::Flaw;

/// Lines of a head, and of trailers; as many as hyper takes.
pub(crate) const MOST_FIELDS: usize = 100;

pub(crate) const BARE_LF: Flaw = Flaw::Ambiguous("A line ends without CR");

/// Lines of a head or of trailers, counted.
#[derive(Debug, Default)]
pub(crate) struct Fields(usize);

impl Fields {
    /// The name and the value of one more line (RFC 9112, section 5).
    ///
    /// # Errors
    /// What is wrong with it, or that it is one too many.
    pub(crate) fn take<'a>(&mut self, line: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Flaw> {
        let end = token_length(line);
        match (end, line.get(end)) {
            (0, Some(b' ' | b'\t')) => return Err(Flaw::Ambiguous("A header line is folded")),
            (1.., Some(b':')) => {}
            _ => return Err(Flaw::Ambiguous("A header line is malformed")),
        }
        self.count()?;
        Ok((&line[..end], line[end + 1..].trim_ascii()))
    }

    /// One more line that is nobody's business here.
    ///
    /// # Errors
    /// It is one too many.
    pub(crate) fn count(&mut self) -> Result<(), Flaw> {
        self.0 += 1;
        if self.0 > MOST_FIELDS { Err(Flaw::TooLarge) } else { Ok(()) }
    }
}

/// The line that `bytes` begin with, without its CRLF; `None` while it is not whole.
///
/// # Errors
/// A line that ends otherwise, and controls but for tabs, even of a line that is not whole.
pub(crate) fn line(bytes: &[u8]) -> Result<Option<&[u8]>, Flaw> {
    let end = memchr(b'\n', bytes);
    are_clean(&bytes[..end.map_or(bytes.len(), |end| end + 1)])?;
    Ok(end.map(|end| &bytes[..end - 1]))
}

/// Looks for controls but for tabs and for CR or LF alone, in lines of which the last need not be whole.
///
/// # Errors
/// What was found.
pub(crate) fn are_clean(lines: &[u8]) -> Result<(), Flaw> {
    // Every byte is looked at, many at once, which takes less time than to look for the first that is wrong.
    let is_wrong = |a: u8, b: u8| u8::from((a == b'\r') != (b == b'\n')) | u8::from(is_control(a));
    let after = lines.get(1..).unwrap_or_default();
    let found = lines.iter().zip(after).fold(0, |found, (a, b)| found | is_wrong(*a, *b)) != 0;
    let last = lines.last().is_some_and(|last| is_control(*last));
    match (found | last, lines.first()) {
        (_, Some(b'\n')) => Err(BARE_LF),
        (false, _) => Ok(()),
        (true, _) if is_bare(lines) => Err(BARE_LF),
        (true, _) => Err(Flaw::Ambiguous("A line holds a control character")),
    }
}

/// Whether a byte is a control that no line holds, ends included.
fn is_control(byte: u8) -> bool {
    // Without branches, so that many are looked at in one go: tab, LF and CR are 9, 10 and 13.
    (byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r') | (byte == 0x7f)
}

/// Whether a LF is what is wrong.
fn is_bare(lines: &[u8]) -> bool {
    memchr_iter(b'\n', lines).any(|at| at == 0 || lines[at - 1] != b'\r')
}

/// How many bytes of a token `bytes` begin with (RFC 9110, section 5.6.2).
pub(crate) fn token_length(bytes: &[u8]) -> usize {
    const TOKENS: [bool; 256] = {
        let (mut tokens, mut byte) = ([false; 256], 0u8);
        while byte < 128 {
            tokens[byte as usize] = byte.is_ascii_graphic() && !is_delimiter(byte);
            byte += 1;
        }
        tokens
    };
    bytes.iter().position(|byte| !TOKENS[usize::from(*byte)]).unwrap_or(bytes.len())
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
