//! Tells an upstream who is asking, in headers that no client can send.

use http::HeaderName;

use crate::auth::Session;
use crate::config;
use crate::upstream::Outbound;

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

    /// Says whose session it is; what a client said under these names was not copied.
    pub(crate) fn introduce(&self, session: &Session, outbound: &mut Outbound) {
        outbound.text(&self.user, session.user());
        if !session.domain().is_empty() {
            outbound.text(&self.domain, session.domain());
        }
        outbound.text(&self.role, session.role().name());
        outbound.plain(&self.session, &session.id().hex());
    }

    /// Says the name that a client's certificate gives it.
    pub(crate) fn introduce_client(&self, name: &str, outbound: &mut Outbound) {
        outbound.text(&self.client, name);
    }
}
