//! What must hold of paths, and of the routes that they are judged by.

use std::sync::LazyLock;

use http::{Method, Uri};
use percent_encoding::percent_decode;

use super::cased;
use crate::config;
use crate::gateway::explain::{Explainer, Outcome, Question};
use crate::gateway::{prefix, readings, target};

/// Rules that a lenient reader could mix up.
const ROUTES: &str = r#"
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
[[routes]]
path = "/open"
upstream = "api"
access = "public"
[[routes]]
path = "/open/secret"
access = "deny"
[[routes]]
path = "/one"
exact = true
upstream = "api"
access = "public"
[[routes]]
path = "/files"
upstream = "api"
encoded_slash = "keep"
credentials = ["header", "query"]
[[routes]]
path = "/cut"
upstream = "api"
strip_prefix = true
"#;
const PREFIXES: [&str; 4] = ["/open", "/open/secret", "/files", "/cut"];
const EXACT: [&str; 3] = ["/login", "/logout", "/one"];

static EXPLAINER: LazyLock<Explainer> = LazyLock::new(|| explainer(ROUTES).expect("the routes are right"));

fn explainer(text: &str) -> Option<Explainer> {
    Explainer::new(config::parse(text, "fuzz.toml".as_ref(), std::iter::empty()).ok()?).ok()
}

/// What somebody could take a path for who does up to four lenient things to it, in an order that `case` decides; written apart
/// from [`readings::readings`], which must know all of them.
fn lenient(path: &str, case: u8) -> Vec<u8> {
    let (mut path, mut decodes) = (path.to_ascii_lowercase().into_bytes(), 0);
    for step in (0..8).step_by(2).map(|shift| case >> shift & 3) {
        let mut segments: Vec<&[u8]> = path[1..].split(|b| *b == b'/').collect();
        match step {
            0 if decodes == 2 => continue,
            0 => {
                decodes += 1;
                path = percent_decode(&path).collect::<Vec<u8>>().to_ascii_lowercase();
                continue;
            }
            1 => segments.iter_mut().for_each(|part| *part = part.split(|b| *b == b';').next().unwrap_or_default()),
            2 => {
                let last = segments.pop().unwrap_or_default();
                segments.retain(|part| !part.is_empty());
                segments.push(last);
            }
            _ => {
                let mut kept = Vec::new();
                for part in segments {
                    match part {
                        b"." => {}
                        b".." => _ = kept.pop(),
                        part => kept.push(part),
                    }
                }
                segments = if kept.is_empty() { vec![b""] } else { kept };
            }
        }
        path = [b"/", &segments.join(&b'/')[..]].concat();
    }
    path
}

/// A path that is accepted stays as it is, and whatever a lenient reader could take it for is among the readings.
pub fn path(bytes: &[u8]) {
    let Some((case, path)) = cased(bytes) else { return };
    // Neither is ever part of what a URI calls its path.
    if path.contains(['?', '#']) || target::judge(path).is_err() {
        return;
    }
    if let Ok(uri) = path.parse::<Uri>() {
        assert_eq!(uri.path(), path);
    }
    let Some(all) = readings::readings(path) else { return };
    assert_eq!(all[0], path.to_ascii_lowercase().as_bytes());
    assert!(all.len() < 150 && all.iter().all(|reading| reading.starts_with(b"/")));
    assert!(!readings::is_plain(path) || all.iter().all(|reading| reading == path.as_bytes()));
    let read = lenient(path, case);
    assert!(all.contains(&read), "{path:?} read as {:?}", String::from_utf8_lossy(&read));
}

/// The longest prefix decides, no lenient reading of what is forwarded falls to another rule, and the path sent is the path judged.
pub fn routes(bytes: &[u8]) {
    let Some((case, target)) = cased(bytes).filter(|(_, target)| target.starts_with('/')) else { return };
    let ask = |target: &str| {
        let question = Question { method: Method::POST, target: target.to_owned(), host: "a".into(), role: None };
        EXPLAINER.explain(&question)
    };
    let explained = ask(target);
    let Outcome::Forwarded(forwarded) = &explained.outcome else { return };
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let decider = &explained.rules[0];
    let covers = |rule: &str| path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let exact = EXACT.into_iter().find(|rule| *rule == path);
    let longest = PREFIXES.into_iter().filter(|rule| covers(rule)).max_by_key(|rule| rule.len());
    assert_eq!(decider.path, exact.or(longest).unwrap_or("/"), "{path:?}");
    let sent = forwarded.target.split('?').next().unwrap_or_default();
    if decider.path == "/cut" {
        assert_eq!(sent, prefix::cut(path, "/cut"));
        assert!(!sent.starts_with("//"));
    } else {
        assert_eq!(sent, path);
    }
    if let Ok(read) = String::from_utf8(lenient(path, case)) {
        let again = ask(&read);
        let other = again.rules.first().filter(|rule| rule.path != decider.path);
        assert!(other.is_none(), "{path:?} falls to {}, read as {read:?} to {other:?}", decider.path);
    }
}
