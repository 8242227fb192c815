//! The command line: what can be asked of the program, one file a command.

pub mod cert;
mod check;
mod demo;
mod echo;
mod error;
mod explain;
mod files;
pub mod secret;
mod serve;
pub mod user;

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

pub use error::CliError;

use crate::config::{self, Config};
use crate::server::Server;
use crate::telemetry::log;

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
    /// what to do), 1 for anything else. SIGHUP reads the configuration and every file that it names again, and opens the access
    /// log's file anew, for logrotate; what can't be used leaves in force what ran before. A users file is read again by itself
    /// when it changes.
    Serve(ConfigFile),
    /// Validate a configuration and every file it names, without opening a socket
    Check(ConfigFile),
    /// Say which rule decides about a request and what it does: refused and why, forwarded where and as what
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Explain),
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

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(unclear) => {
            let _nobody_listens = unclear.print();
            // What clap prints on standard output is help that was asked for.
            return if unclear.use_stderr() { ExitCode::from(error::USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let done = dispatch(cli.command);
    log::flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn dispatch(command: Command) -> Result<(), CliError> {
    match command {
        Command::Serve(file) => serve::run(&file.config),
        Command::Check(file) => check::run(&file.config),
        Command::Explain(asked) => explain::run(&asked),
        Command::Demo { port } => demo::run(port),
        Command::User(command) => user::run(&command),
        Command::Secret(command) => secret::run(&command),
        Command::Cert(command) => cert::run(&command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "gatewarden", &mut script);
            print(&script)
        }
    }
}

/// The configuration and what it makes, with every problem of the file and of all files it names told at once.
fn prepare(file: &Path) -> Result<(Config, Server), CliError> {
    let (config, mut problems) = config::survey(file, environment())?;
    log::start(config.log.level, config.log.format)?;
    match Server::prepare(&config) {
        Ok(server) if problems.is_empty() => return Ok((config, server)),
        Ok(_) => {}
        Err(more) => problems.merge(more),
    }
    Err(problems.into())
}

/// The variables that are text; others can't be settings.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Errors belong on standard error; when even that is closed there is nobody left to tell.
fn say_error(error: &CliError) {
    let _nobody_listens = writeln!(std::io::stderr(), "{error}");
}

/// Prints a command's answer as a line.
fn say(text: impl fmt::Display) -> Result<(), CliError> {
    print(format!("{text}\n").as_bytes())
}

/// Prints bytes; a reader that has enough, such as `head`, is no failure.
fn print(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = std::io::stdout();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
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
