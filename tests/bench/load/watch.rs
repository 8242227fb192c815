//! Time and CPU time of a run, from when the connections are open that are kept: what a request costs is told without them.

use std::fs;
use std::time::{Duration, Instant};

use super::Target;

/// A run that has begun.
pub(crate) struct Watch {
    pids: Vec<u32>,
    cpu: Duration,
    pub(crate) start: Instant,
}

impl Watch {
    pub(crate) fn begin(target: &Target) -> Self {
        let pids = target.watch.clone();
        Self { cpu: cpu_of(&pids), pids, start: Instant::now() }
    }

    pub(crate) fn took(&self) -> Duration {
        self.start.elapsed()
    }

    /// What the watched processes have used since, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(&self.pids).saturating_sub(self.cpu)
    }
}

/// Of all threads that live, from the scheduler's nanoseconds.
fn cpu_of(pids: &[u32]) -> Duration {
    let threads = pids.iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task"))).flatten().flatten();
    let nanos = threads.map(|thread| {
        let told = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}
