//! Binds every listener of the configuration.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::sync::Arc;

use rustix::io::Errno;

use super::activation::Activated;
use super::listener::{Door, Listener};
use super::socket::{Socket, bind_tcp};
use super::tls::Tls;
use crate::config::{self, Config, ListenAddress, Located, Place};

/// Binds what clients connect to, in the order of the configuration.
///
/// # Errors
/// The first that fails, with its place.
pub(super) fn listeners(config: &Config, tls: Option<&Arc<Tls>>) -> io::Result<Vec<Listener>> {
    let mut activated = activated(config)?;
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let address = &listener.address;
        let sockets = Socket::bind(&address.value, &mut activated)
            .map_err(|error| at((&address.place, &address.value), &error))?;
        for socket in sockets {
            if !listener.tls && !listener.redirect && !socket.address.is_local() {
                tracing::warn!(address = %socket.address, "NO TLS: passwords and tokens pass in the clear here");
            }
            bound.push((listener, socket));
        }
    }
    for name in activated.left() {
        tracing::warn!(%name, "systemd passed a socket that no listener names; it is not accepted on");
    }
    Ok(with_doors(bound, tls))
}

/// Where one redirects, it is to the first that speaks TLS, whose port is known once it is bound.
fn with_doors(bound: Vec<(&config::Listener, Socket)>, tls: Option<&Arc<Tls>>) -> Vec<Listener> {
    let secured = bound.iter().find(|(listener, _)| listener.tls);
    let port = secured.and_then(|(_, socket)| socket.address.tcp()).map_or(443, |address| address.port());
    let door = |listener: &config::Listener| Door {
        proxy_protocol: listener.proxy_protocol,
        tls: tls.filter(|_| listener.tls).cloned(),
        redirects_to: listener.redirect.then_some(port),
    };
    bound.into_iter().map(|(listener, socket)| Listener { socket, door: Arc::new(door(listener)) }).collect()
}

/// Binds what probes connect to.
///
/// # Errors
/// What the kernel says, with its place.
pub(super) fn health(config: &Config) -> io::Result<Option<TcpListener>> {
    let Some(health) = &config.health else { return Ok(None) };
    let address = ListenAddress::Tcp(health.listen.value);
    let bound = bind_tcp(health.listen.value).map_err(|error| at((&health.listen.place, &address), &error))?;
    Ok(Some(bound))
}

/// The environment is asked only where the configuration asks for it.
fn activated(config: &Config) -> io::Result<Activated> {
    let asked = |address: &Located<ListenAddress>| matches!(address.value, ListenAddress::Systemd(_));
    match config.listeners.iter().any(|listener| asked(&listener.address)) {
        true => Activated::from_environment(),
        false => Ok(Activated::default()),
    }
}

fn at((place, address): (&Place, &ListenAddress), error: &io::Error) -> io::Error {
    let advice = advice(address, error).map(|advice| format!("; {advice}")).unwrap_or_default();
    io::Error::new(error.kind(), format!("{place}: cannot listen on {address}: {error}{advice}"))
}

/// What to do about what the kernel says; an error of this program says that itself.
fn advice(address: &ListenAddress, error: &io::Error) -> Option<&'static str> {
    let code = error.raw_os_error()?;
    match (address, error.kind()) {
        (ListenAddress::Tcp(_), ErrorKind::AddrInUse) => {
            Some("another process listens there: end it (`ss -ltnp` names it), or choose another port")
        }
        (ListenAddress::Tcp(_), ErrorKind::PermissionDenied) => Some(
            "ports under 1024 are for root, CAP_NET_BIND_SERVICE or a socket of systemd's (address = \"systemd:NAME\"): \
             take one of these, or another port",
        ),
        (ListenAddress::Tcp(_), ErrorKind::AddrNotAvailable) => {
            Some("no interface of this machine has this address: give one of its own, or 0.0.0.0 or [::] for all")
        }
        (ListenAddress::Tcp(_), _) if code == Errno::AFNOSUPPORT.raw_os_error() => {
            Some("this machine has no IPv6: listen on 0.0.0.0")
        }
        (ListenAddress::Unix(_), ErrorKind::PermissionDenied) => {
            Some("let the user that the gateway runs as write in its folder")
        }
        (ListenAddress::Unix(_), ErrorKind::NotFound) => Some("create its folder"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(address: &ListenAddress, error: &io::Error) -> String {
        at((&Place::whole(std::path::Path::new("g.toml")), address), error).to_string()
    }

    #[test]
    fn an_address_that_cannot_be_had_is_told_with_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let foreign = "192.0.2.1:0".parse().unwrap();
        for (address, advice) in
            [(taken.local_addr().unwrap(), "choose another port"), (foreign, "no interface of this machine")]
        {
            let said = said(&ListenAddress::Tcp(address), &bind_tcp(address).unwrap_err());
            assert!(
                said.starts_with(&format!("g.toml: cannot listen on {address}: ")) && said.contains(advice),
                "{said}"
            );
        }
    }

    #[test]
    fn each_error_of_the_kernel_has_its_advice_and_our_own_have_none_added() {
        let tcp = ListenAddress::Tcp("127.0.0.1:80".parse().unwrap());
        let unix = ListenAddress::Unix("/no/such.sock".into());
        for (address, errno, advice) in [
            (&tcp, Errno::ACCESS, "CAP_NET_BIND_SERVICE"),
            (&tcp, Errno::AFNOSUPPORT, "0.0.0.0"),
            (&unix, Errno::ACCESS, "write in its folder"),
            (&unix, Errno::NOENT, "create its folder"),
        ] {
            let said = said(address, &errno.into());
            assert!(said.contains(advice), "{said}");
        }
        assert!(said(&unix, &io::Error::new(ErrorKind::AddrInUse, "x; y")).ends_with(": x; y"));
    }
}
