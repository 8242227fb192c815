//! Floods of an HTTP/2 connection (family 8): each ends in GOAWAY or a close after so many frames, while others are served. The
//! numbers of frames are far above what is allowed, and what is counted is how many the gateway let through.

use super::http2_messages::request;
use crate::harness::frames::{Frames, Outcome, block, code, flag, frame, integer, kind, ping, settings};
use crate::harness::{Gateway, Pair, Reply, USER, Upstream};

const WHOLE: u8 = flag::END_HEADERS | flag::END_STREAM;
/// What a flood sends at most: far more than is let through.
const FLOOD: usize = 200_000;

/// h2 alone would answer PING and SETTINGS for ever to a client that reads the answers.
#[tokio::test]
async fn floods_of_frames_that_ask_for_nothing_end_although_their_answers_are_read() {
    let (upstream, gateway, pair) = setup("").await;
    for (what, bytes) in [
        ("PING", ping()),
        ("SETTINGS", frame(kind::SETTINGS, 0, 0, &settings(&[(4, 65_535)]))),
        ("empty SETTINGS", frame(kind::SETTINGS, 0, 0, &[])),
        ("PRIORITY", frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 10])),
        ("WINDOW_UPDATE", frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("answers to no PING", frame(kind::PING, flag::ACK, 0, &[0; 8])),
        ("unknown frames", frame(0x42, 0, 0, b"x")),
    ] {
        let (mut reader, mut writer) = Frames::tls(gateway.tls, &gateway.ca).await.split();
        let packet = bytes.repeat(20);
        // How many packets are taken says nothing: the kernel takes megabytes that nobody reads.
        let (_taken, (frames, said)) = tokio::join!(writer.flood(&packet, FLOOD / 20), reader.end());
        assert!(frames < 4_000, "{what}: {frames} answers");
        assert!(said.is_none_or(|code| code == 0 || code == code::ENHANCE_YOUR_CALM), "{what}: {said:?}");
        assert_eq!(gateway.get("/", &pair.lines()).await.status, 200, "{what}");
    }
    assert_eq!(broken(&gateway, "flood").await, 7);
    assert_eq!(upstream.requests().len(), 7);
}

/// CVE-2023-44487, and the slow kind of it, which waits until the gateway has begun with the request: h2 does not count these.
#[tokio::test]
async fn a_rapid_reset_ends_whether_the_requests_were_begun_or_not() {
    for waits in [false, true] {
        let upstream = Upstream::by_hand().await;
        let gateway = Gateway::start(&upstream).await;
        let pair = gateway.login(&USER).await;
        let fields = block(&request(&pair, "/"));
        let mut connection = Frames::plain(gateway.plain).await;
        let (mut sent, mut stream) = (0, 1);
        while sent < 2_000 {
            let asked = frame(kind::HEADERS, WHOLE, stream, &fields);
            if connection.try_send(asked).await.is_err() {
                break;
            }
            if waits && !connection.is_alive().await {
                break;
            }
            let cancelled = connection.try_send(frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])).await;
            if cancelled.is_err() || (!waits && sent % 50 == 49 && !connection.is_alive().await) {
                break;
            }
            (sent, stream) = (sent + 1, stream + 2);
        }
        assert!(sent < 1_000, "{sent} requests were cancelled; waiting: {waits}");
        assert!(upstream.requests().len() <= sent + 1);
    }
}

/// CVE-2025-8671: the client makes the gateway reset its streams, which then count no more as open.
#[tokio::test]
async fn streams_that_the_gateway_is_made_to_reset_are_counted() {
    let (upstream, gateway, pair) = setup_by_hand().await;
    let fields = block(&request(&pair, "/"));
    let (mut reader, mut writer) = Frames::tls(gateway.tls, &gateway.ca).await.split();
    let flood = async {
        for stream in (1..20_000).step_by(2) {
            let asked = frame(kind::HEADERS, flag::END_HEADERS, stream, &fields);
            let broken = frame(kind::WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
            if writer.flood(&[asked, broken].concat(), 1).await == 0 {
                break;
            }
        }
    };
    let ((), (frames, said)) = tokio::join!(flood, reader.end());
    assert!(frames < 5_000, "{frames} answers");
    assert!(said.is_none_or(|code| code == code::ENHANCE_YOUR_CALM), "{said:?}");
    assert!(upstream.requests().len() < 3_000);
}

/// RUSTSEC-2024-0332, and RUSTSEC-2024-0003 in its kind.
#[tokio::test]
async fn a_field_block_without_end_ends_the_connection() {
    let (upstream, gateway, pair) = setup("").await;
    let fields = block(&request(&pair, "/"));
    for (what, fragment) in [("empty", vec![]), ("of one byte", vec![0]), ("full", block(&[("x", &[b'x'; 16_000])]))] {
        let (mut reader, mut writer) = Frames::tls(gateway.tls, &gateway.ca).await.split();
        let begun = frame(kind::HEADERS, flag::END_STREAM, 1, &fields);
        assert_eq!(writer.flood(&begun, 1).await, 1);
        let continued = frame(kind::CONTINUATION, 0, 1, &fragment);
        let (took, (_, said)) = tokio::join!(writer.flood(&continued, FLOOD), reader.end());
        assert!(took < FLOOD, "{what}: {took} frames were taken");
        assert!(said.is_none_or(|code| code != 0), "{what}: {said:?}");
    }
    upstream.saw_nothing();
}

/// RUSTSEC-2026-0258: frames that move no window.
#[tokio::test]
async fn empty_data_and_empty_headers_end_the_connection() {
    let (upstream, gateway, pair) = setup("").await;
    let fields = block(&request(&pair, "/"));
    for (what, frames) in [
        ("empty DATA", frame(kind::DATA, 0, 1, &[])),
        ("DATA that is all padding", frame(kind::DATA, flag::PADDED, 1, &[2, 0, 0])),
        ("the end of what ended", frame(kind::DATA, flag::END_STREAM, 1, &[])),
    ] {
        let (mut reader, mut writer) = Frames::tls(gateway.tls, &gateway.ca).await.split();
        assert_eq!(writer.flood(&frame(kind::HEADERS, flag::END_HEADERS, 1, &fields), 1).await, 1);
        let packet = frames.repeat(20);
        // Far more than the kernel takes of what nobody reads, which is megabytes.
        let (took, (_, said)) = tokio::join!(writer.flood(&packet, FLOOD), reader.end());
        assert!(took < FLOOD, "{what}: {took} packets were taken");
        let known = [code::ENHANCE_YOUR_CALM, code::PROTOCOL];
        assert!(said.is_none_or(|code| known.contains(&code)), "{what}: {said:?}");
    }
    let (mut reader, mut writer) = Frames::tls(gateway.tls, &gateway.ca).await.split();
    let flood = async {
        let streams = (1..2 * FLOOD as u32).step_by(2);
        for (sent, stream) in streams.enumerate() {
            if writer.flood(&frame(kind::HEADERS, WHOLE, stream, &[]), 1).await == 0 {
                return sent;
            }
        }
        FLOOD
    };
    let (sent, (frames, _)) = tokio::join!(flood, reader.end());
    assert!(sent < FLOOD && frames < 5_000, "{sent} HEADERS, {frames} answers");
    upstream.saw_nothing();
}

/// CVE-2026-49975: a few bytes that are decoded into many.
#[tokio::test]
async fn an_hpack_bomb_ends_the_connection_and_a_small_one_is_431() {
    let (upstream, gateway, pair) = setup("").await;
    let large = [b'x'; 3_900];
    // One field goes into the table, and then each byte stands for all of it.
    let planted = [&[0x40][..], &integer(1), b"x", &integer(large.len()), &large].concat();
    for (times, expected) in [(12, Outcome::Status(431)), (12_000, Outcome::GoAway(code::ENHANCE_YOUR_CALM))] {
        let fields = [block(&request(&pair, "/")), planted.clone(), vec![0xbe; times]].concat();
        let mut connection = Frames::tls(gateway.tls, &gateway.ca).await;
        connection.send(frame(kind::HEADERS, WHOLE, 1, &fields)).await;
        assert_eq!(connection.outcome(1).await, expected, "{times}");
    }
    let crumbs = vec![("cookie", &b"a"[..]); 3_000];
    let mut connection = Frames::tls(gateway.tls, &gateway.ca).await;
    connection.send(frame(kind::HEADERS, 0, 1, &block(&request(&pair, "/")))).await;
    for part in crumbs.chunks(1_000) {
        let _gone = connection.try_send(frame(kind::CONTINUATION, 0, 1, &block(part))).await;
    }
    let _gone = connection.try_send(frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[])).await;
    let outcome = connection.outcome(1).await;
    assert!(matches!(outcome, Outcome::Status(431) | Outcome::GoAway(_)), "{outcome:?}");
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_flood_whose_answers_are_not_read_ends_as_well() {
    let (_upstream, gateway, pair) = setup("").await;
    for bytes in [ping(), frame(kind::SETTINGS, 0, 0, &[])] {
        let (_unread, mut writer) = Frames::plain(gateway.plain).await.split();
        let took = tokio::time::timeout(crate::harness::PATIENCE, writer.flood(&bytes.repeat(500), FLOOD)).await;
        assert!(took.expect("a close") < FLOOD / 4);
    }
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
}

/// A client that gives no window: each stream holds a bounded part of its answer, and is reset at `body_idle_timeout`.
#[tokio::test]
async fn streams_without_a_window_are_reset_in_time_and_hold_little() {
    let upstream = Upstream::scripted(|_| Reply::ok("", &"x".repeat(1_000_000))).await;
    let settings = "limits = { body_idle_timeout = '700ms', streams = 50 }";
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    let fields = block(&request(&pair, "/"));
    let mut connection = Frames::with_settings(gateway.tls, &gateway.ca, &[(4, 0)]).await;
    for stream in (1..100).step_by(2) {
        connection.send(frame(kind::HEADERS, WHOLE, stream, &fields)).await;
    }
    let (mut answered, mut reset) = (0, 0);
    while reset < 50 {
        let frame = connection.frame().await.expect("the connection lives");
        match frame.kind {
            kind::HEADERS => answered += 1,
            kind::RST_STREAM => reset += 1,
            kind::DATA => assert_eq!(frame.payload.len(), 0, "there is no window"),
            _ => {}
        }
    }
    assert_eq!(answered, 50);
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
}

/// What a real client does: many requests, each cancelled late or not at all, and a window for each part that it reads.
#[tokio::test]
async fn a_busy_client_is_never_taken_for_a_flood() {
    let upstream = Upstream::scripted(|_| Reply::ok("", &"x".repeat(2_000))).await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    let fields = block(&request(&pair, "/"));
    let mut connection = Frames::plain(gateway.plain).await;
    for stream in (1..2_400).step_by(2) {
        connection.send(frame(kind::HEADERS, WHOLE, stream, &fields)).await;
        assert_eq!(connection.outcome(stream).await, Outcome::Status(200));
        let window = |stream| frame(kind::WINDOW_UPDATE, 0, stream, &2_000_u32.to_be_bytes());
        let rest = [window(0), window(stream), ping(), frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])];
        connection.send(rest.concat()).await;
    }
    assert!(connection.is_alive().await);
}

/// What /metrics counts under a reason.
async fn broken(gateway: &Gateway, reason: &str) -> usize {
    let mut count = 0;
    let metrics = crate::harness::Connection::plain(gateway.health).await.request(METRICS).await;
    for line in metrics.text().lines().filter(|line| line.contains(&format!("\"{reason}\""))) {
        count += line.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
    }
    count
}

const METRICS: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn setup(settings: &str) -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, settings).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}

async fn setup_by_hand() -> (Upstream, Gateway, Pair) {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    (upstream, gateway, pair)
}
