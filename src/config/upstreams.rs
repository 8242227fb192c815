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
        let Some(table) = section.checked(&name, &place, node.table()) else { continue };
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

#[cfg(test)]
mod tests {
    use super::super::settings::{Host, ServerAddress};
    use super::super::testing::{bad, good};
    use super::*;

    #[test]
    fn an_upstream_has_defaults_and_may_be_idle() {
        let config = good("[upstreams.b-1]\nservers = [\"http://b\", \"http://c:81\"]\nhost = \"server\"\n");
        let api = &config.upstreams["api"];
        assert_eq!((api.host, api.connect_timeout), (HostPolicy::Preserve, Duration::from_secs(2)));
        assert_eq!((api.response_timeout, api.idle_timeout), (Duration::from_secs(600), Duration::from_secs(4)));
        let b = &config.upstreams["b-1"];
        let second = ServerAddress::Tcp { host: Host::Name("c".into()), port: 81 };
        assert_eq!((b.servers.len(), &b.servers[1].value, b.host), (2, &second, HostPolicy::Server));
    }

    #[test]
    fn an_upstream_needs_servers_and_a_plain_name() {
        assert!(bad("[upstreams.b]\n")[0].starts_with("upstreams.b.servers: missing; "));
        assert_eq!(bad("[upstreams.b]\nservers = []\n").len(), 1);
        assert_eq!(bad("[upstreams.b]\nservers = [\"http://b\", \"http://B:80/\"]\n").len(), 1);
        assert!(bad("[upstreams.\"b c\"]\nservers = [\"http://b\"]\n")[0].contains("not a name"));
        assert!(bad("[upstreams]\nb = 5\n")[0].starts_with("upstreams.b: wants a table, not a number"));
    }
}
