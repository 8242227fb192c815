//! Sends an admitted request on and its answer back: headers rewritten, bodies streamed.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, REFERER};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;

use super::body::Body;
use super::credentials::{Presented, X_ACCESS_TOKEN, X_KEY};
use super::error::Refusal;
use super::prefix::{self, Places};
use super::record::Record;
use super::routes::Forward;
use super::upgrade::{self, Handshake};
use super::{Worker, client, cors, framing, query};
use crate::auth::Admission;
use crate::upstream::headers::{announced_trailers, strip_hop_by_hop, strip_hop_by_hop_of_answer};
use crate::upstream::{Answered, BodyBounds, Progress, RequestBody, Server, TrailerRule};

/// A request that may go on, and everything that decides how.
pub(crate) struct Going<'a> {
    pub(crate) record: &'a Rc<Record>,
    pub(crate) route: &'a Arc<Forward>,
    pub(crate) admission: Admission,
    /// The pair, for upstreams that want it themselves.
    pub(crate) presented: Option<Presented>,
    /// What the client calls this gateway.
    pub(crate) authority: Option<Authority>,
}

impl Worker {
    /// Forwards and answers; whatever fails is a [`Refusal`].
    pub(crate) async fn forward(
        &self,
        going: Going<'_>,
        request: &mut Request<Option<Incoming>>,
    ) -> Result<Response<Body>, Refusal> {
        self.check_expectations(request.headers())?;
        let handshake = upgrade::requested(request)?;
        let mut outbound = self.outbound(&going, request, handshake.is_some())?;
        let began = Instant::now();
        let sent = going.route.upstream.send(&going.admission, &mut outbound, &self.pools).await;
        match sent {
            Ok(answered) => {
                going.record.served(Some(answered.server()), began);
                self.answer_of(answered, handshake, going)
            }
            Err(failed) => {
                going.record.served(failed.server.as_ref(), began);
                Err(failed.fault.into())
            }
        }
    }

    /// The request as the upstream gets it.
    fn outbound(
        &self,
        going: &Going<'_>,
        request: &mut Request<Option<Incoming>>,
        switches: bool,
    ) -> Result<Request<RequestBody>, Refusal> {
        let uri = outbound_uri(request.uri(), going.route)?;
        let (mut head, incoming) = std::mem::take(request).into_parts();
        head.uri = uri;
        head.version = Version::HTTP_11;
        head.extensions.clear();
        let body = self.request_body(going, &head.headers, incoming);
        going.rewrite(&mut head.headers);
        if switches {
            upgrade::ask(&mut head.headers);
        }
        Ok(Request::from_parts(head, body))
    }

    fn check_expectations(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let unknown = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        if headers.get_all(EXPECT).iter().any(unknown) {
            return Err(Refusal::UnknownExpectation);
        }
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match (announced, self.gateway.limits.body_bytes) {
            (Some(announced), Some(most)) if announced > most => Err(Refusal::BodyTooLarge),
            _ => Ok(()),
        }
    }

    fn request_body(&self, going: &Going<'_>, headers: &HeaderMap, incoming: Option<Incoming>) -> RequestBody {
        let Some(incoming) = incoming.filter(|incoming| !incoming.is_end_stream()) else { return RequestBody::EMPTY };
        let progress = Progress::of(incoming);
        going.record.streams(&progress);
        let limits = &self.gateway.limits;
        let bounds = BodyBounds { bytes: limits.body_bytes, idle: limits.body_idle_timeout };
        RequestBody::streaming(progress, bounds, going.trailers(headers))
    }

    fn answer_of(
        &self,
        answered: Answered,
        handshake: Option<Handshake>,
        going: Going<'_>,
    ) -> Result<Response<Body>, Refusal> {
        match handshake {
            Some(handshake) if answered.switches_protocols() => self.tunnel(answered, handshake, going),
            Some(handshake) if handshake.is_granted_by_mistake(&answered.response) => Err(Refusal::BadSwitch),
            _ if answered.switches_protocols() => Err(Refusal::BadSwitch),
            _ if !framing::is_plain(answered.response.headers()) => Err(Refusal::BrokenAnswer),
            _ => {
                let trailers = going.trailers(answered.response.headers());
                let server = answered.server().clone();
                let (mut head, body) = answered.into_parts(trailers);
                strip_hop_by_hop_of_answer(&mut head.headers);
                head.version = Version::HTTP_11;
                going.give_back(&mut head.headers, &server);
                let body = Body::upstream(body, going.admission);
                Ok(Response::from_parts(head, body))
            }
        }
    }
}

impl Going<'_> {
    /// Strip, then inject: what a client sent under a reserved name never reaches an upstream.
    fn rewrite(&self, headers: &mut HeaderMap) {
        let rules = &self.record.rules;
        strip_hop_by_hop(headers);
        rules.reserved.strip(headers);
        join_cookies(headers);
        redact_referer(headers);
        let client = &self.record.client;
        let address = match client.proxies.is_empty() {
            true => self.record.peer.address_value(),
            false => client.forwarded_for(rules.forwarded),
        };
        headers.insert(client::X_FORWARDED_FOR, address);
        headers.insert(client::X_FORWARDED_PROTO, HeaderValue::from_static(client.scheme));
        headers.insert(client::X_REQUEST_ID, self.record.request_id.clone());
        set_host(headers, self);
        if let Some(session) = self.admission.session() {
            rules.identity.introduce(session, headers);
        }
        if let Some(client) = self.introduced_client() {
            rules.identity.introduce_client(client, headers);
        }
        if let Some(presented) = self.presented.as_ref().filter(|_| self.route.forward_credentials) {
            headers.insert(X_KEY, presented.key_text.clone());
            headers.insert(X_ACCESS_TOKEN, presented.token.clone());
        }
    }

    /// Makes what an answer says of places true for the client, where the upstream was told otherwise, and leaves cross-origin
    /// permissions to the gateway, where it gives them.
    pub(crate) fn give_back(&self, answer: &mut HeaderMap, server: &Server) {
        if self.record.rules.cors.is_some() {
            cors::strip(answer);
        }
        let Forward { strip_prefix, ref path, ref upstream, .. } = **self.route;
        if strip_prefix || upstream.renames_host() {
            let prefix = if strip_prefix { path } else { "" };
            let server = upstream.renames_host().then_some(server);
            let (authority, scheme) = (self.authority.as_ref(), self.record.client.scheme);
            Places { prefix, authority, scheme, server }.give_back(answer);
        }
    }

    /// The client's name, where somebody was asked for: on public routes nobody was, unless they name clients.
    fn introduced_client(&self) -> Option<&str> {
        let asked = self.admission.session().is_some() || self.route.knows_clients();
        self.record.peer.client.as_deref().filter(|_| asked)
    }

    fn trailers(&self, headers: &HeaderMap) -> TrailerRule {
        TrailerRule { announced: announced_trailers(headers), reserved: self.record.rules.reserved.clone() }
    }
}

/// The path that was judged and, where the route cuts or the query held credentials, what is left of it.
pub(crate) fn outbound_uri(uri: &Uri, route: &Forward) -> Result<Uri, Refusal> {
    let path = route.strip_prefix.then(|| prefix::cut(uri.path(), &route.path));
    let cleaned = uri
        .query()
        .filter(|query| route.query_credentials && !route.forward_credentials && query::holds_credentials(query));
    if path.is_none() && cleaned.is_none() {
        let whole = uri.path_and_query().cloned();
        return Ok(Uri::from(whole.unwrap_or_else(|| PathAndQuery::from_static("/"))));
    }
    let path = path.as_deref().unwrap_or(uri.path());
    let query = match cleaned {
        Some(query) => query::without_credentials(query),
        None => uri.query().map(str::to_owned),
    };
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    PathAndQuery::try_from(target).map(Uri::from).map_err(|_| Refusal::Ambiguous("The path is malformed"))
}

/// What the client said; a client of HTTP/1.0 may have said nothing. Where the upstream wants its own name, sending sets that of
/// the server that is chosen then.
fn set_host(headers: &mut HeaderMap, going: &Going<'_>) {
    let authority = going.authority.as_ref().map(Authority::as_str);
    let sent = headers.get(HOST).filter(|host| Some(host.as_bytes()) == authority.map(str::as_bytes)).cloned();
    let is_sent = sent.is_some();
    let told = sent.or_else(|| HeaderValue::from_str(authority?).ok());
    if let Some(told) = &told {
        headers.insert(client::X_FORWARDED_HOST, told.clone());
    }
    if !is_sent {
        let host = told.or(going.route.upstream.server_host());
        headers.insert(HOST, host.unwrap_or(HeaderValue::from_static("localhost")));
    }
}

/// HTTP/2 may send cookies one by one (RFC 9113, section 8.2.3); an HTTP/1.1 upstream expects one line.
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// A page that was opened with credentials in its address sends them on as `Referer`; they stop here.
fn redact_referer(headers: &mut HeaderMap) {
    let Some(referer) = headers.get(REFERER) else { return };
    let repeated = headers.get_all(REFERER).iter().count() > 1;
    let Some(text) = referer.to_str().ok().filter(|_| !repeated) else {
        headers.remove(REFERER);
        return;
    };
    let Some((page, query)) = text.split_once('?').filter(|(_, query)| query::holds_credentials(query)) else {
        return;
    };
    let kept = query::without_credentials(query);
    let redacted = kept.map_or_else(|| page.to_owned(), |kept| format!("{page}?{kept}"));
    if let Ok(redacted) = HeaderValue::from_str(&redacted) {
        headers.insert(REFERER, redacted);
    }
}
