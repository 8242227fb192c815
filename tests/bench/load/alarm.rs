//! A timer that is right to some microseconds; tokio's own is right to a millisecond, which is more than an answer takes.

use std::time::Instant;

use rustix::fd::OwnedFd;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::unix::AsyncFd;

/// One timer of the kernel's.
pub(crate) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    #[expect(deprecated, reason = "its successor is unsafe, and an owned descriptor never becomes another one")]
    pub(crate) fn new() -> Self {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags).unwrap();
        Self(AsyncFd::new(timer).unwrap())
    }

    /// Waits until then; not at all when that is past.
    pub(crate) async fn at(&self, due: Instant) {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let timer = Itimerspec { it_interval: once, it_value: left.try_into().unwrap() };
        rustix::time::timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &timer).unwrap();
        loop {
            let mut ready = self.0.readable().await.unwrap();
            let mut count = [0; 8];
            if ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?)).is_ok() {
                return;
            }
        }
    }
}
