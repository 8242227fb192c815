//! `gatewarden explain`: which rule decides about a request, and what it does with it, in words or JSON.

use std::fmt;
use std::path::PathBuf;

use http::{HeaderValue, Method};

use super::{CliError, environment, say};
use crate::config;
use crate::directory::Role;
use crate::gateway::{Decider, Explainer, Explanation, Forwarded, Misread, Outcome, Question, Refused};

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
    if let Some(meant) = config::meant_method(&asked.method) {
        return Err(wrong("not a method", &asked.method, &format!("did you mean {meant:?}?")));
    }
    if !is_target(&asked.path) {
        return Err(wrong("not a path", &asked.path, "a path starts with /"));
    }
    HeaderValue::from_str(&asked.host).map_err(|_| {
        wrong("not a host", &asked.host, "write it as Host does: api.example.com or api.example.com:8443")
    })?;
    let role = asked
        .role
        .as_deref()
        .map(|name| Role::written(name).map_err(|(what, fix)| CliError::Usage(format!("{what}; {fix}"))));
    Ok(Question { method, target: asked.path.clone(), host: asked.host.clone(), role: role.transpose()? })
}

/// Whether a request line can have it: a path, `*`, a whole URL, or a host with its port.
fn is_target(text: &str) -> bool {
    text.starts_with('/') || text == "*" || text.contains(':')
}

/// An explanation for people.
struct Words<'a>(&'a Explanation);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation { method, target, host, role, rules, misread, outcome, preflight } = self.0;
        write!(f, "{method} {target} for {host}")?;
        if let Some(role) = role {
            write!(f, ", with a session of role {role}")?;
        }
        rules.iter().try_for_each(|rule| write!(f, "\n  rule         {}", Named(rule)))?;
        match outcome {
            Outcome::Refused(refused) => refused_words(f, refused, misread.as_ref())?,
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

fn refused_words(f: &mut fmt::Formatter<'_>, refused: &Refused, misread: Option<&Misread>) -> fmt::Result {
    write!(f, "\n  answer       {}", Answer(refused))?;
    let Some(Misread { path, written, read }) = misread else { return Ok(()) };
    write!(f, "\n  as written   {}", All(written))?;
    write!(f, "\n  leniently    read as {}: {}", path.escape_debug(), All(read))
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

/// A rule for people.
struct Named<'a>(&'a Decider);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decider { place, path, exact } = self.0;
        let place = place.as_deref().unwrap_or("the gateway itself");
        write!(f, "{place}: {} {path}", if *exact { "exactly" } else { "prefix" })
    }
}

/// Rules for people.
struct All<'a>(&'a [Decider]);

impl fmt::Display for All<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.0.iter().map(|rule| Named(rule).to_string()).collect();
        f.write_str(if named.is_empty() { "no rule".to_owned() } else { named.join(", ") }.as_str())
    }
}

/// A refusal for people.
struct Answer<'a>(&'a Refused);

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status, self.0.info)?;
        self.0.allow.as_ref().map_or(Ok(()), |allow| write!(f, " (Allow: {allow})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str) -> Result<Question, CliError> {
        let (config, host) = (PathBuf::new(), "localhost".to_owned());
        question(&Explain { config, host, role: None, json: false, method: method.into(), path: path.into() })
    }

    #[test]
    fn slips_of_a_question_are_told_and_what_a_client_can_send_is_not() {
        let said = |method, path| asked(method, path).unwrap_err().to_string();
        assert_eq!(said("get", "/x"), "gatewarden: not a method: \"get\"; did you mean \"GET\"?");
        assert_eq!(said("GET", "x"), "gatewarden: not a path: \"x\"; a path starts with /");
        for (method, path) in [("PURGE", "/"), ("OPTIONS", "*"), ("GET", "http://a/x"), ("CONNECT", "a:443")] {
            assert!(asked(method, path).is_ok(), "{method} {path}");
        }
    }

    #[test]
    fn a_path_that_is_read_leniently_is_told_with_both_rules() {
        let rule =
            |path: &str, line| Decider { place: Some(format!("g.toml:{line}")), path: path.into(), exact: false };
        let refused = Refused { status: 400, info: "Another rule", label: "ambiguous", allow: None };
        let explanation = Explanation {
            method: "GET".into(),
            target: "/Public".into(),
            host: "a".into(),
            role: None,
            rules: Vec::new(),
            misread: Some(Misread { path: "/public".into(), written: Vec::new(), read: vec![rule("/public", 7)] }),
            outcome: Outcome::Refused(refused),
            preflight: false,
        };
        let words = Words(&explanation).to_string();
        let end = "\n  as written   no rule\n  leniently    read as /public: g.toml:7: prefix /public";
        assert!(words.ends_with(end), "{words}");
    }
}
