//! How often passwords may be tried: for a user from a network, for a user at all, from a network. Knows no HTTP.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::budgets::{Budgets, Keys, Outcome, Throttled};
use crate::clock::BootTime;
use crate::config;
use crate::directory::{Principal, Refused};

/// Counts attempts to log in and refuses those beyond a budget, before any password is looked at.
///
/// Whether a user exists is not known here. Names are kept as keyed hashes only, and no more than a fixed number of them.
pub struct Throttle {
    hasher: RandomState,
    budgets: Mutex<Budgets>,
}

/// Where an attempt comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The client's address.
    pub address: IpAddr,
    /// Whether that is a trusted proxy's own, behind which anybody may be: then no budget of a network applies.
    pub is_proxy: bool,
}

/// An attempt that may be made. It counts from now on; dropped without an outcome it counts as a failure.
#[must_use]
pub struct Attempt<'t> {
    throttle: &'t Throttle,
    keys: Keys,
    outcome: Outcome,
}

impl Throttle {
    /// Nobody has tried anything yet.
    pub fn new(policy: &config::Throttle) -> Self {
        Self { hasher: RandomState::new(), budgets: Mutex::new(Budgets::new(policy)) }
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
        if let Some(throttled) = budgets.judge(&keys, now) {
            return Err(throttled);
        }
        budgets.open(&keys, now);
        Ok(Attempt { throttle: self, keys, outcome: Outcome::Failed })
    }

    fn lock(&self) -> MutexGuard<'_, Budgets> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
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
