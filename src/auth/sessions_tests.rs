//! What sessions promise, checked from outside; time is an argument, so that nothing here waits.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Barrier;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::auth::{Access, Denied, Presented, admit};
use crate::directory::Role;

#[path = "sessions_end_tests.rs"]
mod ends;

const HOUR: u64 = 3_600_000;

fn config() -> config::Sessions {
    config::Sessions {
        lifetime: Duration::from_millis(HOUR),
        idle_timeout: None,
        per_user: NonZeroUsize::new(3).unwrap(),
        max: NonZeroUsize::new(1000).unwrap(),
    }
}

fn at(millis: u64) -> BootTime {
    BootTime::from_millis(millis)
}

fn principal(name: &str) -> Principal {
    Principal { name: name.into(), role: Role::User, attributes: serde_json::Map::new() }
}

struct Fixture {
    sessions: Sessions,
    ring: Ring,
}

impl Fixture {
    fn new(config: &config::Sessions) -> Self {
        Self { sessions: Sessions::new(config), ring: Ring::generate() }
    }

    fn issue(&self, name: &str, boot: u64) -> Issued {
        let now = Now { boot: at(boot), wall_millis: 1_000_000_000_000 };
        self.sessions.issue(principal(name), &self.ring, now).unwrap()
    }

    fn ask(&self, issued: &Issued, boot: u64) -> Result<(), Rejected> {
        self.sessions.authenticate(&issued.key, issued.token.expose().as_bytes(), at(boot)).map(drop)
    }

    fn revoke(&self, issued: &Issued, boot: u64) -> Result<(), Rejected> {
        self.sessions.revoke(&issued.key, issued.token.expose().as_bytes(), at(boot)).map(drop)
    }

    /// What is kept where: records, users, due seconds.
    fn kept(&self) -> (usize, usize, usize) {
        assert_eq!(self.sessions.live.len(), self.sessions.len());
        (self.sessions.live.len(), self.sessions.users.len(), self.sessions.expiry.len())
    }
}

#[test]
fn key_and_token_open_the_session_they_were_issued_for_and_no_other() {
    let fixture = Fixture::new(&config());
    let (a, b) = (fixture.issue("a@x.com", 0), fixture.issue("b@x.com", 0));
    let session = fixture.sessions.authenticate(&a.key, a.token.expose().as_bytes(), at(1)).unwrap();
    assert_eq!((session.user(), session.domain(), session.role()), ("a@x.com", "x.com", &Role::User));
    assert_eq!(a.expires_millis, 1_000_000_000_000 + HOUR);
    assert_eq!(session.expires_millis(), a.expires_millis);
    let crossed = fixture.sessions.authenticate(&a.key, b.token.expose().as_bytes(), at(1));
    assert_eq!(crossed.unwrap_err(), Rejected::Mismatch);
    assert_eq!(fixture.sessions.authenticate(&a.key, b"", at(1)).unwrap_err(), Rejected::Mismatch);
    let unknown = SessionKey::random();
    assert_eq!(fixture.sessions.authenticate(&unknown, b"x", at(1)).unwrap_err(), Rejected::Unknown);
    let longer_than_any = [b'x'; AccessToken::MOST + 1];
    assert_eq!(fixture.sessions.authenticate(&a.key, &longer_than_any, at(1)).unwrap_err(), Rejected::Unknown);
}

#[test]
fn expiry_is_read_on_every_use_and_told_only_to_the_holder_of_the_token() {
    let fixture = Fixture::new(&config());
    let issued = fixture.issue("a", 500);
    assert_eq!(fixture.ask(&issued, 500 + HOUR - 1), Ok(()));
    assert_eq!(fixture.ask(&issued, 500 + HOUR), Err(Rejected::Expired));
    assert_eq!(fixture.revoke(&issued, 500 + HOUR), Err(Rejected::Expired));
    let guess = fixture.sessions.authenticate(&issued.key, b"guess", at(500 + HOUR));
    assert_eq!(guess.unwrap_err(), Rejected::Mismatch);
}

#[test]
fn a_record_is_swept_a_minute_after_its_end() {
    let fixture = Fixture::new(&config());
    let issued = fixture.issue("a", 500);
    assert_eq!(fixture.sessions.sweep(at(500 + HOUR + 59_999)), 0);
    assert_eq!(fixture.ask(&issued, 500 + HOUR + 59_999), Err(Rejected::Expired));
    assert_eq!(fixture.sessions.sweep(at(HOUR + 61_000)), 1);
    assert_eq!(fixture.ask(&issued, HOUR + 61_000), Err(Rejected::Unknown));
    assert_eq!(fixture.kept(), (0, 0, 0));
}

#[test]
fn clock_jumps_neither_end_sessions_early_nor_keep_them() {
    let fixture = Fixture::new(&config::Sessions { idle_timeout: Some(Duration::from_secs(60)), ..config() });
    let issued = fixture.issue("a", 1_000_000);
    assert_eq!(fixture.ask(&issued, 0), Ok(()));
    assert_eq!(fixture.sessions.sweep(at(0)), 0);
    assert_eq!(fixture.ask(&issued, 1_059_000), Ok(()));
    assert_eq!(fixture.ask(&issued, u64::MAX), Err(Rejected::Expired));
    assert_eq!(fixture.sessions.sweep(at(u64::MAX)), 1);
    assert_eq!(fixture.kept(), (0, 0, 0));
}

#[test]
fn a_lifetime_without_end_does_not_overflow() {
    let fixture = Fixture::new(&config::Sessions { lifetime: Duration::MAX, ..config() });
    let issued = fixture.issue("a", 5);
    assert_eq!(issued.expires_millis, u64::MAX);
    assert_eq!(fixture.ask(&issued, u64::MAX - 1), Ok(()));
    assert_eq!(fixture.sessions.sweep(at(HOUR)), 0);
    assert_eq!(fixture.revoke(&issued, 6), Ok(()));
    assert_eq!(fixture.kept(), (0, 0, 0));
}

#[test]
fn use_keeps_an_idle_session_alive_until_its_lifetime_ends() {
    let fixture = Fixture::new(&config::Sessions { idle_timeout: Some(Duration::from_secs(60)), ..config() });
    let (used, left) = (fixture.issue("a", 0), fixture.issue("b", 0));
    for second in (30..3600).step_by(30) {
        assert_eq!(fixture.ask(&used, second * 1000), Ok(()), "{second}");
        fixture.sessions.sweep(at(second * 1000));
    }
    assert_eq!(fixture.ask(&left, 60_000), Err(Rejected::Unknown));
    assert_eq!(fixture.kept(), (1, 1, 1));
    assert_eq!(fixture.ask(&used, HOUR), Err(Rejected::Expired));
    fixture.sessions.sweep(at(HOUR + 60_000));
    assert_eq!(fixture.kept(), (0, 0, 0));
}

#[test]
fn what_is_rejected_does_not_count_as_use() {
    let fixture = Fixture::new(&config::Sessions { idle_timeout: Some(Duration::from_secs(60)), ..config() });
    let issued = fixture.issue("a", 0);
    assert!(fixture.sessions.authenticate(&issued.key, b"guess", at(59_000)).is_err());
    assert_eq!(fixture.ask(&issued, 60_000), Err(Rejected::Expired));
    assert_eq!(fixture.ask(&issued, 60_000), Err(Rejected::Expired));
}

#[test]
fn over_the_cap_of_a_user_the_oldest_goes() {
    let fixture = Fixture::new(&config());
    let issued: Vec<_> = (0..5).map(|moment| fixture.issue("a", moment)).collect();
    let other = fixture.issue("b", 0);
    let alive: Vec<_> = issued.iter().map(|issued| fixture.ask(issued, 9).is_ok()).collect();
    assert_eq!(alive, [false, false, true, true, true]);
    assert_eq!(fixture.ask(&other, 9), Ok(()));
    assert_eq!(fixture.kept(), (4, 2, 4));
}

#[test]
fn a_cap_of_one_leaves_the_newest() {
    let fixture = Fixture::new(&config::Sessions { per_user: NonZeroUsize::MIN, ..config() });
    let (old, new) = (fixture.issue("a", 0), fixture.issue("a", 1));
    assert_eq!((fixture.ask(&old, 2), fixture.ask(&new, 2)), (Err(Rejected::Unknown), Ok(())));
    assert_eq!(fixture.kept(), (1, 1, 1));
}

#[test]
fn over_the_cap_in_all_nobody_new_comes_in_until_somebody_goes() {
    let fixture = Fixture::new(&config::Sessions { max: NonZeroUsize::new(2).unwrap(), ..config() });
    let first = fixture.issue("a", 0);
    fixture.issue("b", 0);
    let now = Now { boot: at(0), wall_millis: 0 };
    assert_eq!(fixture.sessions.issue(principal("c"), &fixture.ring, now).unwrap_err(), Full);
    fixture.revoke(&first, 1).unwrap();
    assert!(fixture.sessions.issue(principal("c"), &fixture.ring, now).is_ok());
    assert_eq!(fixture.kept(), (2, 2, 2));
}

#[test]
fn a_logout_leaves_nothing_behind() {
    let fixture = Fixture::new(&config());
    let issued: Vec<_> = (0..3).map(|moment| fixture.issue("a", moment)).collect();
    assert_eq!(fixture.revoke(&issued[1], 5), Ok(()));
    assert_eq!(fixture.revoke(&issued[1], 5), Err(Rejected::Unknown));
    assert_eq!(fixture.kept(), (2, 1, 2));
    assert_eq!(fixture.revoke(&issued[0], 5), Ok(()));
    assert_eq!(fixture.revoke(&issued[2], 5), Ok(()));
    assert_eq!(fixture.kept(), (0, 0, 0));
}

#[test]
fn of_racing_logouts_exactly_one_wins() {
    let fixture = Fixture::new(&config());
    for _ in 0..200 {
        let issued = fixture.issue("a", 0);
        let start = Barrier::new(4);
        let wins: usize = std::thread::scope(|scope| {
            let race = || {
                start.wait();
                usize::from(fixture.revoke(&issued, 1).is_ok())
            };
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(wins, 1);
    }
    assert_eq!(fixture.kept(), (0, 0, 0));
}

#[test]
fn logins_logouts_and_sweeps_at_once_leave_the_books_balanced() {
    let fixture = Fixture::new(&config());
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let fixture = &fixture;
            scope.spawn(move || {
                for round in 0..300 {
                    let issued = fixture.issue(&format!("user{}", (round + thread) % 3), round);
                    let _ = if round % 3 == 0 { fixture.revoke(&issued, round) } else { Ok(()) };
                    fixture.sessions.sweep(at(round * 20_000));
                    let _ =
                        (round % 50 == 0).then(|| fixture.sessions.revoke_user("user1", Ended::UserRemoved, at(round)));
                }
            });
        }
    });
    let (records, users, due) = fixture.kept();
    assert_eq!(records, due);
    assert!(records <= 9 && users <= 3);
    fixture.sessions.sweep(at(10 * HOUR));
    assert_eq!(fixture.kept(), (0, 0, 0));
}

#[test]
fn a_user_is_revoked_by_canonical_name_everywhere() {
    let fixture = Fixture::new(&config());
    let issued = [fixture.issue("a", 0), fixture.issue("a", 0), fixture.issue("b", 0)];
    assert_eq!(fixture.sessions.revoke_user("a", Ended::UserRemoved, at(1)), 2);
    assert_eq!(fixture.sessions.revoke_user("a", Ended::UserRemoved, at(1)), 0);
    assert_eq!(fixture.sessions.revoke_user("nobody", Ended::UserRemoved, at(1)), 0);
    assert_eq!(fixture.ask(&issued[2], 1), Ok(()));
    assert_eq!(fixture.kept(), (1, 1, 1));
}

#[test]
fn what_a_lost_secret_signed_is_revoked() {
    let fixture = Fixture::new(&config());
    let (old, new) = (&fixture.ring, Ring::generate());
    let now = Now { boot: at(0), wall_millis: 0 };
    fixture.issue("a", 0);
    let kept = fixture.sessions.issue(principal("b"), &new, now).unwrap();
    let lost = old.ids().next().unwrap();
    assert_eq!(fixture.sessions.revoke_signed_by(lost, at(1)), 1);
    assert_eq!(fixture.ask(&kept, 1), Ok(()));
    assert_eq!(fixture.kept(), (1, 1, 1));
}

#[test]
fn a_sweep_is_bounded_and_the_next_goes_on() {
    let many = NonZeroUsize::new(100_000).unwrap();
    let fixture = Fixture::new(&config::Sessions { max: many, per_user: many, ..config() });
    let count = Sessions::SWEEP_BATCH + 10;
    (0..count).for_each(|number| _ = fixture.issue(&format!("user{}", number % 7), 0));
    assert_eq!(fixture.sessions.sweep(at(2 * HOUR)), Sessions::SWEEP_BATCH);
    assert_eq!(fixture.sessions.len(), 10);
    assert_eq!(fixture.sessions.sweep(at(2 * HOUR)), 10);
    assert_eq!(fixture.kept(), (0, 0, 0));
}

#[test]
fn sessions_of_one_user_share_who_it_is_and_a_new_role_is_the_new_sessions_own() {
    let fixture = Fixture::new(&config());
    let (first, second) = (fixture.issue("a", 0), fixture.issue("a", 0));
    assert!(Arc::ptr_eq(&first.session.owner, &second.session.owner));
    let promoted = Principal {
        role: Role::Admin,
        attributes: json!({"acl": {"cdr": ["r"]}}).as_object().unwrap().clone(),
        ..principal("a")
    };
    let now = Now { boot: at(0), wall_millis: 0 };
    let third = fixture.sessions.issue(promoted, &fixture.ring, now).unwrap();
    assert_eq!((first.session.role(), third.session.role()), (&Role::User, &Role::Admin));
    assert!(first.session.attributes().is_none());
    assert_eq!(third.session.attributes().unwrap()["acl"]["cdr"][0], "r");
}

#[test]
fn public_ids_are_unique_and_tell_nothing_of_the_key() {
    let fixture = Fixture::new(&config());
    let mut ids = HashSet::new();
    for _ in 0..100 {
        let issued = fixture.issue("a", 0);
        let id = issued.session.id().to_string();
        assert_eq!(id.len(), 16);
        assert!(!issued.key.expose().replace('-', "").contains(&id));
        assert!(ids.insert(id));
    }
}

#[test]
fn nothing_that_opens_a_session_is_printed() {
    let fixture = Fixture::new(&config());
    let issued = fixture.issue("a", 0);
    let printed = format!("{issued:?} {:?}", issued.session);
    assert!(!printed.contains(&issued.key.expose()[..8]));
    assert!(!printed.contains(&issued.token.expose()[..8]));
}

#[test]
fn only_who_may_pass_is_admitted() {
    let fixture = Fixture::new(&config());
    let issued = fixture.issue("a", 0);
    let sessions = &fixture.sessions;
    let presented = Some(Presented { key: issued.key, token: issued.token.expose().as_bytes() });
    let any = Access::Session { roles: &[] };
    assert_eq!(admit(sessions, any, presented, at(1)).unwrap().session().unwrap().user(), "a");
    assert!(matches!(admit(sessions, any, None, at(1)), Err(Denied::Missing)));
    let wrong = Some(Presented { key: issued.key, token: b"x" });
    assert!(matches!(admit(sessions, any, wrong, at(1)), Err(Denied::Rejected(Rejected::Mismatch))));
    assert!(matches!(admit(sessions, any, presented, at(HOUR)), Err(Denied::Rejected(Rejected::Expired))));
    let admins = Access::Session { roles: &[Role::Root, Role::Admin] };
    let forbidden = admit(sessions, admins, presented, at(1)).unwrap_err();
    assert!(matches!(&forbidden, Denied::Forbidden(_)) && forbidden.session().is_some());
    let users = Access::Session { roles: &[Role::Admin, Role::User] };
    assert!(admit(sessions, users, presented, at(1)).is_ok());
    assert!(admit(sessions, Access::Public, presented, at(1)).unwrap().session().is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Issue(u8),
    Revoke(usize),
    Pass(u16),
    RevokeUser(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_u8).prop_map(Step::Issue),
        any::<usize>().prop_map(Step::Revoke),
        any::<u16>().prop_map(Step::Pass),
        (0..3_u8).prop_map(Step::RevokeUser),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_the_books_balance(steps in prop::collection::vec(step(), 1..60)) {
        let fixture = Fixture::new(&config());
        let (mut now, mut issued) = (0, Vec::new());
        for step in steps {
            match step {
                Step::Issue(user) => issued.push((now, fixture.issue(&user.to_string(), now))),
                Step::Revoke(which) if !issued.is_empty() => {
                    let (_, revoked) = issued.swap_remove(which % issued.len());
                    let _ = fixture.revoke(&revoked, now);
                    prop_assert!(fixture.ask(&revoked, now).is_err());
                }
                Step::Revoke(_) => {}
                Step::Pass(seconds) => now += u64::from(seconds) * 100,
                Step::RevokeUser(user) => {
                    fixture.sessions.revoke_user(&user.to_string(), Ended::UserRemoved, at(now));
                },
            }
            fixture.sessions.sweep(at(now));
            let alive = issued.iter().filter(|(start, issued)| {
                let opens = fixture.ask(issued, now).is_ok();
                assert!(!opens || now < start + HOUR);
                opens
            });
            prop_assert!(alive.count() <= fixture.sessions.len());
            let (records, users, due) = fixture.kept();
            prop_assert!(records == due && users <= 3 && records <= 9);
        }
    }
}
