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
