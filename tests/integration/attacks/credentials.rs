//! Family 6, many-valued credentials: a key and a token, each exactly once and exactly as issued, from one place, or nobody.
//! CVE-2020-25017, CVE-2019-18802, CVE-2019-9900 (Envoy).

use super::{Line, Scene, Seen, WAYS, Way, line, lines};
use crate::harness::{Gateway, Pair, ROOT, Recorded, USER};

const ROUTES: &str = "routes = [
    { path = '/', upstream = 'main' },
    { path = '/query', upstream = 'main', credentials = ['header', 'query'] },
    { path = '/only', upstream = 'main', credentials = ['query'] },
    { path = '/told', upstream = 'main', forward_credentials = true },
    { path = '/open', upstream = 'main', access = 'public' },
]";

const INVALID: &str = r#"{"status":"error","info":"Invalid token or key"}"#;

#[tokio::test]
async fn a_right_pair_passes_in_every_way_in_any_case_and_with_the_spaces_that_http_allows() {
    let scene = Scene::new(ROUTES).await;
    for way in WAYS {
        scene.ask(way, "/x", &lines(&scene.pair)).await.passed("a right pair");
    }
    for way in [Way::Http1, Way::Upgrade1] {
        for (key, token) in [("x-KEY", "X-ACCESS-token"), ("x-key", "x-access-token"), ("X-KEY", "X-Access-Token")] {
            let spaced =
                [line(key, format!(" {}\t ", scene.pair.key)), line(token, format!("\t{} ", scene.pair.token))];
            scene
                .ask(way, "/x", &spaced)
                .await
                .passed("spaces around a value are not part of it (RFC 9110, section 5.5)");
        }
    }
}

#[tokio::test]
async fn wrong_pairs_are_nobody_in_any_way_whatever_the_method() {
    let scene = Scene::new(ROUTES).await;
    for (what, asked) in wrong(&scene.gateway).await {
        for way in WAYS {
            for target in ["/x", "/told"] {
                is_nobody(&format!("{way:?} {target} {what}"), &scene.ask(way, target, &asked).await);
            }
        }
        for (way, method) in
            [(Way::Http1, "POST"), (Way::Http2, "DELETE"), (Way::Http1, "OPTIONS"), (Way::Http2, "PROPFIND")]
        {
            is_nobody(&what, &scene.ask_by(way, (method, "/x"), &asked).await);
        }
        scene.ask_by(Way::Http2, ("HEAD", "/x"), &asked).await.is_refused(401, &what);
        // Where nobody is asked for, none of it is read, and none comes through.
        for way in WAYS {
            holds_none(&scene, scene.ask(way, "/open", &asked).await.passed(&what));
        }
    }
}

/// hyper's client sends what the standard forbids; the gateway may refuse the stream instead of the request.
#[tokio::test]
async fn spaces_around_a_credential_of_http_2_let_nobody_in() {
    let scene = Scene::new(ROUTES).await;
    let (key, token) = (&scene.pair.key, &scene.pair.token);
    for asked in [
        [line("X-Key", format!(" {key}")), line("X-Access-Token", token)],
        [line("X-Key", key), line("X-Access-Token", format!("{token} "))],
        [line("X-Key", format!("\t{key}\t")), line("X-Access-Token", token)],
    ] {
        for way in [Way::Http2, Way::Upgrade2] {
            is_nobody("spaces", &scene.ask(way, "/x", &asked).await);
        }
    }
}

#[tokio::test]
async fn a_header_and_a_query_never_go_together_even_where_they_agree() {
    let scene = Scene::new(ROUTES).await;
    let other = scene.gateway.login(&ROOT).await;
    let (right, pair) = (scene.pair.query(), lines(&scene.pair));
    for way in WAYS {
        for route in ["/query", "/only", "/told"] {
            for query in
                [&right, &other.query(), &format!("x_key={}", scene.pair.key), "access_token=", "X_KEY[]=1", "x.key=a"]
            {
                for asked in [&pair[..], &pair[..1], &pair[1..]] {
                    let target = format!("{route}?{query}");
                    is_nobody(&target, &scene.ask(way, &target, asked).await);
                }
            }
        }
        // On other routes it belongs to the API behind.
        let target = "/x?x_key=mine&access_token=too";
        assert_eq!(scene.ask(way, target, &pair).await.passed(target).target(), target);
        is_nobody("only in the query", &scene.ask(way, &format!("/x?{right}"), &[]).await);
        is_nobody("only in the query", &scene.ask(way, &format!("/told?{right}"), &[]).await);
        is_nobody("in headers", &scene.ask(way, "/only", &pair).await);
    }
}

#[tokio::test]
async fn ambiguous_query_credentials_are_nobody_and_a_right_pair_leaves_the_url() {
    let scene = Scene::new(ROUTES).await;
    let other = scene.gateway.login(&USER).await;
    let (right, key, token) = (scene.pair.query(), &scene.pair.key, &scene.pair.token);
    let wrong = [
        format!("X%5fKey={key}&ACCESS_TOKEN={token}"),
        format!("{right}&x_key={key}"),
        format!("{right}&X_KEY={key}"),
        format!("{right}&x%5Fkey={key}"),
        format!("{right}&x_key[]={key}"),
        format!("{right}&x_key%5B$ne%5D="),
        format!("{right};x_key={key}"),
        format!("{right}&x.key={key}"),
        format!("{right}&%20x_key={key}"),
        format!("{right}&x_key%00={key}"),
        format!("{right}&access_token[0]={token}"),
        format!("x_key[$ne]=&access_token={token}"),
        format!("x_key[$regex]=.*&access_token={token}"),
        format!("x_key={key}&access_token={}", other.token),
        format!("x_key=&access_token={token}"),
        format!("x_key&access_token={token}"),
        format!("x_key={key},{key}&access_token={token}"),
        format!("x_key={key}%20&access_token={token}"),
        format!("x_key={key}%00&access_token={token}"),
        format!("x_key=%7B{key}%7D&access_token={token}"),
        format!("x_key={}&access_token={token}", key.to_uppercase()),
        format!("x_key={key}&access_token=%FF{token}"),
        format!("x_key={key}&access_token={token}%0a"),
        format!("x_key={key}&access_token={}", "x".repeat(8192)),
        format!("x_key={key}"),
        format!("access_token={token}"),
    ];
    for way in WAYS {
        for query in &wrong {
            is_nobody(query, &scene.ask(way, &format!("/query?{query}"), &[]).await);
        }
        for (query, told) in [(format!("a=1&{right}&b=2"), "/query?a=1&b=2"), (right.clone(), "/query")] {
            let seen = scene.ask(way, &format!("/query?{query}"), &[]).await;
            assert_eq!(seen.passed(&query).target(), told);
            holds_none(&scene, seen.passed(&query));
        }
    }
}

/// Fails the test unless the request was refused as everybody's is who presents nothing.
#[track_caller]
fn is_nobody(what: &str, seen: &Seen) {
    seen.is_refused(401, what);
    assert_eq!(seen.text, INVALID, "{what}");
}

#[track_caller]
fn holds_none(scene: &Scene, request: &Recorded) {
    let head = &request.head;
    assert!(!head.contains(&scene.pair.key) && !head.contains(&scene.pair.token), "{head}");
    assert!(request.field("x-key").is_none() && request.field("x-access-token").is_none(), "{head}");
}

/// What is wrong, and the lines that are.
async fn wrong(gateway: &Gateway) -> Vec<(String, Vec<Line>)> {
    let (pair, other, gone) = (gateway.login(&USER).await, gateway.login(&ROOT).await, gateway.login(&USER).await);
    assert_eq!(gateway.logout(&gone).await.status, 200);
    let (key, token) = (line("X-Key", &pair.key), line("X-Access-Token", &pair.token));
    let mut wrong = vec![
        ("nothing".to_owned(), vec![]),
        ("logged out".to_owned(), lines(&gone)),
        ("one's key with another's token".to_owned(), vec![key.clone(), line("X-Access-Token", &other.token)]),
        ("two right keys".to_owned(), vec![key.clone(), key.clone(), token.clone()]),
        ("two right tokens".to_owned(), vec![key.clone(), token.clone(), token.clone()]),
        ("two pairs".to_owned(), [lines(&pair), lines(&other)].concat()),
        ("a right pair and an empty key".to_owned(), vec![line("X-Key", ""), key.clone(), token.clone()]),
        ("a right pair and an empty token".to_owned(), vec![key.clone(), token.clone(), line("x-access-token", "")]),
        ("a wrong key first".to_owned(), vec![line("X-Key", &other.key), key.clone(), token.clone()]),
        ("a key alone".to_owned(), vec![key.clone()]),
        ("a token alone".to_owned(), vec![token.clone()]),
        ("a bearer".to_owned(), vec![key.clone(), line("Authorization", format!("Bearer {}", pair.token))]),
        ("cookies".to_owned(), vec![line("Cookie", format!("x-key={}; x-access-token={}", pair.key, pair.token))]),
        ("the other way round".to_owned(), vec![line("X-Key", &pair.token), line("X-Access-Token", &pair.key)]),
    ];
    wrong.extend(odd(&bad_keys(&pair), "X-Key", &token));
    wrong.extend(odd(&bad_tokens(&pair), "X-Access-Token", &key));
    wrong
}

fn odd(values: &[Vec<u8>], name: &str, beside: &Line) -> Vec<(String, Vec<Line>)> {
    let one =
        |bad: &Vec<u8>| (format!("{name} {:.60}", String::from_utf8_lossy(bad)), vec![line(name, bad), beside.clone()]);
    values.iter().map(one).collect()
}

fn bad_keys(pair: &Pair) -> Vec<Vec<u8>> {
    let key = &pair.key;
    let mut bad: Vec<Vec<u8>> = [
        String::new(),
        "8fd26a17-eb28-4c74-aa6f-a3794f4f466c".into(),
        key.replacen('4', "1", 1),
        key.to_uppercase(),
        key.replace('-', ""),
        key.replace('-', "_"),
        format!("{{{key}}}"),
        format!("({key})"),
        format!("\"{key}\""),
        format!("urn:uuid:{key}"),
        format!("{key},{key}"),
        format!("{key}, {key}"),
        format!("{key},"),
        format!(",{key}"),
        format!("{key} {key}"),
        format!("{key}\t{key}"),
        format!("{key};"),
        format!("{key};q=1"),
        format!("{key}%00"),
        key.replace('-', "%2d"),
        key[..35].into(),
        format!("{key}0"),
        format!("{key}{}", "0".repeat(8192)),
        "x".repeat(8192),
        key.replace('-', "\u{2010}"),
        key.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect(),
    ]
    .map(String::into_bytes)
    .into();
    bad.extend([b"\xff\xfe".to_vec(), [key.as_bytes(), b"\xff"].concat(), [b"\xc0", key.as_bytes()].concat()]);
    bad
}

fn bad_tokens(pair: &Pair) -> Vec<Vec<u8>> {
    let token = &pair.token;
    let mut bad: Vec<Vec<u8>> = [
        String::new(),
        format!("Bearer {token}"),
        format!("{token},{token}"),
        format!("{token}, {token}"),
        format!("{token},"),
        format!("{token} {token}"),
        format!("{token}\t{token}"),
        format!("\"{token}\""),
        format!("{token}="),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}%00"),
        token[..token.len() - 1].into(),
        token[1..].into(),
        token.to_lowercase(),
        token.to_uppercase(),
        token.replace('.', "%2e"),
        "x".repeat(8192),
        format!("{token}{}", "x".repeat(8192)),
    ]
    .map(String::into_bytes)
    .into();
    bad.extend([
        b"\xff\xfe".to_vec(),
        [token.as_bytes(), b"\xff"].concat(),
        [b"\xe2\x80\x8b", token.as_bytes()].concat(),
    ]);
    bad
}
