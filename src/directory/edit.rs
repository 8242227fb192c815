//! Changing a users file: one change at a time, comments kept, all or nothing. Knows no logins and no terminal.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

use super::hash::StoredHash;
use super::{Password, Role, canonical};

/// Why a users file was not changed.
#[derive(Debug)]
pub enum EditError {
    /// The file can't be read or written.
    Io(io::Error),
    /// It is not TOML; the line, from 1, where that is known.
    Syntax(Option<usize>),
    /// `users` is no list of tables.
    NoList,
    /// The name has no canonical form.
    BadName,
    /// There is a user with that canonical name.
    Exists,
    /// There is no such user.
    Unknown,
}

/// A user as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name as written.
    pub name: String,
    /// The role's name.
    pub role: String,
    /// The kind of hash: `argon2id`, `bcrypt`, `a1` or `invalid`.
    pub hash: &'static str,
}

/// A users file that is changed in place. Writers, this program's or another's of this kind, take turns.
pub struct UsersFile {
    path: PathBuf,
}

impl UsersFile {
    /// The file at that path, which need not exist.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Adds a user; a missing file is created, readable by its owner only.
    ///
    /// # Errors
    /// [`EditError`]; [`EditError::Exists`] also for another spelling of a name.
    pub fn add(&self, name: &str, role: &Role, password: &Password) -> Result<(), EditError> {
        let canonical = canonical(name).ok_or(EditError::BadName)?;
        let hash = StoredHash::create(password);
        self.change(|document| {
            if position(document, &canonical)?.is_some() {
                return Err(EditError::Exists);
            }
            push(document, &[("name", name), ("password", &hash), ("role", role.name())])
        })
    }

    /// Gives a user a new password.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn set_password(&self, name: &str, password: &Password) -> Result<(), EditError> {
        let canonical = canonical(name).ok_or(EditError::BadName)?;
        let hash = StoredHash::create(password);
        self.change(|document| {
            let index = position(document, &canonical)?.ok_or(EditError::Unknown)?;
            set(document, index, &hash);
            Ok(())
        })
    }

    /// Removes a user.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn remove(&self, name: &str) -> Result<(), EditError> {
        let canonical = canonical(name).ok_or(EditError::BadName)?;
        self.change(|document| {
            let index = position(document, &canonical)?.ok_or(EditError::Unknown)?;
            match &mut document["users"] {
                Item::ArrayOfTables(tables) => _ = tables.remove(index),
                users => _ = users.as_array_mut().map(|array| array.remove(index)),
            }
            Ok(())
        })
    }

    /// The users in the order of the file.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn list(&self) -> Result<Vec<Listed>, EditError> {
        let document = parse(&fs::read_to_string(&self.path)?)?;
        Ok(users(&document)?.into_iter().map(listed).collect())
    }

    /// Replaces a hash by a better one of the same password. False: it is not the stored one any more.
    pub(super) fn rehash(&self, canonical: &str, old: &str, new: &str) -> Result<bool, EditError> {
        let changed = self.change(|document| {
            let index = position(document, canonical)?.ok_or(EditError::Unknown)?;
            let stored = users(document)?.get(index).and_then(|user| text(*user, "password").map(str::to_owned));
            if stored.as_deref() != Some(old) {
                return Err(EditError::Unknown);
            }
            set(document, index, new);
            Ok(())
        });
        match changed {
            Ok(()) => Ok(true),
            Err(EditError::Unknown) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Reads, changes and replaces the file while its folder is locked: the file itself is replaced, so that a lock on
    /// it would be a lock on the old one.
    fn change(&self, change: impl FnOnce(&mut DocumentMut) -> Result<(), EditError>) -> Result<(), EditError> {
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = File::open(folder_of(&path))?;
        folder.lock()?;
        let old = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error.into()),
        };
        let mut document = parse(&old)?;
        change(&mut document)?;
        replace(&path, &document.to_string())?;
        Ok(folder.sync_all()?)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(".users").tempfile_in(folder_of(path))?;
    file.write_all(text.as_bytes())?;
    if let Ok(old) = fs::metadata(path) {
        // Only root may give a file away; for anybody else the new file is its own.
        let _ = fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let line = |span: std::ops::Range<usize>| {
            1 + text.as_bytes()[..span.start.min(text.len())].iter().filter(|b| **b == b'\n').count()
        };
        EditError::Syntax(error.span().map(line))
    })
}

fn users(document: &DocumentMut) -> Result<Vec<&dyn TableLike>, EditError> {
    let users = match document.get("users") {
        None => return Ok(Vec::new()),
        Some(Item::ArrayOfTables(tables)) => tables.iter().map(|table| Some(table as &dyn TableLike)).collect(),
        Some(Item::Value(Value::Array(array))) => {
            array.iter().map(|user| user.as_inline_table().map(|table| table as &dyn TableLike)).collect()
        }
        Some(_) => None,
    };
    users.ok_or(EditError::NoList)
}

fn position(document: &DocumentMut, name: &str) -> Result<Option<usize>, EditError> {
    let is = |user: &&dyn TableLike| text(*user, "name").and_then(canonical).as_deref() == Some(name);
    Ok(users(document)?.iter().position(is))
}

fn push(document: &mut DocumentMut, fields: &[(&str, &str)]) -> Result<(), EditError> {
    let users = document.entry("users").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    match users {
        Item::ArrayOfTables(tables) => {
            let mut table: Table = fields.iter().map(|(key, text)| (*key, value(*text))).collect();
            if !tables.is_empty() {
                table.decor_mut().set_prefix("\n");
            }
            tables.push(table);
        }
        Item::Value(Value::Array(array)) => array.push(fields.iter().copied().collect::<InlineTable>()),
        _ => return Err(EditError::NoList),
    }
    Ok(())
}

/// The new hash stands where the old one stood, with the comment behind it.
fn set(document: &mut DocumentMut, index: usize, hash: &str) {
    let user = document.get_mut("users").and_then(|users| users.get_mut(index));
    if let Some(password) = user.and_then(|user| user.get_mut("password")).and_then(Item::as_value_mut) {
        let decor = password.decor().clone();
        *password = hash.into();
        *password.decor_mut() = decor;
    }
}

fn text<'a>(user: &'a dyn TableLike, key: &str) -> Option<&'a str> {
    user.get(key).and_then(Item::as_str)
}

fn listed(user: &dyn TableLike) -> Listed {
    let hash = text(user, "password").and_then(|hash| StoredHash::parse(hash).ok());
    Listed {
        name: text(user, "name").unwrap_or_default().to_owned(),
        role: text(user, "role").unwrap_or("user").to_owned(),
        hash: hash.map_or("invalid", |hash| hash.kind()),
    }
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
            Self::Syntax(Some(line)) => write!(f, "line {line} is not TOML"),
            Self::Syntax(None) => f.write_str("the file is not TOML"),
            Self::NoList => f.write_str("users is no list of tables; write [[users]] above each user"),
            Self::BadName => {
                f.write_str("that can't be a user's name; a name is LOCAL or LOCAL@DOMAIN, without spaces")
            }
            Self::Exists => f.write_str("there is a user with that name"),
            Self::Unknown => f.write_str("there is no user with that name"),
        }
    }
}

impl std::error::Error for EditError {}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
