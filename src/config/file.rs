//! The whole file: which sections there are, and the small ones that bound and name things.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::findings::{Findings, Wrong};
use super::listeners::{listeners, tls};
use super::network::{network, socket_address};
use super::problem::Located;
use super::routes::routes;
use super::section::Section;
use super::sessions::{directories, login, sessions};
use super::settings::{AccessLog, Config, Health, Limits, Log, LogFormat, Server, Tokens};
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
        drain_delay: section.parsed_or("drain_delay", Duration::ZERO, duration),
        drain_timeout: section.parsed_or("drain_timeout", Duration::from_secs(20), duration),
    }
}

fn limits(section: &mut Section<'_>) -> Limits {
    let seconds = Duration::from_secs;
    section.unsupported_but("connections_per_peer", "none");
    Limits {
        connections: section.count_or("connections", 20_000, 10_000_000),
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
        access: section.parsed_or("access", AccessLog::Stdout, access_log),
        query: section.flag_or("query", true),
    }
}

fn access_log(text: &str) -> Result<AccessLog, Wrong> {
    Ok(match text {
        "stdout" => AccessLog::Stdout,
        "none" => AccessLog::None,
        file => AccessLog::File(file.into()),
    })
}

/// A file's name; whether it exists is asked by those who open it.
pub(super) fn file_path(text: &str) -> Result<PathBuf, Wrong> {
    Ok(PathBuf::from(text))
}

impl Section<'_> {
    /// A whole number from 1 to a greatest, or the default.
    pub(super) fn count_or(&mut self, key: &'static str, default: usize, greatest: usize) -> NonZeroUsize {
        NonZeroUsize::new(self.number_or(key, default, 1..=greatest)).unwrap_or(NonZeroUsize::MIN)
    }

    /// A whole number of threads, or the word `auto`, which is also the default.
    pub(super) fn threads_or(&mut self, key: &'static str, auto: NonZeroUsize) -> NonZeroUsize {
        let Some(node) = self.take(key) else { return auto };
        if node.text() == Ok("auto") {
            return auto;
        }
        let number = node.integer().ok().and_then(|number| usize::try_from(number).ok());
        let threads = number.filter(|number| (1..=1024).contains(number)).and_then(NonZeroUsize::new);
        let wrong = || Wrong::new("not a number of threads", "say \"auto\" or a number from 1 to 1024");
        self.checked(key, &node.place, threads.ok_or_else(wrong)).unwrap_or(auto)
    }
}
