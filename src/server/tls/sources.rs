//! The files that TLS is made of, each read again when it changes; what is bad keeps its last good one and holds up no other.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio_util::sync::CancellationToken;

use super::Live;
use super::certificates::Pair;
use super::clients::Trust;
use super::names::ByName;
use super::resumption::Resumption;
use super::suites;
use crate::clock::BootTime;
use crate::config::{self, Problems, TlsVersion};
use crate::kept::Kept;

/// How often the ends of certificates are looked at.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// Everything that was read, and what outlives it.
pub(super) struct Sources {
    pub(super) settings: config::Tls,
    pairs: Vec<Kept<Pair>>,
    trust: Option<Kept<Trust>>,
    pub(super) resumption: Resumption,
    reminded: BootTime,
}

/// What looking at the files brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    Nothing,
    Certificates,
    /// Other clients are believed, and perhaps certificates.
    Trust,
}

impl Sources {
    /// Reads everything for the first time.
    pub(super) fn read(settings: &config::Tls, problems: &mut Problems) -> Option<Self> {
        let pairs: Vec<_> = settings.certificates.iter().map(|certificate| keep_pair(certificate, problems)).collect();
        let trust = settings.clients.as_ref().map(|clients| keep_trust(clients, problems));
        let (pairs, trust) =
            (pairs.into_iter().collect::<Option<_>>()?, trust.map_or(Some(None), |trust| trust.map(Some))?);
        Some(Self {
            settings: settings.clone(),
            pairs,
            trust,
            resumption: Resumption::new(),
            reminded: BootTime::now(),
        })
    }

    /// Says what was loaded, to be called when it is put in force.
    pub(super) fn announce(&self) {
        for (certificate, pair) in self.certificates() {
            pair.announce(certificate);
            pair.warn(certificate, SystemTime::now());
        }
        if let Some((clients, trust)) = self.settings.clients.as_ref().zip(self.trust.as_ref()) {
            trust.value().announce(clients);
        }
    }

    /// Reads what changed.
    pub(super) fn refresh(&mut self) -> News {
        self.refresh_pairs().max(self.refresh_trust())
    }

    /// Says once a day which certificates end soon or are over, and at once which have just come to that.
    pub(super) fn remind(&mut self, now: BootTime, wall: SystemTime) {
        let daily = now.since(self.reminded) >= REMINDER;
        if daily {
            self.reminded = now;
        }
        let say = if daily { Pair::warn } else { Pair::warn_once };
        self.certificates().for_each(|(certificate, pair)| say(pair, certificate, wall));
    }

    /// What the newest good files make; `trusted` ends the connections of clients that it verified.
    pub(super) fn live(&self, trusted: CancellationToken) -> Option<Live> {
        let trust = self.trust.as_ref().map(|trust| trust.value().clone());
        let versions: &[_] = match self.settings.min_version {
            TlsVersion::V1_2 => rustls::ALL_VERSIONS,
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let verifier = trust.as_ref().map_or_else(WebPkiClientVerifier::no_client_auth, |trust| trust.verifier.clone());
        let builder = ServerConfig::builder_with_provider(Arc::new(suites::provider()));
        let builder = builder.with_protocol_versions(versions).ok()?.with_client_cert_verifier(verifier);
        let names = ByName::new(self.pairs.iter().map(Kept::value));
        let mut config = builder.with_cert_resolver(Arc::new(names));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        self.resumption.serve(&mut config);
        let ends = self.certificates().map(|(certificate, pair)| (certificate.chain.value.clone(), pair.end()));
        Some(Live { config: Arc::new(config), trust, trusted, ends: ends.collect() })
    }

    fn certificates(&self) -> impl Iterator<Item = (&config::Certificate, &Pair)> {
        self.settings.certificates.iter().zip(self.pairs.iter().map(Kept::value))
    }

    fn refresh_pairs(&mut self) -> News {
        let mut news = News::Nothing;
        for (certificate, pair) in self.settings.certificates.iter().zip(&mut self.pairs) {
            match pair.refresh(|problems| Pair::read(certificate, problems)) {
                Ok(false) => {}
                Ok(true) => {
                    pair.value().announce(certificate);
                    pair.value().warn(certificate, SystemTime::now());
                    news = News::Certificates;
                }
                Err(problems) => say(&problems, "a changed certificate is not usable: the old one stays in use"),
            }
        }
        news
    }

    fn refresh_trust(&mut self) -> News {
        let (Some(clients), Some(trust)) = (&self.settings.clients, &mut self.trust) else { return News::Nothing };
        let before = trust.value().clone();
        match trust.refresh(|problems| Trust::read(clients, problems)) {
            Ok(true) if *trust.value() != before => {
                trust.value().announce(clients);
                return News::Trust;
            }
            Ok(_) => {}
            Err(problems) => say(&problems, "the changed client CA is not usable: the old one stays in use"),
        }
        News::Nothing
    }
}

fn keep_pair(certificate: &config::Certificate, problems: &mut Problems) -> Option<Kept<Pair>> {
    let paths = [&certificate.chain, &certificate.key].map(|file| file.value.clone());
    Kept::read(paths, problems, |problems| Pair::read(certificate, problems))
}

fn keep_trust(clients: &config::Clients, problems: &mut Problems) -> Option<Kept<Trust>> {
    Kept::read([clients.ca.value.clone()], problems, |problems| Trust::read(clients, problems))
}

fn say(problems: &Problems, what: &str) {
    problems.iter().for_each(|problem| tracing::error!(%problem, "{what}"));
}
