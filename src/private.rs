//! Files that hold secrets and should be for their owner's eyes alone. Knows not what is in them.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Warns about a file that all others can read or change; how many bytes it has. A group of its own is how Kubernetes (fsGroup)
/// and systemd hand secrets over.
///
/// # Errors
/// What the system says of the file; that it is a folder, of which there is nothing to warn.
pub(crate) fn warn_if_open(what: &str, (path, file): (&Path, &File)) -> io::Result<u64> {
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        tracing::warn!(path = %path.display(), "others can read {what}, mode {mode:o}; chmod 640 or 600");
    }
    Ok(metadata.len())
}
