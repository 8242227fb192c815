use super::super::fields::MOST_FIELDS;
use super::*;

const MOST: usize = 8 * 1024;

fn judged(head: &str) -> Result<Option<Whole>, Flaw> {
    Begun::default().look(head.as_bytes(), MOST)
}

fn with(lines: &str) -> Result<Option<Whole>, Flaw> {
    judged(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
}

#[track_caller]
fn body_of(lines: &str) -> Body {
    with(lines).unwrap().unwrap().body
}

fn is_ambiguous<T>(judged: &Result<T, Flaw>) -> bool {
    matches!(judged, Err(Flaw::Ambiguous(_)))
}

#[test]
fn a_head_is_whole_at_its_empty_line() {
    let head = "\r\nGET /x?y=%20 HTTP/1.1\r\nHost: a\r\nX-Tab:\t\ta\tb \u{e9}\r\nX-Empty:\r\n\r\n";
    let whole = judged(&format!("{head}GET")).unwrap().unwrap();
    assert_eq!(whole, Whole { bytes: head.len(), body: Body::Length(0), upgrades: false });
    for (at, _) in head.char_indices() {
        assert_eq!(judged(&head[..at]), Ok(None), "{at}");
    }
}

#[test]
fn the_request_line_is_three_words() {
    for good in ["GET / HTTP/1.0", "M-SEARCH * HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://a/ HTTP/1.1"] {
        assert_eq!(judged(&format!("{good}\r\n\r\n")).is_ok(), !good.starts_with('M'), "{good:?}");
    }
    for bad in [
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        "GET /a b HTTP/1.1",
        "G(T / HTTP/1.1",
        "GET /#x HTTP/1.1",
        "GET * HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / http/1.1",
        "GET / HTTP/1.1\0",
        "PRI * HTTP/2.0",
    ] {
        assert!(is_ambiguous(&judged(&format!("{bad}\r\n\r\n"))), "{bad:?}");
    }
    let connect = judged("CONNECT a:1 HTTP/1.1\r\n\r\n");
    assert_eq!(connect, Err(Flaw::NotImplemented("Method not implemented")));
}

#[test]
fn a_line_ends_with_crlf_and_holds_no_control() {
    for bad in [
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\nHost: a\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nX: a\rb",
        "GET / HTTP/1.1\r\nX: a\0b",
        "GET / HTTP/1.1\r\nX: a\x0bb",
        "GET / HTTP/1.1\r\nX: a\x7f",
        "\n",
        "\r\r\n",
        "\x16\x03\x01",
    ] {
        assert!(is_ambiguous(&judged(bad)), "{bad:?}");
    }
}

#[test]
fn a_line_that_could_be_about_framing_is_a_token_a_colon_and_a_value() {
    for bad in
        [" X: y", "\tX: y", ": y", "(X: y", "\u{e9}: y", "Transfer-Encoding", "C y: z", "Content-Length : 4", "U\t: y"]
    {
        assert!(is_ambiguous(&with(&format!("{bad}\r\n"))), "{bad:?}");
    }
}

#[test]
fn a_length_is_digits_said_once() {
    assert_eq!(body_of("Content-Length: 0\r\n"), Body::Length(0));
    assert_eq!(body_of("content-LENGTH:\t0042 \r\n"), Body::Length(42));
    assert_eq!(body_of("Content-Length: 9999999999999999999\r\n"), Body::Length(9_999_999_999_999_999_999));
    for bad in ["", "+4", "-4", "4,4", "4, 4", "0x4", "4 4", "4;", "4.0", "99999999999999999999", "\u{664}"] {
        assert!(is_ambiguous(&with(&format!("Content-Length: {bad}\r\n"))), "{bad:?}");
    }
    for (a, b) in [("4", "4"), ("4", "5"), ("0", "4")] {
        assert!(is_ambiguous(&with(&format!("Content-Length: {a}\r\nContent-Length: {b}\r\n"))));
    }
    assert_eq!(body_of("Content_Length: 4\r\nTransfer.Encoding: chunked\r\n"), Body::Length(0));
}

#[test]
fn chunked_is_the_only_coding_and_excludes_a_length() {
    assert_eq!(body_of("Transfer-Encoding: Chunked \r\n"), Body::Chunked);
    for bad in [
        "",
        "xchunked",
        "chunked,",
        ",chunked",
        "chunked, chunked",
        "identity",
        "chunked, gzip",
        "\"chunked\"",
        "chunked;q=1",
    ] {
        assert!(is_ambiguous(&with(&format!("Transfer-Encoding: {bad}\r\n"))), "{bad:?}");
    }
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
    ] {
        assert!(is_ambiguous(&with(&format!("{lines}\r\n"))), "{lines:?}");
    }
    assert!(is_ambiguous(&judged("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")));
    let known = with("Transfer-Encoding: gzip, chunked\r\n");
    assert_eq!(known, Err(Flaw::NotImplemented("Only the chunked transfer coding is known")));
}

#[test]
fn a_head_is_bounded_in_bytes_and_lines() {
    let long = |length: usize| with(&format!("X: {}\r\n", "x".repeat(length)));
    assert!(long(MOST - 100).is_ok());
    assert_eq!(long(MOST), Err(Flaw::TooLarge));
    assert_eq!(judged(&"x".repeat(MOST + 1)), Err(Flaw::TooLarge));
    assert_eq!(judged(&"\r\n".repeat(MOST)), Err(Flaw::TooLarge));
    assert!(with(&"X: y\r\n".repeat(MOST_FIELDS - 1)).is_ok());
    assert_eq!(with(&"X: y\r\n".repeat(MOST_FIELDS)), Err(Flaw::TooLarge));
}

#[test]
fn only_http_1_1_upgrades() {
    for (version, upgrades) in [("1.1", true), ("1.0", false)] {
        let whole = judged(&format!("GET / HTTP/{version}\r\nUPGRADE: x\r\n\r\n")).unwrap().unwrap();
        assert_eq!(whole.upgrades, upgrades);
    }
}
