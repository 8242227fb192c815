//! The head of an answer: where it ends, what it says, and how long the body behind it is (RFC 9112, sections 4 and 6).

use std::io;
use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use super::chunked::Chunked;
use super::{BUFFER, broken};
use crate::upstream::headers::members;

/// The most lines that a head may have.
const LINES: usize = 100;
/// Room for what the gateway mostly adds to an answer: more of it than a head has room for would be moved.
const ADDED: usize = 4;

/// How much of an answer's body is still to come.
#[derive(Debug)]
pub(super) enum Left {
    Exactly(u64),
    Chunks(Chunked),
    UntilClosed,
}

/// A head that came whole.
#[derive(Debug)]
pub(in crate::upstream) struct Head {
    pub(super) response: Response<()>,
    pub(super) left: Left,
    /// Whether the server keeps the connection open behind this answer.
    pub(super) persists: bool,
}

/// Takes a head off the front of `received`, once it is there whole.
///
/// # Errors
/// When what came is no HTTP/1 head, too long, or leaves open where its body ends.
pub(super) fn take_head(received: &mut BytesMut, is_head: bool) -> io::Result<Option<Head>> {
    let start = &received[..received.len().min(7)];
    if !b"HTTP/1.".starts_with(start) {
        return Err(broken("the answer is not HTTP/1"));
    }
    match end_of_fields(received) {
        Some(end) if end <= BUFFER => {
            // Copied: some values live long, in the tables of HTTP/2 connections, and would keep all memory that they came in.
            let head = Bytes::copy_from_slice(&received[..end]);
            received.advance(end);
            parse(&head, is_head).map(Some)
        }
        None if received.len() < BUFFER => Ok(None),
        _ => Err(broken("the head of the answer is too long")),
    }
}

/// Where the empty line ends that closes a head or a trailer section.
pub(super) fn end_of_fields(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

fn parse(head: &Bytes, is_head: bool) -> io::Result<Head> {
    // What is not parsed need not be empty first.
    let (mut fields, mut parsed) = ([const { MaybeUninit::uninit() }; LINES], httparse::Response::new(&mut []));
    let whole = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, head, &mut fields)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let code = parsed.code.filter(|_| whole == httparse::Status::Complete(head.len()));
    let status =
        code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(|| broken("the answer has no status"))?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    *response.headers_mut() = header_map(head, parsed.headers)?;
    let said = Said::by(response.headers())?;
    let left = said.left(&response, is_head)?;
    let persists = said.persists(response.version()) && !matches!(left, Left::UntilClosed);
    Ok(Head { response, left, persists })
}

/// Values share the memory of `bytes`, which the fields were parsed from.
pub(super) fn header_map(bytes: &Bytes, fields: &[httparse::Header<'_>]) -> io::Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(fields.len() + ADDED);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| broken("a header has no name"))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value));
        headers.append(name, value.map_err(|_| broken("a header has no value"))?);
    }
    Ok(headers)
}

/// What the fields of a head say of the body behind it and of the connection: each is looked at once.
#[derive(Debug, Default)]
struct Said {
    length: Option<u64>,
    chunked: bool,
    closes: bool,
    keeps_alive: bool,
}

impl Said {
    fn by(headers: &HeaderMap) -> io::Result<Self> {
        let mut said = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "content-length" => said.length(value)?,
                "transfer-encoding" => said.coding(value)?,
                "connection" => said.options(value),
                _ => {}
            }
        }
        Ok(said)
    }

    /// All lines must say the same.
    fn length(&mut self, line: &HeaderValue) -> io::Result<()> {
        let digits = line.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let length =
            digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or_else(|| broken("the length is no number"))?;
        match self.length.replace(length) {
            Some(before) if before != length => Err(broken("the answer has two lengths")),
            _ => Ok(()),
        }
    }

    fn coding(&mut self, line: &HeaderValue) -> io::Result<()> {
        let chunked = line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
        if !chunked || std::mem::replace(&mut self.chunked, true) {
            return Err(broken("the answer has a transfer coding other than chunked"));
        }
        Ok(())
    }

    fn options(&mut self, line: &HeaderValue) {
        for option in members(line) {
            self.closes |= option.eq_ignore_ascii_case(b"close");
            self.keeps_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9112, section 6.3. A length beside chunks is overridden by them; everything else that says two things is an error.
    fn left(&self, response: &Response<()>, is_head: bool) -> io::Result<Left> {
        let status = response.status();
        let has_none = is_head
            || status.is_informational()
            || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        Ok(match (self.chunked, self.length) {
            _ if has_none => Left::Exactly(0),
            (true, _) if response.version() == Version::HTTP_10 => return Err(broken("HTTP/1.0 knows no chunks")),
            (true, _) => Left::Chunks(Chunked::default()),
            (false, Some(length)) => Left::Exactly(length),
            (false, None) => Left::UntilClosed,
        })
    }

    /// RFC 9112, section 9.3. A length that chunks overrode is a reason to believe no more of what follows.
    fn persists(&self, version: Version) -> bool {
        let overridden = self.chunked && self.length.is_some();
        (version == Version::HTTP_11 || self.keeps_alive) && !overridden && !self.closes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONTENT_LENGTH;
    use proptest::prelude::*;

    fn taken(text: &str) -> io::Result<Option<Head>> {
        take_head(&mut BytesMut::from(text), false)
    }

    /// How the body ends, and whether the connection persists.
    fn told(lines: &str) -> Option<(Option<u64>, bool)> {
        let head = taken(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n")).ok()??;
        Some((if let Left::Exactly(length) = head.left { Some(length) } else { None }, head.persists))
    }

    #[test]
    fn a_head_is_taken_once_it_is_whole_and_what_follows_is_left() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\nX: b\r\n\r\nok";
        for end in 0..text.len() - 2 {
            assert!(taken(&text[..end]).unwrap().is_none(), "{end}");
        }
        let mut received = BytesMut::from(text);
        let head = take_head(&mut received, false).unwrap().unwrap();
        assert_eq!((&received[..], head.response.status()), (&b"ok"[..], StatusCode::OK));
        assert_eq!(head.response.headers().get_all("x").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(matches!(head.left, Left::Exactly(2)) && head.persists);
    }

    #[test]
    fn what_is_no_head_is_seen_at_once() {
        for text in [
            "SSH-2.0-x",
            "http/1.1 200 OK",
            "HTTP/2 200",
            "\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
        ] {
            assert!(taken(text).is_err(), "{text}");
        }
        assert!(taken(&format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(BUFFER))).is_err());
        assert!(taken(&format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(LINES + 1))).is_err());
    }

    #[test]
    fn the_end_of_a_body_is_told_in_one_way() {
        assert_eq!(told("Content-Length: 5\r\n"), Some((Some(5), true)));
        assert_eq!(told("Content-Length: 5\r\nContent-Length: 5\r\n"), Some((Some(5), true)));
        assert_eq!(told("Transfer-Encoding: chunked\r\n"), Some((None, true)));
        assert_eq!(told("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), Some((None, false)), "overridden");
        assert_eq!(told(""), Some((None, false)), "until it closes");
        for lines in [
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(told(lines), None, "{lines}");
        }
    }

    #[test]
    fn some_answers_have_no_body_whatever_their_head_says() {
        for status in ["204 No Content", "304 Not Modified", "101 Switching Protocols"] {
            let head = taken(&format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n")).unwrap().unwrap();
            assert!(matches!(head.left, Left::Exactly(0)), "{status}");
        }
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        let head = take_head(&mut BytesMut::from(text), true).unwrap().unwrap();
        assert!(matches!(head.left, Left::Exactly(0)) && head.response.headers()[CONTENT_LENGTH] == "5");
    }

    #[test]
    fn a_connection_persists_where_both_sides_know_it() {
        assert_eq!(told("Content-Length: 0\r\nConnection: x, Close\r\n"), Some((Some(0), false)));
        let old = |lines: &str| taken(&format!("HTTP/1.0 200 OK\r\n{lines}\r\n"));
        assert!(!old("Content-Length: 0\r\n").unwrap().unwrap().persists);
        assert!(old("Content-Length: 0\r\nConnection: keep-alive\r\n").unwrap().unwrap().persists);
        assert!(old("Transfer-Encoding: chunked\r\n").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in any::<Vec<u8>>(), is_head in any::<bool>()) {
            let whole = [&b"HTTP/1.1 200 OK\r\n"[..], &bytes, b"\r\n\r\n"].concat();
            let _judged = take_head(&mut BytesMut::from(&whole[..]), is_head);
        }
    }
}
