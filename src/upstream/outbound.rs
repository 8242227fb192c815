//! A request as a server gets it: its head put into words once, of which nothing is taken back, and its body still to come.

use std::fmt;

use http::header::{HOST, HeaderName};
use http::uri::Authority;
use http::{HeaderValue, Method};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::time::Instant;

use super::body::RequestBody;

/// What is not visible ASCII, and the escape sign itself.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Bytes of most heads.
const ROOM: usize = 1024;

/// One admitted request on its way out. What frames its body is said by whoever sends it. Cannot be printed: the words may hold
/// credentials.
pub(crate) struct Outbound {
    pub(super) method: Method,
    /// The request line and the fields.
    pub(super) words: Vec<u8>,
    /// Whether the words say which host is meant; else each server is told its own name.
    pub(super) names_host: bool,
    /// How long the client said that the body is.
    pub(super) announced: Option<u64>,
    pub(super) body: RequestBody,
    /// When it was begun.
    pub(crate) began: Instant,
}

impl Outbound {
    /// Begins with the request line (RFC 9112, section 3); `target` is a path and query, or an asterisk.
    pub(crate) fn new(method: Method, target: &str) -> Self {
        let mut words = Vec::with_capacity(ROOM);
        for part in [method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            words.extend_from_slice(part.as_bytes());
        }
        Self { method, words, names_host: false, announced: None, body: RequestBody::EMPTY, began: Instant::now() }
    }

    /// Says for which host the request is, whichever server gets it.
    pub(crate) fn host(&mut self, host: &HeaderValue) {
        self.names_host = true;
        self.field(&HOST, host);
    }

    /// The same, as the client said it.
    pub(crate) fn authority(&mut self, authority: &Authority) {
        self.names_host = true;
        write_field(&mut self.words, &HOST, authority.as_str().as_bytes());
    }

    /// One more field.
    pub(crate) fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        write_field(&mut self.words, name, value.as_bytes());
    }

    /// One more field, in visible ASCII: the rest of `text`, and `%`, as percent-encoded UTF-8.
    pub(crate) fn text(&mut self, name: &HeaderName, text: &str) {
        // Nearly all names are plain, and this is on every request's way.
        if text.bytes().fold(true, |plain, byte| plain & byte.is_ascii_graphic() & (byte != b'%')) {
            return self.plain(name, text.as_bytes());
        }
        let escaped = utf8_percent_encode(text, ESCAPED).to_string();
        write_field(&mut self.words, name, escaped.as_bytes());
    }

    /// One more field, whose value is visible ASCII because of where it comes from.
    pub(crate) fn plain(&mut self, name: &HeaderName, value: &[u8]) {
        debug_assert!(value.iter().all(u8::is_ascii_graphic), "{name}");
        write_field(&mut self.words, name, value);
    }

    /// How long the body is that follows, as the client says.
    pub(crate) fn announce(&mut self, length: &HeaderValue) {
        self.announced = length.to_str().ok().and_then(|length| length.parse().ok());
    }

    /// The body that follows.
    pub(crate) fn carry(&mut self, body: RequestBody) {
        self.body = body;
    }
}

pub(super) fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("method", &self.method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(text: &str) -> String {
        let mut outbound = Outbound::new(Method::GET, "/");
        outbound.text(&HOST, text);
        String::from_utf8(outbound.words).unwrap().strip_prefix("GET / HTTP/1.1\r\nhost: ").unwrap().to_owned()
    }

    #[test]
    fn texts_are_visible_ascii() {
        assert_eq!(told("100@mydomain.com"), "100@mydomain.com\r\n");
        assert_eq!(told("jürgen 5%\r\n"), "j%C3%BCrgen%205%25%0D%0A\r\n");
    }

    #[test]
    fn credentials_are_not_printed() {
        let mut outbound = Outbound::new(Method::GET, "/secret");
        outbound.text(&HOST, "secret");
        assert!(!format!("{outbound:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn any_text_can_be_read_back(text in any::<String>()) {
            let sent = told(&text);
            let sent = sent.strip_suffix("\r\n").unwrap();
            prop_assert!(sent.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(percent_encoding::percent_decode_str(sent).decode_utf8().unwrap(), text);
        }
    }
}
