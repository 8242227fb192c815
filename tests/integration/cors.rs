//! Cross-origin answers: one set of headers, the gateway's, on every answer.

use crate::harness::{Answer, Gateway, USER, Upstream};

const ANY: &str = "cors = { origins = ['*'] }";
const LISTED: &str = "cors = { origins = ['https://app.example'], max_age = '1h' }";
const PREFLIGHT: &str = "Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n\
                         Access-Control-Request-Headers: x-key,x-access-token\r\n";

#[tokio::test]
async fn without_cors_options_is_like_any_request() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    let answer = options(&gateway, "/", PREFLIGHT).await;
    answer.is_refusal(401, "Invalid token or key");
    assert_eq!(answer.field("access-control-allow-origin"), None);
    upstream.saw_nothing();
    let pair = gateway.login(&USER).await;
    assert_eq!(options(&gateway, "/", &pair.lines()).await.text(), "behind");
}

#[tokio::test]
async fn a_preflight_is_answered_without_credentials_and_without_the_upstream() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, ANY).await;
    for path in ["/login", "/logout", "/", "/api/deep?x=1"] {
        let answer = options(&gateway, path, PREFLIGHT).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
        let headers = answer.field("access-control-allow-headers").expect("headers").to_ascii_lowercase();
        assert_eq!(headers.replace(' ', ""), "content-type,accept,x-access-token,x-key");
        let methods = answer.field("access-control-allow-methods").expect("methods").replace(' ', "");
        assert_eq!(methods, "GET,PUT,POST,PATCH,DELETE,OPTIONS");
        assert_eq!(answer.field("access-control-max-age"), Some("86400"));
        assert_eq!(answer.field("access-control-allow-credentials"), None);
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn options_that_is_no_preflight_needs_a_session() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, ANY).await;
    for lines in ["", "Origin: https://app.example\r\n", "Access-Control-Request-Method: PUT\r\n"] {
        assert_eq!(options(&gateway, "/", lines).await.status, 401, "{lines}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn every_answer_of_the_gateway_can_be_read_by_a_page() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, ANY).await;
    for path in ["/", "/login", "/a%2fb"] {
        let answer = gateway.get(path, "Origin: https://app.example\r\n").await;
        assert!([400, 401, 405].contains(&answer.status), "{path}: {}", answer.status);
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"), "{path}");
    }
}

#[tokio::test]
async fn the_upstreams_own_cors_headers_are_never_doubled() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: https://behind\r\nAccess-Control-Allow-Credentials: true\r\n\
         Access-Control-Allow-Methods: DELETE\r\nAccess-Control-Max-Age: 1\r\n\
         Vary: Accept\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    for (settings, allowed) in [(ANY, "*"), (LISTED, "https://app.example")] {
        let gateway = Gateway::with(&upstream, settings).await;
        let pair = gateway.login(&USER).await;
        let answer = gateway.get("/", &format!("Origin: https://app.example\r\n{}", pair.lines())).await;
        assert_eq!(answer.field("access-control-allow-origin"), Some(allowed));
        for name in ["credentials", "methods"] {
            assert_eq!(answer.field(&format!("access-control-allow-{name}")), None);
        }
        assert_eq!(answer.field("access-control-max-age"), None);
        assert!(answer.fields.all("vary").iter().any(|vary| vary.contains("Accept")));
    }
}

#[tokio::test]
async fn a_listed_origin_is_echoed_and_a_stranger_is_told_nothing() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, LISTED).await;
    let answer = options(&gateway, "/", PREFLIGHT).await;
    assert_eq!(answer.field("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(answer.field("access-control-max-age"), Some("3600"));
    assert!(varies(&answer));
    for stranger in ["https://app.example.evil", "http://app.example", "https://app.example:8443", "null"] {
        let answer = options(&gateway, "/", &PREFLIGHT.replace("https://app.example", stranger)).await;
        assert_eq!(answer.field("access-control-allow-origin"), None, "{stranger}");
        assert_eq!(answer.field("access-control-allow-methods"), None, "{stranger}");
        assert!(varies(&answer));
    }
    upstream.saw_nothing();
}

fn varies(answer: &Answer) -> bool {
    answer.fields.all("vary").iter().any(|vary| vary.to_ascii_lowercase().contains("origin"))
}

async fn options(gateway: &Gateway, path: &str, lines: &str) -> Answer {
    gateway.request(format!("OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).await
}
