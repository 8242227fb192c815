//! Reads on after an answer that came before the request was read: a client that is still sending would lose it otherwise.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::activity::Exchange;

/// What is read and thrown away at most.
const MOST: usize = 16 * 1024 * 1024;
/// How long a client may take to notice its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Throws the rest of a request away; past the bounds the stream is reset, or the connection closed. The exchange lasts as long.
pub(crate) async fn linger(mut body: Incoming, exchange: Exchange) {
    let read = async {
        let mut left = MOST;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, bytes::Bytes::len);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    };
    let _overdue = timeout(PATIENCE, read).await;
    drop(exchange);
}
