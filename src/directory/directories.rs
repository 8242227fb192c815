//! All directories in the order they are asked: the first that knows a user decides. Knows no sessions.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::checks::{Checks, Overloaded};
use super::password::Password;
use super::users::{User, Users};
use super::{Principal, canonical, hash};
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
    directories: Vec<Users>,
    checks: Checks,
    hide_unknown: bool,
}

impl Directories {
    /// Reads every directory and starts the threads that check passwords. Absent with every problem added, else.
    pub fn load(directories: &[config::Directory], login: &config::Login, problems: &mut Problems) -> Option<Self> {
        let loaded: Vec<_> = directories.iter().map(|directory| Users::load(directory, problems)).collect();
        let directories = loaded.into_iter().collect::<Option<Vec<_>>>()?;
        match Checks::start(login) {
            Ok(checks) => Some(Self { directories, checks, hide_unknown: login.hide_unknown_users }),
            Err(error) => {
                let place = config::Place::whole(directories.first()?.path());
                problems.add(&place, format!("no thread to check passwords: {error}"), "raise the limit on threads");
                None
            }
        }
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

    fn find(&self, canonical: &str) -> Option<&Arc<User>> {
        self.directories.iter().find_map(|directory| directory.find(canonical))
    }

    async fn check(&self, user: Arc<User>, password: Password) -> Result<Principal, Refused> {
        let hidden = self.hide_unknown;
        let check = move |answer: oneshot::Sender<Option<Principal>>| {
            let right = user.verify(&password, hidden);
            let _ = answer.send(right.then(|| user.principal.clone()));
            if right {
                user.improve(&password);
            }
        };
        let answer = self.checks.run(check).await.map_err(|Overloaded| Refused::Busy)?;
        answer.ok_or(Refused::WrongPassword)
    }

    async fn check_nobody(&self, password: Password) -> Result<Principal, Refused> {
        let check = move |answer: oneshot::Sender<()>| {
            hash::burn(&password);
            let _ = answer.send(());
        };
        self.checks.run(check).await.map_err(|Overloaded| Refused::Busy)?;
        Err(Refused::WrongPassword)
    }
}

#[cfg(test)]
#[path = "directories_tests.rs"]
mod tests;
