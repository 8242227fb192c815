//! Puts a gateway together from the configuration, or says everything that is missing.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::cors::Cors;
use super::identity::Identity;
use super::routes::{Routes, Upstreams};
use crate::auth::{Ring, Sessions};
use crate::config::{Config, ForwardedPolicy, Limits, Problems, RoleNumbering};
use crate::directory::Directories;
use crate::telemetry::access_log::AccessLog;
use crate::upstream::Upstream;
use crate::upstream::headers::Reserved;

/// Everything that decides about requests; shared by all workers.
pub struct Gateway {
    pub(crate) routes: Routes,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) ring: Ring,
    pub(crate) directories: Directories,
    pub(crate) cors: Option<Cors>,
    pub(crate) identity: Identity,
    pub(crate) reserved: Arc<Reserved>,
    pub(crate) limits: Limits,
    pub(crate) role_numbering: RoleNumbering,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) forwarded: ForwardedPolicy,
    pub(crate) access_log: AccessLog,
    pub(crate) log_query: bool,
}

impl Gateway {
    /// Reads secrets and users and builds the rules. `None` when something is missing; then `problems` says all of it.
    pub fn build(config: &Config, problems: &mut Problems) -> Option<Self> {
        let ring = Ring::load(&config.tokens, problems);
        let directories = Directories::load(&config.directories, &config.login, problems);
        let upstreams: Upstreams = Upstream::build_all(config.upstreams.iter())
            .into_iter()
            .map(|upstream| (upstream.name.to_string(), upstream))
            .collect();
        let routes = Routes::build(&config.routes, &upstreams, problems);
        let names = &config.identity;
        let identity = [&names.user, &names.domain, &names.role, &names.session, &names.client];
        if !problems.is_empty() {
            return None;
        }
        Some(Self {
            routes,
            sessions: Arc::new(Sessions::new(&config.sessions)),
            ring: ring?,
            directories: directories?,
            cors: config.cors.as_ref().map(Cors::new),
            reserved: Arc::new(Reserved::new(identity)),
            identity: Identity::new(names),
            limits: config.limits.clone(),
            role_numbering: config.login.role_numbering,
            trusted_proxies: config.server.trusted_proxies.clone(),
            forwarded: config.server.forwarded,
            access_log: AccessLog::silent(),
            log_query: config.log.query,
        })
    }

    /// Sends access lines to `log`.
    #[must_use]
    pub fn with_access_log(self, log: AccessLog) -> Self {
        Self { access_log: log, ..self }
    }

    /// The live sessions.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// The access log.
    pub fn access_log(&self) -> &AccessLog {
        &self.access_log
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("routes", &self.routes).finish_non_exhaustive()
    }
}
