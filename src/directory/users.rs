//! One users file in memory, as it was read last. Knows no other directory.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::decoys::{Cost, Decoys};
use super::hash::StoredHash;
use super::password::Password;
use super::record::Record;
use super::rewrites::{Rewrite, Rewrites};
use super::{LARGEST, Principal, parse};
use crate::config::{self, Problems};
use crate::{plain_file, unreadable};

/// The users of one file, by canonical name.
pub(super) struct Users {
    users: HashMap<Box<str>, Arc<User>>,
    file: Arc<File>,
}

/// A user of a file.
pub(super) struct User {
    pub(super) principal: Principal,
    stored_name: Box<str>,
    /// The hash as written and as understood.
    text: Box<str>,
    hash: StoredHash,
    file: Arc<File>,
}

struct File {
    directory: config::Directory,
    rewrites: Arc<Rewrites>,
}

impl Users {
    /// Reads the file; every problem in it is added. An empty one is only warned about. `before` is the same file, as it was read
    /// last.
    pub(super) fn load(directory: &config::Directory, before: Option<&Self>, problems: &mut Problems) -> Option<Self> {
        let rewrites = before.map(|before| &before.file.rewrites).filter(|rewrites| !rewrites.has_failed());
        let rewrites = rewrites.map_or_else(Arc::default, Arc::clone);
        Self::read(Arc::new(File { directory: directory.clone(), rewrites }), problems)
    }

    /// Reads the file again; absent with every problem added.
    pub(super) fn reread(&self, problems: &mut Problems) -> Option<Self> {
        Self::read(Arc::clone(&self.file), problems)
    }

    fn read(file: Arc<File>, problems: &mut Problems) -> Option<Self> {
        let path = &file.directory.path.value;
        let text = match read_text(path) {
            Ok(text) => text,
            Err(error) => {
                let make = format!("make one with: gatewarden user add --users {} NAME", path.display());
                let (what, fix) = unreadable::explain(path, &error, &make);
                problems.add(&file.directory.path.place, format!("users file {what}"), fix);
                return None;
            }
        };
        let mut found = Problems::default();
        let records = parse::parse(path, &text, &mut found);
        if records.is_empty() && found.is_empty() {
            tracing::warn!(path = %path.display(), "no users: nobody of this directory can log in");
        }
        found.iter().for_each(|problem| problems.add(&problem.place, &*problem.what, &*problem.fix));
        found.is_empty().then(|| Self::new(file, records))
    }

    fn new(file: Arc<File>, records: Vec<Record>) -> Self {
        let user = |record: Record| {
            let name = record.principal.name.as_str().into();
            (name, Arc::new(User::new(record, Arc::clone(&file))))
        };
        Self { users: records.into_iter().map(user).collect(), file: Arc::clone(&file) }
    }

    pub(super) fn find(&self, canonical: &str) -> Option<&Arc<User>> {
        self.users.get(canonical)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(AsRef::as_ref)
    }

    pub(super) fn costs(&self) -> impl Iterator<Item = Cost> {
        self.users.values().filter_map(|user| user.cost())
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.directory.path.value
    }

    #[cfg(test)]
    pub(super) fn is_rewriting(&self) -> bool {
        self.file.rewrites.is_busy()
    }

    /// What this process itself rewrote before the file was read is no news any more.
    pub(super) fn settle(&self) {
        let hashes: HashSet<&str> = self.users.values().map(|user| &*user.text).collect();
        self.file.rewrites.keep_only(|hash| hashes.contains(hash));
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    plain_file::text(plain_file::read_private("the password hashes of a users file", path, LARGEST)?)
}

impl User {
    fn new(record: Record, file: Arc<File>) -> Self {
        let Record { principal, stored_name, text, hash } = record;
        Self { principal, stored_name, text, hash, file }
    }

    /// Whether it is this user's password, which is found out in the same time for everybody where there are `decoys`.
    pub(super) fn verify(&self, password: &Password, decoys: &Decoys) -> bool {
        let right = decoys.verify(Some((&self.hash, &self.stored_name)), password);
        right && !self.refuses_unchecked(password)
    }

    /// What a check costs.
    fn cost(&self) -> Option<Cost> {
        self.hash.cost()
    }

    /// Whether the password is known to be wrong without a check.
    pub(super) fn refuses_unchecked(&self, password: &Password) -> bool {
        !password.is_plausible() || !self.hash.fits(password)
    }

    /// Replaces a bcrypt or a1 hash in the file by argon2id, where this directory does that; the next reading finds it.
    pub(super) fn improve(&self, password: Password) {
        if self.file.directory.rehash && !self.hash.is_current() {
            let (name, old) = (self.principal.name.as_str().into(), self.text.clone());
            self.file.rewrites.begin(&self.file.directory.path.value, Rewrite { name, old, password });
        }
    }

    /// Whether sessions of this user go on when `later` is what the files say: with one role and one password.
    pub(super) fn lives_on_as(&self, later: &Self) -> bool {
        self.principal.role == later.principal.role && self.file.rewrites.are_of_one_password(&self.text, &later.text)
    }
}
