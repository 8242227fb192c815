//! A users file as a document that keeps its comments: where a user stands in it. Knows no disk.

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

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

pub(super) fn push(document: &mut DocumentMut, fields: &[(&str, &str)]) -> Result<(), EditError> {
    let users = document.entry("users").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
    match users {
        Item::ArrayOfTables(tables) => {
            let mut table: Table = fields.iter().map(|(key, text)| (*key, value(*text))).collect();
            if !tables.is_empty() {
                table.decor_mut().set_prefix("\n");
            }
            tables.push(table);
        }
        Item::Value(Value::Array(array)) => array.push(fields.iter().copied().collect::<InlineTable>()),
        _ => return Err(EditError::NoList),
    }
    Ok(())
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
