//! The probes, /livez, /readyz and /startupz, and /metrics. Readiness fails with the drain, never with an upstream.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::metrics;
use crate::panics::{Witness, restarting};
use crate::seldom::Seldom;
use crate::telemetry::exposition::Syntax;

/// Makes the text of /metrics.
pub(crate) type Metrics = Rc<dyn Fn(Syntax) -> String>;

/// A probe that says nothing for this long is closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections at once; one more cuts the oldest, so that who holds connections open keeps no probe from its answer.
const MOST: usize = 32;

/// Answers probes until the runtime ends; `draining` is cancelled when readiness must fail.
pub(crate) async fn serve(socket: StdListener, metrics: Metrics, draining: CancellationToken) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "no probes: the health listener does not work"),
    };
    restarting("probes", async || accept(&listener, &metrics, &draining).await).await
}

async fn accept(listener: &TcpListener, metrics: &Metrics, draining: &CancellationToken) {
    let (mut probes, exhaustion): (VecDeque<AbortHandle>, _) = (VecDeque::new(), Seldom::new());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                probes.push_back(
                    tokio::task::spawn_local(serve_one((stream, peer), metrics.clone(), draining.clone()))
                        .abort_handle(),
                );
                if probes.len() > MOST
                    && let Some(oldest) = probes.pop_front()
                {
                    oldest.abort();
                }
            }
            Err(error) => {
                if let Some(times) = exhaustion.again() {
                    tracing::warn!(%error, times, "a probe could not be accepted");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one((stream, peer): (TcpStream, SocketAddr), metrics: Metrics, draining: CancellationToken) {
    let _witness = Witness::of("probe", Some(peer));
    let service = service_fn(move |request| {
        let answer = answer(&request, draining.is_cancelled(), &*metrics);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service);
    let _gone_or_garbage = connection.await;
}

fn answer<B>(request: &Request<B>, draining: bool, metrics: impl FnOnce(Syntax) -> String) -> Response<Full<Bytes>> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => return metrics::answer(request.headers(), metrics),
        (&Method::GET | &Method::HEAD, "/livez" | "/startupz") => (StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD, "/readyz") if draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (&Method::GET | &Method::HEAD, "/readyz") => (StatusCode::OK, "ok\n"),
        (_, "/livez" | "/readyz" | "/startupz" | "/metrics") => {
            (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
        }
        _ => (StatusCode::NOT_FOUND, "not found\n"),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_fails_with_the_drain_and_liveness_does_not() {
        let status = |method: &str, path: &str, draining| {
            answer(&Request::builder().method(method).uri(path).body(()).unwrap(), draining, |_| String::new())
                .status()
                .as_u16()
        };
        assert_eq!((status("GET", "/readyz", false), status("GET", "/readyz", true)), (200, 503));
        assert_eq!((status("GET", "/livez", true), status("HEAD", "/startupz", true)), (200, 200));
        assert_eq!((status("POST", "/livez", false), status("GET", "/", false)), (405, 404));
        assert_eq!((status("GET", "/metrics", true), status("POST", "/metrics", false)), (200, 405));
    }
}
