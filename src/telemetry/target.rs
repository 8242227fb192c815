//! Where lines are written: a standard stream, or a file that can be opened anew. Knows nothing of what they say.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A place for lines, as configured.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Stdout,
    Stderr,
    File(PathBuf),
}

/// An open place.
pub(super) struct Target {
    path: Option<PathBuf>,
    out: Box<dyn Write + Send>,
    /// Whether what was written last ended inside a line.
    torn: bool,
}

impl Target {
    /// Opens the place; a file is appended to.
    ///
    /// # Errors
    /// What the system says of the file.
    pub(super) fn open(place: Place) -> io::Result<Self> {
        Ok(match place {
            Place::Stdout => Self { path: None, out: Box::new(io::stdout()), torn: false },
            Place::Stderr => Self { path: None, out: Box::new(io::stderr()), torn: false },
            Place::File(path) => Self { out: Box::new(append(&path)?), path: Some(path), torn: false },
        })
    }

    #[cfg(test)]
    pub(super) fn into(out: impl Write + Send + 'static) -> Self {
        Self { path: None, out: Box::new(out), torn: false }
    }

    /// Opens a file anew, for logrotate; where that fails, the old one stays.
    pub(super) fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match append(path) {
            Ok(file) => self.out = Box::new(file),
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "a log is not opened anew, the old file stays");
            }
        }
    }

    /// Writes from the front of `bytes`, and takes out what was written, also where the rest could not be.
    ///
    /// # Errors
    /// What the system says of the first byte that is left.
    pub(super) fn write_out(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.out.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.torn = bytes.drain(..written).next_back() != Some(b'\n'),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.flush()
    }

    /// Of bytes that were left: those that belong to a line whose beginning was written.
    pub(super) fn rest_of_line<'a>(&self, left: &'a [u8]) -> &'a [u8] {
        let end = left.iter().position(|byte| *byte == b'\n').map_or(left.len(), |at| at + 1);
        if self.torn { &left[..end] } else { &[] }
    }
}

/// A new file is for the owner and a group of log readers: its lines hold names and addresses. One that is there keeps its mode.
fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// On one line whatever it holds: controls, line separators and what can't be printed are escaped, and spaces, which separate.
pub(super) fn escaped(text: &str) -> String {
    text.escape_debug().to_string().replace(' ', "\\u{20}")
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_is_not_for_everybody_and_an_old_one_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let mut target = Target::open(Place::File(path.clone())).unwrap();
        assert_eq!(mode() & 0o137, 0, "{:o}", mode());
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        target.reopen();
        assert_eq!(mode(), 0o644);
        fs::remove_file(&path).unwrap();
        target.reopen();
        assert_eq!(mode() & 0o137, 0, "{:o}", mode());
    }
}
