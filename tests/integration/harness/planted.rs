//! Every secret that a test plants, and everything that the gateway says: none of the former may ever be in the latter.
//!
//! Who makes, sends or gets a secret plants it here: users files, keys, logins, the pairs that they hand out. What the
//! gateway says, it says at `trace`, through the filter that `serve` uses. Each gateway of a test looks when it goes away, and
//! fails the test where anything leaked, so that no test can forget to.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gatewarden::config::LogFormat;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Bytes of a password below which it may be a word of a message.
const TELLING: usize = 8;

/// Of this process.
static ALL: LazyLock<Planted> = LazyLock::new(Planted::default);

/// Secrets, and what was said.
#[derive(Default)]
pub(crate) struct Planted {
    needles: Mutex<BTreeSet<Vec<u8>>>,
    said: Mutex<Vec<u8>>,
}

/// From now on, everything that this process logs is looked at.
pub(super) fn listen() {
    let writer = || Listening;
    let _already =
        gatewarden::telemetry::log::subscriber(tracing::Level::TRACE, LogFormat::Json, (writer, false)).try_init();
}

/// A password, or a hash that is as good as one.
pub(crate) fn password(text: &str) {
    if text.len() >= TELLING {
        ALL.plant(text.as_bytes());
    }
}

/// The passwords in a login's body.
pub(super) fn login(body: &[u8]) {
    let body = String::from_utf8_lossy(body);
    for (at, member) in body.match_indices(r#""password":"#) {
        let mut values = serde_json::Deserializer::from_str(&body[at + member.len()..]).into_iter::<String>();
        if let Some(Ok(text)) = values.next() {
            password(&text);
        }
    }
}

/// A session's key and token.
pub(crate) fn pair(key: &str, token: &str) {
    if let Ok(key) = uuid::Uuid::try_parse(key) {
        ALL.plant(key.as_bytes());
        ALL.plant(key.hyphenated().to_string().as_bytes());
    }
    // The head is the same for all; the signature is the token's own.
    if let Some(signature) = token.split('.').nth(2).filter(|signature| signature.len() >= TELLING) {
        ALL.plant(signature.as_bytes());
    }
}

/// The bytes that sign tokens.
pub(super) fn secret(bytes: &[u8]) {
    ALL.plant(bytes.trim_ascii());
}

/// A private key, as PEM.
pub(super) fn private_key(pem: &str) {
    for line in pem.lines().filter(|line| line.len() > 40 && !line.contains("---")) {
        ALL.plant(line.as_bytes());
    }
    if let Ok(PrivateKeyDer::Pkcs8(der)) = PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
        // Of a key on P-256, as all are here, only these bytes are the key; what is around them is in the certificate as well.
        ALL.plant(&der.secret_pkcs8_der()[36..68]);
    }
}

/// Fails the test if a text of the gateway holds a secret.
#[track_caller]
pub(crate) fn not_in(what: &str, text: impl AsRef<[u8]>) {
    let leaks = ALL.leaks(text.as_ref());
    assert!(leaks.is_empty(), "{what} holds secrets: {leaks:#?}");
}

/// Fails the test if anything that was said or written to a log file there holds a secret.
#[track_caller]
pub(super) fn in_nothing_said_or_written(dir: &Path) {
    not_in("the log", &*lock(&ALL.said));
    for file in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if file.path().extension().is_some_and(|extension| extension == "log") {
            not_in(&file.path().display().to_string(), std::fs::read(file.path()).unwrap_or_default());
        }
    }
}

/// What a gateway counts; nothing once it drains.
pub(super) fn metrics(health: SocketAddr) -> String {
    let mut text = Vec::new();
    let _it_may_have_ended = TcpStream::connect(health).and_then(|mut stream| {
        stream.set_read_timeout(Some(super::PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        stream.read_to_end(&mut text)
    });
    String::from_utf8_lossy(&text).into_owned()
}

/// What was logged so far.
pub(crate) fn said() -> String {
    String::from_utf8_lossy(&lock(&ALL.said)).into_owned()
}

impl Planted {
    /// The secret itself, as hexadecimal digits, and as a list of numbers: what Debug makes of bytes.
    pub(crate) fn plant(&self, secret: &[u8]) {
        let list = |digits: fn(&u8) -> String, between| secret.iter().map(digits).collect::<Vec<_>>().join(between);
        let mut needles = lock(&self.needles);
        needles.insert(secret.to_vec());
        needles.insert(list(|byte| format!("{byte:02x}"), "").into_bytes());
        needles.insert(list(u8::to_string, ", ").into_bytes());
    }

    /// Each secret in it, with what stands around it.
    pub(crate) fn leaks(&self, text: &[u8]) -> Vec<String> {
        let found = |needle: &Vec<u8>| text.windows(needle.len()).position(|window| window == needle);
        let around = |at: usize| text[at.saturating_sub(200)..text.len().min(at + 200)].to_vec();
        let needles = lock(&self.needles);
        needles.iter().filter_map(found).map(|at| String::from_utf8_lossy(&around(at)).into_owned()).collect()
    }
}

/// Takes down what is logged.
struct Listening;

impl Write for Listening {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&ALL.said).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
