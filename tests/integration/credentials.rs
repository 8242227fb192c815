//! Every way to present a pair wrongly, over every way in: refused with its status, and the upstream saw nothing.

use std::time::Duration;

use crate::harness::{Answer, Gateway, Pair, ROOT, USER, Upstream, WebSocket, eventually};

const INVALID: &str = "Invalid token or key";

#[tokio::test]
async fn a_right_pair_passes_over_http_1_and_2_and_into_a_websocket() {
    let (upstream, gateway) = both().await;
    let pair = gateway.login(&USER).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.text(), "behind");
    assert_eq!(gateway.h2().await.get("/", &pair).await.body, "behind");
    assert!(WebSocket::open(gateway.connect().await, "/", &pair.lines()).await.is_ok());
    assert_eq!(upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_refused_head_is_answered_over_http_2_without_content_and_never_forwarded() {
    let (upstream, gateway) = both().await;
    let answer = gateway.h2().await.request("HEAD", "/", &[]).await;
    assert_eq!((answer.status, answer.body.len()), (401, 0));
    let length = format!("{{\"status\":\"error\",\"info\":\"{INVALID}\"}}").len();
    assert_eq!(answer.headers["content-length"], length.to_string());
    upstream.saw_nothing();
}

#[tokio::test]
async fn header_names_are_taken_in_any_case() {
    let (_upstream, gateway) = both().await;
    let pair = gateway.login(&USER).await;
    let lines = format!("x-KEY: {}\r\nX-ACCESS-token: {}\r\n", pair.key, pair.token);
    assert_eq!(gateway.get("/", &lines).await.status, 200);
}

#[tokio::test]
async fn wrong_pairs_are_refused_over_http_1_and_never_forwarded() {
    let (upstream, gateway) = both().await;
    for (what, lines) in wrong(&gateway).await {
        let answer = gateway.get("/", &as_lines(&lines)).await;
        refused(&what, &answer);
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn wrong_pairs_are_refused_over_http_2_and_never_forwarded() {
    let (upstream, gateway) = both().await;
    let h2 = gateway.h2().await;
    for (what, lines) in wrong(&gateway).await {
        let lower: Vec<_> = lines.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let headers: Vec<_> = lower.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = h2.request("GET", "/", &headers).await;
        assert_eq!(answer.status, 401, "{what}");
        assert_eq!(answer.headers["www-authenticate"], r#"X-Access-Token realm="gatewarden""#);
        assert_eq!(answer.body, format!(r#"{{"status":"error","info":"{INVALID}"}}"#), "{what}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn wrong_pairs_open_no_websocket() {
    let (upstream, gateway) = both().await;
    for (what, lines) in wrong(&gateway).await {
        let Err(answer) = WebSocket::open(gateway.connect().await, "/", &as_lines(&lines)).await else {
            panic!("{what}: it opened");
        };
        refused(&what, &answer);
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn wrong_pairs_are_refused_whatever_the_method_and_the_body() {
    let (upstream, gateway) = both().await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let request = format!("{method} /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody");
        gateway.request(request).await.is_refusal(401, INVALID);
    }
    let head = gateway.request("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(head.status, 401);
    upstream.saw_nothing();
}

#[tokio::test]
async fn credentials_in_bytes_that_are_no_text_are_refused() {
    let (upstream, gateway) = both().await;
    let pair = gateway.login(&USER).await;
    for bad in [&b"\xff\xfe"[..], b"\xc3\xa9", b"a\tb"] {
        let token = format!("X-Access-Token: {}\r\n\r\n", pair.token);
        let request = [b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Key: ", bad, b"\r\n", token.as_bytes()].concat();
        refused("a key of bytes", &gateway.request(request).await);
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn an_expired_pair_is_told_so_and_never_forwarded() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "sessions.lifetime = '1s'").await;
    let pair = gateway.login(&USER).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    eventually("the expiry", || async { gateway.get("/poll", &pair.lines()).await.status == 401 }).await;
    let seen = upstream.requests().len();
    let answer = gateway.get("/", &pair.lines()).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("Token expired") || answer.text().contains(INVALID), "{}", answer.text());
    assert_eq!(upstream.requests().len(), seen);
}

#[tokio::test]
async fn a_logged_out_pair_is_refused_and_never_forwarded() {
    let (upstream, gateway) = both().await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    let get = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
    assert_eq!(connection.request(&get).await.status, 200);
    assert_eq!(gateway.logout(&pair).await.status, 200);
    // The connection that was let through before is let through no more.
    refused("logged out", &connection.request(&get).await);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_logout_ends_one_session_of_a_user_and_no_other() {
    let (_upstream, gateway) = both().await;
    let (one, two) = (gateway.login(&USER).await, gateway.login(&USER).await);
    assert_eq!(gateway.logout(&one).await.status, 200);
    assert_eq!(gateway.get("/", &one.lines()).await.status, 401);
    assert_eq!(gateway.get("/", &two.lines()).await.status, 200);
}

#[tokio::test]
async fn no_request_that_starts_after_a_logouts_answer_is_forwarded() {
    let (upstream, gateway) = both().await;
    let h2 = gateway.h2().await;
    for _ in 0..20 {
        let pair = gateway.login(&USER).await;
        let racing: Vec<_> = (0..20)
            .map(|_| {
                let (h2, pair) = (h2.clone(), pair.clone());
                tokio::spawn(async move { h2.get("/racing", &pair).await.status })
            })
            .collect();
        assert_eq!(gateway.logout(&pair).await.status, 200);
        assert_eq!(h2.get("/after", &pair).await.status, 401);
        for racer in racing {
            assert!([200, 401].contains(&racer.await.unwrap()));
        }
    }
    assert!(upstream.requests().iter().all(|request| request.target() == "/racing"));
}

#[tokio::test]
async fn the_oldest_session_of_a_user_makes_room() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "sessions.per_user = 2").await;
    let (oldest, middle) = (gateway.login(&USER).await, gateway.login(&USER).await);
    let (newest, other) = (gateway.login(&USER).await, gateway.login(&ROOT).await);
    assert_eq!(gateway.get("/", &oldest.lines()).await.status, 401);
    for pair in [middle, newest, other] {
        assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    }
}

#[tokio::test]
async fn a_login_over_the_bound_of_all_sessions_is_503() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "sessions.max = 1").await;
    let pair = gateway.login(&USER).await;
    let answer = gateway.post_login(r#"{"username":"root","password":"secret-root"}"#).await;
    assert_eq!(answer.status, 503);
    assert!(answer.field("retry-after").is_some());
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
}

#[tokio::test]
async fn query_credentials_pass_unread_where_they_are_not_asked_for() {
    let (upstream, gateway) = both().await;
    let pair = gateway.login(&USER).await;
    let target = format!("/media?{}", pair.query());
    refused("only in the query", &gateway.get(&target, "").await);
    upstream.saw_nothing();
    assert_eq!(gateway.get("/media?x_key=mine&access_token=too", &pair.lines()).await.status, 200);
    assert_eq!(upstream.only_request().target(), "/media?x_key=mine&access_token=too");
}

#[tokio::test]
async fn query_credentials_pass_where_they_are_asked_for_and_leave_the_url() {
    let (upstream, gateway) = with_query().await;
    let pair = gateway.login(&USER).await;
    for query in [format!("a=1&{}&b=2", pair.query()), format!("{}&a=1&b=2", pair.query())] {
        assert_eq!(gateway.get(&format!("/media?{query}"), "").await.status, 200, "{query}");
        assert_eq!(upstream.last_request().target(), "/media?a=1&b=2");
    }
}

#[tokio::test]
async fn ambiguous_query_credentials_are_refused_and_never_forwarded() {
    let (upstream, gateway) = with_query().await;
    let (pair, other) = (gateway.login(&USER).await, gateway.login(&USER).await);
    let (right, key, token) = (pair.query(), &pair.key, &pair.token);
    for query in [
        format!("X%5fKey={key}&ACCESS_TOKEN={token}"),
        format!("{right}&x_key={key}"),
        format!("{right}&X_KEY={key}"),
        format!("{right}&x%5Fkey={key}"),
        format!("{right}&x_key[]={key}"),
        format!("{right}&x_key%5B$ne%5D="),
        format!("x_key[$ne]=&access_token={token}"),
        format!("x_key={key}&access_token={}", other.token),
        format!("x_key=&access_token={token}"),
        format!("x_key&access_token={token}"),
        format!("x_key={}&access_token={token}", key.to_uppercase()),
        format!("x_key={key}"),
    ] {
        refused(&query, &gateway.get(&format!("/media?{query}"), "").await);
    }
    // The query with a header: never, even if they agree.
    refused("both", &gateway.get(&format!("/media?{right}"), &pair.lines()).await);
    refused("both", &gateway.get(&format!("/media?x_key={key}"), &pair.lines()).await);
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_pair_in_headers_is_refused_where_only_the_query_may_hold_it() {
    let (upstream, gateway) = with_route("credentials = ['query']").await;
    let pair = gateway.login(&USER).await;
    refused("headers", &gateway.get("/", &pair.lines()).await);
    refused("both", &gateway.get(&format!("/?{}", pair.query()), &pair.lines()).await);
    upstream.saw_nothing();
    assert_eq!(gateway.get(&format!("/?a&{}", pair.query()), "").await.status, 200);
    let request = upstream.only_request();
    assert_eq!((request.target(), request.field("x-key")), ("/?a", None));
}

#[tokio::test]
async fn a_second_pair_in_the_query_never_slips_past_where_the_upstream_reads_credentials() {
    let (upstream, gateway) = with_route("forward_credentials = true").await;
    let (pair, other) = (gateway.login(&USER).await, gateway.login(&ROOT).await);
    for query in
        [other.query(), pair.query(), format!("x_key={}", other.key), "access_token[]=".into(), "X.Key=1".into()]
    {
        refused(&query, &gateway.get(&format!("/?{query}"), &pair.lines()).await);
        refused(&query, &gateway.get(&format!("/?{query}"), "").await);
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_pair_from_the_query_is_forwarded_as_it_was_judged_where_the_route_says_so() {
    let (upstream, gateway) = with_route("credentials = ['header', 'query'], forward_credentials = true").await;
    let pair = gateway.login(&USER).await;
    let target = format!("/?a=1&{}", pair.query());
    assert_eq!(gateway.get(&target, "").await.status, 200);
    let request = upstream.only_request();
    assert_eq!(request.target(), target);
    assert_eq!(request.field("x-key").as_deref(), Some(pair.key.as_str()));
    assert_eq!(request.field("x-access-token").as_deref(), Some(pair.token.as_str()));
}

type Lines = Vec<(&'static str, String)>;

/// What is wrong, and the header lines that are.
async fn wrong(gateway: &Gateway) -> Vec<(String, Lines)> {
    let (pair, other, gone) = (gateway.login(&USER).await, gateway.login(&ROOT).await, gateway.login(&USER).await);
    assert_eq!(gateway.logout(&gone).await.status, 200);
    let mut wrong = vec![
        ("logged out".to_owned(), lines(&gone)),
        ("one's key with another's token".to_owned(), vec![key(&pair.key), token(&other.token)]),
        ("two right keys".to_owned(), vec![key(&pair.key), key(&pair.key), token(&pair.token)]),
        ("two right tokens".to_owned(), vec![key(&pair.key), token(&pair.token), token(&pair.token)]),
        ("two pairs".to_owned(), [lines(&pair), lines(&other)].concat()),
        ("nothing".to_owned(), vec![]),
        ("a key alone".to_owned(), vec![key(&pair.key)]),
        ("a token alone".to_owned(), vec![token(&pair.token)]),
        ("an alias of the key".to_owned(), vec![("X_Key", pair.key.clone()), token(&pair.token)]),
    ];
    for bad in bad_keys(&pair) {
        wrong.push((format!("key {bad:.60}"), vec![key(&bad), token(&pair.token)]));
    }
    for bad in bad_tokens(&pair) {
        wrong.push((format!("token {bad:.60}"), vec![key(&pair.key), token(&bad)]));
    }
    wrong
}

fn bad_keys(pair: &Pair) -> Vec<String> {
    let key = &pair.key;
    vec![
        String::new(),
        "8fd26a17-eb28-4c74-aa6f-a3794f4f466c".into(),
        key.to_uppercase(),
        key.replace('-', ""),
        format!("{{{key}}}"),
        format!("urn:uuid:{key}"),
        format!("{key},{key}"),
        format!("{key} {key}"),
        format!("{key};"),
        key[..35].into(),
        format!("{key}0"),
        "x".repeat(8192),
    ]
}

fn bad_tokens(pair: &Pair) -> Vec<String> {
    let token = &pair.token;
    let mut parts = token.split('.');
    let (head, claims, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    vec![
        String::new(),
        format!("Bearer {token}"),
        format!("{token}, {token}"),
        format!("{token}="),
        token[..token.len() - 1].into(),
        format!("{head}.{claims}"),
        format!("{head}.{claims}."),
        // {"typ":"JWT","alg":"none"} and "HS512"
        format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{claims}."),
        format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzUxMiJ9.{claims}.{signature}"),
        // {"exp":9999999999999}
        format!("{head}.eyJleHAiOjk5OTk5OTk5OTk5OTl9.{signature}"),
        "x".repeat(8192),
    ]
}

fn key(value: &str) -> (&'static str, String) {
    ("X-Key", value.to_owned())
}

fn token(value: &str) -> (&'static str, String) {
    ("X-Access-Token", value.to_owned())
}

fn lines(pair: &Pair) -> Lines {
    vec![key(&pair.key), token(&pair.token)]
}

fn as_lines(lines: &Lines) -> String {
    lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

#[track_caller]
fn refused(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    answer.is_refusal(401, INVALID);
    assert_eq!(answer.field("www-authenticate"), Some(r#"X-Access-Token realm="gatewarden""#), "{what}");
    assert!(answer.field("x-request-id").is_some(), "{what}");
}

async fn both() -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    (upstream, gateway)
}

async fn with_query() -> (Upstream, Gateway) {
    with_route("credentials = ['header', 'query']").await
}

/// One route, with these keys.
async fn with_route(keys: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let settings = format!("routes = [{{ path = '/', upstream = 'main', {keys} }}]");
    let gateway = Gateway::with(&upstream, &settings).await;
    (upstream, gateway)
}

#[tokio::test]
async fn a_session_that_idles_too_long_ends() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "sessions.idle_timeout = '1s'").await;
    let pair = gateway.login(&USER).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    // Asking would keep it alive, so this one must wait for its clock.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 401);
}
