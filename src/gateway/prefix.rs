//! Cuts a route's prefix off the path, and makes what an answer says of places true for the client again.

use http::header::{CONTENT_LOCATION, Entry, LOCATION, SET_COOKIE};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use crate::upstream::Server;

/// `path` without `prefix`; starts with exactly one slash.
pub(crate) fn cut(path: &str, prefix: &str) -> String {
    format!("/{}", path.strip_prefix(prefix).unwrap_or(path).trim_start_matches('/'))
}

/// What differs between the places that an upstream knows and those that the client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    /// What was cut off the path; empty where nothing was.
    pub(crate) prefix: &'a str,
    /// What the client calls the gateway.
    pub(crate) authority: Option<&'a Authority>,
    /// The scheme that the client speaks.
    pub(crate) scheme: &'a str,
    /// The server that answered, where `Host` told it its own name instead of the client's.
    pub(crate) server: Option<&'a Server>,
}

impl Places<'_> {
    /// Corrects `Location`, `Content-Location` and the paths of cookies.
    pub(crate) fn give_back(&self, answer: &mut HeaderMap) {
        for name in [LOCATION, CONTENT_LOCATION] {
            if let Some(value) = answer.get(&name).and_then(|value| self.located(value.to_str().ok()?)) {
                answer.insert(name, value);
            }
        }
        if !self.prefix.is_empty()
            && let Entry::Occupied(mut cookies) = answer.entry(SET_COOKIE)
        {
            cookies.iter_mut().for_each(|cookie| recook(cookie, self.prefix));
        }
    }

    /// The reference as the client needs it; `None` where it is right already, or names somebody else.
    fn located(&self, reference: &str) -> Option<HeaderValue> {
        let prefix = self.prefix;
        if reference.starts_with('/') && !reference.starts_with("//") {
            return HeaderValue::from_str(&format!("{prefix}{reference}")).ok();
        }
        let (scheme, rest) = reference.split_once("//")?;
        let known = ["", "http:", "https:"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let (named, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let given = if !known {
            return None;
        } else if self.server.is_some_and(|server| server.is_called(named)) {
            format!("{}{prefix}{path}", self.origin(scheme))
        } else if self.authority.is_some_and(|authority| authority == named) {
            format!("{scheme}//{named}{prefix}{path}")
        } else {
            return None;
        };
        HeaderValue::from_str(if given.is_empty() { "/" } else { &given }).ok()
    }

    /// What the client calls the place where `scheme` stood before the server's name; empty where it named none (HTTP/1.0).
    fn origin(&self, scheme: &str) -> String {
        match self.authority {
            Some(authority) if scheme.is_empty() => format!("//{authority}"),
            Some(authority) => format!("{}://{authority}", self.scheme),
            None => String::new(),
        }
    }
}

/// Puts `prefix` before the path of a cookie; one with `__Host-` is only good for `/` (RFC 6265bis, section 4.1.3.2).
fn recook(cookie: &mut HeaderValue, prefix: &str) {
    let Some(text) = cookie.to_str().ok().filter(|text| !is_host_cookie(text)) else { return };
    if let Ok(recooked) = HeaderValue::from_str(&recooked(text, prefix)) {
        *cookie = recooked;
    }
}

fn is_host_cookie(cookie: &str) -> bool {
    cookie.trim_start().get(..7).is_some_and(|start| start.eq_ignore_ascii_case("__Host-"))
}

fn recooked(cookie: &str, prefix: &str) -> String {
    let attribute = |part: &str| match part.trim().split_once('=') {
        Some((name, "/")) if name.eq_ignore_ascii_case("path") => format!(" {name}={prefix}"),
        Some((name, path)) if name.eq_ignore_ascii_case("path") && path.starts_with('/') => {
            format!(" {name}={prefix}{path}")
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
    use crate::config::{Host, ServerAddress};
    use proptest::prelude::*;

    #[test]
    fn what_is_left_starts_with_one_slash() {
        for (path, left) in [("/engine/x", "/x"), ("/engine", "/"), ("/engine/", "/"), ("/engine//x", "/x")] {
            assert_eq!(cut(path, "/engine"), left, "{path}");
        }
    }

    fn given(places: Places<'_>, reference: &'static str) -> String {
        let mut headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(reference))]);
        places.give_back(&mut headers);
        headers[LOCATION].to_str().unwrap().to_owned()
    }

    fn server() -> Server {
        Server::new(0, ServerAddress::Tcp { tls: false, host: Host::Name("api".into()), port: 80 }, None)
    }

    #[test]
    fn answers_get_the_prefix_back() {
        let authority = Authority::from_static("a.b:1");
        let places = Places { prefix: "/engine", authority: Some(&authority), scheme: "https", server: None };
        for (reference, back) in [
            ("/x?y#z", "/engine/x?y#z"),
            ("https://a.b:1/x#z", "https://a.b:1/engine/x#z"),
            ("http://A.B:1", "http://A.B:1/engine"),
            ("//a.b:1?x", "//a.b:1/engine?x"),
        ] {
            assert_eq!(given(places, reference), back);
        }
        for untouched in [
            "https://other/x",
            "//other/x",
            "https://a.b:1@other/x",
            "https://a.b:1\\@o/",
            "ftp://a.b:1/x",
            "x/y",
            "",
            "?x",
        ] {
            assert_eq!(given(places, untouched), untouched);
        }
    }

    #[test]
    fn a_server_that_was_told_its_own_name_is_called_by_the_clients() {
        let (authority, server) = (Authority::from_static("a.b:1"), server());
        let places = Places { prefix: "", authority: Some(&authority), scheme: "https", server: Some(&server) };
        for (reference, back) in [
            ("http://api/x?y#z", "https://a.b:1/x?y#z"),
            ("https://API:80/x", "https://a.b:1/x"),
            ("//api/x", "//a.b:1/x"),
            ("http://api", "https://a.b:1"),
            ("/x", "/x"),
            ("http://a.b:1/x", "http://a.b:1/x"),
            ("http://api:81/x", "http://api:81/x"),
            ("http://u@api/x", "http://u@api/x"),
        ] {
            assert_eq!(given(places, reference), back);
        }
        assert_eq!(given(Places { prefix: "/p", ..places }, "http://api/x"), "https://a.b:1/p/x");
        let nameless = Places { authority: None, ..places };
        assert_eq!((given(nameless, "http://api/x"), given(nameless, "http://api")), ("/x".into(), "/".into()));
    }

    #[test]
    fn cookies_get_the_prefix_back_in_their_path() {
        let given = |cookie: &'static str| {
            let mut headers = HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static(cookie))]);
            Places { prefix: "/engine", authority: None, scheme: "https", server: None }.give_back(&mut headers);
            headers[SET_COOKIE].to_str().unwrap().to_owned()
        };
        assert_eq!(given("a=/b; Path=/; HttpOnly"), "a=/b; Path=/engine; HttpOnly");
        assert_eq!(given("path=/b; path=/c/"), "path=/b; path=/engine/c/");
        for untouched in ["a=b", "a=b; Path=c", "__Host-a=b; Secure; Path=/"] {
            assert_eq!(given(untouched), untouched);
        }
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
