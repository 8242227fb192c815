//! The file of a Unix socket: made where nobody listens, open to the gateway's user and group, removed at the end.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, chmod};
use socket2::{Domain, SockAddr, Socket, Type};

use super::socket::BACKLOG;

/// Connecting takes the right to write: the user that the gateway runs as, and its group.
const MODE: u32 = 0o660;

/// A socket's file; dropped, it is removed if it is still the one that was made.
#[derive(Debug)]
pub(super) struct UnixFile {
    path: PathBuf,
    identity: Identity,
}

/// Device, inode, and when it was made, for inodes are used again.
type Identity = (u64, u64, i64, i64);

impl UnixFile {
    /// Binds and listens. A socket's file that nobody listens on is what a process left that was killed: it is replaced.
    ///
    /// # Errors
    /// `AddrInUse` when somebody listens there, or what is there is no socket; else what the kernel says.
    pub(super) fn bind(path: &Path) -> io::Result<(UnixListener, Self)> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        let address = SockAddr::unix(path)?;
        if let Err(error) = socket.bind(&address) {
            if error.kind() != io::ErrorKind::AddrInUse {
                return Err(error);
            }
            remove_stale(path)?;
            socket.bind(&address)?;
        }
        let file = Self { identity: identity(path)?, path: path.to_owned() };
        // Nobody can connect before it listens, so nobody meets another mode.
        chmod(path, Mode::from_raw_mode(MODE))?;
        socket.listen(BACKLOG)?;
        Ok((socket.into(), file))
    }
}

impl Drop for UnixFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _gone_already = std::fs::remove_file(&self.path);
        }
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let in_use = |what| Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    if !std::fs::symlink_metadata(path)?.file_type().is_socket() {
        return in_use("what is there is no socket; name another path, or remove it");
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => in_use("another process listens there"),
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_file_is_the_owners_and_goes_with_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let (_socket, file) = UnixFile::bind(&path).unwrap();
        assert_eq!(mode(&path), MODE);
        assert!(UnixStream::connect(&path).is_ok());
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_process_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let (socket, file) = UnixFile::bind(&path).unwrap();
        drop(socket);
        // Keeps the inode from being used again within the same tick of the clock.
        std::fs::hard_link(&path, folder.path().join("kept")).unwrap();
        let (_socket, new) = UnixFile::bind(&path).unwrap();
        drop(file);
        assert!(path.exists(), "the old one removes its own file only");
        drop(new);
        assert!(!path.exists());
    }

    #[test]
    fn what_somebody_needs_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (taken, text) = (folder.path().join("taken.sock"), folder.path().join("text"));
        let (_socket, _file) = UnixFile::bind(&taken).unwrap();
        std::fs::write(&text, "precious").unwrap();
        for (path, why) in [(&taken, "another process listens there"), (&text, "what is there is no socket")] {
            let error = UnixFile::bind(path).unwrap_err();
            assert!(error.kind() == io::ErrorKind::AddrInUse && error.to_string().contains(why), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&text).unwrap(), "precious");
        let nowhere = UnixFile::bind(&folder.path().join("no/such.sock")).unwrap_err();
        assert_eq!(nowhere.kind(), io::ErrorKind::NotFound);
    }
}
