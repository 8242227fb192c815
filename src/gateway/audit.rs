//! What is written down for the record: who logged in, who was refused and why, who logged out, which sessions ended.

use super::Gateway;
use super::error::Refusal;
use super::record::Record;
use crate::auth::{Ended, Session};
use crate::telemetry::audit::{Audit, Entry, Event};

/// An attempt to log in. However it ends, also with a client that leaves, it leaves one line.
pub(super) struct Trial<'a> {
    gateway: &'a Gateway,
    record: &'a Record,
    user: Option<String>,
    recorded: bool,
}

impl<'a> Trial<'a> {
    pub(super) fn begin(gateway: &'a Gateway, record: &'a Record) -> Self {
        Self { gateway, record, user: None, recorded: false }
    }

    /// Who it claims to be, by canonical name; what has none could be anything that was typed into the wrong field.
    pub(super) fn claims(&mut self, canonical_name: Option<&str>) {
        self.user = canonical_name.map(str::to_owned);
    }

    /// A session was issued.
    pub(super) fn passed(mut self, session: &Session) {
        self.recorded = true;
        self.record.login_ended("ok");
        let session_id = session.id().to_string();
        let (session_id, role) = (Some(&*session_id), Some(session.role().name()));
        self.write(Entry { user: Some(session.user()), session: session_id, role, ..entry(Event::Login, self.record) });
    }

    /// It was refused.
    pub(super) fn refused(mut self, refusal: &Refusal) {
        self.recorded = true;
        self.record.login_ended(refusal.label());
        let (event, reason) = match refusal {
            Refusal::Throttled(throttled) => (Event::LoginThrottled, throttled.budget.label()),
            // There is no room for a line; the access line and the program's own messages have it.
            Refusal::AuditStuck => return,
            other => (Event::LoginRefused, other.label()),
        };
        self.write(Entry { user: self.user.as_deref(), reason: Some(reason), ..entry(event, self.record) });
    }

    fn write(&self, entry: Entry<'_>) {
        self.gateway.audit.write(&entry);
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.recorded {
            let (user, reason) = (self.user.as_deref(), "client_gone");
            self.record.login_ended(reason);
            self.write(Entry { user, reason: Some(reason), ..entry(Event::LoginRefused, self.record) });
        }
    }
}

/// A logout; absent: no live pair was presented.
pub(super) fn logout(audit: &Audit, record: &Record, session: Option<&Session>) {
    let Some(session) = session else {
        let reason = Some(Refusal::BadCaller.label());
        return audit.write(&Entry { reason, ..entry(Event::LogoutRefused, record) });
    };
    let (user, id, role) = (Some(session.user()), session.id().to_string(), Some(session.role().name()));
    audit.write(&Entry { user, session: Some(&id), role, ..entry(Event::Logout, record) });
}

/// A session that ended; a logout has a line of its own, which knows more.
pub(super) fn ended(audit: &Audit, session: &Session, why: Ended) {
    if why == Ended::Logout {
        return;
    }
    let (user, id, role) = (Some(session.user()), session.id().to_string(), Some(session.role().name()));
    let blank =
        Entry { event: Event::SessionEnded, user, peer: None, session: None, role, reason: None, request_id: None };
    audit.write(&Entry { session: Some(&id), reason: Some(why.label()), ..blank });
}

/// The end of the process, and of the sessions that are left.
pub(super) fn shutdown(audit: &Audit, sessions: usize) {
    let reason = format!("sessions={sessions}");
    audit.write(&Entry { reason: Some(&reason), ..Entry::of(Event::Shutdown) });
}

fn entry(event: Event, record: &Record) -> Entry<'_> {
    let request_id = Some(record.request_id.as_str());
    Entry { peer: Some(record.client.address), request_id, ..Entry::of(event) }
}
