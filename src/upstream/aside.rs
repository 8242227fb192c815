//! A step aside, so that requests which came together leave together.

use std::future::poll_fn;
use std::task::Poll;

/// Lets every task of this loop that can run now run first, once; over HTTP/2 every stream of this connection. A server that waits for
/// work is woken by each request that reaches it while it sleeps, and waking it costs the sender several microseconds: sent one behind
/// the other, with nobody's decryption in between, many requests wake it once. Costs one more poll and, unlike tokio's `yield_now`, no
/// look at the sockets.
pub(super) async fn step_aside() {
    let mut stepped = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut stepped, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn those_that_came_together_leave_behind_the_last_that_came() {
        let (tasks, log) = (LocalSet::new(), Rc::new(RefCell::new(Vec::new())));
        for number in [1, 2] {
            let log = log.clone();
            tasks.spawn_local(async move {
                log.borrow_mut().push(("came", number));
                step_aside().await;
                log.borrow_mut().push(("left", number));
            });
        }
        tasks.await;
        assert_eq!(log.take(), [("came", 1), ("came", 2), ("left", 1), ("left", 2)]);
    }
}
