//! Accepts connections: a place first, then the connection, then the worker that has the fewest.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep};

use super::connection::Accepted;
use super::tls::Tls;
use crate::gateway::Seat;

/// Connections that the kernel holds while no place is free.
const BACKLOG: i32 = 4096;
/// How long to wait when descriptors or memory ran out; trying again at once would spin.
const BREATHER: Duration = Duration::from_millis(100);
/// Exhaustion is said once in this while.
const REPEAT_WARNING: Duration = Duration::from_secs(10);

/// A worker as the acceptor sees it.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) inbox: mpsc::UnboundedSender<Accepted>,
    pub(crate) load: Arc<AtomicUsize>,
}

/// A bound socket, with its TLS if it has any.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    pub(crate) address: SocketAddr,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Binds; `[::]` takes IPv4 as well.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn bind(address: SocketAddr, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from(socket);
        Ok(Self { address: socket.local_addr()?, socket, tls })
    }

    /// The bound socket alone.
    pub(crate) fn into_socket(self) -> TcpListener {
        self.socket
    }

    /// Accepts until it is dropped.
    ///
    /// # Errors
    /// When the socket can't be watched at all; errors of single connections end nothing.
    pub(crate) async fn accept(self, places: Arc<Semaphore>, desks: Vec<Desk>) -> io::Result<()> {
        let socket = tokio::net::TcpListener::from_std(self.socket)?;
        let mut warned: Option<Instant> = None;
        while let Ok(place) = places.clone().acquire_owned().await {
            let (stream, address) = match accept_one(&socket).await {
                Ok(accepted) => accepted,
                Err(error) if is_exhausted(&error) => {
                    if warned.is_none_or(|at| at.elapsed() > REPEAT_WARNING) {
                        tracing::error!(%error, "cannot accept: raise the descriptor limit or lower limits.connections");
                        warned = Some(Instant::now());
                    }
                    sleep(BREATHER).await;
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection was gone before it was accepted");
                    continue;
                }
            };
            let Some(desk) = desks.iter().min_by_key(|desk| desk.load.load(Relaxed)) else { break };
            let seat = Seat::take(place, desk.load.clone());
            let accepted = Accepted { stream, address, seat, tls: self.tls.clone() };
            if desk.inbox.send(accepted).is_err() {
                tracing::error!("a worker is gone; its connection is closed");
            }
        }
        Ok(())
    }
}

/// Accepts one connection and takes it off this event loop, for a worker's.
async fn accept_one(socket: &tokio::net::TcpListener) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let (stream, address) = socket.accept().await?;
    Ok((stream.into_std()?, address))
}

fn is_exhausted(error: &io::Error) -> bool {
    let codes = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}
