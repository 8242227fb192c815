//! What the gateway tells of itself: its own messages, one line a request, and one for each login and its end.

pub mod access_log;
pub mod audit;
pub mod log;
mod target;
