//! TLS for downstream connections: certificates by server name, versions, resumption. Knows no HTTP but for its ALPN names.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;

use crate::config::{Certificate, Located, Place, Problems, Tls, TlsVersion};

/// TLS 1.2 sessions that can be resumed by id; TLS 1.3 and clients with tickets need no memory here.
const SESSION_CACHE: usize = 20_000;

/// Reads the certificates and makes the configuration that all TLS listeners share.
pub(crate) fn load(tls: &Tls, problems: &mut Problems) -> Option<Arc<ServerConfig>> {
    let keys: Vec<_> = tls.certificates.iter().map(|certificate| certified_key(certificate, problems)).collect();
    let keys: Option<Vec<_>> = keys.into_iter().collect();
    let versions: &[_] = match tls.min_version {
        TlsVersion::V1_2 => rustls::ALL_VERSIONS,
        TlsVersion::V1_3 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(versions).ok()?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(ByName(keys?)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(SESSION_CACHE);
    match Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        Err(error) => tracing::warn!(%error, "no session tickets: clients resume by session id only"),
    }
    config.send_tls13_tickets = 1;
    Some(Arc::new(config))
}

/// The first certificate that is valid for the name, else the first.
#[derive(Debug)]
struct ByName(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().filter(|_| self.0.len() > 1).and_then(|name| ServerName::try_from(name).ok());
        let fits = |key: &&Arc<CertifiedKey>| name.as_ref().is_some_and(|name| is_for(key, name));
        self.0.iter().find(fits).or(self.0.first()).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.end_entity_cert().ok().and_then(|leaf| ParsedCertificate::try_from(leaf).ok());
    parsed.is_some_and(|leaf| verify_server_name(&leaf, name).is_ok())
}

fn certified_key(certificate: &Certificate, problems: &mut Problems) -> Option<Arc<CertifiedKey>> {
    let chain = read_chain(&certificate.chain, problems);
    let key = read_key(&certificate.key, problems);
    let (chain, key) = (chain?, key?);
    match CertifiedKey::from_der(chain, key, &default_provider()) {
        Ok(certified) => Some(Arc::new(certified)),
        Err(error) => {
            let (chain, key) = (certificate.chain.value.display(), certificate.key.value.display());
            let what = format!("tls.certificates: {chain} and {key} are no pair ({error})");
            problems.add(
                &certificate.key.place,
                what,
                "give the key that belongs to the first certificate of the chain",
            );
            None
        }
    }
}

fn read_chain(chain: &Located<std::path::PathBuf>, problems: &mut Problems) -> Option<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(&chain.value).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(certificates) if !certificates.is_empty() => Some(certificates),
        Ok(_) => {
            let what = format!("tls.certificates.chain: no certificate in {}", chain.value.display());
            problems.add(&chain.place, what, "give a PEM file, the server's certificate first");
            None
        }
        Err(error) => cannot_read(&chain.place, &chain.value, &error, problems),
    }
}

fn read_key(key: &Located<std::path::PathBuf>, problems: &mut Problems) -> Option<PrivateKeyDer<'static>> {
    match PrivateKeyDer::from_pem_file(&key.value) {
        Ok(key) => Some(key),
        Err(error) => cannot_read(&key.place, &key.value, &error, problems),
    }
}

fn cannot_read<T>(
    place: &Place,
    file: &Path,
    error: &rustls::pki_types::pem::Error,
    problems: &mut Problems,
) -> Option<T> {
    let what = format!("tls.certificates: cannot read {} ({error})", file.display());
    problems.add(place, what, "give a PEM file, or make one with `gatewarden cert dev --dir certs`");
    None
}
