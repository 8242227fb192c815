//! What operators and probes see, on listeners of their own.

pub(crate) mod health;
mod metrics;
