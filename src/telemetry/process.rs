//! What the system knows of this process, under the names that Prometheus' own clients use.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::exposition::{Exposition, Kind};
use crate::clock::{self, BootTime};

/// When the process began, as far as metrics are concerned.
#[derive(Clone, Copy, Debug)]
pub struct Start(BootTime);

impl Start {
    /// Now.
    pub fn now() -> Self {
        Self(BootTime::now())
    }

    /// Seconds since the Unix epoch, by the wall clock as it stands.
    fn epoch_seconds(self) -> f64 {
        let lived = BootTime::now().since(self.0);
        Duration::from_millis(clock::wall_millis()).saturating_sub(lived).as_secs_f64()
    }
}

/// Adds the families of the process; what the system does not tell is left out.
pub fn describe(text: &mut Exposition, start: Start) {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    text.family(Kind::Counter, "process_cpu_seconds", "CPU time of the process.").sample(&[], cpu);
    text.family(Kind::Gauge, "process_start_time_seconds", "When the process began, since the Unix epoch.");
    text.sample(&[], start.epoch_seconds());
    if let Some(bytes) = resident() {
        text.family(Kind::Gauge, "process_resident_memory_bytes", "Resident memory.").sample(&[], bytes);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // Less the one that reads the directory.
        let open = open.count().saturating_sub(1);
        text.family(Kind::Gauge, "process_open_fds", "Open descriptors.").sample(&[], open);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        text.family(Kind::Gauge, "process_max_fds", "The most descriptors that may be open.").sample(&[], most);
    }
}

/// From `/proc/self/status`, which counts in kB whatever the size of a page is.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
