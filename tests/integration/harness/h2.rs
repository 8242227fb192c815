//! An HTTP/2 client over TLS: one connection, any number of streams.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::client::Io;
use super::{Pair, client, planted, within};

/// A request's body.
pub(crate) type H2Body = UnsyncBoxBody<Bytes, Infallible>;

/// A connection that speaks HTTP/2.
#[derive(Clone)]
pub(crate) struct H2 {
    sender: SendRequest<H2Body>,
    /// Scheme, host and port.
    origin: String,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct H2Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
}

impl H2 {
    /// Opens a connection for the name `localhost`.
    pub(crate) async fn connect(address: SocketAddr, ca: &str) -> Self {
        let stream = client::handshake(address, ca, ("localhost", "h2")).await;
        Self::over(stream, format!("https://localhost:{}", address.port())).await
    }

    /// Speaks HTTP/2 over a stream at once, with an origin of the test's choice.
    pub(crate) async fn over(stream: impl Io + 'static, origin: String) -> Self {
        let (sender, connection) =
            within("HTTP/2", handshake(TokioExecutor::new(), TokioIo::new(stream))).await.expect("HTTP/2");
        // Its errors are seen by the streams.
        tokio::spawn(async move { drop(connection.await) });
        Self { sender, origin }
    }

    /// A GET with a pair.
    pub(crate) async fn get(&self, path: &str, pair: &Pair) -> H2Answer {
        let presented = [("x-key", pair.key.as_str()), ("x-access-token", pair.token.as_str())];
        self.request("GET", path, &presented).await
    }

    /// A request without a body.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> H2Answer {
        let request = self.build(method, path, headers);
        whole(self.send(request.body(body("")).expect("a request")).await.expect("an answer")).await
    }

    /// The start of a request; the body is the caller's.
    pub(crate) fn build(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> http::request::Builder {
        let uri = format!("{}{path}", self.origin);
        let request = Request::builder().method(method).uri(uri);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    /// Sends a request; the answer's body is still to come.
    pub(crate) async fn send(&self, request: Request<H2Body>) -> hyper::Result<Response<Incoming>> {
        let mut sender = self.sender.clone();
        within("an answer", async move {
            sender.ready().await?;
            sender.send_request(request).await
        })
        .await
    }
}

/// A body that is known at once.
pub(crate) fn body(text: impl Into<Bytes>) -> H2Body {
    let text = text.into();
    planted::login(&text);
    Full::new(text).boxed_unsync()
}

/// A body that the test sends piece by piece; it ends when the sender is dropped.
pub(crate) fn body_by_hand() -> (tokio::sync::mpsc::UnboundedSender<Bytes>, H2Body) {
    let (send, receive) = tokio::sync::mpsc::unbounded_channel();
    let frames = futures_util::stream::unfold(receive, |mut receive| async move {
        let data = receive.recv().await?;
        Some((Ok(Frame::data(data)), receive))
    });
    (send, StreamBody::new(frames).boxed_unsync())
}

/// Reads an answer to its end.
pub(crate) async fn whole(answer: Response<Incoming>) -> H2Answer {
    let (parts, incoming) = answer.into_parts();
    let collected = within("the body", Pin::new(&mut { incoming }).collect()).await.expect("a whole body");
    let trailers = collected.trailers().cloned();
    H2Answer { status: parts.status.as_u16(), headers: parts.headers, body: collected.to_bytes(), trailers }
}

/// A body of a length that nobody announces, with trailers.
pub(crate) fn body_with_trailers(text: impl Into<Bytes>, trailers: HeaderMap) -> H2Body {
    let frames = [Ok(Frame::data(text.into())), Ok(Frame::trailers(trailers))];
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}
