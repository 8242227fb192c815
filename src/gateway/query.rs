//! Queries as the many parsers behind could read them: which names are credentials, and what of a query may be shown.

use std::borrow::Cow;

use http::HeaderValue;
use percent_encoding::{percent_decode, percent_decode_str};

use super::readings::fold_letters;
use crate::auth::SessionKey;

/// The query without its credentials, all else byte for byte; `None` when nothing is left.
pub(crate) fn without_credentials(query: &str) -> Option<String> {
    let kept: Vec<&str> = pairs(query).filter(|pair| !pair.is_credential()).map(|pair| pair.raw).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// The query fit for a log: what names a credential or a one-time code, or could hold one inside, keeps its name only.
pub(crate) fn redacted(query: &str) -> String {
    let secret =
        |pair: &Pair<'_>| pair.is_credential() || pair.name.eq_ignore_ascii_case("code") || may_hold_secret(pair.raw);
    let shown = |pair: Pair<'_>| if secret(&pair) { format!("{}=-", pair.name) } else { pair.raw.to_owned() };
    pairs(query).map(shown).collect::<Vec<_>>().join("&")
}

/// Whether the query names a credential.
pub(crate) fn holds_credentials(query: &str) -> bool {
    pairs(query).any(|pair| pair.is_credential())
}

/// One `name=value` of a query, as written.
pub(crate) struct Pair<'a> {
    raw: &'a str,
    pub(crate) name: &'a str,
    value: &'a str,
}

impl Pair<'_> {
    /// Whether some parser could read this as a credential: decoded, in any case or width, with brackets, or behind a `;`.
    pub(crate) fn is_credential(&self) -> bool {
        self.raw.split(';').any(|part| names_credential(part.split('=').next().unwrap_or_default()))
    }

    /// The value, decoded once.
    pub(crate) fn decoded(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&percent_decode_str(self.value).decode_utf8().ok()?).ok()
    }
}

/// Whether a lenient parser could take a query name for a credential: decoded once or twice, with letters in full width, with `-` for
/// `_`; brackets make it one wherever they stand (`[x_key]`, `x_key[$ne]`), and `.`, `+`, spaces and a bracket that nothing closes are
/// read as `_` by some and dropped by others; a NUL ends the name for some.
fn names_credential(name: &str) -> bool {
    let once: Cow<'_, [u8]> = percent_decode_str(name).into();
    let twice: Cow<'_, [u8]> = percent_decode(&once).into();
    let decoded = if twice.is_ascii() { twice } else { Cow::Owned(fold_letters(&twice)) };
    let name = decoded.split(|b| *b == 0).next().unwrap_or_default();
    let unclosed = !name.contains(&b']') && is_folded_credential(name);
    unclosed || name.split(|b| matches!(b, b'[' | b']')).any(is_folded_credential)
}

fn is_folded_credential(name: &[u8]) -> bool {
    let odd = |b: &u8| matches!(b, b'+' | b'.' | b'[' | b'-') || b.is_ascii_whitespace();
    let start = name.iter().position(|b| !odd(b)).unwrap_or(name.len());
    let end = name.iter().rposition(|b| !odd(b)).map_or(start, |last| last + 1);
    let folded = name[start..end].iter().map(|b| if odd(b) { b'_' } else { b.to_ascii_lowercase() });
    let folded: Vec<u8> = folded.collect();
    folded == b"x_key" || folded == b"access_token"
}

/// Every `name=value`, in order.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.split('&').map(|raw| {
        let (name, value) = raw.split_once('=').unwrap_or((raw, ""));
        Pair { raw, name, value }
    })
}

/// Whether a value names a credential, or looks like a key or a token, as it stands or within an address that was encoded again.
fn may_hold_secret(pair: &str) -> bool {
    let once = percent_decode_str(pair).decode_utf8_lossy().into_owned();
    let twice = percent_decode_str(&once).decode_utf8_lossy().to_ascii_lowercase();
    let is_key = |word: &str| word.len() == 36 && SessionKey::parse(word.as_bytes()).is_some();
    let words = || twice.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    ["x_key", "x-key", "access_token", "access-token", "eyj"].iter().any(|sign| twice.contains(sign))
        || words().any(is_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "8fd26a17-eb28-4c74-aa6f-a3794f4f466c";

    #[test]
    fn the_rest_of_a_query_is_kept_byte_for_byte() {
        let query = format!("b=%7e&x_key={KEY}&&c&access_token=t");
        assert_eq!(without_credentials(&query).as_deref(), Some("b=%7e&&c"));
        assert_eq!(without_credentials("x_key=1"), None);
        assert_eq!(redacted(&query), "b=%7e&x_key=-&&c&access_token=-");
        assert!(holds_credentials("A=1&ACCESS_TOKEN=2") && !holds_credentials("key=1"));
        for odd in ["x-key", "X-Key[]", "x%255fkey", "%EF%BD%98_key", "access%2dtoken"] {
            assert!(holds_credentials(&format!("{odd}=1")), "{odd}");
        }
    }

    #[test]
    fn a_log_shows_no_credential_that_hides_in_a_value() {
        for secret in [
            format!("u=https://x/?x_key={KEY}"),
            "next=%2Fa%3Faccess_token%3Deyabc".to_owned(),
            format!("u={KEY}"),
            format!("u=https%253A%252F%252Fx%252F{}", KEY.to_uppercase()),
            "token=eyJhbGciOiJIUzI1NiJ9.e30.abc".to_owned(),
        ] {
            let name = secret.split('=').next().unwrap();
            assert_eq!(redacted(&format!("a=1&{secret}")), format!("a=1&{name}=-"), "{secret}");
        }
        assert_eq!(redacted("from=2024-01-02&q=key%20token"), "from=2024-01-02&q=key%20token");
    }
}
