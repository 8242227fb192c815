//! The command line: what can be asked of the program, one file a command.

pub mod cert;
mod check;
mod demo;
mod echo;
mod secret;
mod serve;
mod user;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Problems;

/// Exit code for a configuration that can't be used (sysexits: EX_USAGE).
const EXIT_CONFIGURATION: u8 = 64;

/// A TLS reverse proxy that lets a request through only when its X-Access-Token and X-Key belong to a live session.
///
/// It issues those sessions itself at POST /login, ends them at POST /logout, and forwards everything else.
/// First time here? Try `gatewarden demo`.
#[derive(Debug, Parser)]
#[command(name = "gatewarden", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway until SIGTERM or SIGINT, then drain; a second signal ends at once
    ///
    /// Exit code 0 after a drain, 64 when the configuration can't be used (every problem is listed with its file and line and
    /// what to do), 1 for anything else. SIGHUP opens the access log's file anew, for logrotate.
    Serve(ConfigFile),
    /// Validate a configuration and every file it names, without opening a socket
    Check(ConfigFile),
    /// Show the main job on this machine: throwaway certificate, demo users, a built-in API that echoes, lines to paste
    Demo {
        /// Port on 127.0.0.1; another one is taken if it is busy
        #[arg(long, default_value_t = 10022)]
        port: u16,
    },
    /// Manage the users of a users file
    #[command(subcommand)]
    User(user::UserCommand),
    /// Make token secrets
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// Make certificates for development
    #[command(subcommand)]
    Cert(cert::CertCommand),
    /// Print a completion script, e.g. `gatewarden completions bash > /etc/bash_completion.d/gatewarden`
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// The configuration to use.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// Configuration file; scalars in it can be set by the environment too: GATEWARDEN_SESSIONS__LIFETIME=1h
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The configuration can't be used.
    Configuration(Problems),
    /// Anything else, said in a sentence.
    Failed(String),
}

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(match error {
                CliError::Configuration(_) => EXIT_CONFIGURATION,
                CliError::Failed(_) => 1,
            })
        }
    }
}

fn dispatch(command: Command) -> Result<(), CliError> {
    match command {
        Command::Serve(file) => serve::run(&file.config),
        Command::Check(file) => check::run(&file.config),
        Command::Demo { port } => demo::run(port),
        Command::User(command) => user::run(command),
        Command::Secret(command) => secret::run(command),
        Command::Cert(command) => cert::run(command),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "gatewarden", &mut std::io::stdout());
            Ok(())
        }
    }
}

#[expect(clippy::print_stderr, reason = "errors of the command line belong on standard error, not in the log")]
fn say_error(error: &CliError) {
    eprintln!("{error}");
}

/// Prints an answer of the command line.
#[expect(clippy::print_stdout, reason = "the answer of a command belongs on standard output")]
pub(crate) fn say(text: impl fmt::Display) {
    println!("{text}");
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(problems) => match problems.iter().count() {
                1 => write!(f, "{problems}gatewarden: 1 problem"),
                count => write!(f, "{problems}gatewarden: {count} problems"),
            },
            Self::Failed(what) => write!(f, "gatewarden: {what}"),
        }
    }
}

impl From<Problems> for CliError {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
