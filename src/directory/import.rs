//! Users from elsewhere: a CSV or htpasswd text becomes newcomers of a users file, with every problem found at once. Knows no disk.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use super::hash::StoredHash;
use super::import_csv;
use super::{Password, Role, canonical};
use crate::config::{Place, Problems};

const NEITHER: &str = "an htpasswd line is NAME:HASH; a CSV begins with the names of its columns, name,password,role";

/// How the users are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with the names of its columns in the first line: name, password, role.
    Csv,
    /// `NAME:HASH` a line, as Apache's htpasswd writes it.
    Htpasswd,
}

/// A text that users come from, and what is true of all of them.
#[derive(Debug)]
pub struct Import<'a> {
    /// Where the text is from, for problems.
    pub path: &'a Path,
    /// Absent: told by the first line.
    pub format: Option<Format>,
    /// For those whose role is not written.
    pub role: Role,
    /// For names without one.
    pub domain: Option<String>,
}

/// A user who is not in the file yet.
pub struct Newcomer {
    /// The name as it will be written.
    pub(super) name: String,
    pub(super) canonical: String,
    pub(super) role: Role,
    pub(super) secret: Secret,
    pub(super) place: Place,
}

/// What a newcomer will log in with.
pub(super) enum Secret {
    /// Of a kind that can be kept as it is.
    Hash(String),
    /// To be hashed.
    Plain(Password),
}

impl Newcomer {
    /// With the hash that will be written; takes its time where there is only a password.
    pub(super) fn hashed(mut self) -> (Self, String) {
        let hash = match &mut self.secret {
            Secret::Hash(hash) => std::mem::take(hash),
            Secret::Plain(password) => StoredHash::create(password),
        };
        (self, hash)
    }
}

/// A user as read from a line.
pub(super) struct Row<'r> {
    pub(super) line: usize,
    pub(super) name: &'r str,
    pub(super) password: &'r str,
    /// Empty where none is written.
    pub(super) role: &'r str,
    /// Whether a password may stand there as it is typed.
    pub(super) may_be_plain: bool,
}

impl Import<'_> {
    /// The newcomers; fit for use only where no problem was added.
    pub fn read(&self, text: &[u8], problems: &mut Problems) -> Vec<Newcomer> {
        let mut reader = Reader { import: self, lines: HashMap::new(), newcomers: Vec::new(), problems };
        match std::str::from_utf8(text) {
            Ok(text) => reader.text(text.strip_prefix('\u{feff}').unwrap_or(text)),
            Err(error) => {
                let line = 1 + text[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
                reader.problem(line, "not UTF-8 text", "save it as UTF-8");
            }
        }
        reader.newcomers
    }
}

/// Reads one text, and notes what is wrong where.
pub(super) struct Reader<'a> {
    import: &'a Import<'a>,
    lines: HashMap<String, usize>,
    newcomers: Vec<Newcomer>,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn text(&mut self, text: &str) {
        match self.import.format.unwrap_or_else(|| guess(text)) {
            Format::Csv => import_csv::read(text, self),
            Format::Htpasswd => self.htpasswd(text),
        }
        if self.newcomers.is_empty() && self.problems.is_empty() {
            self.problem(0, "no users", "give lines of NAME:HASH, or a CSV whose first line says: name,password,role");
        }
    }

    fn htpasswd(&mut self, text: &str) {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !is_remark(line)) {
            match line.trim_end().split_once(':') {
                Some((name, password)) => {
                    self.row(&Row { line: number + 1, name, password, role: "", may_be_plain: false });
                }
                None => self.problem(number + 1, "no colon", NEITHER),
            }
        }
    }

    /// Takes a user in, or notes everything that is wrong with it.
    pub(super) fn row(&mut self, row: &Row<'_>) {
        let name = self.name(row);
        let role = self.role(row);
        let secret = secret(row).map_err(|(what, fix)| self.problem(row.line, what, fix)).ok();
        let Some(((name, canonical), (role, secret))) = name.zip(role.zip(secret)) else { return };
        self.newcomers.push(Newcomer { name, canonical, role, secret, place: self.place(row.line) });
    }

    fn name(&mut self, row: &Row<'_>) -> Option<(String, String)> {
        let name = match &self.import.domain {
            Some(domain) if !row.name.contains('@') && !row.name.is_empty() => format!("{}@{domain}", row.name),
            _ => row.name.to_owned(),
        };
        let Some(canonical) = canonical(&name) else {
            self.problem(
                row.line,
                format!("{name:?} can't be a user's name"),
                "a name is LOCAL or LOCAL@DOMAIN, without spaces",
            );
            return None;
        };
        match self.lines.entry(canonical.clone()) {
            Entry::Vacant(entry) => _ = entry.insert(row.line),
            Entry::Occupied(entry) => {
                let what = format!("user {canonical:?} is also on line {}", entry.get());
                self.problem(row.line, what, "names are compared in canonical form; keep one of them");
                return None;
            }
        }
        Some((name, canonical))
    }

    fn role(&mut self, row: &Row<'_>) -> Option<Role> {
        if row.role.is_empty() {
            return Some(self.import.role.clone());
        }
        Role::written(row.role).map_err(|(what, fix)| self.problem(row.line, what, fix)).ok()
    }

    pub(super) fn problem(&mut self, line: usize, what: impl Into<String>, fix: impl Into<String>) {
        self.problems.add(&self.place(line), what, fix);
    }

    fn place(&self, line: usize) -> Place {
        Place::File { path: self.import.path.into(), line }
    }
}

/// What may stand for a password. Never repeats any of it.
fn secret(row: &Row<'_>) -> Result<Secret, (String, &'static str)> {
    const FIX: &str = "argon2id, bcrypt and a1 hashes are taken; make a bcrypt one with: htpasswd -B";
    if ["a1:", "$2a$", "$2b$", "$2y$", "$argon2"].iter().any(|prefix| row.password.starts_with(prefix)) {
        return match StoredHash::parse(row.password) {
            Ok(_) => Ok(Secret::Hash(row.password.to_owned())),
            Err(what) => Err((format!("password: {what}"), FIX)),
        };
    }
    if let Some(kind) = foreign_kind(row.password) {
        return Err((format!("password: {kind} can't be used"), FIX));
    }
    if !row.may_be_plain {
        return Err(("password: a crypt hash or a plain password can't be used".into(), FIX));
    }
    let password = Password::new(row.password.to_owned());
    if password.is_plausible() {
        return Ok(Secret::Plain(password));
    }
    Err(("no password, or one over 1024 bytes".into(), "give one of 1 to 1024 bytes, or its hash"))
}

/// What looks like a hash that nobody here can verify; taken for a password it would let in who knows the hash.
fn foreign_kind(password: &str) -> Option<&'static str> {
    Some(match password {
        _ if password.starts_with("$apr1$") => "an apr1 hash",
        _ if password.starts_with("$1$") => "an MD5 crypt hash",
        _ if password.starts_with("$5$") || password.starts_with("$6$") => "a SHA crypt hash",
        _ if password.starts_with('$') => "a hash of an unknown kind",
        _ if password.starts_with('{') && password.contains('}') => "an LDAP hash",
        _ => return None,
    })
}

/// By its first line; without a colon it is nobody's NAME:HASH.
fn guess(text: &str) -> Format {
    let first = text.lines().find(|line| !is_remark(line)).unwrap_or_default();
    let is_csv = import_csv::is_heading(first) || first.contains(',') && !first.contains(':');
    if is_csv { Format::Csv } else { Format::Htpasswd }
}

fn is_remark(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with('#')
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
