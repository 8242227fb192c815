//! The budgets of the throttle: which there are, when each lets an attempt pass, and what an attempt changes in them.

use std::time::Duration;

use super::counts::{Counts, Tally, Verdict};
use crate::clock::BootTime;
use crate::config;

/// What an attempt waits for another that is under way; also where the delay of a user begins, to be doubled.
const MOMENT: Duration = Duration::from_secs(1);

/// What is counted of all.
pub(super) struct Budgets {
    policy: config::Throttle,
    pub(super) pairs: Counts,
    pub(super) users: Counts,
    pub(super) networks: Counts,
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

/// What an attempt is counted under.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) pair: u64,
    pub(super) user: u64,
    /// Absent where no budget of a network applies.
    pub(super) network: Option<u64>,
}

/// What was learned from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Failed,
    Passed,
    /// No password was looked at.
    Unchecked,
}

impl Budgets {
    pub(super) fn new(policy: &config::Throttle) -> Self {
        let counts = || Counts::new(policy.window);
        Self { policy: policy.clone(), pairs: counts(), users: counts(), networks: counts() }
    }

    /// The longest that one of the budgets makes this attempt wait.
    pub(super) fn judge(&self, keys: &Keys, now: BootTime) -> Option<Throttled> {
        let policy = &self.policy;
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

    pub(super) fn open(&mut self, keys: &Keys, now: BootTime) {
        self.pairs.open(keys.pair, now);
        self.users.open(keys.user, now);
        if let Some(network) = keys.network {
            self.networks.open(network, now);
        }
    }

    /// A success clears what its user did from its network and nothing else: whoever has one account can't use it to try others.
    pub(super) fn close(&mut self, keys: &Keys, outcome: Outcome) {
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
