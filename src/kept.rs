//! Keeps what was read from files and reads it again when they change; what cannot be read leaves the last good one in use.

use std::path::PathBuf;

use crate::config::Problems;
use crate::watch::Watch;

/// How many looks, a second apart, changed files get before they are complained about: a certificate and its key are two
/// files, and are seldom replaced in one step.
const LOOKS: u8 = 3;

/// A value, the files it was read from, and how patient it still is with them.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    value: T,
    watch: Watch,
    looks: u8,
}

impl<T> Kept<T> {
    /// Reads for the first time; again only if the files changed meanwhile.
    pub(crate) fn read(
        paths: impl IntoIterator<Item = PathBuf>,
        problems: &mut Problems,
        read: impl Fn(&mut Problems) -> Option<T>,
    ) -> Option<Self> {
        let mut watch = Watch::new(paths);
        for look in 1..=LOOKS {
            let mut found = Problems::default();
            if let Some(value) = read(&mut found) {
                return Some(Self { value, watch, looks: 0 });
            }
            if look == LOOKS || !watch.changed() {
                found.iter().for_each(|problem| problems.add(&problem.place, &problem.what, &problem.fix));
                break;
            }
        }
        None
    }

    /// The last good one.
    pub(crate) fn value(&self) -> &T {
        &self.value
    }

    /// Reads again if the files changed, to be asked once a second. True when there is a new value.
    ///
    /// # Errors
    /// What is wrong with files that stayed wrong; the last good value stays, and nothing more is said until they change again.
    pub(crate) fn refresh(&mut self, read: impl FnOnce(&mut Problems) -> Option<T>) -> Result<bool, Problems> {
        if self.watch.changed() && self.looks == 0 {
            self.looks = LOOKS;
        }
        if self.looks == 0 {
            return Ok(false);
        }
        let mut problems = Problems::default();
        if let Some(value) = read(&mut problems) {
            self.value = value;
            self.looks = 0;
            return Ok(true);
        }
        self.looks -= 1;
        if self.looks == 0 { Err(problems) } else { Ok(false) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::Place;

    fn number(path: &Path, problems: &mut Problems) -> Option<i32> {
        let number = fs::read_to_string(path).ok()?.parse().ok();
        if number.is_none() {
            problems.add(&Place::whole(path), "no number", "write one");
        }
        number
    }

    #[test]
    fn what_stays_wrong_is_said_once_and_the_last_good_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let read = |problems: &mut Problems| number(&path, problems);
        let mut kept = Kept::read([path.clone()], &mut Problems::default(), read).unwrap();
        assert_eq!(kept.refresh(read), Ok(false));

        fs::write(&path, "none at all").unwrap();
        assert_eq!((kept.refresh(read), kept.refresh(read)), (Ok(false), Ok(false)));
        assert!(kept.refresh(read).unwrap_err().to_string().contains("no number; write one"));
        assert_eq!((kept.refresh(read), *kept.value()), (Ok(false), 1));

        fs::write(&path, "22").unwrap();
        assert_eq!((kept.refresh(read), *kept.value()), (Ok(true), 22));
    }

    #[test]
    fn files_caught_between_two_steps_are_read_again_without_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let read = |problems: &mut Problems| number(&path, problems);
        let mut kept = Kept::read([path.clone()], &mut Problems::default(), read).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(kept.refresh(read), Ok(false));
        fs::write(&path, "333").unwrap();
        assert_eq!((kept.refresh(read), *kept.value()), (Ok(true), 333));
    }

    #[test]
    fn a_first_reading_that_fails_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "x").unwrap();
        let mut problems = Problems::default();
        assert!(Kept::read([path.clone()], &mut problems, |problems| number(&path, problems)).is_none());
        assert_eq!(problems.iter().count(), 1);
    }
}
