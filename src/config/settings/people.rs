//! Settings of who may come in and for how long: secrets, sessions, directories, logins.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::problem::Located;

/// The token secrets; the first signs.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Files of raw bytes; at least one.
    pub secret_files: Vec<Located<PathBuf>>,
}

/// Bounds on sessions.
#[derive(Clone, Debug, PartialEq)]
pub struct Sessions {
    /// From login to expiry.
    pub lifetime: Duration,
    /// Without a request for this long a session ends; absent: never.
    pub idle_timeout: Option<Duration>,
    /// Sessions of one user; the oldest goes first.
    pub per_user: NonZeroUsize,
    /// Sessions of all users; a login over it is answered 503.
    pub max: NonZeroUsize,
}

/// A users file.
#[derive(Clone, Debug, PartialEq)]
pub struct Directory {
    /// The file.
    pub path: Located<PathBuf>,
    /// Whether bcrypt and a1 hashes become argon2id at a good login.
    pub rehash: bool,
}

/// How a login is handled.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// An unknown user is answered like a wrong password, and takes as long.
    pub hide_unknown_users: bool,
    /// Which numbers the login answer gives to roles.
    pub role_numbering: RoleNumbering,
    /// Passwords checked at once.
    pub concurrency: NonZeroUsize,
    /// Logins that may wait for a check.
    pub queue: usize,
    /// How long one may wait.
    pub queue_timeout: Duration,
    /// How often passwords may be tried.
    pub throttle: Throttle,
}

/// How often passwords may be tried, within a window that begins with the first failure.
#[derive(Clone, Debug, PartialEq)]
pub struct Throttle {
    /// Failures of one user from one network; one more of one user from everywhere before each further one has to wait.
    pub per_user: NonZeroU32,
    /// Failures from one network, whoever the users are.
    pub per_network: NonZeroU32,
    /// From the first failure to the moment when all is forgotten.
    pub window: Duration,
}

/// Which numbers the login answer gives to roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleNumbering {
    /// root 0, admin 1, user 2.
    Contract,
    /// root 2, admin 1, user 0, as the engine does today.
    Engine,
}
