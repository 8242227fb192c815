//! Everything that decides about requests and can change while the gateway runs: read whole, replaced whole.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::cors::Cors;
use super::identity::Identity;
use super::routes::Routes;
use super::secure::Hsts;
use crate::auth::Ring;
use crate::config::{Config, ForwardedPolicy, Problems, RoleNumbering};
use crate::directory::Directories;
use crate::upstream::reserved::Reserved;
use crate::upstream::{Upstream, Upstreams};

/// The rules. A request keeps those that it began with; a copy shares everything.
#[derive(Clone)]
pub struct Rules {
    pub(crate) routes: Arc<Routes>,
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) ring: Arc<Ring>,
    pub(crate) directories: Arc<Directories>,
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) hsts: Option<Arc<Hsts>>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) reserved: Arc<Reserved>,
    pub(crate) role_numbering: RoleNumbering,
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    pub(crate) forwarded: ForwardedPolicy,
}

impl Rules {
    /// Reads secrets and users and builds the rules. What has not changed since `before` is taken over from there: servers with
    /// their connections and what is known of them, and the threads that check passwords. `None` when something is missing; then
    /// `problems` says all of it.
    pub fn build(config: &Config, before: Option<&Self>, problems: &mut Problems) -> Option<Self> {
        let ring = Ring::load(&config.tokens, problems);
        let known = before.map(|rules| &*rules.directories);
        let directories = Directories::load(&config.directories, &config.login, known, problems);
        let upstreams = Upstream::build_all(&config.upstreams, before.map(|rules| &*rules.upstreams), problems);
        let routes = Routes::build(&config.routes, &upstreams, problems);
        let names = &config.identity;
        let identity = [&names.user, &names.domain, &names.role, &names.session, &names.client];
        if !problems.is_empty() {
            return None;
        }
        Some(Self {
            routes: Arc::new(routes),
            upstreams: Arc::new(upstreams),
            ring: Arc::new(ring?),
            directories: Arc::new(directories?),
            cors: config.cors.as_ref().map(|cors| Arc::new(Cors::new(cors))),
            hsts: Hsts::new(config.tls.as_ref()).map(Arc::new),
            reserved: Arc::new(Reserved::new(identity)),
            identity: Arc::new(Identity::new(names)),
            role_numbering: config.login.role_numbering,
            forwarded: config.server.forwarded,
            trusted_proxies: config.server.trusted_proxies.as_slice().into(),
        })
    }
}

impl Rules {
    /// Looks whether files of upstreams changed, to be called once a second; may wait for the disk.
    pub(crate) fn refresh(&self) {
        self.upstreams.values().for_each(|upstream| upstream.refresh());
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("routes", &self.routes).finish_non_exhaustive()
    }
}
