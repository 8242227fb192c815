//! Servers that are this gateway itself: a request to one would go round until there is no connection left.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::findings::{Findings, Wrong};
use super::rules::on_line;
use super::settings::{Config, Host, ListenAddress, ServerAddress};

/// Adds a problem for each server that one of the listeners would answer.
pub(super) fn servers(config: &Config, findings: &Findings) {
    for (name, upstream) in &config.upstreams {
        for server in &upstream.servers {
            let own = config.listeners.iter().find(|listener| leads_to(&server.value, &listener.address.value));
            if let Some(own) = own {
                let (address, line) = (&own.address.value, on_line(&own.address.place));
                let what = format!("upstreams.{name}.servers: that is this gateway, which listens on {address}{line}");
                let fix = "name the address of the API; requests would go round until limits.connections is reached";
                findings.add(&server.place, Wrong::new(what, fix));
            }
        }
    }
}

/// As far as addresses say it: names are not looked up, and which addresses this machine has is not asked.
fn leads_to(server: &ServerAddress, listener: &ListenAddress) -> bool {
    match (server, listener) {
        (ServerAddress::Unix(server), ListenAddress::Unix(listener)) => server == listener,
        (ServerAddress::Tcp { host, port, .. }, ListenAddress::Tcp(listener)) => {
            listener.port() == *port && reached(host).iter().any(|address| accepts(listener, *address))
        }
        _ => false,
    }
}

/// The addresses of a host that is one, or this machine. A connection to no address in particular goes to the loopback one.
fn reached(host: &Host) -> Vec<IpAddr> {
    const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    match host {
        Host::Address(address) => vec![match address.to_canonical() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => LOOPBACK[0],
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => LOOPBACK[1],
            address => address,
        }],
        Host::Name(name) if name.trim_end_matches('.').eq_ignore_ascii_case("localhost") => LOOPBACK.into(),
        Host::Name(_) => Vec::new(),
    }
}

/// `[::]` is dual stack.
fn accepts(listener: &SocketAddr, address: IpAddr) -> bool {
    let everywhere = listener.ip().is_unspecified() && (listener.is_ipv6() || address.is_ipv4());
    listener.ip().to_canonical() == address || (everywhere && address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};

    fn looped(listener: &str, server: &str) -> String {
        format!(
            "[[listeners]]\naddress = \"{listener}\"\ntls = false\n[upstreams.own]\nservers = [\"http://h:1\", \"{server}\"]\n"
        )
    }

    #[test]
    fn a_server_that_is_the_gateway_itself_is_refused() {
        for (listener, server) in [
            ("127.0.0.1:5", "http://127.0.0.1:5"),
            ("[::1]:5", "https://[::1]:5"),
            ("[::]:5", "http://127.0.0.1:5"),
            ("[::]:5", "http://[::1]:5"),
            ("0.0.0.0:5", "http://127.9.9.9:5"),
            ("[::]:5", "http://LOCALHOST:5"),
            ("127.0.0.1:5", "http://localhost:5"),
            ("127.0.0.1:5", "http://0.0.0.0:5"),
            ("127.0.0.1:5", "http://[::ffff:127.0.0.1]:5"),
            ("10.0.0.1:80", "http://10.0.0.1"),
            ("unix:/run/own.sock", "unix:/run/own.sock"),
        ] {
            let listens =
                format!("upstreams.own.servers: that is this gateway, which listens on {listener} on line 14; ");
            let problems = bad(&looped(listener, server));
            assert!(problems.len() == 1 && problems[0].starts_with(&listens), "{listener} {server}: {problems:?}");
        }
    }

    #[test]
    fn other_ports_addresses_and_names_are_servers() {
        for (listener, server) in [
            ("127.0.0.1:5", "http://127.0.0.1:6"),
            ("127.0.0.1:5", "http://127.0.0.2:5"),
            ("[::1]:5", "http://127.0.0.1:5"),
            ("0.0.0.0:5", "http://[::1]:5"),
            ("[::]:5", "http://10.0.0.1:5"),
            ("[::]:5", "http://engine:5"),
            ("127.0.0.1:0", "http://127.0.0.1:80"),
            ("unix:/run/own.sock", "unix:/run/api.sock"),
        ] {
            assert_eq!(good(&looped(listener, server)).upstreams["own"].servers.len(), 2, "{listener} {server}");
        }
    }
}
