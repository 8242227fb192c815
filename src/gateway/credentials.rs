//! What a client presented: X-Key and X-Access-Token as sent, unverified, from the one place where the route allows them.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::query::{Pair, pairs};
use crate::auth::{self, SessionKey};

/// The header of the session key.
pub(crate) const X_KEY: HeaderName = HeaderName::from_static("x-key");
/// The header of the access token.
pub(crate) const X_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

/// A pair that is well-formed; whether it belongs to a live session is not known here. Cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Presented<'a> {
    pub(crate) key: SessionKey,
    key_text: Cow<'a, HeaderValue>,
    token: Cow<'a, HeaderValue>,
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
pub(crate) fn present<'a>(headers: &'a HeaderMap, query: Option<&str>, sources: Sources) -> Option<Presented<'a>> {
    let judged = sources.query || sources.forwarded;
    let in_query: Vec<Pair<'_>> = match query {
        Some(query) if judged => pairs(query).filter(Pair::is_credential).collect(),
        _ => Vec::new(),
    };
    if in_query.is_empty() {
        return sources.header.then(|| from_headers(headers)).flatten();
    }
    let in_headers = headers.contains_key(X_KEY) || headers.contains_key(X_ACCESS_TOKEN);
    if in_headers || !sources.query { None } else { from_query(&in_query) }
}

/// The pair in the headers, each exactly once.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Presented<'_>> {
    let (mut key, mut token) = (None, None);
    // One look at each name is cheaper than asking for two.
    for (name, value) in headers {
        let said = match name.as_str() {
            "x-key" => &mut key,
            "x-access-token" => &mut token,
            _ => continue,
        };
        if said.replace(value).is_some() {
            return None;
        }
    }
    Presented::new(Cow::Borrowed(key?), Cow::Borrowed(token?))
}

impl<'a> Presented<'a> {
    /// The pair as sessions are asked for it.
    pub(crate) fn pair(&self) -> auth::Presented<'_> {
        auth::Presented { key: self.key, token: self.token.as_bytes() }
    }

    /// The same, for as long as anybody wants it.
    pub(crate) fn into_owned(self) -> Presented<'static> {
        let Self { key, key_text, token } = self;
        Presented { key, key_text: Cow::Owned(key_text.into_owned()), token: Cow::Owned(token.into_owned()) }
    }

    /// The key as it was sent: visible ASCII.
    pub(crate) fn key_text(&self) -> &[u8] {
        self.key_text.as_bytes()
    }

    /// The token: visible ASCII.
    pub(crate) fn token(&self) -> &[u8] {
        self.token.as_bytes()
    }

    fn new(key_text: Cow<'a, HeaderValue>, token: Cow<'a, HeaderValue>) -> Option<Self> {
        let key = SessionKey::parse(key_text.as_bytes())?;
        // Every byte is looked at, many at once.
        let printable = token.as_bytes().iter().fold(true, |printable, byte| printable & byte.is_ascii_graphic());
        (printable && !token.is_empty()).then_some(Self { key, key_text, token })
    }
}

/// Accepts `x_key` and `access_token` once each, spelt just so.
fn from_query(found: &[Pair<'_>]) -> Option<Presented<'static>> {
    let spelt = |name: &'static str| only(found.iter().filter(move |pair| pair.name == name));
    if found.len() != 2 {
        return None;
    }
    let decoded = |name| spelt(name)?.decoded().map(Cow::Owned);
    Presented::new(decoded("x_key")?, decoded("access_token")?)
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
        let headers = right();
        let presented = present(&headers, None, HEADER).unwrap();
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
        assert_eq!(*present(&HeaderMap::new(), Some(&query), BOTH).unwrap().token, "t.");
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
            "x[key",
            "access%5Btoken",
            "x_key%00",
            "x_key%00a",
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
}
