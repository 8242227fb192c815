//! Settings of what is written down, where and how.

use std::path::PathBuf;

use crate::config::problem::Located;

/// What is logged and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The program's own messages: a level.
    pub level: tracing::Level,
    /// How they look.
    pub format: LogFormat,
    /// Where access lines go.
    pub access: AccessLog,
    /// Where audit lines go.
    pub audit: AuditLog,
    /// Whether access lines hold the query, credentials redacted.
    pub query: bool,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where access lines go.
#[derive(Clone, Debug, PartialEq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// Nowhere.
    None,
    /// A file, appended to, reopened on SIGHUP.
    File(Located<PathBuf>),
}

/// Where audit lines go; they can't be turned off.
#[derive(Clone, Debug, PartialEq)]
pub enum AuditLog {
    /// Standard output, among the access lines.
    Stdout,
    /// Standard error, among the program's own messages.
    Stderr,
    /// A file, appended to, reopened on SIGHUP.
    File(Located<PathBuf>),
}
