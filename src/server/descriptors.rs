//! Descriptors: the soft limit becomes the hard one, and no more connections are served than there are descriptors for.

use std::num::NonZeroUsize;

use rustix::process::{Resource, getrlimit, setrlimit};

/// What the process needs besides connections: logs, listeners, event loops, files that are read again.
const SPARE: u64 = 100;
/// A connection, and the one to an upstream that its request goes on over.
const EACH: u64 = 2;

/// Raises the limit as far as it goes; as many connections as were asked for, or as fit, which is said.
///
/// Without it a full gateway would not reach its upstreams any more, and answer 502 to everybody.
pub(crate) fn fit(connections: NonZeroUsize) -> NonZeroUsize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the descriptor limit");
    }
    let available = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let fitting = connections.min(most(available));
    if fitting < connections {
        let needed = connections.get() as u64 * EACH + SPARE;
        tracing::warn!(
            available,
            needed,
            "limits.connections = {connections} needs more descriptors than this process may have, so that {fitting} are served \
             at once; raise the hard limit (LimitNOFILE= in the unit, --ulimit nofile= for a container, ulimit -Hn in a shell), \
             or lower limits.connections"
        );
    }
    fitting
}

/// The connections that so many descriptors are enough for.
fn most(available: u64) -> NonZeroUsize {
    let most = available.saturating_sub(SPARE) / EACH;
    NonZeroUsize::new(usize::try_from(most).unwrap_or(usize::MAX)).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_may_need_one_to_an_upstream() {
        for (available, connections) in [(40_100, 20_000), (20_000, 9_950), (100, 1), (0, 1), (1_048_576, 524_238)] {
            assert_eq!(most(available).get(), connections, "{available}");
        }
    }
}
