//! TLS for downstream connections: certificates by server name, versions, resumption. Knows no HTTP but for its ALPN names.

mod certificates;
mod names;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

use crate::clock::BootTime;
use crate::config::{self, Problems, TlsVersion};
use crate::kept::Kept;
use certificates::Pair;
use names::ByName;

/// TLS 1.2 sessions that can be resumed by id; TLS 1.3 and clients with tickets need no memory here.
const SESSION_CACHE: usize = 20_000;
/// How often the ends of certificates are looked at.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// The TLS of all listeners that speak it, always that of the newest good files.
pub(crate) struct Tls {
    live: ArcSwap<ServerConfig>,
    sources: Mutex<Sources>,
}

/// What the configuration is made of.
struct Sources {
    settings: config::Tls,
    pairs: Vec<Kept<Pair>>,
    resumption: Resumption,
    reminded: BootTime,
}

impl Tls {
    /// Reads the certificates.
    pub(crate) fn load(settings: &config::Tls, problems: &mut Problems) -> Option<Self> {
        let pairs: Vec<_> = settings.certificates.iter().map(|certificate| keep(certificate, problems)).collect();
        let pairs = pairs.into_iter().collect::<Option<Vec<_>>>()?;
        let reminded = BootTime::now();
        let sources = Sources { settings: settings.clone(), pairs, resumption: Resumption::new(), reminded };
        for (certificate, pair) in sources.certificates() {
            pair.announce(certificate);
            pair.warn(certificate, SystemTime::now());
        }
        Some(Self { live: ArcSwap::from(sources.assemble()?), sources: Mutex::new(sources) })
    }

    /// What new connections speak.
    pub(crate) fn current(&self) -> Arc<ServerConfig> {
        self.live.load_full()
    }

    /// Looks whether files changed, to be called once a second; may wait for the disk.
    pub(crate) fn refresh(&self) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.refresh()
            && let Some(live) = sources.assemble()
        {
            self.live.store(live);
        }
        sources.resumption.roll();
        sources.remind(BootTime::now());
    }
}

impl Sources {
    fn certificates(&self) -> impl Iterator<Item = (&config::Certificate, &Pair)> {
        self.settings.certificates.iter().zip(self.pairs.iter().map(Kept::value))
    }

    /// True when anything is new. Each pair stands for itself: a bad one keeps its old one and holds up no other.
    fn refresh(&mut self) -> bool {
        let mut any = false;
        for (certificate, pair) in self.settings.certificates.iter().zip(&mut self.pairs) {
            match pair.refresh(|problems| Pair::read(certificate, problems)) {
                Ok(false) => continue,
                Ok(true) => {
                    pair.value().announce(certificate);
                    pair.value().warn(certificate, SystemTime::now());
                    any = true;
                }
                Err(problems) => problems.iter().for_each(|problem| {
                    tracing::error!(%problem, "a changed certificate is not usable: the old one stays in use");
                }),
            }
        }
        any
    }

    /// Says once a day which certificates end soon.
    fn remind(&mut self, now: BootTime) {
        if now.since(self.reminded) >= REMINDER {
            self.reminded = now;
            self.certificates().for_each(|(certificate, pair)| pair.warn(certificate, SystemTime::now()));
        }
    }

    fn assemble(&self) -> Option<Arc<ServerConfig>> {
        let versions: &[_] = match self.settings.min_version {
            TlsVersion::V1_2 => rustls::ALL_VERSIONS,
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).ok()?.with_no_client_auth();
        let names = ByName::new(self.pairs.iter().map(Kept::value));
        let mut config = builder.with_cert_resolver(Arc::new(names));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        self.resumption.serve(&mut config);
        Some(Arc::new(config))
    }
}

fn keep(certificate: &config::Certificate, problems: &mut Problems) -> Option<Kept<Pair>> {
    let paths = [&certificate.chain, &certificate.key].map(|file| file.value.clone());
    Kept::read(paths, problems, |problems| Pair::read(certificate, problems))
}

/// What lets a client come back without a whole handshake; outlives the certificates.
struct Resumption {
    tickets: Option<Arc<dyn ProducesTickets>>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    fn new() -> Self {
        let tickets = Ticketer::new()
            .inspect_err(|error| tracing::warn!(%error, "no session tickets: clients resume by session id only"))
            .ok();
        Self { tickets, sessions: ServerSessionMemoryCache::new(SESSION_CACHE) }
    }

    fn serve(&self, config: &mut ServerConfig) {
        config.session_storage = self.sessions.clone();
        if let Some(tickets) = &self.tickets {
            config.ticketer = tickets.clone();
        }
        config.send_tls13_tickets = 1;
    }

    /// Lets the ticket keys age though nobody comes: the rotator changes them every six hours, and forgets them six hours later,
    /// but only when it is used.
    fn roll(&self) {
        let _no_ticket = self.tickets.as_ref().and_then(|tickets| tickets.decrypt(&[]));
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
