//! Who a client is by its certificate: verified against the authorities that the operator trusts, and named in one way.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConnection};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::config::{Clients, Problems};
use crate::pem::read_certificates;

/// The longest name that a client can have.
const LONGEST_NAME: usize = 255;

const MAKE: &str = "name the PEM file of the authorities that sign your clients' certificates";

/// The authorities whose clients are known.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    roots: Vec<CertificateDer<'static>>,
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    required: bool,
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        (&self.roots, self.required) == (&other.roots, other.required)
    }
}

impl Trust {
    /// Reads the authorities' certificates.
    pub(super) fn read(clients: &Clients, problems: &mut Problems) -> Option<Self> {
        let roots = read_certificates(("tls.client_ca", &clients.ca), MAKE, problems)?;
        Self::of(roots, clients.required)
            .inspect_err(|error| {
                let what = format!("tls.client_ca: {} cannot be trusted ({error})", clients.ca.value.display());
                problems.add(&clients.ca.place, what, MAKE);
            })
            .ok()
    }

    fn of(roots: Vec<CertificateDer<'static>>, required: bool) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone()).map_err(|error| error.to_string())?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::new(default_provider()));
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        let verifier = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { roots, verifier, required })
    }

    /// Says what was loaded.
    pub(super) fn announce(&self, clients: &Clients) {
        tracing::info!(file = %clients.ca.value.display(), authorities = self.roots.len(), "client CA loaded");
    }

    /// The name of the client behind a finished handshake; `None` for one that showed no certificate and need not.
    ///
    /// # Errors
    /// A session that is resumed brings the certificate of its first handshake, which nobody has looked at since: it is
    /// verified anew, for it may have expired.
    pub(super) fn client(&self, session: &ServerConnection) -> Result<Option<Box<str>>, rustls::Error> {
        let Some([leaf, intermediates @ ..]) = session.peer_certificates() else {
            return if self.required { Err(rustls::Error::NoCertificatesPresented) } else { Ok(None) };
        };
        if session.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.verifier.verify_client_cert(leaf, intermediates, UnixTime::now())?;
        }
        Ok(name(leaf))
    }
}

/// The first URI among the subject's alternative names, else the first DNS name, else the first e-mail address, else the
/// common name, if it cannot be taken for a URI. DNS names are in lower case, all else is as the certificate says it. `None` where
/// there is none, or where the first of its kind is not plain: no other stands in for it.
fn name(certificate: &[u8]) -> Option<Box<str>> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let alternatives = parsed.subject_alternative_name().ok()?;
    let alternatives = || alternatives.iter().flat_map(|extension| &extension.value.general_names);
    if alternatives().any(|name| matches!(name, GeneralName::Invalid(..))) {
        return None;
    }
    let first = |of: fn(&GeneralName<'_>) -> Option<String>| alternatives().find_map(of);
    let found = first(uri).or_else(|| first(dns)).or_else(|| first(email)).or_else(|| common_name(&parsed))?;
    let plain = !found.is_empty() && found.len() <= LONGEST_NAME && !found.chars().any(char::is_control);
    plain.then(|| found.into())
}

fn uri(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::URI(uri) = name else { return None };
    // One without a scheme could be taken for a name of another kind.
    Some(if uri.contains(':') { (*uri).to_owned() } else { String::new() })
}

fn dns(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::DNSName(dns) = name else { return None };
    let plain = dns.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.*".contains(&b));
    Some(if plain { dns.to_ascii_lowercase() } else { String::new() })
}

fn email(name: &GeneralName<'_>) -> Option<String> {
    let GeneralName::RFC822Name(email) = name else { return None };
    let plain = email.contains('@') && email.bytes().all(|b| b.is_ascii_graphic() && !b"\":/\\".contains(&b));
    Some(if plain { (*email).to_owned() } else { String::new() })
}

/// Only where there is exactly one.
fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut names = certificate.subject().iter_common_name();
    let (Some(name), None) = (names.next(), names.next()) else { return None };
    name.as_str().ok().filter(|name| !name.contains([':', '/'])).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn named(common: &[&str], alternatives: Vec<SanType>) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        common.iter().for_each(|name| params.distinguished_name.push(DnType::CommonName, *name));
        params.subject_alt_names = alternatives;
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        name(certificate.der()).map(String::from)
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(text.try_into().unwrap())
    }

    fn email(text: &str) -> SanType {
        SanType::Rfc822Name(text.try_into().unwrap())
    }

    #[test]
    fn the_kinds_of_names_have_an_order() {
        let all =
            vec![email("a@b.c"), dns("One.Internal"), dns("two"), uri("spiffe://prod/web"), uri("spiffe://other")];
        assert_eq!(named(&["common"], all.clone()).as_deref(), Some("spiffe://prod/web"));
        assert_eq!(named(&["common"], all[..3].to_vec()).as_deref(), Some("one.internal"));
        assert_eq!(named(&["common"], all[..1].to_vec()).as_deref(), Some("a@b.c"));
        assert_eq!(named(&["Billing Ä"], vec![]).as_deref(), Some("Billing Ä"));
        let address = SanType::IpAddress([127, 0, 0, 1].into());
        assert_eq!(named(&["common"], vec![address]).as_deref(), Some("common"));
    }

    #[test]
    fn a_name_that_could_be_taken_for_another_kind_is_none() {
        for common in ["", "spiffe://prod/web", "urn:x", "a/b", "a\nb"] {
            assert_eq!(named(&[common], vec![]), None, "{common}");
        }
        assert_eq!(named(&[], vec![]), None);
        assert_eq!(named(&["common"], vec![uri("billing.internal"), dns("billing.internal")]), None);
        assert_eq!(named(&["common"], vec![email("spiffe://a@b")]), None);
        assert_eq!(named(&["common"], vec![dns("a b")]), None);
        assert_eq!(named(&[&"x".repeat(256)], vec![]), None);
    }
}
