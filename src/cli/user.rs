//! `gatewarden user`: who is in a users file. Knows the terminal; the file is changed elsewhere.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::CliError;
use crate::config::Problems;
use crate::directory::{EditError, Format, Import, Password, Role, UsersFile};

/// What to do about the users of a file.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user; the password comes from standard input or a prompt
    Add {
        /// What the user may do: root, admin, user, or a name of yours without spaces
        #[arg(long, default_value = "user", value_parser = role)]
        role: Role,
        /// Where and who.
        #[command(flatten)]
        user: User,
    },
    /// Give a user a new password, from standard input or a prompt
    Passwd {
        /// Where and who.
        #[command(flatten)]
        user: User,
    },
    /// Remove a user
    Remove {
        /// Where and who.
        #[command(flatten)]
        user: User,
    },
    /// Add users from a CSV or htpasswd file: all of them, or none where a line is wrong
    ///
    /// A CSV begins with a line that names its columns: name, password and, if there is one, role. A password is a hash as it
    /// stands in a users file, or plain text, which is hashed. An htpasswd file has NAME:HASH a line; only bcrypt hashes (htpasswd
    /// -B) can be used, apr1, SHA and crypt ones are refused. Names without a domain get the one of --domain.
    Import {
        /// The users file; created where it is missing
        #[arg(long, value_name = "FILE")]
        users: PathBuf,
        /// csv or htpasswd; told by the first line where this is not said
        #[arg(long, value_parser = format)]
        format: Option<Format>,
        /// The role of those whose line says none
        #[arg(long, default_value = "user", value_parser = role)]
        role: Role,
        /// What to add to names without a domain: 100 becomes 100@DOMAIN
        #[arg(long)]
        domain: Option<String>,
        /// What to import; - is standard input
        source: PathBuf,
    },
    /// List the users: name, role, kind of hash
    List {
        /// The users file
        #[arg(long, value_name = "FILE")]
        users: PathBuf,
    },
}

/// A user of a file.
#[derive(Debug, Args)]
pub struct User {
    /// The users file; add creates it where it is missing
    #[arg(long, value_name = "FILE")]
    pub users: PathBuf,
    /// The name, as in 100@mydomain.com
    pub name: String,
    /// Refused: what is on a command line, all users of the machine can read
    #[arg(long, hide = true, value_name = "PASSWORD", value_parser = refused_password)]
    pub password: Option<RefusedPassword>,
}

/// A password where none belongs, which is not kept.
#[derive(Clone, Debug)]
pub struct RefusedPassword;

/// Does it. A running gateway reads the file again by itself.
///
/// # Errors
/// [`CliError`] when the password can't be used or the file can't be changed.
pub fn run(command: &UserCommand) -> Result<(), CliError> {
    match command {
        UserCommand::Add { role, user } => {
            let password = user.read_password()?;
            let file = UsersFile::at(&user.users);
            file.add(&user.name, role, &password).map_err(|error| user.explain(&error))?;
            warn(&file, &user.users);
            say(format_args!("added {} to {}", user.name, user.users.display()))
        }
        UserCommand::Passwd { user } => {
            let password = user.read_password()?;
            let file = UsersFile::at(&user.users);
            file.set_password(&user.name, &password).map_err(|error| user.explain(&error))?;
            warn(&file, &user.users);
            say(format_args!("changed the password of {} in {}", user.name, user.users.display()))
        }
        UserCommand::Remove { user } => {
            UsersFile::at(&user.users).remove(&user.name).map_err(|error| user.explain(&error))?;
            say(format_args!("removed {} from {}", user.name, user.users.display()))
        }
        UserCommand::Import { users, format, role, domain, source } => {
            let (role, domain) = (role.clone(), domain.clone());
            import(users, &Import { path: source, format: *format, role, domain })
        }
        UserCommand::List { users } => list(users),
    }
}

fn import(users: &Path, import: &Import<'_>) -> Result<(), CliError> {
    let text = Zeroizing::new(read_source(import.path).map_err(CliError::at(import.path))?);
    let mut problems = Problems::default();
    let newcomers = import.read(&text, &mut problems);
    let file = UsersFile::at(users);
    match file.import(newcomers, &mut problems) {
        Ok(count) => {
            warn(&file, users);
            say(format_args!("users added to {}: {count}", users.display()))
        }
        Err(_) if !problems.is_empty() => Err(problems.into()),
        Err(error) => Err(unusable(users, &error)),
    }
}

fn read_source(path: &Path) -> io::Result<Vec<u8>> {
    if path != Path::new("-") {
        return std::fs::read(path);
    }
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    Ok(text)
}

/// The mode of a file is its owner's business, and kept; what it lets others see is worth a word.
fn warn(file: &UsersFile, path: &Path) {
    if let Some(mode) = file.exposed() {
        let path = path.display();
        let _nobody_listens =
            writeln!(io::stderr(), "gatewarden: {path} holds password hashes and has mode {mode:o}; chmod 600 {path}");
    }
}

fn list(path: &Path) -> Result<(), CliError> {
    let users = UsersFile::at(path).list();
    let users = users.map_err(|error| unusable(path, &error))?;
    let width = users.iter().map(|user| user.name.chars().count()).max().unwrap_or(0);
    for user in users {
        say(format_args!("{:width$}  {:8}  {}", user.name, user.role, user.hash))?;
    }
    Ok(())
}

fn unusable(users: &Path, error: &EditError) -> CliError {
    broken(error).unwrap_or_else(|| CliError::new(format!("{}: {error}", users.display())))
}

/// What is wrong with the file itself, each with its line.
fn broken(error: &EditError) -> Option<CliError> {
    let EditError::Broken(problems) = error else { return None };
    Some(problems.clone().into())
}

impl User {
    fn explain(&self, error: &EditError) -> CliError {
        broken(error).unwrap_or_else(|| CliError::new(format!("{}: {}: {error}", self.users.display(), self.name)))
    }

    fn read_password(&self) -> Result<Password, CliError> {
        match self.password {
            Some(RefusedPassword) => Err(CliError::Usage(
                "leave --password out: the password comes from standard input, or is asked for".into(),
            )),
            None => read_password(),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what clap calls can fail")]
fn refused_password(_: &str) -> Result<RefusedPassword, String> {
    Ok(RefusedPassword)
}

fn role(name: &str) -> Result<Role, String> {
    Role::written(name).map_err(|(_, fix)| fix)
}

fn format(name: &str) -> Result<Format, String> {
    match name {
        "csv" => Ok(Format::Csv),
        "htpasswd" => Ok(Format::Htpasswd),
        _ => Err("a format is csv or htpasswd".into()),
    }
}

fn say(line: std::fmt::Arguments<'_>) -> Result<(), CliError> {
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

fn read_password() -> Result<Password, CliError> {
    let text = if io::stdin().is_terminal() { prompt()? } else { only_line(io::stdin().lock())? };
    usable(text)
}

fn prompt() -> Result<Zeroizing<String>, CliError> {
    let password = Zeroizing::new(rpassword::prompt_password("Password: ")?);
    let again = Zeroizing::new(rpassword::prompt_password("Again: ")?);
    if password == again { Ok(password) } else { Err(CliError::new("the two passwords differ; nothing was changed")) }
}

/// The only line without its end. Read no further than a password may be long, and a little to notice that it is longer.
fn only_line(input: impl Read) -> Result<Zeroizing<String>, CliError> {
    let mut input = BufReader::new(input);
    let mut line = Zeroizing::new(Vec::with_capacity(Password::LONGEST + 8));
    input.by_ref().take(Password::LONGEST as u64 + 3).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") {
        without_end(&mut line);
        refuse_more(&line, input.buffer())?;
    }
    let text = std::str::from_utf8(&line).map_err(|_| unchanged("the password is not UTF-8 text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// What came with the first line may repeat it, as the prompt asks for it; another line is not dropped in silence. Nobody waits
/// for more: who writes the password may leave his end open.
fn refuse_more(first: &[u8], rest: &[u8]) -> Result<(), CliError> {
    let mut second = Zeroizing::new(rest.to_vec());
    without_end(&mut second);
    if second.is_empty() || *second == first {
        return Ok(());
    }
    Err(unchanged("standard input holds more than one line: a password is one line"))
}

fn without_end(line: &mut Vec<u8>) {
    for end in [b'\n', b'\r'] {
        if line.last() == Some(&end) {
            line.pop();
        }
    }
}

fn unchanged(what: &str) -> CliError {
    CliError::new(format!("{what}; nothing was changed"))
}

fn usable(text: Zeroizing<String>) -> Result<Password, CliError> {
    let password = Password::new(text.as_str().to_owned());
    if password.is_plausible() {
        return Ok(password);
    }
    let longest = Password::LONGEST;
    Err(unchanged(&format!("a password has from 1 to {longest} bytes")))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: UserCommand,
    }

    fn line(text: &str) -> Zeroizing<String> {
        only_line(text.as_bytes()).unwrap()
    }

    fn refused(text: &[u8]) -> String {
        only_line(text).unwrap_err().to_string()
    }

    #[test]
    fn a_password_is_one_line_without_its_end() {
        assert_eq!(line("secret\n").as_str(), "secret");
        assert_eq!(line("secret\r\n").as_str(), "secret");
        assert_eq!(line(" secret ").as_str(), " secret ");
    }

    #[test]
    fn a_second_line_repeats_the_first_or_is_refused() {
        for twice in ["secret\nsecret\n", "secret\r\nsecret", "secret\n\n"] {
            assert_eq!(line(twice).as_str(), "secret");
        }
        for more in ["secret\nplanted\n", "secret\nsecret\nsecret\n", "s\nsecret"] {
            let said = refused(more.as_bytes());
            assert!(said.contains("more than one line") && !said.contains("planted"), "{said}");
        }
        assert!(refused(b"pass\xff\n").contains("not UTF-8 text; nothing was changed"));
    }

    #[test]
    fn empty_and_overlong_passwords_are_refused() {
        assert!(usable(line("\n")).is_err());
        assert!(usable(line("")).is_err());
        assert!(usable(line(&format!("{}\n", "p".repeat(1024)))).is_ok());
        assert!(usable(line(&format!("{}\n", "p".repeat(1025)))).is_err());
        assert!(usable(line(&"p".repeat(5000))).is_err());
    }

    #[test]
    fn every_command_and_argument_says_what_it_is() {
        let line = Line::command();
        let about = |name: &str| line.find_subcommand(name).unwrap().get_about().unwrap().to_string();
        assert!(about("add").starts_with("Add a user"));
        assert!(about("remove").starts_with("Remove a user"));
        let mut arguments = line.get_subcommands().flat_map(|command| command.get_arguments());
        assert!(arguments.all(|argument| argument.get_help().is_some()));
    }

    #[test]
    fn the_fixed_command_line_is_understood() {
        let parse = |line: &str| Line::try_parse_from(line.split(' ')).map(|line| line.command);
        let add = parse("user add --users u.toml --role admin 100@mydomain.com").unwrap();
        assert!(matches!(add, UserCommand::Add { role: Role::Admin, user } if user.name == "100@mydomain.com"));
        assert!(parse("user passwd --users u.toml 100@mydomain.com").is_ok());
        assert!(parse("user remove --users u.toml 100@mydomain.com").is_ok());
        assert!(parse("user list --users u.toml").is_ok());
        assert!(parse("user import --users u.toml list.csv").is_ok());
        assert!(parse("user import --users u.toml --format htpasswd --role admin --domain a.example -").is_ok());
        assert!(parse("user import --users u.toml --format xml list").is_err());
        assert!(parse("user add --users u.toml --role not/a/token x").is_err());
        assert!(
            parse("user add --users u.toml --role Root x").unwrap_err().to_string().contains("did you mean \"root\"?")
        );
        assert!(parse("user add x").is_err());
    }

    #[test]
    fn a_password_on_the_command_line_is_told_where_it_belongs_and_not_repeated() {
        let add = Line::try_parse_from("user add --users u.toml --password planted x".split(' ')).unwrap();
        let said = run(&add.command).unwrap_err().to_string();
        assert!(said.contains("comes from standard input") && !format!("{said}{add:?}").contains("planted"), "{said}");
    }
}
