//! What must hold between settings that are each right by themselves.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::Method;

use super::findings::{Findings, Wrong};
use super::problem::{Located, Place};
use super::round;
use super::settings::{Config, Health, ListenAddress, Listener, Route};

/// Checks the whole, and drops what no listener needs.
pub(super) fn apply(mut config: Config, findings: &Findings) -> Config {
    if !config.listeners.iter().any(|listener| listener.tls) {
        config.tls = None;
    }
    addresses(&config, findings);
    redirects(&config, findings);
    round::servers(&config, findings);
    proxies(&config, findings);
    let certificates = config.tls.iter().flat_map(|tls| &tls.certificates).map(|certificate| &certificate.chain);
    repeated("tls.certificates.chain", certificates, findings);
    repeated("directories.path", config.directories.iter().map(|directory| &directory.path), findings);
    let routes = &config.routes;
    for (index, route) in routes.iter().enumerate() {
        own_path(route, findings);
        unknown_clients(route, &config, findings);
        if let Some(wrong) = routes[..index].iter().find_map(|earlier| conflict(earlier, route)) {
            findings.add(&route.path.place, wrong);
        }
    }
    config
}

fn redirects(config: &Config, findings: &Findings) {
    if config.listeners.iter().any(|listener| listener.tls) {
        return;
    }
    for listener in config.listeners.iter().filter(|listener| listener.redirect) {
        let wrong =
            Wrong::new("listeners.redirect: no listener speaks TLS", "add one with tls = true, or remove redirect");
        findings.add_absent(&listener.address.place, wrong);
    }
}

fn addresses(config: &Config, findings: &Findings) {
    let listeners = config.listeners.iter().map(|listener| ("listeners.address", listener.address.clone()));
    let health = config.health.iter().map(|Health { listen }| {
        ("health.listen", Located { value: ListenAddress::Tcp(listen.value), place: listen.place.clone() })
    });
    let mut seen: Vec<Located<ListenAddress>> = Vec::new();
    for (key, address) in listeners.chain(health) {
        if let Some(earlier) = seen.iter().find(|earlier| collide(&earlier.value, &address.value)) {
            let what = format!("{key}: {} is taken by {}{}", address.value, earlier.value, on_line(&earlier.place));
            findings.add(&address.place, Wrong::new(what, "give each its own"));
        }
        seen.push(address);
    }
}

/// A listener that believes nobody would serve nobody.
fn proxies(config: &Config, findings: &Findings) {
    let unusable = |listener: &&Listener| listener.proxy_protocol && config.server.trusted_proxies.is_empty();
    for listener in config.listeners.iter().filter(unusable) {
        let what = format!("listeners.proxy_protocol: nobody may announce a client on {}", listener.address.value);
        findings.add(&listener.address.place, Wrong::new(what, "name the proxies in server.trusted_proxies"));
    }
}

fn repeated<'c>(key: &str, paths: impl Iterator<Item = &'c Located<PathBuf>>, findings: &Findings) {
    let mut seen: Vec<&Located<PathBuf>> = Vec::new();
    for path in paths {
        if let Some(earlier) = seen.iter().find(|earlier| earlier.value == path.value) {
            let what = format!("{key}: {:?} is named{} already", path.value, on_line(&earlier.place));
            findings.add(&path.place, Wrong::new(what, "remove one of the two"));
        }
        seen.push(path);
    }
}

/// Whether the second could not be bound while the first is; `[::]` is dual stack.
fn collide(a: &ListenAddress, b: &ListenAddress) -> bool {
    let (ListenAddress::Tcp(a), ListenAddress::Tcp(b)) = (a, b) else { return a == b };
    let covers = |a: &SocketAddr, b: &SocketAddr| a.ip().is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

fn own_path(route: &Route, findings: &Findings) {
    let own = ["/login", "/logout"].iter().any(|own| route.path.value.eq_ignore_ascii_case(own));
    if route.exact && own {
        let what = format!("routes.path: {} is answered by the gateway itself", route.path.value);
        findings.add(&route.path.place, Wrong::new(what, "remove the route"));
    }
}

/// Where nobody shows a certificate, a route for some clients would be closed to all.
fn unknown_clients(route: &Route, config: &Config, findings: &Findings) {
    if let Some(first) = route.clients.first()
        && config.tls.as_ref().is_none_or(|tls| tls.clients.is_none())
    {
        let fix = "on a listener with TLS, set tls.client_ca and client_auth = \"optional\" or \"required\"";
        findings.add_absent(&first.place, Wrong::new("routes.clients: nobody is asked for a certificate", fix));
    }
}

/// Why two routes can't stand side by side.
fn conflict(earlier: &Route, route: &Route) -> Option<Wrong> {
    let (path, place) = (&route.path.value, on_line(&earlier.path.place));
    if earlier.exact != route.exact || !overlap(&earlier.hosts, &route.hosts, |a, b| a == b) {
        return None;
    }
    if path != &earlier.path.value {
        let what = format!("routes.path: {path} differs only in case from {}{place}", earlier.path.value);
        let fix = "keep one; a request to either would be refused as ambiguous";
        return path.eq_ignore_ascii_case(&earlier.path.value).then(|| Wrong::new(what, fix));
    }
    let what = format!("routes.path: {path} can match the same requests as the route{place}");
    overlap(&earlier.methods, &route.methods, same_method)
        .then(|| Wrong::new(what, "give them different paths, hosts or methods"))
}

/// Whether a value can be in both lists, where an empty list takes any.
fn overlap<T>(a: &[T], b: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    a.is_empty() || b.is_empty() || a.iter().any(|a| b.iter().any(|b| same(a, b)))
}

/// GET implies HEAD.
fn same_method(a: &Method, b: &Method) -> bool {
    a == b || (*a == Method::GET && *b == Method::HEAD) || (*a == Method::HEAD && *b == Method::GET)
}

pub(super) fn on_line(place: &Place) -> String {
    match place {
        Place::File { line: 0, .. } => String::new(),
        Place::File { line, .. } => format!(" on line {line}"),
        Place::Environment(name) => format!(" in {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};

    fn route(more: &str) -> String {
        format!("[[routes]]\nupstream = \"api\"\n{more}\n")
    }

    #[test]
    fn routes_that_can_both_match_are_refused() {
        let pairs = [
            ("path = \"/a\"", "path = \"/a\""),
            ("path = \"/a\"", "path = \"/a\"\nhosts = [\"h\"]"),
            ("path = \"/a\"\nhosts = [\"h\", \"i\"]", "path = \"/a\"\nhosts = [\"I\"]"),
            ("path = \"/a\"\nmethods = [\"GET\"]", "path = \"/a\"\nmethods = [\"HEAD\", \"PUT\"]"),
            ("path = \"/a\"\nexact = true", "path = \"/a\"\nexact = true\nmethods = [\"PUT\"]"),
            ("path = \"/a\"", "path = \"/A\""),
        ];
        for (one, other) in pairs {
            let problems = bad(&(route(one) + &route(other)));
            assert!(problems.len() == 1 && problems[0].contains(" on line 15"), "{one} {other}: {problems:?}");
        }
    }

    #[test]
    fn routes_that_differ_stand_side_by_side() {
        let pairs = [
            ("path = \"/a\"", "path = \"/a/b\""),
            ("path = \"/a\"", "path = \"/a\"\nexact = true"),
            ("path = \"/a\"\nhosts = [\"h\"]", "path = \"/a\"\nhosts = [\"i\"]"),
            ("path = \"/a\"\nmethods = [\"GET\"]", "path = \"/a\"\nmethods = [\"PUT\"]"),
        ];
        for (one, other) in pairs {
            assert_eq!(good(&(route(one) + &route(other))).routes.len(), 3);
        }
    }

    #[test]
    fn clients_of_a_route_must_be_asked_who_they_are() {
        let mutual = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = true\n[tls]\nclient_ca = \"ca\"\nclient_auth = \"optional\"\n";
        let clients = route("path = \"/a\"\nclients = [\"billing.internal\", \"*.web\"]");
        let config = good(&format!("{mutual}{clients}"));
        assert!(config.routes[1].clients[1].value.matches("a.web"));
        let nobody = "routes.clients: nobody is asked for a certificate; ";
        let without = mutual.replace("optional", "none");
        for text in [clients.clone(), format!("{without}{clients}")] {
            assert!(bad(&text)[0].starts_with(nobody));
        }
        let plain = format!("[tls]\nclient_ca = \"ca\"\nclient_auth = \"optional\"\n{clients}");
        assert!(bad(&plain)[0].starts_with(nobody), "no listener speaks TLS");
        let closed = clients.replace("upstream = \"api\"", "access = \"deny\"");
        assert!(bad(&format!("{mutual}{closed}"))[0].starts_with("routes.clients: means nothing on a deny route"));
        assert_eq!(bad(&format!("{mutual}{}", route("path = \"/a\"\nclients = [\"a*\"]"))).len(), 1);
    }

    #[test]
    fn login_and_logout_are_the_gateways_own() {
        let own = bad(&route("path = \"/login\"\nexact = true"));
        assert_eq!(own, ["routes.path: /login is answered by the gateway itself; remove the route"]);
        good(&route("path = \"/login\""));
    }

    #[test]
    fn two_listeners_cannot_share_an_address() {
        let listeners = |a: &str, b: &str| {
            format!("[[listeners]]\naddress = \"{a}\"\ntls = false\n[[listeners]]\naddress = \"{b}\"\ntls = false\n")
        };
        for (a, b) in [
            ("[::]:5", "0.0.0.0:5"),
            ("127.0.0.1:5", "0.0.0.0:5"),
            ("[::1]:5", "[::1]:5"),
            ("10.0.0.1:5", "[::]:5"),
            ("unix:a", "unix:a"),
            ("systemd:a", "systemd:a"),
        ] {
            assert_eq!(bad(&listeners(a, b)).len(), 1, "{a} {b}");
        }
        for (a, b) in
            [("127.0.0.1:5", "127.0.0.2:5"), ("[::]:0", "[::]:0"), ("0.0.0.0:5", "[::1]:5"), ("unix:a", "unix:b")]
        {
            assert_eq!(good(&listeners(a, b)).listeners.len(), 3, "{a} {b}");
        }
        let taken = bad("[[listeners]]\naddress = \"[::]:10025\"\ntls = false\n[health]\n");
        assert_eq!(taken, ["health.listen: 127.0.0.1:10025 is taken by [::]:10025 on line 14; give each its own"]);
    }

    #[test]
    fn the_proxy_protocol_needs_proxies_that_are_trusted() {
        let listener = "[[listeners]]\naddress = \"[::1]:5\"\ntls = true\nproxy_protocol = true\n";
        let what = "listeners.proxy_protocol: nobody may announce a client on [::1]:5";
        assert_eq!(bad(listener), [format!("{what}; name the proxies in server.trusted_proxies")]);
        let config = good(&format!("{listener}[server]\ntrusted_proxies = [\"10.0.0.1\"]\n"));
        assert!(config.listeners[1].proxy_protocol && !config.listeners[0].proxy_protocol);
    }

    #[test]
    fn a_file_is_named_once() {
        let twice = bad("[[directories]]\npath = \"users.toml\"\n");
        assert_eq!(twice, ["directories.path: \"users.toml\" is named on line 7 already; remove one of the two"]);
        let pair = "{ chain = \"a\", key = \"b\" }";
        let twice = bad(&format!("[tls]\ncertificates = [{pair}, {pair}]\n[[listeners]]\ntls = true\n"));
        assert_eq!(twice.len(), 1, "{twice:?}");
    }

    #[test]
    fn certificates_matter_to_listeners_with_tls_only() {
        assert!(good("[tls]\nmin_version = \"1.3\"\n").tls.is_none());
        assert!(good("[[listeners]]\ntls = true\n").tls.is_some());
    }
}
