//! What one worker thread has for itself: its pools, its tunnels, its request ids.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::Gateway;
use crate::upstream::Pools;

/// One thread's share of the gateway.
#[derive(Debug)]
pub struct Worker {
    /// What all workers share.
    pub gateway: Arc<Gateway>,
    /// Connections to servers that idle.
    pub pools: Rc<Pools>,
    /// Tunnels that are open.
    pub tunnels: TaskTracker,
    /// Cancelled when tunnels must end.
    pub ending: CancellationToken,
    id_prefix: u64,
    id_counter: Cell<u64>,
}

impl Worker {
    /// A worker that has served nothing yet.
    pub fn new(gateway: Arc<Gateway>, ending: CancellationToken) -> Rc<Self> {
        let (id_prefix, _) = Uuid::new_v4().as_u64_pair();
        Rc::new(Self {
            gateway,
            pools: Rc::default(),
            tunnels: TaskTracker::new(),
            ending,
            id_prefix,
            id_counter: Cell::new(0),
        })
    }

    /// A request id that no other worker or process makes: random once, then counted.
    pub(crate) fn next_id(&self) -> HeaderValue {
        let count = self.id_counter.get();
        self.id_counter.set(count.wrapping_add(1));
        let id = format!("{:016x}-{count:x}", self.id_prefix);
        HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("0"))
    }
}
