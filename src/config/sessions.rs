//! Sessions, the directories that know users, and the login between the two.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::file::file_path;
use super::findings::Wrong;
use super::problem::Located;
use super::section::Section;
use super::settings::{Directory, Login, RoleNumbering, Sessions, Throttle};
use super::value::{cores, optional_duration, positive_duration};

const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// `[sessions]`.
pub(super) fn sessions(section: &mut Section<'_>) -> Sessions {
    section.unsupported_choice("store", &["memory", "file", "redis"]);
    section.unsupported("file");
    section.unsupported("redis");
    let is_written = section.has("lifetime");
    let lifetime = section.parsed("lifetime", positive_duration).map(|lifetime| lifetime.value);
    // Beside a lifetime that could not be read, no idle timeout is too long.
    let longest = lifetime.unwrap_or(if is_written { Duration::MAX } else { LIFETIME });
    Sessions {
        lifetime: lifetime.unwrap_or(LIFETIME),
        idle_timeout: section.parsed_or("idle_timeout", None, |text| idle_timeout(text, longest)),
        per_user: section.count_or("per_user", 100, 1_000_000),
        max: section.count_or("max", 10_000_000, 1_000_000_000),
    }
}

/// None that would outlast every session, and so end none.
fn idle_timeout(text: &str, lifetime: Duration) -> Result<Option<Duration>, Wrong> {
    match optional_duration(text)? {
        Some(idle) if idle > lifetime => {
            let what = format!("longer than sessions.lifetime, {}", humantime::format_duration(lifetime));
            Err(Wrong::new(what, "make it shorter, or remove it"))
        }
        idle => Ok(idle),
    }
}

/// `[[directories]]`: at least one.
pub(super) fn directories(root: &mut Section<'_>) -> Vec<Directory> {
    root.sections("directories", directory).unwrap_or_else(|| {
        root.missing("directories", "add [[directories]] with kind = \"file\" and the path of a users file");
        Vec::new()
    })
}

fn directory(section: &mut Section<'_>) -> Directory {
    section.unsupported_choice("kind", &["file", "postgres", "ldap", "webitel"]);
    let default = Located { value: "config/users.toml".into(), place: section.place().clone() };
    Directory { path: section.parsed("path", file_path).unwrap_or(default), rehash: section.flag_or("rehash", true) }
}

/// `[login]`.
pub(super) fn login(section: &mut Section<'_>) -> Login {
    section.unsupported("whoami");
    // One core stays free for those who are logged in already.
    let most = NonZeroUsize::new(cores().get() - 1).unwrap_or(NonZeroUsize::MIN);
    let numberings = [("contract", RoleNumbering::Contract), ("engine", RoleNumbering::Engine)];
    Login {
        hide_unknown_users: section.flag_or("hide_unknown_users", false),
        role_numbering: section.choice_or("role_numbering", RoleNumbering::Contract, &numberings),
        concurrency: section.threads_or("concurrency", most),
        queue: section.number_or("queue", 64, 0..=1_000_000),
        queue_timeout: section.parsed_or("queue_timeout", Duration::from_secs(5), positive_duration),
        throttle: section.section("throttle", throttle),
    }
}

fn throttle(section: &mut Section<'_>) -> Throttle {
    let mut failures = |key, default| {
        let number = section.number_or(key, default, 1..=1_000_000);
        NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
    };
    Throttle {
        per_user: failures("per_user", 5),
        per_network: failures("per_network", 100),
        window: section.parsed_or("window", Duration::from_secs(15 * 60), positive_duration),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};
    use super::*;

    #[test]
    fn defaults_of_sessions_directories_and_login() {
        let config = good("[[directories]]\n");
        assert_eq!(config.sessions.lifetime, Duration::from_secs(86_400));
        assert_eq!((config.sessions.per_user.get(), config.sessions.max.get()), (100, 10_000_000));
        assert_eq!(config.sessions.idle_timeout, None);
        assert_eq!(config.directories[1].path.value.to_str(), Some("config/users.toml"));
        assert!(config.directories[0].rehash && !config.login.hide_unknown_users);
        assert_eq!(config.login.concurrency.get(), (cores().get() - 1).max(1));
        assert_eq!((config.login.queue, config.login.queue_timeout), (64, Duration::from_secs(5)));
    }

    #[test]
    fn a_throttle_is_always_there_and_has_its_own_numbers() {
        let numbers = |throttle: &Throttle| (throttle.per_user.get(), throttle.per_network.get(), throttle.window);
        assert_eq!(numbers(&good("").login.throttle), (5, 100, Duration::from_secs(900)));
        let login = good("[login]\nthrottle = { per_user = 3, window = \"1h\" }\n").login;
        assert_eq!(numbers(&login.throttle), (3, 100, Duration::from_secs(3600)));
        assert_eq!(
            bad("[login]\nthrottle = { per_user = 0, per_network = \"x\", window = \"0s\", per_users = 1 }\n"),
            [
                "login.throttle.per_user: 0 is out of range; give a number from 1 to 1000000",
                "login.throttle.per_network: wants a whole number, not a text; give a number such as 100, without quotes",
                "login.throttle.window: zero would let nothing through; give a duration such as \"10s\"",
                "login.throttle.per_users: unknown key; did you mean \"per_user\"?",
            ]
        );
        assert_eq!(bad("[login]\nthrottle = false\n").len(), 1);
    }

    #[test]
    fn an_idle_timeout_that_would_outlast_every_session_is_refused() {
        let idle = |text: &str| good(text).sessions.idle_timeout;
        assert_eq!(idle("[sessions]\nidle_timeout = \"1d\"\n"), Some(LIFETIME));
        assert_eq!(idle("[sessions]\nlifetime = \"30d\"\nidle_timeout = \"2d\"\n"), Some(2 * LIFETIME));
        assert_eq!(
            bad("[sessions]\nidle_timeout = \"25h\"\n"),
            ["sessions.idle_timeout: longer than sessions.lifetime, 1day; make it shorter, or remove it"]
        );
        let problems = bad("[sessions]\nlifetime = \"30\"\nidle_timeout = \"2d\"\n");
        assert!(problems.len() == 1 && problems[0].starts_with("sessions.lifetime: "), "{problems:?}");
    }

    #[test]
    fn words_are_recognised() {
        let login =
            good("[login]\nrole_numbering = \"engine\"\nconcurrency = 3\n[sessions]\nidle_timeout = \"30m\"\n").login;
        assert_eq!((login.role_numbering, login.concurrency.get()), (RoleNumbering::Engine, 3));
        assert_eq!(
            bad("[sessions]\nstore = \"memroy\"\n"),
            ["sessions.store: \"memroy\" is not known; did you mean \"memory\"?"]
        );
        let kind = |kind: &str| bad(&format!("[[directories]]\nkind = \"{kind}\"\npath = \"b.toml\"\n")).concat();
        assert!(kind("ldap").ends_with("not supported by this build yet; say \"file\", which is what there is"));
        assert!(kind("sqlite").ends_with("\"sqlite\" is not known; use one of: file"));
    }
}
