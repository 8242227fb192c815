//! Family 5, believing forwarded headers: what a stranger says of where it comes from, or of what it asks for, changes nothing; a
//! trusted proxy is believed about the address and the scheme, and about nothing else. CVE-2026-40575 and CVE-2026-34457
//! (oauth2-proxy), CVE-2026-33495 (oathkeeper), CVE-2018-14773 (Symfony, `X-Original-URL`).

use super::{Line, Scene, WAYS, Way, line, lines};
use crate::harness::{Recorded, eventually};

const ROUTES: &str = "routes = [
    { path = '/', upstream = 'main' },
    { path = '/open', upstream = 'main', access = 'public' },
    { path = '/shut', access = 'deny' },
    { path = '/read', upstream = 'main', methods = ['GET'] },
    { path = '/vhost', upstream = 'main', hosts = ['public.example.com'], access = 'public' },
]";

const STRANGER: &str = "server.trusted_proxies = ['10.0.0.0/8']";
const TRUSTED: &str = "server.trusted_proxies = ['127.0.0.0/8', '10.0.0.0/8']";

/// Where a client could say that it comes from, in every way that an address is written.
fn addresses() -> Vec<Line> {
    let names =
        ["X-Forwarded-For", "X-Real-IP", "True-Client-IP", "X-Client-IP", "CF-Connecting-IP", "X-Cluster-Client-IP"];
    let texts = [
        "6.6.6.6",
        "10.0.0.1",
        "127.0.0.1, 6.6.6.6",
        "6.6.6.6:80",
        "[2001:db8::6]:80",
        "::ffff:6.6.6.6",
        "unknown",
        "6.6.6",
        "",
    ];
    let plain = names.iter().flat_map(|name| texts.iter().map(move |text| line(*name, text)));
    let nodes = [
        "for=6.6.6.6",
        "for=\"[2001:db8::6]:80\";proto=http;host=shut.example;by=_x",
        "for=unknown, for=6.6.6.6",
        "for=\"6.6.6.6",
    ];
    plain
        .chain(nodes.iter().map(|node| line("Forwarded", node)))
        .chain([line("X-Forwarded-For", b"\xff, 6.6.6.6")])
        .collect()
}

/// What else a client could want to be asked for.
fn wishes(path: &str, method: &str) -> Vec<Line> {
    let by_path = [
        "X-Original-URL",
        "X-Original-URI",
        "X-Rewrite-URL",
        "X-Forwarded-Prefix",
        "X-Forwarded-Path",
        "X-Forwarded-Uri",
    ];
    let by_method =
        ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Method", "X-Forwarded-Method"];
    let by_host = ["X-Forwarded-Host", "X-Original-Host", "X-Host", "X-HTTP-Host-Override", "X-Forwarded-Server"];
    let of = |names: &[&str], value: &str| names.iter().map(|name| line(*name, value)).collect::<Vec<_>>();
    let forwarded = line("Forwarded", "host=public.example.com;proto=https");
    [of(&by_path, path), of(&by_method, method), of(&by_host, "public.example.com"), vec![forwarded]].concat()
}

/// Fails the test unless the upstream is told this address and no other, and nothing of wishes.
#[track_caller]
fn is_told(address: &str, what: &str, request: &Recorded) {
    assert_eq!(request.field("x-forwarded-for").as_deref(), Some(address), "{what}");
    let host = request.field("host").expect("a host");
    assert_eq!(request.field("x-forwarded-host"), Some(host), "{what}");
    let told = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
    for (name, value) in request.fields().0 {
        let claims =
            ["forwarded", "x-real", "client-ip", "connecting", "original", "rewrite", "override", "method", "x-host"];
        let claim = claims.iter().any(|claim| name.to_ascii_lowercase().contains(claim));
        assert!(!claim || told.contains(&name.as_str()), "{what}: {name}: {value}");
    }
}

#[tokio::test]
async fn a_stranger_comes_from_where_it_comes_from() {
    let scene = Scene::new(&format!("{STRANGER}\n{ROUTES}")).await;
    for way in WAYS {
        for claim in addresses() {
            for target in ["/x", "/open"] {
                let asked = [vec![claim.clone(), claim.clone()], lines(&scene.pair)].concat();
                let what = format!("{way:?} {claim:?}");
                is_told("127.0.0.1", &what, scene.ask(way, target, &asked).await.passed(&what));
            }
        }
        let all = [addresses(), lines(&scene.pair)].concat();
        is_told("127.0.0.1", "all at once", scene.ask(way, "/x", &all).await.passed("all at once"));
    }
}

#[tokio::test]
async fn nobody_is_asked_for_anything_but_what_the_request_line_says() {
    for settings in [STRANGER, TRUSTED] {
        let scene = Scene::new(&format!("{settings}\n{ROUTES}")).await;
        for way in WAYS {
            let pair = lines(&scene.pair);
            for (target, status, asked) in [
                ("/shut", 403, [wishes("/open", "GET"), pair.clone()].concat()),
                ("/x", 401, wishes("/open", "GET")),
                ("/vhost", 401, wishes("/open", "GET")),
                ("/x", 401, wishes("/open", "OPTIONS")),
                ("/login", 405, wishes("/open", "POST")),
            ] {
                scene.ask(way, target, &asked).await.is_refused(status, &format!("{way:?} {target}"));
            }
            let asked = [wishes("/shut", "DELETE"), pair].concat();
            let seen = scene.ask(way, "/read/x", &asked).await;
            let request = seen.passed("wishes");
            assert_eq!(request.line(), "GET /read/x HTTP/1.1");
            is_told("127.0.0.1", "wishes", request);
        }
        for way in [Way::Http1, Way::Http2] {
            let asked = [wishes("/read", "GET"), lines(&scene.pair)].concat();
            scene.ask_by(way, ("POST", "/read/x"), &asked).await.is_refused(405, "another method");
            scene.ask_by(way, ("TRACE", "/x"), &asked).await.is_refused(501, "TRACE");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_about_the_address_and_the_scheme_alone() {
    let scene = Scene::new(&format!("{TRUSTED}\n{ROUTES}")).await;
    for way in WAYS {
        for (claims, address) in [
            (vec![line("X-Forwarded-For", "6.6.6.6, 9.9.9.9")], "9.9.9.9"),
            (vec![line("X-Forwarded-For", "6.6.6.6"), line("X-Forwarded-For", "9.9.9.9, 10.1.1.1")], "9.9.9.9"),
            (vec![line("X-Forwarded-For", "9.9.9.9, 10.1.1.1,,\t10.2.2.2")], "9.9.9.9"),
            (vec![line("X-Forwarded-For", "2001:DB8::9, 10.1.1.1")], "2001:db8::9"),
            (vec![line("X-Forwarded-For", "::ffff:9.9.9.9")], "9.9.9.9"),
            // What can't be read is where the trail ends: nobody further left is believed.
            (vec![line("X-Forwarded-For", "6.6.6.6, unknown")], "127.0.0.1"),
            (vec![line("X-Forwarded-For", "6.6.6.6, x, 10.1.1.1")], "10.1.1.1"),
            (vec![line("X-Forwarded-For", b"6.6.6.6, \xff")], "127.0.0.1"),
            (vec![line("X-Forwarded-For", "6.6.6.6, 0x7f.1, 10.1.1.1")], "10.1.1.1"),
            (vec![line("X_Forwarded_For", "6.6.6.6"), line("X-Real-IP", "6.6.6.6")], "127.0.0.1"),
            (vec![line("Forwarded", "for=6.6.6.6, for=9.9.9.9;host=shut.example")], "9.9.9.9"),
        ] {
            let asked = [claims.clone(), wishes("/shut", "DELETE")[..16].to_vec(), lines(&scene.pair)].concat();
            let what = format!("{way:?} {claims:?}");
            is_told(address, &what, scene.ask(way, "/x", &asked).await.passed(&what));
        }
    }
}

/// `Connection: X-Forwarded-For` asks the gateway to forget what its own proxy says (CVE-2024-45410).
#[tokio::test]
async fn a_client_behind_a_trusted_proxy_can_not_hide_by_a_connection_line() {
    let scene = Scene::new(&format!("{TRUSTED}\n{ROUTES}")).await;
    for way in [Way::Http1, Way::Upgrade1] {
        let hide = line("Connection", "X-Forwarded-For, X-Forwarded-Proto, Forwarded");
        let asked = [vec![hide, line("X-Forwarded-For", "9.9.9.9")], lines(&scene.pair)].concat();
        is_told("9.9.9.9", "hidden", scene.ask(way, "/x", &asked).await.passed("hidden"));
    }
}

#[tokio::test]
async fn the_access_log_names_a_stranger_by_its_own_address() {
    let scene = Scene::new(&format!("{STRANGER}\n{ROUTES}\nlog.access = 'DIR/access.log'")).await;
    scene.ask(Way::Http1, "/shut/marked", &addresses()).await.is_refused(403, "a stranger");
    eventually("the line", || async { scene.gateway.access_log().contains("/shut/marked") }).await;
    let log = scene.gateway.access_log();
    assert!(!log.contains("6.6.6.6") && !log.contains("2001:db8::6"), "{log}");
}
