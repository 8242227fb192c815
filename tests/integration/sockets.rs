//! Sockets that are more than a TCP port of the loopback: several, dual stack, Unix sockets on both sides.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::harness::{Connection, Frame, Gateway, USER, Upstream, WebSocket, tls};

const UNIX: &str = "listeners = [{ address = '127.0.0.1:0', tls = true }, { address = 'unix:DIR/plain.sock', tls = false }, \
                    { address = 'unix:DIR/tls.sock', tls = true }]";

#[tokio::test]
async fn a_unix_socket_is_a_listener_like_others_and_its_peers_are_this_machine() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, UNIX).await;
    let pair = gateway.login(&USER).await;
    let get = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: 1.1.1.1\r\n{}\r\n", pair.lines());
    let mut plain = Connection::over(unix(&gateway, "plain.sock").await);
    assert_eq!(plain.request(&get).await.text(), "behind");
    let request = upstream.last_request();
    assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(request.field("x-forwarded-proto").as_deref(), Some("http"));
    let stream = tls::over(unix(&gateway, "tls.sock").await, &tls::config(&gateway.ca, None).into(), "localhost").await;
    let mut secure = Connection::over(stream.unwrap());
    assert_eq!(secure.request(&get).await.status, 200);
    assert_eq!(upstream.last_request().field("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(plain.request("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await.status, 401);
}

#[tokio::test]
async fn a_proxy_on_this_machine_is_believed_over_a_unix_socket_where_loopback_is_trusted() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, &format!("{UNIX}\nserver.trusted_proxies = ['127.0.0.1']")).await;
    let pair = gateway.login(&USER).await;
    let get = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n{}\r\n", pair.lines());
    assert_eq!(Connection::over(unix(&gateway, "plain.sock").await).request(get).await.status, 200);
    assert_eq!(upstream.only_request().field("x-forwarded-for").as_deref(), Some("1.1.1.1"));
}

#[tokio::test]
async fn a_unix_sockets_file_is_for_user_and_group_and_goes_with_the_drain() {
    let gateway = Gateway::with(&Upstream::start().await, UNIX).await;
    let path = gateway.dir.path().join("plain.sock");
    let found = std::fs::metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o7777, 0o660);
    let folder = gateway.dir.path().to_owned();
    let names = move || {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        entries.filter(|name| name.to_string_lossy().ends_with(".sock")).count()
    };
    assert_eq!(names(), 2);
    let mut connection = Connection::over(unix(&gateway, "plain.sock").await);
    gateway.drain();
    crate::harness::eventually("the files to go", || std::future::ready(names() == 0)).await;
    assert!(connection.closed().await);
    gateway.ended().await;
}

#[tokio::test]
async fn the_unspecified_ipv6_address_takes_ipv4_as_well() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "listeners = [{ address = '[::]:0', tls = true }]").await;
    let pair = gateway.login(&USER).await;
    for (address, told) in [(Ipv4Addr::LOCALHOST.into(), "127.0.0.1"), (Ipv6Addr::LOCALHOST.into(), "::1")] {
        let mut connection = Connection::tls(SocketAddr::new(address, gateway.tls.port()), &gateway.ca).await;
        let get = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
        assert_eq!(connection.request(get).await.status, 200);
        assert_eq!(upstream.last_request().field("x-forwarded-for").as_deref(), Some(told));
    }
}

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

async fn unix(gateway: &Gateway, name: &str) -> UnixStream {
    UnixStream::connect(gateway.dir.path().join(name)).await.unwrap()
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
