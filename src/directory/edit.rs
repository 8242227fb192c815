//! Changing a users file: one change at a time, comments kept, all or nothing. Knows no logins and no terminal.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use toml_edit::DocumentMut;

use super::document::{Listed, hash_of, listed, names, parse, position, push, remove, set_hash, users};
use super::edit_error::EditError;
use super::hash::StoredHash;
use super::{LARGEST, Newcomer, Password, Role, canonical};
use crate::config::Problems;
use crate::plain_file;

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

    /// Adds all of them, or none where there is a problem, as with one that is in the file already; how many were added.
    ///
    /// # Errors
    /// [`EditError`]; [`EditError::Exists`] with every problem added.
    pub fn import(&self, newcomers: Vec<Newcomer>, problems: &mut Problems) -> Result<usize, EditError> {
        let broken = !problems.is_empty();
        // Where a line is wrong already nobody comes, and only what else is wrong is looked for.
        let hash = |newcomer: Newcomer| if broken { (newcomer, String::new()) } else { newcomer.hashed() };
        let hashed: Vec<_> = newcomers.into_iter().map(hash).collect();
        self.change(|document| {
            let known = names(document)?;
            for (newcomer, _) in hashed.iter().filter(|(newcomer, _)| known.contains(&newcomer.canonical)) {
                let what = format!("there is a user {:?} already", newcomer.canonical);
                problems.add(&newcomer.place, what, "leave the line out, or remove the user first");
            }
            if !problems.is_empty() {
                return Err(EditError::Exists);
            }
            for (newcomer, hash) in &hashed {
                push(document, &[("name", &newcomer.name), ("password", hash), ("role", newcomer.role.name())])?;
            }
            Ok(())
        })?;
        Ok(hashed.len())
    }

    /// The file's mode, where people read it whom its hashes are no business of.
    pub fn exposed(&self) -> Option<u32> {
        let mode = fs::metadata(&self.path).ok()?.mode() & 0o777;
        (mode & 0o006 != 0).then_some(mode)
    }

    /// Gives a user a new password.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn set_password(&self, name: &str, password: &Password) -> Result<(), EditError> {
        let canonical = canonical(name).ok_or(EditError::BadName)?;
        let hash = StoredHash::create(password);
        self.must_exist()?;
        self.change(|document| {
            let index = position(document, &canonical)?.ok_or(EditError::Unknown)?;
            set_hash(document, index, &hash);
            Ok(())
        })
    }

    /// Removes a user.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn remove(&self, name: &str) -> Result<(), EditError> {
        let canonical = canonical(name).ok_or(EditError::BadName)?;
        self.must_exist()?;
        self.change(|document| {
            let index = position(document, &canonical)?.ok_or(EditError::Unknown)?;
            remove(document, index);
            Ok(())
        })
    }

    /// The users in the order of the file.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn list(&self) -> Result<Vec<Listed>, EditError> {
        let document = understood(&self.path, &read_text(&self.path)?)?;
        Ok(users(&document)?.into_iter().map(listed).collect())
    }

    /// Replaces a hash by a better one of the same password. False: it is not the stored one any more, or somebody else is
    /// changing the file, for whom nobody waits here.
    pub(super) fn rehash(&self, canonical: &str, old: &str, new: &str) -> Result<bool, EditError> {
        let changed = self.change_if_free(|document| {
            let index = position(document, canonical)?.ok_or(EditError::Unknown)?;
            if users(document)?.get(index).and_then(|user| hash_of(*user)) != Some(old) {
                return Err(EditError::Unknown);
            }
            set_hash(document, index, new);
            Ok(())
        });
        match changed {
            Ok(()) => Ok(true),
            Err(EditError::Unknown | EditError::Busy) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A file that is missing is another slip than a name that is missing in it.
    fn must_exist(&self) -> io::Result<()> {
        fs::metadata(&self.path).map(|_| ())
    }

    /// Changes the file once nobody else does.
    fn change(&self, change: impl FnOnce(&mut DocumentMut) -> Result<(), EditError>) -> Result<(), EditError> {
        let (path, folder) = self.open_folder()?;
        folder.lock()?;
        replace_changed(&path, &folder, change)
    }

    /// Changes the file unless somebody else does.
    fn change_if_free(&self, change: impl FnOnce(&mut DocumentMut) -> Result<(), EditError>) -> Result<(), EditError> {
        let (path, folder) = self.open_folder()?;
        match folder.try_lock() {
            Ok(()) => replace_changed(&path, &folder, change),
            Err(TryLockError::WouldBlock) => Err(EditError::Busy),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The folder is what is locked: the file itself is replaced, so that a lock on it would be a lock on the old one.
    fn open_folder(&self) -> io::Result<(PathBuf, File)> {
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = folder_of(&path);
        let opened = File::open(folder).map_err(|error| no_folder(folder, error))?;
        Ok((path, opened))
    }
}

/// Reads, changes and replaces the file, while its folder is locked.
fn replace_changed(
    path: &Path,
    folder: &File,
    change: impl FnOnce(&mut DocumentMut) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let old = match read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error.into()),
    };
    let mut document = understood(path, &old)?;
    change(&mut document)?;
    replace(path, &document.to_string())?;
    Ok(folder.sync_all()?)
}

fn no_folder(folder: &Path, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), format!("{error}; make its folder first: mkdir -p {}", folder.display()))
        }
        _ => error,
    }
}

/// What cannot be understood is told as a gateway that reads the file tells it.
fn understood(path: &Path, text: &str) -> Result<DocumentMut, EditError> {
    let document = parse(text).and_then(|document| users(&document).map(|_| ()).map(|()| document));
    document.map_err(|error| {
        let mut problems = Problems::default();
        super::parse::parse(path, text, &mut problems);
        if problems.is_empty() { error } else { EditError::Broken(problems) }
    })
}

fn read_text(path: &Path) -> io::Result<String> {
    plain_file::text(plain_file::read(path, LARGEST)?)
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

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
