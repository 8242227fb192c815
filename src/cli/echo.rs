//! The demo's API: answers every request with what it received, so that one sees what a gateway lets through and adds.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// The most bytes of a body that are echoed.
const ECHOED: usize = 64 * 1024;

/// Starts the API on a free port of 127.0.0.1, in a thread that ends with the process.
///
/// # Errors
/// When no port, thread or event loop can be had.
pub(super) fn start() -> io::Result<SocketAddr> {
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("echo".into()).spawn(move || runtime.block_on(serve(socket)))?;
    Ok(address)
}

async fn serve(socket: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(socket)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(|request| async { Ok::<_, Infallible>(echo(request).await) });
        tokio::spawn(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service));
    }
}

async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, ECHOED).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let received = json!({
        "message": "Hello from the API behind the gateway. This is what reached it:",
        "method": head.method.as_str(),
        "path": head.uri.to_string(),
        "identity": lines(&head.headers, is_identity),
        "headers": lines(&head.headers, |name| !is_identity(name)),
        "body": String::from_utf8_lossy(&body),
    });
    let mut response = Response::new(Full::from(format!("{received:#}\n")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn is_identity(name: &str) -> bool {
    name.starts_with("x-webitel-")
}

fn lines(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
    let wanted = headers.iter().filter(|(name, _)| wanted(name.as_str()));
    wanted.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect()
}
