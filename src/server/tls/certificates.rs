//! Reads a certificate chain and its key, and says what they are: for which names, and until when.

use std::cell::Cell;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::config::{Certificate, Problems};
use crate::pem::{read_certificates, read_key};

/// A certificate that ends within this long is warned about, if that is less than a tenth of its life.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A chain and its key, ready to be shown to clients.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    /// DNS names in lower case, wildcards as they are, and addresses, which no client asks for by SNI.
    pub(super) names: Vec<String>,
    life: Life,
    /// What was last warned about.
    told: Cell<Phase>,
}

/// How long a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    from: SystemTime,
    until: SystemTime,
}

impl Pair {
    /// Reads both files.
    pub(super) fn read(certificate: &Certificate, problems: &mut Problems) -> Option<Self> {
        let chain =
            read_certificates(("tls.certificates", &certificate.chain), &make(&certificate.chain.value), problems);
        let key = read_key(("tls.certificates", &certificate.key), "name the certificate's private key", problems);
        let (chain, key) = (chain?, key?);
        let described = chain.first().and_then(|leaf| describe(leaf));
        let Some((names, life)) = described else {
            let what = format!("tls.certificates: {} holds no X.509 certificate", certificate.chain.value.display());
            problems.add(&certificate.chain.place, what, "give a PEM file, the server's certificate first");
            return None;
        };
        match CertifiedKey::from_der(chain.clone(), key.clone_key(), &default_provider()) {
            Ok(key) => Some(Self { key: Arc::new(key), names, life, told: Cell::new(Phase::Good) }),
            Err(error) => {
                let [first, second] = [&certificate.chain, &certificate.key].map(|file| file.value.display());
                let what = format!("tls.certificates: {first} and {second} are no pair ({error})");
                problems.add(&certificate.key.place, what, advice(&chain, &key));
                None
            }
        }
    }

    /// Says what was loaded.
    pub(super) fn announce(&self, certificate: &Certificate) {
        let (file, names) = (certificate.chain.value.display(), self.names.join(" "));
        tracing::info!(%file, names, not_after = %self.life.end(), "certificate loaded");
    }

    /// When it ends.
    pub(super) fn end(&self) -> SystemTime {
        self.life.until
    }

    /// Warns when that was not said yet, as [`Pair::warn`] does.
    pub(super) fn warn_once(&self, certificate: &Certificate, now: SystemTime) {
        if self.life.phase(now) != self.told.get() {
            self.warn(certificate, now);
        }
    }

    /// Warns when its end is near or past.
    pub(super) fn warn(&self, certificate: &Certificate, now: SystemTime) {
        let (file, not_after) = (certificate.chain.value.display(), self.life.end());
        self.told.set(self.life.phase(now));
        match self.told.get() {
            Phase::Early => tracing::warn!(%file, "this certificate is not valid yet: clients refuse it"),
            Phase::Good => {}
            Phase::Ending => tracing::warn!(%file, %not_after, "this certificate expires soon: renew it"),
            Phase::Over => {
                tracing::warn!(%file, %not_after, "this certificate has expired: clients refuse it; renew it")
            }
        }
    }
}

/// How to come by a certificate, in the folder where it is looked for if its name is the one that is made.
fn make(chain: &Path) -> String {
    let folder = chain.parent().filter(|_| chain.ends_with("server.pem")).unwrap_or(Path::new("certs"));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let made = folder.join("server.pem");
    let named = if chain.ends_with("server.pem") { String::new() } else { format!(", and name {}", made.display()) };
    format!("make one for development with: gatewarden cert dev --dir {}{named}", folder.display())
}

/// What to do where a key is not that of the first certificate.
fn advice(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>) -> &'static str {
    let belongs = |certificate: &CertificateDer<'static>| {
        CertifiedKey::from_der(vec![certificate.clone()], key.clone_key(), &default_provider()).is_ok()
    };
    match chain.iter().skip(1).any(belongs) {
        true => "the server's own certificate must come first, and then those of the authorities that signed it",
        false => "give the key that belongs to the first certificate of the chain",
    }
}

/// Where in its life a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Early,
    Good,
    Ending,
    Over,
}

impl Life {
    fn phase(self, now: SystemTime) -> Phase {
        let Ok(left) = self.until.duration_since(now) else { return Phase::Over };
        if now < self.from {
            return Phase::Early;
        }
        let whole = self.until.duration_since(self.from).unwrap_or_default();
        if left < SOON.min(whole / 10) { Phase::Ending } else { Phase::Good }
    }

    fn end(self) -> humantime::Rfc3339Timestamp {
        humantime::format_rfc3339_seconds(self.until)
    }
}

/// The names of a certificate, DNS names in lower case and addresses, and its life.
fn describe(certificate: &[u8]) -> Option<(Vec<String>, Life)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let alternatives = parsed.subject_alternative_name().ok()?;
    let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    });
    let at = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let validity = parsed.validity();
    let life = Life { from: at(validity.not_before.timestamp()), until: at(validity.not_after.timestamp()) };
    Some((names.collect(), life))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn life(days: u32) -> Life {
        Life { from: UNIX_EPOCH + DAY * 100, until: UNIX_EPOCH + DAY * (100 + days) }
    }

    #[test]
    fn an_end_that_is_near_is_known_for_long_and_for_short_lives() {
        let after = |life: Life, part: u32| life.phase(life.from + DAY * part / 10);
        assert_eq!(after(life(365), 3500), Phase::Good);
        assert_eq!(after(life(365), 3520), Phase::Ending);
        assert_eq!(after(life(1), 8), Phase::Good);
        assert_eq!(after(life(1), 11), Phase::Over);
        assert_eq!(life(1).phase(UNIX_EPOCH), Phase::Early);
    }

    #[test]
    fn what_a_certificate_comes_to_while_it_is_served_is_told_once_whichever_way_the_clock_jumps() {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2030, 1, 1), rcgen::date_time_ymd(2030, 12, 1));
        let file = |name: &str, text: String| {
            let value = folder.path().join(name);
            std::fs::write(&value, text).unwrap();
            crate::config::Located { place: crate::config::Place::whole(&value), value }
        };
        let chain = file("chain", params.self_signed(&key).unwrap().pem());
        let certificate = Certificate { chain, key: file("key", key.serialize_pem()) };
        let pair = Pair::read(&certificate, &mut Problems::default()).unwrap();
        let told = |now| {
            pair.warn_once(&certificate, now);
            pair.told.get()
        };
        let end = pair.end();
        let moments = [end - DAY * 60, end - DAY, end + DAY, end - DAY * 60, end - DAY * 600];
        assert_eq!(moments.map(told), [Phase::Good, Phase::Ending, Phase::Over, Phase::Good, Phase::Early]);
    }

    #[test]
    fn a_missing_certificate_is_made_where_it_is_looked_for() {
        let dir = |chain: &str| make(Path::new(chain)).split_once("--dir ").unwrap().1.to_owned();
        assert_eq!(dir("/etc/gw/server.pem"), "/etc/gw");
        assert_eq!(dir("server.pem"), ".");
        assert_eq!(dir("/etc/gw/mine.pem"), "certs, and name certs/server.pem");
    }

    #[test]
    fn an_authority_before_the_server_is_told_from_a_key_of_another() {
        let made = crate::cli::cert::throwaway(&["localhost"]).unwrap();
        let other = crate::cli::cert::throwaway(&["localhost"]).unwrap();
        let second = made.chain.rfind("-----BEGIN").unwrap();
        let turned = format!("{}{}", &made.chain[second..], &made.chain[..second]);
        for (chain, key, fix) in [
            (&turned, &made.key, "certificate must come first, and then"),
            (&made.chain, &other.key, "give the key that belongs to the first"),
        ] {
            let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            assert!(advice(&chain, &key).contains(fix));
        }
    }

    #[test]
    fn names_and_life_are_read_from_the_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = ["B.example", "*.example", "10.0.0.1", "2001:db8::1"].map(str::to_owned);
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let (names, life) = describe(params.self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(names, ["b.example", "*.example", "10.0.0.1", "2001:db8::1"]);
        assert_eq!(life.end().to_string(), "2031-02-03T00:00:00Z");
    }
}
