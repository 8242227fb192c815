//! Things that may happen thousands of times a second and are said once in a while, with how often they happened.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// How long nothing is said after something was.
const SILENCE: Duration = Duration::from_secs(10);

/// Counts until it is time to speak.
#[derive(Debug)]
pub(crate) struct Seldom {
    spoke: Cell<Option<Instant>>,
    times: Cell<u64>,
}

impl Seldom {
    pub(crate) const fn new() -> Self {
        Self { spoke: Cell::new(None), times: Cell::new(0) }
    }

    /// It happened again: how often since it was last said, if it is to be said now.
    pub(crate) fn again(&self) -> Option<u64> {
        self.times.set(self.times.get() + 1);
        let now = Instant::now();
        if self.spoke.get().is_some_and(|spoke| now - spoke < SILENCE) {
            return None;
        }
        self.spoke.set(Some(now));
        Some(self.times.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_said_at_once_and_the_others_together() {
        let seldom = Seldom::new();
        assert_eq!((seldom.again(), seldom.again(), seldom.again()), (Some(1), None, None));
        tokio::time::advance(SILENCE).await;
        assert_eq!((seldom.again(), seldom.again()), (Some(3), None));
    }
}
