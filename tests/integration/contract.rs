//! The wire contract of /login and /logout, to the byte of its shape.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::{ADMIN, Answer, Gateway, ROOT, SECRET, USER, Upstream, User, eventually};

#[tokio::test]
async fn a_login_answers_five_members_in_their_order() {
    let gateway = gateway().await;
    let answer = login(&gateway, &ROOT).await;
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    let (key, expires, token) = (value["key"].as_str().unwrap(), &value["expires"], value["token"].as_str().unwrap());
    let shape = format!(r#"{{"key":"{key}","username":"root","expires":{expires},"token":"{token}","role":0}}"#);
    assert_eq!((answer.status, answer.text()), (200, shape.as_str()));
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert!(answer.field("x-request-id").is_some());
}

#[tokio::test]
async fn a_key_is_a_uuid_of_version_4() {
    let answer = login(&gateway().await, &ROOT).await;
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    let key = uuid::Uuid::parse_str(value["key"].as_str().unwrap()).unwrap();
    assert_eq!(key.get_version_num(), 4);
    assert_eq!(key.hyphenated().to_string(), value["key"].as_str().unwrap());
}

#[tokio::test]
async fn roles_are_numbered_as_the_contract_says() {
    let gateway = gateway().await;
    for (user, role) in [(&ROOT, 0), (&ADMIN, 1), (&USER, 2)] {
        assert_eq!(login_value(&gateway, user).await["role"], json!(role));
    }
}

#[tokio::test]
async fn roles_are_numbered_as_the_engine_does_when_asked_to() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "login.role_numbering = 'engine'").await;
    for (user, role) in [(&ROOT, 2), (&ADMIN, 1), (&USER, 0)] {
        assert_eq!(login_value(&gateway, user).await["role"], json!(role));
    }
}

#[tokio::test]
async fn attributes_follow_the_contracts_members() {
    let value = login_value(&gateway().await, &USER).await;
    let members: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members[..5], ["key", "username", "expires", "token", "role"]);
    assert_eq!(value["acl"], json!({ "cdr": ["r"] }));
    assert_eq!(value["verto"], json!("wss://media"));
    assert_eq!(members.len(), 7);
}

#[tokio::test]
async fn the_user_name_comes_back_as_it_was_sent() {
    let answer = gateway().await.post_login(r#"{"username":"100@MyDomain.COM.","password":"secret-of-100"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(value["username"], json!("100@MyDomain.COM."));
}

#[tokio::test]
async fn a_token_is_signed_with_the_untrimmed_secret_and_carries_the_answers_expiry() {
    let before = wall_millis();
    let value = login_value(&gateway().await, &ROOT).await;
    let token = value["token"].as_str().unwrap();
    let claims = verified(token);
    assert_eq!(claims["exp"], value["expires"]);
    let day = 24 * 60 * 60 * 1000;
    let expires = value["expires"].as_u64().unwrap();
    assert!((before + day..=wall_millis() + day).contains(&expires), "{expires}");
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(String::from_utf8(header).unwrap(), r#"{"typ":"JWT","alg":"HS256"}"#);
}

#[tokio::test]
async fn every_token_has_a_jti_of_its_own() {
    let gateway = gateway().await;
    let mut seen = std::collections::HashSet::new();
    for _ in 0..5 {
        let value = login_value(&gateway, &ROOT).await;
        let claims = verified(value["token"].as_str().unwrap());
        assert!(seen.insert(claims["jti"].as_str().unwrap().to_owned()), "{claims}");
        assert!(!claims.to_string().contains(value["key"].as_str().unwrap()), "the key must not be in the token");
    }
}

#[tokio::test]
async fn a_logout_says_so_once() {
    let gateway = gateway().await;
    let pair = gateway.login(&USER).await;
    let answer = gateway.logout(&pair).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"status":"OK","info":"Successful logout."}"#));
    assert_eq!(answer.field("content-type"), Some("application/json"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    gateway.logout(&pair).await.is_refusal(401, "Bad caller");
}

#[tokio::test]
async fn a_logout_with_half_a_pair_or_a_wrong_one_is_a_bad_caller() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    let (pair, other) = (gateway.login(&USER).await, gateway.login(&USER).await);
    let absent = "Content-Length: 0\r\n".to_owned();
    let half = format!("X-Key: {}\r\nContent-Length: 0\r\n", pair.key);
    let foreign = format!("X-Key: {}\r\nX-Access-Token: {}\r\nContent-Length: 0\r\n", pair.key, other.token);
    let doubled = format!("X-Key: {}\r\n{}Content-Length: 0\r\n", pair.key, pair.lines());
    for lines in [absent, half, foreign, doubled] {
        let request = format!("POST /logout HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        gateway.request(request).await.is_refusal(401, "Bad caller");
    }
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200, "the session lives on");
}

#[tokio::test]
async fn a_login_that_cannot_be_right_says_what_is_wrong() {
    let gateway = gateway().await;
    for (body, status, info) in [
        (r#"{"username":"","password":"secret"}"#, 400, "User name is required"),
        (r#"{"password":"secret"}"#, 400, "User name is required"),
        ("{}", 400, "User name is required"),
        (r#"{"username":"root"}"#, 401, "Invalid credentials"),
        (r#"{"username":"root","password":""}"#, 401, "Invalid credentials"),
        (r#"{"username":"root","password":"wrong"}"#, 401, "Invalid credentials"),
        (r#"{"username":"admin@mydomain.com","password":"wrong"}"#, 401, "Invalid credentials"),
        (r#"{"username":"nobody@mydomain.com","password":"secret"}"#, 404, "User not found"),
    ] {
        gateway.post_login(body).await.is_refusal(status, info);
    }
}

#[tokio::test]
async fn a_login_that_is_not_one_is_400_with_a_text() {
    let gateway = gateway().await;
    for body in [
        "",
        "username=root&password=secret",
        "[]",
        "null",
        r#""root""#,
        r#"{"username":"root","password":"secret-root""#,
        r#"{"username":"root","password":"secret-root"} {}"#,
        r#"{"username":"root","username":"root","password":"secret-root"}"#,
        r#"{"username":"root","password":"secret-root","password":"secret-root"}"#,
        r#"{"username":"root","usern\u0061me":"root","password":"secret-root"}"#,
        r#"{"username":5,"password":"secret"}"#,
        r#"{"username":["root"],"password":"secret-root"}"#,
        r#"{"username":"root","password":5}"#,
        r#"{"username":"root","password":{"$ne":""}}"#,
    ] {
        let answer = gateway.post_login(body).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert_ne!(answer.text(), r#"{"status":"error","info":"User name is required"}"#, "{body}");
        says_something(&answer);
    }
}

#[tokio::test]
async fn a_login_that_is_not_utf_8_is_400() {
    let body = b"{\"username\":\"root\",\"password\":\"\xff\"}";
    let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let request = [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
    let answer = gateway().await.request(request).await;
    assert_eq!(answer.status, 400);
    says_something(&answer);
}

#[tokio::test]
async fn other_members_of_a_login_are_ignored() {
    let body = r#"{"remember":true,"username":"root","code":[1],"code":{},"password":"secret-root"}"#;
    assert_eq!(gateway().await.post_login(body).await.status, 200);
}

#[tokio::test]
async fn another_content_type_is_415() {
    let gateway = gateway().await;
    for lines in ["", "Content-Type: text/plain\r\n", "Content-Type: application/jsonp\r\n", "Content-Type: \r\n"] {
        let answer = gateway.request(login_request(lines)).await;
        assert_eq!(answer.status, 415, "{lines}");
        says_something(&answer);
    }
}

#[tokio::test]
async fn json_is_json_in_any_case_and_with_parameters() {
    let gateway = gateway().await;
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"] {
        assert_eq!(gateway.request(login_request(&format!("Content-Type: {kind}\r\n"))).await.status, 200, "{kind}");
    }
}

#[tokio::test]
async fn a_login_over_16_kib_is_413_by_length_and_by_chunks() {
    let gateway = gateway().await;
    let padded = |size: usize| {
        let body = r#"{"username":"root","password":"secret-root","pad":""#;
        format!("{body}{}\"}}", "x".repeat(size - body.len() - 2))
    };
    assert_eq!(gateway.post_login(&padded(16 * 1024)).await.status, 200);
    let answer = gateway.post_login(&padded(16 * 1024 + 1)).await;
    assert_eq!(answer.status, 413);
    says_something(&answer);
    let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let body = padded(16 * 1024 + 1);
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(gateway.request(chunked).await.status, 413);
}

#[tokio::test]
async fn other_methods_are_405_and_say_which_would_do() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    for path in ["/login", "/logout"] {
        for method in ["GET", "PUT", "DELETE", "PATCH"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
            let answer = gateway.request(request).await;
            assert_eq!((answer.status, answer.field("allow")), (405, Some("POST")), "{method} {path}");
        }
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_query_on_login_is_allowed_and_never_logged() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "log = { access = 'DIR/access.log', query = true }").await;
    let request = login_request("Content-Type: application/json\r\n").replace("/login", "/login?code=918273");
    assert_eq!(gateway.request(request).await.status, 200);
    eventually("an access line", || async { gateway.access_log().contains("/login") }).await;
    assert!(!gateway.access_log().contains("918273"));
}

#[tokio::test]
async fn the_access_log_holds_no_secret() {
    let upstream = Upstream::start().await;
    let settings = "log = { access = 'DIR/access.log', query = true }
                    routes = [{ path = '/', upstream = 'main', credentials = ['header', 'query'] }]";
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    assert_eq!(gateway.get(&format!("/media?{}&page=7", pair.query()), "").await.status, 200);
    assert_eq!(gateway.get("/last", &pair.lines()).await.status, 200);
    eventually("an access line", || async { gateway.access_log().contains("/last") }).await;
    let log = gateway.access_log();
    assert!(log.contains("page=7"), "{log}");
    for secret in [pair.key.as_str(), pair.token.as_str(), USER.password] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_login_over_http_2_is_the_same() {
    let gateway = gateway().await;
    let h2 = gateway.h2().await;
    let request = h2.build("POST", "/login", &[("content-type", "application/json")]);
    let request = request.body(crate::harness::body(r#"{"username":"root","password":"secret-root"}"#)).unwrap();
    let answer = crate::harness::whole(h2.send(request).await.unwrap()).await;
    assert_eq!(answer.status, 200);
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(verified(value["token"].as_str().unwrap())["exp"], value["expires"]);
}

async fn gateway() -> Gateway {
    Gateway::start(&Upstream::start().await).await
}

async fn login(gateway: &Gateway, user: &User) -> Answer {
    gateway.post_login(&json!({ "username": user.name, "password": user.password }).to_string()).await
}

async fn login_value(gateway: &Gateway, user: &User) -> Value {
    serde_json::from_slice(&login(gateway, user).await.body).unwrap()
}

fn login_request(lines: &str) -> String {
    let body = r#"{"username":"root","password":"secret-root"}"#;
    format!("POST /login HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The claims of a token, verified by a library under the bytes of the secret file.
fn verified(token: &str) -> Value {
    let key = jsonwebtoken::DecodingKey::from_secret(SECRET);
    let validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
}

fn says_something(answer: &Answer) {
    let value: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(value["status"], json!("error"));
    assert!(value["info"].as_str().unwrap().len() > 5, "{value}");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
}

fn wall_millis() -> u64 {
    gatewarden::clock::wall_millis()
}
