//! The line before a chunk (RFC 9112, section 7.1): its size, and extensions that mean nothing here and go no further.

use super::fields::{line, token_length};
use crate::gateway::Flaw;

/// Bytes of the line, extensions included.
const LONGEST: usize = 256;
/// Digits that fit into 64 bits.
const MOST_DIGITS: usize = 16;

const MALFORMED: Flaw = Flaw::Ambiguous("A chunk size is malformed");

/// The bytes of the line that `bytes` begin with, its CRLF included, and the size it says; `None` while it is not whole.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn size(bytes: &[u8]) -> Result<Option<(usize, u64)>, Flaw> {
    let Some(line) = line(&bytes[..bytes.len().min(LONGEST)])? else {
        return if bytes.len() < LONGEST { Ok(None) } else { Err(MALFORMED) };
    };
    let digits = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
    let size = std::str::from_utf8(&line[..digits]).ok().filter(|digits| digits.len() <= MOST_DIGITS);
    let size = size.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or(MALFORMED)?;
    if !are_extensions(&line[digits..]) {
        return Err(Flaw::Ambiguous("A chunk extension is malformed"));
    }
    Ok(Some((line.len() + 2, size)))
}

/// RFC 9112, section 7.1.1, without the blanks that nobody should send.
fn are_extensions(mut rest: &[u8]) -> bool {
    while let [b';', after @ ..] = rest {
        rest = match token(after) {
            Some([b'=', value @ ..]) => match quoted(value).or_else(|| token(value)) {
                Some(rest) => rest,
                None => return false,
            },
            Some(rest) => rest,
            None => return false,
        };
    }
    rest.is_empty()
}

/// What comes after a token.
fn token(bytes: &[u8]) -> Option<&[u8]> {
    let end = token_length(bytes);
    (end > 0).then(|| &bytes[end..])
}

/// What comes after a quoted string; one with escapes is none.
fn quoted(bytes: &[u8]) -> Option<&[u8]> {
    let inside = bytes.strip_prefix(b"\"")?;
    let end = inside.iter().position(|b| matches!(b, b'"' | b'\\'))?;
    (inside[end] == b'"').then(|| &inside[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_hexadecimal_and_fits() {
        for (line, expected) in [("0\r\n", 0), ("1a\r\nx", 26), ("00FF\r\n", 255), ("ffffffffffffffff\r\n", u64::MAX)] {
            assert_eq!(size(line.as_bytes()).unwrap().map(|(_, size)| size), Some(expected), "{line:?}");
        }
        for partial in ["", "5", "5\r", "5;a"] {
            assert_eq!(size(partial.as_bytes()), Ok(None), "{partial:?}");
        }
        for bad in [
            "\r\n", "5\n", "5 \r\n", " 5\r\n", "+5\r\n", "-5\r\n", "0x5\r\n", "g\r\n", "5\t\r\n", "5\rX\r\n", "5\0\r\n",
        ] {
            assert!(size(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(size(b"10000000000000000\r\n").is_err() && size(b"00000000000000005\r\n").is_err());
    }

    #[test]
    fn extensions_are_well_formed_and_few() {
        for good in ["5;a\r\n", "5;a=b\r\n", "5;a=\"b c\";d\r\n"] {
            assert_eq!(size(good.as_bytes()).unwrap(), Some((good.len(), 5)), "{good:?}");
        }
        for bad in
            ["5;\r\n", "5;=b\r\n", "5;a=\r\n", "5;a=\"b\r\n", "5 ;a\r\n", "5;a b\r\n", "5;a\nb\r\n", "5;a=\"\\\"\"\r\n"]
        {
            assert!(size(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(size(format!("5;{}\r\n", "a".repeat(LONGEST)).as_bytes()).is_err());
        assert!(size("a".repeat(LONGEST).as_bytes()).is_err());
    }
}
