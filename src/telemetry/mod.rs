//! What the gateway tells of itself: its own messages, and one line a request.

pub mod access_log;
pub mod log;
