//! `gatewarden explain`: which rule decides about a request, and what it does with it, in words or JSON.

use std::fmt;
use std::path::PathBuf;

use http::{HeaderValue, Method};

use super::{CliError, environment, say};
use crate::config;
use crate::directory::Role;
use crate::gateway::{Decider, Explainer, Explanation, Forwarded, Outcome, Question, Refused};

pub(super) const EXAMPLES: &str = "\
Examples:
  gatewarden explain --config config/webitel.toml GET /engine/api/v2/accounts
  gatewarden explain --config config/webitel.toml GET '/cdr/recordings/1?x_key=...&access_token=...'
  gatewarden explain --config gatewarden.toml --host api.example.com --role user DELETE /users/7
  gatewarden explain --config gatewarden.toml --json OPTIONS /login

The same code decides as when a request really comes. Nothing is sent, and only the configuration is read: \
no secret, certificate or users file.

Exit code 0 when the request was explained, whatever comes of it; 64 when the configuration or an argument \
can't be used.";

/// What `explain` is asked.
#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// Configuration file; scalars in it can be set by the environment too
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What the Host header says
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Role of the session that is presented: root, admin, user, or a name of yours; absent: any that may pass
    #[arg(long)]
    role: Option<String>,
    /// Answer with one JSON object
    #[arg(long)]
    json: bool,
    /// Method of the request: GET, POST, ...
    method: String,
    /// Path of the request, perhaps with a query; quote it for your shell
    path: String,
}

/// Explains one request.
pub(super) fn run(asked: &Explain) -> Result<(), CliError> {
    let question = question(asked)?;
    let explainer = Explainer::new(config::load(&asked.config, environment())?)?;
    let explanation = explainer.explain(&question);
    if asked.json {
        let json = serde_json::to_string_pretty(&explanation).map_err(|error| CliError::new(error.to_string()))?;
        return say(json);
    }
    say(Words(&explanation))
}

fn question(asked: &Explain) -> Result<Question, CliError> {
    let wrong = |what: &str, text: &str, fix: &str| CliError::Usage(format!("{what}: {text:?}; {fix}"));
    let method = Method::from_bytes(asked.method.as_bytes())
        .map_err(|_| wrong("not a method", &asked.method, "write it as a request does: GET, POST, ..."))?;
    HeaderValue::from_str(&asked.host).map_err(|_| {
        wrong("not a host", &asked.host, "write it as Host does: api.example.com or api.example.com:8443")
    })?;
    let role = asked
        .role
        .as_deref()
        .map(|name| Role::written(name).map_err(|(what, fix)| CliError::Usage(format!("{what}; {fix}"))));
    Ok(Question { method, target: asked.path.clone(), host: asked.host.clone(), role: role.transpose()? })
}

/// An explanation for people.
struct Words<'a>(&'a Explanation);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { method, target, host, role, rules, outcome, preflight } = self.0;
        write!(f, "{method} {target} for {host}")?;
        if let Some(role) = role {
            write!(f, ", with a session of role {role}")?;
        }
        for Decider { place, path, exact } in rules {
            let place = place.as_deref().unwrap_or("the gateway itself");
            write!(f, "\n  rule         {place}: {} {path}", if *exact { "exactly" } else { "prefix" })?;
        }
        match outcome {
            Outcome::Refused(refused) => write!(f, "\n  answer       {}", Answer(refused))?,
            Outcome::Login => {
                write!(f, "\n  answer       the gateway reads a name and a password, and issues a session")?
            }
            Outcome::Logout => write!(
                f,
                "\n  answer       the gateway ends the session of the pair in the headers, else 401 Bad caller"
            )?,
            Outcome::Forwarded(forwarded) => forwarded_words(f, method, forwarded)?,
        }
        if *preflight {
            write!(
                f,
                "\n  preflight    with Origin and Access-Control-Request-Method the gateway answers 200 itself, on any path"
            )?;
        }
        Ok(())
    }
}

fn forwarded_words(f: &mut fmt::Formatter<'_>, method: &str, forwarded: &Forwarded) -> fmt::Result {
    match &forwarded.without_session {
        None => write!(f, "\n  access       public: nothing is verified, nothing is said of who asks")?,
        Some(refused) => {
            let roles = if forwarded.roles.is_empty() { "any".to_owned() } else { forwarded.roles.join(" or ") };
            write!(
                f,
                "\n  access       a session of role {roles}, presented in the {}",
                forwarded.credentials.join(" or the ")
            )?;
            write!(f, "\n               without a live session: {}", Answer(refused))?;
        }
    }
    if let Some(refused) = &forwarded.other_roles {
        write!(f, "\n               of another role: {}", Answer(refused))?;
    }
    if let Some(refused) = &forwarded.other_clients {
        write!(f, "\n  clients      {}", forwarded.clients.join(", "))?;
        write!(f, "\n               any other, or without a certificate: {}", Answer(refused))?;
    }
    let balance = if forwarded.balance == "session" { "the session's own first" } else { "the least busy first" };
    write!(f, "\n  upstream     {}: {} ({balance})", forwarded.upstream, forwarded.servers.join(", "))?;
    let host = forwarded.host.as_deref().unwrap_or("the server's own name");
    write!(f, "\n  sent as      {method} {}, Host: {host}", forwarded.target)?;
    write!(f, "\n  sets         {}", forwarded.sets.join(", "))?;
    let passed = if forwarded.forward_credentials { "reach" } else { "do not reach" };
    write!(f, "\n  credentials  {passed} the upstream")
}

/// A refusal for people.
struct Answer<'a>(&'a Refused);

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status, self.0.info)?;
        self.0.allow.as_ref().map_or(Ok(()), |allow| write!(f, " (Allow: {allow})"))
    }
}
