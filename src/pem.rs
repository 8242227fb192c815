//! Reads certificates and private keys from PEM files, and says what to do where they cannot be read.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::config::{Located, Place, Problems};
use crate::plain_file::{self, LONGEST_TEXT};
use crate::unreadable;

const FIX: &str = "give a PEM file, or make one with `gatewarden cert dev --dir certs`";

/// The certificates of a file, at least one; `key` names the setting.
pub(crate) fn read_certificates(
    (key, file): (&str, &Located<PathBuf>),
    problems: &mut Problems,
) -> Option<Vec<CertificateDer<'static>>> {
    match read_public(&file.value) {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        Ok(_) => {
            problems.add(&file.place, format!("{key}: no certificate in {}", file.value.display()), FIX);
            None
        }
        Err(error) => cannot_read((&file.place, &file.value), (key, &error), problems),
    }
}

/// The first private key of a file; `key` names the setting.
pub(crate) fn read_key(
    (key, file): (&str, &Located<PathBuf>),
    problems: &mut Problems,
) -> Option<PrivateKeyDer<'static>> {
    match read_private(&file.value) {
        Ok(key) => Some(key),
        Err(error) => cannot_read((&file.place, &file.value), (key, &error), problems),
    }
}

fn read_public(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = plain_file::read(path, LONGEST_TEXT).map_err(Error::Io)?;
    CertificateDer::pem_slice_iter(&text).collect()
}

fn read_private(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = plain_file::read_private("a private key", path, LONGEST_TEXT).map(Zeroizing::new);
    PrivateKeyDer::from_pem_slice(&text.map_err(Error::Io)?)
}

fn cannot_read<T>((place, file): (&Place, &Path), (key, error): (&str, &Error), problems: &mut Problems) -> Option<T> {
    let (what, fix) = match error {
        Error::Io(error) => unreadable::explain(file, error, FIX),
        _ => (format!("{}: {error}", file.display()), FIX.to_owned()),
    };
    problems.add(place, format!("{key}: cannot read {what}"), fix);
    None
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_needs_another_mode_and_not_another_file() {
        let fix = |kind: ErrorKind| {
            let (mut problems, place) = (Problems::default(), Place::whole(Path::new("g.toml")));
            let error = Error::Io(kind.into());
            assert!(cannot_read::<()>((&place, Path::new("x.key")), ("k", &error), &mut problems).is_none());
            problems.to_string()
        };
        assert!(fix(ErrorKind::PermissionDenied).contains("mode 0640"));
        assert!(fix(ErrorKind::NotFound).contains("gatewarden cert dev"));
    }
}
