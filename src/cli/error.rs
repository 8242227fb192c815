//! What a command says when it can't do what was asked, and the exit code that goes with it.

use std::fmt;
use std::io;
use std::path::Path;

use crate::config::Problems;

/// What was asked can't be understood (sysexits: `EX_USAGE`).
pub(super) const USAGE: u8 = 64;

/// What went wrong, for the person at the terminal. Never holds a secret.
#[derive(Debug)]
pub enum CliError {
    /// The configuration can't be used; exit code 64.
    Configuration(Problems),
    /// An argument that can't be used; exit code 64 too.
    Usage(String),
    /// Anything else, said in a sentence; exit code 1.
    Failed(String),
}

impl CliError {
    /// A message that says what to do.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    pub(super) fn at(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |error| Self::Failed(format!("{}: {error}", path.display()))
    }

    /// As [`CliError::at`], of what was to be made.
    pub(super) fn making(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |error| {
            let folder = path.parent().unwrap_or(path).display();
            let advice = match error.kind() {
                io::ErrorKind::NotFound => format!("; make its folder first: mkdir -p {folder}"),
                io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                    "; a file is where a folder should be: name another".to_owned()
                }
                io::ErrorKind::PermissionDenied => "; you may not write there: name another".to_owned(),
                _ => String::new(),
            };
            Self::Failed(format!("{}: {error}{advice}", path.display()))
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::Usage(_) => USAGE,
            Self::Failed(_) => 1,
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<Problems> for CliError {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(problems) => match problems.iter().count() {
                1 => write!(f, "{problems}gatewarden: 1 problem{}", more(problems)),
                count => write!(f, "{problems}gatewarden: {count} problems{}", more(problems)),
            },
            Self::Usage(what) | Self::Failed(what) => write!(f, "gatewarden: {what}"),
        }
    }
}

impl std::error::Error for CliError {}

fn more(problems: &Problems) -> &'static str {
    if problems.are_torn() { "; more may be found once the file is valid TOML" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_counted_and_a_torn_file_may_have_more() {
        let said = |text: &str| {
            let problems = crate::config::parse(text, Path::new("g.toml"), std::iter::empty()).unwrap_err();
            CliError::from(problems).to_string()
        };
        assert!(said("[limits]\n").ends_with("gatewarden: 3 problems"));
        assert!(
            said("a =\n").ends_with("gatewarden: 1 problem; more may be found once the file is valid TOML"),
            "{}",
            said("a =\n")
        );
    }

    #[test]
    fn what_could_not_be_made_is_told_with_what_to_do() {
        let said = |kind: io::ErrorKind| CliError::making(Path::new("a/b"))(kind.into()).to_string();
        assert!(said(io::ErrorKind::NotFound).ends_with("; make its folder first: mkdir -p a"));
        assert!(said(io::ErrorKind::AlreadyExists).contains("a file is where a folder should be"));
        assert!(said(io::ErrorKind::PermissionDenied).contains("you may not write there"));
    }
}
