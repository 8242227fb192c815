//! WebSocket handshakes (RFC 6455, section 4), checked on both sides; every other upgrade is forgotten.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use hyper::body::Body;
use hyper::upgrade::OnUpgrade;

use super::error::Refusal;
use crate::upstream::headers::list;
use crate::upstream::websocket;

/// A client's wish to speak WebSocket, well-formed.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) downstream: OnUpgrade,
    accept: String,
}

/// The handshake of a request, if it is one.
///
/// # Errors
/// [`Refusal::Ambiguous`] for a handshake with another method, version or key than the standard asks for, or with a body, which
/// would go upstream before the 101.
pub(crate) fn requested<B: Body>(request: &mut Request<Option<B>>) -> Result<Option<Handshake>, Refusal> {
    let headers = request.headers();
    if request.version() != Version::HTTP_11
        || !holds(headers, &CONNECTION, b"upgrade")
        || !holds(headers, &UPGRADE, b"websocket")
    {
        return Ok(None);
    }
    let only = |name| {
        let mut lines = headers.get_all(name).iter();
        lines.next().filter(|_| lines.next().is_none()).map(HeaderValue::as_bytes)
    };
    let key = only(SEC_WEBSOCKET_KEY).filter(|key| websocket::is_key(key));
    let (Some(key), Some(b"13"), &Method::GET) = (key, only(SEC_WEBSOCKET_VERSION), request.method()) else {
        return Err(Refusal::Ambiguous("The WebSocket handshake is malformed"));
    };
    if request.body().as_ref().is_some_and(|body| !body.is_end_stream()) {
        return Err(Refusal::Ambiguous("A WebSocket handshake has no body"));
    }
    let accept = websocket::accept(key);
    Ok(Some(Handshake { accept, downstream: hyper::upgrade::on(request) }))
}

/// Asks an upstream for WebSocket, after the hop-by-hop headers are gone.
pub(crate) fn ask(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

impl Handshake {
    /// Whether the upstream's 101 is the one that was asked for.
    pub(crate) fn is_granted<B>(&self, answer: &Response<B>) -> bool {
        let accept = answer.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        let switches =
            holds(answer.headers(), &CONNECTION, b"upgrade") && holds(answer.headers(), &UPGRADE, b"websocket");
        switches && accept == Some(self.accept.as_bytes())
    }
}

fn holds(headers: &HeaderMap, name: &http::HeaderName, item: &[u8]) -> bool {
    list(headers, name).any(|member| member.eq_ignore_ascii_case(item))
}
