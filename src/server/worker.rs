//! A worker thread: its own event loop, its own pools, its share of the connections.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Accepted, Serving};
use super::listener::Front;
use super::parking::Lot;
use crate::clock::BootTime;
use crate::config::Limits;
use crate::gateway::{Gateway, Peers, Worker};
use crate::panics::{restarting, restarting_thread};
use crate::telemetry::access_log;

/// How long tunnels may take to close once they are told to.
const FAREWELL: Duration = Duration::from_secs(3);

/// What a worker thread is given.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) inbox: mpsc::UnboundedReceiver<Accepted>,
    /// Where it is the only worker: it accepts for itself.
    pub(crate) front: Option<Front>,
    /// Cancelled when connections must finish.
    pub(crate) closing: CancellationToken,
    /// Cancelled when what has not finished is cut.
    pub(crate) ending: CancellationToken,
}

impl Post {
    /// Starts the thread; it ends when all connections are done or cut. A panic of its event loop cuts them, and another one takes over.
    ///
    /// # Errors
    /// When the thread or its event loop can't be made.
    pub(crate) fn start(mut self, number: usize) -> io::Result<JoinHandle<()>> {
        let name = format!("worker-{number}");
        std::thread::Builder::new().name(name).spawn(move || {
            // Kept here, so that what a panic ends are its connections and not its listeners.
            let mut front = self.front.take().map(Rc::new);
            restarting_thread("worker", || {
                // Before the event loop, so that it sees what that leaves.
                let _gathering = access_log::gather();
                let mut builder = Builder::new_current_thread();
                match builder.enable_all().on_thread_park(access_log::hand_over).build_local(LocalOptions::default()) {
                    Ok(runtime) => runtime.block_on(self.work(&mut front)),
                    Err(error) => tracing::error!(%error, "a worker has no event loop"),
                }
            });
        })
    }

    async fn work(&mut self, front: &mut Option<Rc<Front>>) {
        tracing::debug!("a worker begins");
        let worker = Worker::new(self.gateway.clone(), self.ending.clone());
        let connections = TaskTracker::new();
        let (limits, peers, closing) = (self.limits.clone(), self.peers.clone(), self.closing.clone());
        let (lot, pools) = (Rc::<Lot>::default(), worker.pools.clone());
        let serving = Serving { worker: worker.clone(), limits, peers, lot: lot.clone(), closing };
        let mut sweeps = interval(Duration::from_secs(1));
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let attendants = [
            spawn_local(restarting("parking", async move || lot.attend().await)),
            spawn_local(restarting("handing_over", hand_over_now_and_then)),
            spawn_local(restarting("watching", async move || pools.attend().await)),
        ];
        let taking = restarting("worker_loop", async || {
            loop {
                tokio::select! {
                    accepted = self.inbox.recv() => match accepted {
                        Some(accepted) => {
                            tracing::trace!(peer = %accepted.address, "taken by a worker");
                            drop(connections.spawn_local(serving.clone().serve(accepted)));
                        }
                        None => break,
                    },
                    _ = sweeps.tick() => worker.sweep(BootTime::now()),
                }
            }
        });
        tokio::join!(accept(front, &self.closing), taking);
        connections.close();
        worker.tunnels.close();
        tokio::select! {
            () = async { tokio::join!(connections.wait(), worker.tunnels.wait()); } => {}
            () = self.ending.cancelled() => drop(timeout(FAREWELL, worker.tunnels.wait()).await),
        }
        for attendant in attendants {
            attendant.abort();
        }
    }
}

/// A loop that is never idle does not park.
async fn hand_over_now_and_then() {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        access_log::hand_over();
    }
}

/// Accepts until the drain, then lets nobody listen any more.
async fn accept(front: &mut Option<Rc<Front>>, closing: &CancellationToken) {
    if let Some(front) = front {
        front.clone().accept(closing.clone()).await;
    }
    *front = None;
}
