//! Places that answers name: a prefix that was cut comes back, and a server's own name becomes the one the client knows.

use crate::harness::{Answer, Gateway, Reply, USER, Upstream, upgrade};

const STRIPPED: &str = "routes = [{ path = '/engine', upstream = 'main', strip_prefix = true }]";
const RENAMED: &str = "upstreams.main.host = 'server'";

#[tokio::test]
async fn a_stripped_prefix_leaves_one_slash_and_comes_back_in_answers() {
    let upstream = Upstream::answering(
        "HTTP/1.1 201 Created\r\nLocation: /made/1\r\nContent-Location: /made/1?x\r\nSet-Cookie: a=b; Path=/made; Secure\r\n\
         Set-Cookie: __Host-c=d; Path=/; Secure\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let (gateway, lines) = in_front_of(&upstream, STRIPPED).await;
    for (asked, sent) in
        [("/engine", "/"), ("/engine?q", "/?q"), ("/engine/", "/"), ("/engine/a/b?c=/engine", "/a/b?c=/engine")]
    {
        let answer = gateway.get(asked, &lines).await;
        assert_eq!((answer.status, upstream.last_request().target()), (201, sent), "{asked}");
        assert_eq!(answer.field("location"), Some("/engine/made/1"));
        assert_eq!(answer.field("content-location"), Some("/engine/made/1?x"));
        assert_eq!(
            answer.fields.all("set-cookie"),
            ["a=b; Path=/engine/made; Secure", "__Host-c=d; Path=/; Secure"],
            "a __Host- cookie is good for / only"
        );
    }
    drop(gateway.get("/engine//evil.example/x", &lines).await);
    assert!(upstream.requests().iter().all(|request| !request.target().starts_with("//")));
}

#[tokio::test]
async fn a_redirect_to_what_the_client_asked_gets_the_prefix_back_and_one_elsewhere_passes_unchanged() {
    let upstream = Upstream::scripted(redirect).await;
    let (gateway, lines) = in_front_of(&upstream, STRIPPED).await;
    for (to, given) in [
        ("https://localhost/x?y#z", "https://localhost/engine/x?y#z"),
        ("//localhost/x", "//localhost/engine/x"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
        ("//elsewhere.example/x", "//elsewhere.example/x"),
        ("x/y", "x/y"),
    ] {
        assert_eq!(redirected(&gateway, ("/engine", to), &lines).await.field("location"), Some(given));
    }
    let own = format!("http://{}/x", upstream.address());
    let answer = redirected(&gateway, ("/engine", &own), &lines).await;
    assert_eq!(answer.field("location"), Some(own.as_str()), "the server was told the client's host");
}

#[tokio::test]
async fn a_server_that_was_told_its_own_name_redirects_to_the_clients() {
    for (settings, prefix) in [(RENAMED.to_owned(), ""), (format!("{RENAMED}\n{STRIPPED}"), "/engine")] {
        let upstream = Upstream::scripted(redirect).await;
        let (gateway, lines) = in_front_of(&upstream, &settings).await;
        let own = upstream.address();
        for (to, given) in [
            (format!("http://{own}/x?y#z"), format!("https://localhost{prefix}/x?y#z")),
            (format!("https://{own}/x"), format!("https://localhost{prefix}/x")),
            (format!("//{own}/x"), format!("//localhost{prefix}/x")),
            (format!("http://{own}"), format!("https://localhost{prefix}")),
            ("/x".into(), format!("{prefix}/x")),
            ("http://127.0.0.1:1/x".into(), "http://127.0.0.1:1/x".into()),
            (format!("http://{own}@elsewhere.example/"), format!("http://{own}@elsewhere.example/")),
        ] {
            let answer = redirected(&gateway, (prefix, &to), &lines).await;
            assert_eq!(answer.field("location"), Some(given.as_str()), "{to}");
            assert_eq!(upstream.last_request().field("host"), Some(own.to_string()));
        }
    }
}

#[tokio::test]
async fn a_client_without_tls_is_redirected_without_it() {
    let upstream = Upstream::scripted(redirect).await;
    let (gateway, lines) = in_front_of(&upstream, RENAMED).await;
    let to = format!("http://{}/x", upstream.address());
    let get = format!("GET /?{to} HTTP/1.1\r\nHost: gate.example:81\r\n{lines}\r\n");
    let answer = gateway.plain().await.request(get).await;
    assert_eq!(answer.field("location"), Some("http://gate.example:81/x"));
}

#[tokio::test]
async fn each_server_is_told_its_own_name() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let settings =
        format!("upstreams.main = {{ servers = ['UPSTREAM', 'http://{}'], host = 'server' }}", two.address());
    let (gateway, lines) = in_front_of(&one, &settings).await;
    for _ in 0..8 {
        assert_eq!(gateway.get("/", &lines).await.status, 200);
    }
    for upstream in [&one, &two] {
        let requests = upstream.requests();
        assert!(!requests.is_empty() && requests.len() < 8);
        assert!(requests.iter().all(|request| request.field("host") == Some(upstream.address().to_string())));
    }
    one.stop().await;
    assert_eq!(gateway.get("/", &lines).await.status, 200);
    assert_eq!(two.last_request().field("host"), Some(two.address().to_string()), "the second attempt's own");
}

#[tokio::test]
async fn a_websocket_handshakes_cookie_gets_the_prefix_back() {
    let upstream = Upstream::scripted(|request| {
        let accepted = upgrade::accepted(&request.fields());
        let cookie = "\r\nSet-Cookie: a=b; Path=/\r\n\r\n";
        Reply::RawThenClose(accepted.replacen("\r\n\r\n", cookie, 1).into())
    })
    .await;
    let (gateway, lines) = in_front_of(&upstream, STRIPPED).await;
    let mut connection = gateway.connect().await;
    connection.send(upgrade::request("/engine/ws", &lines)).await;
    let (status, fields) = connection.head().await;
    assert_eq!((status, fields.one("set-cookie")), (101, Some("a=b; Path=/engine")));
    assert_eq!(upstream.only_request().target(), "/ws");
}

/// 302 to what the query says.
fn redirect(request: &crate::harness::Recorded) -> Reply {
    let to = request.target().split_once('?').map_or("", |(_, to)| to).replace("%23", "#");
    Reply::Raw(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into())
}

async fn redirected(gateway: &Gateway, (prefix, to): (&str, &str), lines: &str) -> Answer {
    gateway.get(&format!("{prefix}/?{}", to.replace('#', "%23")), lines).await
}

async fn in_front_of(upstream: &Upstream, settings: &str) -> (Gateway, String) {
    let gateway = Gateway::with(upstream, settings).await;
    let lines = gateway.login(&USER).await.lines();
    (gateway, lines)
}
