//! What this process makes of old hashes in a users file, so that nobody takes a better hash for a new password. Knows no users.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::checks;
use super::edit::UsersFile;
use super::hash::StoredHash;
use super::password::Password;

/// The rewrites of one file.
#[derive(Default)]
pub(super) struct Rewrites {
    /// The old hash and what it became; noted before it is written, forgotten once the file was read again.
    made: Mutex<HashMap<Box<str>, Box<str>>>,
    busy: AtomicBool,
    failed: AtomicBool,
}

/// One hash to be replaced.
pub(super) struct Rewrite {
    /// The user's canonical name.
    pub(super) name: Box<str>,
    /// The hash as it was read.
    pub(super) old: Box<str>,
    /// The password that it is of.
    pub(super) password: Password,
}

/// One at a time.
struct Turn(Arc<Rewrites>);

impl Rewrites {
    /// Replaces the hash on a thread of its own, so that no login waits for it. Left to a later login while another one is being
    /// replaced; left alone for good, after one warning, where the file can't be written.
    pub(super) fn begin(self: &Arc<Self>, path: &Path, rewrite: Rewrite) {
        if self.failed.load(Relaxed) || self.made().contains_key(&rewrite.old) || self.busy.swap(true, Relaxed) {
            return;
        }
        let (turn, path) = (Turn(Arc::clone(self)), path.to_owned());
        let started = std::thread::Builder::new().name("rehash".into()).spawn(move || {
            checks::step_back();
            turn.0.carry_out(&path, rewrite);
        });
        if let Err(error) = started {
            tracing::debug!(%error, "no thread to improve a password hash");
        }
    }

    /// Whether both hashes are of one password for all this process knows.
    pub(super) fn are_of_one_password(&self, old: &str, new: &str) -> bool {
        old == new || self.made().get(old).is_some_and(|made| **made == *new)
    }

    /// Whether the file could not be written.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    #[cfg(test)]
    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed)
    }

    /// Forgets what became of hashes that are not in the file as it was read last.
    pub(super) fn keep_only(&self, is_there: impl Fn(&str) -> bool) {
        self.made().retain(|old, _| is_there(old));
    }

    fn carry_out(&self, path: &Path, Rewrite { name, old, password }: Rewrite) {
        let new: Box<str> = StoredHash::create(&password).into();
        self.made().insert(old.clone(), new.clone());
        match UsersFile::at(path).rehash(&name, &old, &new) {
            Ok(true) => {}
            // Somebody changed the password meanwhile, and what is in the file counts; or somebody is writing just now.
            Ok(false) => drop(self.made().remove(&old)),
            Err(error) => {
                self.failed.store(true, Relaxed);
                tracing::warn!(path = %path.display(), %error, "old password hashes stay in the file");
            }
        }
    }

    fn made(&self) -> MutexGuard<'_, HashMap<Box<str>, Box<str>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.busy.store(false, Relaxed);
    }
}
