//! APIs behind TLS: spoken to only once they have proven who they are.

use std::process::Command;

use rcgen::CertificateParams;
use rustls::HandshakeKind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::harness::tls::{Authority, Identity};
use crate::harness::{Frame, Gateway, USER, Upstream, WebSocket, eventually};

const BELIEVED: &str = "upstreams.main.tls = { ca = 'DIR/upstream.pem' }";

#[tokio::test]
async fn a_server_that_proves_its_name_is_spoken_to_in_http_1() {
    let authority = Authority::new("upstreams");
    let (upstream, gateway, lines) = setup(&authority, &authority.server(&["localhost"]), BELIEVED).await;
    assert_eq!(gateway.get("/x?y", &lines).await.text(), "behind");
    assert_eq!(upstream.only_request().line(), "GET /x?y HTTP/1.1");
    let [handshake] = &upstream.handshakes()[..] else { panic!("one connection") };
    assert_eq!((handshake.name.as_deref(), handshake.alpn.as_deref()), (Some("localhost"), Some(&b"http/1.1"[..])));
}

#[tokio::test]
async fn the_protocol_that_is_forwarded_is_the_clients() {
    let authority = Authority::new("upstreams");
    let (upstream, gateway, lines) = setup(&authority, &authority.server(&["localhost"]), BELIEVED).await;
    gateway.get("/", &lines).await;
    assert_eq!(upstream.last_request().field("x-forwarded-proto").as_deref(), Some("https"));
    gateway.plain().await.request(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).await;
    assert_eq!(upstream.last_request().field("x-forwarded-proto").as_deref(), Some("http"));
}

#[tokio::test]
async fn a_server_that_proves_nothing_is_502_and_is_sent_nothing() {
    let (authority, stranger) = (Authority::new("upstreams"), Authority::new("upstreams"));
    let mut old = CertificateParams::new(["localhost".to_owned()]).unwrap();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    for identity in [authority.server(&["elsewhere"]), stranger.server(&["localhost"]), authority.sign(&old)] {
        let (upstream, gateway, lines) = setup(&authority, &identity, BELIEVED).await;
        gateway.get("/", &lines).await.is_refusal(502, "The API cannot be reached");
        assert!(upstream.handshakes().is_empty());
        upstream.saw_nothing();
    }
}

#[tokio::test]
async fn a_server_without_tls_behind_an_https_url_is_502() {
    let authority = Authority::new("upstreams");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = plain.accept().await {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    });
    let settings = format!("{BELIEVED}\nupstreams.main.servers = ['https://localhost:{port}']");
    let upstream = Upstream::start().await;
    let gateway = Gateway::with_files(&upstream, &settings, &[("upstream.pem", &authority.pem())]).await;
    let lines = gateway.login(&USER).await.lines();
    gateway.get("/", &lines).await.is_refusal(502, "The API cannot be reached");
}

#[tokio::test]
async fn a_server_may_be_known_by_a_name_that_is_not_its_host() {
    let authority = Authority::new("upstreams");
    let named = "upstreams.main.tls = { ca = 'DIR/upstream.pem', server_name = 'engine.internal' }";
    let (upstream, gateway, lines) = setup(&authority, &authority.server(&["engine.internal"]), named).await;
    assert_eq!(gateway.get("/", &lines).await.status, 200);
    assert_eq!(upstream.handshakes()[0].name.as_deref(), Some("engine.internal"));
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_504_by_the_connect_timeout() {
    let authority = Authority::new("upstreams");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = format!(
        "{BELIEVED}\nupstreams.main.servers = ['https://localhost:{}']\nupstreams.main.connect_timeout = '200ms'",
        silent.local_addr().unwrap().port()
    );
    let upstream = Upstream::start().await;
    let gateway = Gateway::with_files(&upstream, &settings, &[("upstream.pem", &authority.pem())]).await;
    let lines = gateway.login(&USER).await.lines();
    gateway.get("/", &lines).await.is_refusal(504, "The API took too long");
}

#[tokio::test]
async fn a_new_connection_resumes_what_was_agreed_on_before() {
    let authority = Authority::new("upstreams");
    let settings = format!("{BELIEVED}\nupstreams.main.idle_timeout = '0s'\nserver.workers = 1");
    let (upstream, gateway, lines) = setup(&authority, &authority.server(&["localhost"]), &settings).await;
    for _ in 0..2 {
        assert_eq!(gateway.get("/", &lines).await.status, 200);
    }
    let kinds: Vec<_> = upstream.handshakes().into_iter().map(|handshake| handshake.kind).collect();
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed]);
}

#[tokio::test]
async fn a_changed_authority_counts_for_connections_that_are_open_already() {
    let (authority, other) = (Authority::new("upstreams"), Authority::new("others"));
    let settings = format!("{BELIEVED}\nupstreams.main.idle_timeout = '60s'");
    let (upstream, gateway, lines) = setup(&authority, &authority.server(&["localhost"]), &settings).await;
    assert_eq!(gateway.get("/", &lines).await.status, 200);
    let ca = gateway.dir.path().join("upstream.pem");
    std::fs::write(&ca, other.pem()).unwrap();
    eventually("distrust", || async { gateway.get("/", &lines).await.status == 502 }).await;
    let seen = upstream.requests().len();
    gateway.get("/", &lines).await.is_refusal(502, "The API cannot be reached");
    assert_eq!(upstream.requests().len(), seen);
    std::fs::write(&ca, authority.pem() + &other.pem()).unwrap();
    eventually("trust", || async { gateway.get("/", &lines).await.status == 200 }).await;
}

#[tokio::test]
async fn a_reload_that_names_servers_otherwise_uses_no_connection_from_before() {
    let authority = Authority::new("upstreams");
    let (upstream, gateway, lines) = setup(&authority, &authority.server(&["localhost"]), BELIEVED).await;
    assert_eq!(gateway.get("/", &lines).await.status, 200);
    let other = "upstreams.main.tls = { ca = 'DIR/upstream.pem', server_name = 'engine.internal' }";
    gateway.reload(&upstream, other);
    eventually("distrust", || async { gateway.get("/", &lines).await.status == 502 }).await;
    let seen = upstream.requests().len();
    gateway.get("/", &lines).await.is_refusal(502, "The API cannot be reached");
    assert_eq!(upstream.requests().len(), seen);
}

#[tokio::test]
async fn a_websocket_passes_through_to_a_server_with_tls() {
    let authority = Authority::new("upstreams");
    let (_upstream, gateway, lines) = setup(&authority, &authority.server(&["localhost"]), BELIEVED).await;
    let opened = WebSocket::open(gateway.connect().await, "/", &lines).await;
    let mut socket = opened.unwrap_or_else(|answer| panic!("{}", answer.status));
    socket.say("hello").await;
    assert_eq!(socket.hear().await, Frame::Text("hello".into()));
}

#[tokio::test]
async fn without_a_file_the_systems_authorities_are_believed_and_none_is_an_error() {
    let authority = Authority::new("upstreams");
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    let dir = gateway.dir.path();
    let config = std::fs::read_to_string(dir.join("gatewarden.toml")).unwrap();
    std::fs::write(dir.join("gatewarden.toml"), config.replace("http://", "https://")).unwrap();
    std::fs::write(dir.join("system.pem"), authority.pem()).unwrap();
    std::fs::write(dir.join("none.pem"), "").unwrap();
    let check = |roots: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatewarden"));
        command.args(["check", "--config"]).arg(dir.join("gatewarden.toml"));
        command.env_clear().env("SSL_CERT_FILE", dir.join(roots)).env("SSL_CERT_DIR", dir.join("nowhere"));
        command.output().unwrap()
    };
    assert!(check("system.pem").status.success());
    let without = check("none.pem");
    let told = String::from_utf8_lossy(&without.stderr).into_owned();
    assert_eq!(without.status.code(), Some(64), "{told}");
    assert!(told.contains("this system trusts no authority") && told.contains("install ca-certificates"), "{told}");
}

/// A gateway in front of a server with that certificate, and a pair.
async fn setup(authority: &Authority, identity: &Identity, settings: &str) -> (Upstream, Gateway, String) {
    let upstream = Upstream::secured(identity).await;
    let gateway = Gateway::with_files(&upstream, settings, &[("upstream.pem", &authority.pem())]).await;
    let lines = gateway.login(&USER).await.lines();
    (upstream, gateway, lines)
}
