//! WebSocket handshakes (RFC 6455, section 4; RFC 8441), checked on both sides; every other upgrade is forgotten.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use hyper::body::Body;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use tokio_util::sync::CancellationToken;

use super::error::Refusal;
use crate::upstream::headers::list;
use crate::upstream::websocket;

/// A client's wish to speak WebSocket, well-formed.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) downstream: OnUpgrade,
    accept: String,
    /// On a stream of HTTP/2: to be cancelled when the tunnel is over, which nobody else knows.
    pub(crate) over: Option<CancellationToken>,
}

/// Turns an extended CONNECT for WebSocket (RFC 8441, section 4) into the GET that it stands for, so that the same rules decide
/// about both. All else is left alone.
///
/// # Errors
/// [`Refusal::NotImplemented`] for another protocol; [`Refusal::Ambiguous`] for a scheme other than http and https.
pub(crate) fn unfold<B>(request: &mut Request<B>, uri: &Uri) -> Result<(), Refusal> {
    if *request.method() != Method::CONNECT {
        return Ok(());
    }
    let Some(protocol) = request.extensions().get::<Protocol>() else { return Ok(()) };
    if protocol.as_str() != "websocket" {
        return Err(Refusal::NotImplemented("Only websocket can be connected to"));
    }
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(Refusal::Ambiguous("The scheme is neither http nor https"));
    }
    *request.method_mut() = Method::GET;
    Ok(())
}

/// The handshake of a request, if it is one.
///
/// # Errors
/// [`Refusal::Ambiguous`] for a handshake with another method, version or key than the standard asks for, or with a body, which
/// would go upstream before the 101.
pub(crate) fn requested<B: Body>(request: &mut Request<Option<B>>) -> Result<Option<Handshake>, Refusal> {
    let extended = request.extensions().get::<Protocol>().is_some();
    if !extended && !asks(request) {
        return Ok(None);
    }
    if extended {
        // On HTTP/2 there is no key; the upstream gets one all the same, and must prove that it understood.
        request.headers_mut().insert(SEC_WEBSOCKET_KEY, websocket::new_key());
    }
    let headers = request.headers();
    let key = only(headers, &SEC_WEBSOCKET_KEY).filter(|key| websocket::is_key(key)).map(websocket::accept);
    let version = only(headers, &SEC_WEBSOCKET_VERSION);
    let (Some(accept), Some(b"13"), &Method::GET) = (key, version, request.method()) else {
        return Err(Refusal::Ambiguous("The WebSocket handshake is malformed"));
    };
    if request.body().as_ref().is_some_and(|body| !body.is_end_stream()) {
        return Err(Refusal::Ambiguous("A WebSocket handshake has no body"));
    }
    let over = extended.then(CancellationToken::new);
    Ok(Some(Handshake { accept, over, downstream: hyper::upgrade::on(request) }))
}

/// Whether the request asks for WebSocket by the headers of HTTP/1.1.
fn asks<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.version() == Version::HTTP_11
        && holds(headers, &CONNECTION, b"upgrade")
        && holds(headers, &UPGRADE, b"websocket")
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none()).map(HeaderValue::as_bytes)
}

/// Asks an upstream for WebSocket, after the hop-by-hop headers are gone.
pub(crate) fn ask(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

impl Handshake {
    /// Whether the upstream's 101 is the one that was asked for.
    pub(crate) fn is_granted<B>(&self, answer: &Response<B>) -> bool {
        let accept = only(answer.headers(), &SEC_WEBSOCKET_ACCEPT);
        let switches =
            holds(answer.headers(), &CONNECTION, b"upgrade") && holds(answer.headers(), &UPGRADE, b"websocket");
        switches && answer.version() == Version::HTTP_11 && accept == Some(self.accept.as_bytes())
    }

    /// Whether the client would take an upstream's refusal for consent: on HTTP/2 any 2xx is that (RFC 8441, section 5).
    pub(crate) fn is_granted_by_mistake<B>(&self, answer: &Response<B>) -> bool {
        self.over.is_some() && answer.status().is_success()
    }
}

fn holds(headers: &HeaderMap, name: &HeaderName, item: &[u8]) -> bool {
    list(headers, name).any(|member| member.eq_ignore_ascii_case(item))
}
