//! Frames by the classes of the Autobahn suite's cases, as a client sends them: good, doubtful and wrong ones.

pub(super) const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// What a client sends, in the parts that it sends.
pub(super) type Case = (String, Vec<Vec<u8>>);

/// Every case of every class.
pub(super) fn all() -> Vec<Case> {
    [sizes(), controls(), reserved(), fragments(), utf8(), closes(), lengths()].concat()
}

/// A frame as clients send it.
pub(super) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, 0x80, payload.len());
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame as servers send it.
pub(super) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&head(first, 0, payload.len())[..], payload].concat()
}

fn head(first: u8, mask: u8, length: usize) -> Vec<u8> {
    match length {
        0..=125 => vec![first, mask | length as u8],
        126..=0xffff => [&[first, mask | 126][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[first, mask | 127][..], &(length as u64).to_be_bytes()].concat(),
    }
}

/// Frames in one piece each, and an orderly end.
fn case(what: impl Into<String>, frames: &[Vec<u8>]) -> Case {
    (what.into(), [frames, &[masked(CLOSE, &[3, 0xe8])]].concat())
}

/// Autobahn 1 and 10.
fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 200_000] {
        for first in [TEXT, BINARY] {
            let sent = masked(first, &vec![b'*'; length]);
            cases.push(case(format!("{length} bytes"), std::slice::from_ref(&sent)));
            let pieces: Vec<_> = sent.chunks(1 + length / 7).map(<[u8]>::to_vec).collect();
            cases.push(case(format!("{length} bytes in pieces"), &pieces));
        }
    }
    cases
}

/// Autobahn 2.
fn controls() -> Vec<Case> {
    let many: Vec<_> = (0..10).map(|n| masked(PING, &[n])).collect();
    vec![
        case("a ping", &[masked(PING, b"")]),
        case("a ping with a payload", &[masked(PING, b"payload")]),
        case("a binary ping", &[masked(PING, &[0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff])]),
        case("a ping of 125 bytes", &[masked(PING, &[b'p'; 125])]),
        case("a ping of 126 bytes", &[masked(PING, &[b'p'; 126])]),
        case("a ping byte by byte", &masked(PING, b"slow").chunks(1).map(<[u8]>::to_vec).collect::<Vec<_>>()),
        case("a pong to nothing", &[masked(PONG, b"unasked"), masked(PING, b"asked")]),
        case("ten pings", &many),
        case("ten pings at once", &[many.concat()]),
    ]
}

/// Autobahn 3 and 4, and masks that are none.
fn reserved() -> Vec<Case> {
    let mut cases = Vec::new();
    for bits in 1..8_u8 {
        cases
            .push(case(format!("reserved bits {bits}"), &[masked(TEXT, b"before"), masked(TEXT | bits << 4, b"bits")]));
        cases.push(case(format!("reserved bits {bits} in a ping"), &[masked(PING | bits << 4, b"bits")]));
    }
    for opcode in (3..8).chain(11..16) {
        for payload in [&b""[..], b"payload"] {
            cases.push(case(format!("opcode {opcode}"), &[masked(TEXT, b"before"), masked(0x80 | opcode, payload)]));
        }
    }
    cases.push(case("no mask", &[unmasked(TEXT, b"bare")]));
    cases.push(case("no mask in a ping", &[unmasked(PING, b"bare")]));
    cases
}

/// Autobahn 5.
fn fragments() -> Vec<Case> {
    let (begun, more, last) = (masked(0x01, b"frag"), masked(0x00, b"men"), masked(0x80, b"ted"));
    let all = |frames: &[&Vec<u8>]| frames.iter().map(|frame| (*frame).clone()).collect::<Vec<_>>();
    let ping = masked(PING, b"between");
    vec![
        case("three fragments", &all(&[&begun, &more, &last])),
        case("three fragments at once", &[[&begun[..], &more, &last].concat()]),
        case("pings between fragments", &all(&[&begun, &ping, &more, &ping, &last])),
        case("empty fragments", &[masked(0x02, b""), masked(0x00, b""), masked(0x80, b"")]),
        case("a fragmented ping", &[masked(PING & 0x7f, b"frag"), masked(0x80, b"ment")]),
        case("a fragmented pong", &[masked(PONG & 0x7f, b"frag"), masked(0x80, b"ment")]),
        case("a continuation of nothing", &all(&[&last])),
        case("a beginning of a continuation of nothing", &all(&[&more, &last])),
        case("a text between fragments", &[begun.clone(), masked(TEXT, b"whole"), last.clone()]),
        case("a beginning after a beginning", &all(&[&begun, &begun, &last])),
        case("a close between fragments", &all(&[&begun])),
    ]
}

/// Autobahn 6.
fn utf8() -> Vec<Case> {
    let texts: &[&[u8]] = &[
        "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
        "κόσμε \u{10ffff} \u{fffe} \u{0}".as_bytes(),
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
        b"\xff",
        b"\xce",
    ];
    let mut cases = Vec::new();
    for text in texts {
        cases.push(case(format!("text {text:x?}"), &[masked(TEXT, text)]));
        let (begun, rest) = text.split_at(text.len() / 2);
        cases.push(case(format!("text {text:x?} in two"), &[masked(0x01, begun), masked(0x80, rest)]));
        cases.push(case(format!("binary {text:x?}"), &[masked(BINARY, text)]));
    }
    cases
}

/// Autobahn 7.
fn closes() -> Vec<Case> {
    let close = |payload: &[u8]| masked(CLOSE, payload);
    let mut cases: Vec<Case> = Vec::new();
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999_u16]
        .into_iter()
        .chain([0, 999, 1004, 1005, 1006, 1012, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
    {
        let reason = [&code.to_be_bytes()[..], b"reason"].concat();
        cases.push((format!("close {code}"), vec![close(&reason)]));
    }
    cases.extend([
        ("an empty close".to_owned(), vec![close(b"")]),
        ("a close of one byte".to_owned(), vec![close(&[3])]),
        ("a close of 125 bytes".to_owned(), vec![close(&[&[3, 0xe8][..], &[b'r'; 123]].concat())]),
        ("a close of 126 bytes".to_owned(), vec![close(&[&[3, 0xe8][..], &[b'r'; 124]].concat())]),
        ("a close with a reason that is no text".to_owned(), vec![close(b"\x03\xe8\xce\xba\xed\xa0\x80")]),
        ("two closes".to_owned(), vec![[close(&[3, 0xe8]), close(&[3, 0xe8])].concat()]),
        ("a text after a close".to_owned(), vec![[close(&[3, 0xe8]), masked(TEXT, b"late")].concat()]),
        ("a ping after a close".to_owned(), vec![[close(&[3, 0xe8]), masked(PING, b"late")].concat()]),
        ("a close without a mask".to_owned(), vec![unmasked(CLOSE, &[3, 0xe8])]),
    ]);
    cases
}

/// Lengths that are longer than they need be, or longer than anything.
fn lengths() -> Vec<Case> {
    let mask = [0; 4];
    vec![
        case("five bytes in sixteen bits", &[[&[TEXT, 0xfe, 0, 5][..], &mask, b"short"].concat()]),
        case("five bytes in 64 bits", &[[&[TEXT, 0xff, 0, 0, 0, 0, 0, 0, 0, 5][..], &mask, b"short"].concat()]),
        case("a length over 2^63", &[[&[TEXT, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 5][..], &mask, b"short"].concat()]),
        case("a ping in sixteen bits", &[[&[PING, 0xfe, 0, 5][..], &mask, b"short"].concat()]),
    ]
}
