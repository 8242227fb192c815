//! Accepts connections: a place first, then the connection, then the worker that has the fewest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep};

use super::connection::Accepted;
use super::socket::Socket;
use super::tls::Tls;
use crate::gateway::Seat;

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
    pub(crate) socket: Socket,
    pub(crate) tls: Option<Arc<Tls>>,
    /// The port with TLS that everything is redirected to.
    pub(crate) redirects_to: Option<u16>,
}

impl Listener {
    /// Accepts until it is dropped.
    ///
    /// # Errors
    /// When the socket can't be watched at all; errors of single connections end nothing.
    pub(crate) async fn accept(self, places: Arc<Semaphore>, desks: Vec<Desk>) -> io::Result<()> {
        let socket = self.socket.watch()?;
        let mut warned: Option<Instant> = None;
        while let Ok(place) = places.clone().acquire_owned().await {
            let (stream, address) = match socket.accept().await {
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
            let accepted = Accepted { stream, address, seat, tls: self.tls.clone(), redirects_to: self.redirects_to };
            if desk.inbox.send(accepted).is_err() {
                tracing::error!("a worker is gone; its connection is closed");
            }
        }
        Ok(())
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    let codes = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}
