//! What the throttle promises; time is an argument, so that nothing here waits.

use std::num::NonZeroU32;
use std::sync::Barrier;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::auth::Budget;
use crate::auth::counts::Counts;

const WINDOW: u64 = 900_000;
const WRONG: Result<Principal, Refused> = Err(Refused::WrongPassword);
const UNKNOWN: Result<Principal, Refused> = Err(Refused::UnknownUser);
const BUSY: Result<Principal, Refused> = Err(Refused::Busy);

fn throttle() -> Throttle {
    let number = |number| NonZeroU32::new(number).unwrap();
    let window = Duration::from_millis(WINDOW);
    Throttle::new(&config::Throttle { per_user: number(5), per_network: number(20), window })
}

fn right() -> Result<Principal, Refused> {
    let attributes = serde_json::Map::new();
    Ok(Principal { name: "a".into(), role: crate::directory::Role::User, attributes })
}

fn at(millis: u64) -> BootTime {
    BootTime::from_millis(millis)
}

fn from(address: &str) -> Origin {
    Origin { address: address.parse().unwrap(), is_proxy: false }
}

/// One attempt that ends so; how long it has to wait where it is refused.
fn attempt(throttle: &Throttle, who: (&str, &str), now: u64, end: &Result<Principal, Refused>) -> Option<Throttled> {
    throttle.begin(who.0, from(who.1), at(now)).map(|attempt| close(attempt, end)).err()
}

fn close(mut attempt: Attempt<'_>, end: &Result<Principal, Refused>) {
    attempt.ended(end);
}

fn refused(budget: Budget, millis: u64) -> Option<Throttled> {
    Some(Throttled { budget, wait: Duration::from_millis(millis) })
}

/// How many pairs, users and networks are remembered.
fn kept(throttle: &Throttle) -> [usize; 3] {
    let budgets = throttle.lock();
    [budgets.pairs.len(), budgets.users.len(), budgets.networks.len()]
}

#[test]
fn a_user_has_so_many_failures_from_a_network_and_then_none_until_the_window_is_over() {
    let throttle = throttle();
    let who = ("a", "192.0.2.1");
    for now in 0..5 {
        assert_eq!(attempt(&throttle, who, 1000 + now, &WRONG), None);
    }
    assert_eq!(attempt(&throttle, who, 2000, &right()), refused(Budget::UserInNetwork, WINDOW - 1000));
    assert_eq!(attempt(&throttle, who, 999 + WINDOW, &right()), refused(Budget::UserInNetwork, 1));
    assert_eq!(attempt(&throttle, who, 1000 + WINDOW, &right()), None);
}

#[test]
fn a_name_under_attack_from_one_network_still_logs_in_from_another() {
    let throttle = throttle();
    for now in 0..1000 {
        attempt(&throttle, ("a", "192.0.2.1"), now, &WRONG);
    }
    assert_eq!(attempt(&throttle, ("a", "192.0.2.2"), 1000, &right()), None);
    assert_eq!(attempt(&throttle, ("b", "192.0.2.1"), 1000, &right()), None, "nor is anybody else kept out");
    assert!(attempt(&throttle, ("a", "192.0.2.1"), 1000, &right()).is_some());
}

#[test]
fn a_user_attacked_from_many_networks_waits_twice_as_long_each_time() {
    let throttle = throttle();
    let network = |last: u32| format!("198.51.100.{last}");
    for last in 0..6 {
        assert_eq!(attempt(&throttle, ("a", &network(last)), 0, &WRONG), None);
    }
    let mut now = 0;
    for (last, delay) in (10..).zip([1000, 2000, 4000, 8000]) {
        assert_eq!(attempt(&throttle, ("a", &network(last)), now + delay - 1, &WRONG), refused(Budget::User, 1));
        now += delay;
        assert_eq!(attempt(&throttle, ("a", &network(last)), now, &WRONG), None);
    }
    assert_eq!(attempt(&throttle, ("b", &network(0)), now, &WRONG), None);
}

#[test]
fn the_delay_of_a_user_ends_at_a_quarter_of_the_window() {
    let throttle = throttle();
    let mut now = 0;
    let mut longest = Duration::ZERO;
    for last in 0..200 {
        let network = format!("2001:db8:0:{last:x}::1");
        while let Some(throttled) = attempt(&throttle, ("a", &network), now, &WRONG) {
            longest = longest.max(throttled.wait);
            now += u64::try_from(throttled.wait.as_millis()).unwrap();
        }
    }
    assert_eq!(longest, Duration::from_millis(WINDOW / 4));
}

#[test]
fn a_network_has_a_budget_over_all_users() {
    let throttle = throttle();
    for user in 0..20 {
        assert_eq!(attempt(&throttle, (&format!("user-{user}"), "192.0.2.1"), 0, &UNKNOWN), None);
    }
    assert_eq!(attempt(&throttle, ("another", "192.0.2.1"), 1, &right()), refused(Budget::Network, WINDOW - 1));
    assert_eq!(attempt(&throttle, ("another", "192.0.2.2"), 1, &right()), None);
}

#[test]
fn addresses_of_one_64_are_one_network_and_a_mapped_address_is_the_one_it_maps() {
    let throttle = throttle();
    for last in 0..5 {
        assert_eq!(attempt(&throttle, ("a", &format!("2001:db8::{last}")), 0, &WRONG), None);
        assert_eq!(attempt(&throttle, ("b", "::ffff:192.0.2.1"), 0, &WRONG), None);
    }
    assert_eq!(attempt(&throttle, ("a", "2001:db8::ffff:0:0:1"), 0, &right()), refused(Budget::UserInNetwork, WINDOW));
    assert_eq!(attempt(&throttle, ("b", "192.0.2.1"), 0, &right()), refused(Budget::UserInNetwork, WINDOW));
    assert_eq!(attempt(&throttle, ("a", "2001:db8:0:1::1"), 0, &right()), None);
}

#[test]
fn a_proxys_own_address_has_no_budget_of_a_network() {
    let throttle = throttle();
    let proxy = Origin { is_proxy: true, ..from("10.0.0.1") };
    for user in 0..200 {
        close(throttle.begin(&format!("user-{user}"), proxy, at(0)).unwrap(), &WRONG);
    }
    assert!(throttle.begin("another", proxy, at(0)).is_ok());
    assert!(throttle.begin("another", from("10.0.0.1"), at(0)).is_ok(), "it counted nowhere");
}

#[test]
fn a_success_clears_its_own_user_and_network_only() {
    let throttle = throttle();
    let fail = |user, network, times| {
        for _ in 0..times {
            assert_eq!(attempt(&throttle, (user, network), 0, &WRONG), None);
        }
    };
    fail("a", "192.0.2.3", 2);
    fail("a", "192.0.2.1", 3);
    fail("b", "192.0.2.1", 4);
    assert_eq!(attempt(&throttle, ("a", "192.0.2.1"), 0, &right()), None);
    fail("a", "192.0.2.1", 3);
    fail("a", "192.0.2.3", 1);
    let delayed = attempt(&throttle, ("a", "192.0.2.4"), 0, &WRONG);
    assert_eq!(delayed, refused(Budget::User, 1000), "three and three are remembered of the user");
    assert_eq!(attempt(&throttle, ("b", "192.0.2.1"), 0, &WRONG), None);
    assert_eq!(attempt(&throttle, ("b", "192.0.2.1"), 0, &WRONG), refused(Budget::UserInNetwork, WINDOW));
    for user in 0..9 {
        assert_eq!(attempt(&throttle, (&format!("user-{user}"), "192.0.2.1"), 0, &WRONG), None, "{user}");
    }
    assert_eq!(attempt(&throttle, ("another", "192.0.2.1"), 0, &WRONG), refused(Budget::Network, WINDOW));
}

#[test]
fn good_logins_use_nothing_up() {
    let throttle = throttle();
    for now in 0..1000 {
        assert_eq!(attempt(&throttle, ("a", "192.0.2.1"), now, &right()), None);
    }
    assert_eq!(kept(&throttle), [0, 0, 0]);
}

#[test]
fn what_was_not_checked_does_not_count_and_what_was_given_up_does() {
    let throttle = throttle();
    let who = ("a", "192.0.2.1");
    for _ in 0..100 {
        assert_eq!(attempt(&throttle, who, 0, &BUSY), None);
        assert_eq!(attempt(&throttle, who, 0, &Err(Refused::NameRequired)), None);
    }
    for _ in 0..5 {
        drop(throttle.begin(who.0, from(who.1), at(0)).unwrap());
    }
    assert_eq!(attempt(&throttle, who, 0, &right()), refused(Budget::UserInNetwork, WINDOW));
}

#[test]
fn of_many_attempts_at_once_no_more_pass_than_of_many_in_a_row() {
    let throttle = throttle();
    let start = Barrier::new(50);
    let guess = || {
        start.wait();
        let guesses = (0..10).filter_map(|_| throttle.begin("a", from("192.0.2.1"), at(0)).ok());
        guesses.collect::<Vec<_>>()
    };
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(|| guess().len())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 5);
}

#[test]
fn those_who_are_refused_for_open_attempts_alone_wait_a_moment() {
    let throttle = throttle();
    let open: Vec<_> = (0..5).map(|_| throttle.begin("a", from("192.0.2.1"), at(0)).unwrap()).collect();
    assert_eq!(attempt(&throttle, ("a", "192.0.2.1"), 0, &right()), refused(Budget::UserInNetwork, 1000));
    let elsewhere = throttle.begin("a", from("192.0.2.2"), at(0)).unwrap();
    assert_eq!(attempt(&throttle, ("a", "192.0.2.3"), 5000, &right()), refused(Budget::User, 1000));
    close(elsewhere, &right());
    open.into_iter().for_each(|attempt| close(attempt, &right()));
    assert_eq!(attempt(&throttle, ("a", "192.0.2.1"), 0, &right()), None);
}

#[test]
fn an_attempt_that_outlives_its_window_counts_in_the_next() {
    let throttle = throttle();
    let slow: Vec<_> = (0..3).map(|_| throttle.begin("a", from("192.0.2.1"), at(0)).unwrap()).collect();
    for _ in 0..2 {
        assert_eq!(attempt(&throttle, ("a", "192.0.2.1"), WINDOW, &WRONG), None);
    }
    assert_eq!(attempt(&throttle, ("a", "192.0.2.1"), WINDOW, &WRONG), refused(Budget::UserInNetwork, 1000));
    slow.into_iter().for_each(|attempt| close(attempt, &WRONG));
    assert_eq!(attempt(&throttle, ("a", "192.0.2.1"), WINDOW, &WRONG), refused(Budget::UserInNetwork, WINDOW));
}

#[test]
fn a_flood_of_names_and_networks_is_bounded_and_does_not_reset_a_count() {
    let throttle = throttle();
    let who = ("victim", "2001:db8:ffff::1");
    for _ in 0..5 {
        assert_eq!(attempt(&throttle, who, 0, &WRONG), None);
    }
    for last in 0..4 * Counts::MOST {
        let network = format!("2001:db8:{:x}:{:x}::1", last >> 16, last & 0xffff);
        assert_eq!(attempt(&throttle, (&format!("user-{last}"), &network), 1, &UNKNOWN), None);
    }
    for kept in kept(&throttle) {
        assert!((Counts::MOST * 9 / 10..=Counts::MOST).contains(&kept), "{kept}");
    }
    assert_eq!(attempt(&throttle, who, 2, &right()), refused(Budget::UserInNetwork, WINDOW - 2));
    assert_eq!(attempt(&throttle, who, WINDOW, &right()), None);
}

proptest! {
    /// Whatever is tried and whenever: never more failures of a user from a network than twice the limit within a window's
    /// length, never more than the limit open at once, and what is refused now passes after the wait.
    #[test]
    fn no_more_failures_than_the_limit_pass(
        steps in prop::collection::vec((0u8..3, 0u8..3, 0u64..400_000, 0u8..4), 1..120),
    ) {
        let throttle = throttle();
        let (mut now, mut failures) = (0, Vec::new());
        for (user, network, pause, end) in steps {
            now += pause;
            let (user, network) = (format!("user-{user}"), format!("192.0.2.{network}"));
            match throttle.begin(&user, from(&network), at(now)) {
                Ok(attempt) => match end {
                    0 => close(attempt, &right()),
                    1 => close(attempt, &BUSY),
                    _ => {
                        close(attempt, &WRONG);
                        failures.push((user, network, now));
                    }
                },
                Err(throttled) => {
                    prop_assert!(throttled.wait > Duration::ZERO && throttled.wait <= Duration::from_millis(WINDOW));
                    let later = at(now) + throttled.wait;
                    let retried = throttle.begin(&user, from(&network), later);
                    prop_assert!(retried.is_ok());
                    close(retried.unwrap(), &BUSY);
                }
            }
        }
        for (user, network, last) in &failures {
            let recent = failures.iter().filter(|(u, n, when)| {
                u == user && n == network && *when <= *last && when + WINDOW > *last
            });
            prop_assert!(recent.count() <= 10);
        }
    }
}
