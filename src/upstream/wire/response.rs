//! The head of an answer: where it ends, what it says, and how long the body behind it is (RFC 9112, sections 4 and 6).

use std::io;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};

use super::chunked::Chunked;
use super::{BUFFER, broken};
use crate::upstream::headers::list;

/// The most lines that a head may have.
const LINES: usize = 100;

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
        Some(end) if end <= BUFFER => parse(&received.split_to(end).freeze(), is_head).map(Some),
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
    let mut fields = [httparse::EMPTY_HEADER; LINES];
    let mut parsed = httparse::Response::new(&mut fields);
    let whole = parsed.parse(head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let code = parsed.code.filter(|_| whole == httparse::Status::Complete(head.len()));
    let status = code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(broken("the answer has no status"))?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    *response.headers_mut() = header_map(head, parsed.headers)?;
    let left = left(&response, is_head)?;
    let persists = persists(&response) && !matches!(left, Left::UntilClosed);
    Ok(Head { response, left, persists })
}

/// Values share the memory of `bytes`, which the fields were parsed from.
pub(super) fn header_map(bytes: &Bytes, fields: &[httparse::Header<'_>]) -> io::Result<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| broken("a header has no name"))?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value));
        headers.append(name, value.map_err(|_| broken("a header has no value"))?);
    }
    Ok(headers)
}

/// RFC 9112, section 6.3. A length beside chunks is overridden by them; everything else that says two things is an error.
fn left(response: &Response<()>, is_head: bool) -> io::Result<Left> {
    let (status, headers) = (response.status(), response.headers());
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Some(()),
        _ => return Err(broken("the answer has a transfer coding other than chunked")),
    };
    let length = length(headers)?;
    let has_none =
        is_head || status.is_informational() || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    Ok(match (coding, length) {
        _ if has_none => Left::Exactly(0),
        (Some(()), _) if response.version() == Version::HTTP_10 => return Err(broken("HTTP/1.0 knows no chunks")),
        (Some(()), _) => Left::Chunks(Chunked::default()),
        (None, Some(length)) => Left::Exactly(length),
        (None, None) => Left::UntilClosed,
    })
}

/// What all `Content-Length` lines say, if there are any.
fn length(headers: &HeaderMap) -> io::Result<Option<u64>> {
    let mut told = None;
    for line in headers.get_all(CONTENT_LENGTH) {
        let digits = line.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let length = digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or(broken("the length is no number"))?;
        if told.replace(length).is_some_and(|before| before != length) {
            return Err(broken("the answer has two lengths"));
        }
    }
    Ok(told)
}

/// RFC 9112, section 9.3. A length that chunks overrode is a reason to believe no more of what follows.
fn persists(response: &Response<()>) -> bool {
    let headers = response.headers();
    let says = |option: &[u8]| list(headers, &CONNECTION).any(|said| said.eq_ignore_ascii_case(option));
    let overridden = headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH);
    let kept = response.version() == Version::HTTP_11 || says(b"keep-alive");
    kept && !overridden && !says(b"close")
}
