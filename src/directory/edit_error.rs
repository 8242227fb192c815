//! Why a users file was not changed, for the person who asked for it.

use std::fmt;
use std::io;

use crate::config::Problems;

/// Why a users file was not changed.
#[derive(Debug)]
pub enum EditError {
    /// The file can't be read or written.
    Io(io::Error),
    /// It is not TOML; the line, from 1, where that is known.
    Syntax(Option<usize>),
    /// It is no users file, and everything that is wrong with it.
    Broken(Problems),
    /// `users` is no list of tables.
    NoList,
    /// The name has no canonical form.
    BadName,
    /// There is a user with that canonical name.
    Exists,
    /// There is no such user.
    Unknown,
    /// Somebody else is changing the file.
    Busy,
}

impl From<io::Error> for EditError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Broken(problems) => f.write_str(problems.to_string().trim_end()),
            Self::Syntax(Some(line)) => write!(f, "line {line} is not TOML"),
            Self::Syntax(None) => f.write_str("the file is not TOML"),
            Self::NoList => f.write_str("users is no list of tables; write [[users]] above each user"),
            Self::BadName => {
                f.write_str("that can't be a user's name; a name is LOCAL or LOCAL@DOMAIN, without spaces")
            }
            Self::Exists => f.write_str("there is a user with that name"),
            Self::Unknown => f.write_str("there is no user with that name"),
            Self::Busy => f.write_str("somebody else is changing the file"),
        }
    }
}

impl std::error::Error for EditError {}
