//! Sessions by their pairs: how long they let requests through, how many there may be, and what an upstream is given of them.

use std::time::Duration;

use crate::harness::{Answer, Gateway, ROOT, USER, Upstream, WebSocket, eventually};

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
