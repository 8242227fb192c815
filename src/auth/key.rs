//! The session key: the X-Key that a client holds. Knows its spelling, not what it opens.

use std::fmt;
use std::hash::{Hash, Hasher};

use uuid::fmt::Hyphenated;
use uuid::{Uuid, Variant};

/// What a session is found by. It can be exposed to its owner, once; it can't be printed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey([u8; 16]);

impl SessionKey {
    /// A new random key.
    #[cfg(not(feature = "races"))]
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// The next of the keys that are the same each time that loom runs a test.
    #[cfg(feature = "races")]
    pub(crate) fn random() -> Self {
        loom::lazy_static! { static ref NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0); }
        Self(Uuid::from_u64_pair(NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed), 0).into_bytes())
    }

    /// The key with exactly the spelling in which it was issued: a UUID (RFC 9562) of version 4 as 36 bytes, lower
    /// case, hyphenated; absent for anything else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let uuid = Uuid::try_parse_ascii(text).ok()?;
        // Of that length only the hyphenated spelling is read.
        let is_lower = text.iter().fold(true, |lower, byte| lower & !byte.is_ascii_uppercase());
        let as_issued = text.len() == Hyphenated::LENGTH && is_lower;
        let random = uuid.get_version_num() == 4 && uuid.get_variant() == Variant::RFC4122;
        (as_issued && random).then(|| Self(uuid.into_bytes()))
    }

    /// The 36 bytes that [`SessionKey::parse`] reads, for the login answer and nothing else.
    pub fn expose(&self) -> String {
        Uuid::from_bytes(self.0).hyphenated().to_string()
    }

    pub(super) fn first_byte(&self) -> u8 {
        self.0[0]
    }
}

impl Hash for SessionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::SessionKey;

    #[test]
    fn a_key_is_read_only_as_it_was_issued() {
        let key = SessionKey::random();
        assert!(SessionKey::parse(key.expose().as_bytes()) == Some(key));
        assert_eq!(format!("{key:?}"), "SessionKey(..)");
        for bad in [
            "",
            "8FD26A17-EB28-4C74-AA6F-A3794F4F466C",
            "{8fd26a17-eb28-4c74-aa6f-a3794f4f466c}",
            "8fd26a17eb284c74aa6fa3794f4f466c",
            "urn:uuid:8fd26a17-eb28-4c74-aa6f-a3794f4f466c",
            "8fd26a17-eb28-4c74-aa6f-a3794f4f466c ",
            "8fd26a17-eb28-1c74-aa6f-a3794f4f466c",
            "8fd26a17-eb28-4c74-0a6f-a3794f4f466c",
            "8fd26a17-eb28-4c74-aa6f-a3794f4f466c,8fd26a17-eb28-4c74-aa6f-a3794f4f466c",
        ] {
            assert!(SessionKey::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(SessionKey::parse(b"8fd26a17-eb28-4c74-aa6f-a3794f4f466c").is_some());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_spelled_back(text in "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}") {
            if let Some(key) = SessionKey::parse(text.as_bytes()) {
                prop_assert_eq!(key.expose(), text);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = SessionKey::parse(&bytes);
        }
    }
}
