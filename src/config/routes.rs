//! Which request goes where, and who may send it: each route by itself.

use std::collections::BTreeMap;

use super::client_pattern::client_pattern;
use super::findings::Wrong;
use super::names::{method, role};
use super::network::route_host;
use super::problem::Located;
use super::route_path::route_path;
use super::scalars::unknown_word;
use super::section::Section;
use super::settings::{Access, Route, Upstream};
use super::suggest;
use super::value::quoted;

const ACCESS: [(&str, Access); 3] = [("session", Access::Session), ("public", Access::Public), ("deny", Access::Deny)];

/// `[[routes]]`: at least one.
pub(super) fn routes(root: &mut Section<'_>, upstreams: &BTreeMap<String, Upstream>) -> Vec<Route> {
    let Some(routes) = root.sections("routes", |section| route(section, upstreams)) else {
        root.missing("routes", "add [[routes]] with a path and an upstream");
        return Vec::new();
    };
    routes.into_iter().flatten().collect()
}

fn route(section: &mut Section<'_>, upstreams: &BTreeMap<String, Upstream>) -> Option<Route> {
    let path = section.required("path", "say which requests are meant, such as path = \"/\"", route_path);
    let exact = section.flag_or("exact", false);
    let access = section.choice_or("access", Access::Session, &ACCESS);
    refuse_idle_keys(section, access);
    let (header_credentials, query_credentials) = credentials(section);
    let placed = path.is_some();
    // A route without a path is read to its end, for the sake of its other problems, and then dropped.
    let path = path.unwrap_or_else(|| Located { value: "/".into(), place: section.place().clone() });
    let route = Route {
        exact,
        upstream: upstream(section, access, upstreams),
        access,
        hosts: section.list_or("hosts", Vec::new(), route_host),
        methods: section.list_or("methods", Vec::new(), method),
        roles: section.list_or("roles", Vec::new(), role),
        clients: section.list("clients", client_pattern).unwrap_or_default(),
        header_credentials,
        query_credentials,
        forward_credentials: section.flag_or("forward_credentials", false),
        strip_prefix: strip_prefix(section, placed && path.value == "/", exact),
        keep_encoded_slash: section.choice_or("encoded_slash", false, &[("refuse", false), ("keep", true)]),
        path,
    };
    placed.then_some(route)
}

/// Keys about sessions on a route that looks at none would promise what does not happen.
fn refuse_idle_keys(section: &mut Section<'_>, access: Access) {
    let kind = match access {
        Access::Session => return,
        Access::Public => "public",
        Access::Deny => "deny",
    };
    let wrong = || Wrong::new(format!("means nothing on a {kind} route"), "remove it, or say access = \"session\"");
    if access == Access::Deny
        && let Some(node) = section.take("clients")
    {
        section.wrong("clients", &node.key, Wrong::new("means nothing on a deny route", "remove it, or change access"));
    }
    for key in ["credentials", "roles"] {
        if let Some(node) = section.take(key) {
            section.wrong(key, &node.key, wrong());
        }
    }
    if let Some(flag) = section.flag("forward_credentials").filter(|flag| flag.value) {
        section.wrong("forward_credentials", &flag.place, wrong());
    }
}

fn upstream(section: &mut Section<'_>, access: Access, upstreams: &BTreeMap<String, Upstream>) -> Option<String> {
    const KEY: &str = "upstream";
    if access == Access::Deny {
        let node = section.take(KEY)?;
        section.wrong(KEY, &node.key, Wrong::new("a deny route forwards nothing", "remove it, or change access"));
        return None;
    }
    let fix = "name one of the [upstreams.NAME], or say access = \"deny\"";
    let name = section.required(KEY, fix, |text| Ok(text.to_owned()))?;
    if !upstreams.contains_key(&name.value) {
        let known = upstreams.keys().map(String::as_str);
        let fix = suggest::fix(&name.value, known, "add [upstreams.NAME] with that name, or name another".into());
        section.wrong_absent(
            KEY,
            &name.place,
            Wrong::new(format!("there is no upstream {}", quoted(&name.value)), fix),
        );
    }
    Some(name.value)
}

/// Whether credentials are taken from headers, and whether from the query.
fn credentials(section: &mut Section<'_>) -> (bool, bool) {
    let words = ["header", "query"];
    let sources = section.list_or("credentials", vec![0], |text| {
        words.iter().position(|word| *word == text).ok_or_else(|| unknown_word(text, words.iter().copied()))
    });
    (sources.contains(&0), sources.contains(&1))
}

fn strip_prefix(section: &mut Section<'_>, is_root: bool, exact: bool) -> bool {
    const KEY: &str = "strip_prefix";
    let Some(flag) = section.flag(KEY).filter(|flag| flag.value) else { return false };
    if is_root {
        section.wrong(KEY, &flag.place, Wrong::new("there is no prefix to strip from /", "remove it"));
    } else if exact {
        section.wrong(KEY, &flag.place, Wrong::new("an exact route has no prefix", "remove it, or remove exact"));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};
    use super::*;

    #[test]
    fn a_route_has_defaults() {
        let route = &good("").routes[0];
        assert_eq!((route.access, route.upstream.as_deref()), (Access::Session, Some("api")));
        assert!(route.header_credentials && !route.query_credentials && !route.forward_credentials);
        assert!(!route.exact && !route.strip_prefix && !route.keep_encoded_slash);
        assert!(route.hosts.is_empty() && route.methods.is_empty() && route.roles.is_empty());
    }

    #[test]
    fn a_route_can_say_much() {
        let more = "[[routes]]\npath = \"/a\"\nupstream = \"api\"\nhosts = [\"A.example\"]\nmethods = [\"GET\"]\nroles = [\"root\", \"ops\"]\n\
                    credentials = [\"query\"]\nforward_credentials = true\nstrip_prefix = true\nencoded_slash = \"keep\"\n";
        let route = &good(more).routes[1];
        assert!(!route.header_credentials && route.query_credentials && route.forward_credentials);
        assert!(route.strip_prefix && route.keep_encoded_slash);
        assert_eq!((&*route.hosts[0], route.roles[1].name()), ("a.example", "ops"));
    }

    #[test]
    fn only_deny_needs_no_upstream() {
        good("[[routes]]\npath = \"/a\"\naccess = \"deny\"\n");
        for (more, start) in [
            ("access = \"deny\"\nupstream = \"api\"", "routes.upstream: a deny route forwards nothing"),
            ("access = \"public\"", "routes.upstream: missing"),
            ("", "routes.upstream: missing"),
            ("upstream = \"apl\"", "routes.upstream: there is no upstream \"apl\"; did you mean \"api\"?"),
            (
                "upstream = \"api\"\naccess = \"pubic\"",
                "routes.access: \"pubic\" is not known; did you mean \"public\"?",
            ),
        ] {
            let problems = bad(&format!("[[routes]]\npath = \"/a\"\n{more}\n"));
            assert!(problems.len() == 1 && problems[0].starts_with(start), "{more}: {problems:?}");
        }
    }

    #[test]
    fn keys_that_would_promise_nothing_are_refused() {
        for more in ["credentials = [\"header\"]", "roles = [\"root\"]", "forward_credentials = true"] {
            let problems =
                bad(&format!("[[routes]]\npath = \"/a\"\nupstream = \"api\"\naccess = \"public\"\n{more}\n"));
            assert!(problems.len() == 1 && problems[0].contains("means nothing on a public route"), "{problems:?}");
        }
        for more in ["path = \"/\"\nhosts = [\"a\"]\nmethods = [\"PUT\"]", "path = \"/a\"\nexact = true"] {
            let problems = bad(&format!("[[routes]]\n{more}\nupstream = \"api\"\nstrip_prefix = true\n"));
            assert!(problems.iter().any(|problem| problem.starts_with("routes.strip_prefix: ")), "{problems:?}");
        }
    }

    #[test]
    fn a_route_without_a_path_still_tells_its_other_problems() {
        let problems =
            bad("[[routes]]\nupstream = \"api\"\nroles = [\"a b\"]\ncredentials = [\"body\"]\nacces = \"deny\"\n");
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert_eq!(problems[0], "routes.path: missing; say which requests are meant, such as path = \"/\"");
        assert!(problems.contains(&"routes.acces: unknown key; did you mean \"access\"?".to_owned()));
    }
}
