//! Binds every listener of the configuration.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use super::activation::Activated;
use super::listener::{Door, Listener};
use super::socket::{Socket, bind_tcp};
use super::tls::Tls;
use crate::config::{self, Config, ListenAddress, Located};

/// Binds what clients connect to, in the order of the configuration.
///
/// # Errors
/// The first that fails, with its place.
pub(super) fn listeners(config: &Config, tls: Option<&Arc<Tls>>) -> io::Result<Vec<Listener>> {
    let mut activated = activated(config)?;
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let address = &listener.address;
        let sockets = Socket::bind(&address.value, &mut activated).map_err(|error| at(address, &error))?;
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
    let bound = bind_tcp(health.listen.value).map_err(|error| at(&health.listen, &error))?;
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

fn at<A: std::fmt::Display>(address: &Located<A>, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: cannot listen on {}: {error}", address.place, address.value))
}
