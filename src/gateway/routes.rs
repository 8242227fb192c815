//! Which rule decides about a request: the longest prefix of whole segments, by host. Knows nothing of credentials.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use http::Method;

use super::credentials::Sources;
use super::error::Refusal;
use super::table::Table;
use super::target;
use crate::config::{self, Access, ClientPattern, Place, Problems};
use crate::directory::Role;
use crate::upstream::{Upstream, Upstreams};

/// What the gateway answers itself.
const OWN: [&str; 2] = ["/login", "/logout"];

/// Everything a rule can say of a request.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// POST /login.
    Login,
    /// POST /logout.
    Logout,
    /// Refused without a look at credentials.
    Deny,
    /// Sent to an upstream, if [`Forward::access`] lets it.
    Forward(Arc<Forward>),
}

/// A rule that forwards.
#[derive(Debug)]
pub(crate) struct Forward {
    /// The prefix or path as configured.
    pub(crate) path: Arc<str>,
    pub(crate) public: bool,
    pub(crate) roles: Vec<Role>,
    clients: Vec<ClientPattern>,
    header_credentials: bool,
    pub(crate) query_credentials: bool,
    pub(crate) forward_credentials: bool,
    pub(crate) strip_prefix: bool,
    pub(crate) upstream: Arc<Upstream>,
}

impl Forward {
    /// Where credentials are taken from.
    pub(crate) fn sources(&self) -> Sources {
        let Self { header_credentials: header, query_credentials: query, forward_credentials: forwarded, .. } = *self;
        Sources { header, query, forwarded }
    }

    /// The clients that it is open to, known by their certificates; none: to all.
    pub(crate) fn clients(&self) -> &[ClientPattern] {
        &self.clients
    }

    /// Whether it is open to some clients only, known by their certificates.
    pub(crate) fn knows_clients(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Whether a client of that name may pass, or one without a name.
    pub(crate) fn takes_client(&self, name: Option<&str>) -> bool {
        self.clients.is_empty() || name.is_some_and(|name| self.clients.iter().any(|client| client.matches(name)))
    }
}

/// A rule and the methods it takes.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its place among all rules, for [`Routes::label`].
    pub(crate) number: usize,
    /// The path as configured; names the rule in logs.
    pub(crate) label: Arc<str>,
    /// Where it is configured; absent for what the gateway answers itself.
    pub(crate) place: Option<Place>,
    pub(super) methods: Vec<Method>,
    keep_encoded_slash: bool,
    pub(crate) action: Action,
}

/// All rules of the gateway.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Of all rules, by number.
    labels: Vec<Arc<str>>,
    any: Table,
    hosts: HashMap<Box<str>, Table, RandomState>,
}

impl Routes {
    /// Builds the tables; paths that a lenient upstream would mix up are problems, and so are those that no request could select.
    pub(crate) fn build(routes: &[config::Route], upstreams: &Upstreams, problems: &mut Problems) -> Self {
        let labels = OWN.into_iter().map(Arc::from).collect();
        let mut built = Self { labels, any: Table::default(), hosts: HashMap::default() };
        let hosts = routes.iter().flat_map(|route| &route.hosts);
        built.hosts.extend(hosts.map(|host| (host.as_str().into(), Table::default())));
        built.each_table(|_, table| {
            for (number, action) in [Action::Login, Action::Logout].into_iter().enumerate() {
                table.add(OWN[number], true, endpoint(number, OWN[number], action));
            }
        });
        for route in routes {
            let Some(rule) = rule(built.labels.len(), route, upstreams) else { continue };
            built.labels.push(rule.label.clone());
            if let Some(own) = never_asked_about(route) {
                let place = &route.path.place;
                tracing::warn!(%place, "this route decides about what is below {own} only: {own} itself the gateway answers");
            }
            let rule = Arc::new(rule);
            built.each_table(|host, table| {
                let ours = route.hosts.is_empty() || host.is_some_and(|host| route.hosts.iter().any(|h| h == host));
                if ours && !table.add(&route.path.value, route.exact, rule.clone()) {
                    let what = format!("routes.path: {:?} differs from another route only in case", route.path.value);
                    problems.add(&route.path.place, what, "rename one of them");
                } else if ours && table.never_selects(&route.path.value, route.exact) {
                    let what = format!("routes.path: {:?} is another path to some servers", route.path.value);
                    problems.add(&route.path.place, what, "leave out the dots and spaces at the end of its segments");
                }
            });
        }
        built
    }

    /// The path of a rule as configured; what names it in logs.
    pub(crate) fn label(&self, number: usize) -> &str {
        debug_assert!(number < self.labels.len(), "each rule has one");
        self.labels.get(number).map_or("", AsRef::as_ref)
    }

    /// The rule that decides about `path`, which [`target::judge`] accepted.
    ///
    /// # Errors
    /// [`Refusal::NoRoute`], [`Refusal::MethodNotAllowed`]; [`Refusal::Ambiguous`] when another rule would decide if the path were
    /// read leniently, or its encoded slash is not for this rule; [`Refusal::Misdirected`] when the TLS server name selects other
    /// rules than `Host` does.
    pub(crate) fn select(&self, names: Names<'_>, path: &str, method: &Method) -> Result<&Rule, Refusal> {
        let table = self.table(names.host);
        if !self.hosts.is_empty() && names.sni.is_some_and(|sni| !std::ptr::eq(self.table(sni), table)) {
            return Err(Refusal::Misdirected);
        }
        let selected = table.find(path.as_bytes(), false);
        if table.is_ambiguous(path, selected) {
            return Err(Refusal::Ambiguous("Another rule would decide if this path were read leniently"));
        }
        let group = selected.and_then(|index| table.groups.get(index)).ok_or(Refusal::NoRoute)?;
        match group.rules.iter().find(|rule| rule.takes(method)) {
            Some(rule) if !rule.keep_encoded_slash && target::holds_encoded_slash(path) => {
                Err(Refusal::Ambiguous("The path holds an encoded slash"))
            }
            Some(rule) => Ok(rule),
            None => Err(group.allow.clone().map_or(Refusal::NoRoute, Refusal::MethodNotAllowed)),
        }
    }

    /// How a lenient reader comes to other rules than the ones that a path selects, for whoever asks why it is refused.
    pub(super) fn misreading(&self, host: &str, path: &str) -> Option<Misreading<'_>> {
        let table = self.table(host);
        let selected = table.find(path.as_bytes(), false);
        let (reading, read) = table.misread(path, selected)?;
        let rules = |group: Option<usize>| group.and_then(|index| table.groups.get(index)).map(|group| &*group.rules);
        Some(Misreading {
            reading,
            written: rules(selected).unwrap_or_default(),
            read: rules(read).unwrap_or_default(),
        })
    }

    fn table(&self, host: &str) -> &Table {
        if self.hosts.is_empty() {
            return &self.any;
        }
        self.hosts.get(host).or_else(|| self.hosts.get(host.to_ascii_lowercase().as_str())).unwrap_or(&self.any)
    }

    fn each_table(&mut self, mut visit: impl FnMut(Option<&str>, &mut Table)) {
        visit(None, &mut self.any);
        for (host, table) in &mut self.hosts {
            visit(Some(host), table);
        }
    }
}

/// The names a request was sent to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// From `Host` or `:authority`, without port.
    pub(crate) host: &'a str,
    /// From the TLS handshake.
    pub(crate) sni: Option<&'a str>,
}

/// A path that is read in two ways.
pub(super) struct Misreading<'r> {
    /// What a lenient reader takes the path for.
    pub(super) reading: Vec<u8>,
    /// The rules for the path as it is written.
    pub(super) written: &'r [Arc<Rule>],
    /// The rules for the path as it is read.
    pub(super) read: &'r [Arc<Rule>],
}

impl Rule {
    fn takes(&self, method: &Method) -> bool {
        let implied = *method == Method::HEAD && self.methods.contains(&Method::GET);
        self.methods.is_empty() || implied || self.methods.contains(method)
    }
}

pub(super) fn endpoint(number: usize, path: &str, action: Action) -> Arc<Rule> {
    Arc::new(Rule {
        number,
        label: path.into(),
        place: None,
        methods: vec![Method::POST],
        keep_encoded_slash: false,
        action,
    })
}

/// The path of the gateway's own that a prefix names in vain, whatever roles it asks for.
fn never_asked_about(route: &config::Route) -> Option<&'static str> {
    OWN.into_iter().find(|own| !route.exact && *own == route.path.value)
}

fn rule(number: usize, route: &config::Route, upstreams: &Upstreams) -> Option<Rule> {
    let action = match route.access {
        Access::Deny => Action::Deny,
        Access::Public | Access::Session => Action::Forward(Arc::new(Forward {
            path: route.path.value.as_str().into(),
            public: route.access == Access::Public,
            roles: route.roles.clone(),
            clients: route.clients.iter().map(|client| client.value.clone()).collect(),
            header_credentials: route.header_credentials,
            query_credentials: route.query_credentials,
            forward_credentials: route.forward_credentials,
            strip_prefix: route.strip_prefix,
            upstream: upstreams.get(route.upstream.as_ref()?)?.clone(),
        })),
    };
    Some(Rule {
        number,
        label: route.path.value.as_str().into(),
        place: Some(route.path.place.clone()),
        methods: route.methods.clone(),
        keep_encoded_slash: route.keep_encoded_slash,
        action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_is_a_path_of_the_gateways_own_is_asked_about_in_vain() {
        let own = |path: &str| {
            let text = format!(
                "[[routes]]\npath = \"{path}\"\naccess = \"deny\"\n[[listeners]]\ntls = false\n[[directories]]\n"
            );
            let config = config::parse(&text, std::path::Path::new("g.toml"), std::iter::empty()).unwrap();
            never_asked_about(&config.routes[0])
        };
        assert_eq!((own("/login"), own("/logout")), (Some("/login"), Some("/logout")));
        assert!(["/", "/log", "/login/x", "/loginx"].iter().all(|path| own(path).is_none()));
    }
}
