//! The proof that a request may go upstream, and its only maker. Knows no routes and no headers.

use std::sync::Arc;
use std::time::Duration;

use super::key::SessionKey;
use super::session::Session;
use super::sessions::{Rejected, Sessions};
use crate::clock::BootTime;
use crate::directory::Role;

/// Proof that a request may go upstream. Only [`admit`] makes one.
#[derive(Clone, Debug)]
pub struct Admission {
    session: Option<Arc<Session>>,
    idle_timeout: Option<Duration>,
    at: BootTime,
}

impl Admission {
    /// How long what was admitted may go on unwatched. Nearly everything is done by then, and never asks for its end.
    pub const UNWATCHED: Duration = Duration::from_millis(50);

    /// Whose request it is; absent on a public route.
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// When it was admitted.
    pub fn at(&self) -> BootTime {
        self.at
    }

    /// Waits until the session has ended, and with it whatever it opened: revoked, pushed out or expired, in this moment or
    /// before. Never on a public route.
    pub async fn over(&self) -> Rejected {
        let Some(session) = &self.session else { return std::future::pending().await };
        tokio::select! {
            () = session.over.wait() => Rejected::Unknown,
            () = expired(session, self.idle_timeout) => Rejected::Expired,
        }
    }
}

/// Waits for the end of the session's life, which its use may have moved meanwhile.
async fn expired(session: &Session, idle_timeout: Option<Duration>) {
    loop {
        let left = session.end(idle_timeout).since(BootTime::now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

/// Who may pass.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    /// The holder of a live session.
    Session {
        /// Any one of these roles; empty: every role.
        roles: &'a [Role],
    },
    /// Anybody; nothing is verified.
    Public,
}

impl Access<'_> {
    /// Whether somebody of that role may pass.
    pub fn takes(&self, role: &Role) -> bool {
        match self {
            Self::Session { roles } => roles.is_empty() || roles.contains(role),
            Self::Public => true,
        }
    }
}

/// X-Key and X-Access-Token as sent, unverified.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The X-Key.
    pub key: SessionKey,
    /// The X-Access-Token.
    pub token: &'a [u8],
}

/// Why a request may not go upstream.
#[derive(Clone, Debug)]
pub enum Denied {
    /// A session is needed and none was presented.
    Missing,
    /// What was presented opens nothing.
    Rejected(Rejected),
    /// The session lives, its role is not among those that may pass.
    Forbidden(Arc<Session>),
}

impl Denied {
    /// Whose request it was, where that is proven.
    pub fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Forbidden(session) => Some(session),
            Self::Missing | Self::Rejected(_) => None,
        }
    }
}

/// Decides about one request.
///
/// # Errors
/// [`Denied`]; on public access there is none, and what was presented is not looked at.
pub fn admit(
    sessions: &Sessions,
    access: Access<'_>,
    presented: Option<Presented<'_>>,
    now: BootTime,
) -> Result<Admission, Denied> {
    if matches!(access, Access::Public) {
        return Ok(Admission { session: None, idle_timeout: None, at: now });
    }
    let presented = presented.ok_or(Denied::Missing)?;
    let session = sessions.authenticate(&presented.key, presented.token, now).map_err(Denied::Rejected)?;
    if !access.takes(session.role()) {
        return Err(Denied::Forbidden(session));
    }
    Ok(Admission { session: Some(session), idle_timeout: sessions.idle_timeout(), at: now })
}
