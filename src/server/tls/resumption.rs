//! What lets a client come back without a whole handshake: tickets and, for TLS 1.2 clients without them, remembered sessions.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};

/// TLS 1.2 sessions that can be resumed by id; TLS 1.3 and clients with tickets need no memory here.
const SESSION_CACHE: usize = 20_000;

/// Outlives the certificates, but not the authorities that clients' certificates were verified against.
pub(super) struct Resumption {
    tickets: Option<Arc<dyn ProducesTickets>>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    /// Nobody can come back yet.
    pub(super) fn new() -> Self {
        let tickets = Ticketer::new()
            .inspect_err(|error| tracing::warn!(%error, "no session tickets: clients resume by session id only"))
            .ok();
        Self { tickets, sessions: ServerSessionMemoryCache::new(SESSION_CACHE) }
    }

    /// Lets `config` resume; early data stays off, for it could be replayed.
    pub(super) fn serve(&self, config: &mut ServerConfig) {
        config.session_storage = self.sessions.clone();
        if let Some(tickets) = &self.tickets {
            config.ticketer = tickets.clone();
        }
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
    }

    /// Lets the ticket keys age though nobody comes: rustls's `TicketRotator` makes a new one every six hours and forgets the old
    /// one six hours later, but only when one is used.
    pub(super) fn roll(&self) {
        let _no_ticket = self.tickets.as_ref().and_then(|tickets| tickets.decrypt(&[]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_worth_something_for_two_turns_of_the_keys_and_to_the_same_keys_only() {
        let (one, other) = (Resumption::new().tickets.unwrap(), Resumption::new().tickets.unwrap());
        assert!(one.enabled() && one.lifetime() == 2 * 6 * 60 * 60);
        let ticket = one.encrypt(b"session").unwrap();
        assert_eq!(one.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(other.decrypt(&ticket), None);
    }

    #[test]
    fn a_roll_forgets_no_key_before_its_time() {
        let resumption = Resumption::new();
        let ticket = resumption.tickets.as_ref().and_then(|tickets| tickets.encrypt(b"session")).unwrap();
        (0..3).for_each(|_| resumption.roll());
        assert!(resumption.tickets.unwrap().decrypt(&ticket).is_some());
    }
}
