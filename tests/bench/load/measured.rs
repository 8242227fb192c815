//! What a run measured, as one line of JSON.

use std::time::Duration;

use serde_json::json;

use super::watch::Watch;

/// Latencies and errors, gathered as answers come.
#[derive(Default)]
pub(crate) struct Measured {
    micros: Vec<u32>,
    errors: usize,
    unexpected: usize,
    /// Handshakes that took up an earlier session.
    pub(crate) resumed: usize,
}

impl Measured {
    pub(crate) fn answered(&mut self, latency: Duration, as_expected: bool) {
        self.micros.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        self.unexpected += usize::from(!as_expected);
    }

    pub(crate) fn failed(&mut self) {
        self.errors += 1;
    }

    /// Prints everything; latencies and CPU time in microseconds.
    pub(crate) fn print(mut self, watch: &Watch) {
        let (took, cpu) = (watch.took(), watch.cpu());
        self.micros.sort_unstable();
        let at = |share: f64| self.micros.get(((self.micros.len() as f64 - 1.0) * share).max(0.0) as usize).copied();
        println!(
            "{}",
            json!({
                "requests": self.micros.len(), "errors": self.errors, "unexpected": self.unexpected,
                "resumed": self.resumed, "cpu_micros": cpu.as_micros() as u64,
                "seconds": took.as_secs_f64(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0),
            })
        );
    }
}
