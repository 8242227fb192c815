//! What must hold between settings that are each right by themselves.

use std::net::SocketAddr;

use http::Method;

use super::findings::{Findings, Wrong};
use super::problem::{Located, Place};
use super::settings::{Config, Route};

/// Checks the whole, and drops what no listener needs.
pub(super) fn apply(mut config: Config, findings: &Findings) -> Config {
    if !config.listeners.iter().any(|listener| listener.tls) {
        config.tls = None;
    }
    addresses(&config, findings);
    let routes = &config.routes;
    for (index, route) in routes.iter().enumerate() {
        own_path(route, findings);
        if let Some(wrong) = routes[..index].iter().find_map(|earlier| conflict(earlier, route)) {
            findings.add(&route.path.place, wrong);
        }
    }
    config
}

fn addresses(config: &Config, findings: &Findings) {
    let listeners = config.listeners.iter().map(|listener| ("listeners.address", &listener.address));
    let health = config.health.iter().map(|health| ("health.listen", &health.listen));
    let mut seen: Vec<&Located<SocketAddr>> = Vec::new();
    for (key, address) in listeners.chain(health) {
        if let Some(earlier) = seen.iter().find(|earlier| collide(earlier.value, address.value)) {
            let what = format!("{key}: {} is taken by {}{}", address.value, earlier.value, on_line(&earlier.place));
            findings.add(&address.place, Wrong::new(what, "give each its own port"));
        }
        seen.push(address);
    }
}

/// Whether the second could not be bound while the first is; `[::]` is dual stack.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let covers = |a: SocketAddr, b: SocketAddr| a.ip().is_unspecified() && (a.is_ipv6() || b.is_ipv4());
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || covers(a, b) || covers(b, a))
}

fn own_path(route: &Route, findings: &Findings) {
    let own = ["/login", "/logout"].iter().any(|own| route.path.value.eq_ignore_ascii_case(own));
    if route.exact && own {
        let what = format!("routes.path: {} is answered by the gateway itself", route.path.value);
        findings.add(&route.path.place, Wrong::new(what, "remove the route"));
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

fn on_line(place: &Place) -> String {
    match place {
        Place::File { line: 0, .. } => String::new(),
        Place::File { line, .. } => format!(" on line {line}"),
        Place::Environment(name) => format!(" in {name}"),
    }
}
