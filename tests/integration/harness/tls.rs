//! Certificates of the tests' own authorities, and TLS clients that a test can look into.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::Io;
use super::{planted, within};

/// An authority that a test trusts, or does not.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    /// A new one by that name.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a CA"))
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server by these names.
    pub(crate) fn server(&self, names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.sign(&CertificateParams::new(names).expect("names"))
    }

    /// A certificate as described.
    pub(crate) fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let chain = params.signed_by(&key, &self.0).expect("a certificate").pem();
        let key = key.serialize_pem();
        planted::private_key(&key);
        Identity { chain, key }
    }
}

impl Authority {
    /// A certificate for a client by that DNS name.
    pub(crate) fn client(&self, name: &str) -> Identity {
        self.server(&[name])
    }
}

impl Identity {
    /// What a server with this certificate speaks; it would rather speak HTTP/2.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key");
        let builder = builder.expect("versions").with_no_client_auth();
        let mut config = builder.with_single_cert(vec![self.der()], key).expect("a pair");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.into()
    }

    /// The certificate as it goes over the wire.
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.chain.as_bytes()).expect("PEM")
    }
}

/// A client that trusts `ca` and shows `identity`, if any. Used again, it resumes.
pub(crate) fn config(ca: &str, identity: Option<&Identity>) -> ClientConfig {
    config_for(ca, identity, rustls::ALL_VERSIONS)
}

/// The same with versions of the test's choice.
pub(crate) fn config_for(
    ca: &str,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let builder = builder.expect("versions").with_root_certificates(roots);
    let Some(identity) = identity else { return builder.with_no_client_auth() };
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
    builder.with_client_auth_cert(vec![identity.der()], key).expect("a pair")
}

/// A new connection for that name; an address as a name sends none.
pub(crate) async fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = within("connecting", TcpStream::connect(address)).await?;
    stream.set_nodelay(true)?;
    over(stream, config, name).await
}

/// TLS over a stream that is open already.
pub(crate) async fn over<S: Io>(stream: S, config: &Arc<ClientConfig>, name: &str) -> io::Result<TlsStream<S>> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    within("TLS", TlsConnector::from(config.clone()).connect(name, stream)).await
}

/// The certificate that a client is shown for a name.
pub(crate) async fn shown(address: SocketAddr, ca: &str, name: &str) -> CertificateDer<'static> {
    let stream = connect(address, &config(ca, None).into(), name).await.expect("a handshake");
    stream.get_ref().1.peer_certificates().expect("certificates")[0].clone()
}
