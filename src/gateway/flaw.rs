//! Why the socket side refuses the bytes of a request before anybody sees them as one.

use http::{Method, Uri};

use super::error::Refusal;

/// What is wrong with the bytes of an HTTP/1.1 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// They can be read in more than one way, or in none; the text says why.
    Ambiguous(&'static str),
    /// They mean what no proxy of this kind carries; the text says what.
    NotImplemented(&'static str),
    /// A head over `limits.header_bytes`, or with too many lines.
    TooLarge,
    /// A head that was begun and not whole within `limits.header_timeout`.
    TooSlow,
}

/// A `#` in the target, which the URI type drops before anybody can see it.
pub(crate) const HELD_FRAGMENT: Flaw = Flaw::Ambiguous("The target holds a fragment");

/// The request that stands in for one that is refused, so that its answer comes in its turn, and is the last. No client can send
/// it: `*` passes with OPTIONS only.
pub(crate) const STAND_IN: &[u8] = b"GET * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Whether this is [`STAND_IN`].
pub(crate) fn is_stand_in(method: &Method, uri: &Uri) -> bool {
    *method == Method::GET && uri.path() == "*"
}

impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Ambiguous(info) => Self::Ambiguous(info),
            Flaw::NotImplemented(info) => Self::NotImplemented(info),
            Flaw::TooLarge => Self::HeadTooLarge,
            Flaw::TooSlow => Self::HeadTooSlow,
        }
    }
}
