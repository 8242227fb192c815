//! Accepts connections: the connection first, then a place for it, then the worker that has the fewest. Where there is only one, it
//! accepts for itself: a thread of its own would have to be woken, and wake the worker, for every few connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use super::connection::Accepted;
use super::room::Room;
use super::socket::{Socket, Stream};
use super::tls::Tls;
use crate::gateway::{Peers, Seat, TooMany};
use crate::panics::restarting;
use crate::seldom::Seldom;

/// How long to wait when descriptors or memory ran out; trying again at once would spin.
const BREATHER: Duration = Duration::from_millis(100);

/// A worker as the acceptor sees it.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) inbox: mpsc::UnboundedSender<Accepted>,
    pub(crate) load: Arc<AtomicUsize>,
}

/// A bound socket, and how one comes in.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    pub(crate) door: Arc<Door>,
}

/// What every connection of a listener begins with.
#[derive(Debug)]
pub(crate) struct Door {
    /// Whether a proxy announces the client first.
    pub(crate) proxy_protocol: bool,
    /// Absent on listeners without TLS.
    pub(crate) tls: Option<Arc<Tls>>,
    /// See [`crate::gateway::Peer::redirects_to`].
    pub(crate) redirects_to: Option<u16>,
}

/// All listeners, and what they lead to. Belongs to the thread that accepts; dropped, nobody listens any more.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) hall: Hall,
}

/// What all listeners lead to.
#[derive(Debug)]
pub(crate) struct Hall {
    pub(crate) room: Room,
    pub(crate) peers: Arc<Peers>,
    pub(crate) desks: Vec<Desk>,
    /// Peers that were turned away.
    pub(crate) crowding: Seldom,
}

impl Front {
    /// Accepts until `closing` is cancelled.
    pub(crate) async fn accept(self: Rc<Self>, closing: CancellationToken) {
        let mut acceptors = JoinSet::new();
        for number in 0..self.listeners.len() {
            let front = self.clone();
            acceptors.spawn_local(async move {
                front.listeners[number].accept(&front.hall).await;
            });
        }
        closing.cancelled().await;
        acceptors.shutdown().await;
    }
}

impl Listener {
    /// Accepts for ever. A panic costs the connection that it came over; the socket, and all that wait for it in the kernel, stay.
    async fn accept(&self, hall: &Hall) {
        let exhaustion = Seldom::new();
        restarting("accept", async || {
            loop {
                // Whoever watches needs a descriptor as well.
                let Err(error) = self.accept_watched(hall, &exhaustion).await;
                breathe(&error, &exhaustion).await;
            }
        })
        .await
    }

    async fn accept_watched(&self, hall: &Hall, exhaustion: &Seldom) -> io::Result<Infallible> {
        let socket = self.socket.watch()?;
        loop {
            match socket.accept().await {
                Ok(arrived) => hall.receive(arrived, &self.door).await,
                Err(error) if is_exhausted(&error) => breathe(&error, exhaustion).await,
                Err(error) => tracing::debug!(%error, "a connection was gone before it was accepted"),
            }
        }
    }
}

impl Hall {
    /// Finds a place and a worker. A connection that waits for a place waits here, one for each listener; others in the kernel.
    async fn receive(&self, (stream, address): (Stream, SocketAddr), door: &Arc<Door>) {
        // Behind a proxy, and over a Unix socket, many share an address.
        let speaks_for_many = door.proxy_protocol || matches!(stream, Either::Right(_));
        let counted = if speaks_for_many { Ok(None) } else { self.peers.count(address.ip()) };
        let Ok(counted): Result<_, TooMany> = counted else {
            if let Some(times) = self.crowding.again() {
                let peer = address.ip();
                tracing::warn!(%peer, times, "limits.connections_per_peer is reached: closed at once");
            }
            return;
        };
        let place = self.room.place().await;
        let staffed = self.desks.iter().filter(|desk| !desk.inbox.is_closed());
        let Some(desk) = staffed.min_by_key(|desk| desk.load.load(Relaxed)) else { return };
        let activity = Activity::new();
        self.room.seat(activity.clone());
        let seat = Seat::take(place, desk.load.clone()).counted(counted);
        if desk.inbox.send(Accepted { stream, address, seat, activity, door: door.clone() }).is_err() {
            tracing::error!("a worker is gone; its connection is closed");
        }
    }
}

/// Waits a moment, and says why now and then.
async fn breathe(error: &io::Error, exhaustion: &Seldom) {
    if let Some(times) = exhaustion.again() {
        tracing::error!(%error, times, "cannot accept: raise the descriptor limit or lower limits.connections");
    }
    sleep(BREATHER).await;
}

fn is_exhausted(error: &io::Error) -> bool {
    let codes = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
}
