//! A table of the configuration, from which keys are taken by name and type; what nobody took is an unknown key.

use super::findings::{Findings, Wrong};
use super::problem::Place;
use super::suggest;
use super::tree::{Node, Table};

/// One table being read.
pub(super) struct Section<'f> {
    name: String,
    place: Place,
    entries: Table,
    asked: Vec<&'static str>,
    findings: &'f Findings,
}

impl<'f> Section<'f> {
    /// Reads a table with `read`, then reports the keys that `read` did not ask for.
    pub(super) fn read<R>(
        entries: Table,
        (name, place): (String, Place),
        findings: &'f Findings,
        read: impl FnOnce(&mut Self) -> R,
    ) -> R {
        let mut section = Self { name, place, entries, asked: Vec::new(), findings };
        let result = read(&mut section);
        section.report_unknown();
        result
    }

    /// Where the section starts; where it is absent, the file as a whole.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The list that problems go to.
    pub(super) fn findings(&self) -> &'f Findings {
        self.findings
    }

    /// The node at that key, which is known from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.remove(key)
    }

    /// The node at that key, which is never offered to anybody, for this build refuses it.
    pub(super) fn take_refused(&mut self, key: &str) -> Option<Node> {
        self.entries.remove(key)
    }

    /// What is left, where the keys are names that the operator chose.
    pub(super) fn take_rest(&mut self) -> Table {
        std::mem::take(&mut self.entries)
    }

    /// Whether the key was written; does not take it, but it is known from now on.
    pub(super) fn has(&mut self, key: &'static str) -> bool {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.entries.contains_key(key)
    }

    /// Reports a value of this section.
    pub(super) fn wrong(&self, key: &str, place: &Place, wrong: Wrong) {
        self.findings.add(place, self.about(key, wrong));
    }

    /// Reports a value that names something absent.
    pub(super) fn wrong_absent(&self, key: &str, place: &Place, wrong: Wrong) {
        self.findings.add_absent(place, self.about(key, wrong));
    }

    /// Reports that a key with no default is not there.
    pub(super) fn missing(&self, key: &str, fix: &str) {
        self.wrong_absent(key, &self.place, Wrong::new("missing", fix));
    }

    /// The value of a result; what is wrong with it is reported.
    pub(super) fn checked<T>(&self, key: &str, place: &Place, result: Result<T, Wrong>) -> Option<T> {
        result.map_err(|wrong| self.wrong(key, place, wrong)).ok()
    }

    /// The full name of a section below this one.
    pub(super) fn name_of(&self, key: &str) -> String {
        let dot = if self.name.is_empty() { "" } else { "." };
        format!("{}{dot}{}", self.name, key.escape_debug())
    }

    fn about(&self, key: &str, wrong: Wrong) -> Wrong {
        Wrong::new(format!("{}: {}", self.name_of(key), wrong.what), wrong.fix)
    }

    fn report_unknown(self) {
        for (key, node) in &self.entries {
            let fix = suggest::fix(key, self.asked.iter().copied(), format!("known here: {}", self.asked.join(", ")));
            self.wrong(key, &node.key, Wrong::new("unknown key", fix));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::bad;

    #[test]
    fn an_unknown_key_is_told_what_there_is_and_nothing_that_is_refused() {
        let problems = bad("[colour]\n");
        assert_eq!(problems.len(), 1, "{problems:?}");
        for there in ["cors", "health", "upstreams", "routes", "log"] {
            assert!(problems[0].contains(there), "{there}: {problems:?}");
        }
        assert!(!problems[0].contains("admin"), "{problems:?}");
    }
}
