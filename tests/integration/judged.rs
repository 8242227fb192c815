//! What was judged is what is sent, of requests that nobody thought of: odd paths and odd headers, through a whole gateway.

use proptest::prelude::*;
use tokio::runtime::Builder;

use crate::harness::{Gateway, Recorded, USER, Upstream};

const ROUTES: &str = "routes = [
    { path = '/', upstream = 'main' },
    { path = '/private', access = 'deny' },
    { path = '/exact', exact = true, access = 'deny' },
    { path = '/open', upstream = 'main', access = 'public' },
]";

/// Pieces of targets that readers disagree about, and some that mean nothing.
const ODD: &[&str] = &[
    "/",
    "/",
    "private",
    "PRIVATE",
    "exact",
    "open",
    "..",
    ".",
    "%2e",
    "%2F",
    "%5c",
    "%25",
    "%252e",
    "%00",
    "%20",
    "%7f",
    ";",
    ";a=b",
    "\\",
    "#",
    "?",
    "a",
    "x_key=1",
    "&",
    "%70rivate",
    "%c3%a4",
    "*",
    "~",
    "@",
    ":",
    "//",
    "%",
    "+",
];
/// Names of headers that only the gateway may write, that are for one connection, or that mean nothing.
const NAMES: &[&str] = &[
    "x_key",
    "X.Access-Token",
    "X_Webitel_User",
    "x-webitel.role",
    "X-Webitel-Domain",
    "Forwarded",
    "X-Forwarded-For",
    "X_Real_IP",
    "X-Original-URL",
    "X-HTTP-Method-Override",
    "Connection",
    "Connection",
    "TE",
    "Keep-Alive",
    "Upgrade",
    "Proxy",
    "Via",
    "Accept",
    "X-Other",
    "Trailer",
    "Cookie",
];
const VALUES: &[&str] =
    &["x-key, x-webitel-user", "x-other", "close, accept", "te, via", "trailers", "for=1.2.3.4", "h2c", "", "forged"];
/// What an API is never told in a client's words, or not at all.
const GONE: [&str; 9] = [
    "x-key",
    "x-access-token",
    "forwarded",
    "x-real-ip",
    "x-original-url",
    "x-http-method-override",
    "proxy",
    "keep-alive",
    "upgrade",
];

fn target() -> impl Strategy<Value = String> {
    let piece = prop_oneof![4 => prop::sample::select(ODD).prop_map(str::to_owned), 1 => "[ -~]{1,3}"];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Header lines that are well-formed but odd.
fn lines() -> impl Strategy<Value = String> {
    let value = prop_oneof![3 => prop::sample::select(VALUES).prop_map(str::to_owned), 1 => "[!-~]{0,9}"];
    let line = (prop::sample::select(NAMES), value).prop_map(|(name, value)| format!("{name}: {value}\r\n"));
    prop::collection::vec(line, 0..6).prop_map(|lines| lines.concat())
}

#[test]
fn what_is_judged_is_what_is_sent_and_what_is_refused_is_never_seen() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (upstream, gateway, pair) = runtime.block_on(async {
        let upstream = Upstream::start().await;
        let gateway = Gateway::with(&upstream, ROUTES).await;
        let pair = gateway.login(&USER).await;
        (upstream, gateway, pair)
    });
    proptest!(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }, |(target in target(), lines in lines())| {
        let before = upstream.requests().len();
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{}{lines}\r\n", pair.lines());
        let status = runtime.block_on(async { gateway.plain().await.request(request).await.status });
        let seen = upstream.requests().split_off(before);
        match (status, &seen[..]) {
            (200, [seen]) => judge(seen, &target),
            (200, _) => panic!("{target}: seen {} times", seen.len()),
            (_, seen) => assert!(seen.is_empty(), "{target}: {status}, and yet it was sent"),
        }
    });
    let passed = upstream.requests().len();
    assert!((30..270).contains(&passed), "{passed} of 300 passed: nothing was tried");
}

/// One canonical message: the target as it came, the gateway's word on who is asking and from where, nothing of one connection.
fn judge(seen: &Recorded, target: &str) {
    assert_eq!(seen.target(), target);
    let (path, fields) = (target.split('?').next().unwrap_or_default(), seen.fields());
    let is_below =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    assert!(!is_below("/private") && path != "/exact", "{target}");
    for line in seen.head.lines().skip(1) {
        let name = line.split(':').next().unwrap_or_default().to_lowercase();
        let folded = name.replace(['_', '.'], "-");
        let only_ours = folded.starts_with("x-webitel-") || folded.starts_with("x-forwarded-");
        assert!(!only_ours || name == folded && fields.all(&name).len() == 1, "{}", seen.head);
        assert!(!GONE.contains(&&*folded), "{}", seen.head);
    }
    assert_eq!(fields.one("x-webitel-user"), (!is_below("/open")).then_some(USER.name));
    assert_eq!(fields.one("x-forwarded-for"), Some("127.0.0.1"));
    assert!(fields.all("connection").iter().all(|named| named.eq_ignore_ascii_case("te")), "{}", seen.head);
}
