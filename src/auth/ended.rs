//! Why sessions end, how often each has happened, and who is told.

use std::time::Duration;

use super::session::Session;
use crate::clock::BootTime;
use crate::sync::OnceLock;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its holder logged out.
    Logout,
    /// Its lifetime was over.
    Expired,
    /// It was not used for too long.
    Idle,
    /// Its user had too many, and it was the oldest.
    Crowded,
    /// Its user is gone.
    UserRemoved,
    /// Its user has another role or password.
    UserChanged,
    /// The secret that signed its token is gone.
    SecretRemoved,
    /// A reload overtook its login, which is made again.
    Withdrawn,
}

type Watcher = Box<dyn Fn(&Session, Ended) + Send + Sync>;

/// Counts ends, and tells the one who watches them.
#[derive(Default)]
pub(super) struct Ends {
    counts: [AtomicU64; Ended::ALL.len()],
    watcher: OnceLock<Watcher>,
}

impl Ends {
    pub(super) fn watch(&self, watcher: Watcher) {
        let _first = self.watcher.set(watcher);
    }

    pub(super) fn note(&self, session: &Session, why: Ended) {
        self.counts[why as usize].fetch_add(1, Relaxed);
        if let Some(watcher) = self.watcher.get() {
            watcher(session, why);
        }
    }

    pub(super) fn count(&self, why: Ended) -> u64 {
        self.counts[why as usize].load(Relaxed)
    }
}

impl Ended {
    /// Every reason there is.
    pub const ALL: [Self; 8] = [
        Self::Logout,
        Self::Expired,
        Self::Idle,
        Self::Crowded,
        Self::UserRemoved,
        Self::UserChanged,
        Self::SecretRemoved,
        Self::Withdrawn,
    ];

    /// Why a session ended that this takes away now: what was over by then had ended before.
    pub(super) fn unless_over(self, session: &Session, idle_timeout: Option<Duration>, now: BootTime) -> Self {
        if session.expires() <= now {
            return Self::Expired;
        }
        if session.end(idle_timeout) <= now { Self::Idle } else { self }
    }

    /// A stable name for logs and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Crowded => "per_user",
            Self::UserRemoved => "user_removed",
            Self::UserChanged => "user_changed",
            Self::SecretRemoved => "secret_removed",
            Self::Withdrawn => "withdrawn",
        }
    }
}
