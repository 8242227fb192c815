//! Floods of logins (THREATS.md, 8 and 9; CVE-2026-47203, CVE-2025-24806): who hangs up, who comes in crowds, and who sprays names
//! over addresses. Requests with a session go on, what waits is bounded, and who is refused is told when to come again.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{Answer, Connection, Gateway, Pair, USER, Upstream, eventually};

/// One check at a time, each of an unknown user as dear as that of a new hash; a few may wait.
const NARROW: &str = "server.trusted_proxies = ['127.0.0.1']
    login = { hide_unknown_users = true, concurrency = 1, queue = 8, queue_timeout = '1s' }";

#[tokio::test]
async fn five_hundred_logins_that_hang_up_cost_nobody_else_anything() {
    let upstream = Upstream::start().await;
    let roomy = NARROW.replace("queue = 8, queue_timeout = '1s'", "queue = 1000, queue_timeout = '60s'");
    let gateway = Gateway::with(&upstream, &roomy).await;
    let pair = gateway.login(&USER).await;
    let flood = join_all((0..500).map(async |number| {
        let mut connection = gateway.plain().await;
        connection
            .send(login(&format!("nobody-{number}"), &format!("X-Forwarded-For: 192.0.2.{}\r\n", number % 250)))
            .await;
        connection
    }));
    let (flood, ()) = tokio::join!(flood, legitimate(&gateway, &pair));
    legitimate(&gateway, &pair).await;
    drop(flood);
    let lines = || gateway.audit_log().lines().filter(|line| line.contains("\"login_refused\"")).count();
    eventually("a line for each", async || lines() == 500).await;
    // Were each of them checked, whom nobody waits for, this would take longer than any test may.
    assert_eq!(gateway.plain().await.request(right()).await.status, 200);
    legitimate(&gateway, &pair).await;
}

#[tokio::test]
async fn what_is_more_than_the_machine_can_check_is_503_with_retry_after() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, NARROW).await;
    let pair = gateway.login(&USER).await;
    let flood = join_all((0..200).map(async |number| {
        let lines = format!("X-Forwarded-For: 198.51.100.{number}\r\n");
        gateway.plain().await.request(login(&format!("nobody-{number}"), &lines)).await
    }));
    let (answers, ()) = tokio::join!(flood, legitimate(&gateway, &pair));
    for answer in &answers {
        match answer.status {
            401 => answer.is_refusal(401, "Invalid credentials"),
            _ => {
                answer.is_refusal(503, "Too many logins at once");
                assert_eq!(answer.field("retry-after"), Some("5"));
            }
        }
    }
    assert!([401, 503].iter().all(|status| answers.iter().any(|answer| answer.status == *status)));
    // Who was not checked has used nothing up.
    eventually("a check", async || gateway.plain().await.request(login("nobody-0", "")).await.status == 401).await;
}

#[tokio::test]
async fn names_sprayed_from_one_announced_network_use_up_its_budget_and_no_others() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, &announced("login.throttle = { per_network = 10 }")).await;
    let pair = gateway.login(&USER).await;
    let spray = async {
        let mut answers = Vec::new();
        for number in 0..40 {
            answers.push(from(&gateway, &format!("2001:db8:0:1::{number:x}"), &format!("name-{number}")).await);
        }
        answers
    };
    let (answers, ()) = tokio::join!(spray, legitimate(&gateway, &pair));
    for (number, answer) in answers.iter().enumerate() {
        if number < 10 {
            answer.is_refusal(404, "User not found");
        } else {
            is_throttled(answer);
        }
    }
    from(&gateway, "2001:db8:0:2::1", "name-0").await.is_refusal(404, "User not found");
}

#[tokio::test]
async fn one_name_tried_from_many_announced_networks_is_slowed_down_whether_it_exists_or_not() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, &announced("login.hide_unknown_users = true")).await;
    let pair = gateway.login(&USER).await;
    for name in ["root", "nobody@mydomain.com"] {
        let spray = async {
            let mut answers = Vec::new();
            for number in 0..40 {
                answers.push(from(&gateway, &format!("2001:db8:{number:x}::1"), name).await);
            }
            answers
        };
        let (answers, ()) = tokio::join!(spray, legitimate(&gateway, &pair));
        let (checked, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 401);
        // Six at once, then one after one second, two, four: forty networks gain next to nothing.
        assert!((6..=16).contains(&checked.len()), "{name}: {}", checked.len());
        refused.into_iter().for_each(is_throttled);
    }
}

/// Refused with a whole number of seconds, at least one.
#[track_caller]
fn is_throttled(answer: &Answer) {
    answer.is_refusal(429, "Too many failed logins");
    assert!(
        answer.field("retry-after").and_then(|seconds| seconds.parse::<u64>().ok()).is_some_and(|seconds| seconds > 0)
    );
}

/// Requests with a session, all of which succeed.
async fn legitimate(gateway: &Gateway, pair: &Pair) {
    let mut connection = gateway.connect().await;
    for _ in 0..100 {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
        assert_eq!(connection.request(request).await.status, 200);
    }
}

fn login(name: &str, lines: &str) -> String {
    post(&json!({ "username": name, "password": "a wrong password" }).to_string(), lines)
}

fn right() -> String {
    post(&json!({ "username": USER.name, "password": USER.password }).to_string(), "")
}

fn post(body: &str, lines: &str) -> String {
    let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    format!("{head}{lines}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// A login of a client that a trusted proxy announces.
async fn from(gateway: &Gateway, client: &str, name: &str) -> Answer {
    let mut connection = Connection::plain(gateway.plain).await;
    connection.request(format!("PROXY TCP6 {client} ::1 1 2\r\n{}", login(name, ""))).await
}

/// Settings with a second listener behind a proxy, and a third for who has a session.
fn announced(settings: &str) -> String {
    format!(
        "listeners = [{{ address = '127.0.0.1:0', tls = true }}, {{ address = '127.0.0.1:0', tls = false, proxy_protocol = true }}]
        server.trusted_proxies = ['127.0.0.1']\n{settings}"
    )
}
