//! What must hold whatever bytes come: of trailers that are stripped and of frames that are followed. Called by tests/fuzz, and by
//! nobody else.

use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::headers::{announced_trailers, strip_trailers};
use super::outbound::Outbound;
use super::reserved::Reserved;
use super::websocket::{Frames, close_frame};
pub use super::wire::fuzz::answer;

/// `name:value` lines, as many as are headers.
pub(crate) fn headers(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(&line[colon + 1..])) {
            headers.append(name, value);
        }
    }
    headers
}

/// Reserved, by comparison with the name that every separator spells.
pub(crate) fn is_key(name: &HeaderName) -> bool {
    matches!(
        name.as_str().replace(['_', '.'], "-").as_str(),
        "x-key" | "x-access-token" | "x-webitel-user" | "forwarded"
    )
}

/// What the head of a request says behind its request line.
pub(crate) fn fields(request: &Outbound) -> HeaderMap {
    let ends = memchr::memmem::find_iter(&request.words, b"\r\n");
    let (mut fields, mut start) = (HeaderMap::new(), None);
    for end in ends {
        if let Some(start) = start {
            let line = &request.words[start..end];
            let colon = memchr::memmem::find(line, b": ").expect("a field");
            let name = HeaderName::from_bytes(&line[..colon]).expect("a name");
            fields.append(name, HeaderValue::from_bytes(&line[colon + 2..]).expect("a value"));
        }
        start = Some(end + 2);
    }
    fields
}

/// Of a trailer section only what was announced and frames, routes or claims nothing passes.
pub(crate) fn trailers(sent: &HeaderMap, reserved: &Reserved) {
    let (announced, mut trailers) = (announced_trailers(sent), sent.clone());
    strip_trailers(&mut trailers, &announced, reserved);
    assert!(trailers.keys().all(|name| announced.contains(name) && !is_key(name)));
    assert!([CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, TRAILER].iter().all(|name| !trailers.contains_key(name)));
}

/// Frames end where RFC 6455 says, in whatever pieces they come, and a close frame is a whole one.
pub fn frames(bytes: &[u8]) {
    let Some((piece, stream)) = bytes.split_first() else { return };
    let mut frames = Frames::default();
    stream.chunks(usize::from(*piece).max(1)).for_each(|bytes| frames.see(bytes));
    let mut rest = stream;
    while let Some(length) = frame_length(rest) {
        match usize::try_from(length).ok().and_then(|length| rest.get(length..)) {
            Some(next) => rest = next,
            None => break,
        }
    }
    assert_eq!(frames.are_whole(), rest.is_empty());
    if frames.are_whole() {
        let code = u16::from_be_bytes([*piece, 1]);
        let close = close_frame(code);
        frames.see(&close[..3]);
        assert!(!frames.are_whole());
        frames.see(&close[3..]);
        assert!(frames.are_whole());
    }
}

/// Of the frame at the start, header and all; absent where its header is not whole.
fn frame_length(bytes: &[u8]) -> Option<u128> {
    let second = *bytes.get(1)?;
    let (start, payload) = match second & 0x7f {
        126 => (4, u128::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, u128::from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?))),
        short => (2, u128::from(short)),
    };
    let start = start + if second & 0x80 == 0 { 0 } else { 4 };
    bytes.get(..start).map(|_| start as u128 + payload)
}
