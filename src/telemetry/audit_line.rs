//! What an audit line says of a login, a logout or the end of a session. Knows no passwords, no tokens and no keys.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::target::escaped;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session was issued.
    Login,
    /// A login was refused, or its client left before it was decided.
    LoginRefused,
    /// A login was refused before its password was looked at, since there were too many.
    LoginThrottled,
    /// A session was ended by its holder.
    Logout,
    /// Nobody was logged out, for no live pair was presented.
    LogoutRefused,
    /// A session ended in another way.
    SessionEnded,
    /// The process ends, and with it all sessions that are left.
    Shutdown,
}

/// What an audit line says.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Entry<'a> {
    /// What happened.
    #[serde(serialize_with = "name")]
    pub event: Event,
    /// The canonical name, as claimed where a login was refused; absent where it is not one.
    pub user: Option<&'a str>,
    /// The client, behind trusted proxies.
    pub peer: Option<IpAddr>,
    /// The public id of the session.
    pub session: Option<&'a str>,
    /// The name of the session's role.
    pub role: Option<&'a str>,
    /// Why: the label of a refusal, the budget of a throttle, or what ended a session.
    pub reason: Option<&'a str>,
    /// Also in `X-Request-Id`.
    pub request_id: Option<&'a str>,
}

impl Entry<'_> {
    /// Says nothing yet but what happened.
    pub fn of(event: Event) -> Self {
        Self { event, user: None, peer: None, session: None, role: None, reason: None, request_id: None }
    }

    /// A line of JSON.
    pub(super) fn json(&self, time: &dyn fmt::Display) -> String {
        let members = serde_json::to_string(self).unwrap_or_default();
        format!("{{\"time\":\"{time}\",\"target\":\"audit\",{}\n", members.trim_start_matches('{'))
    }

    /// A line for people.
    pub(super) fn text(&self, time: &dyn fmt::Display) -> String {
        let or_dash = |text: Option<&str>| text.map_or("-".to_owned(), escaped);
        let (user, session, role) = (or_dash(self.user), or_dash(self.session), or_dash(self.role));
        let (reason, request_id) = (or_dash(self.reason), or_dash(self.request_id));
        let peer = self.peer.map_or("-".to_owned(), |peer| peer.to_string());
        let event = self.event.name();
        format!(
            "{time} audit {event} user={user} peer={peer} session={session} role={role} reason={reason} id={request_id}\n"
        )
    }
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::LoginRefused => "login_refused",
            Self::LoginThrottled => "login_throttled",
            Self::Logout => "logout",
            Self::LogoutRefused => "logout_refused",
            Self::SessionEnded => "session_ended",
            Self::Shutdown => "shutdown",
        }
    }
}

fn name<S: Serializer>(event: &Event, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(event.name())
}
