//! A users file as a document that keeps its comments: where a user stands in it. Knows no disk.

use std::collections::HashSet;

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, RawString, Table, TableLike, Value, value};

use super::canonical;
use super::edit_error::EditError;
use super::hash::StoredHash;

/// A user as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name as written.
    pub name: String,
    /// The role's name.
    pub role: String,
    /// The kind of hash: `argon2id`, `bcrypt`, `a1` or `invalid`.
    pub hash: &'static str,
}

pub(super) fn parse(text: &str) -> Result<DocumentMut, EditError> {
    text.parse().map_err(|error: toml_edit::TomlError| {
        let line = |span: std::ops::Range<usize>| {
            1 + text.as_bytes()[..span.start.min(text.len())].iter().filter(|b| **b == b'\n').count()
        };
        EditError::Syntax(error.span().map(line))
    })
}

pub(super) fn users(document: &DocumentMut) -> Result<Vec<&dyn TableLike>, EditError> {
    let users = match document.get("users") {
        None => return Ok(Vec::new()),
        Some(Item::ArrayOfTables(tables)) => tables.iter().map(|table| Some(table as &dyn TableLike)).collect(),
        Some(Item::Value(Value::Array(array))) => {
            array.iter().map(|user| user.as_inline_table().map(|table| table as &dyn TableLike)).collect()
        }
        Some(_) => None,
    };
    users.ok_or(EditError::NoList)
}

pub(super) fn position(document: &DocumentMut, name: &str) -> Result<Option<usize>, EditError> {
    let is = |user: &&dyn TableLike| text(*user, "name").and_then(canonical).as_deref() == Some(name);
    Ok(users(document)?.iter().position(is))
}

/// Every canonical name.
pub(super) fn names(document: &DocumentMut) -> Result<HashSet<String>, EditError> {
    Ok(users(document)?.into_iter().filter_map(|user| text(user, "name").and_then(canonical)).collect())
}

pub(super) fn push(document: &mut DocumentMut, fields: &[(&str, &str)]) -> Result<(), EditError> {
    // What stands behind the last user stays in front of the new one.
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    let users = document.entry("users").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    match users {
        Item::ArrayOfTables(tables) => {
            let mut table: Table = fields.iter().map(|(key, text)| (*key, value(*text))).collect();
            table.decor_mut().set_prefix(before_next(&trailing, tables.is_empty()));
            tables.push(table);
            document.set_trailing("");
        }
        Item::Value(Value::Array(array)) => array.push(fields.iter().copied().collect::<InlineTable>()),
        _ => return Err(EditError::NoList),
    }
    Ok(())
}

/// What was at the end of the file, and an empty line.
fn before_next(trailing: &str, is_first: bool) -> String {
    let end = if trailing.is_empty() && is_first { "" } else { "\n" };
    let torn = if trailing.is_empty() || trailing.ends_with('\n') { "" } else { "\n" };
    format!("{trailing}{torn}{end}")
}

/// Takes a user out with the comment right above it; what an empty line parts from that stays.
pub(super) fn remove(document: &mut DocumentMut, index: usize) {
    match &mut document["users"] {
        Item::ArrayOfTables(tables) => {
            let above = tables.get(index).and_then(|table| table.decor().prefix()?.as_str()).unwrap_or_default();
            let kept = above.rfind("\n\n").map(|end| above[..=end].to_owned()).unwrap_or_default();
            tables.remove(index);
            match tables.get_mut(index) {
                Some(next) => {
                    let prefix = next.decor().prefix().and_then(RawString::as_str).unwrap_or_default();
                    let prefix = format!("{kept}{prefix}");
                    next.decor_mut().set_prefix(prefix);
                }
                None => {
                    let trailing = document.trailing().as_str().unwrap_or_default();
                    document.set_trailing(format!("{kept}{trailing}"));
                }
            }
        }
        users => _ = users.as_array_mut().map(|array| array.remove(index)),
    }
}

/// The new hash stands where the old one stood, with the comment behind it.
pub(super) fn set_hash(document: &mut DocumentMut, index: usize, hash: &str) {
    let user = document.get_mut("users").and_then(|users| users.get_mut(index));
    let Some(user) = user.and_then(Item::as_table_like_mut) else { return };
    match user.get_mut("password").and_then(Item::as_value_mut) {
        Some(password) => {
            let decor = password.decor().clone();
            *password = hash.into();
            *password.decor_mut() = decor;
        }
        None => _ = user.insert("password", value(hash)),
    }
}

/// The hash as written.
pub(super) fn hash_of(user: &dyn TableLike) -> Option<&str> {
    text(user, "password")
}

fn text<'a>(user: &'a dyn TableLike, key: &str) -> Option<&'a str> {
    user.get(key).and_then(Item::as_str)
}

pub(super) fn listed(user: &dyn TableLike) -> Listed {
    let hash = hash_of(user).and_then(|hash| StoredHash::parse(hash).ok());
    Listed {
        name: text(user, "name").unwrap_or_default().to_owned(),
        role: text(user, "role").unwrap_or("user").to_owned(),
        hash: hash.map_or("invalid", |hash| hash.kind()),
    }
}
