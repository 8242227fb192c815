//! Waits for a server: no longer than its deadline, and no longer than the session lives that the request belongs to.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::body::Progress;
use super::soon::Soon;
use crate::auth::{Admission, Rejected};

/// Why the waiting ended without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The deadline has passed.
    Late,
    /// The session has ended.
    SessionOver(Rejected),
}

/// Waits for `work` as long as `patience` lasts. Nearly all work is done within [`Admission::UNWATCHED`]: until then nothing is timed
/// but by `soon`, and nobody asks for the end of the session; then both are watched, in a future that most never make.
#[expect(clippy::manual_async_fn, reason = "as in exchange.rs: an async fn holds what it is called with twice")]
pub(super) fn wait<T>(
    mut work: impl Future<Output = T> + Unpin,
    patience: Patience,
    (admission, soon): (&Admission, &Soon),
) -> impl Future<Output = Result<T, Cut>> {
    async move {
        if let Some(done) = soon.or_later(patience.since, &mut work).await {
            return Ok(done);
        }
        Box::pin(watched(work, patience, admission)).await
    }
}

async fn watched<T>(work: impl Future<Output = T>, patience: Patience, admission: &Admission) -> Result<T, Cut> {
    tokio::select! {
        biased;
        rejected = admission.over() => Err(Cut::SessionOver(rejected)),
        done = work => Ok(done),
        () = patience.over() => Err(Cut::Late),
    }
}

/// How long to wait, counted from when it was made; a body that moves puts the end off.
#[derive(Debug)]
pub(super) struct Patience {
    since: Instant,
    lasts: Duration,
    progress: Option<Rc<Progress>>,
}

impl Patience {
    /// Counts from now.
    pub(super) fn of(lasts: Duration) -> Self {
        Self { since: Instant::now(), lasts, progress: None }
    }

    /// Counts from then, or from when a body moved last.
    pub(super) fn since(since: Instant, lasts: Duration, progress: Option<Rc<Progress>>) -> Self {
        Self { since, lasts, progress }
    }

    async fn over(self) {
        let mut due = self.since + self.lasts;
        loop {
            sleep_until(due).await;
            let moved = self.progress.as_ref().map(|progress| progress.moved() + self.lasts);
            match moved.filter(|moved| *moved > due) {
                Some(later) => due = later,
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::pin::pin;
    use std::sync::Arc;

    use tokio::time::sleep;

    use super::*;
    use crate::auth::{self, Access, Ended, Now, Presented, Ring, Session, Sessions};
    use crate::clock::BootTime;
    use crate::config;
    use crate::directory::{Principal, Role};

    /// A session, and a request of it.
    fn admitted() -> (Sessions, Arc<Session>, Admission) {
        let config = config::Sessions {
            lifetime: Duration::from_secs(3600),
            idle_timeout: None,
            per_user: NonZeroUsize::MIN,
            max: NonZeroUsize::MIN,
        };
        let sessions = Sessions::new(&config);
        let principal = Principal { name: "a".into(), role: Role::User, attributes: serde_json::Map::new() };
        let issued = sessions.issue(principal, &Ring::generate(), Now::read()).unwrap();
        let pair = Presented { key: issued.key, token: issued.token.expose().as_bytes() };
        let admission = auth::admit(&sessions, Access::Session { roles: &[] }, Some(pair), BootTime::now()).unwrap();
        (sessions, issued.session, admission)
    }

    /// As [`wait`], on a worker.
    async fn wait_for<T>(work: impl Future<Output = T>, admission: &Admission) -> Result<T, Cut> {
        let (soon, work) = (Soon::new(Admission::UNWATCHED), pin!(work));
        tokio::select! {
            ended = wait(work, Patience::of(Duration::from_secs(1)), (admission, &soon)) => ended,
            () = soon.attend() => unreachable!("it never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_soon_is_never_watched() {
        let (_sessions, session, admission) = admitted();
        let work = async {
            for _ in 0..49 {
                assert!(!session.is_watched());
                sleep(Duration::from_millis(1)).await;
            }
        };
        assert_eq!(wait_for(work, &admission).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_ends_with_its_session_or_its_deadline() {
        let (sessions, session, admission) = admitted();
        let work = || std::future::pending::<()>();
        let watching = async {
            sleep(Duration::from_millis(999)).await;
            session.is_watched()
        };
        assert_eq!(tokio::join!(wait_for(work(), &admission), watching), (Err(Cut::Late), true));
        assert!(!session.is_watched(), "and no longer");
        sessions.revoke_user("a", Ended::UserRemoved, BootTime::now());
        let began = Instant::now();
        let cut = wait_for(work(), &admission).await;
        assert!(matches!(cut, Err(Cut::SessionOver(_))));
        assert_eq!(began.elapsed(), Admission::UNWATCHED, "ended before it was watched, seen as soon as it is");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_puts_the_deadline_off() {
        let progress = Rc::new(Progress::new(None));
        let began = Instant::now();
        let moving = async {
            sleep(Duration::from_millis(700)).await;
            progress.note_moved();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = Patience::since(began, Duration::from_secs(1), Some(progress.clone())).over() => {}
            () = moving => {}
        }
        assert_eq!(began.elapsed(), Duration::from_millis(1700));
    }
}
