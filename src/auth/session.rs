//! The live record of a session. Knows who and until when, not where it is kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::key::SessionKey;
use super::over::Over;
use super::ring::SecretId;
use super::token::TokenDigest;
use crate::clock::BootTime;
use crate::directory::{Principal, Role};
use crate::hex::hex_digits;
use crate::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Last use is kept in these, so that 32 bits hold 13 years since boot.
const TICK_MILLIS: u64 = 100;

/// A public id of a session for logs and upstreams: random, told nowhere else, and of no use as a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// The id as a number, spread evenly over 64 bits.
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// The id as it is printed: sixteen hexadecimal digits.
    pub(crate) fn hex(self) -> [u8; 16] {
        hex_digits(self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

/// A live session. 128 bytes with its counts; who it belongs to is shared with the user's other sessions.
pub struct Session {
    pub(super) key: SessionKey,
    digest: TokenDigest,
    id: SessionId,
    pub(super) owner: Arc<Owner>,
    pub(super) secret: SecretId,
    expires: BootTime,
    expires_millis: u64,
    last_used: AtomicU32,
    /// The second under which the session stands in the expiry: written only while it doesn't, under that shard's lock.
    pub(super) due: AtomicU32,
    pub(super) over: Over,
}

/// Who a session belongs to, as the directory said at login.
#[derive(PartialEq)]
pub(super) struct Owner {
    pub(super) name: Box<str>,
    /// Absent for a plain user without attributes, which most are.
    more: Option<Box<More>>,
}

#[derive(PartialEq)]
struct More {
    role: Role,
    attributes: Map<String, Value>,
}

/// What a session starts from.
pub(super) struct Start {
    pub(super) digest: TokenDigest,
    pub(super) secret: SecretId,
    pub(super) issued: BootTime,
    pub(super) expires: BootTime,
    pub(super) expires_millis: u64,
}

impl Session {
    pub(super) fn new(owner: Arc<Owner>, start: Start) -> Self {
        Self {
            key: SessionKey::random(),
            digest: start.digest,
            id: SessionId(uuid::Uuid::new_v4().as_u64_pair().1),
            owner,
            secret: start.secret,
            expires: start.expires,
            expires_millis: start.expires_millis,
            last_used: AtomicU32::new(ticks(start.issued)),
            due: AtomicU32::new(0),
            over: Over::default(),
        }
    }

    /// The canonical name.
    pub fn user(&self) -> &str {
        &self.owner.name
    }

    /// The part of the name after its last `@`, else empty.
    pub fn domain(&self) -> &str {
        crate::directory::domain_of(&self.owner.name)
    }

    /// What the user was when logging in.
    pub fn role(&self) -> &Role {
        self.owner.more.as_ref().map_or(&Role::User, |more| &more.role)
    }

    /// The public id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// What else the directory told at login; absent when that was nothing.
    pub fn attributes(&self) -> Option<&Map<String, Value>> {
        self.owner.more.as_ref().map(|more| &more.attributes).filter(|attributes| !attributes.is_empty())
    }

    /// When the lifetime ends, on the boot-time clock.
    pub fn expires(&self) -> BootTime {
        self.expires
    }

    /// When the lifetime ends, as printed: milliseconds since the Unix epoch.
    pub fn expires_millis(&self) -> u64 {
        self.expires_millis
    }

    /// Whether its token has that digest, in constant time.
    pub(super) fn holds(&self, token: &TokenDigest) -> bool {
        self.digest.matches(token)
    }

    /// When the session ends if it isn't used again.
    pub(super) fn end(&self, idle_timeout: Option<Duration>) -> BootTime {
        let idle = |timeout| BootTime::from_millis(u64::from(self.last_used.load(Relaxed)) * TICK_MILLIS) + timeout;
        idle_timeout.map_or(self.expires, |timeout| self.expires.min(idle(timeout)))
    }

    /// Whether anybody waits for the end.
    #[cfg(test)]
    pub(crate) fn is_watched(&self) -> bool {
        self.over.is_awaited()
    }

    /// Moves the last use forward. Racing requests may lose one of two equal moves, which is no loss.
    pub(super) fn touch(&self, now: BootTime) {
        let now = ticks(now);
        if self.last_used.load(Relaxed) < now {
            self.last_used.store(now, Relaxed);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id).field("user", &self.user()).finish_non_exhaustive()
    }
}

impl From<Principal> for Owner {
    fn from(principal: Principal) -> Self {
        let Principal { name, role, attributes } = principal;
        let plain = role == Role::User && attributes.is_empty();
        Self { name: name.into(), more: (!plain).then(|| Box::new(More { role, attributes })) }
    }
}

fn ticks(time: BootTime) -> u32 {
    u32::try_from(time.as_millis() / TICK_MILLIS).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_stays_within_its_size() {
        // With the two counts of its Arc: one allocation of 128 bytes.
        assert_eq!(size_of::<Session>() + 16, 128);
        assert!(size_of::<Owner>() + 16 <= 48);
    }
}
