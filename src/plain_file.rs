//! Reads the files that the gateway is configured by: regular ones, up to a size, so that none holds a reload up for ever or fills
//! the memory. Knows not what is in them.

use std::fs::{File, FileType};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// More than any configuration, certificate chain or bundle of authorities has.
pub(crate) const LONGEST_TEXT: u64 = 1 << 20;

/// What the last, small reading finds room in, so that a buffer of the right size does not grow.
const SPARE: usize = 32;

/// All of a file that has at most `most` bytes.
///
/// # Errors
/// What the system says of it; `InvalidInput` for what is no regular file, `FileTooLarge`: see [`remedy`].
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    all_of(open(path)?, most)
}

/// As [`read`], and warns about a file that all others can read or change. A group of its own is how Kubernetes (fsGroup) and
/// systemd hand secrets over.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_private(what: &str, path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        tracing::warn!(path = %path.display(), "others can read {what}, mode {mode:o}; chmod 640 or 600");
    }
    all_of(file, most)
}

/// What was read, as text.
///
/// # Errors
/// `InvalidData` where it is not UTF-8.
pub(crate) fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// What to do about a file that this module itself refused.
pub(crate) fn remedy(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::InvalidInput => Some("name a regular file, which can be read again at every reload"),
        ErrorKind::FileTooLarge => Some("name the right file, or make it smaller"),
        _ => None,
    }
}

/// Without waiting: to open a named pipe would take until somebody writes into it.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if kind.is_file() { Ok(file) } else { Err(irregular(kind)) }
}

fn irregular(kind: FileType) -> io::Error {
    let what = if kind.is_fifo() { "a pipe" } else { "a device" };
    io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a regular file"))
}

/// Room for all from the start: a buffer that grows leaves its bytes, which may be a secret's, behind.
fn all_of(file: File, most: u64) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len().min(most);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + SPARE);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= most { Ok(bytes) } else { Err(too_large(most)) }
}

fn too_large(most: u64) -> io::Error {
    let bound = if most < 1 << 20 { format!("{} KiB", most >> 10) } else { format!("{} MiB", most >> 20) };
    io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {bound}"))
}

/// Makes a named pipe, which nobody writes into.
#[cfg(test)]
pub(crate) fn make_pipe(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> (String, Option<&'static str>) {
        let error = read(path, 2 << 10).unwrap_err();
        (error.to_string(), remedy(&error))
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        make_pipe(&pipe);
        let fix = Some("name a regular file, which can be read again at every reload");
        assert_eq!(refused(&pipe), ("it is a pipe, not a regular file".into(), fix));
        assert_eq!(refused(Path::new("/dev/zero")), ("it is a device, not a regular file".into(), fix));
        assert_eq!(read(folder.path(), 1).unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(read(&folder.path().join("none"), 1).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(read_private("a secret", &pipe, 1).is_err());
    }

    #[test]
    fn as_much_is_read_as_may_be_and_not_a_byte_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 2048]).unwrap();
        assert_eq!(read(&path, 2048).unwrap(), [7; 2048]);
        std::fs::write(&path, [7; 2049]).unwrap();
        assert_eq!(refused(&path), ("it is larger than 2 KiB".into(), Some("name the right file, or make it smaller")));
        let endless = File::options().write(true).open(&path).unwrap();
        endless.set_len(1 << 40).unwrap();
        assert_eq!(read(&path, LONGEST_TEXT).unwrap_err().to_string(), "it is larger than 1 MiB");
    }
}
