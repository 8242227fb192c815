//! Busy polling: a worker that looks for an answer which is due any moment, instead of going to sleep and being woken for it.

use std::cell::Cell;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

/// What a worker looks for. Waking a core that sleeps takes longer than a fast server takes to answer; looking costs the CPU time that it
/// takes.
#[derive(Debug, Default)]
pub(crate) struct BusyPoll {
    /// How many answers are waited for that may come any moment.
    due: Cell<usize>,
    /// Until when the last of them is looked for.
    until: Cell<Option<Instant>>,
    begins: Notify,
}

/// An answer that is looked for, for as long as the value lives.
#[derive(Debug)]
pub(super) struct Due<'a>(&'a BusyPoll);

impl BusyPoll {
    /// Looks for one more answer, until then at most. Somebody must [`BusyPoll::attend`].
    pub(super) fn expect(&self, until: Instant) -> Due<'_> {
        self.due.set(self.due.get() + 1);
        self.until.set(self.until.get().max(Some(until)));
        self.begins.notify_one();
        Due(self)
    }

    /// Keeps its event loop awake while there is an answer to look for, for ever.
    pub(super) async fn attend(&self) {
        loop {
            self.begins.notified().await;
            while self.looks() {
                // Behind all who have something to do, and a look at the sockets.
                yield_now().await;
            }
        }
    }

    fn looks(&self) -> bool {
        self.due.get() > 0 && self.until.get().is_some_and(|until| Instant::now() < until)
    }
}

impl Drop for Due<'_> {
    fn drop(&mut self) {
        self.0.due.set(self.0.due.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WHILE: Duration = Duration::from_micros(50);

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_looked_for_until_it_is_there_or_late() {
        let busy = BusyPoll::default();
        assert!(!busy.looks());
        let (now, first) = (Instant::now(), busy.expect(Instant::now() + WHILE));
        let second = busy.expect(now + WHILE / 2);
        drop(second);
        assert!(busy.looks(), "for the other");
        drop(first);
        assert!(!busy.looks(), "it is there");
        let _late = busy.expect(now + WHILE);
        tokio::time::advance(WHILE).await;
        assert!(!busy.looks());
    }

    #[tokio::test]
    async fn who_looks_lets_others_go_on() {
        let busy = BusyPoll::default();
        let answered = async {
            let _due = busy.expect(Instant::now() + Duration::from_secs(60));
            let (mut near, mut far) = tokio::io::duplex(1);
            let answer = tokio::io::AsyncReadExt::read_u8(&mut near);
            let server = async {
                yield_now().await;
                tokio::io::AsyncWriteExt::write_u8(&mut far, 7).await
            };
            tokio::join!(answer, server).0
        };
        tokio::select! {
            biased;
            () = busy.attend() => unreachable!("it never ends"),
            answer = answered => assert_eq!(answer.unwrap(), 7),
        }
        assert!(!busy.looks());
    }
}
