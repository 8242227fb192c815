//! What a command says when it can't do what was asked. Knows no exit codes but through its caller.

use std::fmt;
use std::io;
use std::path::Path;

/// What went wrong, for the person at the terminal. Never holds a secret.
#[derive(Debug)]
pub struct CliError(String);

impl CliError {
    /// A message that says what to do.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |error| Self(format!("{}: {error}", path.display()))
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CliError {}
