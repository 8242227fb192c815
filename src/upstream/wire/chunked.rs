//! The chunks of an answer (RFC 9112, section 7.1), taken off what was received; nothing is read here.

use std::io;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use hyper::body::Frame;

use super::broken;
use super::response::{end_of_fields, header_map};

/// The longest line that says a chunk's size, extensions included.
const SIZE_LINE: usize = 4 * 1024;
/// The longest trailer section, and its lines.
const TRAILERS: (usize, usize) = (16 * 1024, 100);

/// Where in the chunks the next byte stands.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Chunked {
    #[default]
    Size,
    Data(u64),
    /// Behind a chunk's data.
    DataEnd,
    Trailers,
    Over,
}

impl Chunked {
    /// The next part of the body; `None` when more must be received, or the body is over.
    pub(super) fn take(&mut self, received: &mut BytesMut) -> io::Result<Option<Frame<Bytes>>> {
        loop {
            match *self {
                Self::Size => {
                    let Some(size) = take_size(received)? else { return Ok(None) };
                    *self = if size == 0 { Self::Trailers } else { Self::Data(size) };
                }
                Self::Data(_) if received.is_empty() => return Ok(None),
                Self::Data(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(received.len());
                    let left = left - here as u64;
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    return Ok(Some(Frame::data(received.split_to(here).freeze())));
                }
                Self::DataEnd if received.len() < 2 => return Ok(None),
                Self::DataEnd if received.split_to(2) == b"\r\n"[..] => *self = Self::Size,
                Self::DataEnd => return Err(broken("a chunk is longer than its size")),
                Self::Trailers => {
                    let Some(trailers) = take_trailers(received)? else { return Ok(None) };
                    *self = Self::Over;
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
                Self::Over => return Ok(None),
            }
        }
    }
}

fn take_size(received: &mut BytesMut) -> io::Result<Option<u64>> {
    let Some(end) = memchr::memchr(b'\n', received).filter(|end| *end < SIZE_LINE) else {
        return if received.len() < SIZE_LINE { Ok(None) } else { Err(broken("the size of a chunk is too long")) };
    };
    let line = received.split_to(end + 1);
    let line = line.strip_suffix(b"\r\n").ok_or_else(|| broken("the size of a chunk ends without CR"))?;
    let digits = line.split(|b| *b == b';').next().unwrap_or_default().trim_ascii_end();
    let plain = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let size = std::str::from_utf8(digits).ok().filter(|_| plain).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    size.map(Some).ok_or_else(|| broken("the size of a chunk is no number"))
}

fn take_trailers(received: &mut BytesMut) -> io::Result<Option<HeaderMap>> {
    let (most, lines) = TRAILERS;
    // An empty section is the empty line alone.
    let end = if received.starts_with(b"\r\n") { Some(2) } else { end_of_fields(received) };
    let Some(end) = end.filter(|end| *end <= most) else {
        return if received.len() < most { Ok(None) } else { Err(broken("the trailers are too long")) };
    };
    let section = received.split_to(end).freeze();
    let mut fields = vec![httparse::EMPTY_HEADER; lines];
    match httparse::parse_headers(&section, &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) => header_map(&section, fields).map(Some),
        _ => Err(broken("the trailers are malformed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Data and trailers of a body that comes in these parts; `None` while it is not over.
    fn read(parts: &[&[u8]]) -> io::Result<(Vec<u8>, Option<HeaderMap>, bool)> {
        let (mut chunks, mut received) = (Chunked::default(), BytesMut::new());
        let (mut data, mut trailers) = (Vec::new(), None);
        for part in parts {
            received.extend_from_slice(part);
            while let Some(frame) = chunks.take(&mut received)? {
                match frame.into_data() {
                    Ok(bytes) => data.extend_from_slice(&bytes),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
        }
        Ok((data, trailers, chunks == Chunked::Over && received.is_empty()))
    }

    #[test]
    fn chunks_are_data_however_they_are_cut() {
        let body = b"3\r\nabc\r\n00A ;x=y\r\n0123456789\r\n0\r\nDigest: d\r\n\r\n";
        for cut in 0..body.len() {
            let (data, trailers, over) = read(&[&body[..cut], &body[cut..]]).unwrap();
            assert_eq!(
                (&data[..], &trailers.unwrap()["digest"], over),
                (&b"abc0123456789"[..], &"d".parse().unwrap(), true)
            );
        }
        assert_eq!(read(&[b"0\r\n\r\n"]).unwrap(), (vec![], None, true));
        assert!(!read(&[b"3\r\nabc\r\n"]).unwrap().2, "the last chunk is missing");
    }

    #[test]
    fn what_is_no_chunk_is_an_error() {
        for body in
            ["x\r\n", "\r\n", "-1\r\n", "0x1\r\n", "1\n", "11111111111111111\r\n", "1\r\nab\r\n", "0\r\nA B: c\r\n\r\n"]
        {
            assert!(read(&[body.as_bytes()]).is_err(), "{body:?}");
        }
        assert!(read(&[&[b'1'; SIZE_LINE]]).is_err());
        assert!(read(&[b"0\r\nX: ", &[b'x'; TRAILERS.0]]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_nor_come_out_longer(bytes in any::<Vec<u8>>()) {
            if let Ok((data, _, _)) = read(&[&bytes]) {
                prop_assert!(data.len() <= bytes.len());
            }
        }
    }
}
