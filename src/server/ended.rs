//! Why a connection ended before it was done, and whether that is news.

use std::fmt;
use std::io;

use rustls::InvalidMessage;

use super::activity::Overdue;
use super::proxied::Unannounced;

/// Why a connection ended before it was done.
#[derive(Debug)]
pub(crate) enum Ended {
    /// What the socket or the TLS session said.
    Io(io::Error),
    /// What the protocol said.
    Http(hyper::Error),
    /// What came was no TLS: plain HTTP, mostly.
    NoTls,
    /// The client resumed a session with a certificate that is no longer believed.
    WrongCertificate(rustls::Error),
    /// The handshake missed its deadline.
    SlowHandshake,
    /// A proxy should have announced itself, and who came is none that is trusted.
    Untrusted,
    /// A trusted proxy announced nothing that could be understood.
    Unannounced,
    /// It hung up without a byte.
    Silent,
    /// Its peer has as many connections as it may.
    Crowded,
    /// Its place was needed.
    MadeRoom,
    /// Its client sent too many frames that ask for nothing.
    Flood,
    /// A later phase missed its own.
    Overdue(Overdue),
    /// What was being answered may be answered no longer.
    TermOver,
}

impl Ended {
    /// Why a handshake failed.
    pub(super) fn in_handshake(error: io::Error) -> Self {
        let said = error.get_ref().and_then(|said| said.downcast_ref());
        match said {
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => Self::NoTls,
            _ => Self::Io(error),
        }
    }

    /// A stable name for metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Io(_) => "io",
            Self::Http(_) => "http",
            Self::NoTls => "no_tls",
            Self::WrongCertificate(_) => "wrong_certificate",
            Self::SlowHandshake => "slow_handshake",
            Self::Untrusted => "untrusted_proxy",
            Self::Unannounced => "unannounced",
            Self::Silent => "silent",
            Self::Crowded => "crowded",
            Self::MadeRoom => "made_room",
            Self::Flood => "flood",
            Self::Overdue(Overdue::Head) => "slow_head",
            Self::Overdue(Overdue::Idle) => "idle",
            Self::Overdue(Overdue::NotReading) => "client_not_reading",
            Self::TermOver => "session_over",
        }
    }

    /// Whether it is no news: a place was needed, or a peer that has not asked for anything hung up.
    pub(crate) fn is_usual(&self, asked: bool) -> bool {
        match self {
            Self::MadeRoom | Self::Silent => true,
            Self::Io(error) => !asked && is_hang_up(error),
            Self::Http(error) => {
                let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
                !asked && cause.is_some_and(is_hang_up)
            }
            _ => false,
        }
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Http(error) => match std::error::Error::source(error) {
                Some(cause) => write!(f, "{error}: {cause}"),
                None => write!(f, "{error}"),
            },
            Self::NoTls => f.write_str("the client spoke no TLS"),
            Self::WrongCertificate(error) => write!(f, "the client's certificate is not believed: {error}"),
            Self::SlowHandshake => f.write_str("the handshake took too long"),
            Self::Untrusted => f.write_str("the PROXY protocol is believed from trusted_proxies only"),
            Self::Unannounced => f.write_str("it did not begin with the PROXY protocol"),
            Self::Silent => f.write_str("it hung up without a byte"),
            Self::Crowded => f.write_str("limits.connections_per_peer is reached"),
            Self::MadeRoom => f.write_str("limits.connections is reached, and it could be spared best"),
            Self::Flood => f.write_str("the client sent too many frames that ask for nothing"),
            Self::Overdue(Overdue::Head) => f.write_str("the head of a request took too long"),
            Self::Overdue(Overdue::Idle) => f.write_str("it idled too long"),
            Self::Overdue(Overdue::NotReading) => f.write_str("the client stopped reading"),
            Self::TermOver => f.write_str("the answer under way may be given no longer"),
        }
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Unannounced> for Ended {
    fn from(unannounced: Unannounced) -> Self {
        match unannounced {
            Unannounced::Io(error) => Self::Io(error),
            Unannounced::Silent => Self::Silent,
            Unannounced::Garbage => Self::Unannounced,
        }
    }
}
