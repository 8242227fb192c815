//! The two clocks: boot time decides how long things live, wall time is only printed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A moment on the boot-time clock, which counts through sleep and never jumps. Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(u64);

impl BootTime {
    /// Reads the clock.
    pub fn now() -> Self {
        Self(millis(ClockId::Boottime))
    }

    /// A moment by its milliseconds since boot.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since boot.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, life: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Milliseconds since the Unix epoch; the wall clock can jump, so nothing is decided by it.
pub fn wall_millis() -> u64 {
    millis(ClockId::Realtime)
}

/// The wall clock as it was at the kernel's last tick, ten milliseconds ago at most unless a virtual machine is short of time: a quarter of what
/// asking for the time itself costs.
pub fn wall_tick() -> SystemTime {
    let time = clock_gettime(ClockId::RealtimeCoarse);
    let since = |seconds, nanos| Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?));
    UNIX_EPOCH + since(time.tv_sec, time.tv_nsec).unwrap_or_default()
}

fn millis(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_not_long_ago() {
        let (tick, now) = (wall_tick(), SystemTime::now());
        let apart = now.duration_since(tick).unwrap_or_else(|later| later.duration());
        assert!(apart < Duration::from_secs(1), "{apart:?}");
    }

    #[test]
    fn lives_are_added_and_subtracted_without_wrapping() {
        let start = BootTime::from_millis(1_000);
        assert_eq!((start + Duration::from_secs(1)).since(start), Duration::from_secs(1));
        assert_eq!(start.since(start + Duration::MAX), Duration::ZERO);
    }
}
