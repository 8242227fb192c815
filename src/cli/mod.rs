//! Commands that need no running gateway: users, secrets, certificates. Knows files and the terminal, no sockets.

pub mod cert;
mod error;
mod files;
pub mod secret;
pub mod user;

pub use error::CliError;
