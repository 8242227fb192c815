//! The path of a request: refuses what cannot be judged unambiguously.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::percent_decode_str;

use super::readings;

/// Why a path is refused whatever the routes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unjudgeable(pub(crate) &'static str);

/// The path as it would be sent: of a target that has only a query [`Uri::path`] says that its path is a slash.
pub(crate) fn path_of(uri: &Uri) -> &str {
    let has_none = uri.path_and_query().is_some_and(|target| target.as_str().starts_with('?'));
    if has_none { "" } else { uri.path() }
}

/// Accepts a path that means one thing only: no space, backslash or bad escape, and no control or dot segment, raw or encoded.
pub(crate) fn judge(path: &str) -> Result<(), Unjudgeable> {
    if !path.starts_with('/') {
        return Err(Unjudgeable("The path must start with a slash"));
    }
    // Every byte is looked at, many at once.
    if path.bytes().fold(false, |found, b| found | (b <= b' ') | (b == 0x7f) | (b == b'\\')) {
        return Err(Unjudgeable("The path holds a control character, a space or a backslash"));
    }
    if readings::is_plain(path) {
        // It holds neither an escape nor a dot segment: of a plain path no segment ends in a dot.
        return Ok(());
    }
    let decoded = decode_checked(path)?;
    let dotted = |segment: &[u8]| segment == b"." || segment == b"..";
    if decoded.split(|b| matches!(b, b'/' | b'\\')).any(dotted) {
        return Err(Unjudgeable("The path holds a dot segment"));
    }
    Ok(())
}

/// Whether the path holds an encoded slash or backslash, which only some routes pass on.
pub(crate) fn holds_encoded_slash(path: &str) -> bool {
    escapes(path).any(|escape| matches!(escape, Some(b'/' | b'\\')))
}

/// The bytes behind each `%`; `None` for an escape that is cut short or not hexadecimal.
fn escapes(path: &str) -> impl Iterator<Item = Option<u8>> {
    let hex = |b: u8| char::from(b).to_digit(16);
    path.as_bytes().iter().enumerate().filter(|(_, b)| **b == b'%').map(move |(at, _)| {
        let pair = path.as_bytes().get(at + 1..at + 3)?;
        u8::try_from(hex(pair[0])? * 16 + hex(pair[1])?).ok()
    })
}

fn decode_checked(path: &str) -> Result<Cow<'_, [u8]>, Unjudgeable> {
    for escape in escapes(path) {
        match escape {
            None => return Err(Unjudgeable("The path holds a bad percent escape")),
            Some(byte) if byte.is_ascii_control() => {
                return Err(Unjudgeable("The path holds an encoded control character"));
            }
            Some(_) => {}
        }
    }
    Ok(percent_decode_str(path).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_judged_is_refused() {
        for bad in [
            "",
            "x",
            "*",
            "/a b",
            "/a\\b",
            "/a\u{1}",
            "/a\u{7f}",
            "/%",
            "/%2",
            "/%zz",
            "/%00",
            "/a%0a",
            "/a%0D/b",
            "/%1f",
            "/%7F",
            "/..",
            "/a/../b",
            "/a/.",
            "/./a",
            "/%2e%2e/a",
            "/a/%2E",
            "/a/.%2e/b",
            "/a%2f..%2fb",
            "/a%5c..%5cb",
        ] {
            assert!(judge(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_target_without_a_path_has_none() {
        let path = |uri: &str| path_of(&uri.parse().unwrap()).to_owned();
        assert_eq!([path("http://h?x=1"), path("http://h"), path("/?x")], ["", "/", "/"]);
    }

    #[test]
    fn what_means_one_thing_passes() {
        for good in [
            "/",
            "/a",
            "/a//b",
            "/a;x",
            "/a/",
            "/...",
            "/a..b",
            "/.well-known/x",
            "/%41",
            "/a%2fb",
            "/%252e%252e",
            "/ä",
        ] {
            assert!(judge(good).is_ok(), "{good:?}");
        }
    }
}
