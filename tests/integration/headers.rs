//! Headers: what speaks for the client never comes from the client, what belongs to one connection stays on it.

use crate::harness::{ADMIN, Gateway, H2, Pair, ROOT, Recorded, USER, Upstream, User};

const FORGED: &str = "forged-by-the-client";

#[tokio::test]
async fn the_upstream_is_told_who_asks() {
    let (upstream, gateway, _) = setup("").await;
    for (user, domain, role) in
        [(&USER, Some("mydomain.com"), "user"), (&ADMIN, Some("mydomain.com"), "admin"), (&ROOT, None, "root")]
    {
        let (request, pair) = as_user(&upstream, &gateway, user).await;
        assert_eq!(request.field("x-webitel-user").as_deref(), Some(user.name));
        assert_eq!(request.field("x-webitel-domain").as_deref(), domain);
        assert_eq!(request.field("x-webitel-role").as_deref(), Some(role));
        let session = request.field("x-webitel-session").expect("a public id");
        assert_ne!(session, pair.key);
        assert!(!request.head.contains(&pair.key) && !request.head.contains(&pair.token), "{}", request.head);
    }
}

#[tokio::test]
async fn the_public_id_of_a_session_is_its_own_and_stays() {
    let (upstream, gateway, pair) = setup("").await;
    let id = |request: Recorded| request.field("x-webitel-session").expect("an id");
    gateway.get("/", &pair.lines()).await;
    let first = id(upstream.last_request());
    gateway.get("/", &pair.lines()).await;
    assert_eq!(id(upstream.last_request()), first);
    assert_ne!(id(as_user(&upstream, &gateway, &USER).await.0), first);
}

#[tokio::test]
async fn identity_headers_are_named_by_the_configuration_and_the_usual_names_stay_reserved() {
    let (upstream, gateway, pair) = setup("identity.user = 'X-Remote-User'").await;
    let lines = format!("X_Remote_User: {FORGED}\r\nX-Webitel-User: {FORGED}\r\n{}", pair.lines());
    assert_eq!(gateway.get("/", &lines).await.status, 200);
    let request = upstream.only_request();
    not_forged("configured", &request);
    assert_eq!(request.field("x-remote-user").as_deref(), Some(USER.name));
    assert_eq!(request.field("x-webitel-user"), None);
}

#[tokio::test]
async fn what_belongs_to_the_upstreams_connection_stays_there() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-One\r\nX-One: 1\r\nX-Two: 2\r\nKeep-Alive: timeout=5\r\nServer: behind\r\n\
         Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    let answer = gateway.get("/", &pair.lines()).await;
    for gone in ["x-one", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.field(gone), None, "{gone}");
    }
    assert_eq!((answer.field("x-two"), answer.field("server")), (Some("2"), Some("behind")));
    let answer = gateway.h2().await.get("/", &pair).await;
    assert!(!answer.headers.contains_key("x-one") && !answer.headers.contains_key("connection"));
    assert_eq!(answer.headers["x-two"], "2");
}

#[tokio::test]
async fn an_upstreams_401_passes_unchanged() {
    let raw = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"behind\"\r\nContent-Length: 4\r\n\r\nmine";
    let upstream = Upstream::answering(raw).await;
    let gateway = Gateway::start(&upstream).await;
    let answer = gateway.get("/", &gateway.login(&USER).await.lines()).await;
    assert_eq!((answer.status, answer.text()), (401, "mine"));
    assert_eq!(answer.field("www-authenticate"), Some("Basic realm=\"behind\""));
}

#[tokio::test]
async fn the_client_is_told_by_its_own_address_and_the_listeners_scheme() {
    let (upstream, gateway, pair) = setup("").await;
    let lines =
        format!("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: ftp\r\nForwarded: for=6.6.6.6\r\n{}", pair.lines());
    gateway.get("/", &lines).await;
    let request = upstream.last_request();
    assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(request.field("x-forwarded-proto").as_deref(), Some("https"));
    let get = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    assert_eq!(gateway.plain().await.request(get).await.status, 200);
    assert_eq!(upstream.last_request().field("x-forwarded-proto").as_deref(), Some("http"));
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_up_to_the_first_stranger() {
    let (upstream, gateway, pair) = setup("server.trusted_proxies = ['127.0.0.0/8', '10.0.0.0/8']").await;
    let lines = format!(
        "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 9.9.9.9, 10.1.1.1\r\nX-Forwarded-Proto: http\r\n{}",
        pair.lines()
    );
    gateway.get("/", &lines).await;
    let request = upstream.only_request();
    assert_eq!(request.field("x-forwarded-for").as_deref(), Some("9.9.9.9"));
    assert_eq!(request.field("x-forwarded-proto").as_deref(), Some("http"));
}

#[tokio::test]
async fn credentials_reach_the_upstream_only_where_the_route_says_so() {
    let (upstream, gateway, pair) =
        setup("routes = [{ path = '/', upstream = 'main', forward_credentials = true }]").await;
    gateway.get("/", &pair.lines()).await;
    let request = upstream.only_request();
    assert_eq!(request.field("x-key").as_deref(), Some(pair.key.as_str()));
    assert_eq!(request.field("x-access-token").as_deref(), Some(pair.token.as_str()));
}

#[tokio::test]
async fn host_is_what_the_client_said_or_the_servers_own() {
    let (upstream, gateway, pair) = setup("").await;
    let get = format!("GET / HTTP/1.1\r\nHost: api.example.com:8443\r\n{}\r\n", pair.lines());
    assert_eq!(gateway.request(get).await.status, 200);
    assert_eq!(upstream.last_request().field("host").as_deref(), Some("api.example.com:8443"));
    let (upstream, gateway, pair) = setup("upstreams.main.host = 'server'").await;
    gateway.get("/", &pair.lines()).await;
    assert_eq!(upstream.last_request().field("host"), Some(upstream.address().to_string()));
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    let (upstream, gateway, pair) = setup("").await;
    for hosts in
        ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: u@a\r\n"]
    {
        let answer = gateway.request(format!("GET / HTTP/1.1\r\n{hosts}{}\r\n", pair.lines())).await;
        assert_eq!(answer.status, 400, "{hosts:?}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn http_2_host_and_authority_must_agree() {
    let (upstream, gateway, pair) = setup("").await;
    let h2 = gateway.h2().await;
    let headers = [("host", "another.example"), ("x-key", &*pair.key), ("x-access-token", &*pair.token)];
    assert_eq!(h2.request("GET", "/", &headers).await.status, 400);
    upstream.saw_nothing();
}

#[tokio::test]
async fn http_2_cookies_are_joined() {
    let (upstream, gateway, pair) = setup("").await;
    let h2: H2 = gateway.h2().await;
    let headers = [("cookie", "a=1"), ("cookie", "b=2"), ("x-key", &*pair.key), ("x-access-token", &*pair.token)];
    assert_eq!(h2.request("GET", "/", &headers).await.status, 200);
    let request = upstream.only_request();
    assert_eq!(request.field("cookie").as_deref(), Some("a=1; b=2"));
    assert!(request.field("host").is_some_and(|host| host.starts_with("localhost:")), "{}", request.head);
}

#[tokio::test]
async fn repeated_headers_pass_in_their_order() {
    let (upstream, gateway, pair) = setup("").await;
    gateway.get("/", &format!("X-Many: 1\r\nAccept: a\r\nX-Many: 2\r\nX-Many: 1, 3\r\n{}", pair.lines())).await;
    assert_eq!(upstream.only_request().fields().all("x-many"), ["1", "2", "1, 3"]);
}

#[tokio::test]
async fn every_answer_has_a_request_id_of_its_own() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nX-Request-Id: behind\r\nContent-Length: 0\r\n\r\n").await;
    let gateway = Gateway::start(&upstream).await;
    let lines = gateway.login(&USER).await.lines();
    let mut seen = std::collections::HashSet::new();
    for (target, lines) in [("/", lines.as_str()), ("/", ""), ("/a%2fb", ""), ("/login", "X-Request-Id: mine\r\n")] {
        let answer = gateway.get(target, lines).await;
        let id = answer.field("x-request-id").expect("an id").to_owned();
        assert!(id != "behind" && id != "mine" && seen.insert(id));
    }
}

#[track_caller]
fn not_forged(what: &str, request: &Recorded) {
    assert!(!request.head.contains(FORGED), "{what} came through: {}", request.head);
}

async fn as_user(upstream: &Upstream, gateway: &Gateway, user: &User) -> (Recorded, Pair) {
    let pair = gateway.login(user).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    (upstream.last_request(), pair)
}

#[tokio::test]
async fn credentials_in_a_referer_stop_here() {
    let (upstream, gateway, pair) = setup("").await;
    let referer = format!("Referer: https://page/?a=b&{}\r\n", pair.query());
    for (lines, kept) in [(referer.clone(), Some("https://page/?a=b")), (referer.repeat(2), None)] {
        assert_eq!(gateway.get("/", &format!("{lines}{}", pair.lines())).await.status, 200);
        assert_eq!(upstream.last_request().field("referer").as_deref(), kept);
    }
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
