//! The end of one session, for those who wait for it. Takes no memory of its own while nobody does.

use std::sync::{Arc, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::sync::{Mutex, MutexGuard};

/// 16 bytes in each session. Locked only by who waits for the end, or brings it.
#[derive(Default)]
pub(super) struct Over(Mutex<Option<Arc<CancellationToken>>>);

impl Over {
    /// The session has ended: whoever waits is told, and whoever comes later.
    pub(super) fn tell(&self) {
        self.token().cancel();
    }

    /// Waits for the end; returns at once when it has been told already.
    pub(super) async fn wait(&self) {
        let waiting = Waiting { over: self, token: Some(self.token()) };
        if let Some(token) = &waiting.token {
            token.cancelled().await;
        }
    }

    #[cfg(test)]
    pub(super) fn is_awaited(&self) -> bool {
        self.lock().is_some()
    }

    fn token(&self) -> Arc<CancellationToken> {
        self.lock().get_or_insert_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<CancellationToken>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits.
struct Waiting<'a> {
    over: &'a Over,
    token: Option<Arc<CancellationToken>>,
}

impl Drop for Waiting<'_> {
    /// The last one takes the token away, unless it says that the session has ended.
    fn drop(&mut self) {
        let mut kept = self.over.lock();
        drop(self.token.take());
        if kept.as_ref().is_some_and(|token| Arc::strong_count(token) == 1 && !token.is_cancelled()) {
            *kept = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn everybody_is_told_before_and_after() {
        let over = Over::default();
        let (mut one, mut two) = (pin!(over.wait()), pin!(over.wait()));
        assert!(poll!(&mut one).is_pending() && poll!(&mut two).is_pending());
        over.tell();
        assert!(poll!(&mut one).is_ready() && poll!(&mut two).is_ready());
        assert!(poll!(pin!(over.wait())).is_ready());
        let nobody = Over::default();
        nobody.tell();
        nobody.wait().await;
    }

    #[tokio::test]
    async fn the_last_who_waits_leaves_nothing_behind() {
        let over = Over::default();
        let mut one = Box::pin(over.wait());
        let mut two = Box::pin(over.wait());
        assert!(poll!(&mut one).is_pending() && poll!(&mut two).is_pending());
        drop(one);
        assert!(over.is_awaited());
        drop(two);
        assert!(!over.is_awaited());
    }

    #[test]
    fn waiting_and_ending_at_once_miss_nothing() {
        let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..500 {
            let over = Over::default();
            std::thread::scope(|scope| {
                scope.spawn(|| runtime().block_on(async { while poll!(pin!(over.wait())).is_pending() {} }));
                scope.spawn(|| runtime().block_on(over.wait()));
                scope.spawn(|| over.tell());
            });
        }
    }
}

#[cfg(all(test, feature = "races"))]
mod races {
    use std::pin::pin;
    use std::sync::Arc;

    use futures_util::{FutureExt as _, poll};
    use loom::future::block_on;
    use loom::thread;

    use super::Over;

    #[test]
    fn whoever_waits_is_told_whatever_others_do_who_wait_or_give_up() {
        loom::model(|| {
            let over = Arc::new(Over::default());
            let waiting = {
                let over = over.clone();
                thread::spawn(move || block_on(over.wait()))
            };
            let giving_up = {
                let over = over.clone();
                thread::spawn(move || assert!(pin!(over.wait()).now_or_never().is_none_or(|()| over.is_awaited())))
            };
            over.tell();
            waiting.join().unwrap();
            giving_up.join().unwrap();
            block_on(async { assert!(poll!(pin!(over.wait())).is_ready()) });
        });
    }
}
