//! What is wrong with what the operator wrote, where it stands, and what to do about it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1; 0 means the file as a whole.
    File {
        /// The file as the operator named it.
        path: Arc<Path>,
        /// The line, from 1; 0 for the whole file.
        line: usize,
    },
    /// An environment variable.
    Environment(Arc<str>),
}

impl Place {
    /// The file as a whole.
    pub fn whole(path: &Path) -> Self {
        Self::File { path: path.into(), line: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            // A name may hold what a terminal or a log would act upon.
            Self::Environment(name) => write!(f, "environment {}", name.escape_debug()),
        }
    }
}

/// A value together with the place that it was written at.
#[derive(Clone, Debug)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// By value: the same setting on another line is the same setting.
impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// One thing that keeps the gateway from starting. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong: `routes.upstream: there is no upstream "engin"`.
    pub what: String,
    /// What to do: `did you mean "engine"?`.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.what, self.fix)
    }
}

/// Every problem found, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    found: Vec<Problem>,
    torn: bool,
}

impl Problems {
    /// Adds one problem.
    pub fn add(&mut self, place: &Place, what: impl Into<String>, fix: impl Into<String>) {
        self.found.push(Problem { place: place.clone(), what: what.into(), fix: fix.into() });
    }

    /// Adds what `others` holds, but for what stands at a line that is complained about already or at none: where a default
    /// stands in for something wrong, what follows from the default is nobody's fault.
    pub fn merge(&mut self, others: Self) {
        let known: Vec<Place> = self.found.iter().map(|problem| problem.place.clone()).collect();
        let is_new = |place: &Place| !matches!(place, Place::File { line: 0, .. }) && !known.contains(place);
        let was_clean = self.is_empty();
        self.found.extend(others.found.into_iter().filter(|problem| was_clean || is_new(&problem.place)));
        self.found.sort_by_key(|problem| match &problem.place {
            Place::File { path, line } => (0, Some(path.clone()), *line),
            Place::Environment(_) => (1, None, 0),
        });
    }

    /// Notes that a text could not be read whole, so that there may be more.
    pub(super) fn tear(&mut self) {
        self.torn = true;
    }

    /// Whether there may be more, in what could not be read.
    pub fn are_torn(&self) -> bool {
        self.torn
    }

    /// True when nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The problems in the order they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.found.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.found {
            writeln!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: usize, what: &str) -> Problem {
        Problem { place: Place::File { path: Path::new("g.toml").into(), line }, what: what.into(), fix: "x".into() }
    }

    #[test]
    fn merged_problems_are_in_order_and_none_follows_from_another() {
        let of = |found| Problems { found, torn: false };
        let mut problems = of(vec![at(1, "a"), at(5, "b")]);
        problems.merge(of(vec![at(3, "c"), at(5, "follows"), at(0, "default")]));
        let told: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
        assert_eq!(told, ["a", "c", "b"]);
        let mut clean = Problems::default();
        clean.merge(of(vec![at(0, "whole")]));
        assert_eq!(clean.to_string(), "g.toml: whole; x\n");
    }
}
