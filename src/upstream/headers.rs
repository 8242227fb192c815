//! Header names that a client can never send through, and the hop-by-hop ones. Pure functions over header maps.

use http::HeaderValue;
use http::header::{CONNECTION, EXPECT, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};

/// Names that speak for the client towards an upstream. An entry that ends in `-` stands for all names that begin so.
const RESERVED: [&str; 20] = [
    "x-key",
    "x-access-token",
    "forwarded",
    "x-forwarded",
    "x-forwarded-",
    "x-real-ip",
    "x-request-id",
    "x-original-",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-webitel-user",
    "x-webitel-domain",
    "x-webitel-role",
    "proxy",
    "x-host",
    "x-http-host-override",
    "x-url-scheme",
    "front-end-https",
];

/// Where products and frameworks look for the client's address beside the names above, whoever wrote it there.
const CLIENT_ADDRESSES: [&str; 22] = [
    "client-ip",
    "x-client-ip",
    "true-client-ip",
    "x-true-client-ip",
    "x-cluster-client-ip",
    "forwarded-for",
    "remote-addr",
    "x-remote-addr",
    "x-remote-ip",
    "x-originating-ip",
    "x-proxyuser-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "fastly-client-ip",
    "fly-client-ip",
    "appengine-user-ip",
    "x-appengine-user-ip",
    "x-azure-",
    "x-envoy-external-address",
    "proxy-client-ip",
    "wl-proxy-client-ip",
];

/// Reserved names beyond [`RESERVED`] that are always there whatever the configuration names.
const RESERVED_DEFAULTS: [&str; 2] = ["x-webitel-session", "x-client-identity"];

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

/// The names that a client can never send through: the built-in ones and the configured identity names.
#[derive(Clone, Debug)]
pub struct Reserved {
    /// By first letter, so that most names are compared with few or none.
    by_first: Vec<Vec<Box<str>>>,
}

impl Reserved {
    /// Adds `identity` to the built-in names.
    pub fn new<'a>(identity: impl IntoIterator<Item = &'a HeaderName>) -> Self {
        let mut by_first = vec![Vec::new(); 256];
        let built_in = RESERVED.into_iter().chain(CLIENT_ADDRESSES).chain(RESERVED_DEFAULTS);
        for name in built_in.chain(identity.into_iter().map(HeaderName::as_str)) {
            by_first[usize::from(name.as_bytes()[0])].push(Box::from(name));
        }
        Self { by_first }
    }

    /// Whether `name` is reserved, spelt with `-`, `_` or `.`.
    pub fn holds(&self, name: &str) -> bool {
        let first = name.as_bytes().first().copied().unwrap_or_default();
        self.by_first[usize::from(first)].iter().any(|reserved| means(name, reserved))
    }

    /// Removes every reserved name.
    pub fn strip(&self, headers: &mut HeaderMap) {
        remove_where(headers, |name| self.holds(name));
    }
}

/// Removes what belongs to one connection, and a length beside a transfer coding, which overrides it (RFC 9112, section 6.3); every `Connection` line honoured; of `TE` only `trailers` stays.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
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

/// `name` is lower case already, as every [`HeaderName`] is.
fn means(name: &str, reserved: &str) -> bool {
    let same = |(sent, known): (u8, u8)| sent == known || known == b'-' && matches!(sent, b'_' | b'.');
    let long_enough = if reserved.ends_with('-') { name.len() >= reserved.len() } else { name.len() == reserved.len() };
    long_enough && name.bytes().zip(reserved.bytes()).all(same)
}

fn remove_where(headers: &mut HeaderMap, unwanted: impl Fn(&str) -> bool) {
    while let Some(name) = headers.keys().find(|name| unwanted(name.as_str())).cloned() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn reserved_names_are_known_in_every_spelling() {
        let custom = HeaderName::from_static("acme-user");
        let reserved = Reserved::new([&custom]);
        for name in [
            "X-Key",
            "x_key",
            "X.KEY",
            "X-Access_Token",
            "Forwarded",
            "X-Forwarded-Anything",
            "x.forwarded.for",
            "X_Forwarded_Host",
            "Proxy",
            "ACME_User",
            "x-webitel-user",
            "X-Client-Identity",
            "X-Original-URL",
            "X-Rewrite-URL",
            "True-Client-IP",
            "CF_Connecting.IP",
            "X-Azure-ClientIP",
        ] {
            assert!(reserved.holds(&name.to_ascii_lowercase()), "{name}");
        }
        for name in ["x-keys", "xkey", "x-ke", "accept", "proxyx", "x-forwardedfor", "user-agent", "client-ips", ""] {
            assert!(!reserved.holds(name), "{name}");
        }
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

    proptest! {
        #[test]
        fn any_mix_of_case_and_separators_is_reserved(seed in proptest::collection::vec(0..3usize, 32)) {
            let reserved = Reserved::new([]);
            for known in RESERVED.iter().chain(&CLIENT_ADDRESSES).chain(&RESERVED_DEFAULTS) {
                let mixed: String = known.chars().zip(seed.iter().cycle())
                    .map(|(c, s)| if c == '-' { ['-', '_', '.'][*s] } else { c }).collect();
                prop_assert!(reserved.holds(&mixed), "{}", mixed);
            }
        }
    }
}
