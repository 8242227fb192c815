//! What every test stands on: a recording upstream, a real gateway in this process, and clients that see raw bytes.

mod client;
pub(crate) mod frames;
mod gateway;
mod h2;
mod message;
pub(crate) mod planted;
mod process;
mod seam;
pub(crate) mod tls;
mod upstream;
mod websocket;

use std::future::Future;
use std::time::Duration;

pub(crate) use client::{Answer, Connection, Io, Pair};
pub(crate) use gateway::{ADMIN, Gateway, Prepared, ROOT, SECRET, USER, User, users_file};
pub(crate) use h2::{H2, body, body_by_hand, body_with_trailers, whole};
pub(crate) use message::{Fields, chunked};
pub(crate) use process::{Process, command};
pub(crate) use upstream::{Exchange, Recorded, Reply, Upstream};
pub(crate) use websocket::{Frame, WebSocket, upgrade};

/// The longest that anything in a test may take; only a failing test comes near it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The value of a future that must be ready in time.
#[track_caller]
pub(crate) fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(value) => value,
            Err(_) => panic!("{what}: not in {PATIENCE:?}, asked at {caller}"),
        }
    }
}

/// Asks again and again until the answer is yes; the test fails when it never is.
#[track_caller]
pub(crate) fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut question: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    within(what, async move {
        while !question().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}
