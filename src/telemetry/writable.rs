//! Whether a log's file can be written, found out without making it. Knows nothing of what is written.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::config::{self, Located, Log, Problems};

/// Adds a problem for each log of `[log]` that is a file and could not be opened.
pub(crate) fn check(log: &Log, problems: &mut Problems) {
    if let config::AccessLog::File(file) = &log.access {
        check_file("log.access", file, problems);
    }
    if let config::AuditLog::File(file) = &log.audit {
        check_file("log.audit", file, problems);
    }
}

fn check_file(key: &str, file: &Located<PathBuf>, problems: &mut Problems) {
    if let Some((what, fix)) = obstacle(&file.value) {
        problems.add(&file.place, format!("{key}: {what}"), fix);
    }
}

fn obstacle(path: &Path) -> Option<(String, &'static str)> {
    const ALLOW: &str = "let the user that the gateway runs as write there";
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Some((format!("{shown} is a folder"), "name a file in it")),
        Ok(_) => access(path, Access::WRITE_OK).err().map(|error| (format!("{shown}: {error}"), ALLOW)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let error = access(folder, Access::WRITE_OK | Access::EXEC_OK).err()?;
            let fix = if folder.exists() { ALLOW } else { "create the folder, or name another file" };
            Some((format!("{}: {error}", folder.display()), fix))
        }
        Err(error) => Some((format!("{shown}: {error}"), "name another file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_could_not_be_opened_is_told_and_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("there.log"), "kept").unwrap();
        assert_eq!(obstacle(&at("there.log")), None);
        assert_eq!(obstacle(&at("new.log")), None);
        assert!(!at("new.log").exists(), "looking makes no file");
        assert_eq!(obstacle(Path::new("new.log")), None, "in the folder that the gateway is started in");
        assert!(obstacle(folder.path()).unwrap().0.ends_with(" is a folder"));
        assert_eq!(obstacle(&at("none/a.log")).unwrap().1, "create the folder, or name another file");
        assert_eq!(obstacle(&at("there.log/a.log")).unwrap().1, "name another file");
    }
}
