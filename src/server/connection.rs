//! One downstream connection: opened under a deadline, then HTTP/1.1 or HTTP/2 by ALPN, or by the first bytes where there is no TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Exchange, Overdue};
use super::answer::Answer;
use super::deferred::Deferred;
use super::drive::{Bounds, drive};
use super::ended::Ended;
use super::frugal::Frugal;
use super::giving::Giving;
use super::listener::Door;
use super::opening::{Opened, unless_asked_to_leave};
use super::parking::{self, Lot};
use super::preface;
use super::readable::Readable;
use super::socket::{self, Stream};
use super::stream::Watched;
use super::streams::Streams;
use super::strict::Strict;
use super::together::Together;
use crate::config::Limits;
use crate::gateway::{Peer, Peers, Seat, Worker};
use crate::panics::Witness;

/// Bytes that wait for the socket, or between it and a body, before whoever writes more waits too.
pub(super) const BUFFER: usize = 64 * 1024;

/// The largest part of a body that is read at once over HTTP/1.1, in bytes: each part is sent on by itself, and wakes the server.
const PART: usize = 128 * 1024;

/// A connection that was accepted, on its way to a worker.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) address: SocketAddr,
    pub(crate) seat: Seat,
    pub(crate) activity: Arc<Activity>,
    pub(crate) door: Arc<Door>,
}

/// Serves connections on one worker.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) worker: Rc<Worker>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) lot: Rc<Lot>,
    /// Cancelled when connections must finish.
    pub(crate) closing: CancellationToken,
}

impl Serving {
    /// Serves one connection to its end. What goes wrong is logged by peer, for there may be no request to log.
    pub(crate) async fn serve(self, accepted: Accepted) {
        let (witness, activity) = (Witness::of("connection", Some(accepted.address)), accepted.activity.clone());
        let worker = self.worker.clone();
        let _counted = worker.meter.connection();
        let ended = self.try_serve(accepted, &witness).await;
        activity.over();
        let Err(ended) = ended else { return };
        worker.meter.counters().broken.add(ended.label());
        let peer = witness.peer.get().map(tracing::field::display);
        // Load balancers look whether somebody answers, and say nothing.
        if ended.is_usual(activity.is_proven()) {
            tracing::debug!(peer, reason = %ended, "connection ended early");
        } else {
            tracing::info!(peer, reason = %ended, "connection ended early");
        }
    }

    async fn try_serve(mut self, accepted: Accepted, witness: &Witness) -> Result<(), Ended> {
        let Accepted { stream, address, seat, activity, door } = accepted;
        let stream = socket::onto_this_loop(stream)?;
        let (redirects_to, flaw) = (door.redirects_to, activity.flaw.clone());
        let mut peer = Peer { redirects_to, flaw, seat: Some(seat), ..Peer::at(address) };
        // On the heap, so that it is gone while the connection is open.
        let opened = Box::pin(self.open((stream, &door), &mut peer, &activity)).await;
        witness.peer.set(Some(peer.address));
        match opened? {
            Opened::Plain(stream) => Box::pin(self.plain(stream, peer, activity)).await,
            Opened::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Box::pin(self.http2(stream, peer, activity)).await
            }
            Opened::Tls(stream) => self.http1(stream, peer, activity).await,
        }
    }

    async fn plain<S>(&self, stream: S, peer: Peer, activity: Arc<Activity>) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Readable + Unpin + Send + 'static,
    {
        let telling = timeout(self.limits.header_timeout, preface::tell(stream));
        let told = tokio::select! {
            told = unless_asked_to_leave(&activity, telling) => told?,
            () = self.closing.cancelled() => return Ok(()),
        };
        let (speaks_http2, stream) = told.map_err(|_| Ended::Overdue(Overdue::Head))??;
        if speaks_http2 {
            Box::pin(self.http2(stream, peer, activity)).await
        } else {
            self.http1(stream, peer, activity).await
        }
    }

    async fn http1<S>(&self, stream: S, peer: Peer, activity: Arc<Activity>) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Readable + Unpin + Send + 'static,
    {
        let watched = Watched::new(stream, activity.clone(), true);
        let stream = Strict::new(watched, activity.clone(), self.limits.header_bytes);
        let (worker, peer, exchanges) = (self.worker.clone(), Rc::new(peer), activity.clone());
        let giving = Rc::new(Giving::default());
        let given = giving.clone();
        let service = service_fn(move |request| {
            let undecided = may_switch(&request).then(|| exchanges.clone());
            answer((worker.clone(), peer.clone()), request, (exchanges.begin(), given.clone()), |answer| {
                if let Some(undecided) = undecided {
                    undecided.decide(answer.status() == StatusCode::SWITCHING_PROTOCOLS);
                }
            })
        });
        let mut builder = http1::Builder::new();
        builder
            .header_read_timeout(None)
            // It looks for no end of a client that waits: `Strict` does.
            .half_close(true)
            .max_header_size(self.limits.header_bytes)
            .max_buf_size(self.limits.header_bytes.max(PART));
        let bounds = Bounds { giving: Some(&giving), lot: Some(&self.lot), ..self.bounds(&activity) };
        parking::serve(stream, service, &builder, bounds).await
    }

    async fn http2<S>(&self, stream: S, peer: Peer, activity: Arc<Activity>) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Readable + Unpin + Send + 'static,
    {
        let io = Deferred::new(Frugal::new(Watched::new(stream, activity.clone(), false), activity.clone()));
        let (worker, peer, exchanges) = (self.worker.clone(), Rc::new(peer), activity.clone());
        let streams = Streams::new(self.limits.body_idle_timeout, activity.clone(), peer.address);
        let (announced, begun) = (streams.clone(), streams.begun());
        let service = service_fn(move |request| {
            let (ours, announced) = ((worker.clone(), peer.clone()), announced.clone());
            let kept = (exchanges.begin(), announced.announce());
            // Boxed, because hyper hands it on by value, again and again.
            Box::pin(answer(ours, request, kept, move |answer| {
                if let Some(over) = answer.body_mut().take_tunnel() {
                    announced.announce_tunnel(over);
                }
            }))
        });
        let mut builder = http2::Builder::new(streams);
        builder
            .enable_connect_protocol()
            .max_concurrent_streams(self.limits.streams)
            .max_send_buf_size(BUFFER)
            .max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX));
        let mut connection = io.serve(|io| Together::new(builder.serve_connection(TokioIo::new(io), service), begun));
        drive(&mut connection, self.bounds(&activity)).await.map(drop)
    }

    fn bounds<'a>(&'a self, activity: &'a Arc<Activity>) -> Bounds<'a> {
        Bounds { activity, limits: &self.limits, giving: None, lot: None, closing: &self.closing }
    }
}

/// Whether [`Strict`] waits for the answer before it reads on.
fn may_switch(request: &Request<Incoming>) -> bool {
    request.extensions().get::<OnUpgrade>().is_some() && request.body().is_end_stream()
}

/// One answer, which `told` learns of before hyper does. The request is held once, here: an `async fn` would hold it twice, as each
/// would that it is handed on to by value.
fn answer(
    (worker, peer): (Rc<Worker>, Rc<Peer>),
    request: Request<Incoming>,
    (exchange, giving): (Exchange, Rc<Giving>),
    told: impl FnOnce(&mut Response<Answer>),
) -> impl Future<Output = Result<Response<Answer>, Infallible>> {
    let mut request = request.map(Some);
    async move {
        let response = worker.handle(peer, &mut request).await;
        let mut answer = response.map(|body| Answer::new(body, exchange, giving));
        told(&mut answer);
        Ok(answer)
    }
}
