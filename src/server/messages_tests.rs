use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What may be seen of a stream that comes in pieces, and whether it ends in a flaw.
fn seen(stream: &str, piece: usize) -> (String, bool) {
    let (mut messages, mut held, mut seen) = (Messages::new(1024), Vec::new(), Vec::new());
    for bytes in stream.as_bytes().chunks(piece) {
        held.extend_from_slice(bytes);
        let passed = messages.advance(&held);
        seen.extend(held.drain(..passed));
        if messages.flaw().is_some() {
            break;
        }
    }
    (String::from_utf8(seen).unwrap(), messages.flaw().is_some())
}

#[track_caller]
fn pass(stream: &str) {
    for piece in [1, 2, 3, 7, 1000] {
        assert_eq!(seen(stream, piece), (stream.to_owned(), false), "in pieces of {piece}");
    }
}

#[track_caller]
fn stop(before: &str, rest: &str) {
    for piece in [1, 2, 3, 7, 1000] {
        assert_eq!(seen(&format!("{before}{rest}"), piece), (before.to_owned(), true), "in pieces of {piece}");
    }
}

#[test]
fn messages_follow_one_another() {
    let length = "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET ";
    let chunks = format!("{CHUNKED}3\r\nabc\r\n2;x=\"y\"\r\n\r\n\r\n0\r\nX-Trailer: 1\r\n\r\n");
    pass(&format!("{GET}{length}{chunks}{GET}{CHUNKED}0\r\n\r\n{length}"));
}

#[test]
fn nothing_is_seen_from_a_flaw_on() {
    stop(GET, "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n");
    stop(CHUNKED, "3 \r\nabc\r\n0\r\n\r\n");
    stop(&format!("{CHUNKED}3\r\nabc"), "d\r\n0\r\n\r\n");
    stop(&format!("{CHUNKED}3\r\nabc"), "\n0\r\n\r\n");
    stop(&format!("{CHUNKED}3\r\nabc\r\n"), "\r\n0\r\n\r\n");
    stop(&format!("{CHUNKED}0\r\n"), "X : y\r\n\r\n");
    stop(&format!("{CHUNKED}0\r\nX: y\r\n"), "\n");
    stop(&format!("{CHUNKED}0\r\n\r\n"), "0\r\n\r\n");
}

#[test]
fn trailers_are_bounded_as_heads_are() {
    let (passed, flawed) = seen(&format!("{CHUNKED}0\r\n{}\r\n", "X: yz\r\n".repeat(1000)), 10);
    assert!(flawed && passed.len() <= CHUNKED.len() + 3 + 1024);
    let (_, flawed) = seen(&format!("{CHUNKED}0\r\n{}", "x".repeat(2000)), 10);
    assert!(flawed);
}

#[test]
fn what_comes_behind_an_upgrade_waits_for_the_answer() {
    let upgrade = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    for (switched, seen) in [(true, 6), (false, 0)] {
        let mut messages = Messages::new(1024);
        assert_eq!(messages.advance(format!("{upgrade}\0\n\0GET").as_bytes()), upgrade.len());
        assert!(messages.is_undecided() && messages.advance(b"\0\n\0GET") == 0);
        messages.decide(switched);
        assert_eq!(messages.advance(b"\0\n\0GET"), seen);
        assert_eq!(messages.flaw().is_some(), !switched);
    }
}

#[test]
fn an_upgrade_with_a_body_is_a_message_like_any_other() {
    pass(&format!("GET / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx{GET}"));
}
