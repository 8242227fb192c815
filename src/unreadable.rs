//! Says of a file that was named and cannot be read: where it was looked for, why, and what to do. Knows not what is in it.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::plain_file;

/// What is wrong and what to do; `make` is how to come by such a file, or by the right one.
pub(crate) fn explain(path: &Path, error: &io::Error, make: &str) -> (String, String) {
    let what = format!("{}: {error}", sought(path));
    let fix = match error.kind() {
        ErrorKind::NotFound if path.is_relative() => {
            format!("relative paths start at the working directory: give the absolute path, or {make}")
        }
        ErrorKind::PermissionDenied => {
            "let the user that the gateway runs as read it: mode 0640 and that user's group, and enter its folders"
                .into()
        }
        ErrorKind::IsADirectory => "name a file in it".into(),
        ErrorKind::InvalidData => "save the file as UTF-8".into(),
        _ => plain_file::remedy(error).unwrap_or(make).into(),
    };
    (what, fix)
}

/// A path as it was written and, where that says less, where it leads from the working directory.
fn sought(path: &Path) -> String {
    match std::path::absolute(path) {
        Ok(absolute) if path.is_relative() => format!("{}, looked for at {}", path.display(), absolute.display()),
        _ => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(path: &str, kind: ErrorKind) -> String {
        explain(Path::new(path), &kind.into(), "make one").1
    }

    #[test]
    fn a_relative_path_is_told_with_where_it_leads() {
        let here = std::env::current_dir().unwrap();
        let (what, fix) = explain(Path::new("a/b.pem"), &ErrorKind::NotFound.into(), "make one");
        assert!(what.starts_with(&format!("a/b.pem, looked for at {}/a/b.pem: ", here.display())), "{what}");
        assert!(fix.starts_with("relative paths start at the working directory") && fix.ends_with(", or make one"));
        assert!(explain(Path::new("/a"), &ErrorKind::NotFound.into(), "make one").0.starts_with("/a: "));
        assert_eq!(self::fix("/a/b.pem", ErrorKind::NotFound), "make one");
    }

    #[test]
    fn what_is_there_needs_another_mode_or_name_and_not_another_file() {
        for path in ["a", "/a"] {
            assert!(fix(path, ErrorKind::PermissionDenied).contains("mode 0640"));
            assert_eq!(fix(path, ErrorKind::IsADirectory), "name a file in it");
            assert_eq!(fix(path, ErrorKind::InvalidData), "save the file as UTF-8");
            assert!(fix(path, ErrorKind::InvalidInput).starts_with("name a regular file"));
        }
    }
}
