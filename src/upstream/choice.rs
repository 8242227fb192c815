//! Which server of an upstream gets a request: the least busy one or the session's own, never one that has enough.

use std::sync::Arc;

use super::server::{Occupied, Server};
use crate::clock::BootTime;

/// What decides between servers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<'a> {
    pub(super) servers: &'a [Arc<Server>],
    /// Exchanges that a server may have at once.
    pub(super) most: usize,
    /// Number of the session whose requests shall meet one server; absent: the least busy.
    pub(super) session: Option<u64>,
    /// Breaks ties.
    pub(super) start: usize,
    pub(super) now: BootTime,
}

impl<'a> Choice<'a> {
    /// Takes a place at the best server; at `avoid` only when there is no other. `None` when all have enough.
    pub(super) fn take(&self, avoid: Option<&Arc<Server>>) -> Option<(&'a Arc<Server>, Occupied)> {
        loop {
            let server = self.best(avoid)?;
            // Another worker may have taken the last place in between.
            if let Some(occupied) = server.occupy(self.most) {
                return Some((server, occupied));
            }
        }
    }

    /// Servers that refused come last, the one that is back first before the others.
    fn best(&self, avoid: Option<&Arc<Server>>) -> Option<&'a Arc<Server>> {
        let (servers, start) = (self.servers, self.start % self.servers.len().max(1));
        let free =
            || servers[start..].iter().chain(&servers[..start]).filter(|server| server.outstanding() < self.most);
        let allowed = |server: &&Arc<Server>| avoid.is_none_or(|avoided| !Arc::ptr_eq(avoided, server));
        let standing = free().filter(allowed).filter(|server| !server.is_ejected(self.now));
        let wanted = match self.session {
            // A second attempt is the last: it goes to one that has not refused, if there is one.
            None => standing.min_by_key(|server| (avoid.is_some() && server.refuses(), server.outstanding())),
            Some(session) => standing.max_by_key(|server| affinity(session, server)),
        };
        wanted.or_else(|| free().filter(allowed).min_by_key(|server| server.back_at())).or_else(|| free().next())
    }
}

/// How much a session is drawn to a server (rendezvous hashing, Thaler and Ravishankar 1998): when one goes, only its own sessions
/// move, and every gateway with the same servers sends a session to the same one.
fn affinity(session: u64, server: &Server) -> u64 {
    // The finalizer of SplitMix64.
    let mut mixed = session ^ server.affinity;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Host, ServerAddress};

    const NOW: BootTime = BootTime::from_millis(10_000);

    fn servers(count: u16) -> Vec<Arc<Server>> {
        let address = |port| ServerAddress::Tcp { tls: false, host: Host::Name("a".into()), port };
        (0..count).map(|id| Arc::new(Server::new(id.into(), address(80 + id), None))).collect()
    }

    fn least(servers: &[Arc<Server>]) -> Choice<'_> {
        Choice { servers, most: usize::MAX, session: None, start: 0, now: NOW }
    }

    fn chosen(choice: Choice<'_>, avoid: Option<&Arc<Server>>) -> Option<usize> {
        choice.take(avoid).map(|(server, _)| server.id)
    }

    #[test]
    fn the_least_busy_server_is_chosen_and_ties_rotate() {
        let servers = servers(3);
        let _busy = servers[0].occupy(1);
        assert_eq!(chosen(least(&servers), None), Some(1));
        assert_eq!(chosen(Choice { start: 2, ..least(&servers) }, None), Some(2));
    }

    #[test]
    fn a_server_that_refused_is_left_alone_for_a_while() {
        let servers = servers(2);
        servers[0].refused(NOW);
        assert_eq!(chosen(least(&servers), None), Some(1));
        assert_eq!(chosen(Choice { now: NOW + Duration::from_secs(1), ..least(&servers) }, None), Some(0));
    }

    #[test]
    fn a_second_attempt_goes_to_one_that_has_not_refused() {
        let servers = servers(3);
        servers[1].refused(NOW);
        let _busy = servers[2].occupy(1);
        let later = Choice { start: 1, now: NOW + Duration::from_secs(2), ..least(&servers) };
        assert_eq!(chosen(Choice { ..later }, None), Some(1), "it is given a chance again");
        assert_eq!(chosen(later, Some(&servers[0])), Some(2));
    }

    #[test]
    fn when_all_are_ejected_the_one_back_first_is_tried() {
        let servers = servers(2);
        servers[1].refused(NOW);
        servers[0].refused(NOW + Duration::from_millis(1));
        assert_eq!(chosen(least(&servers), None), Some(1));
        assert_eq!(chosen(least(&servers), Some(&servers[1])), Some(0));
    }

    #[test]
    fn the_only_server_is_tried_again() {
        let servers = servers(1);
        assert_eq!(chosen(least(&servers), Some(&servers[0])), Some(0));
        assert_eq!(chosen(least(&[]), None), None);
    }

    #[test]
    fn a_server_that_has_enough_gets_no_more_until_one_is_done() {
        let servers = servers(2);
        let choice = Choice { most: 1, ..least(&servers) };
        let (first, second) = (choice.take(None).unwrap(), choice.take(None).unwrap());
        assert_ne!(first.0.id, second.0.id);
        assert_eq!(chosen(choice, None), None);
        let freed = first.0.id;
        drop(first);
        assert_eq!(chosen(choice, None), Some(freed));
    }

    #[test]
    fn no_race_lets_a_server_have_more_than_its_most() {
        let servers = servers(2);
        let taken: Vec<Occupied> = std::thread::scope(|scope| {
            let take = || Choice { most: 5, ..least(&servers) }.take(None).map(|(_, occupied)| occupied);
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(move || (0..4).filter_map(|_| take()).collect())).collect();
            threads.into_iter().flat_map(|thread| -> Vec<Occupied> { thread.join().unwrap() }).collect()
        });
        assert_eq!((taken.len(), servers[0].outstanding(), servers[1].outstanding()), (10, 5, 5));
    }

    #[test]
    fn a_session_meets_its_server_and_the_same_next_one_while_that_is_away() {
        let servers = servers(4);
        let home = |session, now| chosen(Choice { session: Some(session), now, ..least(&servers) }, None).unwrap();
        let before: Vec<usize> = (0..1000).map(|session| home(session, NOW)).collect();
        for id in 0..4 {
            let share = before.iter().filter(|home| **home == id).count();
            assert!((150..350).contains(&share), "server {id} has {share} of 1000");
        }
        servers[0].refused(NOW);
        for (session, before) in (0..1000).zip(before) {
            let away = home(session, NOW);
            assert!(if before == 0 { away != 0 } else { away == before });
            assert_eq!(home(session, NOW + Duration::from_secs(1)), before, "it returns");
        }
    }

    #[test]
    fn where_a_session_goes_depends_on_no_order_and_no_process() {
        let mut servers = servers(3);
        let homes = |servers: &[Arc<Server>]| -> Vec<String> {
            let home = |session| Choice { session: Some(session), ..least(servers) }.take(None).unwrap().0;
            (0..9).map(|session| home(session).label.to_string()).collect()
        };
        let before = homes(&servers);
        assert_eq!(before, ["a:81", "a:80", "a:80", "a:82", "a:80", "a:80", "a:82", "a:80", "a:82"]);
        servers.reverse();
        assert_eq!(homes(&servers), before);
    }
}
