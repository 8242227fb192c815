//! How often passwords may be tried: for a user from a network, for a user at all, from a network. Knows no HTTP.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counts::{Counts, Tally, Verdict};
use crate::clock::BootTime;
use crate::config;
use crate::directory::{Principal, Refused};

/// What an attempt waits for another that is under way; also where the delay of a user begins, to be doubled.
const MOMENT: Duration = Duration::from_secs(1);

/// Counts attempts to log in and refuses those beyond a budget, before any password is looked at.
///
/// Whether a user exists is not known here. Names are kept as keyed hashes only, and no more than a fixed number of them.
pub struct Throttle {
    policy: config::Throttle,
    hasher: RandomState,
    budgets: Mutex<Budgets>,
}

struct Budgets {
    pairs: Counts,
    users: Counts,
    networks: Counts,
}

/// Where an attempt comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The client's address.
    pub address: IpAddr,
    /// Whether that is a trusted proxy's own, behind which anybody may be: then no budget of a network applies.
    pub is_proxy: bool,
}

/// A budget that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Of one user from one network: so many, then none until the window is over.
    UserInNetwork,
    /// Of one user from anywhere: beyond as many, one at a time, after a delay that doubles.
    User,
    /// Of one network, whoever the users are: so many, then none until the window is over.
    Network,
}

/// An attempt that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The budget that makes it wait longest.
    pub budget: Budget,
    /// When to try again.
    pub wait: Duration,
}

/// An attempt that may be made. It counts from now on; dropped without an outcome it counts as a failure.
#[must_use]
pub struct Attempt<'t> {
    throttle: &'t Throttle,
    keys: Keys,
    outcome: Outcome,
}

/// What was learned from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Failed,
    Passed,
    /// No password was looked at.
    Unchecked,
}

/// What an attempt is counted under.
#[derive(Clone, Copy)]
struct Keys {
    pair: u64,
    user: u64,
    /// Absent where no budget of a network applies.
    network: Option<u64>,
}

impl Throttle {
    /// Nobody has tried anything yet.
    pub fn new(policy: &config::Throttle) -> Self {
        let counts = || Counts::new(policy.window);
        let budgets = Budgets { pairs: counts(), users: counts(), networks: counts() };
        Self { policy: policy.clone(), hasher: RandomState::new(), budgets: Mutex::new(budgets) }
    }

    /// Lets an attempt be made and counts it, so that of many at once no more pass than of many in a row. `user` is the
    /// canonical name; what has none is counted as it was sent.
    ///
    /// # Errors
    /// [`Throttled`]; what is refused is not counted.
    pub fn begin(&self, user: &str, origin: Origin, now: BootTime) -> Result<Attempt<'_>, Throttled> {
        let network = network(origin.address);
        let keys = Keys {
            pair: self.hasher.hash_one((user, network)),
            user: self.hasher.hash_one(user),
            network: (!origin.is_proxy).then(|| self.hasher.hash_one(network)),
        };
        let mut budgets = self.lock();
        if let Some(throttled) = budgets.judge(&keys, &self.policy, now) {
            return Err(throttled);
        }
        budgets.open(&keys, now);
        Ok(Attempt { throttle: self, keys, outcome: Outcome::Failed })
    }

    fn lock(&self) -> MutexGuard<'_, Budgets> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budgets {
    /// The longest that one of the budgets makes this attempt wait.
    fn judge(&self, keys: &Keys, policy: &config::Throttle, now: BootTime) -> Option<Throttled> {
        let judged = |budget, counts: &Counts, key| {
            let tally = counts.tally(key, now);
            let wait = match budget {
                Budget::UserInNetwork => until_below(tally, policy.per_user.get(), now),
                Budget::User => until_due(tally, policy, now),
                Budget::Network => until_below(tally, policy.per_network.get(), now),
            };
            let wait = wait.or((!counts.has_room(key)).then_some(MOMENT))?;
            Some(Throttled { budget, wait })
        };
        let of_network = keys.network.and_then(|network| judged(Budget::Network, &self.networks, network));
        let of_user = judged(Budget::User, &self.users, keys.user);
        let of_pair = judged(Budget::UserInNetwork, &self.pairs, keys.pair);
        [of_network, of_user, of_pair].into_iter().flatten().max_by_key(|throttled| throttled.wait)
    }

    fn open(&mut self, keys: &Keys, now: BootTime) {
        self.pairs.open(keys.pair, now);
        self.users.open(keys.user, now);
        if let Some(network) = keys.network {
            self.networks.open(network, now);
        }
    }

    /// A success clears what its user did from its network and nothing else: whoever has one account can't use it to try others.
    fn close(&mut self, keys: &Keys, outcome: Outcome) {
        let (of_user, of_network) = match outcome {
            Outcome::Failed => (Verdict::Counts, Verdict::Counts),
            Outcome::Passed => (Verdict::Undone(self.pairs.failed(keys.pair)), Verdict::Undone(0)),
            Outcome::Unchecked => (Verdict::Undone(0), Verdict::Undone(0)),
        };
        self.pairs.close(keys.pair, of_user);
        self.users.close(keys.user, of_user);
        if let Some(network) = keys.network {
            self.networks.close(network, of_network);
        }
    }
}

impl Attempt<'_> {
    /// Notes how it ended; where it is made again, by new rules, the last time counts.
    pub fn ended(&mut self, verified: &Result<Principal, Refused>) {
        self.outcome = match verified {
            Ok(_) => Outcome::Passed,
            Err(Refused::UnknownUser | Refused::WrongPassword) => Outcome::Failed,
            Err(Refused::NameRequired | Refused::Busy) => Outcome::Unchecked,
        };
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.throttle.lock().close(&self.keys, self.outcome);
    }
}

impl Budget {
    /// A stable name for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::UserInNetwork => "user_in_network",
            Self::User => "user",
            Self::Network => "network",
        }
    }
}

/// Nothing while there are fewer than `limit`; a moment where only open attempts make them as many.
fn until_below(tally: Tally, limit: u32, now: BootTime) -> Option<Duration> {
    let failed = tally.made - tally.open;
    (tally.made >= limit).then(|| if failed < limit { MOMENT } else { tally.until.since(now) })
}

/// One more than a single network can use up is free, so that an attack from one network makes nobody elsewhere wait. Beyond that
/// the delay doubles, up to a quarter of the window.
fn until_due(tally: Tally, policy: &config::Throttle, now: BootTime) -> Option<Duration> {
    let beyond = tally.made.checked_sub(policy.per_user.get() + 1)?;
    let delay = (MOMENT * 2u32.pow(beyond.min(16))).min(policy.window / 4);
    match (tally.last + delay).since(now) {
        Duration::ZERO => (tally.open > 0).then_some(MOMENT),
        wait => Some(wait),
    }
}

/// One address of IPv4, the 64 bits of IPv6 that a network gets at least (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
