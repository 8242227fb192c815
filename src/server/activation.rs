//! Sockets that systemd opened before the gateway started (sd_listen_fds(3)), by the names that its units give them.

use std::io;
use std::os::fd::AsFd;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use super::socket::Socket;

/// What systemd calls a socket without a name.
const UNNAMED: &str = "unknown";

/// The sockets that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Activated(Vec<(String, Socket)>);

impl Activated {
    /// Takes over what the environment announces, and removes the announcement, so that no process started later takes it for its
    /// own; the descriptors are closed on exec. Called once, while there is one thread.
    ///
    /// # Errors
    /// When what was passed is no stream socket that listens.
    pub(crate) fn from_environment() -> io::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..passed.len() {
            let name = names.next().filter(|name| !name.is_empty()).unwrap_or(UNNAMED.to_owned());
            let socket = take(&mut passed, index).map_err(|error| {
                io::Error::new(error.kind(), format!("systemd passed {name:?}, which can't be accepted on: {error}"))
            })?;
            sockets.push((name, socket));
        }
        Ok(Self(sockets))
    }

    /// All sockets of that name.
    ///
    /// # Errors
    /// `NotFound` when there is none, with the names that there are.
    pub(super) fn take(&mut self, name: &str) -> io::Result<Vec<Socket>> {
        let named = self.0.extract_if(.., |(passed, _)| passed == name).map(|(_, socket)| socket).collect::<Vec<_>>();
        if named.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, self.missing(name)));
        }
        Ok(named)
    }

    /// The names that no listener asked for.
    pub(crate) fn left(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn missing(&self, name: &str) -> String {
        match self.left().join(", ") {
            left if left.is_empty() => "systemd passed no socket; start the gateway by its .socket unit".to_owned(),
            left => format!("systemd passed {left}; say FileDescriptorName={name} in the .socket unit"),
        }
    }
}

fn take(passed: &mut ListenFd, index: usize) -> io::Result<Socket> {
    // What is no TCP socket stays where it is.
    if let Ok(listener) = passed.take_tcp_listener(index) {
        let listener = listener.ok_or(io::ErrorKind::NotFound)?;
        listens(&listener)?;
        listener.set_nonblocking(true)?;
        return Socket::tcp(listener);
    }
    let listener = passed.take_unix_listener(index)?.ok_or(io::ErrorKind::NotFound)?;
    listens(&listener)?;
    listener.set_nonblocking(true)?;
    Socket::unix(listener)
}

fn listens(socket: impl AsFd) -> io::Result<()> {
    if socket_acceptconn(socket)? {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen; say Accept=no in the .socket unit"))
}
