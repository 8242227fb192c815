//! The gateway as a whole: what lives as long as the process, and the rules in force, which can be replaced.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::metrics::Metrics;
use super::rules::Rules;
use crate::auth::{Ended, Sessions, Throttle};
use crate::clock::BootTime;
use crate::config::{Config, Limits, Problems};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::audit::Audit;

/// What all workers share.
pub struct Gateway {
    pub(super) rules: Arc<ArcSwap<Rules>>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) throttle: Throttle,
    pub(crate) limits: Limits,
    pub(crate) access_log: AccessLog,
    pub(crate) audit: Arc<Audit>,
    pub(super) metrics: Metrics,
    pub(crate) log_query: bool,
}

impl Gateway {
    /// Reads everything that the configuration names. `None` when something is missing; then `problems` says all of it.
    pub fn build(config: &Config, problems: &mut Problems) -> Option<Self> {
        Some(Self {
            rules: Arc::new(ArcSwap::from_pointee(Rules::build(config, None, problems)?)),
            sessions: Arc::new(Sessions::new(&config.sessions)),
            throttle: Throttle::new(&config.login.throttle),
            limits: config.limits.clone(),
            access_log: AccessLog::silent(),
            audit: Arc::default(),
            metrics: Metrics::new(),
            log_query: config.log.query,
        })
    }

    /// Sends access lines to `log`.
    #[must_use]
    pub fn with_access_log(self, log: AccessLog) -> Self {
        Self { access_log: log, ..self }
    }

    /// Sends audit lines to `audit`, those of ended sessions as well.
    #[must_use]
    pub fn with_audit(self, audit: Audit) -> Self {
        let audit = Arc::new(audit);
        let witness = audit.clone();
        self.sessions.watch_ends(move |session, why| super::audit::ended(&witness, session, why));
        Self { audit, ..self }
    }

    /// The rules in force. Requests take theirs from their worker.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Puts new rules in force, and then ends the sessions that they do not allow any more: of users that are gone or have another
    /// role or password, and those that a secret signed which is no longer in the ring. How many those were.
    pub fn enforce(&self, rules: Rules) -> usize {
        let rules = Arc::new(rules);
        let before = self.rules.swap(rules.clone());
        let ousted = before.directories.ousted_by(&rules.directories);
        let now = BootTime::now();
        let why = |name| if rules.directories.knows(name) { Ended::UserChanged } else { Ended::UserRemoved };
        let of_users: usize = ousted.map(|name| self.sessions.revoke_user(name, why(name), now)).sum();
        let removed = before.ring.ids().filter(|secret| !rules.ring.contains(*secret));
        let of_secrets: usize = removed.map(|secret| self.sessions.revoke_signed_by(secret, now)).sum();
        rules.directories.settle();
        of_users + of_secrets
    }

    /// Whether no reload has replaced these rules yet.
    pub(super) fn are_in_force(&self, rules: &Arc<Rules>) -> bool {
        Arc::ptr_eq(rules, &self.rules.load())
    }

    /// The live sessions.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// The access log.
    pub fn access_log(&self) -> &AccessLog {
        &self.access_log
    }

    /// Writes down that the process ends.
    pub fn record_shutdown(&self) {
        super::audit::shutdown(&self.audit, self.sessions.len());
    }

    /// Whether all audit lines were written, for which nobody waits any longer than that.
    pub fn audit_is_written_within(&self, patience: Duration) -> bool {
        self.audit.is_written_within(patience)
    }

    /// Opens the files of both logs anew.
    pub fn reopen_logs(&self) {
        self.access_log.reopen();
        self.audit.reopen();
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("rules", &*self.rules.load()).finish_non_exhaustive()
    }
}
