//! The APIs behind: which server, over which connection, and what passes in each direction. Accepts only admitted requests.

mod answer;
mod aside;
mod body;
mod busy_poll;
mod choice;
mod connect;
mod exchange;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod headers;
mod outbound;
mod pool;
pub mod reserved;
mod server;
mod soon;
mod tls;
mod tunnel;
mod wait;
pub(crate) mod websocket;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub use answer::AnswerBody;
pub use body::{BodyBounds, BodyFault, Progress, RequestBody, TrailerRule};
pub(crate) use exchange::Answered;
pub use exchange::{Failed, Fault};
pub(crate) use outbound::Outbound;
pub use pool::Pools;
pub use server::Server;
pub(crate) use tunnel::{Ending, Passed, Tunnel};

use crate::config::{self, HostPolicy, Problems};
use tls::Secured;

/// The upstreams by name.
pub type Upstreams = HashMap<String, Arc<Upstream>>;

/// Servers are numbered through and no number is used again, so that a worker's pools can be a plain list.
static NEXT_SERVER: AtomicUsize = AtomicUsize::new(0);

/// The servers behind one name.
#[derive(Debug)]
pub struct Upstream {
    /// As configured; names the upstream in logs.
    pub name: Arc<str>,
    pub(crate) policy: config::Upstream,
    servers: Vec<Arc<Server>>,
    tls: Option<Arc<Secured>>,
    start: AtomicUsize,
}

impl Upstream {
    /// Builds every upstream, and takes over from `before` what has not changed: whole upstreams, else their servers, with the
    /// connections to them and what is known of them.
    pub fn build_all(
        configured: &BTreeMap<String, config::Upstream>,
        before: Option<&Upstreams>,
        problems: &mut Problems,
    ) -> Upstreams {
        let mut build = |(name, policy): (&String, &config::Upstream)| {
            let known = before.and_then(|upstreams| upstreams.get(name));
            let unchanged = known.filter(|known| known.policy == *policy).cloned();
            let upstream = unchanged.or_else(|| Self::build(name, policy, known, problems).map(Arc::new));
            Some((name.clone(), upstream?))
        };
        configured.iter().filter_map(&mut build).collect()
    }

    fn build(
        name: &str,
        policy: &config::Upstream,
        before: Option<&Arc<Self>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        // Servers that are verified otherwise are others.
        let before = before.filter(|before| before.policy.tls == policy.tls);
        let tls = match (&policy.tls, before.and_then(|before| before.tls.clone())) {
            (Some(settings), None) => {
                Some(Arc::new(Secured::load(settings, &policy.servers.first()?.place, problems)?))
            }
            (_, known) => known,
        };
        let server = |address: &config::ServerAddress| {
            let known = before.and_then(|before| before.servers.iter().find(|server| server.address == *address));
            let tls = tls.clone().filter(|_| address.is_secured());
            let new = || Server::new(NEXT_SERVER.fetch_add(1, Relaxed), address.clone(), tls);
            known.cloned().unwrap_or_else(|| Arc::new(new()))
        };
        let servers = policy.servers.iter().map(|address| server(&address.value)).collect();
        Some(Self { name: name.into(), policy: policy.clone(), servers, tls, start: AtomicUsize::new(0) })
    }

    /// Looks whether the file of authorities changed, to be called once a second; may wait for the disk.
    pub(crate) fn refresh(&self) {
        self.tls.iter().for_each(|tls| tls.refresh());
    }

    /// Whether `Host` names the server instead of what the client asked for.
    pub(crate) fn renames_host(&self) -> bool {
        self.policy.host == HostPolicy::Server
    }

    /// The servers, in the order of the configuration.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.servers.iter()
    }

    /// A server's own host and port, for clients that name none.
    pub(crate) fn server_host(&self) -> Option<&http::HeaderValue> {
        self.servers.first().map(|server| &server.host_header)
    }

    fn next_start(&self) -> usize {
        if self.servers.len() > 1 { self.start.fetch_add(1, Relaxed) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn configured(upstreams: &str) -> BTreeMap<String, config::Upstream> {
        let rest = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = false\n[[directories]]\nkind = \"file\"\npath = \"u\"\n\
                    [[routes]]\npath = \"/\"\nupstream = \"a\"\n";
        config::parse(&format!("{rest}{upstreams}"), Path::new("g.toml"), std::iter::empty()).unwrap().upstreams
    }

    fn built(configured: &BTreeMap<String, config::Upstream>, before: Option<&Upstreams>) -> Upstreams {
        Upstream::build_all(configured, before, &mut Problems::default())
    }

    #[test]
    fn what_has_not_changed_is_taken_over_and_no_number_is_given_twice() {
        let one = built(&configured("[upstreams.a]\nservers = [\"http://x\", \"http://y\"]\n"), None);
        let same = built(&configured("[upstreams.a]\nservers = [\"http://x\", \"http://y\"]\n"), Some(&one));
        assert!(Arc::ptr_eq(&one["a"], &same["a"]));
        let other = "[upstreams.a]\nservers = [\"http://z\", \"http://y\"]\n[upstreams.b]\nservers = [\"http://x\"]\n";
        let other = built(&configured(other), Some(&one));
        assert!(Arc::ptr_eq(&one["a"].servers[1], &other["a"].servers[1]));
        let ids = |upstreams: &Upstreams, name: &str| -> Vec<usize> {
            upstreams[name].servers.iter().map(|server| server.id).collect()
        };
        let known = ids(&one, "a");
        assert!(!known.contains(&ids(&other, "a")[0]) && !known.contains(&ids(&other, "b")[0]));
    }
}
