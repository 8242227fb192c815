//! The whole file: which sections there are, and the small ones that bound and name things.

use std::path::PathBuf;
use std::time::Duration;

use super::findings::{Findings, Wrong};
use super::listeners::{listeners, tls};
use super::network::{network, socket_address};
use super::problem::Located;
use super::routes::routes;
use super::section::Section;
use super::sessions::{directories, login, sessions};
use super::settings::{AccessLog, AuditLog, Config, ForwardedPolicy, Health, Limits, Log, LogFormat, Server, Tokens};
use super::tree::Table;
use super::upstreams::upstreams;
use super::value::{cores, duration, optional_duration, optional_size, positive_duration, quoted, size};
use super::web::{cors, identity};

/// Reads the whole tree. Only a result without findings is fit for use: where something is wrong, a default stands in.
pub(super) fn config(tree: Table, findings: &Findings) -> Config {
    Section::read(tree, (String::new(), findings.place(0)), findings, |root| {
        root.unsupported("admin");
        let upstreams = root.section("upstreams", upstreams);
        Config {
            listeners: listeners(root),
            tls: Some(root.section("tls", tls)),
            server: root.section("server", server),
            limits: root.section("limits", limits),
            tokens: root.section("tokens", tokens),
            sessions: root.section("sessions", sessions),
            directories: directories(root),
            login: root.section("login", login),
            cors: root.section_if("cors", cors),
            identity: root.section("identity", identity),
            routes: routes(root, &upstreams),
            upstreams,
            health: root.section_if("health", health),
            log: root.section("log", log),
        }
    })
}

fn server(section: &mut Section<'_>) -> Server {
    Server {
        workers: section.threads_or("workers", cores()),
        trusted_proxies: section.list_or("trusted_proxies", Vec::new(), network),
        forwarded: section.choice_or(
            "forwarded",
            ForwardedPolicy::Replace,
            &[("replace", ForwardedPolicy::Replace), ("append", ForwardedPolicy::Append)],
        ),
        drain_delay: section.parsed_or("drain_delay", Duration::ZERO, duration),
        drain_timeout: section.parsed_or("drain_timeout", Duration::from_secs(20), duration),
    }
}

fn limits(section: &mut Section<'_>) -> Limits {
    let seconds = Duration::from_secs;
    Limits {
        connections: section.count_or("connections", 20_000, 10_000_000),
        connections_per_peer: section.optional_count("connections_per_peer", 10_000_000),
        streams: section.number_or("streams", 200, 1..=1_000_000),
        header_bytes: section.parsed_or("header_bytes", 32 << 10, header_bytes),
        body_bytes: section.parsed_or("body_bytes", None, optional_size),
        handshake_timeout: section.parsed_or("handshake_timeout", seconds(10), positive_duration),
        header_timeout: section.parsed_or("header_timeout", seconds(10), positive_duration),
        body_idle_timeout: section.parsed_or("body_idle_timeout", seconds(60), positive_duration),
        keepalive_timeout: section.parsed_or("keepalive_timeout", seconds(75), positive_duration),
        tunnel_idle_timeout: section.parsed_or("tunnel_idle_timeout", None, optional_duration),
    }
}

/// A request with a session needs a few hundred bytes; over 16 MiB a head is an attack, not a request.
fn header_bytes(text: &str) -> Result<usize, Wrong> {
    let bytes = size(text)?;
    usize::try_from(bytes).ok().filter(|bytes| (1 << 10..=16 << 20).contains(bytes)).ok_or_else(|| {
        Wrong::new(format!("{} is out of range", quoted(text)), "give a size from \"1KiB\" to \"16MiB\"")
    })
}

fn tokens(section: &mut Section<'_>) -> Tokens {
    let default = Located { value: PathBuf::from("certs/token.key"), place: section.place().clone() };
    Tokens { secret_files: section.list("secret_files", file_path).unwrap_or_else(|| vec![default]) }
}

fn health(section: &mut Section<'_>) -> Health {
    let default = Located { value: ([127, 0, 0, 1], 10025).into(), place: section.place().clone() };
    Health { listen: section.parsed("listen", socket_address).unwrap_or(default) }
}

fn log(section: &mut Section<'_>) -> Log {
    use tracing::Level;
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    Log {
        level: section.choice_or("level", Level::INFO, &levels),
        format: section.choice_or("format", LogFormat::Json, &[("json", LogFormat::Json), ("text", LogFormat::Text)]),
        access: section.parsed("access", file_path).map_or(AccessLog::Stdout, access_log),
        audit: audit_log(section),
        query: section.flag_or("query", false),
    }
}

fn access_log(target: Located<PathBuf>) -> AccessLog {
    match target.value.to_str() {
        Some("stdout") => AccessLog::Stdout,
        Some("none") => AccessLog::None,
        _ => AccessLog::File(target),
    }
}

fn audit_log(section: &mut Section<'_>) -> AuditLog {
    let off = || Wrong::new("audit lines can't be turned off", "say \"stderr\", \"stdout\" or a file");
    let target = section.parsed("audit", |text| if text == "none" { Err(off()) } else { file_path(text) });
    let Some(target) = target else { return AuditLog::Stderr };
    match target.value.to_str() {
        Some("stdout") => AuditLog::Stdout,
        Some("stderr") => AuditLog::Stderr,
        _ => AuditLog::File(target),
    }
}

/// A file's name; whether it exists is asked by those who open it.
pub(super) fn file_path(text: &str) -> Result<PathBuf, Wrong> {
    Ok(PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::super::testing::{LEAST, bad, good, read};
    use super::*;
    use crate::config::Place;
    use std::path::Path;

    fn at(path: &str) -> Located<PathBuf> {
        Located { value: path.into(), place: Place::whole(Path::new("g.toml")) }
    }

    #[test]
    fn absent_means_the_default() {
        let config = good("");
        let seconds = Duration::from_secs;
        assert_eq!(
            (config.limits.connections.get(), config.limits.streams, config.limits.header_bytes),
            (20_000, 200, 32_768)
        );
        assert_eq!((config.limits.body_bytes, config.limits.tunnel_idle_timeout), (None, None));
        assert_eq!(config.limits.connections_per_peer, None);
        assert_eq!(good("[limits]\nconnections_per_peer = 5\n").limits.connections_per_peer, NonZeroUsize::new(5));
        assert_eq!((config.limits.keepalive_timeout, config.limits.body_idle_timeout), (seconds(75), seconds(60)));
        assert_eq!((config.server.drain_delay, config.server.drain_timeout), (Duration::ZERO, seconds(20)));
        assert_eq!(config.server.workers, cores());
        assert_eq!(config.tokens.secret_files[0].value, PathBuf::from("certs/token.key"));
        assert_eq!((config.log.access, config.log.query), (AccessLog::Stdout, false));
        assert!(config.health.is_none() && config.cors.is_none() && config.tls.is_none());
        assert!(config.server.trusted_proxies.is_empty());
    }

    #[test]
    fn the_probes_listen_once_they_are_asked_for() {
        assert_eq!(good("[health]\n").health.unwrap().listen.value.to_string(), "127.0.0.1:10025");
        assert_eq!(good("[health]\nlisten = \"[::]:1\"\n").health.unwrap().listen.value.port(), 1);
    }

    #[test]
    fn an_access_log_can_be_a_file() {
        assert_eq!(good("[log]\naccess = \"none\"\n").log.access, AccessLog::None);
        assert_eq!(good("[log]\naccess = \"a.log\"\nlevel = \"trace\"\n").log.access, AccessLog::File(at("a.log")));
        assert_eq!(bad("[log]\nlevel = \"inof\"\n"), ["log.level: \"inof\" is not known; did you mean \"info\"?"]);
    }

    #[test]
    fn audit_lines_go_to_standard_error_unless_told_otherwise() {
        assert_eq!(good("").log.audit, AuditLog::Stderr);
        assert_eq!(good("[log]\naudit = \"stdout\"\n").log.audit, AuditLog::Stdout);
        assert_eq!(good("[log]\naudit = \"audit.log\"\n").log.audit, AuditLog::File(at("audit.log")));
        assert_eq!(
            bad("[log]\naudit = \"none\"\n"),
            ["log.audit: audit lines can't be turned off; say \"stderr\", \"stdout\" or a file"]
        );
    }

    #[test]
    fn what_is_out_of_range_or_of_the_wrong_type_is_a_problem() {
        let wrong = [
            "[server]\nworkers = 0",
            "[server]\nworkers = \"four\"",
            "[server]\ntrusted_proxies = []",
            "[server]\nforwarded = \"prepend\"",
            "[server]\nforwarded = true",
            "[server]\ndrain_delay = 5",
            "[limits]\nconnections = 0",
            "[limits]\nconnections = -1",
            "[limits]\nconnections_per_peer = 0",
            "[limits]\nconnections_per_peer = \"few\"",
            "[limits]\nstreams = 1.5",
            "[limits]\nstreams = true",
            "[limits]\nheader_bytes = \"1B\"",
            "[limits]\nheader_bytes = \"1GiB\"",
            "[limits]\nheader_timeout = \"0s\"",
            "[limits]\nhandshake_timeout = \"0ms\"",
            "[limits]\ntunnel_idle_timeout = \"0s\"",
            "[tokens]\nsecret_files = \"a\"",
            "[tokens]\nsecret_files = [\"\"]",
            "[tokens]\nsecret_files = [\"a\", \"a\"]",
            "[log]\nquery = \"true\"",
            "[[log]]",
            "[health]\nlisten = \"localhost:1\"",
            "[sessions]\nlifetime = \"0s\"",
            "[sessions]\nper_user = 0",
            "[login]\nconcurrency = 0",
            "[login]\nqueue = -1",
            "[login]\nqueue_timeout = \"0s\"",
        ];
        for wrong in wrong {
            assert_eq!(bad(wrong).len(), 1, "{wrong}: {:?}", bad(wrong));
        }
    }

    #[test]
    fn what_this_build_does_not_do_is_refused() {
        let later = [
            "[admin]",
            "[admin]\nlisten = \"127.0.0.1:10024\"",
            "[sessions]\nstore = \"file\"",
            "[sessions.file]",
            "[sessions.redis]\nurl = \"redis://:secret@a\"",
            "[login]\nwhoami = \"/w\"",
            "[[directories]]\nkind = \"ldap\"",
            "[upstreams.b]\nservers = [\"http://b\"]\nhealth = { path = \"/h\" }",
        ];
        for later in later {
            let problems = bad(later);
            assert_eq!(problems.len(), 1, "{later}: {problems:?}");
            assert!(problems[0].contains("not supported by this build yet; "), "{problems:?}");
            assert!(!problems[0].contains("secret"), "{problems:?}");
        }
    }

    #[test]
    fn what_is_off_by_default_may_be_said() {
        good(
            "[tls]\nclient_auth = \"none\"\nhsts = \"0s\"\n[limits]\nconnections_per_peer = \"none\"\n[sessions]\nstore = \"memory\"\n\
             [[listeners]]\ntls = true\nproxy_protocol = false\nredirect = false\n",
        );
    }

    #[test]
    fn an_empty_file_lacks_three_things() {
        let problems = read("").unwrap_err().to_string();
        let keys: Vec<&str> = problems.lines().filter_map(|line| line.split(": ").nth(1)).collect();
        assert_eq!(keys, ["listeners", "directories", "routes"]);
        let unlisted = LEAST.replace("[[routes]]", "[routes]");
        assert!(read(&unlisted).unwrap_err().to_string().contains(
            "routes: wants a list, not a table; write [{ ... }], or its name in double brackets: [[name]]\n"
        ));
    }
}
