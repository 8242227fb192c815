//! Descriptors: the soft limit becomes the hard one, and it is said when that is too few.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::Limits;

/// What the process needs besides two descriptors a connection: logs, listeners, event loops.
const SPARE: u64 = 100;

/// Raises the limit; warns when `limits.connections` connections, each with one to an upstream, would not fit.
pub(crate) fn raise(limits: &Limits) {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the descriptor limit");
    }
    let needed = limits.connections.get() as u64 * 2 + SPARE;
    let available = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if available < needed {
        tracing::warn!(
            available,
            needed,
            "too few descriptors for limits.connections; raise the hard limit (ulimit -Hn)"
        );
    }
}
