//! What must hold of the messages of an HTTP/1.1 connection: hyper reads no other ones than those that were judged.

use std::cell::Cell;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::join;

use crate::server::messages::Messages;

/// Bytes of a head.
const MOST: usize = 8192;

/// What was judged of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Judged {
    /// Bytes that may be seen.
    passed: usize,
    heads: usize,
    is_flawed: bool,
}

/// A stream that comes in pieces, where no upgrade is ever granted.
fn judged(stream: &[u8], piece: usize) -> Judged {
    let (mut messages, mut heads, mut passed) = (Messages::new(MOST), 0, 0);
    for end in (1..=stream.len()).filter(|end| end % piece == 0 || *end == stream.len()) {
        while messages.flaw().is_none() {
            if messages.is_undecided() {
                messages.decide(false);
            }
            let (was_head, more) = (messages.is_at_head(), messages.advance(&stream[passed..end]));
            heads += usize::from(was_head && more > 0);
            passed += more;
            if more == 0 {
                break;
            }
        }
    }
    Judged { passed, heads, is_flawed: messages.flaw().is_some() }
}

/// The pieces in which a stream comes change nothing, and of what may be seen hyper makes the same messages, or stops.
pub fn messages(bytes: &[u8]) {
    let Some((piece, stream)) = bytes.split_first() else { return };
    let one_by_one = judged(stream, 1);
    let in_pieces = judged(stream, usize::from(*piece).max(1));
    assert_eq!((one_by_one.passed, one_by_one.is_flawed), (in_pieces.passed, in_pieces.is_flawed));
    let (served, complaint) = serve(&stream[..one_by_one.passed]);
    assert!(served <= one_by_one.heads, "{served} requests of {one_by_one:?}");
    // It may refuse a head that was judged, such as one whose target is no URI, and find the end too early; but never the body.
    let known: &[&str] =
        if served < one_by_one.heads { &["Parse(", "IncompleteMessage"] } else { &["IncompleteMessage"] };
    assert!(
        complaint.as_ref().is_none_or(
            |complaint| known.iter().any(|known| complaint.contains(known)) || complaint.contains("UnexpectedEof")
        ),
        "{complaint:?} after {served} of {one_by_one:?}"
    );
}

/// How many requests hyper finds, and why it stops.
fn serve(stream: &[u8]) -> (usize, Option<String>) {
    let served = Cell::new(0);
    let service = service_fn(|request: Request<Incoming>| {
        served.set(served.get() + 1);
        async {
            let _whole = request.into_body().collect().await;
            Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let io = TokioIo::new(join(stream, tokio::io::sink()));
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).half_close(true).max_header_size(MOST).max_buf_size(4 * MOST);
    let ended = runtime.block_on(builder.serve_connection(io, service));
    (served.get(), ended.err().map(|error| format!("{error} {error:?}")))
}
