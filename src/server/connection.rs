//! One downstream connection: TLS under a deadline, then HTTP/1.1 or HTTP/2 by ALPN, or by the first bytes where there is no TLS.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Exchange, Overdue};
use super::answer::Answer;
use super::deferred::Deferred;
use super::drive::{Bounds, Ended, drive};
use super::giving::Giving;
use super::preface;
use super::socket::{self, Stream};
use super::stream::Watched;
use super::streams::Streams;
use super::tls::Tls;
use crate::config::Limits;
use crate::gateway::{Peer, Seat, Worker};

/// Bytes that wait for the socket, or between it and a body, before whoever writes more waits too.
const BUFFER: usize = 64 * 1024;

/// A connection that was accepted, on its way to a worker.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) address: SocketAddr,
    pub(crate) seat: Seat,
    /// Absent on listeners without TLS.
    pub(crate) tls: Option<Arc<Tls>>,
    /// See [`Peer::redirects_to`].
    pub(crate) redirects_to: Option<u16>,
}

/// Serves connections on one worker.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) worker: Rc<Worker>,
    pub(crate) limits: Arc<Limits>,
    /// Cancelled when connections must finish.
    pub(crate) closing: CancellationToken,
}

impl Serving {
    /// Serves one connection to its end. What goes wrong is logged by peer, for there may be no request to log.
    pub(crate) async fn serve(self, accepted: Accepted) {
        let peer = accepted.address;
        let worker = self.worker.clone();
        let _counted = worker.meter.connection();
        if let Err(ended) = self.try_serve(accepted).await {
            worker.meter.counters().broken.add(ended.label());
            tracing::info!(%peer, reason = %ended, "connection ended early");
        }
    }

    async fn try_serve(mut self, accepted: Accepted) -> Result<(), Ended> {
        let Accepted { stream, address, seat, tls, redirects_to } = accepted;
        let stream = socket::onto_this_loop(stream)?;
        let Some(tls) = tls else {
            let activity = Activity::new();
            let fragment = activity.fragment.clone();
            let peer = Peer { address, tls: false, sni: None, client: None, redirects_to, fragment, seat: Some(seat) };
            return self.plain(stream, peer, activity).await;
        };
        let tls = tls.current();
        let accept = TlsAcceptor::from(tls.config.clone()).accept(stream);
        let mut stream = timeout(self.limits.handshake_timeout, accept).await.map_err(|_| Ended::SlowHandshake)??;
        let activity = Activity::new();
        let session = stream.get_mut().1;
        session.set_buffer_limit(Some(BUFFER));
        let speaks_http2 = session.alpn_protocol() == Some(b"h2");
        let sni = session.server_name().map(Box::from);
        let client = tls.client(session).map_err(Ended::WrongCertificate)?;
        if session.peer_certificates().is_some() {
            // It ends when its certificate is no longer believed as well.
            self.closing = tls.trusted.clone();
        }
        let peer = Peer {
            address,
            tls: true,
            sni,
            client,
            redirects_to: None,
            fragment: activity.fragment.clone(),
            seat: Some(seat),
        };
        if speaks_http2 { self.http2(stream, peer, activity).await } else { self.http1(stream, peer, activity).await }
    }

    async fn plain<S>(&self, stream: S, peer: Peer, activity: Arc<Activity>) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let told = tokio::select! {
            told = timeout(self.limits.header_timeout, preface::tell(stream)) => told,
            () = self.closing.cancelled() => return Ok(()),
        };
        let (speaks_http2, stream) = told.map_err(|_| Ended::Overdue(Overdue::Head))??;
        if speaks_http2 { self.http2(stream, peer, activity).await } else { self.http1(stream, peer, activity).await }
    }

    async fn http1<S>(&self, stream: S, peer: Peer, activity: Arc<Activity>) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(Watched::new(stream, activity.clone(), true));
        let (worker, peer, exchanges) = (self.worker.clone(), Rc::new(peer), activity.clone());
        let giving = Rc::new(Giving::default());
        let given = giving.clone();
        let service = service_fn(move |request| {
            answer(worker.clone(), peer.clone(), request, (exchanges.begin(), given.clone()))
        });
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_header_size(self.limits.header_bytes)
            .max_buf_size(self.limits.header_bytes.max(BUFFER))
            .serve_connection(io, service)
            .with_upgrades();
        drive(connection, self.bounds(&activity, Some(&giving))).await
    }

    async fn http2<S>(&self, stream: S, peer: Peer, activity: Arc<Activity>) -> Result<(), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = Deferred::new(Watched::new(stream, activity.clone(), false));
        let (worker, peer, exchanges) = (self.worker.clone(), Rc::new(peer), activity.clone());
        let streams = Streams::new(self.limits.body_idle_timeout, activity.clone());
        let announced = streams.clone();
        let service = service_fn(move |request| {
            let announced = announced.clone();
            let answer = answer(worker.clone(), peer.clone(), request, (exchanges.begin(), announced.announce()));
            async move {
                let mut answer = answer.await?;
                if let Some(over) = answer.body_mut().take_tunnel() {
                    announced.announce_tunnel(over);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut builder = http2::Builder::new(streams);
        builder
            .enable_connect_protocol()
            .max_concurrent_streams(self.limits.streams)
            .max_send_buf_size(BUFFER)
            .max_header_list_size(u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX));
        let connection = io.serve(|io| builder.serve_connection(TokioIo::new(io), service));
        drive(connection, self.bounds(&activity, None)).await
    }

    fn bounds<'a>(&'a self, activity: &'a Activity, giving: Option<&'a Giving>) -> Bounds<'a> {
        Bounds { activity, limits: &self.limits, giving, closing: &self.closing }
    }
}

async fn answer(
    worker: Rc<Worker>,
    peer: Rc<Peer>,
    request: Request<Incoming>,
    (exchange, giving): (Exchange, Rc<Giving>),
) -> Result<Response<Answer>, Infallible> {
    let response = worker.handle(peer, request).await;
    Ok(response.map(|body| Answer::new(body, exchange, giving)))
}
