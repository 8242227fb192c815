//! Tells an upstream who is asking, in headers that no client can send.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::auth::Session;
use crate::config;

/// What is not visible ASCII, and the escape sign itself.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// The configured names.
#[derive(Debug)]
pub(crate) struct Identity {
    user: HeaderName,
    domain: HeaderName,
    role: HeaderName,
    session: HeaderName,
    client: HeaderName,
}

impl Identity {
    pub(crate) fn new(names: &config::Identity) -> Self {
        let config::Identity { user, domain, role, session, client } = names.clone();
        Self { user, domain, role, session, client }
    }

    /// Sets the identity of `session`; names that were there are stripped before.
    pub(crate) fn introduce(&self, session: &Session, headers: &mut HeaderMap) {
        headers.insert(self.user.clone(), value(session.user()));
        if !session.domain().is_empty() {
            headers.insert(self.domain.clone(), value(session.domain()));
        }
        headers.insert(self.role.clone(), value(session.role().name()));
        headers.insert(self.session.clone(), value(&session.id().to_string()));
    }

    /// Sets the name that a client's certificate gives it.
    pub(crate) fn introduce_client(&self, name: &str, headers: &mut HeaderMap) {
        headers.insert(self.client.clone(), value(name));
    }
}

/// Visible ASCII as it is, the rest and `%` as percent-encoded UTF-8.
fn value(text: &str) -> HeaderValue {
    let encoded = utf8_percent_encode(text, ESCAPED).to_string();
    HeaderValue::from_str(&encoded).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_visible_ascii() {
        assert_eq!(value("100@mydomain.com"), "100@mydomain.com");
        assert_eq!(value("jürgen 5%"), "j%C3%BCrgen%205%25");
    }

    proptest! {
        #[test]
        fn any_name_can_be_read_back(name in any::<String>()) {
            let sent = value(&name);
            prop_assert!(sent.as_bytes().iter().all(u8::is_ascii_graphic));
            let read = percent_encoding::percent_decode(sent.as_bytes()).decode_utf8().unwrap();
            prop_assert_eq!(read, name);
        }
    }
}
