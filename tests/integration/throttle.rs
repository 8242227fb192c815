//! How often passwords may be tried, asked from real addresses and from those that a trusted proxy tells of.

use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, USER, Upstream, eventually};

const TRUSTED: &str = "server.trusted_proxies = ['127.0.0.1']\n";

#[tokio::test]
async fn a_name_under_attack_from_one_network_logs_in_from_another() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, TRUSTED).await;
    for _ in 0..20 {
        login(&gateway, "root", "wrong", "X-Forwarded-For: 192.0.2.1\r\n").await;
    }
    let last = login(&gateway, "root", "secret-root", "X-Forwarded-For: 192.0.2.1\r\n").await;
    is_throttled(&last, 900);
    assert_eq!(login(&gateway, "root", "secret-root", "X-Forwarded-For: 192.0.2.2\r\n").await.status, 200);
    upstream.saw_nothing();
}

#[tokio::test]
async fn addresses_of_one_ipv6_network_share_their_failures() {
    let gateway = Gateway::with(&Upstream::start().await, TRUSTED).await;
    for last in 0..5 {
        login(&gateway, "root", "wrong", &format!("X-Forwarded-For: 2001:db8::{last}:1\r\n")).await;
    }
    let neighbour = login(&gateway, "root", "secret-root", "X-Forwarded-For: 2001:db8::ffff\r\n").await;
    is_throttled(&neighbour, 900);
    let other = login(&gateway, "root", "secret-root", "X-Forwarded-For: 2001:db8:0:1::1\r\n").await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn nobody_leaves_his_network_by_saying_so_unless_he_is_trusted() {
    let gateway = Gateway::start(&Upstream::start().await).await;
    for last in 0..5 {
        login(&gateway, "root", "wrong", &format!("X-Forwarded-For: 192.0.2.{last}\r\n")).await;
    }
    is_throttled(&login(&gateway, "root", "secret-root", "X-Forwarded-For: 192.0.2.9\r\n").await, 900);
}

#[tokio::test]
async fn a_network_has_a_budget_and_a_trusted_proxy_has_none() {
    let settings = format!("{TRUSTED}login.throttle.per_network = 10\n");
    let gateway = Gateway::with(&Upstream::start().await, &settings).await;
    for lines in ["X-Forwarded-For: 192.0.2.1\r\n", ""] {
        for number in 0..10 {
            let answer = login(&gateway, &format!("user-{number}"), "wrong", lines).await;
            answer.is_refusal(404, "User not found");
        }
    }
    is_throttled(&login(&gateway, "root", "secret-root", "X-Forwarded-For: 192.0.2.1\r\n").await, 900);
    assert_eq!(login(&gateway, "root", "secret-root", "").await.status, 200, "the proxy's own address");
}

#[tokio::test]
async fn good_logins_are_not_counted_and_clear_what_went_before() {
    let gateway = Gateway::start(&Upstream::start().await).await;
    for _ in 0..3 {
        for _ in 0..4 {
            login(&gateway, USER.name, "wrong", "").await.is_refusal(401, "Invalid credentials");
        }
        assert_eq!(login(&gateway, USER.name, USER.password, "").await.status, 200);
    }
}

#[tokio::test]
async fn of_many_guesses_at_once_five_are_checked() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "login.queue = 1000\nlogin.throttle.window = '1h'\n").await;
    let guesses = (0..100).map(|number| {
        let gateway = &gateway;
        async move { login(gateway, "admin@mydomain.com", &format!("guess-{number}"), "").await.status }
    });
    let answers = futures_util::future::join_all(guesses).await;
    let of = |status: u16| answers.iter().filter(|answer| **answer == status).count();
    assert_eq!((of(401), of(429)), (5, 95), "{answers:?}");
}

#[tokio::test]
async fn the_window_ends() {
    let gateway = Gateway::with(&Upstream::start().await, "login.throttle = { per_user = 1, window = '500ms' }").await;
    login(&gateway, "root", "wrong", "").await.is_refusal(401, "Invalid credentials");
    eventually("the end of the window", async || login(&gateway, "root", "secret-root", "").await.status == 200).await;
}

async fn login(gateway: &Gateway, name: &str, password: &str, lines: &str) -> Answer {
    let body = json!({ "username": name, "password": password }).to_string();
    let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    gateway.request(format!("{head}{lines}Content-Length: {}\r\n\r\n{body}", body.len())).await
}

/// Refused before any check, with a whole number of seconds, at least one.
#[track_caller]
fn is_throttled(answer: &Answer, most_seconds: u64) {
    answer.is_refusal(429, "Too many failed logins");
    let seconds: u64 = answer.field("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=most_seconds).contains(&seconds), "{seconds}");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap()["status"], "error");
}
