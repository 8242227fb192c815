//! Family 2, identity headers that are not removed where none is set: a request of nobody, of somebody without a domain, or one that
//! fails says nothing about who asks. CVE-2026-30851 (Caddy), CVE-2026-35051 (Traefik).

use super::{FORGED, Line, ROUTES, Scene, WAYS, Way, line, lines};
use crate::harness::{ADMIN, Gateway, ROOT, Recorded, Reply, USER, Upstream};

/// What tells an upstream who asks.
const IDENTITY: [&str; 5] =
    ["x-webitel-user", "x-webitel-domain", "x-webitel-role", "x-webitel-session", "x-client-identity"];

fn forged() -> Vec<Line> {
    let twice = IDENTITY.iter().flat_map(|name| [line(*name, FORGED), line(*name, FORGED)]);
    twice.chain([line("X_Webitel_User", FORGED), line("x-webitel-user", "")]).collect()
}

#[track_caller]
fn names_nobody(what: &str, request: &Recorded) {
    assert!(!request.head.contains(FORGED), "{what}: {}", request.head);
    for name in IDENTITY.iter().chain(&["x-key", "x-access-token"]) {
        assert_eq!(request.field(name), None, "{what}: {name}");
    }
}

#[tokio::test]
async fn a_public_route_names_nobody_whoever_asks_and_however() {
    let scene = Scene::new(ROUTES).await;
    for way in WAYS {
        for method in ["GET", "POST", "OPTIONS", "HEAD", "DELETE"] {
            for asked in [forged(), [lines(&scene.pair), forged()].concat(), lines(&scene.pair), vec![]] {
                let seen = scene.ask_by(way, (method, "/open/x"), &asked).await;
                names_nobody(&format!("{way:?} {method}"), seen.passed("a public route"));
            }
        }
    }
}

#[tokio::test]
async fn what_a_session_has_not_is_not_taken_from_the_client() {
    // The one without a domain, and without a certificate, as all here.
    let scene = Scene::of(&ROOT, ROUTES).await;
    for way in WAYS {
        let seen = scene.ask(way, "/x", &[lines(&scene.pair), forged()].concat()).await;
        let request = seen.passed("root");
        assert!(!request.head.contains(FORGED), "{way:?}: {}", request.head);
        assert_eq!(request.field("x-webitel-user").as_deref(), Some(ROOT.name));
        assert_eq!(request.field("x-webitel-role").as_deref(), Some("root"));
        assert_eq!(request.field("x-webitel-domain"), None);
        assert_eq!(request.field("x-client-identity"), None);
    }
}

#[tokio::test]
async fn every_method_says_who_asks_and_only_that() {
    let scene = Scene::of(&ADMIN, ROUTES).await;
    for way in [Way::Http1, Way::Http2] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
            let seen = scene.ask_by(way, (method, "/x"), &[forged(), lines(&scene.pair)].concat()).await;
            let request = seen.passed(method);
            assert!(!request.head.contains(FORGED), "{way:?} {method}: {}", request.head);
            assert_eq!(request.field("x-webitel-user").as_deref(), Some(ADMIN.name), "{method}");
            assert_eq!(request.field("x-webitel-role").as_deref(), Some("admin"), "{method}");
        }
    }
}

#[tokio::test]
async fn a_forged_identity_opens_nothing() {
    let scene = Scene::new(ROUTES).await;
    for way in WAYS {
        for (target, status) in [("/x", 401), ("/root", 401), ("/shut", 403), ("/open/../x", 400), ("/x%2f", 400)] {
            scene.ask(way, target, &forged()).await.is_refused(status, &format!("{way:?} {target}"));
        }
        let asked = [lines(&scene.pair), vec![line("X-Webitel-Role", "root")]].concat();
        scene.ask(way, "/root/x", &asked).await.is_refused(403, &format!("{way:?} by a role of its own"));
    }
}

#[tokio::test]
async fn a_preflight_is_answered_and_a_forged_identity_in_it_never_seen() {
    let scene = Scene::new(&format!("cors.origins = ['*']\n{ROUTES}")).await;
    let asks = [line("Origin", "https://a.example"), line("Access-Control-Request-Method", "PUT")];
    for way in [Way::Http1, Way::Http2] {
        for target in ["/x", "/open", "/shut", "/login"] {
            let seen = scene.ask_by(way, ("OPTIONS", target), &[forged(), asks.to_vec()].concat()).await;
            seen.is_refused(200, target);
        }
        // Half a preflight is a request like any other.
        let half = [forged(), asks[..1].to_vec()].concat();
        scene.ask_by(way, ("OPTIONS", "/x"), &half).await.is_refused(401, "half a preflight");
        names_nobody(
            "half a preflight",
            scene.ask_by(way, ("OPTIONS", "/open"), &half).await.passed("half a preflight"),
        );
    }
}

#[tokio::test]
async fn a_second_attempt_says_who_asks_as_the_first_did() {
    let upstream = Upstream::scripted(|request| match request.target() {
        "/first" => Reply::RawThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        _ => Reply::ok("", "behind"),
    })
    .await;
    let gateway = Gateway::with(&upstream, "server.workers = 1").await;
    let pair = gateway.login(&USER).await;
    let forged = "X_Webitel_Domain: forged-by-the-client\r\nX-Client-Identity: forged-by-the-client\r\n";
    for _ in 0..10 {
        // The kept connection is closed by the time it is used again, or is about to be.
        assert_eq!(gateway.get("/first", &pair.lines()).await.status, 200);
        assert_eq!(gateway.get("/second", &format!("{forged}{}", pair.lines())).await.status, 200);
        let request = upstream.last_request();
        assert!(!request.head.contains(FORGED), "{}", request.head);
        assert_eq!(request.field("x-webitel-user").as_deref(), Some(USER.name));
    }
}
