//! Sockets that are no TCP port of the loopback: Unix sockets on both sides.

use std::net::SocketAddr;
use std::path::Path;

use tokio::net::{TcpStream, UnixListener};
use tokio::task::JoinHandle;

use crate::harness::{Frame, Gateway, USER, Upstream, WebSocket};

#[tokio::test]
async fn an_upstream_may_be_a_unix_socket() {
    let (upstream, sockets) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let path = sockets.path().join("api.sock");
    let _relay = relay(&path, upstream.address());
    let servers = format!("upstreams.main = {{ servers = ['unix:{}'] }}", path.display());
    let gateway = Gateway::with(&upstream, &servers).await;
    let pair = gateway.login(&USER).await;
    let get = format!("GET /a HTTP/1.1\r\nHost: api.example.com\r\n{}\r\n", pair.lines());
    let mut connection = gateway.connect().await;
    for _ in 0..3 {
        assert_eq!(connection.request(&get).await.text(), "behind");
    }
    let request = upstream.last_request();
    assert_eq!(request.field("host").as_deref(), Some("api.example.com"));
    assert_eq!((request.connection, request.line()), (0, "GET /a HTTP/1.1"));
    let Ok(mut socket) = WebSocket::open(gateway.connect().await, "/", &pair.lines()).await else { panic!("refused") };
    socket.say("hello").await;
    assert_eq!(socket.hear().await, Frame::Text("hello".to_owned()));
}

#[tokio::test]
async fn a_server_without_a_name_is_called_localhost() {
    let (upstream, sockets) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let path = sockets.path().join("api.sock");
    let _relay = relay(&path, upstream.address());
    let servers = format!("upstreams.main = {{ host = 'server', servers = ['unix:{}'] }}", path.display());
    let gateway = Gateway::with(&upstream, &servers).await;
    let pair = gateway.login(&USER).await;
    let get = format!("GET / HTTP/1.1\r\nHost: api.example.com\r\n{}\r\n", pair.lines());
    assert_eq!(gateway.request(get).await.status, 200);
    let request = upstream.only_request();
    assert_eq!(request.field("host").as_deref(), Some("localhost"));
    assert_eq!(request.field("x-forwarded-host").as_deref(), Some("api.example.com"));
}

#[tokio::test]
async fn a_unix_socket_that_is_not_there_is_502() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "upstreams.main = { servers = ['unix:DIR/none.sock'] }").await;
    let pair = gateway.login(&USER).await;
    gateway.get("/", &pair.lines()).await.is_refusal(502, "The API cannot be reached");
    upstream.saw_nothing();
}

/// Stands in front of a recording upstream as a Unix socket; the end of a connection is the end of both its halves.
fn relay(path: &Path, to: SocketAddr) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut downstream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut upstream = TcpStream::connect(to).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await);
            });
        }
    })
}
