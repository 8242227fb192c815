//! Texts that are names in HTTP: header names, methods, roles, and the header names that are already taken.

use http::{HeaderName, Method};

use super::findings::Wrong;
use super::suggest;
use super::value::quoted;
use crate::directory::Role;

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// Names that mean something else already, in credentials, in framing or in hop-by-hop rules (RFC 9110, section 7.6.1).
const TAKEN: [&str; 30] = [
    "x-key",
    "x-access-token",
    "authorization",
    "cookie",
    "set-cookie",
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-real-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "proxy",
    "x-request-id",
];

/// A header's name.
pub(super) fn header(text: &str) -> Result<HeaderName, Wrong> {
    let fix = "use letters, digits and dashes, such as \"X-Webitel-User\"";
    HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| Wrong::new(format!("{} is not a header name", quoted(text)), fix))
}

/// The name of a header that tells an upstream who is asking; none that means something else.
pub(super) fn identity_header(text: &str) -> Result<HeaderName, Wrong> {
    let name = header(text)?;
    if TAKEN.contains(&folded(&name).as_str()) {
        let fix = "choose another name, such as \"X-Webitel-User\"";
        return Err(Wrong::new(format!("{} means something else already", quoted(text)), fix));
    }
    Ok(name)
}

/// A header's name as upstreams may read it: CGI and its heirs make `-`, `_` and `.` one.
pub(super) fn folded(name: &HeaderName) -> String {
    name.as_str().replace(['_', '.'], "-")
}

/// The known method that somebody meant who wrote another one.
pub fn meant_method(text: &str) -> Option<&'static str> {
    if METHODS.contains(&text) { None } else { suggest::nearest(text, METHODS) }
}

/// A method that can pass, in capitals. Any token is one; what is nearly a known one is a slip.
pub(super) fn method(text: &str) -> Result<Method, Wrong> {
    if ["CONNECT", "TRACE"].contains(&text) {
        let fix = "remove it; a WebSocket that is opened by CONNECT counts as GET";
        return Err(Wrong::new(format!("{text} is answered 501 on every path"), fix));
    }
    if METHODS.contains(&text) {
        return Method::from_bytes(text.as_bytes()).map_err(|_| not_method(text));
    }
    if meant_method(text).is_some() || text.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(not_method(text));
    }
    Method::from_bytes(text.as_bytes()).map_err(|_| not_method(text))
}

/// A role's name.
pub(super) fn role(text: &str) -> Result<Role, Wrong> {
    Role::written(text).map_err(|(what, fix)| Wrong::new(what, fix))
}

fn not_method(text: &str) -> Wrong {
    let fix = suggest::fix(text, METHODS, "write methods in capitals, such as \"GET\"".into());
    Wrong::new(format!("{} is not a method", quoted(text)), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_in_capitals_and_slips_are_seen() {
        assert_eq!(method("GET"), Ok(Method::GET));
        assert_eq!(method("PROPFIND").unwrap().as_str(), "PROPFIND");
        for (slip, fix) in [("get", "GET"), ("GTE", "GET"), ("DELTE", "DELETE"), ("Post", "POST")] {
            assert_eq!(method(slip).unwrap_err().fix, format!("did you mean \"{fix}\"?"));
        }
        assert!(["CONNECT", "TRACE"].iter().all(|never| method(never).unwrap_err().what.contains("501")));
        assert_eq!((meant_method("get"), meant_method("GET"), meant_method("PURGE")), (Some("GET"), None, None));
        assert!(method("G T").is_err() && method("*").is_ok() && method("purge").is_err());
    }

    #[test]
    fn a_role_in_another_case_is_a_slip() {
        assert_eq!(role("night-shift").unwrap().name(), "night-shift");
        assert_eq!(role("Root").unwrap_err().fix, "did you mean \"root\"?");
    }

    #[test]
    fn identity_headers_take_no_name_that_is_taken() {
        assert_eq!(identity_header("X-Forwarded-User").unwrap(), "x-forwarded-user");
        for taken in
            ["X-Key", "x_access_token", "X.Key", "Connection", "Host", "content-TYPE", "Cookie", "X-Request-Id"]
        {
            assert!(identity_header(taken).is_err(), "{taken}");
        }
        assert!(header("X Key").is_err() && header("Ä").is_err());
    }
}
