//! What one request did, gathered as it goes and written as one access line when the last part of it is gone.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::Arc;

use compact_str::CompactString;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Response, StatusCode, Uri, Version};
use hyper::Request;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::client::Client;
use super::error::Refusal;
use super::request_id::RequestId;
use super::{Body, Peer, Rules, Worker, flaw, query};
use crate::telemetry::access_line::Line;
use crate::upstream::{Ending, Passed, Progress, Server};

/// One request, from its head to the last byte of its answer.
pub(crate) struct Record {
    worker: Rc<Worker>,
    /// Those in force when it began.
    pub(crate) rules: Rc<Rules>,
    pub(crate) peer: Rc<Peer>,
    pub(crate) client: Client,
    pub(crate) request_id: RequestId,
    pub(crate) started: Instant,
    method: Method,
    /// What it asks for. The request itself says `*` from here on, for which there is no rule.
    pub(crate) uri: Uri,
    version: Version,
    /// The number of the rule that decided.
    route: Cell<Option<usize>>,
    user: OnceCell<CompactString>,
    server: OnceCell<Arc<Server>>,
    progress: OnceCell<Rc<Progress>>,
    refusal: OnceCell<&'static str>,
    status: Cell<u16>,
    sent: Cell<u64>,
    received: Cell<u64>,
    waited_micros: Cell<u64>,
    broken: Cell<bool>,
    cut: Cell<bool>,
}

impl Record {
    /// Begins at the head of a request, whose target is taken out: to copy it is cheap on HTTP/1.1 only.
    pub(crate) fn begin<B>(worker: &Rc<Worker>, peer: Rc<Peer>, request: &mut Request<B>) -> Rc<Self> {
        let rules = worker.rules();
        worker.meter.counters().begun.add(1);
        let mut client = Client::of(&peer, request.headers(), &rules.trusted_proxies);
        Rc::new(Self {
            request_id: client.request_id.take().map_or_else(|| worker.next_id(), RequestId::Told),
            client,
            worker: worker.clone(),
            rules,
            peer,
            started: Instant::now(),
            method: request.method().clone(),
            uri: std::mem::replace(request.uri_mut(), Uri::from_static("*")),
            version: request.version(),
            route: Cell::new(None),
            user: OnceCell::new(),
            server: OnceCell::new(),
            progress: OnceCell::new(),
            refusal: OnceCell::new(),
            status: Cell::new(0),
            sent: Cell::new(0),
            received: Cell::new(0),
            waited_micros: Cell::new(0),
            broken: Cell::new(false),
            cut: Cell::new(false),
        })
    }

    /// What the socket side found wrong, or what proxies in front leave in doubt.
    pub(crate) fn doubt(&self) -> Option<Refusal> {
        let flaw = self.peer.flaw.get().filter(|_| flaw::is_stand_in(&self.method, &self.uri));
        flaw.copied().map(Refusal::from).or_else(|| self.client.doubt.map(Refusal::Ambiguous))
    }

    /// The number of the rule that decides.
    pub(crate) fn routed(&self, rule: usize) {
        self.route.set(Some(rule));
    }

    /// Who is asking, by canonical name: whose session let it through, or who logs in. Copied, for the session is out of the cache when
    /// the line is written.
    pub(crate) fn asked_by(&self, user: &str) {
        let _first = self.user.set(user.into());
    }

    /// What became of a login: `ok`, or why not.
    pub(crate) fn login_ended(&self, result: &'static str) {
        self.worker.meter.counters().logins.add(result);
    }

    /// A body that will stream.
    pub(crate) fn streams(&self, progress: &Rc<Progress>) {
        let _first = self.progress.set(progress.clone());
    }

    /// What is left of a body that streams.
    pub(crate) fn take_back(&self) -> Option<Incoming> {
        self.progress.get().and_then(|progress| progress.take_back())
    }

    /// Which server answered or failed, and how long that took.
    pub(crate) fn served(&self, server: Option<&Arc<Server>>, since: Instant) {
        if let Some(server) = server {
            let _first = self.server.set(server.clone());
        }
        self.waited_micros.set(u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX));
    }

    /// The server that answered or failed.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.server.get().map(AsRef::as_ref)
    }

    /// The gateway refuses it. Where the client may not agree about what it sent, the connection is not used again.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Response<Body> {
        let _first = self.refusal.set(refusal.label());
        let closes = refusal.closes() && self.version < Version::HTTP_2;
        let mut response = refusal.into_response();
        if closes {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// The head of the answer is known.
    pub(crate) fn answered(&self, status: StatusCode) {
        self.status.set(status.as_u16());
    }

    /// Bytes of a request's body that the gateway read for itself.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    /// Bytes of the answer's body went out.
    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// The answer was given up: its client does not read it.
    pub(crate) fn left_unread(&self) {
        let _first = self.refusal.set("client_not_reading");
    }

    /// Bytes passed through a tunnel.
    pub(crate) fn tunnelled(&self, passed: &Passed) {
        self.received.set(passed.received);
        self.sent.set(passed.sent);
        if passed.ending == Ending::Unread {
            self.left_unread();
        }
    }

    /// The end of its session cut it.
    pub(crate) fn cut_by_session(&self) {
        let _first = self.refusal.set("session_over");
    }

    /// The upstream's answer ended too early.
    pub(crate) fn broke_off(&self) {
        self.broken.set(true);
    }

    /// The answer was dropped before it was whole: its client did not take it, or nobody may give it any more.
    pub(crate) fn cut(&self) {
        self.cut.set(true);
    }

    fn refusal(&self) -> Option<&'static str> {
        let cut = self.cut.get() || self.status.get() == 0;
        let why = || match self.worker.ending.is_cancelled() {
            _ if std::thread::panicking() => "panicked",
            true => "cut_by_drain",
            false => "client_gone",
        };
        let vanished = cut.then(why);
        let broken = self.broken.get().then_some("answer_broke_off");
        self.refusal.get().copied().or(broken).or(vanished)
    }

    fn query(&self) -> Option<String> {
        let is_login = self.uri.path() == "/login";
        let query = self.uri.query().filter(|_| self.worker.gateway.log_query && !is_login)?;
        Some(query::redacted(query))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let streamed = self.progress.get().map_or(0, |progress| progress.received.get());
        let query = self.query();
        let line = Line {
            peer: self.client.address,
            user: self.user.get().map(AsRef::as_ref),
            client: self.peer.client.as_deref(),
            method: self.method.as_str(),
            path: self.uri.path(),
            query: query.as_deref(),
            protocol: if self.version == Version::HTTP_2 { "h2" } else { "h1" },
            route: self.route.get().map(|rule| self.rules.routes.label(rule)),
            status: self.status.get(),
            received: self.received.get() + streamed,
            sent: self.sent.get(),
            micros: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            upstream_micros: self.waited_micros.get(),
            server: self.server.get().map(|server| &*server.label),
            refusal: self.refusal(),
            request_id: self.request_id.as_bytes(),
        };
        self.worker.meter.finished(&line);
        self.worker.gateway.access_log.write(&line);
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("request_id", &self.request_id.as_str()).finish_non_exhaustive()
    }
}
