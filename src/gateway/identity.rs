//! Tells an upstream who is asking, in headers that no client can send.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::auth::Session;
use crate::config;
use crate::directory::Role;

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
        headers.insert(self.role.clone(), role(session.role()));
        headers.insert(
            self.session.clone(),
            HeaderValue::from_bytes(&session.id().hex()).unwrap_or(HeaderValue::from_static("")),
        );
    }

    /// Sets the name that a client's certificate gives it.
    pub(crate) fn introduce_client(&self, name: &str, headers: &mut HeaderMap) {
        headers.insert(self.client.clone(), value(name));
    }
}

fn role(role: &Role) -> HeaderValue {
    match role {
        Role::Root => HeaderValue::from_static("root"),
        Role::Admin => HeaderValue::from_static("admin"),
        Role::User => HeaderValue::from_static("user"),
        Role::Other(name) => value(name),
    }
}

/// Visible ASCII as it is, the rest and `%` as percent-encoded UTF-8.
fn value(text: &str) -> HeaderValue {
    // Nearly all names are plain, and this is on every request's way.
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'%') {
        return HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
    }
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
