//! The slowest of many steps, by the clock on the wall and by the thread's own, which does not run while others have the core.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The slowest so far, and what all took of the core.
#[derive(Clone, Copy, Default)]
pub(crate) struct Slowest {
    pub(crate) total: Duration,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Slowest {
    /// Does one step and takes its time.
    pub(crate) fn of<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let (wall, cpu) = (Instant::now(), thread_time());
        let done = step();
        let (cpu, wall) = (thread_time().saturating_sub(cpu), wall.elapsed());
        self.total += cpu;
        (self.cpu, self.wall) = (self.cpu.max(cpu), self.wall.max(wall));
        done
    }
}

fn thread_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}
