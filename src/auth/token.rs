//! The access token as issued, and the digest that is all a session keeps of it. Knows no secrets and no claims.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A JWT as it goes to the client, once. It can be exposed, not printed; zeroed when dropped.
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// No token is longer, in bytes.
    pub(super) const MOST: usize = 256;

    pub(super) fn new(jwt: String) -> Self {
        Self(Zeroizing::new(jwt))
    }

    /// The text, for the login answer and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// SHA-256 of an access token, in words: to compare bytes in constant time takes four times as many instructions.
pub(super) struct TokenDigest([u64; 4]);

impl TokenDigest {
    pub(super) fn of(token: &[u8]) -> Self {
        let digest = digest(&SHA256, token);
        let (words, _) = digest.as_ref().as_chunks();
        Self(std::array::from_fn(|at| u64::from_ne_bytes(words[at])))
    }

    /// Whether both are of one token, in constant time.
    pub(super) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_matches_its_own_token_only() {
        assert!(TokenDigest::of(b"a.b.c").matches(&TokenDigest::of(b"a.b.c")));
        assert!(!TokenDigest::of(b"a.b.c").matches(&TokenDigest::of(b"a.b.c ")));
        assert!(!TokenDigest::of(b"a.b.c").matches(&TokenDigest::of(b"")));
    }

    #[test]
    fn a_token_is_never_printed() {
        assert_eq!(format!("{:?}", AccessToken::new("a.b.c".into())), "AccessToken(..)");
    }
}
