//! HKDF as rustls has it, but for how each handshake without a pre-shared key begins (RFC 8446, section 7.1): from nothing but zeros, so
//! that the first three of its secrets are the same for all. They are derived once.

use std::sync::OnceLock;

use rustls::crypto::hmac::{Hmac, Key, Tag};
use rustls::crypto::tls13::{Hkdf, HkdfExpander, HkdfUsingHmac, OkmBlock, OutputLengthError};

/// HKDF over one hash.
pub(super) struct EarlyOnce {
    hkdf: HkdfUsingHmac<'static>,
    hmac: &'static dyn Hmac,
    early: OnceLock<Box<dyn HkdfExpander>>,
    derived: OnceLock<Derived>,
}

/// What is expanded first from the early secret: `Derive-Secret(., "derived", "")`, the salt of the handshake's own secret.
struct Derived {
    info: Vec<u8>,
    block: OkmBlock,
    key: Box<dyn Key>,
}

/// The early secret of those who have no other.
struct Early(&'static EarlyOnce);

impl EarlyOnce {
    pub(super) const fn new(hmac: &'static dyn Hmac) -> Self {
        Self { hkdf: HkdfUsingHmac(hmac), hmac, early: OnceLock::new(), derived: OnceLock::new() }
    }

    fn early(&self) -> &dyn HkdfExpander {
        &**self.early.get_or_init(|| self.hkdf.extract_from_zero_ikm(None))
    }

    fn derived(&self, info: &[&[u8]]) -> &Derived {
        self.derived.get_or_init(|| {
            let block = self.early().expand_block(info);
            Derived { info: info.concat(), key: self.hmac.with_key(block.as_ref()), block }
        })
    }
}

/// One that lives as long as the program, for what is extracted refers to it.
impl Hkdf for &'static EarlyOnce {
    fn extract_from_zero_ikm(&self, salt: Option<&[u8]>) -> Box<dyn HkdfExpander> {
        if salt.is_none() { Box::new(Early(self)) } else { self.hkdf.extract_from_zero_ikm(salt) }
    }

    fn extract_from_secret(&self, salt: Option<&[u8]>, secret: &[u8]) -> Box<dyn HkdfExpander> {
        match self.derived.get().filter(|derived| salt == Some(derived.block.as_ref())) {
            Some(derived) => self.expander_for_okm(&OkmBlock::new(derived.key.sign(&[secret]).as_ref())),
            None => self.hkdf.extract_from_secret(salt, secret),
        }
    }

    fn expander_for_okm(&self, okm: &OkmBlock) -> Box<dyn HkdfExpander> {
        self.hkdf.expander_for_okm(okm)
    }

    fn hmac_sign(&self, key: &OkmBlock, message: &[u8]) -> Tag {
        self.hkdf.hmac_sign(key, message)
    }
}

impl HkdfExpander for Early {
    fn expand_slice(&self, info: &[&[u8]], output: &mut [u8]) -> Result<(), OutputLengthError> {
        self.0.early().expand_slice(info, output)
    }

    fn expand_block(&self, info: &[&[u8]]) -> OkmBlock {
        let derived = self.0.derived(info);
        let asked = info.iter().copied().flatten();
        if asked.eq(&derived.info) { derived.block.clone() } else { self.0.early().expand_block(info) }
    }

    fn hash_len(&self) -> usize {
        self.0.early().hash_len()
    }
}
