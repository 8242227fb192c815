//! A password as sent: it can be verified, not printed. Knows no hashes.

use std::fmt;

use zeroize::Zeroizing;

/// A password; zeroed when dropped.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Bytes. Longer ones are wrong without being hashed, so that nobody makes the gateway hash a novel.
    pub const LONGEST: usize = 1024;

    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// False for what can't be anybody's password: the empty one and those over [`Password::LONGEST`].
    pub fn is_plausible(&self) -> bool {
        (1..=Self::LONGEST).contains(&self.0.len())
    }

    /// For those who verify it.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}
