//! The path of a request: refuses what cannot be judged unambiguously, and lists what else a lenient reader could take it for.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Why a path is refused whatever the routes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unjudgeable(pub(crate) &'static str);

/// Accepts a path that means one thing only: no space, backslash or bad escape, and no control or dot segment, raw or encoded.
pub(crate) fn judge(path: &str) -> Result<(), Unjudgeable> {
    if !path.starts_with('/') {
        return Err(Unjudgeable("The path must start with a slash"));
    }
    if path.bytes().any(|b| b.is_ascii_control() || b == b' ' || b == b'\\') {
        return Err(Unjudgeable("The path holds a control character, a space or a backslash"));
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

/// Whether a lenient reader could see another path here; `false` for nearly all paths, at the cost of one pass.
pub(crate) fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let odd = |b: &u8| matches!(b, b'%' | b';') || b.is_ascii_uppercase();
    let merges_or_trims = bytes.windows(2).any(|pair| matches!(pair, b"//" | b"./"));
    !(bytes.iter().any(odd) || merges_or_trims || bytes.ends_with(b".") || bytes.len() > 1 && bytes.ends_with(b"/"))
}

/// Bytes of a path that is read leniently.
const LONGEST_ODD_PATH: usize = 8 * 1024;
/// Readings of a path; real ones have a handful.
const MOST_READINGS: usize = 64;
/// Bytes of all readings that are worked through, some 3 ns each: nobody has proven who he is yet.
const MOST_BYTES: usize = 64 * 1024;

/// Every path that a lenient reader could see, in lower case: escapes decoded once or twice, `;params` cut, `//` merged, dot
/// segments resolved, dots and spaces around segments trimmed, one trailing slash dropped, and any of these together. The path
/// itself comes first. `None` when that would be too much work to be judged.
pub(crate) fn readings(path: &str) -> Option<Vec<Vec<u8>>> {
    if path.len() > LONGEST_ODD_PATH {
        return None;
    }
    let mut seen: Vec<(Vec<u8>, u8)> = vec![(path.as_bytes().to_ascii_lowercase(), 0)];
    let (mut next, mut bytes) = (0, 0);
    while let Some((reading, decodes)) = seen.get(next).cloned() {
        (next, bytes) = (next + 1, bytes + reading.len());
        let mut note = |variant: Vec<u8>, decodes: u8| {
            if variant.starts_with(b"/") && !seen.iter().any(|(known, times)| *known == variant && *times <= decodes) {
                seen.push((variant, decodes));
            }
        };
        if decodes < 2 {
            note(decode(&reading).to_ascii_lowercase(), decodes + 1);
        }
        note(cut_params(&reading), decodes);
        note(merge_slashes(&reading), decodes);
        note(resolve_dots(&reading), decodes);
        note(trim_segments(&reading), decodes);
        if seen.len() > MOST_READINGS || bytes > MOST_BYTES {
            return None;
        }
    }
    // Last and not fed back: one slash is dropped, however many there are.
    let dropped: Vec<Vec<u8>> = seen.iter().map(|(reading, _)| drop_slash(reading).to_vec()).collect();
    Some(seen.into_iter().map(|(reading, _)| reading).chain(dropped).collect())
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

fn decode(path: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(path).collect()
}

/// What stands behind each slash; a path starts with one.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|b| *b == b'/').skip(1)
}

fn push_segment(path: &mut Vec<u8>, segment: &[u8]) {
    path.push(b'/');
    path.extend_from_slice(segment);
}

fn cut_params(path: &[u8]) -> Vec<u8> {
    let mut in_params = false;
    let kept = |b: &u8| {
        in_params = *b == b';' || in_params && *b != b'/';
        !in_params
    };
    path.iter().copied().filter(kept).collect()
}

fn merge_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|b, a| *a == b'/' && *b == b'/');
    merged
}

fn resolve_dots(path: &[u8]) -> Vec<u8> {
    let mut resolved = Vec::with_capacity(path.len());
    for segment in segments(path) {
        match segment {
            b"." => {}
            b".." => resolved.truncate(resolved.iter().rposition(|b| *b == b'/').unwrap_or(0)),
            other => push_segment(&mut resolved, other),
        }
    }
    if resolved.is_empty() { b"/".to_vec() } else { resolved }
}

/// As Windows names files, and as code does that trims what it is given: spaces and controls on both sides, dots at the end.
fn trim_segments(path: &[u8]) -> Vec<u8> {
    let mut trimmed = Vec::with_capacity(path.len());
    segments(path).for_each(|segment| push_segment(&mut trimmed, trim_segment(segment)));
    trimmed
}

fn trim_segment(segment: &[u8]) -> &[u8] {
    let blank = |b: &u8| *b <= b' ' || *b == 0x7f;
    let start = segment.iter().position(|b| !blank(b)).unwrap_or(segment.len());
    let end = segment.iter().rposition(|b| !blank(b) && *b != b'.').map_or(start, |last| last + 1);
    &segment[start..end.max(start)]
}

fn drop_slash(path: &[u8]) -> &[u8] {
    match path {
        [rest @ .., b'/'] if !rest.is_empty() => rest,
        whole => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn readings_combine_every_leniency() {
        let sees = |path: &str, other: &str| readings(path).unwrap().iter().any(|r| r == other.as_bytes());
        assert!(sees("/API/x", "/api/x"));
        assert!(sees("/%61pi", "/api"));
        assert!(sees("/%2561pi", "/api"));
        assert!(!sees("/%252561pi", "/api"));
        assert!(sees("/x//api/", "/x/api"));
        assert!(sees("/x%3bv=1/api;y", "/x/api"));
        assert!(sees("/x%252f..;v%252fADMIN%2f", "/admin"));
        for padded in ["/api.", "/api...", "/api%20", "/%20api%20.", "/api%252e", "/api%250a", "/api. /;x", "//API.;x"]
        {
            assert!(sees(padded, "/api"), "{padded}");
        }
        assert!(sees("/api./x%20/y", "/api/x/y") && !sees("/.api", "/api"));
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        assert!(is_plain("/api/v2/cdr") && is_plain("/"));
        assert!(readings("/api/v2/cdr").unwrap().iter().all(|reading| reading == b"/api/v2/cdr"));
    }

    #[test]
    fn a_long_path_costs_few_readings_or_none() {
        for odd in ["/", "/;", "%2f", "%252f", "/.", "a;/", "a./", "%20/", "%252e;/", "a%20.;/%252f"] {
            let count = |bytes: usize| readings(&format!("/{}", odd.repeat(bytes / odd.len()))).map(|all| all.len());
            assert!(count(LONGEST_ODD_PATH - 1).is_none_or(|readings| readings <= 2 * MOST_READINGS), "{odd}");
            let long = readings(&format!("/{}", odd.repeat((LONGEST_ODD_PATH - 1) / odd.len())));
            assert!(long.is_none_or(|all| all.iter().map(Vec::len).sum::<usize>() <= 2 * MOST_BYTES), "{odd}");
            assert_eq!(count(32 * 1024), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn a_plain_path_that_can_be_judged_has_no_other_reading(path in "/[a-z0-9./;%-]{0,24}") {
            if is_plain(&path) && judge(&path).is_ok() {
                prop_assert!(readings(&path).unwrap().iter().all(|reading| reading == path.as_bytes()));
            }
        }

        #[test]
        fn readings_are_few_and_never_panic(path in "/[ -~]{0,64}") {
            prop_assert!(readings(&path).is_none_or(|readings| readings.len() <= 2 * (MOST_READINGS + 5)));
        }
    }
}
