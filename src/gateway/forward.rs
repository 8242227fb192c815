//! Sends an admitted request on and its answer back, bodies streamed.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, EXPECT};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};

use super::body::Body;
use super::credentials::Presented;
use super::error::Refusal;
use super::prefix::{self, Places};
use super::record::Record;
use super::routes::Forward;
use super::upgrade::{self, Handshake};
use super::{Worker, cors, query};
use crate::auth::Admission;
use crate::upstream::headers::{announced_trailers, strip_hop_by_hop};
use crate::upstream::{Answered, BodyBounds, Outbound, Progress, RequestBody, TrailerRule};

/// A request that may go on, and everything that decides how.
pub(crate) struct Going<'a> {
    pub(crate) record: &'a Rc<Record>,
    pub(crate) route: &'a Arc<Forward>,
    pub(crate) admission: Admission,
    /// The pair, for upstreams that want it themselves; boxed, for few do.
    pub(crate) presented: Option<Box<Presented<'static>>>,
    /// What the client calls this gateway.
    pub(crate) authority: Option<Authority>,
}

impl Worker {
    /// Forwards and answers; whatever fails is a [`Refusal`].
    pub(crate) async fn forward(
        &self,
        going: &Going<'_>,
        request: &mut Request<Option<Incoming>>,
    ) -> Result<Response<Body>, Refusal> {
        self.check_expectations(request.headers())?;
        let handshake = upgrade::requested(request)?;
        let mut outbound = self.outbound(going, request, handshake.is_some())?;
        going.let_go(request.headers_mut());
        let sent = going.route.upstream.send(&going.admission, &mut outbound, &self.pools).await;
        match sent {
            Ok(answered) => {
                going.record.served(Some(answered.server()), outbound.began);
                self.answer_of(answered, handshake, going)
            }
            Err(failed) => {
                going.record.served(failed.server.as_ref(), outbound.began);
                Err(failed.fault.into())
            }
        }
    }

    /// The request as the upstream gets it; its body is taken, the rest stays what the client said.
    fn outbound(
        &self,
        going: &Going<'_>,
        request: &mut Request<Option<Incoming>>,
        switches: bool,
    ) -> Result<Outbound, Refusal> {
        let incoming = request.body_mut().take();
        let target = outbound_target(&going.record.uri, going.route)?;
        let mut outbound = Outbound::new(request.method().clone(), &target);
        going.tell(request.headers(), switches, &mut outbound);
        let body = self.request_body(going, request.headers(), incoming);
        outbound.carry(body);
        Ok(outbound)
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
        going: &Going<'_>,
    ) -> Result<Response<Body>, Refusal> {
        match handshake {
            Some(handshake) if answered.switches_protocols() => self.tunnel(answered, handshake, going),
            Some(handshake) if handshake.is_granted_by_mistake(&answered.response) => Err(Refusal::BadSwitch),
            _ if answered.switches_protocols() => Err(Refusal::BadSwitch),
            _ => {
                let trailers = answered.may_end_in_trailers().then(|| going.trailers(answered.response.headers()));
                let (mut head, body) = answered.into_parts(trailers);
                strip_hop_by_hop(&mut head.headers);
                head.version = Version::HTTP_11;
                if head.status == StatusCode::NO_CONTENT {
                    // RFC 9110, section 8.6: not to be sent.
                    head.headers.remove(CONTENT_LENGTH);
                }
                going.give_back(&mut head.headers);
                let body = Body::upstream(body, going.admission.clone());
                Ok(Response::from_parts(head, body))
            }
        }
    }
}

impl Going<'_> {
    /// Lets go of what the client said, unless somebody looks at it when the answer is there: now it is in the cache, and then no more.
    fn let_go(&self, headers: &mut HeaderMap) {
        if self.record.rules.cors.is_none() {
            drop(std::mem::take(headers));
        }
    }

    /// Makes what an answer says of places true for the client, where the upstream was told otherwise, and leaves cross-origin
    /// permissions to the gateway, where it gives them.
    pub(crate) fn give_back(&self, answer: &mut HeaderMap) {
        if self.record.rules.cors.is_some() {
            cors::strip(answer);
        }
        let Forward { strip_prefix, ref path, ref upstream, .. } = **self.route;
        if strip_prefix || upstream.renames_host() {
            let prefix = if strip_prefix { path } else { "" };
            let server = self.record.server().filter(|_| upstream.renames_host());
            let (authority, scheme) = (self.authority.as_ref(), self.record.client.scheme);
            Places { prefix, authority, scheme, server }.give_back(answer);
        }
    }

    fn trailers(&self, headers: &HeaderMap) -> TrailerRule {
        TrailerRule { announced: announced_trailers(headers), reserved: self.record.rules.reserved.clone() }
    }
}

/// The path that was judged and, where the route cuts or the query held credentials, what is left of it.
pub(crate) fn outbound_target<'a>(uri: &'a Uri, route: &Forward) -> Result<Cow<'a, str>, Refusal> {
    let path = route.strip_prefix.then(|| prefix::cut(uri.path(), &route.path));
    let cleaned = uri
        .query()
        .filter(|query| route.query_credentials && !route.forward_credentials && query::holds_credentials(query));
    if path.is_none() && cleaned.is_none() {
        return Ok(Cow::Borrowed(uri.path_and_query().map_or("/", PathAndQuery::as_str)));
    }
    let path = path.as_deref().unwrap_or(uri.path());
    let query = match cleaned {
        Some(query) => query::without_credentials(query),
        None => uri.query().map(str::to_owned),
    };
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let judged = PathAndQuery::try_from(target).map_err(|_| Refusal::Ambiguous("The path is malformed"))?;
    Ok(Cow::Owned(judged.as_str().to_owned()))
}
