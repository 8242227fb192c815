//! TLS towards the servers of an upstream: whom they are believed to be, by which authorities. Nothing is sent before that is clear.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{Located, Place, Problems, ServerAddress, UpstreamTls};
use crate::kept::Kept;
use crate::pem::read_certificates;

const MAKE: &str = "name the PEM file of the authorities that sign the servers' certificates";

/// What connections were verified against. One that was verified against another is used no more.
pub(super) type Trust = Arc<ClientConfig>;

/// The TLS of one upstream; its servers share what lets a connection resume.
pub(crate) struct Secured {
    settings: UpstreamTls,
    live: ArcSwap<ClientConfig>,
    /// Absent: the system's authorities, which are read once.
    ca: Option<Mutex<Kept<Authorities>>>,
}

/// The authorities of a file.
#[derive(Debug)]
struct Authorities(RootCertStore);

impl Secured {
    /// Reads the authorities of an upstream; `place` is where its servers are named.
    pub(super) fn load(settings: &UpstreamTls, place: &Place, problems: &mut Problems) -> Option<Self> {
        let (roots, ca) = match &settings.ca {
            Some(file) => {
                let read = |problems: &mut Problems| Authorities::read(file, problems);
                let kept = Kept::read([file.value.clone()], problems, read)?;
                (kept.value().0.clone(), Some(Mutex::new(kept)))
            }
            None => (system_roots(place, problems)?, None),
        };
        Some(Self { settings: settings.clone(), live: ArcSwap::from(trust(roots)?), ca })
    }

    /// Shakes hands with a server, which must have a certificate for its name.
    ///
    /// # Errors
    /// What TLS says, before anything else was sent.
    pub(super) async fn secure<S>(&self, stream: S, address: &ServerAddress) -> io::Result<(TlsStream<S>, Trust)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.settings.server_name.clone().or_else(|| address.verified_name());
        let name = name.ok_or_else(|| io::Error::other("the server has no name to verify"))?;
        let trust = self.live.load_full();
        Ok((TlsConnector::from(trust.clone()).connect(name, stream).await?, trust))
    }

    /// Whether what was verified then is still what would be verified now.
    pub(super) fn still_trusts(&self, trust: &Trust) -> bool {
        Arc::ptr_eq(trust, &self.live.load())
    }

    /// Reads the file of authorities again if it changed; to be called once a second; may wait for the disk.
    pub(super) fn refresh(&self) {
        let (Some(kept), Some(file)) = (&self.ca, &self.settings.ca) else { return };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.refresh(|problems| Authorities::read(file, problems)) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(file = %file.value.display(), "upstream CA loaded");
                if let Some(trust) = trust(kept.value().0.clone()) {
                    self.live.store(trust);
                }
            }
            Err(problems) => problems.iter().for_each(|problem| {
                tracing::error!(%problem, "the changed upstream CA is not usable: the old one stays in use");
            }),
        }
    }
}

impl Authorities {
    fn read(file: &Located<std::path::PathBuf>, problems: &mut Problems) -> Option<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(("upstreams.tls.ca", file), MAKE, problems)? {
            if let Err(error) = roots.add(certificate) {
                let what = format!("upstreams.tls.ca: {} cannot be trusted ({error})", file.value.display());
                problems.add(&file.place, what, MAKE);
                return None;
            }
        }
        Some(Self(roots))
    }
}

/// What the operating system trusts: its operator keeps that up to date, and adds his own authorities there.
fn system_roots(place: &Place, problems: &mut Problems) -> Option<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Some(roots);
    }
    let why = found.errors.first().map_or(String::new(), |error| format!(" ({error})"));
    let what = format!("upstreams.servers: this system trusts no authority{why}");
    problems.add(place, what, "install ca-certificates, or name the authorities in tls = { ca = \"FILE\" }");
    None
}

fn trust(roots: RootCertStore) -> Option<Trust> {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().ok()?.with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("settings", &self.settings).finish_non_exhaustive()
    }
}
