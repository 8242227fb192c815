//! What keeps clients on TLS: Strict-Transport-Security, and the listener that only redirects.

use crate::harness::{Connection, Gateway, Reply, USER, Upstream};

const HSTS: &str = "strict-transport-security";

#[tokio::test]
async fn every_answer_over_tls_says_for_how_long_and_none_in_the_clear() {
    let upstream =
        Upstream::scripted(|_| Reply::ok("Strict-Transport-Security: max-age=1; preload\r\n", "behind")).await;
    let gateway = Gateway::with(&upstream, "tls.hsts = '365d'\ncors = {}").await;
    let lines = gateway.login(&USER).await.lines();
    let h2 = gateway.h2().await;
    for (path, lines, status) in [("/", &*lines, 200), ("/", "", 401), ("/login", "", 405), ("/%00", "", 400)] {
        let answer = gateway.get(path, lines).await;
        assert_eq!((answer.status, answer.field(HSTS)), (status, Some("max-age=31536000")), "{path}");
        let plain =
            gateway.plain().await.request(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).await;
        assert_eq!((plain.status, plain.field(HSTS)), (status, None), "{path}");
        let answer = h2.request("GET", path, &[]).await;
        assert_eq!(answer.headers.get(HSTS).map(|value| value.to_str().unwrap()), Some("max-age=31536000"), "{path}");
    }
}

#[tokio::test]
async fn unless_it_is_asked_for_the_apis_word_stands() {
    let upstream = Upstream::scripted(|_| Reply::ok("Strict-Transport-Security: max-age=1\r\n", "behind")).await;
    let gateway = Gateway::start(&upstream).await;
    let lines = gateway.login(&USER).await.lines();
    assert_eq!(gateway.get("/", &lines).await.field(HSTS), Some("max-age=1"));
    assert_eq!(gateway.get("/", "").await.field(HSTS), None);
}

#[tokio::test]
async fn a_redirect_listener_names_the_same_place_over_tls_and_forwards_nothing() {
    let (upstream, gateway, lines) = redirecting("").await;
    let port = gateway.tls.port();
    for (method, target, host, place) in [
        ("GET", "/a/b?x=%20&y", "localhost", "localhost"),
        ("POST", "/login", "API.example.com:80", "API.example.com"),
        ("HEAD", "/", "127.0.0.1", "127.0.0.1"),
        ("DELETE", "//evil.example/x", "[::1]:8080", "[::1]"),
    ] {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n{lines}\r\n");
        let mut connection = gateway.plain().await;
        let answer = connection.request(request).await;
        assert_eq!(answer.status, 308, "{target}");
        assert_eq!(answer.field("location"), Some(&*format!("https://{place}:{port}{target}")));
        assert_eq!(answer.field("connection"), Some("close"));
        assert!(connection.closed().await);
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn what_is_ambiguous_is_refused_and_never_reflected() {
    let (upstream, gateway, _) = redirecting("").await;
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        "GET / HTTP/1.1\r\nHost: evil.example/x\r\n",
        "GET / HTTP/1.1\r\nHost: a@evil.example\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n",
        "GET /../x HTTP/1.1\r\nHost: localhost\r\n",
        "GET /x%00 HTTP/1.1\r\nHost: localhost\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n",
        "GET / HTTP/1.0\r\n",
    ] {
        let answer = gateway.plain().await.request(format!("{head}\r\n")).await;
        assert_eq!((answer.status, answer.field("location")), (400, None), "{head}");
    }
    let connect =
        gateway.plain().await.request("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n").await;
    assert_eq!(connect.field("location"), None);
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_preflight_is_redirected_too_and_an_upload_is_not_read() {
    let (upstream, gateway, _) = redirecting("cors = {}").await;
    let preflight =
        "OPTIONS /x HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a\r\nAccess-Control-Request-Method: PUT\r\n\r\n";
    assert_eq!(gateway.plain().await.request(preflight).await.status, 308);
    let upload = "POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(gateway.plain().await.request(upload).await.status, 308);
    upstream.saw_nothing();
}

#[tokio::test]
async fn credentials_in_a_query_stay_out_of_the_log() {
    let (_upstream, gateway, _) = redirecting("log = { access = 'DIR/access.log', query = true }").await;
    let pair = gateway.login(&USER).await;
    let request = format!("GET /x?{}&z=1 HTTP/1.1\r\nHost: localhost\r\n\r\n", pair.query());
    let mut connection: Connection = gateway.plain().await;
    assert_eq!(connection.request(request).await.status, 308);
    crate::harness::eventually("an access line", || async { gateway.access_log().contains("z=1") }).await;
    let log = gateway.access_log();
    assert!(log.contains("308") && !log.contains(&pair.key) && !log.contains(&pair.token), "{log}");
}

/// A gateway whose listener without TLS redirects, and a pair.
async fn redirecting(settings: &str) -> (Upstream, Gateway, String) {
    let upstream = Upstream::start().await;
    let listeners = "listeners = [{ address = '127.0.0.1:0', tls = true },
                                  { address = '127.0.0.1:0', tls = false, redirect = true }]";
    let gateway = Gateway::with(&upstream, &format!("{listeners}\n{settings}")).await;
    let lines = gateway.login(&USER).await.lines();
    (upstream, gateway, lines)
}
