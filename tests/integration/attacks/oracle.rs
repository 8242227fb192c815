//! Family 9, what a login tells and how often it may be tried: refusals that can't be told apart, and one budget for a name however
//! it is written. CVE-2026-32595 and CVE-2026-41263 (Traefik), CVE-2025-24806 and CVE-2026-47203 (Authelia). That they can't be told
//! apart by time either is measured in tests/bench/oracle.

use serde_json::json;

use crate::harness::{ADMIN, Answer, Gateway, ROOT, USER, Upstream, User, body, whole};

const LENIENT: &str = "login = { hide_unknown_users = true, throttle = { per_user = 1000, per_network = 1000 } }";

/// Names and passwords that are wrong, each in its own way.
fn wrong() -> Vec<(String, String)> {
    let [long_name, long_password] = ["n".repeat(600), "p".repeat(2_000)];
    [
        ("nobody", "secret"),
        ("nobody@mydomain.com", "secret"),
        ("nobody@nowhere.example", ""),
        (ADMIN.name, "wrong"),
        (ADMIN.name, ""),
        (ADMIN.name, &long_password),
        (ADMIN.name, USER.password),
        (USER.name, "wrong"),
        (USER.name, "secret "),
        (USER.name, "SECRET"),
        (USER.name, "a1:00000000000000000000000000000000"),
        (ROOT.name, "wrong"),
        (ROOT.name, &long_password),
        (ROOT.name, "\0"),
        (" root", ROOT.password),
        ("root ", ROOT.password),
        ("root\0", ROOT.password),
        ("root@", ROOT.password),
        ("\u{200b}root", ROOT.password),
        ("100@mydomain.com..", USER.password),
        ("100@mydomain.com@", USER.password),
        (&long_name, "secret"),
        ("no canonical form", "secret"),
        ("a@b@", "secret"),
        ("$ne", "secret"),
        ("*", "*"),
    ]
    .map(|(name, password)| (name.to_owned(), password.to_owned()))
    .into()
}

#[tokio::test]
async fn every_refused_login_is_the_same_to_the_byte_where_users_are_hidden() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, LENIENT).await;
    let h2 = gateway.h2().await;
    let (mut told, mut told_h2) = (Vec::new(), Vec::new());
    for (name, password) in wrong() {
        let text = json!({ "username": name, "password": password }).to_string();
        let answer = login(&gateway, &name, &password).await;
        answer.is_refusal(401, "Invalid credentials");
        told.push(shown(&answer));
        let request = h2.build("POST", "/login", &[("content-type", "application/json")]).body(body(text)).unwrap();
        let answer = whole(h2.send(request).await.unwrap()).await;
        let fields: Vec<_> =
            answer.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        told_h2.push((answer.status, without_what_differs(fields), answer.body));
    }
    assert!(told.iter().all(|one| *one == told[0]), "{:?}", told.iter().find(|one| **one != told[0]));
    assert!(told_h2.iter().all(|one| *one == told_h2[0]), "{:?}", told_h2.iter().find(|one| **one != told_h2[0]));
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_locked_user_is_refused_to_the_byte_as_an_unknown_one_and_the_password_changes_nothing() {
    for hidden in [true, false] {
        let settings = format!("login.hide_unknown_users = {hidden}");
        let gateway = Gateway::with(&Upstream::start().await, &settings).await;
        let mut told = Vec::new();
        for name in [ADMIN.name, USER.name, ROOT.name, "nobody@mydomain.com", "no canonical form", "a@b@"] {
            for _ in 0..5 {
                assert!([401, 404].contains(&login(&gateway, name, "wrong").await.status), "{name}");
            }
            for password in ["wrong", "", ADMIN.password, USER.password, ROOT.password] {
                let answer = login(&gateway, name, password).await;
                is_throttled(name, &answer);
                told.push(shown(&answer));
            }
        }
        assert!(told.iter().all(|one| *one == told[0]), "{:?}", told.iter().find(|one| **one != told[0]));
    }
}

/// Somebody known and somebody unknown, in spellings that mean one name.
const SPELLINGS: [&[&str]; 4] = [
    &["root", "ROOT", "Root", "ｒｏｏｔ", "ＲＯＯＴ", "ro\u{ff4f}t", "rOOt"],
    &[
        "100@mydomain.com",
        "100@MyDomain.COM",
        "100@mydomain.com.",
        "１００@mydomain.com",
        "100＠mydomain.com",
        "100@ｍydomain.com",
        "100@mydomain。com",
        "100@mydomain．com",
        "100@MYDOMAIN.COM。",
        "100@my\u{ad}domain.com",
    ],
    &[
        "zoë@bücher.example",
        "ZOË@BÜCHER.EXAMPLE",
        "zoe\u{308}@bu\u{308}cher.example",
        "zoë@xn--bcher-kva.example",
        "Zoë@XN--BCHER-KVA.example.",
        "zoë＠bücher.example",
    ],
    &[
        "nobody@mydomain.com",
        "NOBODY@mydomain.com",
        "ｎobody@mydomain.com",
        "nobody@mydomain.com.",
        "nobody@MYDOMAIN。COM",
    ],
];

#[tokio::test]
async fn all_spellings_of_a_name_share_one_budget() {
    let zoe = User { name: "zoë@bücher.example", password: "secret-zoe", role: "user", attributes: "" };
    let upstream = Upstream::start().await;
    let files = [("users.toml", crate::harness::users_file(&[USER, ADMIN, ROOT, zoe]))];
    for spellings in SPELLINGS {
        let settings = "login.throttle.per_network = 1000000";
        let gateway = Gateway::with_files(&upstream, settings, &[(files[0].0, &files[0].1)]).await;
        for name in spellings.iter().cycle().take(5) {
            assert!([401, 404].contains(&login(&gateway, name, "wrong").await.status), "{name}");
        }
        for name in spellings {
            for password in ["wrong", USER.password, ROOT.password, "secret-zoe"] {
                is_throttled(name, &login(&gateway, name, password).await);
            }
        }
        assert_eq!(login(&gateway, ADMIN.name, ADMIN.password).await.status, 200, "nobody else is kept out");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn every_spelling_of_a_name_logs_the_same_user_in() {
    let zoe = User { name: "zoë@bücher.example", password: "secret-zoe", role: "user", attributes: "" };
    let upstream = Upstream::start().await;
    let users = crate::harness::users_file(&[USER, ADMIN, ROOT, zoe]);
    let gateway = Gateway::with_files(&upstream, "", &[("users.toml", &users)]).await;
    let canonical = ["root", "100@mydomain.com", "zo%C3%AB@xn--bcher-kva.example"];
    for ((spellings, password), user) in
        SPELLINGS.iter().zip([ROOT.password, USER.password, "secret-zoe"]).zip(canonical)
    {
        for name in *spellings {
            let answer = login(&gateway, name, password).await;
            assert_eq!(answer.status, 200, "{name}");
            let pair = crate::harness::Pair::of(&answer);
            assert_eq!(gateway.get("/", &pair.lines()).await.status, 200, "{name}");
            assert_eq!(upstream.last_request().field("x-webitel-user").as_deref(), Some(user), "{name}");
        }
    }
}

async fn login(gateway: &Gateway, name: &str, password: &str) -> Answer {
    gateway.post_login(&json!({ "username": name, "password": password }).to_string()).await
}

#[track_caller]
fn is_throttled(name: &str, answer: &Answer) {
    assert_eq!(answer.status, 429, "{name}");
    answer.is_refusal(429, "Too many failed logins");
    let seconds: u64 = answer.field("retry-after").expect("Retry-After").parse().expect("seconds");
    assert!((1..=900).contains(&seconds), "{seconds}");
}

type Fields = Vec<(String, String)>;

/// All of an answer but what differs between any two.
fn shown(answer: &Answer) -> (u16, Fields, Vec<u8>) {
    (answer.status, without_what_differs(answer.fields.0.clone()), answer.body.clone())
}

/// Values of `Date`, `Retry-After` (which counts down) and `X-Request-Id` are blanked; that and where they are said counts.
fn without_what_differs(mut fields: Fields) -> Fields {
    for (name, value) in &mut fields {
        if ["date", "retry-after", "x-request-id"].contains(&&*name.to_ascii_lowercase()) {
            value.clear();
        }
    }
    fields
}
