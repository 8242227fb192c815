//! The sessions of one user, oldest first. Knows neither the other users nor when anything ends.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::key::SessionKey;
use super::session::{Owner, Session};

/// At least one session. Most users have one, so that one costs no allocation.
pub(super) struct Held {
    oldest: Arc<Session>,
    others: Option<Box<Others>>,
}

struct Others(Vec<Arc<Session>>);

impl Held {
    pub(super) fn one(session: Arc<Session>) -> Self {
        Self { oldest: session, others: None }
    }

    pub(super) fn push(&mut self, session: Arc<Session>) {
        self.others.get_or_insert_with(|| Box::new(Others(Vec::new()))).0.push(session);
    }

    pub(super) fn len(&self) -> usize {
        1 + self.others.as_ref().map_or(0, |others| others.0.len())
    }

    /// Takes the oldest out, unless it is the only one.
    pub(super) fn pop_oldest(&mut self) -> Option<Arc<Session>> {
        let others = self.others.as_mut()?;
        let next = others.0.remove(0);
        if others.0.is_empty() {
            self.others = None;
        }
        Some(std::mem::replace(&mut self.oldest, next))
    }

    /// Takes one out. True: it was the only one, so that the whole entry has to go.
    pub(super) fn remove(&mut self, key: &SessionKey) -> bool {
        if self.oldest.key == *key {
            return self.pop_oldest().is_none();
        }
        if let Some(others) = &mut self.others {
            others.0.retain(|session| session.key != *key);
            if others.0.is_empty() {
                self.others = None;
            }
        }
        false
    }

    /// From the oldest to the newest.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Session>> {
        std::iter::once(&self.oldest).chain(self.others.iter().flat_map(|others| &others.0))
    }
}

/// The record as its own map key: 16 bytes less a session.
pub(super) struct ByKey(pub(super) Arc<Session>);

/// The owner as the map key of its sessions: no copy of the name.
pub(super) struct ByName(pub(super) Arc<Owner>);

impl Borrow<SessionKey> for ByKey {
    fn borrow(&self) -> &SessionKey {
        &self.0.key
    }
}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for ByKey {}

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}
