//! How sessions end, who is told, and what that ends.

use super::*;
use crate::auth::Admission;

/// What a forwarded request of that pair holds.
fn admitted(fixture: &Fixture, issued: &Issued) -> Admission {
    let presented = Presented { key: issued.key, token: issued.token.expose().as_bytes() };
    admit(&fixture.sessions, Access::Session { roles: &[] }, Some(presented), BootTime::now()).unwrap()
}

#[tokio::test]
async fn whatever_takes_a_session_away_ends_what_it_opened_before_or_after_it_is_watched() {
    let fixture = Fixture::new(&config());
    let issue = |name: &str| fixture.sessions.issue(principal(name), &fixture.ring, Now::read()).unwrap();
    let ends: [&dyn Fn(&Issued); 4] = [
        &|issued| fixture.revoke(issued, 0).unwrap(),
        &|_| assert_eq!(fixture.sessions.revoke_user("a", Ended::UserRemoved, BootTime::now()), 1),
        &|_| assert_eq!(fixture.sessions.revoke_signed_by(fixture.ring.ids().next().unwrap(), BootTime::now()), 1),
        &|_| (0..3).for_each(|_| drop(issue("a"))),
    ];
    for end in ends {
        let issued = issue("a");
        let admission = admitted(&fixture, &issued);
        let mut watched = std::pin::pin!(admission.over());
        assert!(futures_util::poll!(&mut watched).is_pending());
        end(&issued);
        assert_eq!(watched.await, Rejected::Unknown);
        assert_eq!(admission.over().await, Rejected::Unknown, "asked only afterwards");
        fixture.sessions.revoke_user("a", Ended::UserRemoved, BootTime::now());
    }
}

#[tokio::test]
async fn expiry_ends_what_a_session_opened_without_a_sweep() {
    let fixture = Fixture::new(&config::Sessions { lifetime: Duration::from_millis(80), ..config() });
    let issued = fixture.sessions.issue(principal("a"), &fixture.ring, Now::read()).unwrap();
    assert_eq!(admitted(&fixture, &issued).over().await, Rejected::Expired);
    assert!(issued.session.expires() <= BootTime::now());
}

#[tokio::test]
async fn nobody_who_is_not_asked_for_is_registered() {
    let fixture = Fixture::new(&config());
    let issued = fixture.sessions.issue(principal("a"), &fixture.ring, Now::read()).unwrap();
    (0..100).for_each(|_| drop(admitted(&fixture, &issued)));
    assert!(!issued.session.is_watched());
}

#[test]
fn every_end_is_counted_by_its_reason_and_told_once() {
    let idle = Some(Duration::from_secs(60));
    let fixture = Fixture::new(&config::Sessions { idle_timeout: idle, ..config() });
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let witness = told.clone();
    fixture.sessions.watch_ends(move |session, why| witness.lock().unwrap().push((session.user().to_owned(), why)));
    let out = fixture.issue("out", 0);
    assert_eq!(fixture.revoke(&out, 1), Ok(()));
    assert!(fixture.revoke(&out, 1).is_err());
    (0..4).for_each(|_| _ = fixture.issue("many", 0));
    let gone = fixture.issue("gone", 0);
    fixture.sessions.revoke_user("gone", Ended::UserRemoved, at(1));
    fixture.sessions.withdraw(&gone);
    fixture.sessions.withdraw(&fixture.issue("late", 0));
    fixture.sessions.sweep(at(HOUR - 1));
    fixture.issue("old", 0);
    fixture.sessions.sweep(at(2 * HOUR));
    let secret = fixture.issue("secret", 3 * HOUR).session.secret;
    fixture.sessions.revoke_signed_by(secret, at(3 * HOUR));
    let changed = [0, 30_000].map(|later| fixture.issue("changed", 4 * HOUR + later));
    fixture.sessions.revoke_user("changed", Ended::UserChanged, at(4 * HOUR + 60_000));
    assert!(changed.iter().all(|issued| fixture.ask(issued, 4 * HOUR + 60_000) == Err(Rejected::Unknown)));
    let _late = fixture.issue("removed", 5 * HOUR);
    fixture.sessions.revoke_user("removed", Ended::UserRemoved, at(6 * HOUR));
    let expected = [
        ("out", Ended::Logout),
        ("many", Ended::Crowded),
        ("gone", Ended::UserRemoved),
        ("late", Ended::Withdrawn),
        ("many", Ended::Idle),
        ("many", Ended::Idle),
        ("many", Ended::Idle),
        ("old", Ended::Expired),
        ("secret", Ended::SecretRemoved),
        ("changed", Ended::Idle),
        ("changed", Ended::UserChanged),
        ("removed", Ended::Expired),
    ];
    assert_eq!(*told.lock().unwrap(), expected.map(|(user, why)| (user.to_owned(), why)));
    let counted: u64 = Ended::ALL.iter().map(|why| fixture.sessions.ended(*why)).sum();
    assert_eq!((counted, fixture.sessions.issued()), (12, 12));
}
