//! An upstream that answers from memory.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// The largest answer.
const MOST: usize = 1 << 20;

/// So many loopback addresses with the same port: each is another server to a proxy.
const ADDRESSES: u8 = 100;

/// Prints where it serves, and serves until it can't.
pub(crate) async fn serve() {
    let memory = Bytes::from(vec![b'd'; MOST]);
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = first.local_addr().unwrap();
    for last in 2..=ADDRESSES {
        let more = TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), address.port())).await.unwrap();
        tokio::task::spawn_local(accept(more, memory.clone()));
    }
    println!("{address}");
    accept(first, memory).await;
}

async fn accept(listener: TcpListener, memory: Bytes) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let memory = memory.clone();
        let service = service_fn(move |request| answer(memory.clone(), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
        tokio::task::spawn_local(async move { drop(connection.await) });
    }
}

async fn answer(memory: Bytes, mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if let Some(length) = request.uri().path().strip_prefix("/bytes/").and_then(|length| length.parse().ok()) {
        return Ok(Response::new(Full::new(memory.slice(..MOST.min(length)))));
    }
    if request.uri().path() == "/socket" {
        return Ok(switch(&mut request));
    }
    let mut length = 0;
    while let Some(Ok(frame)) = request.body_mut().frame().await {
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    Ok(Response::new(Full::new(length.to_string().into())))
}

/// Switches to WebSocket and sends every message back.
fn switch(request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
    let accept = request.headers().get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes()));
    let upgraded = hyper::upgrade::on(request);
    tokio::task::spawn_local(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in [("connection", "Upgrade"), ("upgrade", "websocket")] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().insert("sec-websocket-accept", accept.unwrap_or_default().parse().unwrap());
    response
}
