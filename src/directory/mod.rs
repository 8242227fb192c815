//! Where passwords are verified. Knows users and hashes; knows no sessions and no HTTP.

mod attributes;
mod checks;
mod decoys;
mod directories;
mod document;
mod edit;
mod edit_error;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod hash;
mod import;
mod import_csv;
mod name;
mod parse;
mod password;
mod record;
mod rewrites;
mod role;
mod users;

pub use directories::{Directories, Refused};
pub use document::Listed;
pub use edit::UsersFile;
pub use edit_error::EditError;
pub use import::{Format, Import, Newcomer};
pub use name::canonical;
pub use password::Password;
pub use role::Role;

use serde_json::{Map, Value};

/// The most bytes of a users file: some million users.
const LARGEST: u64 = 256 << 20;

/// Who was authenticated.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// The canonical name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What else the directory tells, in its order; goes into the login answer.
    pub attributes: Map<String, Value>,
}

impl Principal {
    /// The part of the name after its last `@`, else empty.
    pub fn domain(&self) -> &str {
        domain_of(&self.name)
    }
}

pub(crate) fn domain_of(name: &str) -> &str {
    name.rsplit_once('@').map_or("", |(_, domain)| domain)
}
