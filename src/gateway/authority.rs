//! Which host a request is for: said once, or twice alike (RFC 9112, section 3.2; RFC 9113, section 8.3.1).

use std::cell::RefCell;
use std::net::Ipv6Addr;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Uri, Version};

use super::error::Refusal;

/// Bytes of a host that is remembered: a name (RFC 1035, section 2.3.4), a colon and a port. A longer one would stay while its
/// connection idles, and nobody has proven who he is yet.
const REMEMBERED: usize = 255 + 1 + 5;

/// The host that a connection named last. Most name one only, again and again, and to compare is cheaper than to judge.
#[derive(Debug, Default)]
pub(crate) struct Last(RefCell<Option<Authority>>);

impl Last {
    /// The host and port that `text` names, judged once.
    fn named(&self, text: &[u8]) -> Result<Authority, Refusal> {
        let mut last = self.0.borrow_mut();
        if let Some(same) = last.as_ref().filter(|last| last.as_str().as_bytes() == text) {
            return Ok(same.clone());
        }
        let authority = Authority::try_from(text).map_err(|_| MALFORMED).and_then(checked)?;
        *last = Some(authority.clone()).filter(|_| text.len() <= REMEMBERED);
        Ok(authority)
    }
}

/// The host and port as sent; `None` only for HTTP/1.0, which need not say.
///
/// # Errors
/// [`Refusal::Ambiguous`] when it is missing, repeated, malformed, said twice differently, or of another protocol.
pub(crate) fn judge(
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
    last: &Last,
) -> Result<Option<Authority>, Refusal> {
    // Only in an absolute target and on HTTP/2, where it may even be empty.
    if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Refusal::Ambiguous("The scheme is neither http nor https"));
    }
    let mut lines = headers.get_all(HOST).iter();
    let in_header = match (lines.next(), lines.next()) {
        (Some(line), None) => Some(last.named(line.as_bytes())?),
        (None, None) => None,
        _ => return Err(Refusal::Ambiguous("The Host header is repeated")),
    };
    let in_target = uri.authority().map(|target| last.named(target.as_str().as_bytes())).transpose()?;
    match (in_header, in_target) {
        (Some(header), Some(target)) if header != target => Err(Refusal::Ambiguous("The target and Host disagree")),
        (None, Some(_)) if version == Version::HTTP_11 => Err(Refusal::Ambiguous("The Host header is missing")),
        (Some(host), _) | (None, Some(host)) => Ok(Some(host)),
        (None, None) if version == Version::HTTP_10 => Ok(None),
        (None, None) => Err(Refusal::Ambiguous("The Host header is missing")),
    }
}

/// The host without port and trailing dot, so that rules see one name however it is spelt.
pub(crate) fn bare_host(authority: Option<&Authority>) -> &str {
    let host = authority.map_or("", Authority::host);
    host.strip_suffix('.').unwrap_or(host)
}

const MALFORMED: Refusal = Refusal::Ambiguous("The host is malformed");

/// Names, addresses and ports only: what else the URI syntax allows in a host no DNS name holds, and readers differ about it.
fn checked(authority: Authority) -> Result<Authority, Refusal> {
    let host = authority.host();
    // Without user information, the host begins the whole, and nothing but a port follows.
    let port = authority.as_str().strip_prefix(host).and_then(|rest| rest.strip_prefix(':'));
    let is_number = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && authority.port_u16().is_some();
    let is_plain = (authority.as_str() == host || port.is_some_and(is_number)) && is_host(host);
    if is_plain { Ok(authority) } else { Err(MALFORMED) }
}

/// An IPv6 address in brackets, or labels of which none but a last one is empty.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let plain = |plain: bool, b: u8| plain & (b.is_ascii_alphanumeric() | matches!(b, b'-' | b'.' | b'_'));
    host.bytes().fold(true, plain) && !host.is_empty() && !host.starts_with('.') && !host.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn judged(version: Version, uri: &str, hosts: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        judge(version, &uri.parse().unwrap(), &headers, &Last::default())
            .ok()
            .map(|host| host.map_or(String::new(), |h| h.to_string()))
    }

    #[test]
    fn one_host_is_needed() {
        assert_eq!(judged(Version::HTTP_11, "/", &["a:1"]).as_deref(), Some("a:1"));
        assert_eq!(judged(Version::HTTP_11, "/", &["[::1]:1"]).as_deref(), Some("[::1]:1"));
        assert_eq!(judged(Version::HTTP_10, "/", &[]).as_deref(), Some(""));
        assert_eq!(judged(Version::HTTP_2, "https://a/", &[]).as_deref(), Some("a"));
        assert_eq!(judged(Version::HTTP_11, "/", &["a.b.:1"]).as_deref(), Some("a.b.:1"));
        for bad in [
            "[]",
            "[evil]:80",
            "[evil]good:80",
            "[::1]x",
            "[::1]x:80",
            "a]:80",
            "a..",
            ".",
            "..",
            ".a",
            "a..b:1",
            "a:2@a:2",
            "a:2@a",
        ] {
            assert_eq!(judged(Version::HTTP_11, "/", &[bad]), None, "{bad:?}");
        }
        for bad in [&[][..], &["a", "a"], &["a", "b"], &[""], &["a b"], &["u@a"], &["a,b"], &["a/b"], &["a:"], &["a:x"]]
        {
            assert_eq!(judged(Version::HTTP_11, "/", bad), None, "{bad:?}");
        }
    }

    #[test]
    fn said_twice_it_must_agree() {
        assert_eq!(judged(Version::HTTP_11, "http://A/", &["a"]).as_deref(), Some("a"));
        assert_eq!(judged(Version::HTTP_2, "https://a/", &["A"]).as_deref(), Some("A"));
        assert_eq!(judged(Version::HTTP_2, "https://a/", &["b"]), None);
        assert_eq!(judged(Version::HTTP_11, "http://a/", &["b"]), None);
        assert_eq!(judged(Version::HTTP_11, "http://a/", &[]), None);
        assert_eq!(judged(Version::HTTP_11, "http://u@a/", &["a"]), None);
    }

    #[test]
    fn what_a_connection_named_before_is_judged_by_its_own_text() {
        let last = Last::default();
        for (text, good) in [("a:1", true), ("a:1", true), ("A:1", true), ("a:1@", false), ("a:1", true), ("a", true)] {
            let named = last.named(text.as_bytes());
            assert_eq!(named.as_ref().map_or("", Authority::as_str), if good { text } else { "" });
        }
    }

    #[test]
    fn a_host_that_is_longer_than_any_name_is_not_kept() {
        let last = Last::default();
        for (length, kept) in [(255, true), (REMEMBERED, true), (REMEMBERED + 1, false), (30_000, false)] {
            assert!(last.named("a".repeat(length).as_bytes()).is_ok());
            assert_eq!(last.0.borrow().is_some(), kept, "{length}");
        }
    }

    #[test]
    fn rules_see_one_name() {
        let host = |text: &str| bare_host(Some(&text.parse().unwrap())).to_owned();
        assert_eq!((host("a.b.:1"), host("a.b"), bare_host(None)), ("a.b".into(), "a.b".into(), ""));
    }
}
