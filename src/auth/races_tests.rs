//! Sessions under every order in which two or three threads can touch them.

use std::num::NonZeroUsize;
use std::sync::Arc;

use loom::future::block_on;
use loom::thread;

use super::*;
use crate::directory::Role;

/// Runs the test once for every order with up to three changes of thread that nothing forces.
fn in_every_order(test: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

const NOW: Now = Now { boot: BootTime::from_millis(1_000), wall_millis: 1_000 };
const LATER: BootTime = BootTime::from_millis(1_000_000);

fn sessions(per_user: usize, max: usize) -> Arc<Sessions> {
    let [per_user, max] = [per_user, max].map(|most| NonZeroUsize::new(most).expect("not zero"));
    let lifetime = Duration::from_secs(60);
    Arc::new(Sessions::new(&config::Sessions { lifetime, idle_timeout: None, per_user, max }))
}

fn issue(sessions: &Sessions, name: &str, ring: &Ring) -> Option<Issued> {
    let principal = Principal { name: name.into(), role: Role::User, attributes: Default::default() };
    sessions.issue(principal, ring, NOW).ok()
}

fn opens(sessions: &Sessions, issued: &Issued) -> bool {
    sessions.authenticate(&issued.key, issued.token.expose().as_bytes(), NOW.boot).is_ok()
}

fn revoke(sessions: &Sessions, issued: &Issued) -> bool {
    sessions.revoke(&issued.key, issued.token.expose().as_bytes(), NOW.boot).is_ok()
}

/// What is live is live everywhere, and what is not is nowhere.
fn agree(sessions: &Sessions, live: usize) {
    let held: usize = sessions.users.iter().map(|held| held.len()).sum();
    assert_eq!((sessions.live.len(), held, sessions.expiry.len(), sessions.len()), (live, live, live, live));
    let ends: u64 = Ended::ALL.iter().map(|why| sessions.ended(*why)).sum();
    assert_eq!(sessions.issued() - ends, live as u64);
}

#[test]
fn of_two_logouts_and_a_sweep_one_ends_the_session() {
    let ring = Arc::new(Ring::generate());
    in_every_order(move || {
        let sessions = sessions(2, 9);
        let issued = Arc::new(issue(&sessions, "a", &ring).unwrap());
        let other = {
            let (sessions, issued) = (sessions.clone(), issued.clone());
            thread::spawn(move || revoke(&sessions, &issued))
        };
        let sweeper = {
            let sessions = sessions.clone();
            thread::spawn(move || sessions.sweep(LATER))
        };
        let won = revoke(&sessions, &issued);
        let other = other.join().unwrap();
        assert!(!(won && other));
        sweeper.join().unwrap();
        block_on(issued.session.over.wait());
        agree(&sessions, 0);
    });
}

#[test]
fn whoever_sees_a_logout_answered_is_let_in_no_more_and_whoever_got_in_before_is_told() {
    use crate::sync::atomic::{AtomicBool, Ordering};
    let ring = Arc::new(Ring::generate());
    in_every_order(move || {
        let (sessions, answered) = (sessions(2, 9), Arc::new(AtomicBool::new(false)));
        let issued = Arc::new(issue(&sessions, "a", &ring).unwrap());
        let logout = {
            let (sessions, issued, answered) = (sessions.clone(), issued.clone(), answered.clone());
            thread::spawn(move || {
                assert!(revoke(&sessions, &issued));
                answered.store(true, Ordering::Release);
            })
        };
        let late = answered.load(Ordering::Acquire);
        match sessions.authenticate(&issued.key, issued.token.expose().as_bytes(), NOW.boot) {
            Ok(session) => {
                assert!(!late);
                block_on(session.over.wait());
            }
            Err(rejected) => assert_eq!(rejected, Rejected::Unknown),
        }
        logout.join().unwrap();
        agree(&sessions, 0);
    });
}

#[test]
fn logins_at_once_leave_a_user_no_more_than_may_be() {
    let ring = Arc::new(Ring::generate());
    in_every_order(move || {
        let sessions = sessions(1, 9);
        let login = {
            let (sessions, ring) = (sessions.clone(), ring.clone());
            thread::spawn(move || issue(&sessions, "a", &ring).unwrap())
        };
        let mine = issue(&sessions, "a", &ring).unwrap();
        let other = login.join().unwrap();
        assert!(opens(&sessions, &mine) != opens(&sessions, &other));
        assert_eq!(sessions.ended(Ended::Crowded), 1);
        agree(&sessions, 1);
    });
}

#[test]
fn the_last_place_of_all_is_given_once_until_it_is_free() {
    let ring = Arc::new(Ring::generate());
    in_every_order(move || {
        let sessions = sessions(1, 1);
        let login = {
            let (sessions, ring) = (sessions.clone(), ring.clone());
            thread::spawn(move || issue(&sessions, "a", &ring).map(|issued| revoke(&sessions, &issued)))
        };
        let mine = issue(&sessions, "b", &ring);
        assert!(sessions.len() <= 1);
        let other = login.join().unwrap();
        assert!(mine.is_some() || other.is_some());
        agree(&sessions, usize::from(mine.is_some()));
    });
}

#[test]
fn a_login_while_its_user_is_removed_is_ended_or_whole() {
    let ring = Arc::new(Ring::generate());
    in_every_order(move || {
        let sessions = sessions(2, 9);
        let before = issue(&sessions, "a", &ring).unwrap();
        let removal = {
            let sessions = sessions.clone();
            thread::spawn(move || sessions.revoke_user("a", Ended::UserRemoved, BootTime::from_millis(0)))
        };
        let mine = issue(&sessions, "a", &ring).unwrap();
        let removed = removal.join().unwrap();
        assert!(!opens(&sessions, &before));
        assert_eq!(removed == 1, opens(&sessions, &mine));
        agree(&sessions, 2 - removed);
    });
}

#[test]
fn a_logout_while_the_user_is_crowded_out_ends_each_session_once() {
    let ring = Arc::new(Ring::generate());
    in_every_order(move || {
        let sessions = sessions(1, 9);
        let first = Arc::new(issue(&sessions, "a", &ring).unwrap());
        let logout = {
            let (sessions, first) = (sessions.clone(), first.clone());
            thread::spawn(move || revoke(&sessions, &first))
        };
        let mine = issue(&sessions, "a", &ring).unwrap();
        let ended = logout.join().unwrap();
        assert_eq!(sessions.ended(Ended::Crowded), u64::from(!ended));
        assert!(opens(&sessions, &mine) && !opens(&sessions, &first));
        agree(&sessions, 1);
    });
}
