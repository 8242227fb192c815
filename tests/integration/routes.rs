//! Routes: the longest prefix decides alone, and what it says is what happens.

use crate::harness::{ADMIN, Answer, Connection, Gateway, ROOT, Reply, USER, Upstream};

const ROUTES: &str = "routes = [
    { path = '/api', upstream = 'main' },
    { path = '/api/read', upstream = 'main', methods = ['GET', 'POST'] },
    { path = '/api/admin', upstream = 'main', roles = ['root', 'admin'] },
    { path = '/one', exact = true, upstream = 'main' },
    { path = '/closed', access = 'deny' },
    { path = '/open', upstream = 'main', access = 'public' },
]";

#[tokio::test]
async fn a_prefix_matches_whole_segments() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    for (path, status) in
        [("/api", 200), ("/api/", 200), ("/api/x/y", 200), ("/api?x", 200), ("/apix", 404), ("/ap", 404), ("/", 404)]
    {
        assert_eq!(gateway.get(path, &lines).await.status, status, "{path}");
    }
    assert_eq!(upstream.requests().len(), 4);
}

#[tokio::test]
async fn an_exact_route_matches_one_path() {
    let (_upstream, gateway, lines) = setup(ROUTES).await;
    for (path, status) in [("/one", 200), ("/one?x=1", 200), ("/one/two", 404), ("/one/", 400), ("/onetwo", 404)] {
        assert_eq!(gateway.get(path, &lines).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn no_route_is_404_with_and_without_a_pair() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    for lines in ["", &lines] {
        let answer = gateway.get("/nowhere", lines).await;
        assert_eq!(answer.status, 404);
        assert!(answer.text().starts_with(r#"{"status":"error""#));
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn the_longest_prefix_decides_about_methods_alone() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    for method in ["PUT", "DELETE", "PATCH"] {
        let answer = ask(&gateway, method, "/api/read/x", &lines).await;
        assert_eq!(answer.status, 405, "{method}");
        let allow = answer.field("allow").expect("Allow").replace(' ', "");
        let mut allow: Vec<_> = allow.split(',').collect();
        allow.sort_unstable();
        assert_eq!(allow, ["GET", "HEAD", "POST"]);
    }
    upstream.saw_nothing();
    for method in ["GET", "HEAD", "POST"] {
        assert_eq!(ask(&gateway, method, "/api/read/x", &lines).await.status, 200, "{method}");
    }
    assert_eq!(ask(&gateway, "PUT", "/api/reading", &lines).await.status, 200, "that is /api");
}

#[tokio::test]
async fn a_closed_route_is_403_for_everybody_and_looks_at_no_credentials() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    for lines in ["", &lines, "X-Key: x\r\nX-Key: y\r\n"] {
        gateway.get("/closed/x", lines).await.is_refusal(403, "Forbidden");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_public_route_passes_anybody_and_verifies_nothing() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    for lines in ["", &lines, "X-Key: nonsense\r\nX-Key: twice\r\n"] {
        assert_eq!(gateway.get("/open/x", lines).await.text(), "behind");
    }
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_role_that_is_not_listed_is_403_and_never_forwarded() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    gateway.get("/api/admin/x", &lines).await.is_refusal(403, "Forbidden");
    gateway.get("/api/admin/x", "").await.is_refusal(401, "Invalid token or key");
    upstream.saw_nothing();
    for user in [&ADMIN, &ROOT] {
        let lines = gateway.login(user).await.lines();
        assert_eq!(gateway.get("/api/admin/x", &lines).await.status, 200, "{}", user.name);
    }
}

#[tokio::test]
async fn hosts_choose_between_upstreams() {
    let (main, other) = (Upstream::start().await, Upstream::scripted(|_| Reply::ok("", "other")).await);
    let settings = format!(
        "upstreams.other.servers = ['http://{}']
         routes = [{{ path = '/', upstream = 'main', hosts = ['api.example.com'] }},
                   {{ path = '/', upstream = 'other', hosts = ['other.example.com'] }}]",
        other.address()
    );
    let gateway = Gateway::with(&main, &settings).await;
    let lines = gateway.login(&USER).await.lines();
    for (host, status, text) in [
        ("api.example.com", 200, Some("behind")),
        ("API.example.com:10022", 200, Some("behind")),
        ("other.example.com", 200, Some("other")),
        ("example.com", 404, None),
    ] {
        let answer = plain(&gateway, host, &lines).await;
        assert_eq!(answer.status, status, "{host}");
        assert!(text.is_none_or(|text| answer.text() == text), "{host}");
    }
}

#[tokio::test]
async fn a_host_without_rules_of_its_own_gets_those_for_any_host_alone() {
    let upstream = Upstream::start().await;
    let settings = "routes = [{ path = '/', upstream = 'main', hosts = ['api.example.com'] },
                              { path = '/shut', access = 'deny', hosts = ['api.example.com'] },
                              { path = '/shared', upstream = 'main', exact = true }]";
    let gateway = Gateway::with(&upstream, settings).await;
    let lines = gateway.login(&USER).await.lines();
    let get = |host: &str, path: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    for (host, path, status) in [
        ("other.example.com", "/", 404),
        ("other.example.com", "/shut", 404),
        ("api.example.com.evil.example", "/", 404),
        ("xapi.example.com", "/", 404),
        ("api.example.com", "/shut/x", 403),
        ("API.EXAMPLE.COM.", "/shut", 403),
        ("api.example.com", "/SHUT", 400),
    ] {
        assert_eq!(gateway.plain().await.request(get(host, path)).await.status, status, "{host} {path}");
    }
    upstream.saw_nothing();
    for (host, path) in [("other.example.com", "/shared"), ("api.example.com", "/shared"), ("api.example.com.", "/x")] {
        assert_eq!(gateway.plain().await.request(get(host, path)).await.status, 200, "{host} {path}");
    }
}

#[tokio::test]
async fn a_server_name_and_a_host_that_select_different_rules_are_421() {
    let upstream = Upstream::start().await;
    let settings = "routes = [{ path = '/', upstream = 'main', hosts = ['api.example.com'] },
                              { path = '/', upstream = 'main', hosts = ['other.example.com'], access = 'public' }]";
    let gateway = Gateway::with(&upstream, settings).await;
    let lines = gateway.login(&USER).await.lines();
    let request = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    let connect = || Connection::named(gateway.tls, &gateway.ca, "api.example.com");
    assert_eq!(connect().await.request(request("other.example.com")).await.status, 421);
    upstream.saw_nothing();
    assert_eq!(connect().await.request(request("api.example.com")).await.status, 200);
}

#[tokio::test]
async fn routes_of_one_prefix_can_differ_by_method() {
    let upstream = Upstream::start().await;
    let settings = "routes = [{ path = '/', upstream = 'main', methods = ['GET'], access = 'public' },
                              { path = '/', upstream = 'main', methods = ['POST'], roles = ['root'] }]";
    let gateway = Gateway::with(&upstream, settings).await;
    let lines = gateway.login(&USER).await.lines();
    assert_eq!(ask(&gateway, "GET", "/", "").await.status, 200);
    assert_eq!(ask(&gateway, "POST", "/", "").await.status, 401);
    assert_eq!(ask(&gateway, "POST", "/", &lines).await.status, 403);
    assert_eq!(ask(&gateway, "PUT", "/", &lines).await.status, 405);
}

#[tokio::test]
async fn methods_are_told_apart_by_case() {
    let (upstream, gateway, lines) = setup(ROUTES).await;
    assert_eq!(ask(&gateway, "get", "/api/read/x", &lines).await.status, 405);
    upstream.saw_nothing();
}

async fn ask(gateway: &Gateway, method: &str, path: &str, lines: &str) -> Answer {
    gateway.request(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{lines}\r\n")).await
}

/// Without TLS, so that no server name takes part.
async fn plain(gateway: &Gateway, host: &str, lines: &str) -> Answer {
    gateway.plain().await.request(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")).await
}

async fn setup(settings: &str) -> (Upstream, Gateway, String) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let lines = gateway.login(&USER).await.lines();
    (upstream, gateway, lines)
}
