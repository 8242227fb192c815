//! HTTP/1.1 as a client speaks it (RFC 9112), over a connection that one exchange has for itself: no task, no channel, no copy.

mod chunked;
mod content;
mod conversation;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzz;
mod outgoing;
mod request;
mod response;

pub(super) use content::Content;
pub(super) use conversation::{Conversation, Silence};

use std::io;

/// The most that one connection holds of an answer that its client has not taken yet, and so of an answer's head.
const BUFFER: usize = 64 * 1024;
/// What is read at once while little is expected.
const READ: usize = 8 * 1024;

/// An answer that is not HTTP, or contradicts itself.
fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
