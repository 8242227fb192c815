//! What the gateway tells of itself: its own messages, one line a request, one for each login and its end, and metrics.

pub mod access_line;
pub mod access_log;
pub mod audit;
mod audit_line;
pub mod counters;
pub mod exposition;
pub mod log;
mod messages;
pub mod meter;
pub mod process;
mod queue;
mod stamp;
mod target;
pub(crate) mod writable;
mod writer;
