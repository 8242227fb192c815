//! /metrics on the health listener: what is counted, in both syntaxes, and that nothing secret is.

use std::collections::BTreeMap;

use crate::harness::{ADMIN, Connection, Gateway, SECRET, USER, Upstream, WebSocket, eventually};

const PLANTED: &str = "planted-in-a-request";
const PASSWORD: &str = "planted-as-a-password";

#[tokio::test]
async fn a_request_is_counted_by_route_method_and_class_and_timed() {
    let upstream = Upstream::start().await;
    let settings =
        "routes = [{ path = '/', upstream = 'main' }, { path = '/api', upstream = 'main', methods = ['GET', 'PUT'] }]";
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    for _ in 0..3 {
        assert_eq!(gateway.get("/api/x", &pair.lines()).await.status, 200);
    }
    assert_eq!(gateway.get("/api/x", "").await.status, 401);
    let odd = format!("BREW /coffee HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
    assert_eq!(gateway.request(odd).await.status, 200);
    assert_eq!(gateway.get("/%zz", "").await.status, 400);
    let counted = scrape_until(&gateway, |counted| {
        counted.get(r#"gatewarden_requests_total{route="none",method="GET",code="4xx"}"#) == Some(&1.0)
    });
    let counted = counted.await;
    let requests = |labels: &str| counted.get(&format!("gatewarden_requests_total{{{labels}}}")).copied();
    assert_eq!(requests(r#"route="/api",method="GET",code="2xx""#), Some(3.0));
    assert_eq!(requests(r#"route="/api",method="GET",code="4xx""#), Some(1.0));
    assert_eq!(requests(r#"route="/",method="other",code="2xx""#), Some(1.0));
    assert_eq!(requests(r#"route="/login",method="POST",code="2xx""#), Some(1.0));
    let timed = |part: &str| counted[&format!(r#"gatewarden_request_duration_seconds_{part}"#)];
    assert_eq!(timed(r#"count{route="/api",code="2xx"}"#), 3.0);
    assert_eq!(timed(r#"bucket{route="/api",code="2xx",le="+Inf"}"#), 3.0);
    assert!(timed(r#"sum{route="/api",code="2xx"}"#) > 0.0);
    assert_eq!(counted[r#"gatewarden_refusals_total{reason="invalid_token"}"#], 1.0);
    assert_eq!(counted[r#"gatewarden_refusals_total{reason="ambiguous"}"#], 1.0);
    let server = format!(r#"{{upstream="main",server="{}"}}"#, upstream.address());
    assert_eq!(counted[&format!("gatewarden_upstream_requests_total{server}")], 4.0);
    assert_eq!(counted[&format!("gatewarden_upstream_ejections_total{server}")], 0.0);
}

#[tokio::test]
async fn logins_sessions_and_tunnels_are_counted() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "login.throttle.per_user = 1").await;
    let (pair, other) = (gateway.login(&USER).await, gateway.login(&USER).await);
    let wrong = format!(r#"{{"username":"{}","password":"{PASSWORD}"}}"#, USER.name);
    gateway.post_login(&wrong).await.is_refusal(401, "Invalid credentials");
    gateway.post_login(&wrong).await.is_refusal(429, "Too many failed logins");
    assert_eq!(gateway.logout(&other).await.status, 200);
    let tunnel = WebSocket::open(gateway.connect().await, "/", &pair.lines()).await.expect("a tunnel");
    let counted = scrape_until(&gateway, |counted| counted.get("gatewarden_tunnels") == Some(&1.0)).await;
    for (name, expected) in [
        (r#"gatewarden_logins_total{result="ok"}"#, 2.0),
        (r#"gatewarden_logins_total{result="invalid_credentials"}"#, 1.0),
        (r#"gatewarden_logins_total{result="throttled"}"#, 1.0),
        ("gatewarden_sessions", 1.0),
        ("gatewarden_sessions_issued_total", 2.0),
        (r#"gatewarden_sessions_ended_total{reason="logout"}"#, 1.0),
        (r#"gatewarden_sessions_ended_total{reason="expired"}"#, 0.0),
        ("gatewarden_requests_in_flight", 1.0),
        ("gatewarden_log_lines_dropped_total", 0.0),
        ("gatewarden_audit_failures_total", 0.0),
        ("gatewarden_messages_dropped_total", 0.0),
    ] {
        assert_eq!(counted.get(name), Some(&expected), "{name}");
    }
    drop(tunnel);
    scrape_until(&gateway, |counted| counted["gatewarden_tunnels"] == 0.0).await;
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open_and_when_they_break() {
    let gateway = Gateway::start(&Upstream::start().await).await;
    let open = [gateway.connect().await, gateway.connect().await];
    let mut broken = gateway.plain().await;
    broken.send("GET / HTTP/1.1\r\nHost: loc").await;
    drop(broken);
    let counted = scrape_until(&gateway, |counted| {
        counted["gatewarden_connections"] == 2.0
            && counted.get(r#"gatewarden_connections_broken_total{reason="http"}"#) == Some(&1.0)
    });
    assert_eq!(counted.await["gatewarden_connections_accepted_total"], 3.0);
    drop(open);
    scrape_until(&gateway, |counted| counted["gatewarden_connections"] == 0.0).await;
}

#[tokio::test]
async fn both_syntaxes_hold_every_family_and_no_secret() {
    let upstream = Upstream::start().await;
    let settings = "routes = [{ path = '/', upstream = 'main', credentials = ['header', 'query'] }]";
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&ADMIN).await;
    gateway.get(&format!("/{PLANTED}?{}", pair.query()), "").await;
    gateway.get(&format!("/{PLANTED}"), &format!("X-Key: {PLANTED}\r\nX-Access-Token: {PLANTED}\r\n")).await;
    gateway.post_login(&format!(r#"{{"username":"{PLANTED}","password":"{PASSWORD}"}}"#)).await;
    let open_metrics = scrape(&gateway, "Accept: application/openmetrics-text; version=1.0.0\r\n").await;
    let prometheus = scrape(&gateway, "").await;
    assert_eq!(open_metrics.0, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(prometheus.0, "text/plain; version=0.0.4; charset=utf-8");
    assert!(open_metrics.1.ends_with("# EOF\n") && !prometheus.1.contains("# EOF"));
    for text in [open_metrics.1, prometheus.1] {
        for family in ["gatewarden_build_info{version=", "process_cpu_seconds_total ", "process_resident_memory_bytes "]
        {
            assert!(text.contains(&format!("\n{family}")), "{family} is not in {text}");
        }
        let secret = String::from_utf8_lossy(SECRET);
        for secret in [PLANTED, PASSWORD, &pair.key, &pair.token, ADMIN.password, ADMIN.name, secret.trim()] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}

#[tokio::test]
async fn metrics_are_not_served_to_clients() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    assert_eq!(gateway.get("/metrics", "").await.status, 401);
    upstream.saw_nothing();
}

/// The content type and the text.
async fn scrape(gateway: &Gateway, lines: &str) -> (String, String) {
    let mut connection = Connection::plain(gateway.health).await;
    let answer = connection.request(format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).await;
    assert_eq!(answer.status, 200);
    (answer.field("content-type").unwrap().to_owned(), answer.text().to_owned())
}

/// The samples, once they are as they should be: what a request leaves behind is counted after its client has its answer.
async fn scrape_until(gateway: &Gateway, wanted: impl Fn(&BTreeMap<String, f64>) -> bool) -> BTreeMap<String, f64> {
    let samples = async || {
        let (_, text) = scrape(gateway, "").await;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| line.rsplit_once(' '));
        samples.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect::<BTreeMap<_, _>>()
    };
    eventually("samples", async || wanted(&samples().await)).await;
    samples().await
}
