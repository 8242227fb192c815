//! What is written down: access lines, one a request, and audit lines, one for each login and its end.

use serde_json::{Value, json};

use crate::harness::{Gateway, ROOT, USER, Upstream, eventually};

const LOGGED: &str = "log = { access = 'DIR/access.log' }\n";

#[tokio::test]
async fn a_403_for_a_wrong_role_names_its_user_and_never_reaches_the_upstream() {
    let upstream = Upstream::start().await;
    let settings = format!("{LOGGED}routes = [{{ path = '/', upstream = 'main', roles = ['root'] }}]");
    let gateway = Gateway::with(&upstream, &settings).await;
    let pair = gateway.login(&USER).await;
    gateway.get("/closed", &pair.lines()).await.is_refusal(403, "Forbidden");
    let line = line_of(&gateway, "/closed").await;
    assert_eq!((&line["user"], &line["refusal"]), (&json!(USER.name), &json!("forbidden")));
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_login_line_counts_the_bytes_of_its_body() {
    let gateway = Gateway::with(&Upstream::start().await, LOGGED).await;
    let body = json!({ "username": ROOT.name, "password": ROOT.password }).to_string();
    assert_eq!(gateway.post_login(&body).await.status, 200);
    let line = line_of(&gateway, "/login").await;
    assert_eq!((&line["received"], &line["user"]), (&json!(body.len()), &json!(ROOT.name)));
}

#[tokio::test]
async fn a_login_and_a_logout_leave_a_line_each_that_name_user_client_and_session() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "server.trusted_proxies = ['127.0.0.1']").await;
    let pair = gateway.login(&USER).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    let session = upstream.last_request().field("x-webitel-session").unwrap();
    let lines = format!("{}X-Forwarded-For: 192.0.2.7\r\nX-Request-Id: request-7\r\n", pair.lines());
    let request = format!("POST /logout HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: 0\r\n\r\n");
    assert_eq!(gateway.request(request).await.status, 200);
    let audited = audited(&gateway, 2).await;
    let [login, logout] = &audited[..] else { panic!("{audited:?}") };
    for (line, event) in [(login, "login"), (logout, "logout")] {
        assert_eq!(line["target"], "audit");
        let told = [&line["event"], &line["user"], &line["session"], &line["role"], &line["reason"]];
        assert_eq!(told, [&json!(event), &json!(USER.name), &json!(session), &json!("user"), &Value::Null]);
    }
    assert_eq!((&logout["peer"], &logout["request_id"]), (&json!("192.0.2.7"), &json!("request-7")));
    for secret in [pair.key.as_str(), pair.token.as_str(), USER.password] {
        assert!(!gateway.audit_log().contains(secret));
    }
}

#[tokio::test]
async fn every_refused_login_and_logout_leaves_a_line_that_says_why() {
    let gateway = Gateway::with(&Upstream::start().await, "login.throttle.per_user = 1").await;
    for body in [
        r#"{"username":"100@MyDomain.com.","password":"planted-password"}"#,
        r#"{"username":"100@mydomain.com","password":"planted-password"}"#,
        r#"{"username":"nobody","password":"planted-password"}"#,
        r#"{"username":"typed the planted-password here","password":""}"#,
        r#"{"password":"planted-password"}"#,
        "planted-password",
    ] {
        gateway.post_login(body).await;
    }
    let absent = crate::harness::Pair { key: "x".into(), token: "y".into() };
    gateway.logout(&absent).await.is_refusal(401, "Bad caller");
    let audited = audited(&gateway, 7).await;
    let told: Vec<_> = audited.iter().map(|line| [&line["event"], &line["reason"], &line["user"]]).collect();
    let line = |event, reason, user: Option<&str>| [json!(event), json!(reason), json!(user)];
    let expected = [
        line("login_refused", "invalid_credentials", Some(USER.name)),
        line("login_throttled", "user_in_network", Some(USER.name)),
        line("login_refused", "unknown_user", Some("nobody")),
        line("login_refused", "unknown_user", None),
        line("login_refused", "name_required", None),
        line("login_refused", "bad_login", None),
        line("logout_refused", "bad_caller", None),
    ];
    assert_eq!(told, expected.iter().map(|line| line.each_ref()).collect::<Vec<_>>());
    assert!(!gateway.audit_log().contains("planted-password"));
}

#[tokio::test]
async fn a_session_that_is_pushed_out_by_the_cap_leaves_a_line_and_so_does_the_end() {
    let gateway = Gateway::with(&Upstream::start().await, "sessions.per_user = 1").await;
    gateway.login(&USER).await;
    gateway.login(&USER).await;
    let lines = audited(&gateway, 3).await;
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<_>>();
    let (logins, ended) = (of("login"), of("session_ended"));
    assert_eq!((&ended[0]["reason"], &ended[0]["user"]), (&json!("per_user"), &json!(USER.name)));
    assert_eq!(ended[0]["session"], logins[0]["session"], "the older one");
    let path = gateway.dir.path().join("audit.log");
    let kept = path.with_extension("kept");
    std::fs::hard_link(&path, &kept).unwrap();
    let kept = std::fs::File::open(kept).unwrap();
    gateway.drain();
    gateway.ended().await;
    let text = std::io::read_to_string(kept).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["reason"]), (&json!("shutdown"), &json!("sessions=1")));
}

#[tokio::test]
async fn a_client_that_leaves_before_its_login_is_decided_leaves_a_line() {
    let gateway = Gateway::start(&Upstream::start().await).await;
    let mut connection = gateway.plain().await;
    let head =
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    connection.send(head).await;
    drop(connection);
    let line = &audited(&gateway, 1).await[0];
    assert_eq!(line["event"], "login_refused");
    assert!([json!("client_gone"), json!("body_broken")].contains(&line["reason"]), "{line}");
}

#[tokio::test]
async fn while_audit_lines_cannot_be_written_nobody_logs_in_and_those_who_are_in_go_on() {
    let upstream = Upstream::start().await;
    let settings = "log.audit = '/dev/full'\nserver.trusted_proxies = ['127.0.0.1']";
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    let body = json!({ "username": "x".repeat(500), "password": "" }).to_string();
    let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let request = format!("{head}X-Request-Id: {}\r\nContent-Length: {}\r\n\r\n{body}", "y".repeat(128), body.len());
    let mut connection = gateway.plain().await;
    // Each leaves a line of more than 700 bytes; a MiB may wait.
    let mut refused = 0;
    let stuck = loop {
        let answer = connection.request(&request).await;
        match answer.status {
            404 | 429 => refused += 1,
            _ => break answer,
        }
    };
    stuck.is_refusal(503, "Logins cannot be recorded");
    assert_eq!(stuck.field("retry-after"), Some("5"));
    assert!((1000..1500).contains(&refused), "{refused}");
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    assert_eq!(gateway.logout(&pair).await.status, 200);
    gateway.get("/", &pair.lines()).await.is_refusal(401, "Invalid token or key");
}

/// The audit lines, once there are so many.
async fn audited(gateway: &Gateway, count: usize) -> Vec<Value> {
    let whole = || gateway.audit_log().lines().filter(|line| line.ends_with('}')).count() >= count;
    eventually("audit lines", || async { whole() }).await;
    let log = gateway.audit_log();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The first access line about a path.
async fn line_of(gateway: &Gateway, path: &str) -> Value {
    let find = || {
        let log = gateway.access_log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["path"] == path)
    };
    eventually("an access line", || async { find().is_some() }).await;
    find().unwrap()
}
