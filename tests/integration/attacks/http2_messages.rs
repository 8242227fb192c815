//! Requests that RFC 9113, sections 8.1 to 8.5, calls malformed, and those that HTTP/1.1 would understand in two ways: the stream
//! fails or is answered 400, and nothing comes through (hyper, h2 to h1 with CR and LF; CVE-2026-71324).

use crate::harness::frames::{Frames, Outcome, block, code, flag, frame, kind};
use crate::harness::{Gateway, Pair, USER, Upstream};

/// A field as it goes into a block.
pub(super) type Field<'a> = (&'a str, &'a [u8]);

const WHOLE: u8 = flag::END_HEADERS | flag::END_STREAM;

/// A request that has all it needs.
pub(super) fn request<'a>(pair: &'a Pair, path: &'a str) -> Vec<Field<'a>> {
    vec![
        (":method", b"POST"),
        (":scheme", b"http"),
        (":authority", b"localhost"),
        (":path", path.as_bytes()),
        ("x-key", pair.key.as_bytes()),
        ("x-access-token", pair.token.as_bytes()),
    ]
}

/// What is done to a good request.
#[derive(Clone, Copy, Debug)]
enum Change<'a> {
    /// A field more at the end.
    Add(Field<'a>),
    /// A field more at the beginning.
    Lead(Field<'a>),
    /// Another value.
    Set(Field<'a>),
    Remove(&'a str),
}

use Change::{Add, Lead, Remove, Set};

fn changed<'a>(mut fields: Vec<Field<'a>>, change: Change<'a>) -> Vec<Field<'a>> {
    match change {
        Add(field) => fields.push(field),
        Lead(field) => fields.insert(0, field),
        Set((name, value)) => fields.iter_mut().filter(|field| field.0 == name).for_each(|field| field.1 = value),
        Remove(name) => fields.retain(|field| field.0 != name),
    }
    fields
}

/// Each change is asked on a protected and on a public route; none may come through.
async fn all_refused(changes: &[Change<'_>]) {
    let scene = Scene::new().await;
    for change in changes {
        for path in ["/", "/open"] {
            let fields = changed(request(&scene.pair, path), *change);
            let outcome = scene.ask(&[frame(kind::HEADERS, WHOLE, 1, &block(&fields))].concat()).await;
            assert!(is_refusal(outcome), "{change:?} on {path}: {outcome:?}");
        }
    }
    scene.upstream.saw_nothing();
}

fn is_refusal(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Status(400) | Outcome::Reset(code::PROTOCOL) | Outcome::GoAway(code::PROTOCOL))
}

#[tokio::test]
async fn pseudo_header_fields_out_of_place_are_refused() {
    all_refused(&[
        Add((":unknown", b"x")),
        Lead((":unknown", b"x")),
        Lead((":status", b"200")),
        Lead((":protocol", b"websocket")),
        Lead((":", b"x")),
        Add((":path", b"/other")),
        Add((":method", b"GET")),
        Lead((":method", b"POST")),
        Lead((":scheme", b"http")),
        Lead((":path", b"/other")),
        Lead((":authority", b"localhost")),
        Lead(("x-first", b"x")),
        Remove(":method"),
        Remove(":scheme"),
        Remove(":path"),
        Set((":path", b"")),
        Set((":path", b"*")),
        Set((":path", b"?x=1")),
        Set((":path", b"no-slash")),
        Set((":path", b"http://elsewhere/")),
        Set((":path", b"/a b")),
        Set((":path", b"/a\r\nX-Smuggled: 1")),
        Set((":path", b"/ HTTP/1.1\r\nHost: elsewhere\r\n\r\nGET /")),
        Set((":path", b"/\0")),
        Set((":path", b"/\xff\xfe")),
        Set((":method", b"")),
        Set((":method", b"PO ST")),
        Set((":method", b"GET / HTTP/1.1\r\nX: ")),
        Set((":scheme", b"")),
        Set((":scheme", b"ht tp")),
        Set((":scheme", b"ftp")),
    ])
    .await;
}

#[tokio::test]
async fn an_authority_that_is_none_or_two_is_refused() {
    all_refused(&[
        Remove(":authority"),
        Set((":authority", b"")),
        Set((":authority", b"user@localhost")),
        Set((":authority", b"localhost:port")),
        Set((":authority", b"local host")),
        Set((":authority", b"localhost\r\nX-Smuggled: 1")),
        Set((":authority", b"localhost/open")),
        Add(("host", b"elsewhere")),
        Add(("host", b"localhost:1")),
        Add(("host", b"")),
    ])
    .await;
}

#[tokio::test]
async fn fields_that_belong_to_a_connection_are_refused() {
    all_refused(&[
        Add(("connection", b"x-key")),
        Add(("connection", b"close")),
        Add(("keep-alive", b"timeout=5")),
        Add(("proxy-connection", b"keep-alive")),
        Add(("transfer-encoding", b"chunked")),
        Add(("transfer-encoding", b"identity")),
        Add(("upgrade", b"websocket")),
        Add(("te", b"gzip")),
        Add(("te", b"trailers, gzip")),
    ])
    .await;
}

#[tokio::test]
async fn names_and_values_that_http_1_could_not_carry_are_refused() {
    all_refused(&[
        Add(("X-Upper", b"x")),
        Add(("x-uppeR", b"x")),
        Add(("", b"x")),
        Add(("x y", b"x")),
        Add(("x:y", b"x")),
        Add(("x-crlf\r\nx-smuggled", b"x")),
        Add(("x-nul\0", b"x")),
        Add(("x-\u{e9}", b"x")),
        Add(("x-quote\"", b"x")),
        Add(("\"host", b"elsewhere")),
        Add(("transfer-encoding\"", b"chunked")),
        Add(("x-crlf", b"x\r\nx-smuggled: 1")),
        Add(("x-cr", b"x\rx-smuggled: 1")),
        Add(("x-lf", b"x\nx-smuggled: 1")),
        Add(("x-nul", b"x\0")),
        Add(("x-delete", b"x\x7f")),
        Add(("cookie", b"a=b\r\nx-smuggled: 1")),
    ])
    .await;
}

#[tokio::test]
async fn lengths_that_are_none_are_refused() {
    all_refused(&[
        Add(("content-length", b"5")),
        Add(("content-length", b"")),
        Add(("content-length", b"+0")),
        Add(("content-length", b"-1")),
        Add(("content-length", b"0x0")),
        Add(("content-length", b"0, 0")),
        Add(("content-length", b"0 0")),
        Add(("content-length", b"18446744073709551616")),
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_disagrees_with_its_length_is_never_whole_upstream() {
    let scene = Scene::new().await;
    let data = |flags, bytes: &[u8]| frame(kind::DATA, flags, 1, bytes);
    for path in ["/", "/open"] {
        for (lengths, body) in [
            (&[&b"5"[..]][..], data(flag::END_STREAM, b"four")),
            (&[b"5"], data(flag::END_STREAM, b"sixsix")),
            (&[b"5"], [data(0, b"fo"), data(flag::END_STREAM, b"ur")].concat()),
            (&[b"5"], [data(0, b"six"), data(flag::END_STREAM, b"six")].concat()),
            (&[b"0"], data(flag::END_STREAM, b"some")),
            (&[b"4", b"5"], data(flag::END_STREAM, b"four")),
            (&[b"5", b"4"], data(flag::END_STREAM, b"four")),
            (&[b"4, 5"], data(flag::END_STREAM, b"four")),
        ] {
            let mut fields = request(&scene.pair, path);
            fields.extend(lengths.iter().map(|length| ("content-length", *length)));
            let asked = frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&fields));
            let outcome = scene.ask(&[asked, body].concat()).await;
            assert!(is_refusal(outcome), "{lengths:?} on {path}: {outcome:?}");
        }
    }
    scene.upstream.saw_nothing();
}

#[tokio::test]
async fn equal_lengths_are_one_upstream_or_refused() {
    let scene = Scene::new().await;
    let mut fields = request(&scene.pair, "/");
    fields.extend([("content-length", &b"4"[..]); 2]);
    let asked = frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&fields));
    let outcome = scene.ask(&[asked, frame(kind::DATA, flag::END_STREAM, 1, b"four")].concat()).await;
    if outcome == Outcome::Status(200) {
        let seen = scene.upstream.only_request();
        assert_eq!((seen.field("content-length").as_deref(), &seen.body[..]), (Some("4"), &b"four"[..]));
    } else {
        assert!(is_refusal(outcome), "{outcome:?}");
        scene.upstream.saw_nothing();
    }
}

#[tokio::test]
async fn trailers_that_are_malformed_fail_the_stream() {
    let scene = Scene::new().await;
    for trailers in [
        frame(kind::HEADERS, WHOLE, 1, &block(&[("X-Upper", b"x")])),
        frame(kind::HEADERS, WHOLE, 1, &block(&[("x-crlf", b"x\r\ny: z")])),
        frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&[("x-not-the-last", b"x")])),
    ] {
        let asked = frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&request(&scene.pair, "/")));
        let outcome = scene.ask(&[asked, frame(kind::DATA, 0, 1, b"body"), trailers.clone()].concat()).await;
        assert!(is_refusal(outcome), "{trailers:?}: {outcome:?}");
    }
    scene.upstream.saw_nothing();
}

#[tokio::test]
async fn trailers_with_reserved_names_or_framing_never_come_through() {
    let scene = Scene::new().await;
    let sent: [Field; 11] = [
        ("x-sum", b"1"),
        ("x-key", b"forged"),
        ("x_key", b"forged"),
        ("x-access-token", b"forged"),
        ("x-webitel-user", b"root"),
        ("x-forwarded-for", b"1.2.3.4"),
        ("content-length", b"4"),
        ("content_length", b"4"),
        ("host", b"elsewhere"),
        ("x-quote\"", b"1"),
        ("x-not-announced", b"1"),
    ];
    for path in ["/", "/open"] {
        let names = sent.map(|field| field.0);
        let announced = names[..names.len() - 1].join(", ");
        let mut fields = request(&scene.pair, path);
        fields.push(("trailer", announced.as_bytes()));
        let asked = frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&fields));
        let trailers = frame(kind::HEADERS, WHOLE, 1, &block(&sent));
        let outcome = scene.ask(&[asked, frame(kind::DATA, 0, 1, b"body"), trailers].concat()).await;
        assert_eq!(outcome, Outcome::Status(200), "{path}");
        let seen = scene.upstream.last_request();
        assert_eq!(seen.body, b"body");
        for (name, _) in &sent[1..] {
            assert_eq!(seen.trailers.all(name), [""; 0], "{name} on {path}");
        }
        assert_eq!(seen.trailers.one("x-sum"), Some("1"));
    }
}

/// h2 drops them before anybody can refuse: what comes through is the rest, said once.
#[tokio::test]
async fn a_fragment_and_pseudo_header_fields_in_trailers_never_come_through() {
    let scene = Scene::new().await;
    let fields = changed(request(&scene.pair, "/"), Set((":path", b"/a#/../b")));
    let asked = frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&fields));
    let trailers = frame(kind::HEADERS, WHOLE, 1, &block(&[(":path", b"/other"), (":method", b"GET")]));
    let outcome = scene.ask(&[asked, frame(kind::DATA, 0, 1, b"body"), trailers].concat()).await;
    if outcome == Outcome::Status(200) {
        let seen = scene.upstream.only_request();
        assert_eq!((seen.line(), &seen.body[..]), ("POST /a HTTP/1.1", &b"body"[..]));
        assert_eq!(seen.trailers.0, []);
    } else {
        assert!(is_refusal(outcome), "{outcome:?}");
        scene.upstream.saw_nothing();
    }
}

#[tokio::test]
async fn a_connect_that_is_malformed_or_has_a_body_opens_nothing() {
    let scene = Scene::new().await;
    let pair = &scene.pair;
    let authority: Field = (":authority", b"localhost:443");
    let connect: Field = (":method", b"CONNECT");
    let extended = |more: &[Field<'static>]| {
        let mut fields = changed(request(pair, "/"), Set(connect));
        fields.insert(0, (":protocol", b"websocket"));
        fields.push(("sec-websocket-version", b"13"));
        block(&[&fields[..], more].concat())
    };
    for (what, fields) in [
        ("no tunnel is offered", block(&[connect, authority])),
        ("a path without :protocol", block(&changed(request(pair, "/"), Set(connect)))),
        ("a length without :protocol", block(&[connect, authority, ("content-length", b"5")])),
        ("no authority", block(&[connect])),
        ("a length", extended(&[("content-length", b"5")])),
        ("a host elsewhere", extended(&[("host", b"elsewhere")])),
        ("an Upgrade line", extended(&[("upgrade", b"websocket")])),
    ] {
        let asked = [frame(kind::HEADERS, flag::END_HEADERS, 1, &fields), frame(kind::DATA, 0, 1, b"early")];
        let outcome = scene.ask(&asked.concat()).await;
        assert!(!matches!(outcome, Outcome::Status(100..400)), "{what}: {outcome:?}");
    }
    scene.upstream.saw_nothing();
}

#[tokio::test]
async fn what_is_well_formed_comes_through_in_one_canonical_form() {
    let scene = Scene::new().await;
    for more in [
        &[("te", &b"trailers"[..])][..],
        &[("host", b"localhost")],
        &[("cookie", b"a=1"), ("cookie", b"b=2")],
        &[("content-length", b"0")],
    ] {
        let mut fields = request(&scene.pair, "/");
        fields.extend(more);
        assert_eq!(scene.ask(&frame(kind::HEADERS, WHOLE, 1, &block(&fields))).await, Outcome::Status(200), "{more:?}");
        let seen = scene.upstream.last_request();
        assert_eq!(seen.field("host").as_deref(), Some("localhost"));
        assert!(seen.fields().all("cookie").iter().all(|cookie| *cookie == "a=1; b=2"), "{}", seen.head);
        assert_eq!(seen.line(), "POST / HTTP/1.1");
    }
}

struct Scene {
    upstream: Upstream,
    gateway: Gateway,
    pair: Pair,
}

impl Scene {
    async fn new() -> Self {
        let upstream = Upstream::start().await;
        let gateway = Gateway::with(&upstream, super::ROUTES).await;
        let pair = gateway.login(&USER).await;
        Self { upstream, gateway, pair }
    }

    /// Sends frames on a connection of their own.
    async fn ask(&self, bytes: &[u8]) -> Outcome {
        let mut connection = Frames::plain(self.gateway.plain).await;
        connection.send(bytes).await;
        connection.outcome(1).await
    }
}
