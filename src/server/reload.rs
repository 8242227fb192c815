//! Changes the rules while the gateway runs: all that can change when it is asked for, users as soon as their file changes. What
//! is broken leaves in force what was before, whole, and every problem is said.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::tls::Tls;
use crate::config::{Config, Directory, Problems};
use crate::gateway::{Gateway, Rules};
use crate::panics::restarting_thread;
use crate::watch::Watch;

/// How often users files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long a file must stand still before it is read, so that one that is still being written is not taken for all there is.
const STAND_STILL: Duration = Duration::from_millis(500);

/// Reads the configuration again: with problems too there is one, to find out what else is wrong.
pub type Survey = Box<dyn FnOnce() -> Result<(Config, Problems), Problems> + Send>;

/// Asks for reloads; when nobody can any more, the thread that does them ends.
#[derive(Clone, Debug)]
pub(crate) struct Reloads(Sender<Survey>);

/// The thread that reads and replaces; nobody waits for it, so a disk that hangs holds nobody up.
pub(crate) struct Reloader {
    gateway: Weak<Gateway>,
    /// What runs.
    config: Config,
    users: Watch,
    tls: Option<Arc<Tls>>,
}

impl Reloads {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn start(mut reloader: Reloader) -> io::Result<Self> {
        let (sender, asked) = channel();
        std::thread::Builder::new()
            .name("reload".into())
            .spawn(move || restarting_thread("reload", || reloader.run(&asked)))?;
        Ok(Self(sender))
    }

    /// Asks for a reload, to be done soon.
    pub(crate) fn ask(&self, survey: Survey) {
        if self.0.send(survey).is_err() {
            tracing::error!("nothing is reloaded: the thread that does it is gone");
        }
    }
}

/// The users files of a configuration.
pub(crate) fn watch_users(directories: &[Directory]) -> Watch {
    Watch::new(directories.iter().map(|directory| directory.path.value.clone()))
}

impl Reloader {
    /// For a gateway that runs with that configuration; its users files are watched since before they were read.
    pub(crate) fn new(gateway: &Arc<Gateway>, tls: Option<Arc<Tls>>, (config, users): (Config, Watch)) -> Self {
        Self { gateway: Arc::downgrade(gateway), config, users, tls }
    }

    fn run(&mut self, asked: &Receiver<Survey>) {
        let mut moving = false;
        loop {
            match asked.recv_timeout(if moving { STAND_STILL } else { LOOK }) {
                Ok(survey) => self.reload(survey()),
                Err(RecvTimeoutError::Timeout) => moving = self.look(moving),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads the users once their files changed before this look and not since. Whether they are still changing.
    fn look(&mut self, moving: bool) -> bool {
        let changed = self.users.changed();
        if moving && !changed {
            self.reread_users();
        }
        changed
    }

    fn reload(&mut self, survey: Result<(Config, Problems), Problems>) {
        let (config, problems) = match survey {
            Ok(surveyed) => surveyed,
            Err(problems) => return refuse(&problems),
        };
        let Some(before) = self.rules() else { return };
        let (config, waiting) = config.at_runtime(&self.config);
        let users = watch_users(&config.directories);
        let Fresh { rules, tls } = match read(&config, &before, problems) {
            Ok(fresh) => fresh,
            Err(problems) => return refuse(&problems),
        };
        let ended = self.enforce(rules);
        if let Some((live, fresh)) = self.tls.as_ref().zip(tls) {
            live.replace(fresh);
        }
        (self.config, self.users) = (config, users);
        for key in waiting {
            tracing::warn!("{key} has changed: that takes effect at the next start");
        }
        tracing::info!(sessions_ended = ended, "reloaded");
    }

    fn reread_users(&self) {
        let Some(before) = self.rules() else { return };
        let mut problems = Problems::default();
        let directories = Arc::new(before.directories.reread(&mut problems));
        let ended = self.enforce(Rules { directories, ..Rules::clone(&before) });
        if problems.is_empty() {
            tracing::info!(sessions_ended = ended, "users files have changed and were read again");
        } else {
            say(&problems);
            tracing::error!("users stay as they were where their file is broken");
        }
    }

    /// The gateway is not held while files are read, which may take for ever: it ends when the last worker does.
    fn rules(&self) -> Option<Arc<Rules>> {
        self.gateway.upgrade().map(|gateway| gateway.rules())
    }

    fn enforce(&self, rules: Rules) -> usize {
        self.gateway.upgrade().map_or(0, |gateway| gateway.enforce(rules))
    }
}

/// What was read and is not in force yet.
struct Fresh {
    rules: Rules,
    tls: Option<Tls>,
}

/// Reads everything that the configuration names, or says everything that is wrong with it and with them.
fn read(config: &Config, before: &Rules, mut problems: Problems) -> Result<Fresh, Problems> {
    let mut more = Problems::default();
    let tls = config.tls.as_ref().and_then(|tls| Tls::load(tls, &mut more));
    let rules = Rules::build(config, Some(before), &mut more);
    problems.merge(more);
    rules.filter(|_| problems.is_empty()).map(|rules| Fresh { rules, tls }).ok_or(problems)
}

fn refuse(problems: &Problems) {
    say(problems);
    tracing::error!(problems = problems.iter().count(), "nothing was reloaded: what ran before runs on");
}

fn say(problems: &Problems) {
    for problem in problems.iter() {
        tracing::error!("{problem}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::auth::Now;
    use crate::config;
    use crate::directory::{Principal, Role};

    const USERS: &str = "[[users]]\nname = \"a\"\npassword = \"a1:0123456789abcdef0123456789abcdef\"\n";

    fn configured(folder: &Path) -> Config {
        let folder = folder.display();
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = false\n[tokens]\nsecret_files = [\"{folder}/key\"]\n\
             [[directories]]\nkind = \"file\"\npath = \"{folder}/users\"\n[[routes]]\npath = \"/\"\naccess = \"deny\"\n\
             [upstreams.a]\nservers = [\"http://127.0.0.1:9\"]\n"
        );
        config::parse(&text, Path::new("g.toml"), std::iter::empty()).unwrap()
    }

    #[test]
    fn a_file_that_is_still_being_written_ends_nobodys_session() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("users");
        fs::write(folder.path().join("key"), [7; 32]).unwrap();
        fs::write(&users, USERS).unwrap();
        let config = configured(folder.path());
        let watch = watch_users(&config.directories);
        let gateway = Arc::new(Gateway::build(&config, &mut Problems::default()).unwrap());
        let mut reloader = Reloader::new(&gateway, None, (config, watch));
        let principal = Principal { name: "a".into(), role: Role::User, attributes: serde_json::Map::new() };
        gateway.sessions().issue(principal, &gateway.rules().ring, Now::read()).unwrap();

        let mut moving = reloader.look(false);
        for written in ["", "# half", &USERS[..20], USERS] {
            fs::write(&users, written).unwrap();
            moving = reloader.look(moving);
            assert!(moving && gateway.sessions().len() == 1, "{written}");
        }
        assert!(!reloader.look(moving) && gateway.sessions().len() == 1);

        fs::write(&users, "").unwrap();
        assert!(reloader.look(false) && gateway.sessions().len() == 1);
        assert!(!reloader.look(true) && gateway.sessions().is_empty(), "empty, and it stays so");
    }
}
