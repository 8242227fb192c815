//! Frames that no client may send (RFC 9113, sections 3 to 6; RFC 7541): the connection or the stream fails, and nothing comes
//! through. What h2spec asks of a server, and that an upstream never hears of it.

use super::http2_messages::request;
use crate::harness::frames::{Frames, Outcome, PREFACE, block, code, flag, frame, kind, settings};
use crate::harness::{Gateway, Pair, USER, Upstream};

const WHOLE: u8 = flag::END_HEADERS | flag::END_STREAM;

#[tokio::test]
async fn frames_that_break_the_rules_end_the_connection() {
    let (upstream, gateway, pair) = setup("").await;
    let fields = block(&request(&pair, "/"));
    for (what, bytes) in [sizes(&fields), streams(&fields), controls(), blocks(&fields)].concat() {
        let mut connection = Frames::plain(gateway.plain).await;
        connection.send(&bytes).await;
        let outcome = connection.outcome(1).await;
        assert!(matches!(outcome, Outcome::GoAway(1..) | Outcome::Closed), "{what}: {outcome:?}");
    }
    upstream.saw_nothing();
    assert_eq!(gateway.h2().await.get("/", &pair).await.status, 200);
}

#[tokio::test]
async fn what_begins_a_connection_wrongly_ends_it() {
    let (upstream, gateway, _) = setup("").await;
    let ping = frame(kind::PING, 0, 0, &[0; 8]);
    for begun in [
        &b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..],
        &[PREFACE, &ping].concat(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut connection = Frames::silent(gateway.tls, &gateway.ca).await;
        connection.send([begun, &[0; 16]].concat()).await;
        let outcome = connection.outcome(1).await;
        assert!(matches!(outcome, Outcome::GoAway(code::PROTOCOL) | Outcome::Closed), "{outcome:?}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn frames_that_mean_nothing_here_are_passed_over() {
    let (_upstream, gateway, pair) = setup("").await;
    for (what, bytes) in [
        ("an unknown type", frame(0x42, 0xff, 0, b"anything")),
        ("an unknown type on a stream", frame(0x42, 0xff, 1, b"anything")),
        ("an unknown setting", frame(kind::SETTINGS, 0, 0, &settings(&[(0xff, 1)]))),
        ("unknown flags", frame(kind::PING, 0xfe, 0, &[0; 8])),
        ("an answer to no PING", frame(kind::PING, flag::ACK, 0, &[0; 8])),
        ("a priority of an idle stream", frame(kind::PRIORITY, 0, 3, &[0, 0, 0, 0, 10])),
        ("an unknown error code", frame(kind::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])),
    ] {
        let mut connection = Frames::tls(gateway.tls, &gateway.ca).await;
        connection.send([bytes, frame(kind::HEADERS, WHOLE, 1, &block(&request(&pair, "/")))].concat()).await;
        assert_eq!(connection.outcome(1).await, Outcome::Status(200), "{what}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_the_rules_fails_alone() {
    let (upstream, gateway, pair) = setup("").await;
    let fields = block(&request(&pair, "/"));
    let on_itself = [&[0, 0, 0, 1, 10], &fields[..]].concat();
    for (what, bytes, reason) in [
        (
            "HEADERS that depend on themselves",
            frame(kind::HEADERS, WHOLE | flag::PRIORITY, 1, &on_itself),
            code::PROTOCOL,
        ),
        (
            "a window of more than 2^31-1",
            [
                frame(kind::HEADERS, flag::END_HEADERS, 1, &fields),
                frame(kind::WINDOW_UPDATE, 0, 1, &0x7fff_ffff_u32.to_be_bytes()),
            ]
            .concat(),
            code::FLOW_CONTROL,
        ),
        (
            "no window more",
            [frame(kind::HEADERS, flag::END_HEADERS, 1, &fields), frame(kind::WINDOW_UPDATE, 0, 1, &[0; 4])].concat(),
            code::PROTOCOL,
        ),
    ] {
        let mut connection = Frames::plain(gateway.plain).await;
        connection.send(&bytes).await;
        let outcome = connection.outcome(1).await;
        assert!([Outcome::Reset(reason), Outcome::GoAway(reason)].contains(&outcome), "{what}: {outcome:?}");
    }
    upstream.saw_nothing();
}

#[tokio::test]
async fn what_comes_on_a_stream_after_its_end_is_an_error() {
    let (_upstream, gateway, pair) = setup("").await;
    let fields = block(&request(&pair, "/"));
    let asked = frame(kind::HEADERS, WHOLE, 1, &fields);
    for (what, after) in [
        ("DATA", frame(kind::DATA, 0, 1, b"more")),
        ("HEADERS", frame(kind::HEADERS, WHOLE, 1, &fields)),
        ("CONTINUATION", frame(kind::CONTINUATION, flag::END_HEADERS, 1, &fields)),
    ] {
        let mut connection = Frames::plain(gateway.plain).await;
        connection.send([&asked[..], &after].concat()).await;
        // The answer may have been under way.
        let mut outcome = connection.outcome(1).await;
        while let Outcome::Status(200) = outcome {
            outcome = connection.outcome(1).await;
        }
        let allowed = [code::STREAM_CLOSED, code::PROTOCOL];
        let failed = matches!(outcome, Outcome::GoAway(code) | Outcome::Reset(code) if allowed.contains(&code));
        assert!(failed || outcome == Outcome::Closed, "{what}: {outcome:?}");
    }
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_never_seen() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, "limits.streams = 2").await;
    let pair = gateway.login(&USER).await;
    let mut connection = Frames::tls(gateway.tls, &gateway.ca).await;
    let fields = block(&request(&pair, "/"));
    let (mut first, mut second) = (None, None);
    for (stream, exchange) in [(1, &mut first), (3, &mut second)] {
        connection.send(frame(kind::HEADERS, WHOLE, stream, &fields)).await;
        *exchange = Some(upstream.exchange().await);
    }
    connection.send(frame(kind::HEADERS, WHOLE, 5, &fields)).await;
    let outcome = connection.outcome(5).await;
    assert!(matches!(outcome, Outcome::Reset(_) | Outcome::GoAway(_)), "{outcome:?}");
    assert_eq!(upstream.requests().len(), 2);
}

type Cases = Vec<(&'static str, Vec<u8>)>;

/// Lengths (sections 4.2 and 6).
fn sizes(fields: &[u8]) -> Cases {
    let large = [fields, &[0; 16_385]].concat();
    let open = frame(kind::HEADERS, flag::END_HEADERS, 1, fields);
    vec![
        ("HEADERS over the largest frame", frame(kind::HEADERS, WHOLE, 1, &large)),
        ("DATA over the largest frame", [open, frame(kind::DATA, 0, 1, &large)].concat()),
        ("HEADERS with more padding than payload", frame(kind::HEADERS, WHOLE | flag::PADDED, 1, &[200, 0x82])),
        ("HEADERS without a length of padding", frame(kind::HEADERS, WHOLE | flag::PADDED, 1, &[])),
        ("HEADERS without a whole priority", frame(kind::HEADERS, WHOLE | flag::PRIORITY, 1, &[0; 4])),
        ("PRIORITY of four bytes", frame(kind::PRIORITY, 0, 1, &[0; 4])),
        ("RST_STREAM of three bytes", frame(kind::RST_STREAM, 0, 1, &[0; 3])),
        ("SETTINGS of five bytes", frame(kind::SETTINGS, 0, 0, &[0; 5])),
        ("SETTINGS with ACK and a payload", frame(kind::SETTINGS, flag::ACK, 0, &settings(&[(1, 0)]))),
        ("PING of six bytes", frame(kind::PING, 0, 0, &[0; 6])),
        ("GOAWAY of seven bytes", frame(kind::GOAWAY, 0, 0, &[0; 7])),
        ("WINDOW_UPDATE of three bytes", frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3])),
    ]
}

/// Streams that do not exist, or not for that frame (sections 5.1 and 6).
fn streams(fields: &[u8]) -> Cases {
    vec![
        ("HEADERS on an even stream", frame(kind::HEADERS, WHOLE, 2, fields)),
        ("HEADERS on no stream", frame(kind::HEADERS, WHOLE, 0, fields)),
        ("DATA on no stream", frame(kind::DATA, 0, 0, b"data")),
        ("DATA on an idle stream", frame(kind::DATA, flag::END_STREAM, 1, b"data")),
        ("RST_STREAM on no stream", frame(kind::RST_STREAM, 0, 0, &[0, 0, 0, 8])),
        ("RST_STREAM on an idle stream", frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8])),
        ("PRIORITY on no stream", frame(kind::PRIORITY, 0, 0, &[0; 5])),
        ("WINDOW_UPDATE on an idle stream", frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 8])),
        ("CONTINUATION on an idle stream", frame(kind::CONTINUATION, flag::END_HEADERS, 1, fields)),
        ("CONTINUATION on no stream", frame(kind::CONTINUATION, flag::END_HEADERS, 0, fields)),
        ("SETTINGS on a stream", frame(kind::SETTINGS, 0, 1, &[])),
        ("PING on a stream", frame(kind::PING, 0, 1, &[0; 8])),
        ("GOAWAY on a stream", frame(kind::GOAWAY, 0, 1, &[0; 8])),
        (
            "PUSH_PROMISE by a client",
            frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[&[0, 0, 0, 2], fields].concat()),
        ),
    ]
}

/// Settings and windows out of bounds (sections 6.5 and 6.9).
fn controls() -> Cases {
    let settings = |id, value| frame(kind::SETTINGS, 0, 0, &settings(&[(id, value)]));
    let window = frame(kind::WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes());
    vec![
        ("ENABLE_PUSH that is no boolean", settings(2, 2)),
        ("INITIAL_WINDOW_SIZE over 2^31-1", settings(4, 0x8000_0000)),
        ("MAX_FRAME_SIZE under 2^14", settings(5, 16_383)),
        ("MAX_FRAME_SIZE over 2^24-1", settings(5, 1 << 24)),
        ("an ACK of settings that were acknowledged", frame(kind::SETTINGS, flag::ACK, 0, &[]).repeat(2)),
        ("no window more", frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4])),
        ("a window of more than 2^31-1", window.repeat(2)),
    ]
}

/// Field blocks that are interrupted, or can't be decoded (section 4.3; RFC 7541, sections 2.3.3, 4.2, 5.2, 6.1 and 6.3).
fn blocks(fields: &[u8]) -> Cases {
    let begun = frame(kind::HEADERS, flag::END_STREAM, 1, &fields[..20]);
    let rest = frame(kind::CONTINUATION, flag::END_HEADERS, 1, &fields[20..]);
    let between = |frame: Vec<u8>| [&begun[..], &frame, &rest].concat();
    let coded = |bytes: &[u8]| frame(kind::HEADERS, WHOLE, 1, &[fields, bytes].concat());
    vec![
        ("PING in a field block", between(frame(kind::PING, 0, 0, &[0; 8]))),
        ("an unknown frame in a field block", between(frame(0x42, 0, 1, &[]))),
        ("another stream's HEADERS in a field block", between(frame(kind::HEADERS, WHOLE, 3, fields))),
        (
            "another stream's CONTINUATION in a field block",
            between(frame(kind::CONTINUATION, flag::END_HEADERS, 3, fields)),
        ),
        ("a field block that ends inside a field", frame(kind::HEADERS, WHOLE, 1, &fields[..20])),
        ("index 0", coded(&[0x80])),
        ("an index out of range", coded(&[0xff, 0x00])),
        ("an index of 2^63", coded(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])),
        ("a name's index out of range", coded(&[0x7f, 0x20, 1, b'x'])),
        ("a table over the setting", coded(&[0x3f, 0xe2, 0x1f])),
        ("a table's size after a field", frame(kind::HEADERS, WHOLE, 1, &[fields, &[0x20]].concat())),
        ("a string longer than its block", coded(&[0, 0x7f, 0xff, 0xff, 0x7f])),
        ("padding of a whole byte", coded(&[0, 1, b'x', 0x84, 0x49, 0x50, 0x9f, 0xff])),
        ("padding with zeros", coded(&[0, 1, b'x', 0x83, 0x49, 0x50, 0x90])),
        ("the end of strings in a string", coded(&[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xfc])),
    ]
}

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
