//! Says which rule decides about a request and what comes of it, by the functions that decide when one really comes.

use std::sync::Arc;

use http::header::HOST;
use http::uri::Authority;
use http::{Method, Request};
use serde::Serialize;

use super::authority::Last;
use super::error::Refusal;
use super::flaw::{Flaw, HELD_FRAGMENT};
use super::forward::outbound_target;
use super::routes::{Action, Forward, Names, Routes, Rule};
use super::{authority, client, credentials, query, unambiguous};
use crate::auth::Access;
use crate::config::{Balance, Config, Problems, Route};
use crate::directory::Role;
use crate::upstream::Upstream;

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// The target as a request line has it: a path, perhaps with a query.
    pub target: String,
    /// What `Host` says.
    pub host: String,
    /// Role of the session that is presented.
    pub role: Option<Role>,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// As asked.
    pub method: String,
    /// As asked, credentials blotted out.
    pub target: String,
    /// As asked.
    pub host: String,
    /// As asked.
    pub role: Option<String>,
    /// The rule that decides; for a wrong method those that take another; none where no rule is reached.
    pub rules: Vec<Decider>,
    /// Why a path is refused that other rules would decide about if it were read leniently.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misread: Option<Misread>,
    /// What comes of it.
    pub outcome: Outcome,
    /// Whether it is answered as a preflight when it carries `Origin` and `Access-Control-Request-Method`.
    pub preflight: bool,
}

/// A rule that decides.
#[derive(Clone, Debug, Serialize)]
pub struct Decider {
    /// `FILE:LINE`; absent for what the gateway answers itself.
    pub place: Option<String>,
    /// As configured.
    pub path: String,
    /// Whether it is for this one path, or for all below it too.
    pub exact: bool,
}

/// A path that a lenient reader takes for another one.
#[derive(Clone, Debug, Serialize)]
pub struct Misread {
    /// The other one, in lower case.
    pub path: String,
    /// The rules for the path as it is written.
    pub written: Vec<Decider>,
    /// The rules for the other one.
    pub read: Vec<Decider>,
}

/// What comes of a request.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Outcome {
    /// The gateway answers, and not kindly.
    Refused(Refused),
    /// A login is read.
    Login,
    /// A session ends.
    Logout,
    /// An upstream answers.
    Forwarded(Box<Forwarded>),
}

/// An answer of the gateway itself.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    /// The status code.
    pub status: u16,
    /// What the client is told.
    pub info: &'static str,
    /// What logs call it.
    pub label: &'static str,
    /// The value of `Allow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
}

/// How a request goes on.
#[derive(Clone, Debug, Serialize)]
pub struct Forwarded {
    /// The answer without a live session; absent on public routes.
    pub without_session: Option<Refused>,
    /// Roles that may pass; empty: all.
    pub roles: Vec<String>,
    /// The answer to other roles.
    pub other_roles: Option<Refused>,
    /// Clients that may pass, by certificate; empty: all.
    pub clients: Vec<String>,
    /// The answer to clients whose certificate is not listed.
    pub other_clients: Option<Refused>,
    /// Name of the upstream.
    pub upstream: String,
    /// Its servers.
    pub servers: Vec<String>,
    /// How one of them is chosen: `least` or `session`.
    pub balance: &'static str,
    /// Path and query as sent, credentials blotted out.
    pub target: String,
    /// What `Host` says to the server; absent: the server's own name.
    pub host: Option<String>,
    /// Headers that the gateway sets; what a client sends under these names never passes.
    pub sets: Vec<String>,
    /// Where the pair may stand: `header`, `query`.
    pub credentials: Vec<&'static str>,
    /// Whether the pair reaches the upstream.
    pub forward_credentials: bool,
}

/// Explains by one configuration, whose secrets, certificates and users are not looked at.
#[derive(Debug)]
pub struct Explainer {
    config: Config,
    routes: Routes,
}

impl Explainer {
    /// Builds the rules.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(config: Config) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        // Nothing is sent, so that no authority of an upstream is needed.
        let mut upstreams = config.upstreams.clone();
        upstreams.values_mut().for_each(|upstream| upstream.tls = None);
        let upstreams = Upstream::build_all(&upstreams, None, &mut problems);
        let routes = Routes::build(&config.routes, &upstreams, &mut problems);
        if problems.is_empty() { Ok(Self { config, routes }) } else { Err(problems) }
    }

    /// What happens to such a request. It is taken for one of HTTP/1.1 with a well-formed head, and over TLS for the name of its host.
    pub fn explain(&self, question: &Question) -> Explanation {
        let request = question.request();
        let decided = request.as_ref().map_err(Refused::clone).and_then(|request| Ok((request, self.decide(request)?)));
        let misread = request.as_ref().ok().filter(|_| decided.is_err()).and_then(|request| self.misread(request));
        let (rules, outcome) = match decided {
            Ok((request, rule)) => {
                let outcome = self.outcome(rule, request, question.role.as_ref());
                (vec![self.decider(rule)], outcome.unwrap_or_else(|refusal| Outcome::Refused(refusal.into())))
            }
            Err(refused) => (self.others(request.ok().as_ref(), &refused), Outcome::Refused(refused)),
        };
        Explanation {
            method: question.method.to_string(),
            target: redacted(&question.target),
            host: question.host.clone(),
            role: question.role.as_ref().map(Role::to_string),
            rules,
            misread,
            outcome,
            preflight: self.config.cors.is_some() && question.method == Method::OPTIONS,
        }
    }

    fn decide(&self, request: &Request<()>) -> Result<&Rule, Refused> {
        let authority = judged(request)?;
        let names = Names { host: authority::bare_host(authority.as_ref()), sni: None };
        Ok(self.routes.select(names, request.uri().path(), request.method())?)
    }

    fn misread(&self, request: &Request<()>) -> Option<Misread> {
        let authority = judged(request).ok()?;
        let found = self.routes.misreading(authority::bare_host(authority.as_ref()), request.uri().path())?;
        let deciders = |rules: &[Arc<Rule>]| rules.iter().map(|rule| self.decider(rule)).collect();
        let path = String::from_utf8_lossy(&found.reading).into_owned();
        Some(Misread { path, written: deciders(found.written), read: deciders(found.read) })
    }

    /// For a method that no rule takes: the rules for the others.
    fn others(&self, request: Option<&Request<()>>, refused: &Refused) -> Vec<Decider> {
        let (Some(request), Some(allow)) = (request, &refused.allow) else { return Vec::new() };
        let with_method = |method: &str| {
            let mut other = request.clone();
            *other.method_mut() = method.parse().ok()?;
            self.decide(&other).ok()
        };
        let mut rules: Vec<&Rule> = Vec::new();
        for rule in allow.split(", ").filter_map(with_method) {
            if !rules.iter().any(|known| std::ptr::eq(*known, rule)) {
                rules.push(rule);
            }
        }
        rules.into_iter().map(|rule| self.decider(rule)).collect()
    }

    fn decider(&self, rule: &Rule) -> Decider {
        let exact = self.configured(rule).is_none_or(|route| route.exact);
        Decider { place: rule.place.as_ref().map(ToString::to_string), path: rule.label.to_string(), exact }
    }

    fn configured(&self, rule: &Rule) -> Option<&Route> {
        self.config.routes.iter().find(|route| rule.place.as_ref() == Some(&route.path.place))
    }

    fn outcome(&self, rule: &Rule, request: &Request<()>, role: Option<&Role>) -> Result<Outcome, Refusal> {
        let route = match &rule.action {
            Action::Login => return Ok(Outcome::Login),
            Action::Logout => return Ok(Outcome::Logout),
            Action::Deny => return Err(Refusal::Forbidden),
            Action::Forward(route) => route,
        };
        if !role.is_none_or(|role| access(route).takes(role)) {
            return Err(Refusal::Forbidden);
        }
        let target = outbound_target(request.uri(), route)?.into_owned();
        Ok(Outcome::Forwarded(Box::new(self.forwarded(route, request, &target))))
    }

    fn forwarded(&self, route: &Forward, request: &Request<()>, target: &str) -> Forwarded {
        let (upstream, sources) = (&route.upstream, route.sources());
        let session = !route.public;
        let asked = request.headers().get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
        Forwarded {
            without_session: session.then(|| Refusal::InvalidToken.into()),
            roles: route.roles.iter().map(Role::to_string).collect(),
            other_roles: (!route.roles.is_empty()).then(|| Refusal::Forbidden.into()),
            clients: route.clients().iter().map(ToString::to_string).collect(),
            other_clients: route.knows_clients().then(|| Refusal::WrongClient.into()),
            upstream: upstream.name.to_string(),
            servers: upstream.servers().map(|server| server.label.to_string()).collect(),
            balance: if session && upstream.policy.balance == Balance::Session { "session" } else { "least" },
            target: redacted(target),
            host: asked.filter(|_| !upstream.renames_host()),
            sets: self.sets(route),
            credentials: [("header", sources.header), ("query", sources.query)]
                .into_iter()
                .filter_map(|(name, taken)| (session && taken).then_some(name))
                .collect(),
            forward_credentials: route.forward_credentials,
        }
    }

    fn sets(&self, route: &Forward) -> Vec<String> {
        let names = &self.config.identity;
        let mut sets = vec![HOST, client::X_FORWARDED_FOR, client::X_FORWARDED_PROTO, client::X_FORWARDED_HOST];
        sets.push(client::X_REQUEST_ID);
        if !route.public {
            sets.extend([&names.user, &names.domain, &names.role, &names.session].map(Clone::clone));
        }
        let asks_clients = self.config.tls.as_ref().is_some_and(|tls| tls.clients.is_some());
        if asks_clients && (!route.public || route.knows_clients()) {
            sets.push(names.client.clone());
        }
        if route.forward_credentials {
            sets.extend([credentials::X_KEY, credentials::X_ACCESS_TOKEN]);
        }
        sets.iter().map(ToString::to_string).collect()
    }
}

impl Question {
    /// The request as the parser would hand it over.
    fn request(&self) -> Result<Request<()>, Refused> {
        let mut request = Request::builder().method(&self.method).uri(&self.target).header(HOST, &self.host);
        if self.target.contains('#') {
            request = request.extension(HELD_FRAGMENT);
        }
        let no_target = |_| Refused { status: 400, info: "This is no request target", label: "not_http", allow: None };
        request.body(()).map_err(no_target)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let allow = match &refusal {
            Refusal::MethodNotAllowed(allow) => allow.to_str().ok().map(str::to_owned),
            _ => None,
        };
        Self { status: refusal.status().as_u16(), info: refusal.info(), label: refusal.label(), allow }
    }
}

fn judged(request: &Request<()>) -> Result<Option<Authority>, Refusal> {
    let flaw = request.extensions().get::<Flaw>().copied();
    unambiguous(request, request.uri(), &Last::default(), flaw.map(Refusal::from))
}

fn access(route: &Forward) -> Access<'_> {
    if route.public { Access::Public } else { Access::Session { roles: &route.roles } }
}

fn redacted(target: &str) -> String {
    match target.split_once('?') {
        Some((path, query)) => format!("{path}?{}", query::redacted(query)),
        None => target.to_owned(),
    }
}
