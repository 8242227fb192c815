//! What else a lenient reader could take a path for. Knows no routes, and refuses nothing.

use unicode_normalization::char::decompose_compatible;

/// Whether no lenient reader could see another path here; `true` for nearly all paths, at the cost of one pass without branches.
pub(crate) fn is_plain(path: &str) -> bool {
    let is_odd = |b: u8| (b == b'%') | (b == b';') | b.is_ascii_uppercase() | !b.is_ascii();
    let merges_or_trims = |before: u8, b: u8| (b == b'/') & ((before == b'/') | (before == b'.'));
    let seen = |(odd, before), b| (odd | is_odd(b) | merges_or_trims(before, b), b);
    let (odd, last) = path.bytes().fold((false, b' '), seen);
    !odd && last != b'.' && (last != b'/' || path.len() == 1)
}

/// Bytes of a path that is read leniently.
const LONGEST_ODD_PATH: usize = 8 * 1024;
/// Readings of a path; real ones have a handful.
const MOST_READINGS: usize = 64;
/// Bytes of all readings that are worked through, some 3 ns each: nobody has proven who he is yet.
const MOST_BYTES: usize = 64 * 1024;

/// Trimmed by JavaScript.
const BYTE_ORDER_MARK: char = '\u{feff}';

type Leniency = fn(&[u8]) -> Vec<u8>;

/// What a lenient reader does to a path, beside decoding it.
const LENIENCIES: [Leniency; 9] = [
    cut_params,
    merge_slashes,
    resolve_dots,
    trim_blanks,
    trim_segments,
    drop_host,
    turn_backslashes,
    cut_end,
    fold_letters,
];

/// Every path that a lenient reader could see, in lower case: escapes decoded once or twice, `;params` cut, `//` merged or taken for
/// the start of a host, dot segments resolved, dots and spaces around segments trimmed, and what only decoding brings: a backslash
/// for a slash, an end at `?`, `#` or NUL, letters in full width, without a dot or longer than UTF-8 allows. One trailing slash
/// dropped, and any of these together. The path itself comes first. `None` when that would be too much work to be judged.
pub(crate) fn readings(path: &str) -> Option<Vec<Vec<u8>>> {
    if path.len() > LONGEST_ODD_PATH {
        return None;
    }
    let mut seen: Vec<(Vec<u8>, u8)> = vec![(path.as_bytes().to_ascii_lowercase(), 0)];
    let (mut next, mut bytes) = (0, 0);
    while let Some((reading, decodes)) = seen.get(next).cloned() {
        (next, bytes) = (next + 1, bytes + reading.len());
        if bytes > MOST_BYTES {
            return None;
        }
        let mut note = |variant: Vec<u8>, decodes: u8| {
            if variant.starts_with(b"/") && !seen.iter().any(|(known, times)| *known == variant && *times <= decodes) {
                seen.push((variant, decodes));
            }
        };
        if decodes < 2 {
            note(decode(&reading).to_ascii_lowercase(), decodes + 1);
        }
        for lenient in LENIENCIES {
            note(lenient(&reading), decodes);
        }
        if seen.len() > MOST_READINGS {
            return None;
        }
    }
    // Last and not fed back: one slash is dropped, however many there are.
    let dropped: Vec<Vec<u8>> = seen.iter().map(|(reading, _)| drop_slash(reading).to_vec()).collect();
    Some(seen.into_iter().map(|(reading, _)| reading).chain(dropped).collect())
}

/// A path of a route as readings may have it, where they leave its segments alone: as it is, decoded, and letters folded.
pub(crate) fn decoded(path: &str) -> [Vec<u8>; 3] {
    let written = path.as_bytes().to_ascii_lowercase();
    let decoded = decode(&written).to_ascii_lowercase();
    let folded = fold_letters(&decoded);
    [written, decoded, folded]
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

/// As code does that trims what it is given: spaces and controls on both sides of each segment. What is left may lead up.
fn trim_blanks(path: &[u8]) -> Vec<u8> {
    trim_each(path, is_blank)
}

/// As Windows names files: dots at the end too.
fn trim_segments(path: &[u8]) -> Vec<u8> {
    trim_each(path, |b| is_blank(b) || *b == b'.')
}

fn is_blank(b: &u8) -> bool {
    *b <= b' ' || *b == 0x7f
}

/// Every segment without blanks at its start and what is `loose` at its end.
fn trim_each(path: &[u8], loose: impl Fn(&u8) -> bool) -> Vec<u8> {
    let mut trimmed = Vec::with_capacity(path.len());
    for segment in segments(path) {
        let start = segment.iter().position(|b| !is_blank(b)).unwrap_or(segment.len());
        let end = segment.iter().rposition(|b| !loose(b)).map_or(start, |last| last + 1);
        push_segment(&mut trimmed, &segment[start..end.max(start)]);
    }
    trimmed
}

/// As `new URL(path, base)` does: `//host/path`, however many slashes there are (WHATWG URL, "special authority ignore slashes").
fn drop_host(path: &[u8]) -> Vec<u8> {
    if !path.starts_with(b"//") {
        return path.to_vec();
    }
    let host = path.iter().position(|b| *b != b'/').unwrap_or(path.len());
    let behind = path[host..].iter().position(|b| *b == b'/');
    behind.map_or(b"/".to_vec(), |at| path[host + at..].to_vec())
}

fn turn_backslashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|b| if *b == b'\\' { b'/' } else { *b }).collect()
}

/// As a URL is parsed once more, or a string of C ends.
fn cut_end(path: &[u8]) -> Vec<u8> {
    path.split(|b| matches!(b, b'?' | b'#' | 0)).next().unwrap_or_default().to_vec()
}

/// Letters and signs as [`fold`] has them, from bytes that may take more of them than UTF-8 allows.
pub(crate) fn fold_letters(path: &[u8]) -> Vec<u8> {
    let (mut folded, mut at) = (Vec::with_capacity(path.len()), 0);
    while at < path.len() {
        let (letter, length) = first_letter(&path[at..]);
        match letter {
            Some(letter) if !letter.is_ascii() => fold(letter, &mut folded),
            Some(ascii) => folded.push(ascii.to_ascii_lowercase() as u8),
            None => folded.extend_from_slice(&path[at..at + length]),
        }
        at += length;
    }
    folded
}

/// A letter as who ignores case sees it, by way of its upper case (`ı` is an `I`, `ß` are two `S`), then as Unicode decomposes it for
/// compatibility, such as one in full width (UAX 15). What trimming takes for blank is a space.
fn fold(letter: char, folded: &mut Vec<u8>) {
    if letter.is_whitespace() || letter == BYTE_ORDER_MARK {
        return folded.push(b' ');
    }
    for upper in letter.to_uppercase() {
        // Of two letters the second is a dot over the first, which some drop.
        let lower = upper.to_lowercase().next().unwrap_or(upper);
        decompose_compatible(lower, |part| {
            folded.extend_from_slice(part.to_ascii_lowercase().encode_utf8(&mut [0; 4]).as_bytes());
        });
    }
}

/// What the bytes begin with, and how many it takes; absent for what is no letter in any reading.
fn first_letter(bytes: &[u8]) -> (Option<char>, usize) {
    let (first, length) = match bytes[0] {
        ascii @ 0..0x80 => return (Some(char::from(ascii)), 1),
        first @ 0xc0..0xe0 => (first & 0x1f, 2),
        first @ 0xe0..0xf0 => (first & 0x0f, 3),
        first @ 0xf0..0xf8 => (first & 0x07, 4),
        _ => return (None, 1),
    };
    let Some(rest) = bytes.get(1..length).filter(|rest| rest.iter().all(|b| b & 0xc0 == 0x80)) else {
        return (None, 1);
    };
    let code = rest.iter().fold(u32::from(first), |code, b| code << 6 | u32::from(b & 0x3f));
    (char::from_u32(code), length)
}

fn drop_slash(path: &[u8]) -> &[u8] {
    match path {
        [rest @ .., b'/'] if !rest.is_empty() => rest,
        whole => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::judge;
    use super::*;
    use proptest::prelude::*;

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
        assert!(sees("//host/api", "/api") && sees("/%2fhost/api", "/api") && sees("//host", "/"));
        assert!(sees("///host/api", "/api") && sees("/////u@h:80/api", "/api") && sees("///", "/"));
        for up in ["/x/..%20/api", "/x/%20../api", "/x/%2e%2e%20/api", "/x/..%2509/api", "/x/..%C2%A0/api"] {
            assert!(sees(up, "/api"), "{up}");
        }
        for ended in ["/api%3fx", "/api%23x", "/api%2500x", "/api%255cx", "/x%255c..%255capi"] {
            assert!(sees(ended, "/api") || sees(ended, "/api/x"), "{ended}");
        }
        for folded in [
            "/%EF%BD%81pi",
            "/%EF%BC%A1PI",
            "/ａpi",
            "/ap%C0%80%EF%BD%89",
            "/x%C0%AF..%E0%80%AFapi",
            "/%F0%80%81%A1pi",
            "/api%C2%A0",
            "/api%EF%BB%BF",
            "/api%E2%80%A8",
            "/ap%C4%B1",
            "/ap%C4%B0",
        ] {
            assert!(sees(folded, "/api") || sees(folded, "/ap"), "{folded}");
        }
        assert!(sees("/cla%C3%9F", "/class") && sees("/%EF%AC%81x", "/fix"));
        assert!(!sees("/äpi", "/api") && !sees("/%E4pi", "/api"));
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        assert!(is_plain("/api/v2/cdr") && is_plain("/"));
        assert!(readings("/api/v2/cdr").unwrap().iter().all(|reading| reading == b"/api/v2/cdr"));
    }

    #[test]
    fn a_long_path_costs_few_readings_or_none() {
        for odd in ["/", "/;", "%2f", "%252f", "/.", "a;/", "a./", "%20/", "%252e;/", "a%20.;/%252f", "ﷺ", "%EF%B7%BA"]
        {
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
