//! What keeps clients on TLS: Strict-Transport-Security on what they get over it, and a redirect to it where there is none.

use http::header::{CONNECTION, LOCATION, STRICT_TRANSPORT_SECURITY};
use http::uri::Authority;
use http::{HeaderValue, Response, StatusCode, Uri, Version};
use serde_json::json;

use super::body::Body;
use super::error::{Refusal, json_response};
use super::record::Record;
use crate::config;

/// The port that `https` has where none is written.
const HTTPS: u16 = 443;

/// What browsers are told by RFC 6797, section 6.1.
#[derive(Debug)]
pub(crate) struct Hsts(HeaderValue);

impl Hsts {
    /// `None` where it is off.
    pub(super) fn new(tls: Option<&config::Tls>) -> Option<Self> {
        let age = tls?.hsts?.as_secs();
        HeaderValue::from_str(&format!("max-age={age}")).ok().map(Self)
    }

    /// Says it over TLS, instead of what an API says; nobody says it in the clear (section 7.2). What a trusted proxy passes on
    /// over its own TLS is between it and the API.
    pub(super) fn mark(&self, record: &Record, response: &mut Response<Body>) {
        if record.peer.tls {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, self.0.clone());
        } else if record.client.scheme != "https" {
            response.headers_mut().remove(STRICT_TRANSPORT_SECURITY);
        }
    }
}

/// The same host, path and query on the port that speaks TLS. 308, for 301 would let a POST become a GET (RFC 9110, section
/// 15.4.2). The connection has nothing more to give.
pub(super) fn to_https(
    port: u16,
    authority: Option<&Authority>,
    uri: &Uri,
    version: Version,
) -> Result<Response<Body>, Refusal> {
    let host = authority.ok_or(Refusal::Ambiguous("The Host header is missing"))?.host();
    let target = uri.path_and_query().map(|target| target.as_str()).filter(|target| target.starts_with('/'));
    let target = target.ok_or(Refusal::Ambiguous("The target is no path"))?;
    let place =
        if port == HTTPS { format!("https://{host}{target}") } else { format!("https://{host}:{port}{target}") };
    let place = HeaderValue::from_str(&place).map_err(|_| Refusal::Ambiguous("The path is malformed"))?;
    let said = json!({ "status": "redirect", "info": "This is served over TLS only" });
    let mut response = json_response(StatusCode::PERMANENT_REDIRECT, &said);
    response.headers_mut().insert(LOCATION, place);
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(port: u16, host: &str, uri: &str) -> Option<String> {
        let (uri, authority) = (uri.parse().unwrap(), host.parse().ok());
        let response = to_https(port, authority.as_ref(), &uri, Version::HTTP_11).ok()?;
        Some(response.headers()[LOCATION].to_str().unwrap().to_owned())
    }

    #[test]
    fn host_path_and_query_are_kept_and_the_port_is_the_one_with_tls() {
        assert_eq!(place(443, "a.b:80", "/x?y=%20").as_deref(), Some("https://a.b/x?y=%20"));
        assert_eq!(place(10022, "[::1]:8080", "/").as_deref(), Some("https://[::1]:10022/"));
        assert_eq!(place(443, "a.b", "http://a.b//evil.example").as_deref(), Some("https://a.b//evil.example"));
        assert_eq!(place(443, "", "/"), None);
        assert_eq!(place(443, "a.b", "*"), None);
    }
}
