//! The list that every reader of the configuration adds its problems to, so that one run shows them all.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::problem::{Place, Problem, Problems};

/// What is wrong with a value, without the place and the key, which its reader knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What is wrong.
    pub(super) what: String,
    /// What to do.
    pub(super) fix: String,
}

impl Wrong {
    /// What is wrong and what to do.
    pub(super) fn new(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into() }
    }
}

/// The problems found so far.
pub(super) struct Findings {
    path: Arc<Path>,
    found: RefCell<Vec<Problem>>,
    torn: RefCell<BTreeSet<usize>>,
}

impl Findings {
    /// Nothing found yet in that file.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.into(), found: RefCell::default(), torn: RefCell::default() }
    }

    /// A line of the file, from 1; 0 is the whole file.
    pub(super) fn place(&self, line: usize) -> Place {
        Place::File { path: Arc::clone(&self.path), line }
    }

    /// Adds a line that is not TOML; one problem a line, since what follows the first is mostly its echo.
    pub(super) fn add_torn(&self, line: usize, wrong: Wrong) {
        if self.tear(line) {
            self.push(&self.place(line), wrong);
        }
    }

    /// Marks a line as one that is not TOML without a word about it; false where it was marked before.
    pub(super) fn tear(&self, line: usize) -> bool {
        self.torn.borrow_mut().insert(line)
    }

    /// Adds a problem with something that is there, unless its line could not be read anyway.
    pub(super) fn add(&self, place: &Place, wrong: Wrong) {
        let torn = matches!(place, Place::File { line, .. } if self.torn.borrow().contains(line));
        if !torn {
            self.push(place, wrong);
        }
    }

    /// Adds a problem with something that is not there: only where the whole file could be read, else it may be there.
    pub(super) fn add_absent(&self, place: &Place, wrong: Wrong) {
        if self.torn.borrow().is_empty() {
            self.push(place, wrong);
        }
    }

    /// All problems in the order of the lines, those of the environment last.
    pub(super) fn into_problems(self) -> Problems {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| match &problem.place {
            Place::File { line, .. } => (*line, None),
            Place::Environment(name) => (usize::MAX, Some(Arc::clone(name))),
        });
        let mut problems = Problems::default();
        if !self.torn.borrow().is_empty() {
            problems.tear();
        }
        for Problem { place, what, fix } in found {
            problems.add(&place, what, fix);
        }
        problems
    }

    fn push(&self, place: &Place, wrong: Wrong) {
        self.found.borrow_mut().push(Problem { place: place.clone(), what: wrong.what, fix: wrong.fix });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(findings: Findings) -> Vec<String> {
        findings.into_problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn problems_come_in_the_order_of_the_lines_and_the_environment_last() {
        let findings = Findings::new(Path::new("g.toml"));
        findings.add(&Place::Environment("GATEWARDEN_A__B".into()), Wrong::new("c", "d"));
        findings.add(&findings.place(12), Wrong::new("b", "d"));
        findings.add(&findings.place(2), Wrong::new("a", "d"));
        findings.add_absent(&findings.place(0), Wrong::new("z", "d"));
        assert_eq!(
            lines(findings),
            ["g.toml: z; d", "g.toml:2: a; d", "g.toml:12: b; d", "environment GATEWARDEN_A__B: c; d"]
        );
    }

    #[test]
    fn a_torn_line_is_told_once_and_nothing_is_called_absent_after_it() {
        let findings = Findings::new(Path::new("g.toml"));
        findings.add_torn(3, Wrong::new("torn", "mend"));
        findings.add_torn(3, Wrong::new("torn again", "mend"));
        findings.add(&findings.place(3), Wrong::new("odd", "mend"));
        findings.add_absent(&findings.place(4), Wrong::new("absent", "add"));
        let problems = findings.into_problems();
        assert!(problems.are_torn());
        assert_eq!(problems.to_string(), "g.toml:3: torn; mend\n");
    }
}
