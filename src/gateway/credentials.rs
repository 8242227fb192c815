//! What a client presented: X-Key and X-Access-Token as sent, unverified, from the one place where the route allows them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::auth::{self, SessionKey};

/// The header of the session key.
pub(crate) const X_KEY: HeaderName = HeaderName::from_static("x-key");
/// The header of the access token.
pub(crate) const X_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

/// A pair that is well-formed; whether it belongs to a live session is not known here. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Presented {
    pub(crate) key: SessionKey,
    pub(crate) key_text: HeaderValue,
    pub(crate) token: HeaderValue,
}

/// Where a route takes credentials from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources {
    pub(crate) header: bool,
    pub(crate) query: bool,
    /// Whether the upstream reads credentials itself, so that a second copy in the query must not slip past.
    pub(crate) forwarded: bool,
}

/// The one pair that was presented; `None` for absent, malformed, repeated or contradicted, which the client can't tell apart.
pub(crate) fn present(headers: &HeaderMap, query: Option<&str>, sources: Sources) -> Option<Presented> {
    let judged = sources.query || sources.forwarded;
    let in_query: Vec<Pair<'_>> = match query {
        Some(query) if judged => pairs(query).filter(Pair::is_credential).collect(),
        _ => Vec::new(),
    };
    let in_headers = headers.contains_key(X_KEY) || headers.contains_key(X_ACCESS_TOKEN);
    match (in_headers, in_query.is_empty()) {
        (true, true) if sources.header => from_headers(headers),
        (false, false) if sources.query => from_query(&in_query),
        _ => None,
    }
}

/// The pair in the headers, each exactly once.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Presented> {
    let key = only(headers.get_all(X_KEY).iter())?;
    let token = only(headers.get_all(X_ACCESS_TOKEN).iter())?;
    Presented::new(key.clone(), token.clone())
}

/// The query without its credentials, all else byte for byte; `None` when nothing is left.
pub(crate) fn without_credentials(query: &str) -> Option<String> {
    let kept: Vec<&str> = pairs(query).filter(|pair| !pair.is_credential()).map(|pair| pair.raw).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// The query fit for a log: what names a credential or a one-time code keeps its name only.
pub(crate) fn redacted(query: &str) -> String {
    let secret = |pair: &Pair<'_>| pair.is_credential() || pair.name.eq_ignore_ascii_case("code");
    let shown = |pair: Pair<'_>| if secret(&pair) { format!("{}=-", pair.name) } else { pair.raw.to_owned() };
    pairs(query).map(shown).collect::<Vec<_>>().join("&")
}

/// Whether the query names a credential.
pub(crate) fn holds_credentials(query: &str) -> bool {
    pairs(query).any(|pair| pair.is_credential())
}

impl Presented {
    /// The pair as sessions are asked for it.
    pub(crate) fn pair(&self) -> auth::Presented<'_> {
        auth::Presented { key: self.key, token: self.token.as_bytes() }
    }

    fn new(key_text: HeaderValue, mut token: HeaderValue) -> Option<Self> {
        let key = SessionKey::parse(key_text.as_bytes())?;
        let printable = token.as_bytes().iter().all(u8::is_ascii_graphic);
        token.set_sensitive(true);
        (printable && !token.is_empty()).then_some(Self { key, key_text, token })
    }
}

/// One `name=value` of a query, as written.
struct Pair<'a> {
    raw: &'a str,
    name: &'a str,
    value: &'a str,
}

impl Pair<'_> {
    /// Whether some parser could read this as a credential: decoded, in any case, with brackets, or behind a `;`.
    fn is_credential(&self) -> bool {
        self.raw.split(';').any(|part| names_credential(part.split('=').next().unwrap_or_default()))
    }

    fn decoded(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&percent_decode_str(self.value).decode_utf8().ok()?).ok()
    }
}

/// Whether a lenient parser could take a query name for a credential: brackets make it one wherever they stand (`[x_key]`,
/// `x_key[$ne]`), and `.`, `+` and spaces are read as `_` by some and dropped by others.
fn names_credential(name: &str) -> bool {
    let decoded: Cow<'_, [u8]> = percent_decode_str(name).into();
    decoded.split(|b| matches!(b, b'[' | b']')).any(|part| {
        let odd = |b: &u8| matches!(b, b'+' | b'.') || b.is_ascii_whitespace();
        let start = part.iter().position(|b| !odd(b)).unwrap_or(part.len());
        let end = part.iter().rposition(|b| !odd(b)).map_or(start, |last| last + 1);
        let folded: Vec<u8> =
            part[start..end].iter().map(|b| if odd(b) { b'_' } else { b.to_ascii_lowercase() }).collect();
        folded == b"x_key" || folded == b"access_token"
    })
}

fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.split('&').map(|raw| {
        let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
        Pair { raw, name, value }
    })
}

/// Accepts `x_key` and `access_token` once each, spelt just so.
fn from_query(found: &[Pair<'_>]) -> Option<Presented> {
    let spelt = |name: &'static str| only(found.iter().filter(move |pair| pair.name == name));
    if found.len() != 2 {
        return None;
    }
    Presented::new(spelt("x_key")?.decoded()?, spelt("access_token")?.decoded()?)
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "8fd26a17-eb28-4c74-aa6f-a3794f4f466c";
    const BOTH: Sources = Sources { header: true, query: true, forwarded: false };
    const HEADER: Sources = Sources { header: true, query: false, forwarded: false };

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse::<HeaderValue>().unwrap())).collect()
    }

    fn right() -> HeaderMap {
        headers(&[("x-key", KEY), ("x-access-token", "t")])
    }

    #[test]
    fn one_pair_in_the_headers_is_presented() {
        let presented = present(&right(), None, HEADER).unwrap();
        assert_eq!((presented.key_text.as_bytes(), presented.token.as_bytes()), (KEY.as_bytes(), &b"t"[..]));
    }

    #[test]
    fn absent_malformed_or_repeated_headers_are_nothing() {
        for bad in [
            vec![],
            vec![("x-key", KEY)],
            vec![("x-access-token", "t")],
            vec![("x-key", "x"), ("x-access-token", "t")],
            vec![("x-key", KEY), ("x-access-token", "")],
            vec![("x-key", KEY), ("x-access-token", "a b")],
            vec![("x-key", KEY), ("x-key", KEY), ("x-access-token", "t")],
            vec![("x-key", KEY), ("x-access-token", "t"), ("x-access-token", "t")],
        ] {
            assert!(present(&headers(&bad), None, BOTH).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn one_pair_in_the_query_is_presented_only_where_allowed() {
        let query = format!("a=1&x_key={KEY}&access_token=t%2E");
        assert_eq!(present(&HeaderMap::new(), Some(&query), BOTH).unwrap().token, "t.");
        assert!(present(&HeaderMap::new(), Some(&query), HEADER).is_none());
        let forwarded = Sources { forwarded: true, ..HEADER };
        assert!(present(&HeaderMap::new(), Some(&query), forwarded).is_none());
    }

    #[test]
    fn odd_spellings_in_the_query_are_judged_and_refused() {
        for name in [
            "X_KEY",
            "x%5fkey",
            "x_key[$ne]",
            "x_key%5B%5D",
            "%78_key",
            "a;x_key",
            "[x_key]",
            "%5bx_key%5d",
            "++x_key",
            "x.key",
            "x+key",
            "a[x_key]",
        ] {
            let query = format!("{name}={KEY}&access_token=t");
            assert!(present(&HeaderMap::new(), Some(&query), BOTH).is_none(), "{name}");
            assert!(present(&right(), Some(&format!("{name}={KEY}")), BOTH).is_none(), "{name} beside headers");
        }
    }

    #[test]
    fn on_other_routes_the_query_belongs_to_the_api() {
        assert!(present(&right(), Some("x_key=whatever"), HEADER).is_some());
    }

    #[test]
    fn the_rest_of_a_query_is_kept_byte_for_byte() {
        let query = format!("b=%7e&x_key={KEY}&&c&access_token=t");
        assert_eq!(without_credentials(&query).as_deref(), Some("b=%7e&&c"));
        assert_eq!(without_credentials("x_key=1"), None);
        assert_eq!(redacted(&query), "b=%7e&x_key=-&&c&access_token=-");
        assert!(holds_credentials("A=1&ACCESS_TOKEN=2") && !holds_credentials("key=1"));
    }
}
