//! Configuration: what the file says becomes what the program wants, with every problem found at once.
//!
//! Text becomes a tree of nodes with places (`tree`), the environment writes into it (`environment`), readers take it
//! apart section by section (`file` and the modules that it names), and what must hold between sections is checked last
//! (`rules`). Nobody stops at a problem: each is added to the list (`findings`) and a default stands in.

mod client_pattern;
mod environment;
mod file;
mod findings;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod listeners;
mod lists;
mod names;
mod network;
mod node;
mod problem;
mod round;
mod route_path;
mod routes;
mod rules;
mod runtime;
mod scalars;
mod secret;
mod section;
mod sessions;
mod settings;
mod suggest;
#[cfg(test)]
mod testing;
mod tree;
mod unsupported;
mod upstreams;
mod value;
mod web;

use std::io::ErrorKind;
use std::path::Path;

pub use client_pattern::ClientPattern;
pub use names::meant_method;
pub use problem::{Located, Place, Problem, Problems};
pub use secret::Secret;
pub use settings::*;

use crate::plain_file::{self, LONGEST_TEXT};
use findings::Findings;

/// Reads the file and the environment; `environment` is all variables, of which `GATEWARDEN_SECTION__KEY` are read.
///
/// # Errors
/// Every problem there is, in the order of the file's lines, those of the environment last. A file that can't be read
/// is one problem. Files that the configuration names (certificates, secrets, users) are not looked at.
pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Config, Problems> {
    parse(&read(path)?, path, environment)
}

/// Reads a text as [`load`] reads a file; `path` is only named in problems.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Config, Problems> {
    let (config, problems) = survey_text(text, path, environment);
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// As [`load`], but with problems there is a configuration too, in which defaults stand in for what is wrong: good for
/// finding what else is wrong, and for nothing else.
///
/// # Errors
/// When the file can't be read.
pub fn survey(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<(Config, Problems), Problems> {
    Ok(survey_text(&read(path)?, path, environment))
}

fn survey_text(text: &str, path: &Path, environment: impl Iterator<Item = (String, String)>) -> (Config, Problems) {
    let findings = Findings::new(path);
    let mut tree = tree::parse(text, &findings);
    environment::apply(&mut tree, environment, &findings);
    let config = rules::apply(file::config(tree, &findings), &findings);
    (config, findings.into_problems())
}

fn read(path: &Path) -> Result<String, Problems> {
    let bytes = plain_file::read(path, LONGEST_TEXT).map_err(|error| unreadable(path, &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        let mut problems = Problems::default();
        problems.add(&Place::File { path: path.into(), line }, "not UTF-8 text", "save the file as UTF-8");
        problems
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problems {
    let fix = match error.kind() {
        ErrorKind::NotFound => "create it, or name the right one with --config",
        ErrorKind::PermissionDenied => "let the user that the gateway runs as read it",
        ErrorKind::IsADirectory => "name a file with --config",
        _ => plain_file::remedy(error).unwrap_or("check the file and the disk that it is on"),
    };
    let mut problems = Problems::default();
    problems.add(&Place::whole(path), format!("cannot be read: {error}"), fix);
    problems
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BROKEN: &str = r#"
[[listeners]]
address = "[::]:10022"

[tls]
min_version = "1.4"
client_ca = "certs/clients.pem"

[limits]
conections = 5
streams = "many"
header_timeout = "10"
body_bytes = "0"

[sessions]
store = "redis"
per_user = 0

[identity]
user = "X-Key"
role = "X-Webitel-Domain"

[upstreams.engine]
servers = ["http://127.0.0.1:10023", "ftp://engine"]

[[routes]]
path = "/api/"
upstream = "engin"
methods = ["GTE"]

[[routes]]
path = "/"
upstream = "engine"
hosts = []

[[routes]]
path = "/"
access = "deny"
roles = ["root"]
"#;

    const REPORT: &str = r#"config/gatewarden.toml: directories: missing; add [[directories]] with kind = "file" and the path of a users file
config/gatewarden.toml:2: listeners.tls: missing; say tls = true or tls = false
config/gatewarden.toml:6: tls.min_version: "1.4" is not known; use one of: 1.2, 1.3
config/gatewarden.toml:7: tls.client_ca: nobody is asked for a certificate; say client_auth = "optional" or "required"
config/gatewarden.toml:10: limits.conections: unknown key; did you mean "connections"?
config/gatewarden.toml:11: limits.streams: wants a whole number, not a text; give a number such as 100, without quotes
config/gatewarden.toml:12: limits.header_timeout: "10" is not a duration; write a number with its unit, such as "10s", "250ms" or "24h"
config/gatewarden.toml:13: limits.body_bytes: zero would let nothing through; say "none" for no bound
config/gatewarden.toml:16: sessions.store: "redis" is not supported by this build yet; say "memory", which is what there is
config/gatewarden.toml:17: sessions.per_user: 0 is out of range; give a number from 1 to 1000000
config/gatewarden.toml:20: identity.user: "X-Key" means something else already; choose another name, such as "X-Webitel-User"
config/gatewarden.toml:21: identity.role: the same header as identity.domain; give each its own name
config/gatewarden.toml:24: upstreams.engine.servers: "ftp://engine" is not a server's URL; write "http://HOST:PORT", "https://HOST:PORT" or "unix:PATH"
config/gatewarden.toml:27: routes.path: "/api/" ends with /; write "/api"; it stands for everything below it too
config/gatewarden.toml:28: routes.upstream: there is no upstream "engin"; did you mean "engine"?
config/gatewarden.toml:29: routes.methods: "GTE" is not a method; did you mean "GET"?
config/gatewarden.toml:34: routes.hosts: an empty list; name at least one, or remove the key to get the default
config/gatewarden.toml:37: routes.path: / can match the same requests as the route on line 32; give them different paths, hosts or methods
config/gatewarden.toml:39: routes.roles: means nothing on a deny route; remove it, or say access = "session"
environment GATEWARDEN_LIMITS__STREEMS: limits.streems: unknown key; did you mean "streams"?
"#;

    #[test]
    fn a_broken_file_is_told_all_at_once() {
        let environment = [("GATEWARDEN_LIMITS__STREEMS".to_owned(), "5".to_owned())];
        let problems = parse(BROKEN, Path::new("config/gatewarden.toml"), environment.into_iter()).unwrap_err();
        assert_eq!(problems.to_string(), REPORT);
    }

    #[test]
    fn every_file_that_ships_is_accepted() {
        for name in ["gatewarden", "webitel", "sidecar", "edge"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/{name}.toml"));
            if let Err(problems) = load(&path, std::iter::empty()) {
                panic!("{problems}");
            }
        }
    }

    #[test]
    fn the_commented_file_says_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/gatewarden.toml");
        let written = load(&path, std::iter::empty()).unwrap();
        let least = testing::good("");
        let defaults = |config: &Config| {
            let Config { server, limits, sessions, login, identity, log, .. } = config;
            format!("{server:?} {limits:?} {sessions:?} {login:?} {identity:?} {log:?}")
        };
        assert_eq!(defaults(&written), defaults(&least));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_one_problem() {
        let problems = load(Path::new("no/such.toml"), std::iter::empty()).unwrap_err().to_string();
        assert!(problems.starts_with("no/such.toml: cannot be read: "), "{problems}");
        assert!(problems.ends_with("; create it, or name the right one with --config\n"), "{problems}");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"# one\n\xff\n").unwrap();
        let problems = load(file.path(), std::iter::empty()).unwrap_err().to_string();
        assert!(problems.ends_with(":2: not UTF-8 text; save the file as UTF-8\n"), "{problems}");
    }

    #[test]
    fn a_syntax_error_hides_nothing_that_is_certain_and_invents_nothing() {
        let text = "[limits]\nstreams = 0\nconnections = = 5\n[[routes]]\npath = \"/\nupstream = \"api\"\n";
        let problems = testing::read(text).unwrap_err();
        let lines: Vec<String> = problems.iter().map(|problem| problem.place.to_string()).collect();
        assert_eq!(lines, ["g.toml:2", "g.toml:3", "g.toml:5"], "{problems}");
    }

    /// Fragments that reach further into the readers than arbitrary characters do.
    fn fragments() -> impl Strategy<Value = String> {
        let fragment = prop::sample::select(vec![
            "[[routes]]",
            "[limits]",
            "[upstreams.a]",
            "[tls]",
            "[a.b",
            "]\n",
            "\n",
            " = ",
            "path",
            "streams",
            "servers",
            "\"/\"",
            "'",
            "\"http://[::1\"",
            "{",
            "}",
            "[",
            "]",
            ",",
            "-1",
            "1e9",
            "1979-05-27",
            "true",
            "\"0s\"",
            "\"ä%\"",
            "[[listeners]]",
            "tls",
            "listeners",
            "routes",
            "upstreams",
            "#",
            "\"\"\"",
            "\u{0}",
            "\r",
        ]);
        prop::collection::vec(fragment, 0..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}", mixed in fragments()) {
            let _ = testing::read(&text);
            let _ = testing::read(&mixed);
        }

        #[test]
        fn no_value_makes_it_panic(value in any::<String>(), name in "[A-Z_]{0,20}") {
            let quoted = toml::Value::String(value.clone()).to_string();
            for key in ["[limits]\nheader_bytes", "[log]\naccess", "[identity]\nuser", "[health]\nlisten"] {
                let _ = testing::read(&format!("{}{key} = {quoted}\n", testing::LEAST));
            }
            let route = format!("[[routes]]\npath = {quoted}\nhosts = [{quoted}]\nmethods = [{quoted}]\nroles = [{quoted}]\n");
            let _ = testing::read(&format!("{}{route}[upstreams.b]\nservers = [{quoted}]\n", testing::LEAST));
            let variable = (format!("GATEWARDEN_{name}"), value);
            let _ = parse(testing::LEAST, Path::new("g.toml"), std::iter::once(variable));
        }
    }
}
