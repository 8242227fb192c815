//! The path of a route: only what can be compared with a request's path in one way.

use super::findings::Wrong;
use super::value::quoted;

/// A path that a route can stand for.
pub(super) fn route_path(text: &str) -> Result<String, Wrong> {
    let wrong = |why: &str, fix: &str| Err(Wrong::new(format!("{} {why}", quoted(text)), fix));
    let Some(inner) = text.strip_prefix('/') else {
        return wrong("does not start with /", "write the whole path, such as \"/engine\"");
    };
    if let Some(shorter) = inner.strip_suffix('/') {
        let fix = format!("write \"/{}\"; it stands for everything below it too", shorter.trim_end_matches('/'));
        return wrong("ends with /", &fix);
    }
    if text.contains("//") {
        return wrong("holds //", "write one / between segments");
    }
    if inner.split('/').any(|segment| segment == "." || segment == "..") {
        return wrong("holds a . or .. segment", "write the path that is meant");
    }
    if text.contains('*') {
        return wrong("holds *", "leave it out; a path stands for everything below it");
    }
    if text.contains(['?', '#', ';']) {
        return wrong("holds ?, # or ;", "write the path alone");
    }
    match unclear_escape(text) {
        Some(why) => wrong(why, "write the character itself, or choose another path"),
        None if text.bytes().all(is_path_byte) => Ok(text.to_owned()),
        None => wrong("holds a character that no path has", "use ASCII, and escapes such as %20 for the rest"),
    }
}

/// Escapes that a decoding upstream would read as another path than the one that is written.
fn unclear_escape(text: &str) -> Option<&'static str> {
    for piece in text.split('%').skip(1) {
        let Some(byte) = piece.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())) else {
            return Some("holds a % without two hexadecimal digits");
        };
        match u8::from_str_radix(byte, 16).unwrap_or(0) {
            b'/' | b'\\' => return Some("holds an escaped slash"),
            0..0x20 | 0x7f => return Some("holds an escaped control character"),
            b'%' => return Some("holds an escaped %"),
            byte if is_unreserved(byte) => return Some("escapes a character that needs no escape"),
            _ => {}
        }
    }
    None
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986, section 3.3.
fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte) || b"/%!$&'()+,=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_kept_as_they_are() {
        for good in ["/", "/engine", "/api/v2/cdr", "/a%20b", "/~me/x.y", "/a.b/..c", "/%C3%A4"] {
            assert_eq!(route_path(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        let bad = [
            "engine", "//", "/a/", "/a//b", "/./a", "/a/..", "/a?b", "/a#b", "/a;b", "/a/*", "/a b", "/ä", "/a\\b",
            "/%2fa", "/%5C", "/%00", "/%2e%2e", "/%41", "/%25", "/%", "/%4", "/%zz", "/%ä", "/\u{7f}",
        ];
        for bad in bad {
            assert!(route_path(bad).is_err(), "{bad}");
        }
    }
}
