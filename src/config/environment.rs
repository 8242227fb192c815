//! The environment's say: `GATEWARDEN_SECTION__KEY=value` sets a key of a table, whatever the file says.

use super::findings::{Findings, Wrong};
use super::problem::Place;
use super::tree::{Node, Table, Value};

const PREFIX: &str = "GATEWARDEN_";

/// Puts the variables that are meant for the gateway into the tree. A section that the file does not have comes to be;
/// a key that no section knows is found with its variable as its place, by the reader that finds it in a file too.
pub(super) fn apply(tree: &mut Table, environment: impl Iterator<Item = (String, String)>, findings: &Findings) {
    let mut variables: Vec<(String, String)> = environment.filter(|(name, _)| is_ours(name)).collect();
    variables.sort();
    for (name, value) in variables {
        let place = Place::Environment(name.as_str().into());
        if let Err(wrong) = set(tree, &name[PREFIX.len()..], Node::raw(value, &place)) {
            findings.add(&place, wrong);
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.contains("__"))
}

fn set(mut table: &mut Table, name: &str, node: Node) -> Result<(), Wrong> {
    if name.bytes().any(|b| b.is_ascii_lowercase()) {
        return Err(Wrong::new("not in capitals", "write the whole name in capitals"));
    }
    let mut parts = name.split("__").peekable();
    while let Some(part) = parts.next() {
        let key = key_for(table, part)?;
        if parts.peek().is_none() {
            return put(table, key, node);
        }
        let empty = || Node { value: Value::Table(Table::new()), ..node.clone() };
        table = match &mut table.entry(key).or_insert_with(empty).value {
            Value::Table(inner) => inner,
            Value::List(_) => return Err(Wrong::new("points into a list", "set it in the file")),
            _ => return Err(Wrong::new("points below a key that is no table", "leave out what follows that key")),
        };
    }
    Ok(())
}

/// The key that a part of the name stands for: a name in the file may have capitals and dashes, which a variable can't.
fn key_for(table: &Table, part: &str) -> Result<String, Wrong> {
    let mut keys = table.keys().filter(|key| key.to_ascii_uppercase().replace('-', "_") == part);
    match (keys.next(), keys.next()) {
        (Some(one), Some(other)) => {
            Err(Wrong::new(format!("could mean {one:?} or {other:?}"), "rename one of them, or set it in the file"))
        }
        (Some(key), None) => Ok(key.clone()),
        (None, _) => Ok(part.to_ascii_lowercase()),
    }
}

fn put(table: &mut Table, key: String, node: Node) -> Result<(), Wrong> {
    match table.get(&key).map(|there| &there.value) {
        Some(Value::Table(_)) => Err(Wrong::new("a table, not a value", "name one of its keys after another __")),
        Some(Value::List(_)) => Err(Wrong::new("a list cannot come from the environment", "set it in the file")),
        _ => {
            table.insert(key, node);
            Ok(())
        }
    }
}

impl Node {
    fn raw(value: String, place: &Place) -> Self {
        Self { value: Value::Raw(value), key: place.clone(), place: place.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::{Config, Problems, parse, testing};

    fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        parse(&format!("{}{text}", testing::LEAST), Path::new("g.toml"), variables.into_iter())
    }

    fn problem(text: &str, name: &str, value: &str) -> String {
        with(text, &[(name, value)]).unwrap_err().to_string()
    }

    #[test]
    fn a_variable_wins_over_the_file() {
        let variables = [
            ("GATEWARDEN_SESSIONS__LIFETIME", "1h"),
            ("GATEWARDEN_LIMITS__STREAMS", "7"),
            ("GATEWARDEN_LOG__QUERY", "true"),
            ("GATEWARDEN_UPSTREAMS__A_B__CONNECT_TIMEOUT", "9s"),
            ("GATEWARDEN_SERVER__WORKERS", "3"),
            ("GATEWARDEN_LOGIN__CONCURRENCY", "auto"),
        ];
        let config = with("[upstreams.A-b]\nservers = [\"http://b\"]\n[limits]\nstreams = 5\n", &variables).unwrap();
        assert_eq!(config.sessions.lifetime, Duration::from_secs(3600));
        assert_eq!((config.limits.streams, config.log.query, config.server.workers.get()), (7, true, 3));
        assert_eq!(config.upstreams["A-b"].connect_timeout, Duration::from_secs(9));
    }

    #[test]
    fn other_variables_are_not_read() {
        let variables =
            [("GATEWARDEN_LOG", "x"), ("PATH", "a__b"), ("gatewarden_log__level", "x"), ("GATEWARDENX__Y", "x")];
        assert!(with("", &variables).is_ok());
    }

    #[test]
    fn an_unknown_variable_is_a_problem_at_its_name() {
        assert_eq!(
            problem("", "GATEWARDEN_SESIONS__LIFETIME", "1h"),
            "environment GATEWARDEN_SESIONS__LIFETIME: sesions: unknown key; did you mean \"sessions\"?\n"
        );
        assert!(problem("", "GATEWARDEN_SESSIONS__LIVETIME", "1h").contains("did you mean \"lifetime\"?"));
        assert!(problem("", "GATEWARDEN_SESSIONS__lifetime", "1h").contains("capitals"));
        assert!(problem("", "GATEWARDEN___LIFETIME", "1h").contains("unknown key"));
        let forged = problem("", "GATEWARDEN_A__B\n\u{1b}[31m", "1");
        assert!(
            forged.starts_with("environment GATEWARDEN_A__B\\n\\u{1b}[31m: ") && forged.lines().count() == 1,
            "{forged}"
        );
        assert!(problem("", "GATEWARDEN_ADMIN__LISTEN", "127.0.0.1:1").contains("not supported by this build yet"));
    }

    #[test]
    fn lists_and_tables_are_set_in_the_file_only() {
        for name in ["GATEWARDEN_LISTENERS__0__TLS", "GATEWARDEN_ROUTES__PATH", "GATEWARDEN_SERVER__TRUSTED_PROXIES"] {
            assert!(problem("", name, "::1").contains("set it in the file"), "{name}");
        }
        assert!(problem("[limits]\nstreams = 5\n", "GATEWARDEN_LIMITS__STREAMS__X", "1").contains("no table"));
        assert!(problem("", "GATEWARDEN_UPSTREAMS__API", "x").contains("a table, not a value"));
        let twins = "[upstreams.a-b]\nservers = [\"http://b\"]\n[upstreams.a_b]\nservers = [\"http://b\"]\n";
        assert!(problem(twins, "GATEWARDEN_UPSTREAMS__A_B__HOST", "server").contains("could mean"));
    }

    #[test]
    fn a_wrong_value_is_placed_at_the_variable() {
        let problem = problem("", "GATEWARDEN_LIMITS__STREAMS", "many");
        assert_eq!(
            problem,
            "environment GATEWARDEN_LIMITS__STREAMS: limits.streams: not a whole number; give a number such as 100\n"
        );
    }
}
