//! Family 4, paths that the rule and the upstream read differently: what cannot be judged unambiguously is 400, all else reaches the
//! upstream byte for byte. CVE-2026-33494 (oathkeeper), CVE-2025-54576 and CVE-2026-41059 (oauth2-proxy), CVE-2025-66490 (Traefik),
//! CVE-2019-9901 (Envoy), CVE-2021-32637 (Authelia). What real upstreams make of a path is in `readers`.

use crate::harness::{Gateway, USER, Upstream};

const ROUTES: &str = "routes = [
    { path = '/', upstream = 'main' },
    { path = '/private', access = 'deny' },
    { path = '/exact', exact = true, access = 'deny' },
    { path = '/Upper/x', upstream = 'main', roles = ['root'] },
]";

#[tokio::test]
async fn a_path_too_odd_to_be_judged_is_refused_and_never_forwarded() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    for odd in ["/", "/;", "%252f", "a;/"] {
        let path = format!("/{}", odd.repeat(30_000 / odd.len()));
        assert_eq!(gateway.get(&path, &pair.lines()).await.status, 400, "{odd}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn paths_that_no_two_readers_read_alike_are_400() {
    let (upstream, gateway, lines) = setup("").await;
    for path in [
        "/.",
        "/..",
        "/./a",
        "/a/.",
        "/a/..",
        "/a/../b",
        "/%2e",
        "/%2E%2e/",
        "/a/%2e%2e/b",
        "/a/.%2e/b",
        "/a/%2e./b",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%5C..%5Cb",
        "/a%00b",
        "/%00",
        "/a%0a",
        "/a%0D%0Ab",
        "/a%09",
        "/%1f/a",
        "/a%7F",
        "/%",
        "/a%2",
        "/a%zz",
        "/%g0",
        "/a\\b",
        "/..\\a",
    ] {
        let answer = gateway.get(path, &lines).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_fragment_is_400() {
    let (upstream, gateway, lines) = setup("").await;
    for path in ["/a#b", "/#", "/a?b#c", "/a#/private"] {
        gateway.get(path, &lines).await.is_refusal(400, "The target holds a fragment");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_target_without_a_path_is_400() {
    let (upstream, gateway, lines) = setup("").await;
    for target in ["http://localhost?x=1", "http://localhost?", "?x=1"] {
        assert_eq!(gateway.get(target, &lines).await.status, 400, "{target}");
    }
    upstream.saw_nothing();
    assert_eq!(gateway.get("http://localhost", &lines).await.status, 200);
    assert_eq!(upstream.only_request().target(), "/");
}

#[tokio::test]
async fn controls_and_spaces_in_a_request_line_are_400() {
    let (upstream, gateway, lines) = setup("").await;
    for path in ["/a b", "/a\tb", "/a\x01b", "/a\x7fb", "/a\0b"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        assert_eq!(gateway.request(request).await.status, 400, "{path:?}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn an_asterisk_is_for_options_only() {
    let (upstream, gateway, lines) = setup("").await;
    for method in ["GET", "POST", "HEAD"] {
        let request = format!("{method} * HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{lines}\r\n");
        assert_eq!(gateway.request(request).await.status, 400, "{method}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn paths_that_another_reading_gives_to_another_route_are_400() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    for path in [
        "/PRIVATE",
        "/Private/x",
        "//private",
        "//private/x",
        "/%70rivate",
        "/%2570rivate",
        "/private;x=1",
        "/private;/x",
        "/exact/",
        "/EXACT",
        "/exact;a=b",
        "/%65xact/",
        "//EXACT;x/",
        "/upper/x",
        "/Upper//x",
        "/upper/x/y",
        "/private.",
        "/private./x",
        "/private..../x",
        "/private%20",
        "/%20private",
        "/private%20.%20/x",
        "/private%2e",
        "/private%2520",
        "/private%250a",
        "/exact.",
        "/exact%20/",
        "/private;",
        "/private%3b",
        "/private%253b",
        "/private%0a",
        "/private%00",
        "/private%00/x",
        "/private%23",
        "/private%3fx",
        "/private%253Fx",
        "/x%255c..%255cprivate",
        "/x%252f%252e%252e%252fprivate",
        // In full width, with a long s, and with letters that are encoded longer than they may be.
        "/%EF%BD%90rivate",
        "/private%EF%BC%8Fx",
        "/x%EF%BC%8F%EF%BC%8E%EF%BC%8E%EF%BC%8Fprivate",
        "/private%EF%BC%9Bx",
        "/private%E3%80%80",
        "/private%C2%A0/x",
        "/private%C0%AFx",
        "/x%C0%AF%C0%AE%C0%AE%E0%80%AFprivate",
        "/%C1%B0rivate",
        "/private%F0%80%80%AF",
        // Without a dot or with one too many, and behind more slashes than a host needs.
        "/pr%C4%B1vate",
        "/PR%C4%B0VATE",
        "///host/private",
        "/////u@host:80/private/x",
        "/x/..%20/private",
        "/x/%20..%09/private",
        "/private%EF%BB%BF",
        "/private%E2%80%A8",
    ] {
        let answer = gateway.get(path, &lines).await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn the_same_readings_pass_where_they_select_the_same_route() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    for path in [
        "/PRIVATEER",
        "/privateer",
        "//a//b",
        "/a/",
        "/a;b",
        "/%61",
        "/exact/x",
        "/exacte",
        "/a.",
        "/a%20/b",
        "/.private",
        "/%EF%BD%90ublic",
        "/a%EF%BC%8Fb",
        "/a%3fb",
        "/%E4",
        "/%D0%97%D0%B0%D0%BF%D0%B8%D1%81%D1%8C/%C0",
    ] {
        assert_eq!(gateway.get(path, &lines).await.status, 200, "{path}");
        assert_eq!(upstream.last_request().target(), path);
    }
}

#[tokio::test]
async fn all_else_reaches_the_upstream_byte_for_byte() {
    let (upstream, gateway, lines) = setup("").await;
    for target in [
        "/",
        "/a//b;c=d/%41%7e/",
        "/%e2%82%AC/%20",
        "/a.b/..c/...",
        "/~user/@me/(x)/!$&'*+,=:",
        "/a?",
        "/a??b=c&&d=%zz&e=../..&f=%2f",
        "/%25",
        "/a?x=//private&y=[1]",
    ] {
        assert_eq!(gateway.get(target, &lines).await.status, 200, "{target}");
        assert_eq!(upstream.last_request().line(), format!("GET {target} HTTP/1.1"));
    }
}

#[tokio::test]
async fn an_encoded_slash_passes_where_the_route_keeps_it() {
    let settings = "routes = [{ path = '/', upstream = 'main', encoded_slash = 'keep' }]";
    let (upstream, gateway, lines) = setup(settings).await;
    for path in ["/a%2Fb", "/a%2fb%5cc"] {
        assert_eq!(gateway.get(path, &lines).await.status, 200, "{path}");
        assert_eq!(upstream.last_request().target(), path);
    }
    for path in ["/a%2f..%2fb", "/%2e%2e%2fb"] {
        assert_eq!(gateway.get(path, &lines).await.status, 400, "{path}");
    }
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
async fn a_route_that_is_written_with_escapes_is_one_route_however_it_is_read() {
    let settings = "routes = [{ path = '/', upstream = 'main' }, { path = '/a%20b', upstream = 'main' },
                              { path = '/%C3%A4/x', upstream = 'main' }, { path = '/%c3%b6', access = 'deny' }]";
    let (upstream, gateway, lines) = setup(settings).await;
    for path in ["/a%20b", "/a%20b/x", "/%C3%A4/x", "/%C3%A4/x/%C3%B6", "/%C3%A4"] {
        assert_eq!(gateway.get(path, &lines).await.status, 200, "{path}");
        assert_eq!(upstream.last_request().target(), path);
    }
    let before = upstream.count();
    for (path, status) in [("/a%20b%20", 400), ("/A%20B", 400), ("/a%2520b", 400), ("/%c3%b6/x", 403), ("/%C3%B6", 400)]
    {
        assert_eq!(gateway.get(path, &lines).await.status, status, "{path}");
    }
    assert_eq!(upstream.count(), before);
}

#[tokio::test]
async fn an_absolute_target_is_judged_by_its_path() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    assert_eq!(gateway.request(get("http://localhost/private")).await.status, 403);
    for target in [
        "https://localhost/../private",
        "https://localhost/%70rivate",
        "https://localhost//private",
        "https://localhost/private#",
        "https://user@localhost/a",
        "https://localhost\\@private/a",
        "https://localhost:x/a",
        "https:///private",
        "https:/private",
        "//localhost/private",
        "private",
        "?/private",
    ] {
        assert_eq!(gateway.request(get(target)).await.status, 400, "{target}");
    }
    assert_eq!(gateway.request(get("https://another.example/a")).await.status, 400, "it contradicts Host");
    upstream.saw_nothing();
    for (target, line) in [
        ("https://localhost/a?b", "GET /a?b HTTP/1.1"),
        ("HTTP://LOCALHOST/a", "GET /a HTTP/1.1"),
        ("http://localhost", "GET / HTTP/1.1"),
        ("http://localhost//a", "GET //a HTTP/1.1"),
    ] {
        assert_eq!(gateway.request(get(target)).await.status, 200, "{target}");
        assert_eq!(upstream.last_request().line(), line);
    }
}

#[tokio::test]
async fn connect_is_never_forwarded() {
    let (upstream, gateway, lines) = setup("").await;
    let request = format!("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n{lines}\r\n");
    let status = gateway.request(request).await.status;
    assert!((400..=501).contains(&status), "{status}");
    upstream.saw_nothing();
}

#[tokio::test]
async fn http_2_paths_are_judged_alike() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, ROUTES).await;
    let pair = gateway.login(&USER).await;
    let h2 = gateway.h2().await;
    for path in ["/a/../b", "/%2e%2e/", "/a%2fb", "/%70rivate", "//private", "/PRIVATE"] {
        assert_eq!(h2.get(path, &pair).await.status, 400, "{path}");
    }
    assert_eq!(h2.get("/private", &pair).await.status, 403);
    upstream.saw_nothing();
    assert_eq!(h2.get("/a//b?c=%2f", &pair).await.status, 200);
    assert_eq!(upstream.only_request().target(), "/a//b?c=%2f");
}

async fn setup(settings: &str) -> (Upstream, Gateway, String) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let lines = gateway.login(&USER).await.lines();
    (upstream, gateway, lines)
}
