//! `gatewarden secret`: makes token secrets. Knows not who signs with them.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;

use super::CliError;
use super::files::{self, PRIVATE};

/// What to do about token secrets.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Write a new random token secret of 64 bytes, readable by its owner only
    New {
        /// The file to create; an existing one is left alone
        file: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// [`CliError`] when the file exists or can't be written.
pub fn run(command: &SecretCommand) -> Result<(), CliError> {
    let SecretCommand::New { file } = command;
    let bytes = files::random::<64>()?;
    match files::create(file, PRIVATE, bytes.as_ref()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let what = "exists; choose another name, since replacing a secret ends every session it signed";
            Err(CliError::new(format!("{}: {what}", file.display())))
        }
        written => written.map_err(CliError::making(file)),
    }?;
    writeln!(io::stdout(), "wrote {}", file.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_secret_is_long_private_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token.key");
        run(&SecretCommand::New { file: file.clone() }).unwrap();
        let secret = std::fs::read(&file).unwrap();
        assert_eq!(secret.len(), 64);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(run(&SecretCommand::New { file: file.clone() }).is_err());
        assert_eq!(std::fs::read(&file).unwrap(), secret);
    }
}
