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
mod forward;
mod forwarded;
mod framing;
mod identity;
mod login;
mod metrics;
mod peer;
mod prefix;
mod record;
mod routes;
mod rules;
mod secure;
mod target;
mod term;
mod tunnel;
mod upgrade;
mod worker;

use std::rc::Rc;

use http::header::ORIGIN;
use http::uri::Authority;
use http::{Method, Request, Response};
use hyper::body::Incoming;

pub use body::Body;
pub use build::Gateway;
use error::Refusal;
use forward::Going;
pub use peer::{Peer, Seat};
use record::Record;
use routes::{Action, Names, Selection};
pub use rules::Rules;
pub use term::Term;
pub use worker::Worker;

impl Worker {
    /// Answers one request, and leaves one access line when the last byte of the answer is gone.
    pub async fn handle(self: Rc<Self>, peer: Rc<Peer>, request: Request<Incoming>) -> Response<Body> {
        let record = Record::begin(&self, peer, &request);
        let origin = request.headers().get(ORIGIN).cloned();
        let is_head = *request.method() == Method::HEAD;
        let mut request = request.map(Some);
        let mut response = self.answer(&record, &mut request).await.unwrap_or_else(|refusal| {
            record.refused(&refusal);
            refusal.into_response()
        });
        if let Some(cors) = &record.rules.cors {
            cors.mark(response.headers_mut(), origin.as_ref());
        }
        if let Some(hsts) = &record.rules.hsts {
            hsts.mark(&record, &mut response);
        }
        response.headers_mut().insert(client::X_REQUEST_ID, record.request_id.clone());
        record.answered(response.status());
        if is_head {
            error::cut_content(&mut response);
        }
        response.map(|body| body.recorded(record).before(request))
    }

    /// Takes the body out of the request where somebody wants to read it.
    async fn answer(
        &self,
        record: &Rc<Record>,
        request: &mut Request<Option<Incoming>>,
    ) -> Result<Response<Body>, Refusal> {
        let (gateway, rules) = (&*self.gateway, &*record.rules);
        upgrade::unfold(request)?;
        let authority = unambiguous(record, request)?;
        if let Some(port) = record.peer.redirects_to {
            return secure::to_https(port, authority.as_ref(), request);
        }
        if let Some(preflight) = rules.cors.as_ref().and_then(|cors| cors.preflight(request)) {
            return Ok(preflight);
        }
        match rules.rule(record, authority.as_ref(), request)? {
            Action::Login => gateway.login(record, request).await,
            Action::Logout => gateway.logout(record, request.headers()),
            Action::Deny => Err(Refusal::Forbidden),
            Action::Forward(route) => {
                let (admission, presented) = gateway.admit(record, route, request)?;
                self.forward(Going { record, route, admission, presented, authority }, request).await
            }
        }
    }
}

/// The host a request is for, if the request means one thing only.
fn unambiguous<B>(record: &Record, request: &Request<B>) -> Result<Option<Authority>, Refusal> {
    let held_fragment = record.peer.take_fragment();
    if let Some(doubt) = record.client.doubt {
        return Err(Refusal::Ambiguous(doubt));
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Refusal::NotImplemented("Method not implemented"));
    }
    framing::judge(request.headers())?;
    let authority = authority::judge(request.version(), request.uri(), request.headers())?;
    if held_fragment {
        return Err(Refusal::Ambiguous("The target holds a fragment"));
    }
    if request.uri().path() == "*" && *request.method() == Method::OPTIONS {
        return Ok(authority);
    }
    target::judge(request.uri().path()).map_err(|unjudgeable| Refusal::Ambiguous(unjudgeable.0))?;
    Ok(authority)
}

impl Rules {
    /// The rule that decides about a request whose path was judged.
    fn rule<B>(
        &self,
        record: &Record,
        authority: Option<&Authority>,
        request: &Request<B>,
    ) -> Result<&Action, Refusal> {
        let names = Names { host: authority::bare_host(authority), sni: record.peer.sni.as_deref() };
        match self.routes.select(names, request.uri().path(), request.method()) {
            Selection::Rule(rule) => {
                record.routed(&rule.label);
                Ok(&rule.action)
            }
            Selection::WrongMethod(allow) => Err(Refusal::MethodNotAllowed(allow.clone())),
            Selection::Nothing => Err(Refusal::NoRoute),
            Selection::Ambiguous(why) => Err(Refusal::Ambiguous(why)),
            Selection::Misdirected => Err(Refusal::Misdirected),
        }
    }
}
