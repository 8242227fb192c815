//! What must hold whatever bytes come: of headers that are stripped and of frames that are followed. Called by tests/fuzz, and by
//! nobody else.

use http::header::{CONNECTION, CONTENT_LENGTH, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::headers::{announced_trailers, list, strip_hop_by_hop, strip_trailers};
use super::reserved::Reserved;
use super::websocket::{Frames, close_frame};
pub use super::wire::fuzz::answer;

/// `name:value` lines, as many as are headers.
fn headers(bytes: &[u8]) -> HeaderMap {
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
fn is_key(name: &HeaderName) -> bool {
    matches!(
        name.as_str().replace(['_', '.'], "-").as_str(),
        "x-key" | "x-access-token" | "x-webitel-user" | "forwarded"
    )
}

/// What is for one connection and what is reserved goes, whatever names it; all else stays as it was; twice is as good as once.
pub fn hop_by_hop(bytes: &[u8]) {
    let (sent, reserved) = (headers(bytes), Reserved::new([]));
    let named: Vec<HeaderName> =
        list(&sent, &CONNECTION).filter_map(|name| HeaderName::from_bytes(name).ok()).collect();
    let mut left = sent.clone();
    strip_hop_by_hop(&mut left);
    reserved.strip(&mut left);
    let mut again = left.clone();
    strip_hop_by_hop(&mut again);
    reserved.strip(&mut again);
    assert_eq!(again, left);
    assert!(!left.keys().any(is_key));
    assert!(left.get_all(TE).iter().all(|coding| coding == "trailers") && left.get_all(TE).iter().count() < 2);
    assert!(left.get_all(CONNECTION).iter().all(|named| named == "te"));
    assert!([TRANSFER_ENCODING, UPGRADE].iter().all(|name| !left.contains_key(name)));
    assert!(named.iter().all(|name| *name == TE || *name == CONNECTION || !left.contains_key(name)));
    assert!(!left.contains_key(CONTENT_LENGTH) || !sent.contains_key(TRANSFER_ENCODING));
    for name in left.keys().filter(|name| **name != TE && **name != CONNECTION) {
        assert!(left.get_all(name).iter().eq(sent.get_all(name)), "{name}");
    }
    trailers(&sent, &reserved);
}

fn trailers(sent: &HeaderMap, reserved: &Reserved) {
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
