//! Sends one admitted request to a server of an upstream, and tries again exactly where that is safe.

use std::future::poll_fn;
use std::io;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::response::Parts;
use http::{Response, StatusCode};
use rustix::io::Errno;
use tokio::time::Instant;

use super::Upstream;
use super::answer::AnswerBody;
use super::aside::step_aside;
use super::body::{BodyFault, TrailerRule};
use super::choice::Choice;
use super::connect::Connection;
use super::outbound::Outbound;
use super::pool::{Lease, Pools};
use super::server::{Occupied, Server};
use super::soon::Soon;
use super::tunnel::FarEnd;
use super::wait::{Cut, Patience, wait};
use super::wire::{Content, Conversation, Silence};
use crate::auth::{Admission, Rejected};
use crate::clock::BootTime;
use crate::config::Balance;

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every server has as many requests as it may have.
    Busy,
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
    /// The session ended meanwhile; what its pair gets from now on.
    SessionOver(Rejected),
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
    pub(crate) response: Response<()>,
    pub(super) content: Content,
}

/// What became of one attempt.
enum Attempt {
    Answered(Answered),
    /// Nothing was sent, the request is whole.
    NotSent,
    /// Sent over a connection that had been used before, which closed without a byte.
    ClosedSilently,
    Failed(Fault),
}

impl Attempt {
    /// What the exchange ends with; `None` where another server may be asked.
    fn end(self, repeatable: bool, server: &Arc<Server>) -> Option<Result<Answered, Failed>> {
        match self {
            Self::Answered(answered) => Some(Ok(answered)),
            Self::NotSent => None,
            Self::ClosedSilently if repeatable => None,
            Self::ClosedSilently => Some(Err(failed(Fault::BrokenAnswer, server))),
            Self::Failed(fault) => Some(Err(failed(fault, server))),
        }
    }
}

impl Upstream {
    /// Sends `request`, whose admission is proven, and gives up when that ends. What was not sent at all is sent once more,
    /// whatever its method; what a reused connection swallowed without a byte is sent once more if it is safe and has no body.
    pub(crate) fn send<'a>(
        &'a self,
        admission: &'a Admission,
        request: &'a mut Outbound,
        pools: &'a Rc<Pools>,
    ) -> impl Future<Output = Result<Answered, Failed>> + 'a {
        Exchange { upstream: self, admission, pools }.run(request)
    }
}

/// One request and its one or two attempts.
#[derive(Clone, Copy)]
struct Exchange<'a> {
    upstream: &'a Upstream,
    admission: &'a Admission,
    pools: &'a Rc<Pools>,
}

#[expect(
    clippy::manual_async_fn,
    reason = "an async fn holds what it is called with twice, and all who wait for answers share one cache"
)]
impl<'a> Exchange<'a> {
    fn run(self, request: &'a mut Outbound) -> impl Future<Output = Result<Answered, Failed>> + 'a {
        async move {
            let mut choice = self.choice();
            let (first, occupied) = choice.take(None).ok_or(BUSY)?;
            let repeatable = request.body.is_empty() && request.method.is_safe();
            let attempt = match self.begin(occupied, self.pools.take(first, choice.now), request).await {
                Ok(conversation) => self.attempt(conversation, request).await,
                Err(fault @ Fault::SessionOver(_)) => Attempt::Failed(fault),
                Err(_logged) => Attempt::NotSent,
            };
            if let Some(end) = attempt.end(repeatable, first) {
                return end;
            }
            choice.now = BootTime::now();
            let second = choice.take(Some(first)).ok_or(BUSY)?;
            Box::pin(self.run_again(second, request)).await
        }
    }

    /// The second and last attempt: over a new connection, to another server if there is one.
    async fn run_again(
        self,
        (server, occupied): (&Arc<Server>, Occupied),
        request: &mut Outbound,
    ) -> Result<Answered, Failed> {
        let conversation = self.begin(occupied, None, request).await.map_err(|fault| failed(fault, server))?;
        match self.attempt(conversation, request).await {
            Attempt::Answered(answered) => Ok(answered),
            Attempt::Failed(fault) => Err(failed(fault, server)),
            Attempt::NotSent | Attempt::ClosedSilently => Err(failed(Fault::BrokenAnswer, server)),
        }
    }

    /// What ends the waiting for a server early, and who says when to look for it.
    fn watch(&self) -> (&Admission, &Soon) {
        (self.admission, &self.pools.soon)
    }

    fn choice(&self) -> Choice<'_> {
        let policy = &self.upstream.policy;
        let session = self.admission.session().filter(|_| policy.balance == Balance::Session);
        Choice {
            servers: &self.upstream.servers,
            most: policy.requests_per_server.map_or(usize::MAX, NonZeroUsize::get),
            session: session.map(|session| session.id().number()),
            start: self.upstream.next_start(),
            // Nothing was waited for since it was admitted.
            now: self.admission.at(),
        }
    }

    /// Takes the request over, for a connection that idles or a new one.
    fn begin<'r>(
        self,
        server: Occupied,
        idle: Option<Connection>,
        request: &'r mut Outbound,
    ) -> impl Future<Output = Result<Box<Conversation>, Fault>> + use<'a, 'r> {
        async move {
            let connection = match idle {
                Some(connection) => connection,
                None => Box::pin(self.connect(&server.0)).await?,
            };
            let idle_timeout = self.upstream.policy.idle_timeout;
            Ok(Conversation::new(Lease { connection, server, idle_timeout, pools: self.pools.clone() }, request))
        }
    }

    async fn connect(self, server: &Server) -> Result<Connection, Fault> {
        let patience = Patience::of(self.upstream.policy.connect_timeout);
        let (fault, error) = match wait(pin!(Connection::open(server)), patience, self.watch()).await {
            Ok(Ok(connection)) => {
                server.accepted();
                return Ok(connection);
            }
            Ok(Err(error)) => (Fault::Unreachable, error),
            Err(Cut::Late) => (Fault::ConnectTimeout, io::Error::new(io::ErrorKind::TimedOut, "it took too long")),
            Err(Cut::SessionOver(rejected)) => return Err(Fault::SessionOver(rejected)),
        };
        // Of a server once each time that it is left alone: many may be under way, and anybody may ask.
        if is_ours(&error) || server.refused(BootTime::now()) {
            tracing::warn!(upstream = %self.upstream.name, server = %server.label, %error, "cannot connect");
        }
        Err(fault)
    }

    fn attempt<'r>(
        self,
        mut conversation: Box<Conversation>,
        request: &'r mut Outbound,
    ) -> impl Future<Output = Attempt> + use<'a, 'r> {
        async move {
            let progress = conversation.progress();
            // Where no connection had to be opened, nothing was waited for since then.
            let since = if conversation.is_reused() { request.began } else { Instant::now() };
            let patience = Patience::since(since, self.upstream.policy.response_timeout, progress.clone());
            if let Some(lasts) = self.upstream.policy.busy_poll {
                conversation.look_for_answer(since + lasts);
            }
            step_aside().await;
            let answer = poll_fn(|cx| conversation.poll_head(cx));
            let attempt = match wait(answer, patience, self.watch()).await {
                Err(Cut::Late) => Attempt::Failed(Fault::ResponseTimeout),
                Err(Cut::SessionOver(rejected)) => Attempt::Failed(Fault::SessionOver(rejected)),
                Ok(Ok(head)) => {
                    let (response, content) = conversation.into_answer(head);
                    Attempt::Answered(Answered { response, content })
                }
                Ok(Err(Silence::ClosedSilently)) => {
                    conversation.give_back(request);
                    Attempt::ClosedSilently
                }
                Ok(Err(Silence::Body(fault))) => Attempt::Failed(Fault::Body(fault)),
                Ok(Err(Silence::NotSent)) => {
                    conversation.give_back(request);
                    Attempt::NotSent
                }
                Ok(Err(Silence::Broken(error))) => {
                    tracing::warn!(upstream = %self.upstream.name, server = %conversation.server().label, %error, "no whole answer");
                    Attempt::Failed(Fault::BrokenAnswer)
                }
            };
            if let (Attempt::Failed(_) | Attempt::ClosedSilently, Some(progress)) = (&attempt, progress) {
                progress.keep();
            }
            attempt
        }
    }
}

/// Whether the gateway is short of something itself; then the server is as good as it was.
fn is_ours(error: &io::Error) -> bool {
    let short = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    short.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

const BUSY: Failed = Failed { fault: Fault::Busy, server: None };

fn failed(fault: Fault, server: &Arc<Server>) -> Failed {
    Failed { fault, server: Some(server.clone()) }
}

impl Answered {
    /// Whether the server agrees to speak another protocol from here on.
    pub(crate) fn switches_protocols(&self) -> bool {
        self.response.status() == StatusCode::SWITCHING_PROTOCOLS
    }

    /// The server that answers.
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.content.server().0
    }

    /// Whether there can be trailers behind its body.
    pub(crate) fn may_end_in_trailers(&self) -> bool {
        self.content.is_chunked()
    }

    /// The head, and the body with the rule for its trailers; without one none pass.
    pub(crate) fn into_parts(self, trailers: Option<TrailerRule>) -> (Parts, AnswerBody) {
        let (head, ()) = self.response.into_parts();
        (head, AnswerBody::new(self.content, trailers))
    }

    /// Behind a 101: the server's end of the tunnel.
    pub(crate) fn into_far_end(self) -> FarEnd {
        let (stream, received, server) = self.content.into_stream();
        // Copied, for a tunnel lives long, and the memory is shared with others.
        FarEnd { stream, received: Bytes::copy_from_slice(&received), server }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_short_of_descriptors_blames_no_server() {
        assert!(is_ours(&Errno::MFILE.into()) && is_ours(&Errno::NFILE.into()));
        assert!(!is_ours(&Errno::CONNREFUSED.into()) && !is_ours(&io::Error::other("no such host")));
    }
}
