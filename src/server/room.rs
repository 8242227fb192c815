//! Places for connections, and who gives his up when there is none: handshakes first, then who has idled longest. Never one with a
//! request under way.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::activity::{Activity, Claim};
use crate::seldom::Seldom;

/// How long a connection that was asked to leave may take before another one is asked too.
const PAUSE: Duration = Duration::from_millis(50);
/// One in so many connections is looked for at once, so that looking through all of them is paid for by as many arrivals.
const SHARE: usize = 64;

/// The places, and who has them. Belongs to the thread that accepts.
#[derive(Debug)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    most: usize,
    seated: RefCell<Seated>,
    fullness: Seldom,
}

#[derive(Debug, Default)]
struct Seated {
    /// Everybody who sits, and some who left already.
    all: Vec<Arc<Activity>>,
    /// Who leaves next, the first one last. Each with his claim when he was chosen: who has moved since then stays.
    leaving: Vec<(Claim, Arc<Activity>)>,
}

impl Room {
    pub(crate) fn new(connections: NonZeroUsize) -> Self {
        let (places, most) = (Arc::new(Semaphore::new(connections.get())), connections.get());
        Self { places, most, seated: RefCell::default(), fullness: Seldom::new() }
    }

    /// A free place, or one that is made free. Waits only as long as every connection has a request under way.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return place;
        }
        if let Some(times) = self.fullness.again() {
            tracing::warn!(
                connections = self.most,
                times,
                "limits.connections is reached: handshakes and the longest idle make room; where all have a request or a tunnel under way, new ones wait"
            );
        }
        loop {
            self.seated.borrow_mut().ask_one_to_leave(self.most.div_ceil(SHARE));
            if let Ok(Ok(place)) = tokio::time::timeout(PAUSE, self.places.clone().acquire_owned()).await {
                return place;
            }
        }
    }

    /// Remembers who took a place.
    pub(crate) fn seat(&self, activity: Arc<Activity>) {
        let mut seated = self.seated.borrow_mut();
        if seated.all.len() >= 2 * self.most {
            seated.forget_who_left();
        }
        seated.all.push(activity);
    }
}

impl Seated {
    /// Asks the one who can be spared best; nobody if all are needed.
    fn ask_one_to_leave(&mut self, share: usize) {
        if !self.ask_next() {
            self.choose(share);
            self.ask_next();
        }
    }

    fn ask_next(&mut self) -> bool {
        while let Some((claim, activity)) = self.leaving.pop() {
            if activity.claim().as_ref() == Some(&claim) {
                activity.ask_to_leave();
                return true;
            }
        }
        false
    }

    /// Looks through all for the few with the weakest claims.
    fn choose(&mut self, share: usize) {
        self.forget_who_left();
        let claims = self.all.iter().filter_map(|activity| Some((activity.claim()?, activity.clone())));
        self.leaving.extend(claims);
        if self.leaving.len() > share {
            self.leaving.select_nth_unstable_by(share, |(a, _), (b, _)| a.cmp(b));
            self.leaving.truncate(share);
        }
        self.leaving.sort_unstable_by(|(a, _), (b, _)| Reverse(a).cmp(&Reverse(b)));
    }

    /// Whose connection is over holds his activity no longer.
    fn forget_who_left(&mut self) {
        self.all.retain(|activity| Arc::strong_count(activity) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many connections whose first request is done, one after another.
    async fn idle(room: &Room, count: usize) -> Vec<Arc<Activity>> {
        let mut all = Vec::new();
        for _ in 0..count {
            let activity = Activity::new();
            room.seat(activity.clone());
            drop(activity.begin());
            tokio::time::advance(Duration::from_millis(10)).await;
            all.push(activity);
        }
        all
    }

    fn leaving(all: &[Arc<Activity>]) -> Vec<bool> {
        all.iter().map(|activity| activity.is_asked_to_leave()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_leaves_first_and_each_once() {
        let room = Room::new(NonZeroUsize::new(3).unwrap());
        let all = idle(&room, 3).await;
        drop(all[0].begin());
        for expected in [[false, true, false], [false, true, true], [true, true, true], [true, true, true]] {
            room.seated.borrow_mut().ask_one_to_leave(1);
            assert_eq!(leaving(&all), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_handshake_leaves_before_who_has_proven_himself() {
        let room = Room::new(NonZeroUsize::new(3).unwrap());
        let mut all = idle(&room, 2).await;
        all.push(Activity::new());
        room.seat(all[2].clone());
        room.seated.borrow_mut().ask_one_to_leave(1);
        assert_eq!(leaving(&all), [false, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_a_request_under_way_never_leaves() {
        let room = Room::new(NonZeroUsize::new(2).unwrap());
        let all = idle(&room, 2).await;
        let _exchange = all[0].begin();
        room.seated.borrow_mut().choose(2);
        let _another = all[1].begin();
        room.seated.borrow_mut().ask_one_to_leave(2);
        assert_eq!(leaving(&all), [false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_becomes_free_is_taken() {
        let room = Room::new(NonZeroUsize::MIN);
        let place = room.place().await;
        let next = room.place();
        tokio::pin!(next);
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut next).await.is_err());
        drop(place);
        drop(next.await);
    }

    #[tokio::test]
    async fn who_left_is_forgotten() {
        let room = Room::new(NonZeroUsize::new(2).unwrap());
        for _ in 0..100 {
            room.seat(Activity::new());
        }
        assert!(room.seated.borrow().all.len() <= 4);
    }
}
