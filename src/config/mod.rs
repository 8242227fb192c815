//! Configuration: what the file says becomes what the program wants, with every problem found at once.
//!
//! Text becomes a tree of nodes with places (`tree`), the environment writes into it (`environment`), readers take it
//! apart section by section (`file` and the modules that it names), and what must hold between sections is checked last
//! (`rules`). Nobody stops at a problem: each is added to the list (`findings`) and a default stands in.

mod environment;
mod file;
mod findings;
mod listeners;
mod lists;
mod names;
mod network;
mod node;
mod problem;
mod route_path;
mod routes;
mod rules;
mod section;
mod sessions;
mod settings;
mod suggest;
mod tree;
mod unsupported;
mod upstreams;
mod value;
mod web;

use std::io::ErrorKind;
use std::path::Path;

pub use problem::{Located, Place, Problem, Problems};
pub use settings::*;

use findings::Findings;

/// Reads the file and the environment; `environment` is all variables, of which `GATEWARDEN_SECTION__KEY` are read.
///
/// # Errors
/// Every problem there is, in the order of the file's lines, those of the environment last. A file that can't be read
/// is one problem. Files that the configuration names (certificates, secrets, users) are not looked at.
pub fn load(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Config, Problems> {
    let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text, path, environment),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
            let mut problems = Problems::default();
            problems.add(&Place::File { path: path.into(), line }, "not UTF-8 text", "save the file as UTF-8");
            Err(problems)
        }
    }
}

/// Reads a text as [`load`] reads a file; `path` is only named in problems.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Config, Problems> {
    let findings = Findings::new(path);
    let mut tree = tree::parse(text, &findings);
    environment::apply(&mut tree, environment, &findings);
    let config = rules::apply(file::config(tree, &findings), &findings);
    let problems = findings.into_problems();
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problems {
    let fix = match error.kind() {
        ErrorKind::NotFound => "create it, or name the right one with --config",
        ErrorKind::PermissionDenied => "let the user that the gateway runs as read it",
        ErrorKind::IsADirectory => "name a file with --config",
        _ => "check the file and the disk that it is on",
    };
    let mut problems = Problems::default();
    problems.add(&Place::whole(path), format!("cannot be read: {error}"), fix);
    problems
}
