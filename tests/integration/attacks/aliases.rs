//! Family 1, header aliases: a reserved name in another spelling, which CGI, WSGI, PHP and others fold into the real one.
//! CVE-2025-64484 (oauth2-proxy), CVE-2026-52845 (Caddy), CVE-2026-39858 and CVE-2026-33433 (Traefik), CVE-2015-0219 (Django).

use super::{FORGED, Line, ROUTES, Scene, WAYS, Way, line, lines, spellings};
use crate::harness::{Recorded, USER};

/// Names that a client can't send, and those that only the gateway may.
const RESERVED: [&str; 82] = [
    "x-webitel-user",
    "x-webitel-domain",
    "x-webitel-role",
    "x-webitel-session",
    "x-client-identity",
    "forwarded",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-user",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-by",
    "x-forwarded-client-cert",
    "x-real-ip",
    "x-request-id",
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-original-method",
    "x-original-forwarded-for",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-host",
    "x-http-host-override",
    "x-url-scheme",
    "x-scheme",
    "front-end-https",
    "proxy",
    // Client addresses.
    "client-ip",
    "x-client-ip",
    "true-client-ip",
    "x-true-client-ip",
    "x-cluster-client-ip",
    "forwarded-for",
    "remote-addr",
    "x-remote-addr",
    "x-remote-ip",
    "x-originating-ip",
    "x-proxyuser-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "fastly-client-ip",
    "fly-client-ip",
    "appengine-user-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    // What a mesh's sidecar believes of its neighbours.
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-original-path",
    "x-envoy-original-host",
    // CVE-2025-29927 (Next.js).
    "x-middleware-subrequest",
    "x-middleware-subrequest-id",
    "x-middleware-rewrite",
    // Who a client's certificate names: RFC 9440, and what proxies wrote before it.
    "client-cert",
    "client-cert-chain",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "ssl-client-cert",
    "ssl-client-verify",
    "ssl-client-subject-dn",
    "x-ssl-client-cert",
    "x-ssl-client-s-dn",
    "x-ssl-client-verify",
    "x-ssl-cert",
    "x-arr-clientcert",
    "x-arr-ssl",
    // Who was authenticated, as servers and proxies say it.
    "remote-user",
    "x-remote-user",
    "x-authenticated-user",
    "x-auth-request-user",
    "x-webauth-user",
];

/// What the gateway writes under reserved names, each once and spelt so.
const WRITTEN: [&str; 7] = [
    "x-webitel-user",
    "x-webitel-domain",
    "x-webitel-role",
    "x-webitel-session",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
];

/// HTTP/1.1 takes a hundred lines of a head.
const AT_ONCE: usize = 80;

#[tokio::test]
async fn no_spelling_of_a_reserved_name_comes_through_in_any_way_on_any_route() {
    let scene = Scene::new(ROUTES).await;
    let forged: Vec<Line> = RESERVED.iter().flat_map(|name| spellings(name)).map(|name| line(name, FORGED)).collect();
    for forged in forged.chunks(AT_ONCE) {
        for way in WAYS {
            for (method, target) in [("GET", "/x"), ("OPTIONS", "/x"), ("PUT", "/x"), ("GET", "/open/x")] {
                let asked = [lines(&scene.pair), forged.to_vec()].concat();
                let seen = scene.ask_by(way, (method, target), &asked).await;
                let what = format!("{way:?} {method} {target}: {:?} and so on", forged[0].0);
                says_each_name_once(&what, seen.passed(&what));
            }
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_credential_comes_through_or_lets_anybody_in() {
    let scene = Scene::new(ROUTES).await;
    let (key, token) = (&scene.pair.key, &scene.pair.token);
    let alias = |name: &String| !name.eq_ignore_ascii_case("x-key") && !name.eq_ignore_ascii_case("x-access-token");
    let aliases = |name| spellings(name).into_iter().filter(alias).collect::<Vec<_>>();
    for way in WAYS {
        for name in aliases("x-key") {
            let asked = [line(&name, key), line("X-Access-Token", token)];
            scene.ask(way, "/x", &asked).await.is_refused(401, &format!("{way:?} {name}"));
        }
        for name in aliases("x-access-token") {
            let asked = [line("X-Key", key), line(&name, token)];
            scene.ask(way, "/x", &asked).await.is_refused(401, &format!("{way:?} {name}"));
        }
        let beside: Vec<Line> =
            [aliases("x-key"), aliases("x-access-token")].concat().iter().map(|n| line(n, FORGED)).collect();
        for beside in beside.chunks(AT_ONCE) {
            for target in ["/x", "/open/x"] {
                let asked = [lines(&scene.pair), beside.to_vec()].concat();
                let what = format!("{way:?} {target} {}", beside[0].0);
                says_each_name_once(&what, scene.ask(way, target, &asked).await.passed(&what));
            }
        }
    }
}

#[tokio::test]
async fn where_credentials_are_forwarded_the_upstream_reads_the_judged_pair_alone() {
    let settings = "routes = [{ path = '/', upstream = 'main', forward_credentials = true }]";
    let scene = Scene::new(settings).await;
    let alias = |name: &String| name.contains(['_', '.', '~']);
    let names = [spellings("x-key"), spellings("x-access-token")].concat();
    let beside: Vec<Line> = names.iter().filter(|name| alias(name)).map(|name| line(name, FORGED)).collect();
    for way in WAYS {
        for beside in beside.chunks(AT_ONCE) {
            let asked = [lines(&scene.pair), beside.to_vec()].concat();
            let seen = scene.ask(way, "/x", &asked).await;
            let request = seen.passed("a pair with aliases");
            not_forged("a pair with aliases", request);
            assert_eq!(request.field("x-key").as_deref(), Some(&*scene.pair.key));
            assert_eq!(request.field("x-access-token").as_deref(), Some(&*scene.pair.token));
        }
    }
}

#[tokio::test]
async fn configured_identity_names_are_reserved_in_every_spelling() {
    let settings = "identity = { user = 'Acme-User-Name', domain = 'Acme-Domain', role = 'Acme-Role' }";
    let scene = Scene::new(&format!("{settings}\n{ROUTES}")).await;
    let names = ["acme-user-name", "acme-domain", "acme-role", "x-webitel-user"];
    let forged: Vec<Line> = names.iter().flat_map(|name| spellings(name)).map(|name| line(name, FORGED)).collect();
    for way in WAYS {
        for forged in forged.chunks(AT_ONCE) {
            let asked = [lines(&scene.pair), forged.to_vec()].concat();
            let seen = scene.ask(way, "/x", &asked).await;
            let request = seen.passed("configured names");
            not_forged("configured names", request);
            assert_eq!(request.field("acme-user-name").as_deref(), Some(USER.name));
            assert_eq!(request.field("x-webitel-user"), None);
            not_forged("configured names", scene.ask(way, "/open", forged).await.passed("configured names"));
        }
    }
}

/// A server that folds names would take them for the framing of the message (CVE-2024-6827, gunicorn; CVE-2019-16785, waitress).
#[tokio::test]
async fn no_alias_of_a_framing_name_comes_through_and_the_real_ones_stay() {
    let scene = Scene::new(ROUTES).await;
    let names = ["content-length", "transfer-encoding", "proxy-connection", "proxy-authorization", "keep-alive"];
    let alias = |name: &String| name.contains(['_', '.', '~']);
    let aliases: Vec<Line> =
        names.iter().flat_map(|name| spellings(name)).filter(alias).map(|name| line(name, "3")).collect();
    for aliases in aliases.chunks(AT_ONCE) {
        let lines: String = aliases.iter().map(|(name, _)| format!("{name}: 3\r\n")).collect();
        let request = format!("{lines}{}Content-Length: 5\r\n\r\nhello", scene.pair.lines());
        let answer = scene.gateway.request(format!("POST /x HTTP/1.1\r\nHost: localhost\r\n{request}")).await;
        assert_eq!(answer.status, 200);
        let request = scene.upstream.last_request();
        assert_eq!((request.field("content-length").as_deref(), &*request.body), (Some("5"), &b"hello"[..]));
        for (name, _) in aliases {
            assert_eq!(request.field(name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_reserved_name_comes_through_in_a_trailer() {
    let scene = Scene::new(ROUTES).await;
    for name in ["x-key", "x-access-token", "x-webitel-user", "x-forwarded-for", "proxy", "content-length", "host"] {
        for name in spellings(name) {
            for target in ["/x", "/open"] {
                let request = format!(
                    "POST {target} HTTP/1.1\r\nHost: localhost\r\n{}Transfer-Encoding: chunked\r\nTrailer: {name}, X-Sum\r\n\r\n\
                     1\r\na\r\n0\r\n{name}: {FORGED}\r\nX-Sum: 7\r\n\r\n",
                    scene.pair.lines()
                );
                assert_eq!(scene.gateway.plain().await.request(request).await.status, 200, "{name}");
                let trailers = scene.upstream.last_request().trailers;
                assert_eq!(trailers.0, [("x-sum".to_owned(), "7".to_owned())], "{name}");
            }
        }
    }
}

#[tokio::test]
async fn no_reserved_name_comes_through_in_a_trailer_of_http_2() {
    let scene = Scene::new(ROUTES).await;
    let names = ["x-key", "x_access_token", "x.webitel_user", "x-forwarded-for", "content-length", "x_real.ip"];
    let mut trailers = http::HeaderMap::new();
    for name in names {
        trailers.append(name, FORGED.parse().unwrap());
    }
    trailers.append("x-sum", "7".parse().unwrap());
    let announced = format!("{}, x-sum", names.join(", "));
    let fields = [("trailer", &*announced), ("x-key", &scene.pair.key), ("x-access-token", &scene.pair.token)];
    let request = scene.h2.build("POST", "/x", &fields).body(crate::harness::body_with_trailers("a", trailers));
    assert_eq!(scene.h2.send(request.unwrap()).await.unwrap().status(), 200);
    let request = scene.upstream.only_request();
    assert_eq!(request.trailers.0, [("x-sum".to_owned(), "7".to_owned())]);
}

/// Fails the test if any reserved name is there but those that the gateway writes, or one of those twice.
#[track_caller]
fn says_each_name_once(what: &str, request: &Recorded) {
    not_forged(what, request);
    let fields = request.fields();
    for name in RESERVED.iter().chain(&["x-key", "x-access-token"]) {
        let folded = |sent: &str| sent.replace(|c: char| !c.is_ascii_alphanumeric(), "-").eq_ignore_ascii_case(name);
        let found: Vec<_> = fields.0.iter().filter(|(sent, _)| folded(sent)).collect();
        let most = usize::from(WRITTEN.contains(name) || *name == "x-request-id");
        assert!(found.len() <= most && found.iter().all(|(sent, _)| sent == name), "{what}: {found:?}");
    }
}

#[track_caller]
fn not_forged(what: &str, request: &Recorded) {
    assert!(!request.head.contains(FORGED), "{what} came through: {}", request.head);
}

/// Over HTTP/2 names have one case only (RFC 9113, section 8.2.1).
#[tokio::test]
async fn what_the_gateway_writes_is_there_beside_any_forgery() {
    let scene = Scene::new(ROUTES).await;
    let forged: Vec<Line> = WRITTEN.iter().map(|name| line(name.replace('-', "_"), FORGED)).collect();
    for way in WAYS {
        let seen = scene.ask(way, "/x", &[lines(&scene.pair), forged.clone()].concat()).await;
        let request = seen.passed("a forged identity");
        assert_eq!(request.field("x-webitel-user").as_deref(), Some(USER.name));
        assert_eq!(request.field("x-webitel-domain").as_deref(), Some("mydomain.com"));
        assert_eq!(request.field("x-webitel-role").as_deref(), Some(USER.role));
        assert_eq!(request.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        let scheme = if matches!(way, Way::Http1 | Way::Upgrade1) { "http" } else { "https" };
        assert_eq!(request.field("x-forwarded-proto").as_deref(), Some(scheme));
    }
}
