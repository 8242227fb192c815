//! Steps of a request that can be called by themselves.

use std::hint::black_box;
use std::net::IpAddr;

use gatewarden::auth::{Access, Presented, SessionKey, Sessions, admit as admitted};
use gatewarden::clock::BootTime;
use gatewarden::config::LogFormat;
use gatewarden::gateway::{Explainer, Question};
use gatewarden::telemetry::access_line::Line;
use gatewarden::upstream::headers::HopByHop;
use gatewarden::upstream::reserved::Reserved;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::ground::Ground;

/// The key read, the session found, the token's digest compared, the expiry read.
pub(crate) fn admit(ground: &Ground, times: usize) {
    admit_token(ground, times, true);
}

pub(crate) fn admit_wrong_token(ground: &Ground, times: usize) {
    admit_token(ground, times, false);
}

fn admit_token(ground: &Ground, times: usize, right: bool) {
    let sessions = Sessions::new(&ground.config.sessions);
    let issued = ground.issue(&sessions);
    let (key, mut token) = (issued.key.expose(), issued.token.expose().as_bytes().to_vec());
    token[0] ^= u8::from(!right);
    for _ in 0..times {
        let key = SessionKey::parse(black_box(key.as_bytes())).unwrap();
        let presented = Some(Presented { key, token: &token });
        let admission = admitted(&sessions, Access::Session { roles: &[] }, presented, BootTime::now());
        assert_eq!(black_box(admission).is_ok(), right);
    }
}

/// Which headers of a browser's request go on; two are reserved and one belongs to the connection.
pub(crate) fn strip_headers(_: &Ground, times: usize) {
    let reserved = Reserved::new([]);
    let sent: HeaderMap =
        SENT.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    for _ in 0..times {
        let hops = HopByHop::of(black_box(&sent));
        let kept = sent.keys().filter(|name| !hops.own(name) && !reserved.holds(name.as_str()));
        assert_eq!(black_box(kept.count()), SENT.len() - 3);
    }
}

const SENT: [(&str, &str); 12] = [
    ("host", "api.example.com"),
    ("connection", "keep-alive"),
    ("x-key", "8fd26a17-eb28-4c74-aa6f-a3794f4f466c"),
    ("x-access-token", "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en"),
    ("cache-control", "no-cache"),
    ("origin", "https://app.example.com"),
    ("referer", "https://app.example.com/"),
    ("sec-fetch-mode", "cors"),
];

/// What `gatewarden explain` says: the path judged, and one of a thousand rules selected.
pub(crate) fn route_of_1000(ground: &Ground, times: usize) {
    let explainer = Explainer::new(ground.with_routes(1000)).unwrap();
    let question =
        Question { method: Method::GET, target: "/r500/x/calls".into(), host: "localhost".into(), role: None };
    for _ in 0..times {
        black_box(explainer.explain(black_box(&question)));
    }
}

/// A line, formatted as JSON. The thread that writes it takes lines in batches of any size, so that it can't be counted.
pub(crate) fn access_line(_: &Ground, times: usize) {
    let mut buffer = Vec::with_capacity(4096);
    let line = Line {
        peer: IpAddr::from([192, 0, 2, 1]),
        user: Some("00000000@example.com"),
        client: None,
        method: "GET",
        path: "/api/v2/calls/active",
        query: None,
        protocol: "h1",
        route: Some("/"),
        status: 200,
        received: 0,
        sent: 1024,
        micros: 321,
        upstream_micros: 123,
        server: Some("127.0.0.1:10023"),
        refusal: None,
        request_id: b"8fd26a17-eb28-4c74-aa6f-a3794f4f466c",
    };
    for _ in 0..times {
        buffer.clear();
        black_box(&line).append(&mut buffer, LogFormat::Json, "2026-11-24T08:30:00.123Z");
        black_box(&buffer);
    }
}
