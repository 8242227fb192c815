//! Notices that files changed, also when an editor renames one over another or Kubernetes swaps the link that leads to it.

use std::path::{Path, PathBuf};

use rustix::fs::{Stat, stat};

/// Files whose changes are noticed by looking: notifications miss what a changed link leads to, and network file systems.
#[derive(Debug)]
pub(crate) struct Watch(Vec<(PathBuf, Option<Stamp>)>);

impl Watch {
    /// Watches from now on.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self(paths.into_iter().map(|path| (Stamp::of(&path), path)).map(|(stamp, path)| (path, stamp)).collect())
    }

    /// Whether any of them is another file, or says something else, than when this was last asked.
    pub(crate) fn changed(&mut self) -> bool {
        let mut changed = false;
        for (path, seen) in &mut self.0 {
            let now = Stamp::of(path);
            changed |= now != *seen;
            *seen = now;
        }
        changed
    }
}

/// What tells two versions of a file apart: which file it is, and when its content or name last changed. `None` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        stat(path).ok().map(|stat: Stat| Self {
            file: (stat.st_dev, stat.st_ino),
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_write_a_rename_a_swapped_link_and_a_removal_are_noticed_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("one")).unwrap();
        fs::create_dir(at("two")).unwrap();
        fs::write(at("one/file"), "same").unwrap();
        fs::write(at("two/file"), "same").unwrap();
        symlink("one", at("data")).unwrap();
        let mut watch = Watch::new([at("data/file")]);
        assert!(!watch.changed());

        fs::write(at("one/file"), "longer").unwrap();
        assert!(watch.changed());
        assert!(!watch.changed());

        fs::write(at("one/new"), "longer").unwrap();
        fs::rename(at("one/new"), at("one/file")).unwrap();
        assert!(watch.changed());

        symlink("two", at("next")).unwrap();
        fs::rename(at("next"), at("data")).unwrap();
        assert!(watch.changed());

        fs::remove_file(at("two/file")).unwrap();
        assert!(watch.changed());
        assert!(!watch.changed());
    }
}
