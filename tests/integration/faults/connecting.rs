//! A server that cannot be reached: it refuses, resets or hangs while a connection to it is opened, or its certificate is over.

use std::net::SocketAddr;

use rcgen::CertificateParams;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{behind, in_front_of, reason_of};
use crate::harness::tls::Authority;
use crate::harness::{Gateway, USER, Upstream};

#[tokio::test]
async fn a_server_that_refuses_is_502_for_every_method_and_over_both_protocols() {
    let gone = Upstream::start().await;
    gone.stop().await;
    let (gateway, pair) = in_front_of(&gone.url(), "").await;
    for method in ["GET", "POST", "DELETE"] {
        let request =
            format!("{method} /{method} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: 0\r\n\r\n", pair.lines());
        gateway.request(request).await.is_refusal(502, "The API cannot be reached");
        assert_eq!(reason_of(&gateway, &format!("/{method}")).await, "unreachable");
    }
    assert_eq!(gateway.h2().await.get("/h2", &pair).await.status, 502);
    gone.saw_nothing();
}

#[tokio::test]
async fn a_server_that_takes_no_connection_is_504() {
    let (_full, _waiting, address) = full_backlog();
    let (gateway, pair) = in_front_of(&format!("http://{address}"), "upstreams.main.connect_timeout = '200ms'").await;
    gateway.get("/connect", &pair.lines()).await.is_refusal(504, "The API took too long");
    assert_eq!(reason_of(&gateway, "/connect").await, "upstream_timeout");
}

#[tokio::test]
async fn a_server_that_hangs_in_the_tls_handshake_is_504() {
    for said in [&b""[..], b"\x16\x03\x03\x00\x7a\x02\x00"] {
        let address = behind(move |mut stream| async move {
            stream.write_all(said).await.unwrap();
            while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
        })
        .await;
        let (gateway, pair) = secured(address, "upstreams.main.connect_timeout = '300ms'").await;
        gateway.get("/tls", &pair.lines()).await.is_refusal(504, "The API took too long");
        assert_eq!(reason_of(&gateway, "/tls").await, "upstream_timeout");
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_the_tls_handshake_or_speaks_none_is_502() {
    let closes = behind(|stream| async { drop(stream) }).await;
    let resets = behind(|stream| async { reset(stream) }).await;
    let speaks_http = behind(|mut stream| async move {
        let _read = stream.read(&mut [0; 1024]).await;
        let _sent = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    })
    .await;
    for address in [closes, resets, speaks_http] {
        let (gateway, pair) = secured(address, "").await;
        gateway.get("/tls", &pair.lines()).await.is_refusal(502, "The API cannot be reached");
        assert_eq!(reason_of(&gateway, "/tls").await, "unreachable");
    }
}

#[tokio::test]
async fn a_servers_certificate_that_has_expired_is_502_and_nothing_is_sent_to_it() {
    let authority = Authority::new("behind");
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    let upstream = Upstream::secured(&authority.sign(&params)).await;
    let settings = "log.access = 'DIR/access.log'\nupstreams.main.tls = { ca = 'DIR/behind.pem' }";
    let gateway = Gateway::with_files(&upstream, settings, &[("behind.pem", &authority.pem())]).await;
    let pair = gateway.login(&USER).await;
    gateway.get("/over", &pair.lines()).await.is_refusal(502, "The API cannot be reached");
    assert_eq!(reason_of(&gateway, "/over").await, "unreachable");
    upstream.saw_nothing();
}

/// A gateway that speaks TLS to that address.
async fn secured(address: SocketAddr, settings: &str) -> (Gateway, crate::harness::Pair) {
    let settings = format!("{settings}\nupstreams.main.tls = {{ ca = 'DIR/server.pem' }}");
    in_front_of(&format!("https://localhost:{}", address.port()), &settings).await
}

/// Ends a connection by a reset.
pub(super) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

/// A listener that accepts nothing, the connections that fill its backlog, and its address.
fn full_backlog() -> (Socket, Vec<Socket>, SocketAddr) {
    let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let listener = tcp();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let waiting = (0..8).map(|_| {
        let socket = tcp();
        socket.set_nonblocking(true).unwrap();
        let _under_way = socket.connect(&address);
        socket
    });
    (listener, waiting.collect(), address.as_socket().unwrap())
}
