//! Which certificate a client is shown: by the name that it asks for, else the first.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::certificates::Pair;

/// The certificates of a name, in the order of the configuration; several where key types differ.
type Keys = Vec<Arc<CertifiedKey>>;

/// All certificates, their names taken apart once, when they are loaded.
#[derive(Debug, Default)]
pub(super) struct ByName {
    exact: HashMap<Box<str>, Keys, RandomState>,
    /// By what follows `*.`, which stands for one label (RFC 6125, section 6.4.3).
    wildcards: HashMap<Box<str>, Keys, RandomState>,
    first: Option<Arc<CertifiedKey>>,
}

impl ByName {
    /// The first is the default.
    pub(super) fn new<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> Self {
        let mut all = Self::default();
        for Pair { key, names, .. } in pairs {
            all.first.get_or_insert_with(|| key.clone());
            for name in names {
                let (table, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut all.wildcards, parent),
                    None => (&mut all.exact, name.as_str()),
                };
                table.entry(name.into()).or_default().push(key.clone());
            }
        }
        all
    }

    /// The certificates for a name in lower case: exact ones before wildcards.
    fn of(&self, name: &str) -> Option<&Keys> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let parent = || name.split_once('.').and_then(|(_, parent)| self.wildcards.get(parent));
        self.exact.get(name).or_else(parent)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let suits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let named = hello.server_name().and_then(|name| self.of(name));
        named.and_then(|keys| keys.iter().find(suits)).or(self.first.as_ref()).cloned()
    }
}
