//! Texts that name places on the network: addresses to listen on, networks, hosts, servers, origins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use http::HeaderValue;
use ipnet::IpNet;

use super::findings::Wrong;
use super::settings::{Host, ListenAddress, ServerAddress};
use super::value::quoted;

/// Bytes of a socket's path: what Linux takes, less the NUL behind it.
const LONGEST_UNIX_PATH: usize = 107;

/// An address to listen on.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Wrong> {
    text.parse().map_err(|_| {
        let fix = "write an IP address and a port, such as \"[::]:10022\" or \"127.0.0.1:10022\"";
        Wrong::new(format!("{} is not an address to listen on", quoted(text)), fix)
    })
}

/// What a listener listens on: an address and a port, `unix:PATH` or `systemd:NAME`.
pub(super) fn listen_address(text: &str) -> Result<ListenAddress, Wrong> {
    match text.strip_prefix("systemd:") {
        Some(name) => systemd_name(name).map(ListenAddress::Systemd),
        None => match unix_path(text) {
            Some(path) => path.map(ListenAddress::Unix),
            None => socket_address(text).map(ListenAddress::Tcp),
        },
    }
}

/// The value of FileDescriptorName= (systemd.socket(5)).
fn systemd_name(text: &str) -> Result<String, Wrong> {
    let valid = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    let fix = "write what FileDescriptorName= says in the .socket unit, such as \"systemd:https\"";
    valid.then(|| text.to_owned()).ok_or_else(|| Wrong::new(format!("{} is not a socket's name", quoted(text)), fix))
}

/// `10.0.0.0/8`, or one address.
pub(super) fn network(text: &str) -> Result<IpNet, Wrong> {
    let network: IpNet = match (text.parse::<IpNet>(), text.parse::<IpAddr>()) {
        (Ok(network), _) => network,
        (_, Ok(address)) => address.into(),
        _ => {
            let fix = "write a network such as \"10.0.0.0/8\" or one address";
            return Err(Wrong::new(format!("{} is not a network", quoted(text)), fix));
        }
    };
    if network != network.trunc() {
        let what = format!("{} has bits set behind its prefix", quoted(text));
        return Err(Wrong::new(what, format!("did you mean \"{}\"?", network.trunc())));
    }
    Ok(network)
}

/// A host that a route is bound to, lower-case; an IPv6 address stands in brackets, as it does in `Host`.
pub(super) fn route_host(text: &str) -> Result<String, Wrong> {
    let not_host = |fix: &str| Err(Wrong::new(format!("{} is not a host", quoted(text)), fix));
    if text.contains('*') {
        return not_host("name each host; patterns are not matched");
    }
    if text.contains("://") || text.contains('/') {
        return not_host("write the name alone, such as \"api.example.com\"");
    }
    if text.ends_with('.') {
        return not_host("leave out the dot at the end");
    }
    let bare = text.parse::<Ipv6Addr>().map(|address| (Host::Address(address.into()), None));
    match bare.ok().or_else(|| split_port(text)) {
        Some((host, None)) => Ok(host_text(&host)),
        Some(_) => not_host("leave out the port"),
        None => not_host("write a name such as \"api.example.com\" (xn-- form where it is not ASCII) or an IP address"),
    }
}

/// `unix:PATH`, where the path can be that of a socket.
fn unix_path(text: &str) -> Option<Result<PathBuf, Wrong>> {
    let path = text.strip_prefix("unix:")?;
    let wrong = |what: &str| Err(Wrong::new(format!("{} {what}", quoted(text)), "write \"unix:/run/NAME.sock\""));
    Some(match path {
        "" => wrong("has no path"),
        _ if path.starts_with("//") => wrong("is a URL; a socket has a path alone"),
        _ if path.starts_with('@') => wrong("is an abstract socket, which anybody may take"),
        _ if path.len() > LONGEST_UNIX_PATH => wrong("is too long for a socket"),
        _ => Ok(path.into()),
    })
}

/// `unix:PATH`, or `http://HOST[:PORT]` or `https://...` with nothing behind it but one `/`. The text is not repeated where it may hold a password.
pub(super) fn server(text: &str) -> Result<ServerAddress, Wrong> {
    const FIX: &str = "write \"http://HOST:PORT\", \"https://HOST:PORT\" or \"unix:PATH\"";
    if let Some(path) = unix_path(text) {
        return path.map(ServerAddress::Unix);
    }
    if text.contains('@') {
        return Err(Wrong::new("a server's URL takes no user name or password", FIX));
    }
    let lower = text.to_ascii_lowercase();
    let not_url = || Wrong::new(format!("{} is not a server's URL", quoted(text)), FIX);
    let (scheme, rest) = lower.split_once("://").ok_or_else(not_url)?;
    let (tls, usual_port) = match scheme {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return Err(not_url()),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        let what = format!("{} has a path; a server is a host and a port only", quoted(text));
        return Err(Wrong::new(what, "remove the path; strip_prefix of a route cuts prefixes"));
    }
    let (host, port) = split_port(authority).ok_or_else(not_url)?;
    Ok(ServerAddress::Tcp { tls, host, port: port.unwrap_or(usual_port) })
}

/// An origin (RFC 6454): scheme and authority, as browsers write it.
pub(super) fn origin(text: &str) -> Result<HeaderValue, Wrong> {
    let wrong = || {
        let fix = "write it as browsers do, in lower case and without a path: \"https://app.example.com\"";
        Wrong::new(format!("{} is not an origin", quoted(text)), fix)
    };
    let (scheme, authority) = text.split_once("://").ok_or_else(wrong)?;
    let usual_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(wrong()),
    };
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    match split_port(authority) {
        // A browser leaves the usual port out, so that an origin with it would never be equal to one.
        Some((_, port)) if lower && port != Some(usual_port) => HeaderValue::from_str(text).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`.
fn split_port(text: &str) -> Option<(Host, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner.split_once(']')?;
            (Host::Address(address.parse::<Ipv6Addr>().ok()?.into()), rest)
        }
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (name_or_address(name)?, rest)
        }
    };
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port_number(port)?))),
        None => rest.is_empty().then_some((host, None)),
    }
}

/// Digits alone, since `parse` would take a sign.
fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0)
}

fn name_or_address(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(Host::Address(address.into()));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    // A last label of digits makes an IPv4 address to some parsers (WHATWG URL, "ends in a number") and a name to others.
    let numeric = name.rsplit('.').next().is_none_or(|last| last.bytes().all(|b| b.is_ascii_digit()));
    let valid = text.len() <= 253 && !numeric && name.split('.').all(is_label);
    valid.then(|| Host::Name(text.to_ascii_lowercase()))
}

/// RFC 1123 labels, and `_`, which container networks use in names.
fn is_label(label: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=63).contains(&label.len()) && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
}

fn host_text(host: &Host) -> String {
    match host {
        Host::Address(IpAddr::V6(address)) => format!("[{address}]"),
        Host::Address(IpAddr::V4(address)) => address.to_string(),
        Host::Name(name) => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_a_host_and_a_port() {
        let name = |host: &str, port| Ok(ServerAddress::Tcp { tls: false, host: Host::Name(host.into()), port });
        assert_eq!(server("http://engine:10023"), name("engine", 10023));
        assert_eq!(server("HTTP://Engine_1.local./"), name("engine_1.local.", 80));
        let v6 = ServerAddress::Tcp { tls: false, host: Host::Address("::1".parse().unwrap()), port: 81 };
        assert_eq!(server("http://[::1]:81"), Ok(v6));
        let bad = [
            "engine:10023",
            "http://",
            "http:///",
            "http://a/b",
            "http://a//",
            "http://a?b",
            "http://a#b",
            "http://a:0",
            "http://a:99999",
            "http://a:+80",
            "http://a:",
            "http://[::1",
            "http://[::1]80",
            "http://-a",
            "http://a..b",
            "http://1.2.3",
            "http://256.1.1.1",
            "http://ä",
            "http://a b",
            "ftp://a",
            "http://a\\b",
            "http://127.1",
            "http://::1:81",
        ];
        for bad in bad {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn servers_may_be_sockets_of_this_machine() {
        assert_eq!(server("unix:/run/api.sock"), Ok(ServerAddress::Unix("/run/api.sock".into())));
        assert_eq!(server("unix:var/Api.sock"), Ok(ServerAddress::Unix("var/Api.sock".into())));
        for bad in ["unix:", "unix:///run/api.sock", "unix:@api", &format!("unix:/{}", "a".repeat(107))] {
            assert!(server(bad).unwrap_err().fix.starts_with("write \"unix:"), "{bad}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let wrong = server("http://root:hunter2@engine").unwrap_err();
        assert!(!format!("{wrong:?}").contains("hunter2"));
    }

    #[test]
    fn route_hosts_are_lower_case_names_or_addresses() {
        for (text, host) in
            [("API.Example.com", "api.example.com"), ("::1", "[::1]"), ("[::1]", "[::1]"), ("10.0.0.1", "10.0.0.1")]
        {
            assert_eq!(route_host(text).as_deref(), Ok(host));
        }
        for bad in [
            "api.example.com:443",
            "[::1]:443",
            "*.example.com",
            "https://a",
            "a/b",
            "a.",
            "münchen.de",
            "a b",
            "1.2.3",
        ] {
            assert!(route_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_have_no_bits_behind_the_prefix() {
        assert_eq!(network("10.0.0.0/8"), Ok("10.0.0.0/8".parse().unwrap()));
        assert_eq!(network("::1"), Ok("::1/128".parse().unwrap()));
        assert_eq!(network("10.1.0.0/8").unwrap_err().fix, "did you mean \"10.0.0.0/8\"?");
        assert!(network("10.0.0.0/33").is_err() && network("everybody").is_err());
    }

    #[test]
    fn origins_are_written_as_browsers_do() {
        for good in ["https://app.example.com", "http://localhost:3000", "https://[::1]:8443"] {
            assert_eq!(origin(good).unwrap(), good);
        }
        for bad in [
            "app.example.com",
            "https://app.example.com/",
            "https://App.example.com",
            "null",
            "file://x",
            "https://a:443",
            "https://::1",
            "https://",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_to_listen_on_are_numbers() {
        assert!(socket_address("[::]:0").is_ok() && socket_address("127.0.0.1:10022").is_ok());
        assert!(socket_address("localhost:10022").is_err() && socket_address("10022").is_err());
    }

    #[test]
    fn a_listener_may_have_a_path_or_a_name_instead_of_a_port() {
        assert_eq!(listen_address("[::]:1"), Ok(ListenAddress::Tcp("[::]:1".parse().unwrap())));
        assert_eq!(listen_address("unix:/run/g.sock"), Ok(ListenAddress::Unix("/run/g.sock".into())));
        assert_eq!(listen_address("systemd:https"), Ok(ListenAddress::Systemd("https".into())));
        for bad in ["unix:", "unix:@g", "systemd:", "systemd:a:b", "systemd:a b", "unix", "localhost:1"] {
            assert!(listen_address(bad).is_err(), "{bad}");
        }
    }
}
