//! Headers of one connection, lists and trailers. Pure functions over header maps.

use http::HeaderValue;
use http::header::{CONNECTION, EXPECT, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};

use super::reserved::Reserved;

/// Headers of one connection (RFC 9110, section 7.6.1), `HTTP2-Settings` (RFC 7540, section 3.2.1) and `Expect`, which the
/// gateway answers itself.
const HOP_BY_HOP: [HeaderName; 10] = [
    CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    EXPECT,
    http::header::PROXY_AUTHENTICATE,
    http::header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Removes what belongs to one connection, and a length beside a transfer coding, which overrides it (RFC 9112, section 6.3); every `Connection` line honoured; of `TE` only `trailers` stays.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // One look at each name is cheaper than asking for each of those that most messages have none of.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    let takes_trailers = list(headers, &TE).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    let named: Vec<HeaderName> =
        list(headers, &CONNECTION).filter_map(|token| HeaderName::from_bytes(token).ok()).collect();
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(http::header::CONTENT_LENGTH);
    }
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
}

/// Removes from an answer what belongs to the connection it came over.
pub fn strip_hop_by_hop_of_answer(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.remove(CONNECTION);
    headers.remove(TE);
}

/// Leaves in a trailer section only what was announced in `Trailer` and may stand there: no framing, routing or reserved
/// name (RFC 9110, section 6.5.1).
pub fn strip_trailers(trailers: &mut HeaderMap, announced: &[HeaderName], reserved: &Reserved) {
    remove_where(trailers, |name| {
        let framing = HOP_BY_HOP.iter().any(|hop| hop == name)
            || matches!(
                name,
                "content-length" | "host" | "trailer" | "content-encoding" | "content-type" | "content-range"
            );
        let secret = matches!(name, "authorization" | "cookie" | "set-cookie");
        framing || secret || reserved.holds(name) || !announced.iter().any(|known| known == name)
    });
}

/// The names in `Trailer`.
pub fn announced_trailers(headers: &HeaderMap) -> Vec<HeaderName> {
    list(headers, &http::header::TRAILER).filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
}

/// The members of a comma-separated header, all its lines, trimmed.
pub fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(|line| line.as_bytes().split(|b| *b == b',')).map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

pub(super) fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name.as_str())).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn every_connection_line_is_honoured() {
        let mut headers = map(&[
            ("connection", "a, b"),
            ("connection", "c"),
            ("a", "1"),
            ("b", "1"),
            ("c", "1"),
            ("d", "1"),
            ("te", "gzip, trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("transfer-encoding", "chunked"),
        ]);
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["connection", "d", "te"]);
        assert_eq!(headers["te"], "trailers");
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_dropped() {
        let mut headers = map(&[("content-length", "3"), ("transfer-encoding", "chunked")]);
        strip_hop_by_hop_of_answer(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn trailers_pass_where_announced_and_harmless() {
        let announced = announced_trailers(&map(&[("trailer", "grpc-status, X-Key"), ("trailer", "content-length")]));
        let mut trailers = map(&[("grpc-status", "0"), ("x-key", "k"), ("content-length", "1"), ("other", "1")]);
        strip_trailers(&mut trailers, &announced, &Reserved::new([]));
        assert_eq!(trailers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["grpc-status"]);
    }
}
