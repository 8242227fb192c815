//! Reads certificates and private keys from PEM files, and says what to do where they cannot be read.

use std::io;
use std::path::PathBuf;

use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::config::{Located, Problems};
use crate::plain_file::{self, LONGEST_TEXT};
use crate::unreadable;

const DECRYPT: &str = "the gateway asks for no passphrase: decrypt it with openssl pkey -in";

/// What a file should hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Certificate,
    PrivateKey,
}

/// The certificates of a file, at least one; `key` names the setting, `make` says how to come by such a file.
pub(crate) fn read_certificates(
    (key, file): (&str, &Located<PathBuf>),
    make: &str,
    problems: &mut Problems,
) -> Option<Vec<CertificateDer<'static>>> {
    let text = or_problem((key, file), make, plain_file::read(&file.value, LONGEST_TEXT), problems)?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let found = found.and_then(|found| if found.is_empty() { Err(Error::NoItemsFound) } else { Ok(found) });
    or_fault((key, file), (Wanted::Certificate, make, &text), found, problems)
}

/// The first private key of a file; `key` names the setting, `make` says how to come by such a file.
pub(crate) fn read_key(
    (key, file): (&str, &Located<PathBuf>),
    make: &str,
    problems: &mut Problems,
) -> Option<PrivateKeyDer<'static>> {
    let text = plain_file::read_private("a private key", &file.value, LONGEST_TEXT).map(Zeroizing::new);
    let text = or_problem((key, file), make, text, problems)?;
    let found = PrivateKeyDer::from_pem_slice(&text);
    or_fault((key, file), (Wanted::PrivateKey, make, &text), found, problems)
}

fn or_problem<T>(
    (key, file): (&str, &Located<PathBuf>),
    make: &str,
    read: io::Result<T>,
    problems: &mut Problems,
) -> Option<T> {
    let add = |error: io::Error| {
        let (what, fix) = unreadable::explain(&file.value, &error, make);
        problems.add(&file.place, format!("{key}: cannot read {what}"), fix);
    };
    read.map_err(add).ok()
}

fn or_fault<T>(
    (key, file): (&str, &Located<PathBuf>),
    (wanted, make, text): (Wanted, &str, &[u8]),
    found: Result<T, Error>,
    problems: &mut Problems,
) -> Option<T> {
    let add = |error: Error| {
        let shown = file.value.display();
        let (what, fix) = match encrypted(text) && wanted == Wanted::PrivateKey {
            true => ("holds an encrypted private key".into(), format!("{DECRYPT} {shown} -out {shown}.plain")),
            false => fault(wanted, make, &error, text),
        };
        problems.add(&file.place, format!("{key}: {shown} {what}"), fix);
    };
    found.map_err(add).ok()
}

/// What is wrong with a text, without any of it, and what to do.
fn fault(wanted: Wanted, make: &str, error: &Error, text: &[u8]) -> (String, String) {
    const AGAIN: &str = "copy the whole file again";
    match (error, wanted) {
        (Error::MissingSectionEnd { .. }, _) => ("is cut off: a section has no -----END line".into(), AGAIN.into()),
        (Error::NoItemsFound, Wanted::Certificate) if has(text, "PRIVATE KEY-----") => {
            ("holds a private key and no certificate".into(), "name the certificate here; are the two swapped?".into())
        }
        (Error::NoItemsFound, Wanted::PrivateKey) if has(text, "BEGIN CERTIFICATE-----") => {
            ("holds a certificate and no private key".into(), "name the private key here; are the two swapped?".into())
        }
        (Error::NoItemsFound, _) if !has(text, "-----BEGIN ") => {
            ("is no PEM file: it has no -----BEGIN line".into(), make.into())
        }
        (Error::NoItemsFound, Wanted::Certificate) => ("holds no certificate".into(), make.into()),
        (Error::NoItemsFound, Wanted::PrivateKey) => ("holds no private key".into(), make.into()),
        _ => ("is damaged: it begins as PEM and goes on as something else".into(), AGAIN.into()),
    }
}

/// As PKCS#8 says it, and as OpenSSL said it before.
fn encrypted(text: &[u8]) -> bool {
    has(text, "BEGIN ENCRYPTED PRIVATE KEY-----") || has(text, "Proc-Type: 4,ENCRYPTED")
}

fn has(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Place;

    fn said(wanted: Wanted, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let value = folder.path().join("x.pem");
        std::fs::write(&value, text).unwrap();
        let named = Located { value, place: Place::whole(Path::new("g.toml")) };
        let mut problems = Problems::default();
        let found = match wanted {
            Wanted::Certificate => read_certificates(("k", &named), "make one", &mut problems).is_some(),
            Wanted::PrivateKey => read_key(("k", &named), "make one", &mut problems).is_some(),
        };
        assert_eq!(found, problems.is_empty());
        problems.to_string()
    }

    #[test]
    fn what_a_file_holds_instead_is_said() {
        let made = crate::cli::cert::throwaway(&["localhost"]).unwrap();
        assert_eq!(said(Wanted::Certificate, &made.chain), "");
        assert_eq!(said(Wanted::PrivateKey, &made.key), "");
        assert!(
            said(Wanted::Certificate, &made.key)
                .ends_with("holds a private key and no certificate; name the certificate here; are the two swapped?\n")
        );
        assert!(
            said(Wanted::PrivateKey, &made.chain)
                .ends_with("holds a certificate and no private key; name the private key here; are the two swapped?\n")
        );
        assert!(said(Wanted::PrivateKey, "").ends_with("it has no -----BEGIN line; make one\n"));
        assert!(
            said(Wanted::Certificate, "-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n")
                .ends_with("holds no certificate; make one\n")
        );
    }

    #[test]
    fn a_file_that_is_cut_off_or_damaged_is_said_in_words_and_none_of_it_is_repeated() {
        for text in ["-----BEGIN PRIVATE KEY-----\nplanted", "-----BEGIN CERTIFICATE-----\nplanted\n"] {
            let said = said(Wanted::PrivateKey, text);
            assert!(said.contains("is cut off") && !said.contains("planted") && !said.contains('['), "{said}");
        }
        let said = said(Wanted::PrivateKey, "-----BEGIN PRIVATE KEY-----\npla.nted\n-----END PRIVATE KEY-----\n");
        assert!(said.contains("is damaged") && !said.contains("pla.nted"), "{said}");
    }

    #[test]
    fn an_encrypted_key_is_said_with_how_to_decrypt_it() {
        for text in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nAA==\n-----END RSA PRIVATE KEY-----\n",
        ] {
            assert!(said(Wanted::PrivateKey, text).contains(
                "holds an encrypted private key; the gateway asks for no passphrase: decrypt it with openssl pkey -in /"
            ));
        }
    }
}
