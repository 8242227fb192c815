//! A users file: text becomes records, with every problem found at once. Knows no other file and no logins.

use std::collections::HashMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::attributes::in_order;
use super::record::Record;
use crate::config::{Place, Problems};

/// The records of a users file, and every problem in it.
pub(super) fn parse(path: &Path, text: &str, problems: &mut Problems) -> Vec<Record> {
    let mut reader = Reader { path, text, problems, torn: false };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        reader.problem(offset, format!("not TOML: {}", error.message()), "correct the syntax; more may be found then");
    }
    reader.torn = !errors.is_empty();
    reader.file(table.get_ref())
}

/// Reads one file, and notes what is wrong where.
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    text: &'a str,
    problems: &'a mut Problems,
    /// The text is not quite TOML: what seems to be missing may just not have been understood.
    pub(super) torn: bool,
}

impl Reader<'_> {
    fn file(&mut self, table: &DeTable<'_>) -> Vec<Record> {
        let mut records = Vec::new();
        for (key, value) in in_order(table) {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("users", DeValue::Array(users)) => records = self.users(users.iter()),
                ("users", _) => self.problem(value.span().start, "users is no list", "write [[users]] above each user"),
                // What a syntax error tore apart is no mistake of its own.
                (_, _) if self.torn => {}
                (other, _) => {
                    self.problem(key.span().start, format!("unknown key {other:?}"), "a users file has only [[users]]");
                }
            }
        }
        records
    }

    fn users<'v, 'i: 'v>(&mut self, users: impl Iterator<Item = &'v Spanned<DeValue<'i>>>) -> Vec<Record> {
        let mut lines = HashMap::new();
        let mut records = Vec::new();
        for user in users {
            let Some(table) = user.get_ref().as_table() else {
                self.problem(user.span().start, "a user is a table", "write [[users]] above each user");
                continue;
            };
            let (name, record) = self.user(table, user.span().start);
            if let Some((name, offset)) = name {
                self.unique(&mut lines, name, offset);
            }
            records.extend(record);
        }
        records
    }

    fn unique(&mut self, lines: &mut HashMap<String, usize>, name: String, offset: usize) {
        let line = self.line(offset);
        if let Some(first) = lines.get(&name) {
            let what = format!("user {name:?} is also on line {first}");
            self.problem(offset, what, "names are compared in canonical form; keep one of them");
        } else {
            lines.insert(name, line);
        }
    }

    pub(super) fn problem(&mut self, offset: usize, what: impl Into<String>, fix: impl Into<String>) {
        let place = Place::File { path: self.path.into(), line: self.line(offset) };
        self.problems.add(&place, what, fix);
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|byte| **byte == b'\n').count()
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
