//! `gatewarden cert`: throwaway certificates and secrets for development. Knows no TLS sessions.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use zeroize::Zeroizing;

use super::CliError;
use super::files::{self, PRIVATE, PUBLIC};
use crate::clock::wall_millis;

const DAY: Duration = Duration::from_secs(86_400);
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What to do about certificates.
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Fill a folder with what development needs: a certificate for localhost, its CA, a token secret, an admin token
    Dev {
        /// The folder; what is there already is kept
        #[arg(long, value_name = "FOLDER", default_value = "certs")]
        dir: PathBuf,
    },
}

/// A certificate of a CA that signs nothing else, since its key is thrown away. PEM.
pub struct Throwaway {
    /// The server's certificate, then its CA's.
    pub chain: String,
    /// The server's private key: ECDSA P-256, PKCS#8.
    pub key: Zeroizing<String>,
    /// What a client trusts.
    pub ca: String,
}

/// Does it, and says what it wrote.
///
/// # Errors
/// [`CliError`] when a file can't be written, or when only a part of a certificate is there.
pub fn run(command: &CertCommand) -> Result<(), CliError> {
    let CertCommand::Dev { dir } = command;
    fs::create_dir_all(dir).map_err(CliError::making(dir))?;
    write_certificate(dir)?;
    let secret = files::random::<64>()?;
    write_missing(&dir.join("token.key"), PRIVATE, secret.as_ref())?;
    let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(files::random::<32>()?.as_ref()));
    write_missing(&dir.join("admin.token"), PRIVATE, token.as_bytes())
}

/// A new CA and a certificate of it for these DNS names and addresses, good for a year.
///
/// # Errors
/// [`CliError`] when a name is neither.
pub fn throwaway(names: &[&str]) -> Result<Throwaway, CliError> {
    make(names).map_err(|error| CliError::new(format!("certificate: {error}")))
}

fn make(names: &[&str]) -> Result<Throwaway, rcgen::Error> {
    let issuer = CertifiedIssuer::self_signed(ca_params(), KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let server = server_params(names)?.signed_by(&key, &issuer)?;
    let chain = format!("{}{}", server.pem(), issuer.pem());
    Ok(Throwaway { chain, key: Zeroizing::new(key.serialize_pem()), ca: issuer.pem() })
}

fn ca_params() -> CertificateParams {
    let mut params = with_a_year(CertificateParams::default());
    params.distinguished_name.push(DnType::CommonName, "gatewarden development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params(names: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let common = names.first().cloned().unwrap_or_default();
    let mut params = with_a_year(CertificateParams::new(names)?);
    params.distinguished_name.push(DnType::CommonName, common);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn with_a_year(mut params: CertificateParams) -> CertificateParams {
    params.distinguished_name = rcgen::DistinguishedName::new();
    let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(wall_millis());
    // From yesterday: the clock of a container or a phone may be late.
    (params.not_before, params.not_after) = (now - DAY, now + 365 * DAY);
    params
}

/// Chain, key and CA belong together: all three are written or none.
fn write_certificate(dir: &Path) -> Result<(), CliError> {
    let [ca, chain, key] = ["ca.pem", "server.pem", "server.key"].map(|name| dir.join(name));
    let there = [&ca, &chain, &key].iter().filter(|path| path.exists()).count();
    if !matches!(there, 0 | 3) {
        let what = "of ca.pem, server.pem and server.key only some are there, and they belong together";
        return Err(CliError::new(format!("{}: {what}; remove them, or choose another --dir", dir.display())));
    }
    let made = throwaway(&NAMES)?;
    write_missing(&ca, PUBLIC, made.ca.as_bytes())?;
    write_missing(&chain, PUBLIC, made.chain.as_bytes())?;
    write_missing(&key, PRIVATE, made.key.as_bytes())
}

fn write_missing(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), CliError> {
    let verb = match files::create(path, mode, bytes) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => "kept ",
        written => written.map(|()| "wrote").map_err(CliError::making(path))?,
    };
    writeln!(io::stdout(), "{verb} {}", path.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn dev(dir: &Path) -> Result<(), CliError> {
        run(&CertCommand::Dev { dir: dir.to_owned() })
    }

    #[test]
    fn the_folder_is_filled_once_and_then_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("certs");
        dev(&dir).unwrap();
        let read = || {
            ["ca.pem", "server.pem", "server.key", "token.key", "admin.token"]
                .map(|name| fs::read(dir.join(name)).unwrap())
        };
        let first = read();
        assert_eq!(first[3].len(), 64);
        assert!(first[4].len() >= 32);
        dev(&dir).unwrap();
        assert_eq!(read(), first);
        let mode = |name| fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(["server.key", "token.key", "admin.token", "ca.pem"].map(mode), [0o600, 0o600, 0o600, 0o644]);
    }

    #[test]
    fn a_file_where_the_folder_should_be_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(dev(file.path()).unwrap_err().to_string().contains("a file is where a folder should be"));
    }

    #[test]
    fn half_a_certificate_is_neither_completed_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("server.pem"), "mine").unwrap();
        assert!(dev(folder.path()).is_err());
        assert_eq!(fs::read(folder.path().join("server.pem")).unwrap(), b"mine");
    }

    #[test]
    fn a_throwaway_chain_and_key_are_what_rustls_takes() {
        use rustls::pki_types::pem::PemObject;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer};
        let made = throwaway(&["localhost", "127.0.0.1"]).unwrap();
        let chain = CertificateDer::pem_slice_iter(made.chain.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(chain.len(), 2);
        let key = PrivateKeyDer::from_pem_slice(made.key.as_bytes()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        assert!(builder.unwrap().with_no_client_auth().with_single_cert(chain, key).is_ok());
        assert!(made.key.starts_with("-----BEGIN PRIVATE KEY-----"));
    }
}
