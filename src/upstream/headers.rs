//! Headers of one connection, lists and trailers. Pure functions over header maps.

use http::HeaderValue;
use http::header::{HeaderMap, HeaderName};

use super::reserved::Reserved;

/// What of a message belongs to the connection that it came over.
#[derive(Debug, Default)]
pub struct HopByHop {
    /// What its `Connection` lines name.
    named: Vec<HeaderName>,
    /// Whether it has any such header.
    any: bool,
    /// Whether it has a transfer coding.
    pub coded: bool,
    /// Whether its sender takes trailers.
    pub takes_trailers: bool,
}

impl HopByHop {
    /// One look at each name is cheaper than asking for each of those that most messages have none of.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut hops = Self::default();
        for (name, value) in headers.iter().filter(|(name, _)| is_hop_by_hop(name.as_str())) {
            hops.any = true;
            match name.as_str() {
                "connection" => hops.named.extend(members(value).filter_map(|name| HeaderName::from_bytes(name).ok())),
                "te" => hops.takes_trailers |= members(value).any(|coding| coding.eq_ignore_ascii_case(b"trailers")),
                "transfer-encoding" => hops.coded = true,
                _ => {}
            }
        }
        hops
    }

    /// Whether that header is one of them.
    pub fn own(&self, name: &HeaderName) -> bool {
        self.any && (is_hop_by_hop(name.as_str()) || self.named.contains(name))
    }
}

/// Headers of one connection (RFC 9110, section 7.6.1), `HTTP2-Settings` (RFC 7540, section 3.2.1) and `Expect`, which the
/// gateway answers itself.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "expect"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "http2-settings"
    )
}

/// Removes from an answer what belongs to the connection it came over, and a length beside a transfer coding, which overrides it
/// (RFC 9112, section 6.3).
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let hops = HopByHop::of(headers);
    if hops.coded {
        headers.remove(http::header::CONTENT_LENGTH);
    }
    if hops.any {
        remove_where(headers, |name| hops.own(name));
    }
}

/// Leaves in a trailer section only what was announced in `Trailer` and may stand there: no framing, routing or reserved
/// name (RFC 9110, section 6.5.1).
pub fn strip_trailers(trailers: &mut HeaderMap, announced: &[HeaderName], reserved: &Reserved) {
    remove_where(trailers, |name| {
        let framing = is_hop_by_hop(name.as_str())
            || matches!(
                name.as_str(),
                "content-length" | "host" | "trailer" | "content-encoding" | "content-type" | "content-range"
            );
        let secret = matches!(name.as_str(), "authorization" | "cookie" | "set-cookie");
        // Which HTTP/2 lets pass, and no token holds.
        let broken = name.as_str().contains('"');
        framing || secret || broken || reserved.holds(name.as_str()) || !announced.contains(name)
    });
}

/// The names in `Trailer`.
pub fn announced_trailers(headers: &HeaderMap) -> Vec<HeaderName> {
    list(headers, &http::header::TRAILER).filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
}

/// The members of a comma-separated header, all its lines, trimmed.
pub fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().flat_map(members)
}

/// The members of one line of it.
pub(crate) fn members(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name)).cloned() {
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
        assert!(HopByHop::of(&headers).takes_trailers && HopByHop::of(&headers).coded);
        strip_hop_by_hop(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["d"]);
    }

    #[test]
    fn a_length_beside_a_transfer_coding_is_dropped() {
        let mut headers = map(&[("content-length", "3"), ("transfer-encoding", "chunked")]);
        strip_hop_by_hop(&mut headers);
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
