//! What happens to a request, in order. [`Worker::handle`] is the whole story; each step is one file beside this one.

mod admit;
mod audit;
mod authority;
mod body;
mod build;
mod client;
mod cors;
mod credentials;
mod error;
mod explain;
mod fields;
mod flaw;
mod forward;
mod forwarded;
mod framing;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod identity;
mod login;
mod login_body;
mod metrics;
mod peer;
mod peers;
mod prefix;
mod query;
mod readings;
mod record;
mod request_id;
mod rewrite;
mod routes;
mod rules;
mod secure;
mod table;
mod target;
mod term;
mod tunnel;
mod upgrade;
mod worker;

use std::rc::Rc;

use http::header::ORIGIN;
use http::uri::Authority;
use http::{Method, Request, Response, Uri, Version};
use hyper::body::Incoming;

pub use body::Body;
pub use build::Gateway;
use error::Refusal;
pub use explain::{Decider, Explainer, Explanation, Forwarded, Misread, Outcome, Question, Refused};
pub(crate) use flaw::{Flaw, HELD_FRAGMENT, STAND_IN};
use forward::Going;
pub use peer::{Peer, Seat};
pub(crate) use peers::{Peers, TooMany};
use record::Record;
use routes::{Action, Names};
pub use rules::Rules;
pub use term::Term;
pub use worker::Worker;

impl Worker {
    /// Answers one request, and leaves one access line when the last byte of the answer is gone. Takes the body out where somebody
    /// wants to read it.
    pub async fn handle(self: Rc<Self>, peer: Rc<Peer>, request: &mut Request<Option<Incoming>>) -> Response<Body> {
        let record = Record::begin(&self, peer, request);
        let is_head = *request.method() == Method::HEAD;
        let mut response = self.answer(&record, request).await.unwrap_or_else(|refusal| record.refuse(refusal));
        if let Some(cors) = &record.rules.cors {
            cors.mark(response.headers_mut(), request.headers().get(ORIGIN));
        }
        if let Some(hsts) = &record.rules.hsts {
            hsts.mark(&record, &mut response);
        }
        response.headers_mut().insert(client::X_REQUEST_ID, record.request_id.to_header());
        record.answered(response.status());
        if is_head {
            error::cut_content(&mut response);
        }
        response.body_mut().record(record, request);
        response
    }

    async fn answer(
        &self,
        record: &Rc<Record>,
        request: &mut Request<Option<Incoming>>,
    ) -> Result<Response<Body>, Refusal> {
        let (gateway, rules) = (&*self.gateway, &*record.rules);
        let doubt = record.doubt();
        upgrade::unfold(request, &record.uri)?;
        let authority = unambiguous(request, &record.uri, &record.peer.named, doubt)?;
        if let Some(port) = record.peer.redirects_to {
            return secure::to_https(port, authority.as_ref(), &record.uri, request.version());
        }
        if let Some(preflight) = rules.cors.as_ref().and_then(|cors| cors.preflight(request)) {
            return Ok(preflight);
        }
        let names = Names { host: authority::bare_host(authority.as_ref()), sni: record.peer.sni.as_deref() };
        let rule = rules.routes.select(names, record.uri.path(), request.method())?;
        record.routed(rule.number);
        match &rule.action {
            // Boxed, so that the future of every other request needs no room for it.
            Action::Login => Box::pin(gateway.login(record, request)).await,
            Action::Logout => gateway.logout(record, request.headers()),
            Action::Deny => Err(Refusal::Forbidden),
            Action::Forward(route) => {
                let (admission, presented) = gateway.admit(record, route, request)?;
                let wanted = presented.filter(|_| route.forward_credentials);
                let presented = wanted.map(|presented| Box::new(presented.into_owned()));
                self.forward(&Going { record, route, admission, presented, authority }, request).await
            }
        }
    }
}

/// The host a request is for, if the request means one thing only.
fn unambiguous<B>(
    request: &Request<B>,
    uri: &Uri,
    named: &authority::Last,
    doubt: Option<Refusal>,
) -> Result<Option<Authority>, Refusal> {
    doubt.map_or(Ok(()), Err)?;
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Refusal::NotImplemented("Method not implemented"));
    }
    framing::judge(request.headers())?;
    if request.version() == Version::HTTP_2 {
        fields::judge(request.headers())?;
    }
    let authority = authority::judge(request.version(), uri, request.headers(), named)?;
    if uri.path() == "*" && *request.method() == Method::OPTIONS {
        return Ok(authority);
    }
    target::judge(target::path_of(uri)).map_err(|unjudgeable| Refusal::Ambiguous(unjudgeable.0))?;
    Ok(authority)
}
