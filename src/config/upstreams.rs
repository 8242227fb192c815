//! The APIs behind, by name.

use std::collections::BTreeMap;
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::file::file_path;
use super::findings::Wrong;
use super::network::server;
use super::problem::Located;
use super::section::Section;
use super::settings::{Balance, HostPolicy, ServerAddress, Upstream, UpstreamTls};
use super::value::{duration, positive_duration, quoted};

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
    section.unsupported("health");
    let servers = section.list("servers", server).unwrap_or_else(|| {
        section.missing("servers", "name at least one: servers = [\"http://127.0.0.1:10023\"]");
        Vec::new()
    });
    Upstream {
        tls: tls(section, &servers),
        servers,
        host: section.choice_or(
            "host",
            HostPolicy::Preserve,
            &[("preserve", HostPolicy::Preserve), ("server", HostPolicy::Server)],
        ),
        balance: section.choice_or(
            "balance",
            Balance::Least,
            &[("least", Balance::Least), ("session", Balance::Session)],
        ),
        requests_per_server: section.optional_count("requests_per_server", 1_000_000),
        connect_timeout: section.parsed_or("connect_timeout", Duration::from_secs(2), positive_duration),
        response_timeout: section.parsed_or("response_timeout", Duration::from_secs(600), positive_duration),
        busy_poll: section.parsed_or("busy_poll", None, busy_poll),
        idle_timeout: section.parsed_or("idle_timeout", Duration::from_secs(4), duration),
    }
}

/// Looking takes a whole core, which a server without one of its own waits for; an answer that takes longer than this is not worth it.
const LONGEST_LOOK: Duration = Duration::from_micros(200);

fn busy_poll(text: &str) -> Result<Option<Duration>, Wrong> {
    if text == "none" {
        return Ok(None);
    }
    let fits = |lasts: &Duration| !lasts.is_zero() && *lasts <= LONGEST_LOOK;
    let lasts = duration(text).ok().filter(fits);
    lasts.map(Some).ok_or_else(|| {
        let what = format!("{} is no time to look for an answer, 1us to 200us", quoted(text));
        Wrong::new(what, "write such as \"60us\", or \"none\"")
    })
}

/// How servers with TLS are verified.
fn tls(section: &mut Section<'_>, servers: &[Located<ServerAddress>]) -> Option<UpstreamTls> {
    const KEY: &str = "tls";
    let written = section.has(KEY);
    let (place, read) = section.section(KEY, |section| {
        let ca = section.parsed("ca", file_path);
        let server_name = section.parsed("server_name", server_name).map(|name| name.value);
        (section.place().clone(), UpstreamTls { ca, server_name })
    });
    let secured: Vec<_> = servers.iter().filter(|server| server.value.is_secured()).collect();
    if written && secured.is_empty() && !servers.is_empty() {
        let wrong =
            Wrong::new("means nothing: no server is https", "write \"https://HOST:PORT\" in servers, or remove it");
        section.wrong(KEY, &place, wrong);
    }
    for server in &secured {
        if read.server_name.is_none() && server.value.verified_name().is_none() {
            let wrong = Wrong::new("no certificate can be for that host", "set tls = { server_name = \"NAME\" }");
            section.wrong("servers", &server.place, wrong);
        }
    }
    (!secured.is_empty()).then_some(read)
}

/// A name that a certificate can be for.
fn server_name(text: &str) -> Result<ServerName<'static>, Wrong> {
    ServerName::try_from(text.to_owned()).map_err(|_| {
        let fix = "write the name in the servers' certificate, such as \"engine.internal\"";
        Wrong::new(format!("{} is not a name of a server", quoted(text)), fix)
    })
}

#[cfg(test)]
mod tests {
    use super::super::settings::Host;
    use super::super::testing::{bad, good};
    use super::*;

    #[test]
    fn an_upstream_has_defaults_and_may_be_idle() {
        let config = good("[upstreams.b-1]\nservers = [\"http://b\", \"http://c:81\"]\nhost = \"server\"\n");
        let api = &config.upstreams["api"];
        assert_eq!((api.host, api.connect_timeout), (HostPolicy::Preserve, Duration::from_secs(2)));
        assert_eq!((api.response_timeout, api.idle_timeout), (Duration::from_secs(600), Duration::from_secs(4)));
        assert_eq!(api.busy_poll, None);
        let b = &config.upstreams["b-1"];
        let second = ServerAddress::Tcp { tls: false, host: Host::Name("c".into()), port: 81 };
        assert_eq!((b.servers.len(), &b.servers[1].value, b.host), (2, &second, HostPolicy::Server));
    }

    #[test]
    fn answers_are_looked_for_a_moment_at_most() {
        let text = |lasts: &str| format!("[upstreams.b]\nservers = [\"http://b\"]\nbusy_poll = \"{lasts}\"\n");
        let read = |lasts: &str| good(&text(lasts)).upstreams["b"].busy_poll;
        assert_eq!((read("60us"), read("200us")), (Some(Duration::from_micros(60)), Some(LONGEST_LOOK)));
        assert_eq!(read("none"), None);
        for lasts in ["201us", "60", "0s", "0us"] {
            let problems = bad(&text(lasts));
            assert!(problems[0].starts_with("upstreams.b.busy_poll: "), "{lasts}: {problems:?}");
        }
    }

    #[test]
    fn servers_with_tls_are_verified_by_their_host_or_by_a_name() {
        let upstream = |more: &str| good(&format!("[upstreams.b]\n{more}\n")).upstreams["b"].clone();
        let by_host = upstream("servers = [\"https://b\", \"http://c\", \"https://[::1]:8443\"]");
        assert_eq!(by_host.tls, Some(UpstreamTls { ca: None, server_name: None }));
        assert_eq!(by_host.servers[0].value, ServerAddress::Tcp { tls: true, host: Host::Name("b".into()), port: 443 });
        let named = upstream("servers = [\"https://b\"]\ntls = { ca = \"ca.pem\", server_name = \"engine.internal\" }");
        assert_eq!(named.tls.unwrap().server_name, ServerName::try_from("engine.internal").ok());
        assert!(upstream("servers = [\"http://b\"]").tls.is_none());
        let server = "[upstreams.b]\nservers = [\"https://b\"]\n";
        assert!(
            bad(&format!("{server}tls = {{ server_name = \"a b\" }}\n"))[0]
                .starts_with("upstreams.b.tls.server_name: ")
        );
        assert!(bad(&format!("{server}tls = {{ cb = \"x\" }}\n"))[0].starts_with("upstreams.b.tls.cb: unknown key"));
        let idle = bad("[upstreams.b]\nservers = [\"http://b\"]\ntls = { ca = \"ca.pem\" }\n");
        assert!(
            idle.len() == 1 && idle[0].starts_with("upstreams.b.tls: means nothing: no server is https"),
            "{idle:?}"
        );
    }

    #[test]
    fn requests_are_balanced_by_load_or_session_and_may_be_bounded() {
        let api = &good("").upstreams["api"];
        assert_eq!((api.balance, api.requests_per_server), (Balance::Least, None));
        let config = good("[upstreams.b]\nservers = [\"http://b\"]\nbalance = \"session\"\nrequests_per_server = 8\n");
        let b = &config.upstreams["b"];
        assert_eq!((b.balance, b.requests_per_server.map(|most| most.get())), (Balance::Session, Some(8)));
        good("[upstreams.b]\nservers = [\"http://b\"]\nrequests_per_server = \"none\"\n");
        for wrong in [
            "balance = \"round\"",
            "requests_per_server = 0",
            "requests_per_server = \"8\"",
            "requests_per_server = -1",
        ] {
            let problems = bad(&format!("[upstreams.b]\nservers = [\"http://b\"]\n{wrong}\n"));
            assert!(problems.len() == 1 && problems[0].starts_with("upstreams.b."), "{wrong}: {problems:?}");
        }
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
