//! One users file in memory: who is in it, and whose hash has become better since. Knows no other directory.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;

use super::edit::UsersFile;
use super::hash::StoredHash;
use super::password::Password;
use super::record::Record;
use super::{Principal, hash, parse};
use crate::config::{self, Problems};

/// The users of one file, by canonical name.
pub(super) struct Users {
    users: HashMap<Box<str>, Arc<User>>,
    file: Arc<File>,
}

/// A user of a file.
pub(super) struct User {
    pub(super) principal: Principal,
    stored_name: Box<str>,
    stored: ArcSwap<Stored>,
    file: Arc<File>,
}

struct Stored {
    text: Box<str>,
    hash: StoredHash,
}

struct File {
    path: PathBuf,
    rehash: bool,
    warned: AtomicBool,
}

impl Users {
    /// Reads the file; every problem in it is added. An empty one is only warned about.
    pub(super) fn load(directory: &config::Directory, problems: &mut Problems) -> Option<Self> {
        let path = &directory.path.value;
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("users file {}: {error}", path.display());
                problems.add(&directory.path.place, what, "make one with: gatewarden user add --users FILE NAME");
                return None;
            }
        };
        let mut found = Problems::default();
        let records = parse::parse(path, &text, &mut found);
        if records.is_empty() && found.is_empty() {
            tracing::warn!(path = %path.display(), "no users: nobody of this directory can log in");
        }
        found.iter().for_each(|problem| problems.add(&problem.place, &*problem.what, &*problem.fix));
        found.is_empty().then(|| Self::new(directory, records))
    }

    fn new(directory: &config::Directory, records: Vec<Record>) -> Self {
        let path = directory.path.value.clone();
        let file = Arc::new(File { path, rehash: directory.rehash, warned: AtomicBool::new(false) });
        let user = |record: Record| {
            let name = record.principal.name.as_str().into();
            (name, Arc::new(User::new(record, Arc::clone(&file))))
        };
        Self { users: records.into_iter().map(user).collect(), file: Arc::clone(&file) }
    }

    pub(super) fn find(&self, canonical: &str) -> Option<&Arc<User>> {
        self.users.get(canonical)
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.file.path
    }
}

impl User {
    fn new(record: Record, file: Arc<File>) -> Self {
        let stored = ArcSwap::from_pointee(Stored { text: record.text, hash: record.hash });
        Self { principal: record.principal, stored_name: record.stored_name, stored, file }
    }

    /// Whether it is this user's password. Where `hidden`, that costs at least what an unknown user costs.
    pub(super) fn verify(&self, password: &Password, hidden: bool) -> bool {
        let stored = self.stored.load();
        let hashed = password.is_plausible() && stored.hash.fits(password);
        if hidden && (!hashed || stored.hash.is_cheap()) {
            hash::burn(password);
        }
        hashed && stored.hash.verify(&self.stored_name, password)
    }

    /// Whether the password is known to be wrong without a check.
    pub(super) fn refuses_unchecked(&self, password: &Password) -> bool {
        !password.is_plausible() || !self.stored.load().hash.fits(password)
    }

    /// Replaces a bcrypt or a1 hash by argon2id, in the file first, where this directory does that.
    pub(super) fn improve(&self, password: &Password) {
        let stored = self.stored.load_full();
        if !self.file.rehash || stored.hash.is_current() {
            return;
        }
        let text = StoredHash::create(password);
        match UsersFile::at(&self.file.path).rehash(&self.principal.name, &stored.text, &text) {
            Ok(true) => {}
            // Somebody changed the password meanwhile: what is in the file counts, from the next reload on.
            Ok(false) => return,
            Err(error) if !self.file.warned.swap(true, Relaxed) => {
                tracing::warn!(path = %self.file.path.display(), %error, "old password hashes stay in the file");
            }
            Err(_) => {}
        }
        if let Ok(hash) = StoredHash::parse(&text) {
            self.stored.store(Arc::new(Stored { text: text.into(), hash }));
        }
    }
}
