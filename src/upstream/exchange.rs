//! Sends one admitted request to a server of an upstream, and tries again exactly where that is safe.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::Upstream;
use super::body::{BodyFault, Progress, RequestBody};
use super::connect::Connection;
use super::pool::{Lease, Pools};
use super::server::{Server, least};
use crate::auth::Admission;
use crate::clock::BootTime;

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection could be opened.
    Unreachable,
    /// Opening a connection took longer than `connect_timeout`.
    ConnectTimeout,
    /// No answer within `response_timeout`.
    ResponseTimeout,
    /// The server closed, or answered something that is not HTTP.
    BrokenAnswer,
    /// The client's body did not arrive whole.
    Body(BodyFault),
}

/// An exchange that failed, and the server it failed at.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub fault: Fault,
    /// Where, if one was chosen.
    pub server: Option<Arc<Server>>,
}

/// The head of an answer, its body still to come.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Lease,
}

/// What became of one attempt.
enum Attempt {
    Answered(Box<Answered>),
    /// Nothing was sent, the request is whole.
    NotSent(Box<Request<RequestBody>>),
    /// Sent over a connection that had been used before, which closed without a byte.
    ClosedSilently,
    Failed(Fault),
}

impl Upstream {
    /// Sends `request`, whose admission is proven by `_admission`. What was not sent at all is sent once more, whatever its
    /// method; what a reused connection swallowed without a byte is sent once more if it is safe and has no body.
    pub(crate) async fn send(
        &self,
        _admission: &Admission,
        mut request: Request<RequestBody>,
        pools: &Rc<Pools>,
    ) -> Result<Answered, Failed> {
        let now = BootTime::now();
        let Some(first) = least(&self.servers, None, self.next_start(), now) else {
            return Err(Failed { fault: Fault::Unreachable, server: None });
        };
        let idle = pools.take(first, now);
        let spare = idle.as_ref().and_then(|_| spare(&request));
        let attempt = match self.lease(first, pools, idle).await {
            Ok(lease) => self.attempt(lease, request).await,
            Err(_logged) => Attempt::NotSent(Box::new(request)),
        };
        request = match attempt {
            Attempt::Answered(answered) => return Ok(*answered),
            Attempt::NotSent(request) => *request,
            Attempt::ClosedSilently if let Some(spare) = spare => spare,
            Attempt::ClosedSilently => return Err(failed(Fault::BrokenAnswer, first)),
            Attempt::Failed(fault) => return Err(failed(fault, first)),
        };
        self.send_again(first, request, pools).await
    }

    /// The second and last attempt: over a new connection, to another server if there is one.
    async fn send_again(
        &self,
        avoid: &Arc<Server>,
        request: Request<RequestBody>,
        pools: &Rc<Pools>,
    ) -> Result<Answered, Failed> {
        let server = least(&self.servers, Some(avoid), self.next_start(), BootTime::now()).unwrap_or(avoid);
        let lease = self.lease(server, pools, None).await.map_err(|fault| failed(fault, server))?;
        match self.attempt(lease, request).await {
            Attempt::Answered(answered) => Ok(*answered),
            Attempt::Failed(fault) => Err(failed(fault, server)),
            Attempt::NotSent(_) | Attempt::ClosedSilently => Err(failed(Fault::BrokenAnswer, server)),
        }
    }

    async fn lease(&self, server: &Arc<Server>, pools: &Rc<Pools>, idle: Option<Connection>) -> Result<Lease, Fault> {
        let occupied = server.occupy();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect(server).await?,
        };
        Ok(Lease { connection, server: occupied, idle_timeout: self.policy.idle_timeout, pools: pools.clone() })
    }

    async fn connect(&self, server: &Server) -> Result<Connection, Fault> {
        let fault = match timeout(self.policy.connect_timeout, Connection::open(&server.address)).await {
            Ok(Ok(connection)) => {
                server.accepted();
                return Ok(connection);
            }
            Ok(Err(error)) => {
                tracing::warn!(upstream = %self.name, server = %server.label, %error, "cannot connect");
                Fault::Unreachable
            }
            Err(_) => {
                tracing::warn!(upstream = %self.name, server = %server.label, "connecting took too long");
                Fault::ConnectTimeout
            }
        };
        server.refused(BootTime::now());
        Err(fault)
    }

    async fn attempt(&self, mut lease: Lease, mut request: Request<RequestBody>) -> Attempt {
        if self.renames_host() {
            request.headers_mut().insert(HOST, lease.server.0.host_header.clone());
        }
        let progress = request.body().progress();
        lease.connection.begin();
        let answer = lease.connection.sender.try_send_request(request);
        match until_answered(answer, progress.as_deref(), self.policy.response_timeout).await {
            None => Attempt::Failed(Fault::ResponseTimeout),
            Some(Ok(response)) => Attempt::Answered(Box::new(Answered { response, lease })),
            Some(Err(mut error)) => match (error.take_message(), progress.and_then(|progress| progress.fault.get())) {
                (Some(request), _) => Attempt::NotSent(Box::new(request)),
                (None, Some(fault)) => Attempt::Failed(Fault::Body(fault)),
                (None, None) if lease.connection.reused.get() && !lease.connection.has_answered() => {
                    Attempt::ClosedSilently
                }
                (None, None) => {
                    let error = error.into_error();
                    tracing::warn!(upstream = %self.name, server = %lease.server.0.label, %error, "no whole answer");
                    Attempt::Failed(Fault::BrokenAnswer)
                }
            },
        }
    }
}

/// Waits for the first byte of the answer; a body that still moves puts the deadline off. `None` when it passes.
async fn until_answered<T>(
    answer: impl Future<Output = T>,
    progress: Option<&Progress>,
    patience: Duration,
) -> Option<T> {
    let mut answer = std::pin::pin!(answer);
    let mut deadline = Instant::now() + patience;
    loop {
        if let Ok(answer) = tokio::time::timeout_at(deadline, &mut answer).await {
            return Some(answer);
        }
        let moved = progress.map(Progress::moved).filter(|moved| *moved + patience > deadline)?;
        deadline = moved + patience;
    }
}

/// A copy for the second attempt, where one may be sent.
fn spare(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !(request.body().is_empty() && request.method().is_safe()) {
        return None;
    }
    let mut spare = Request::new(RequestBody::EMPTY);
    *spare.method_mut() = request.method().clone();
    *spare.uri_mut() = request.uri().clone();
    *spare.headers_mut() = request.headers().clone();
    Some(spare)
}

fn failed(fault: Fault, server: &Arc<Server>) -> Failed {
    Failed { fault, server: Some(server.clone()) }
}

impl Answered {
    /// Whether the server agrees to speak another protocol from here on.
    pub(crate) fn switches_protocols(&self) -> bool {
        self.response.status() == StatusCode::SWITCHING_PROTOCOLS
    }
}
