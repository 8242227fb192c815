//! The APIs behind, by name.

use std::collections::BTreeMap;
use std::time::Duration;

use super::findings::Wrong;
use super::network::server;
use super::section::Section;
use super::settings::{HostPolicy, Upstream};
use super::value::{duration, positive_duration};

/// `[upstreams.NAME]`, each.
pub(super) fn upstreams(section: &mut Section<'_>) -> BTreeMap<String, Upstream> {
    let mut upstreams = BTreeMap::new();
    for (name, node) in section.take_rest() {
        let (key, place) = (node.key.clone(), node.place.clone());
        if !is_name(&name) {
            section.wrong(&name, &key, Wrong::new("not a name", "use letters, digits, - and _, at most 64"));
        }
        let table = section.checked(&name, &place, node.table()).unwrap_or_default();
        let called = (section.name_of(&name), place);
        let upstream = Section::read(table, called, section.findings(), upstream);
        upstreams.insert(name, upstream);
    }
    upstreams
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn upstream(section: &mut Section<'_>) -> Upstream {
    section.unsupported_choice("balance", &["least", "session"]);
    section.unsupported_but("requests_per_server", "none");
    section.unsupported("health");
    section.unsupported("tls");
    let servers = section.list("servers", server).unwrap_or_else(|| {
        section.missing("servers", "name at least one: servers = [\"http://127.0.0.1:10023\"]");
        Vec::new()
    });
    Upstream {
        servers,
        host: section.choice_or(
            "host",
            HostPolicy::Preserve,
            &[("preserve", HostPolicy::Preserve), ("server", HostPolicy::Server)],
        ),
        connect_timeout: section.parsed_or("connect_timeout", Duration::from_secs(2), positive_duration),
        response_timeout: section.parsed_or("response_timeout", Duration::from_secs(600), positive_duration),
        idle_timeout: section.parsed_or("idle_timeout", Duration::from_secs(4), duration),
    }
}
