//! What is written down of a request: access lines, one a request.

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
