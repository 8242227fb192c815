//! Cuts a route's prefix off the path, and gives it back in what an answer says of paths.

use http::header::{CONTENT_LOCATION, LOCATION, SET_COOKIE};
use http::uri::{Authority, Uri};
use http::{HeaderMap, HeaderValue};

/// `path` without `prefix`; starts with exactly one slash.
pub(crate) fn cut(path: &str, prefix: &str) -> String {
    format!("/{}", path.strip_prefix(prefix).unwrap_or(path).trim_start_matches('/'))
}

/// Puts `prefix` back into `Location`, `Content-Location` and the paths of cookies. `host` is what the upstream was told it is.
pub(crate) fn give_back(answer: &mut HeaderMap, prefix: &str, host: Option<&Authority>) {
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(value) = answer.get(&name).and_then(|value| prefixed(value, prefix, host)) {
            answer.insert(name, value);
        }
    }
    if let http::header::Entry::Occupied(mut cookies) = answer.entry(SET_COOKIE) {
        for cookie in cookies.iter_mut() {
            if let Some(value) =
                cookie.to_str().ok().and_then(|text| HeaderValue::from_str(&recooked(text, prefix)).ok())
            {
                *cookie = value;
            }
        }
    }
}

fn prefixed(value: &HeaderValue, prefix: &str, host: Option<&Authority>) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    if text.starts_with('/') && !text.starts_with("//") {
        return HeaderValue::from_str(&format!("{prefix}{text}")).ok();
    }
    let uri: Uri = text.parse().ok()?;
    let (authority, path) = (uri.authority()?, uri.path_and_query()?);
    if Some(authority) != host {
        return None;
    }
    let scheme = uri.scheme_str()?;
    HeaderValue::from_str(&format!("{scheme}://{authority}{prefix}{path}")).ok()
}

fn recooked(cookie: &str, prefix: &str) -> String {
    let attribute = |part: &str| match part.trim().split_once('=') {
        Some((name, path)) if name.eq_ignore_ascii_case("path") && path.starts_with('/') => {
            format!(" {name}={prefix}{}", path.trim_end_matches('/'))
        }
        _ => part.to_owned(),
    };
    let mut parts = cookie.split(';');
    let pair = parts.next().unwrap_or_default().to_owned();
    std::iter::once(pair).chain(parts.map(attribute)).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_left_starts_with_one_slash() {
        for (path, left) in [("/engine/x", "/x"), ("/engine", "/"), ("/engine/", "/"), ("/engine//x", "/x")] {
            assert_eq!(cut(path, "/engine"), left, "{path}");
        }
    }

    #[test]
    fn answers_get_the_prefix_back() {
        let given = |location: &'static str| {
            let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
            give_back(&mut headers, "/engine", Some(&Authority::from_static("a.b:1")));
            headers[LOCATION].to_str().unwrap().to_owned()
        };
        assert_eq!(given("/x?y"), "/engine/x?y");
        assert_eq!(given("https://a.b:1/x"), "https://a.b:1/engine/x");
        for untouched in ["https://other/x", "//other/x", "x/y", ""] {
            assert_eq!(given(untouched), untouched);
        }
        assert_eq!(recooked("a=/b; Path=/; HttpOnly", "/engine"), "a=/b; Path=/engine; HttpOnly");
        assert_eq!(recooked("path=/b; path=/c/", "/engine"), "path=/b; path=/engine/c");
        assert_eq!(recooked("a=b", "/engine"), "a=b");
    }

    proptest! {
        #[test]
        fn a_cut_path_starts_with_one_slash_and_loses_nothing_else(rest in "(/[a-z/]{0,12})?") {
            let cut = cut(&format!("/p{rest}"), "/p");
            prop_assert!(cut.starts_with('/') && !cut.starts_with("//"));
            prop_assert_eq!(cut.trim_start_matches('/'), rest.trim_start_matches('/'));
        }
    }
}
