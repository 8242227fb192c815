//! Sockets that listen: TCP ports, Unix sockets, and those that systemd hands over. Knows nothing of what is spoken on them.

use std::fmt;
use std::io;
use std::net::{self, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net as unix;
use std::path::PathBuf;

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockRef, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::activation::Activated;
use super::unix_file::UnixFile;
use crate::config::ListenAddress;

/// Connections that the kernel holds until they are accepted.
pub(super) const BACKLOG: i32 = 4096;

/// A peer on this machine, whose end of a Unix socket has no address of its own.
const THIS_MACHINE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// A stream that no event loop watches yet.
pub(crate) type Stream = Either<net::TcpStream, unix::UnixStream>;

/// A stream that this thread's event loop watches.
pub(crate) type Connected = Either<TcpStream, UnixStream>;

/// A socket that listens; a Unix socket's file goes with it.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: Either<net::TcpListener, unix::UnixListener>,
    pub(crate) address: Address,
    _file: Option<UnixFile>,
}

/// A socket that this thread's event loop watches.
#[derive(Debug)]
pub(crate) struct Watched {
    listener: AsyncFd<OwnedFd>,
    is_tcp: bool,
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    /// Empty where systemd handed over a socket without a path.
    Unix(PathBuf),
}

impl Socket {
    /// Binds one socket, or takes all that systemd passed under one name.
    ///
    /// # Errors
    /// What the kernel says, or that systemd passed none.
    pub(crate) fn bind(address: &ListenAddress, activated: &mut Activated) -> io::Result<Vec<Self>> {
        match address {
            ListenAddress::Tcp(address) => Ok(vec![Self::tcp(bind_tcp(*address)?)?]),
            ListenAddress::Unix(path) => {
                let (listener, file) = UnixFile::bind(path)?;
                let address = Address::Unix(path.clone());
                Ok(vec![Self { listener: Either::Right(listener), address, _file: Some(file) }])
            }
            ListenAddress::Systemd(name) => activated.take(name),
        }
    }

    /// A TCP socket that listens already.
    pub(super) fn tcp(listener: net::TcpListener) -> io::Result<Self> {
        // Its connections inherit it (Linux), which spares each a call.
        SockRef::from(&listener).set_tcp_nodelay(true)?;
        let address = Address::Tcp(listener.local_addr()?);
        Ok(Self { listener: Either::Left(listener), address, _file: None })
    }

    /// A Unix socket that listens already; whoever made its file removes it.
    pub(super) fn unix(listener: unix::UnixListener) -> io::Result<Self> {
        let path = listener.local_addr()?.as_pathname().map(PathBuf::from).unwrap_or_default();
        Ok(Self { listener: Either::Right(listener), address: Address::Unix(path), _file: None })
    }

    /// Lets the event loop of this thread watch it, as long as the value lives; it listens as long as the socket does.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn watch(&self) -> io::Result<Watched> {
        let (listener, is_tcp) = match &self.listener {
            Either::Left(listener) => (listener.try_clone()?.into(), true),
            Either::Right(listener) => (listener.try_clone()?.into(), false),
        };
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types that may lie about their descriptor; this one can't"
        )]
        let listener = AsyncFd::<OwnedFd>::with_interest(listener, Interest::READABLE)?;
        Ok(Watched { listener, is_tcp })
    }
}

impl Watched {
    /// The next connection, and where its peer is. No event loop has heard of it: it may be for another thread's.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accept = |listener: &OwnedFd| Ok(acceptfrom_with(listener, flags)?);
        let (stream, peer) = self.listener.async_io(Interest::READABLE, accept).await?;
        if !self.is_tcp {
            return Ok((Either::Right(stream.into()), THIS_MACHINE.into()));
        }
        let peer = peer.ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok((Either::Left(stream.into()), SocketAddr::try_from(peer)?))
    }
}

/// Binds; `[::]` takes IPv4 as well.
///
/// # Errors
/// What the kernel says.
pub(crate) fn bind_tcp(address: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Hands a stream to the event loop of this thread.
///
/// # Errors
/// What the kernel says.
pub(crate) fn onto_this_loop(stream: Stream) -> io::Result<Connected> {
    Ok(match stream {
        Either::Left(stream) => Either::Left(TcpStream::from_std(stream)?),
        Either::Right(stream) => Either::Right(UnixStream::from_std(stream)?),
    })
}

impl Address {
    /// Address and port, if it has any.
    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether only this machine reaches it.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_ready_for_a_loop_and_send_at_once() {
        let socket = Socket::tcp(bind_tcp((Ipv4Addr::LOCALHOST, 0).into()).unwrap()).unwrap();
        let address = socket.address.tcp().unwrap();
        let watched = socket.watch().unwrap();
        let client = net::TcpStream::connect(address).unwrap();
        let (stream, peer) = watched.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let Either::Left(stream) = onto_this_loop(stream).unwrap() else { unreachable!("it is TCP") };
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
