//! Family 3, hop-by-hop abuse: a `Connection` line that names what the gateway says or judges changes neither. CVE-2021-32813,
//! CVE-2024-45410, CVE-2026-29054 (Traefik), CVE-2022-31813 (Apache).

use super::{Line, ROUTES, Scene, Way, line, lines};
use crate::harness::{Recorded, USER};

/// What a client could wish away.
const NAMES: [&str; 12] = [
    "X-Webitel-User",
    "X-Webitel-Domain",
    "X-Webitel-Role",
    "X-Webitel-Session",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Request-Id",
    "X-Key",
    "X-Access-Token",
    "Host",
    "Forwarded",
];

/// `Connection` lines that name them, in every form of a list.
fn connections() -> Vec<Vec<Line>> {
    let each = NAMES.iter().map(|name| vec![line("Connection", name)]);
    let all = NAMES.join(",");
    let forms = [
        vec![line("Connection", &all)],
        vec![line("connection", NAMES.join(" ,\t, "))],
        vec![line("CONNECTION", all.to_uppercase())],
        vec![line("Connection", format!("keep-alive, {all}"))],
        vec![line("Connection", ""), line("Connection", &all)],
        NAMES.iter().map(|name| line("Connection", name)).collect(),
        vec![line("Connection", "keep-alive"), line("Connection", &all), line("Connection", "te")],
        // Bytes that are no text, in a token of their own or beside a name.
        vec![line("Connection", [b"\xff\xfe, ", all.as_bytes(), b", \xe4"].concat())],
        vec![line("Connection", [all.as_bytes(), b"\xff"].concat()), line("Connection", &all)],
        vec![line("Connection", format!("\"{all}\"")), line("Connection", format!("({all}), {all}"))],
        vec![line("Proxy-Connection", &all), line("Keep-Alive", &all), line("Connection", &all)],
    ];
    each.chain(forms).collect()
}

#[track_caller]
fn is_told_everything(what: &str, request: &Recorded) {
    for (name, value) in [
        ("x-webitel-user", USER.name),
        ("x-webitel-domain", "mydomain.com"),
        ("x-webitel-role", USER.role),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(request.field(name).as_deref(), Some(value), "{what}");
    }
    for name in ["x-webitel-session", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "host"] {
        assert!(request.field(name).is_some_and(|value| !value.is_empty()), "{what}: {name}");
    }
    for name in ["x-key", "x-access-token", "forwarded"] {
        assert_eq!(request.field(name), None, "{what}");
    }
}

#[tokio::test]
async fn no_connection_line_takes_away_what_the_gateway_says() {
    let scene = Scene::new(ROUTES).await;
    for connection in connections() {
        for way in [Way::Http1, Way::Upgrade1] {
            for (first, second) in [(connection.clone(), lines(&scene.pair)), (lines(&scene.pair), connection.clone())]
            {
                let seen = scene.ask(way, "/x", &[first, second].concat()).await;
                is_told_everything(&format!("{way:?} {connection:?}"), seen.passed("a Connection line"));
            }
        }
    }
}

#[tokio::test]
async fn no_connection_line_lets_anybody_in_or_past_a_judgement() {
    let scene = Scene::new(ROUTES).await;
    let (key, token) = (line("X-Key", &scene.pair.key), line("X-Access-Token", &scene.pair.token));
    for connection in connections() {
        for way in [Way::Http1, Way::Upgrade1] {
            for (target, status, asked) in [
                ("/x", 401, vec![]),
                ("/x", 401, vec![key.clone()]),
                ("/x", 401, vec![token.clone()]),
                // What is repeated stays repeated, though a Connection line would take one copy away.
                ("/x", 401, vec![key.clone(), key.clone(), token.clone()]),
                ("/x", 401, vec![key.clone(), token.clone(), token.clone()]),
                ("/root/x", 403, lines(&scene.pair)),
                ("/shut", 403, lines(&scene.pair)),
            ] {
                let seen = scene.ask(way, target, &[connection.clone(), asked].concat()).await;
                seen.is_refused(status, &format!("{way:?} {target} {connection:?}"));
            }
        }
    }
}

#[tokio::test]
async fn a_connection_line_makes_nobody_of_whom_a_public_route_knows_nothing() {
    let scene = Scene::new(ROUTES).await;
    for connection in connections() {
        let seen = scene.ask(Way::Http1, "/open/x", &[connection, lines(&scene.pair)].concat()).await;
        let request = seen.passed("a public route");
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        assert!(request.field("host").is_some() && request.field("x-webitel-user").is_none(), "{}", request.head);
    }
}

#[tokio::test]
async fn where_credentials_are_forwarded_a_connection_line_takes_none_away() {
    let scene = Scene::new("routes = [{ path = '/', upstream = 'main', forward_credentials = true }]").await;
    for connection in connections() {
        let seen = scene.ask(Way::Http1, "/x", &[connection, lines(&scene.pair)].concat()).await;
        let request = seen.passed("credentials");
        assert_eq!(request.field("x-key").as_deref(), Some(&*scene.pair.key));
        assert_eq!(request.field("x-access-token").as_deref(), Some(&*scene.pair.token));
    }
}

/// Every line is honoured, and every copy of a name that one mentions goes: what is left on the next hop is nobody's to abuse.
#[tokio::test]
async fn what_a_connection_line_names_goes_with_all_its_copies() {
    let scene = Scene::new(ROUTES).await;
    let connection = [line("Connection", "X-One, x-two"), line("Connection", b"\xff, X-THREE")];
    let named = ["X-One", "x-one", "X-Two", "X-Two", "x-THREE", "X-Three"].map(|name| line(name, "1"));
    let hops = [
        line("Keep-Alive", "max=1"),
        line("Proxy-Connection", "keep-alive"),
        line("Proxy-Authorization", "Basic eDp5"),
        line("TE", "gzip, trailers;q=0.5, trailers"),
        line("HTTP2-Settings", "AAMAAABk"),
        line("X-Four", "4"),
    ];
    for target in ["/x", "/open"] {
        let asked = [&connection[..], &named[..], &hops[..], &lines(&scene.pair)[..]].concat();
        let seen = scene.ask(Way::Http1, target, &asked).await;
        let request = seen.passed(target);
        for gone in ["x-one", "x-two", "x-three", "keep-alive", "proxy-connection", "proxy-authorization"] {
            assert_eq!(request.fields().all(gone), Vec::<&str>::new(), "{gone}");
        }
        for gone in ["http2-settings", "upgrade"] {
            assert_eq!(request.field(gone), None, "{gone}");
        }
        assert_eq!(request.field("te").as_deref(), Some("trailers"));
        assert_eq!(request.field("x-four").as_deref(), Some("4"));
    }
}

/// A body whose length was wished away would be read as the next request.
#[tokio::test]
async fn a_connection_line_that_names_the_framing_desyncs_nothing() {
    let scene = Scene::new(ROUTES).await;
    for named in ["Content-Length", "Transfer-Encoding", "Content-Length, Transfer-Encoding", "close, content-length"] {
        for (framing, body) in
            [("Content-Length: 5", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n")]
        {
            let head = format!("POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: {named}\r\n{framing}\r\n");
            let request = format!("{head}{}\r\n{body}", scene.pair.lines());
            assert_eq!(scene.gateway.plain().await.request(request).await.status, 200, "{named}");
            let request = scene.upstream.last_request();
            assert_eq!((request.line(), &*request.body), ("POST /x HTTP/1.1", &b"hello"[..]), "{named}");
            let framings = ["content-length", "transfer-encoding"].map(|name| request.fields().all(name).len());
            assert_eq!(framings.iter().sum::<usize>(), 1, "{named}: {}", request.head);
        }
    }
    assert!(scene.upstream.requests().iter().all(|request| request.line() == "POST /x HTTP/1.1"));
}

/// HTTP/2 has no such headers (RFC 9113, section 8.2.2).
#[tokio::test]
async fn connection_headers_of_http_2_are_malformed_and_never_forwarded() {
    let scene = Scene::new(ROUTES).await;
    for bad in
        ["connection: x-key", "keep-alive: 1", "proxy-connection: x", "transfer-encoding: chunked", "upgrade: h2c"]
    {
        let (name, value) = bad.split_once(": ").unwrap();
        let mut request = scene.h2.build("GET", "/x", &[]).body(crate::harness::body("")).unwrap();
        for (name, value) in [(name, value), ("x-key", &scene.pair.key), ("x-access-token", &scene.pair.token)] {
            request.headers_mut().insert(name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap());
        }
        // The client's library may take them out; whatever comes out of it, the upstream sees one canonical request.
        drop(scene.h2.send(request).await);
    }
    for request in scene.upstream.requests() {
        is_told_everything("HTTP/2", &request);
    }
}
