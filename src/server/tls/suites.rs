//! The cipher suites of aws-lc-rs, but for how TLS 1.3 derives keys: its HKDF extracts a secret anew for each key that is expanded from
//! it, which makes a handshake hash a third more. rustls's own, over the same HMAC, extracts once.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::hash::HashAlgorithm;
use rustls::crypto::hmac::{Hmac, Key, Tag};
use rustls::crypto::tls13::Hkdf;
use rustls::crypto::{CipherSuiteCommon, CryptoProvider};
use rustls::{SupportedCipherSuite, Tls13CipherSuite};

use super::early::EarlyOnce;

static ONCE_SHA256: EarlyOnce = EarlyOnce::new(&Mac(hmac::HMAC_SHA256));
static ONCE_SHA384: EarlyOnce = EarlyOnce::new(&Mac(hmac::HMAC_SHA384));
static SHA256: &EarlyOnce = &ONCE_SHA256;
static SHA384: &EarlyOnce = &ONCE_SHA384;

static TLS13: LazyLock<Vec<Tls13CipherSuite>> = LazyLock::new(|| {
    let suites = default_provider().cipher_suites;
    suites.iter().filter_map(SupportedCipherSuite::tls13).map(extracting_once).collect()
});

/// What aws-lc-rs offers, in its order, with those suites.
pub(super) fn provider() -> CryptoProvider {
    let default = default_provider();
    let older = default.cipher_suites.iter().copied().filter(|suite| suite.tls13().is_none());
    let cipher_suites = TLS13.iter().map(SupportedCipherSuite::Tls13).chain(older).collect();
    CryptoProvider { cipher_suites, ..default }
}

fn extracting_once(suite: &Tls13CipherSuite) -> Tls13CipherSuite {
    let CipherSuiteCommon { suite: name, hash_provider, confidentiality_limit } = suite.common;
    let hkdf_provider: &dyn Hkdf = match hash_provider.algorithm() {
        HashAlgorithm::SHA256 => &SHA256,
        HashAlgorithm::SHA384 => &SHA384,
        _ => suite.hkdf_provider,
    };
    let common = CipherSuiteCommon { suite: name, hash_provider, confidentiality_limit };
    Tls13CipherSuite { common, hkdf_provider, aead_alg: suite.aead_alg, quic: suite.quic }
}

struct Mac(hmac::Algorithm);

impl Hmac for Mac {
    fn with_key(&self, key: &[u8]) -> Box<dyn Key> {
        Box::new(Keyed(hmac::Key::new(self.0, key)))
    }

    fn hash_output_len(&self) -> usize {
        self.0.digest_algorithm().output_len()
    }
}

struct Keyed(hmac::Key);

impl Key for Keyed {
    fn sign_concat(&self, first: &[u8], middle: &[&[u8]], last: &[u8]) -> Tag {
        let mut signing = hmac::Context::with_key(&self.0);
        for part in [first].into_iter().chain(middle.iter().copied()).chain([last]) {
            signing.update(part);
        }
        Tag::new(signing.sign().as_ref())
    }

    fn tag_len(&self) -> usize {
        self.0.algorithm().digest_algorithm().output_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_aws_lc_derives() {
        let theirs = default_provider().cipher_suites;
        assert_eq!(TLS13.len(), 3);
        for (ours, theirs) in TLS13.iter().zip(theirs.iter().filter_map(SupportedCipherSuite::tls13)) {
            assert_eq!(ours.common.suite, theirs.common.suite);
            for (salt, secret) in [(None, &b"secret"[..]), (Some(&b"salt"[..]), b""), (Some(&[7; 48]), &[9; 200])] {
                let derive = |hkdf: &dyn Hkdf| {
                    let (expander, mut key) = (hkdf.extract_from_secret(salt, secret), [0; 100]);
                    expander.expand_slice(&[b"some", b"info"], &mut key).unwrap();
                    let block = expander.expand_block(&[b"block"]);
                    let tag = hkdf.hmac_sign(&block, b"message");
                    let further = hkdf.expander_for_okm(&block).expand_block(&[]);
                    (key, block.as_ref().to_vec(), tag.as_ref().to_vec(), further.as_ref().to_vec())
                };
                assert!(derive(ours.hkdf_provider) == derive(theirs.hkdf_provider), "{:?}", ours.common.suite);
            }
            // As each handshake without a pre-shared key begins, and something else.
            let begin = |hkdf: &dyn Hkdf, label: [&[u8]; 2]| {
                let (early, mut slice) = (hkdf.extract_from_zero_ikm(None), [0; 12]);
                early.expand_slice(&label, &mut slice).unwrap();
                let derived = early.expand_block(&label);
                let handshake = hkdf.extract_from_secret(Some(derived.as_ref()), b"shared").expand_block(&[b"x"]);
                let master = hkdf.extract_from_zero_ikm(Some(handshake.as_ref())).expand_block(&label);
                (early.hash_len(), slice, [derived, handshake, master].map(|block| block.as_ref().to_vec()))
            };
            for label in ["tls13 |derived", "tls13 d|erived", "tls13 |other", "tls13 |derived"] {
                let (first, rest) = label.split_once('|').unwrap();
                let label = [first.as_bytes(), rest.as_bytes()];
                assert!(begin(ours.hkdf_provider, label) == begin(theirs.hkdf_provider, label), "{label:?}");
            }
        }
    }

    #[test]
    fn the_suites_are_those_of_aws_lc_in_its_order() {
        let names = |provider: CryptoProvider| {
            provider.cipher_suites.iter().map(SupportedCipherSuite::suite).collect::<Vec<_>>()
        };
        assert_eq!(names(provider()), names(default_provider()));
    }
}
