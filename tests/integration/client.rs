//! Where the client is: trusted proxies are believed, others are not, and what can't be made out is refused.

use crate::harness::{Gateway, Pair, Recorded, USER, Upstream, eventually};

const TRUSTED: &str = "server.trusted_proxies = ['127.0.0.0/8', '10.0.0.0/8']";

#[tokio::test]
async fn forwarded_of_a_trusted_proxy_names_the_client() {
    let (upstream, gateway, pair) = setup(TRUSTED).await;
    for (lines, told, scheme) in [
        ("Forwarded: for=6.6.6.6;proto=http, for=\"[2001:db8::1]:80\";proto=https\r\n", "2001:db8::1", "https"),
        ("Forwarded: for=9.9.9.9;proto=http\r\nForwarded: for=\"10.1.1.1:80\";proto=https\r\n", "9.9.9.9", "http"),
        ("Forwarded: for=9.9.9.9, for=unknown\r\n", "127.0.0.1", "https"),
        ("Forwarded: for=9.9.9.9;proto=http\r\nX-Forwarded-For: 9.9.9.9\r\n", "9.9.9.9", "http"),
    ] {
        let request = forwarded(&upstream, &gateway, &format!("{lines}{}", pair.lines())).await;
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some(told), "{lines}");
        assert_eq!(request.field("x-forwarded-proto").as_deref(), Some(scheme), "{lines}");
        assert_eq!(request.field("forwarded"), None);
    }
}

#[tokio::test]
async fn a_trusted_proxy_that_contradicts_itself_is_refused() {
    let (upstream, gateway, pair) = setup(TRUSTED).await;
    let disagree = "Forwarded and X-Forwarded-* disagree";
    for (lines, info) in [
        ("Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n", disagree),
        ("Forwarded: for=_hidden\r\nX-Forwarded-For: 2.2.2.2\r\n", disagree),
        ("Forwarded: proto=http\r\nX-Forwarded-Proto: https\r\n", disagree),
        ("Forwarded: for=\"1.1.1.1\r\n", "The Forwarded header is malformed"),
        ("Forwarded: for=1.1.1.1;for=2.2.2.2\r\n", "The Forwarded header is malformed"),
    ] {
        gateway.get("/", &format!("{lines}{}", pair.lines())).await.is_refusal(400, info);
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn what_a_stranger_contradicts_is_nobodys_concern() {
    let (upstream, gateway, pair) = setup("server.trusted_proxies = ['10.0.0.0/8']").await;
    let lines = format!("Forwarded: for=\"1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n{}", pair.lines());
    let request = forwarded(&upstream, &gateway, &lines).await;
    assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
}

#[tokio::test]
async fn the_trail_of_proxies_is_told_where_it_is_asked_for() {
    let (upstream, gateway, pair) = setup(&format!("{TRUSTED}\nserver.forwarded = 'append'")).await;
    for (lines, told) in [
        ("X-Forwarded-For: 6.6.6.6, 9.9.9.9, 10.1.1.1\r\n", "9.9.9.9, 10.1.1.1, 127.0.0.1"),
        ("Forwarded: for=9.9.9.9\r\n", "9.9.9.9, 127.0.0.1"),
        ("", "127.0.0.1"),
    ] {
        let request = forwarded(&upstream, &gateway, &format!("{lines}{}", pair.lines())).await;
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some(told));
    }
}

#[tokio::test]
async fn a_trusted_proxys_request_id_is_kept_everywhere() {
    let settings = format!("{TRUSTED}\nlog.access = 'DIR/access.log'\nlog.level = 'error'");
    let (upstream, gateway, pair) = setup(&settings).await;
    let id = "Proxy.made-this_1";
    let answer = gateway.get("/", &format!("X-Request-Id: {id}\r\nX_Request.Id: other\r\n{}", pair.lines())).await;
    assert_eq!(answer.field("x-request-id"), Some(id));
    let request = upstream.only_request();
    assert_eq!(request.field("x-request-id").as_deref(), Some(id));
    assert!(!request.head.contains("other"), "{}", request.head);
    let written = || async { gateway.access_log().contains(&format!("\"request_id\":\"{id}\"")) };
    eventually("the access line", written).await;
}

#[tokio::test]
async fn a_request_id_that_is_no_word_or_a_strangers_is_replaced() {
    let (upstream, gateway, pair) = setup(TRUSTED).await;
    let long = "a".repeat(129);
    for bad in ["a b", "a/b", "\"a\"", "", &long] {
        let request = forwarded(&upstream, &gateway, &format!("X-Request-Id: {bad}\r\n{}", pair.lines())).await;
        assert_ne!(request.field("x-request-id").as_deref(), Some(bad));
    }
    let twice = format!("X-Request-Id: a\r\nX-Request-Id: a\r\n{}", pair.lines());
    assert_ne!(forwarded(&upstream, &gateway, &twice).await.field("x-request-id").as_deref(), Some("a"));
    let (upstream, gateway, pair) = setup("").await;
    let stranger = format!("X-Request-Id: mine\r\n{}", pair.lines());
    assert_ne!(forwarded(&upstream, &gateway, &stranger).await.field("x-request-id").as_deref(), Some("mine"));
}

/// Sends a GET that must pass, and looks at it from behind.
async fn forwarded(upstream: &Upstream, gateway: &Gateway, lines: &str) -> Recorded {
    let answer = gateway.get("/", lines).await;
    assert_eq!(answer.status, 200, "{lines}: {}", answer.text());
    upstream.last_request()
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
