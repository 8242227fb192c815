//! All live sessions: issued, authenticated, revoked, swept. Knows no passwords and reads no clock.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;

use super::ended::{Ended, Ends};
use super::expiry::Expiry;
use super::held::{ByKey, ByName, Held};
use super::key::SessionKey;
use super::ring::{Ring, SecretId};
use super::session::{Owner, Session, Start};
use super::token::{AccessToken, TokenDigest};
use crate::clock::{self, BootTime};
use crate::config;
use crate::directory::Principal;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use crate::sync::{DashMap, Entry};

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// What lives are counted on.
    pub boot: BootTime,
    /// What is printed: milliseconds since the Unix epoch.
    pub wall_millis: u64,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Self {
        Self { boot: BootTime::now(), wall_millis: clock::wall_millis() }
    }
}

/// What a login gets.
#[derive(Debug)]
pub struct Issued {
    /// The X-Key.
    pub key: SessionKey,
    /// The X-Access-Token.
    pub token: AccessToken,
    /// When the token ends: milliseconds since the Unix epoch.
    pub expires_millis: u64,
    /// The session that both open.
    pub session: Arc<Session>,
}

/// As many sessions as may be are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Why a key and a token open nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// There is no session with that key, or no token is as long as that.
    Unknown,
    /// There is one, with another token.
    Mismatch,
    /// Key and token are right, but their time is over.
    Expired,
}

/// All live sessions. Locks are held for a bounded few steps, never across an await.
pub struct Sessions {
    live: DashMap<ByKey, (), RandomState>,
    users: DashMap<ByName, Held, RandomState>,
    expiry: Expiry,
    count: AtomicUsize,
    issued: AtomicU64,
    ends: Ends,
    lifetime: Duration,
    idle_timeout: Option<Duration>,
    per_user: usize,
    max: usize,
}

impl Sessions {
    /// The most that one [`Sessions::sweep`] removes: among ten million, some microseconds each, and nothing is accepted meanwhile.
    pub const SWEEP_BATCH: usize = 256;

    /// No sessions yet.
    pub fn new(config: &config::Sessions) -> Self {
        // A growing shard holds its lock while it moves, so that there are many and each is small even at the maximum.
        let shards = (config.max.get() / 8192).next_power_of_two().clamp(16, 1024);
        Self {
            live: DashMap::with_capacity_and_hasher_and_shard_amount(0, RandomState::default(), shards),
            users: DashMap::with_capacity_and_hasher_and_shard_amount(0, RandomState::default(), shards),
            expiry: Expiry::new(config.idle_timeout),
            count: AtomicUsize::new(0),
            issued: AtomicU64::new(0),
            ends: Ends::default(),
            lifetime: config.lifetime,
            idle_timeout: config.idle_timeout,
            per_user: config.per_user.get(),
            max: config.max.get(),
        }
    }

    /// A new session for whom a directory has verified. The user's oldest goes where there would be too many.
    ///
    /// # Errors
    /// [`Full`] when there are as many sessions as may be, all users together.
    pub fn issue(&self, principal: Principal, ring: &Ring, now: Now) -> Result<Issued, Full> {
        self.count.fetch_update(Relaxed, Relaxed, |count| (count < self.max).then_some(count + 1)).map_err(|_| Full)?;
        let life = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        let expires_millis = now.wall_millis.saturating_add(life);
        let (token, secret) = ring.sign(expires_millis);
        let digest = TokenDigest::of(token.expose().as_bytes());
        let start = Start { digest, secret, issued: now.boot, expires: now.boot + self.lifetime, expires_millis };
        let (session, evicted) = self.insert(principal.into(), start);
        self.issued.fetch_add(1, Relaxed);
        if let Some(evicted) = evicted {
            self.take(&evicted, Ended::Crowded, now.boot);
        }
        Ok(Issued { key: session.key, token, expires_millis, session })
    }

    /// The session that key and token open.
    ///
    /// # Errors
    /// [`Rejected`]; [`Rejected::Expired`] only to who holds the right token.
    pub fn authenticate(&self, key: &SessionKey, token: &[u8], now: BootTime) -> Result<Arc<Session>, Rejected> {
        if token.len() > AccessToken::MOST {
            return Err(Rejected::Unknown);
        }
        // Whether there is a session or not, and while no lock is held.
        let digest = TokenDigest::of(token);
        let entry = self.live.get(key).ok_or(Rejected::Unknown)?;
        let session = &entry.key().0;
        if !session.holds(&digest) {
            return Err(Rejected::Mismatch);
        }
        let session = Arc::clone(session);
        drop(entry);
        if session.end(self.idle_timeout) <= now {
            return Err(Rejected::Expired);
        }
        if self.idle_timeout.is_some() {
            session.touch(now);
        }
        Ok(session)
    }

    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout
    }

    /// Ends the session that key and token open: once this returns, they open nothing. Of several at a time, one wins.
    ///
    /// # Errors
    /// As [`Sessions::authenticate`]; [`Rejected::Unknown`] to those that came second.
    pub fn revoke(&self, key: &SessionKey, token: &[u8], now: BootTime) -> Result<Arc<Session>, Rejected> {
        let session = self.authenticate(key, token, now)?;
        if self.end(&session, Ended::Logout) { Ok(session) } else { Err(Rejected::Unknown) }
    }

    /// Ends a session whose login turned out not to count.
    pub fn withdraw(&self, issued: &Issued) {
        self.end(&issued.session, Ended::Withdrawn);
    }

    /// Ends every session of a user, by canonical name, for that reason; how many there were.
    pub fn revoke_user(&self, canonical_name: &str, why: Ended, now: BootTime) -> usize {
        let held: Vec<_> = self.users.get(canonical_name).map_or_else(Vec::new, |held| held.iter().cloned().collect());
        held.iter().filter(|session| self.take(session, why, now)).count()
    }

    /// Ends every session whose token that secret signed; how many there were. Walks over all sessions.
    pub fn revoke_signed_by(&self, secret: SecretId, now: BootTime) -> usize {
        let signed = |session: &Arc<Session>| session.secret == secret;
        let found: Vec<_> = self.live.iter().map(|entry| Arc::clone(&entry.key().0)).filter(signed).collect();
        found.iter().filter(|session| self.take(session, Ended::SecretRemoved, now)).count()
    }

    /// Removes records that ended more than a minute ago, at most [`Sessions::SWEEP_BATCH`], and says how many: after
    /// a full batch there may be more, and the caller calls again once others had their turn.
    pub fn sweep(&self, now: BootTime) -> usize {
        let due = self.expiry.take_due(now, Self::SWEEP_BATCH);
        for session in &due {
            self.take(session, Ended::Idle, now);
        }
        due.len()
    }

    /// How many records there are, those that ended within the last minute included.
    pub fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// How many have been issued since the start.
    pub fn issued(&self) -> u64 {
        self.issued.load(Relaxed)
    }

    /// How many have ended so since the start.
    pub fn ended(&self, why: Ended) -> u64 {
        self.ends.count(why)
    }

    /// Tells `watcher` of each end, on the thread that ends the session. The first that is given stays.
    pub fn watch_ends(&self, watcher: impl Fn(&Session, Ended) + Send + Sync + 'static) {
        self.ends.watch(Box::new(watcher));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All three places are filled under the lock of the user's entry, so that whoever finds the session in one of
    /// them and goes on to the user finds it there too.
    fn insert(&self, owner: Owner, start: Start) -> (Arc<Session>, Option<Arc<Session>>) {
        let owner = Arc::new(owner);
        match self.users.entry(ByName(Arc::clone(&owner))) {
            Entry::Occupied(mut entry) => {
                let held = entry.get_mut();
                let known = held.iter().next_back().map(|session| &session.owner).filter(|known| ***known == *owner);
                let session = Arc::new(Session::new(known.map_or(owner, Arc::clone), start));
                held.push(Arc::clone(&session));
                let evicted = (held.len() > self.per_user).then(|| held.pop_oldest()).flatten();
                self.enter(&session);
                (session, evicted)
            }
            Entry::Vacant(entry) => {
                let session = Arc::new(Session::new(owner, start));
                let _locked = entry.insert(Held::one(Arc::clone(&session)));
                self.enter(&session);
                (session, None)
            }
        }
    }

    fn enter(&self, session: &Arc<Session>) {
        self.expiry.insert(session);
        self.live.insert(ByKey(Arc::clone(session)), ());
    }

    /// Ends a session for that reason, unless its time was over before.
    fn take(&self, session: &Arc<Session>, why: Ended, now: BootTime) -> bool {
        self.end(session, why.unless_over(session, self.idle_timeout, now))
    }

    /// Takes the session out of everywhere, and ends what it opened. True for the one caller, of several, that did it.
    fn end(&self, session: &Arc<Session>, why: Ended) -> bool {
        if self.live.remove(&session.key).is_none() {
            return false;
        }
        self.users.remove_if_mut(session.user(), |_, held| held.remove(&session.key));
        self.expiry.remove(session);
        self.count.fetch_sub(1, Relaxed);
        session.over.tell();
        self.ends.note(session, why);
        true
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;

#[cfg(all(test, feature = "races"))]
#[path = "races_tests.rs"]
mod races;
