//! Short ways to read a text in tests.

use std::path::Path;

use super::{Config, Problems, parse};

/// The least that is a configuration; tests put their lines before or behind it.
pub(super) const LEAST: &str = r#"
[[listeners]]
address = "127.0.0.1:0"
tls = false
[[directories]]
kind = "file"
path = "users.toml"
[upstreams.api]
servers = ["http://127.0.0.1:8080"]
[[routes]]
path = "/"
upstream = "api"
"#;

/// Reads a text, named `g.toml`, without environment.
pub(super) fn read(text: &str) -> Result<Config, Problems> {
    parse(text, Path::new("g.toml"), std::iter::empty())
}

/// The least configuration with more behind it; it must be right.
pub(super) fn good(more: &str) -> Config {
    read(&format!("{LEAST}{more}")).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is wrong with the least configuration and more behind it, without the places.
pub(super) fn bad(more: &str) -> Vec<String> {
    let problems = read(&format!("{LEAST}{more}")).map(|_| Problems::default()).unwrap_or_else(|problems| problems);
    problems.iter().map(|problem| format!("{}; {}", problem.what, problem.fix)).collect()
}
