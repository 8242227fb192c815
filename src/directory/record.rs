//! One user of a users file: its keys become a record. Knows no other user.

use serde_json::{Map, Value};
use toml::de::DeTable;

use super::attributes::{RESERVED, in_order, to_json};
use super::hash::StoredHash;
use super::parse::Reader;
use super::{Principal, Role, canonical};

const KEYS: [&str; 4] = ["name", "password", "role", "attributes"];

/// A user as written.
pub(super) struct Record {
    pub(super) principal: Principal,
    /// The name as written, which an a1 hash is made of.
    pub(super) stored_name: Box<str>,
    /// The hash as written and as understood.
    pub(super) text: Box<str>,
    pub(super) hash: StoredHash,
}

impl Reader<'_> {
    /// The canonical name with the place it stands at, and the record where nothing is wrong with it.
    pub(super) fn user(&mut self, table: &DeTable<'_>, start: usize) -> (Option<(String, usize)>, Option<Record>) {
        for (key, _) in in_order(table) {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                let what = format!("unknown key {:?} of a user", key.get_ref());
                self.problem(key.span().start, what, format!("a user has {}", KEYS.join(", ")));
            }
        }
        let name = self.name(table, start);
        let hash = self.password(table, start);
        let role = self.role(table);
        let attributes = self.attributes(table);
        let place = name.as_ref().map(|(_, canonical, offset)| (canonical.clone(), *offset));
        let record = name.zip(hash).zip(role.zip(attributes)).map(|((name, hash), (role, attributes))| Record {
            principal: Principal { name: name.1, role, attributes },
            stored_name: name.0,
            text: hash.0,
            hash: hash.1,
        });
        (place, record)
    }

    fn name(&mut self, table: &DeTable<'_>, start: usize) -> Option<(Box<str>, String, usize)> {
        let (stored, offset) = self.string(table, "name", start)?;
        let canonical = canonical(&stored);
        if canonical.is_none() {
            let fix = "a name is LOCAL or LOCAL@DOMAIN, without spaces or control characters";
            self.problem(offset, format!("{stored:?} can't be a user's name"), fix);
        }
        canonical.map(|canonical| (stored, canonical, offset))
    }

    fn password(&mut self, table: &DeTable<'_>, start: usize) -> Option<(Box<str>, StoredHash)> {
        let (text, offset) = self.string(table, "password", start)?;
        match StoredHash::parse(&text) {
            Ok(hash) => Some((text, hash)),
            Err(what) => {
                let name = table.get("name").and_then(|name| name.get_ref().as_str());
                let name = name.filter(|name| canonical(name).is_some()).unwrap_or("NAME");
                let fix = format!("make one with: gatewarden user passwd --users {} {name}", self.path.display());
                self.problem(offset, format!("password: {what}"), fix);
                None
            }
        }
    }

    fn role(&mut self, table: &DeTable<'_>) -> Option<Role> {
        if !table.contains_key("role") {
            return Some(Role::User);
        }
        let (name, offset) = self.string(table, "role", 0)?;
        Role::written(&name).map_err(|(what, fix)| self.problem(offset, what, fix)).ok()
    }

    fn attributes(&mut self, table: &DeTable<'_>) -> Option<Map<String, Value>> {
        let Some(value) = table.get("attributes") else { return Some(Map::new()) };
        let Some(attributes) = value.get_ref().as_table() else {
            self.problem(value.span().start, "attributes is no table", "write attributes = { NAME = VALUE }");
            return None;
        };
        let mut json = Some(Map::new());
        for (key, value) in in_order(attributes) {
            let name = key.get_ref().as_ref();
            let converted = to_json(value.get_ref()).filter(|_| !RESERVED.contains(&name));
            if converted.is_none() {
                let fix = format!("not {}, and numbers that JSON has", RESERVED.join(", "));
                self.problem(key.span().start, format!("attribute {name:?} can't be in the login answer"), fix);
            }
            json = json.zip(converted).map(|(mut json, value)| {
                json.insert(name.to_owned(), value);
                json
            });
        }
        json
    }

    fn string(&mut self, table: &DeTable<'_>, key: &str, start: usize) -> Option<(Box<str>, usize)> {
        let Some(value) = table.get(key) else {
            if !self.torn {
                self.problem(start, format!("a user without {key}"), format!("write {key} = \"...\""));
            }
            return None;
        };
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.problem(value.span().start, format!("{key} is no string"), format!("write {key} = \"...\""));
        }
        text.map(|text| (text.into(), value.span().start))
    }
}
