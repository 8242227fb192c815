//! All directories in the order they are asked: the first that knows a user decides. Knows no sessions.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::checks::{Checks, Overloaded};
use super::decoys::Decoys;
use super::password::Password;
use super::users::{User, Users};
use super::{Principal, canonical};
use crate::config::{self, Problems};

/// Why a login is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No name was given.
    NameRequired,
    /// No directory knows the user; never where that is hidden.
    UnknownUser,
    /// It is not the user's password, or, where that is hidden, there is no such user.
    WrongPassword,
    /// Too many logins at a time: the queue is full, or the turn didn't come in time.
    Busy,
}

/// Where passwords are verified.
pub struct Directories {
    directories: Vec<Arc<Users>>,
    checks: Arc<Checks>,
    hide_unknown: bool,
    /// What every check verifies beside, where unknown users are hidden.
    decoys: Decoys,
}

impl Directories {
    /// Reads every directory, and takes the threads that check passwords over from `before`, where they suit. Absent with every
    /// problem added, else.
    pub fn load(
        directories: &[config::Directory],
        login: &config::Login,
        before: Option<&Self>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let read = |directory: &config::Directory| {
            let known = before.and_then(|before| before.at(&directory.path.value));
            Users::load(directory, known, problems).map(Arc::new)
        };
        let loaded: Vec<_> = directories.iter().map(read).collect();
        let directories = loaded.into_iter().collect::<Option<Vec<_>>>()?;
        let running = before.map(|before| &before.checks).filter(|checks| checks.suit(login));
        let checks = running.map_or_else(|| Arc::new(Checks::new(login)), Arc::clone);
        Some(Self::new(directories, checks, login.hide_unknown_users))
    }

    /// Reads every file again. One with problems, which are added, stays as it was.
    pub fn reread(&self, problems: &mut Problems) -> Self {
        let mut read = |users: &Arc<Users>| users.reread(problems).map_or_else(|| Arc::clone(users), Arc::new);
        let directories = self.directories.iter().map(&mut read).collect();
        Self::new(directories, Arc::clone(&self.checks), self.hide_unknown)
    }

    fn new(directories: Vec<Arc<Users>>, checks: Arc<Checks>, hide_unknown: bool) -> Self {
        let decoys = || Decoys::of(directories.iter().flat_map(|users| users.costs()));
        let decoys = if hide_unknown { decoys() } else { Decoys::default() };
        Self { directories, checks, hide_unknown, decoys }
    }

    /// The users whose sessions end when `later` is in force instead: those that are gone, and those with another role or
    /// password. A hash that became a better one of the same password ends nobody.
    pub fn ousted_by<'a>(&'a self, later: &'a Self) -> impl Iterator<Item = &'a str> {
        let lives_on =
            |name: &str| self.find(name).zip(later.find(name)).is_some_and(|(old, new)| old.lives_on_as(new));
        self.directories.iter().flat_map(|users| users.names()).filter(move |name| !lives_on(name))
    }

    /// Whether there is a user with that canonical name.
    pub fn knows(&self, canonical: &str) -> bool {
        self.find(canonical).is_some()
    }

    /// To be called once these are in force and those that they ousted are out.
    pub fn settle(&self) {
        self.directories.iter().for_each(|users| users.settle());
    }

    /// Who the user is, if it is the user's password. Dropping the future skips a check that still waits; one that
    /// runs keeps its thread to the end.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn verify(&self, username: &str, password: Password) -> Result<Principal, Refused> {
        if username.is_empty() {
            return Err(Refused::NameRequired);
        }
        let user = canonical(username).and_then(|name| self.find(&name));
        match user {
            None if self.hide_unknown => self.check_nobody(password).await,
            None => Err(Refused::UnknownUser),
            Some(user) if !self.hide_unknown && user.refuses_unchecked(&password) => Err(Refused::WrongPassword),
            Some(user) => self.check(Arc::clone(user), password).await,
        }
    }

    fn at(&self, path: &Path) -> Option<&Users> {
        self.directories.iter().find(|users| users.path() == path).map(AsRef::as_ref)
    }

    fn find(&self, canonical: &str) -> Option<&Arc<User>> {
        self.directories.iter().find_map(|directory| directory.find(canonical))
    }

    async fn check(&self, user: Arc<User>, password: Password) -> Result<Principal, Refused> {
        let decoys = self.decoys.clone();
        let check = move |answer: oneshot::Sender<Option<Principal>>| {
            let right = user.verify(&password, &decoys);
            let _ = answer.send(right.then(|| user.principal.clone()));
            if right {
                user.improve(password);
            }
        };
        let answer = self.checks.run(check).await.map_err(|Overloaded| Refused::Busy)?;
        answer.ok_or(Refused::WrongPassword)
    }

    async fn check_nobody(&self, password: Password) -> Result<Principal, Refused> {
        let decoys = self.decoys.clone();
        let check = move |answer: oneshot::Sender<()>| {
            let _never_right = decoys.verify(None, &password);
            let _ = answer.send(());
        };
        self.checks.run(check).await.map_err(|Overloaded| Refused::Busy)?;
        Err(Refused::WrongPassword)
    }
}

#[cfg(test)]
#[path = "directories_tests.rs"]
mod tests;
