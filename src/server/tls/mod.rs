//! TLS for downstream connections: always that of the newest good files. Knows no HTTP but for its ALPN names.

mod certificates;
mod clients;
mod early;
mod names;
mod resumption;
mod sources;
mod suites;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, ServerConnection};
use tokio_util::sync::CancellationToken;

use crate::clock::BootTime;
use crate::config::{self, Problems};
use crate::telemetry::exposition::{Exposition, Kind};
use clients::Trust;
use resumption::Resumption;
use sources::{News, Sources};

/// The TLS of all listeners that speak it, always that of the newest good files.
pub(crate) struct Tls {
    live: ArcSwap<Live>,
    sources: Mutex<Sources>,
    /// Cancelled when connections must finish.
    closing: CancellationToken,
}

/// What new connections speak.
pub(crate) struct Live {
    pub(crate) config: Arc<ServerConfig>,
    trust: Option<Trust>,
    /// The files of certificates, and when those end.
    ends: Vec<(PathBuf, SystemTime)>,
    /// Cancelled when what clients' certificates were verified against is believed no longer, or the server closes.
    pub(crate) trusted: CancellationToken,
}

impl Tls {
    /// Reads the certificates and the authorities.
    pub(crate) fn load(settings: &config::Tls, problems: &mut Problems) -> Option<Self> {
        let sources = Sources::read(settings, problems)?;
        let closing = CancellationToken::new();
        let live = sources.live(closing.child_token())?;
        Some(Self { live: ArcSwap::from_pointee(live), sources: Mutex::new(sources), closing })
    }

    /// Says what was loaded.
    pub(crate) fn announce(&self) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).announce();
    }

    /// What new connections speak.
    pub(crate) fn current(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// Asks the connections of clients that showed a certificate to finish.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Puts in force, for new connections, what was read anew. Under other settings nothing of an earlier handshake counts.
    pub(crate) fn replace(&self, fresh: Self) {
        let read = fresh.sources.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.settings == read.settings {
            drop(sources);
            return self.refresh();
        }
        let before = self.current();
        *sources = read;
        sources.announce();
        self.go_live(&sources, self.closing.child_token());
        before.trusted.cancel();
    }

    /// Looks whether files changed, to be called once a second; may wait for the disk.
    pub(crate) fn refresh(&self) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        match sources.refresh() {
            News::Nothing => {}
            News::Certificates => self.go_live(&sources, self.current().trusted.clone()),
            News::Trust => {
                // Nothing of an earlier handshake counts: neither tickets and sessions nor open connections.
                let before = self.current();
                sources.resumption = Resumption::new();
                self.go_live(&sources, self.closing.child_token());
                before.trusted.cancel();
            }
        }
        sources.resumption.roll();
        sources.remind(BootTime::now(), SystemTime::now());
    }

    /// Adds when the certificates in use end. Waits for no disk.
    pub(crate) fn describe(&self, text: &mut Exposition) {
        let help = "When a certificate of the gateway ends, since the Unix epoch; it is shown all the same.";
        text.family(Kind::Gauge, "gatewarden_certificate_not_after_seconds", help);
        for (file, end) in &self.current().ends {
            let since_epoch = end.duration_since(UNIX_EPOCH).unwrap_or_default();
            text.sample(&[("file", &*file.to_string_lossy())], since_epoch.as_secs());
        }
    }

    fn go_live(&self, sources: &Sources, trusted: CancellationToken) {
        if let Some(live) = sources.live(trusted) {
            self.live.store(Arc::new(live));
        }
    }
}

impl Live {
    /// The name of the client behind a finished handshake, by its certificate.
    ///
    /// # Errors
    /// A certificate that a resumed session brings, and that is no longer believed.
    pub(crate) fn client(&self, session: &ServerConnection) -> Result<Option<Box<str>>, rustls::Error> {
        self.trust.as_ref().map_or(Ok(None), |trust| trust.client(session))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
