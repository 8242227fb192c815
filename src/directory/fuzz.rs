//! What must hold whatever a users file, an import, a hash or a name says. Called by tests/fuzz, and by nobody else.

use std::collections::HashSet;
use std::path::Path;

use super::decoys::{Argon2id, Cost};
use super::document::{self, names, push, remove, set_hash};
use super::hash::StoredHash;
use super::import::{Format, Import, Newcomer};
use super::record::Record;
use super::{Password, Role, canonical, parse};
use crate::config::{Place, Problems};

/// Well-formed, and nobody's.
const HASH: &str = "a1:00000000000000000000000000000000";

fn read(text: &str) -> (Vec<Record>, Problems) {
    let mut problems = Problems::default();
    let records = parse::parse(Path::new("users.toml"), text, &mut problems);
    (records, problems)
}

/// Every problem has its line; every user has one name, and is still there when another is added, changed and removed again.
pub fn users_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (records, problems) = read(text);
    let last = 1 + text.bytes().filter(|b| *b == b'\n').count();
    assert!(problems.iter().all(|problem| matches!(problem.place, Place::File { line, .. } if line <= last)));
    assert!(records.iter().all(|user| canonical(&user.principal.name).as_deref() == Some(&*user.principal.name)));
    if problems.is_empty() {
        assert_eq!(canonical_names(&records).len(), records.len());
        edited(text, &records);
    }
}

fn canonical_names(records: &[Record]) -> HashSet<String> {
    records.iter().map(|user| user.principal.name.clone()).collect()
}

fn edited(text: &str, before: &[Record]) {
    let Ok(mut document) = document::parse(text) else { panic!("one reader takes it, the other does not: {text:?}") };
    let newcomer = "somebody@elsewhere.example";
    if names(&document).is_ok_and(|names| names.contains(newcomer)) {
        return;
    }
    push(&mut document, &[("name", newcomer), ("password", HASH)]).unwrap_or_else(|error| panic!("{error}"));
    let (records, problems) = read(&document.to_string());
    assert!(problems.is_empty() && records.len() == before.len() + 1, "{problems}{document}");
    set_hash(&mut document, before.len(), "a1:11111111111111111111111111111111");
    remove(&mut document, before.len());
    let (records, problems) = read(&document.to_string());
    assert!(problems.is_empty(), "{problems}{document}");
    let told = |records: &[Record]| -> Vec<_> {
        records.iter().map(|user| (user.principal.clone(), user.stored_name.clone(), user.text.clone())).collect()
    };
    assert_eq!(told(&records), told(before));
}

/// Who is taken in makes a users file without a problem; the first byte says what is known beforehand.
pub fn import(bytes: &[u8]) {
    let Some((case, text)) = bytes.split_first() else { return };
    let format = [None, Some(Format::Csv), Some(Format::Htpasswd)][usize::from(*case) % 3];
    let domain = (case & 0x80 != 0).then(|| "b.example".to_owned());
    let import = Import { path: Path::new("-"), format, role: Role::User, domain };
    let mut problems = Problems::default();
    let newcomers = import.read(text, &mut problems);
    if !problems.is_empty() {
        return;
    }
    let mut document = document::parse("").unwrap_or_else(|error| panic!("{error}"));
    for Newcomer { name, role, canonical: said, .. } in &newcomers {
        assert_eq!(canonical(name).as_ref(), Some(said));
        let fields = [("name", name.as_str()), ("password", HASH), ("role", role.name())];
        push(&mut document, &fields).unwrap_or_else(|error| panic!("{error}"));
    }
    let (records, problems) = read(&document.to_string());
    assert!(!newcomers.is_empty() && problems.is_empty(), "{problems}{document}");
    let imported: Vec<_> =
        newcomers.iter().map(|newcomer| (newcomer.canonical.clone(), newcomer.role.clone())).collect();
    assert_eq!(
        records.iter().map(|user| (user.principal.name.clone(), user.principal.role.clone())).collect::<Vec<_>>(),
        imported
    );
}

/// A hash that is taken costs a bounded time to check, and what is not taken is never repeated.
pub fn hash(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match StoredHash::parse(text) {
        Ok(hash) => {
            assert!(text.starts_with(match hash.kind() {
                "argon2id" => "$argon2id$",
                "bcrypt" => "$2",
                _ => "a1:",
            }));
            let cheap = match hash.cost() {
                None | Some(Cost::A1) => true,
                Some(Cost::Argon2id(Argon2id { memory, passes, .. })) => memory * passes < 1024,
                Some(Cost::Bcrypt(exponent)) => exponent < 6,
            };
            if cheap {
                let password = Password::new("wrong".to_owned());
                assert!(!hash.verify("nobody", &password) || hash.kind() == "a1");
            }
        }
        Err(what) => assert!(text.len() < 50 || !what.contains(text)),
    }
}

/// A canonical name is its own, and has one meaning to whoever splits it.
pub fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(name) = canonical(text) else { return };
    assert_eq!(canonical(&name).as_ref(), Some(&name));
    assert!(name.len() <= 4096 && !name.chars().any(|c| c.is_control() || c.is_whitespace()));
    assert!(!name.ends_with('.') || !name.contains('@'));
    assert_eq!(canonical(&text.to_uppercase()).filter(|_| text.is_ascii()), Some(name).filter(|_| text.is_ascii()));
    let _no_role = Role::written(text).map(|role| assert!(Role::written(role.name()) == Ok(role.clone())));
}

/// Whether that is what somebody typed.
pub(crate) fn is_password(password: &Password, text: &str) -> bool {
    password.as_bytes() == text.as_bytes()
}
