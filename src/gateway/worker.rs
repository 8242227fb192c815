//! What one worker thread has for itself: its view of the rules, its pools, its tunnels, its request ids.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::Gateway;
use super::request_id::RequestId;
use super::rules::Rules;
use crate::clock::BootTime;
use crate::hex::hex_digits;
use crate::telemetry::meter::Meter;
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
    /// What this worker counts.
    pub meter: Meter,
    /// Cancelled when tunnels must end.
    pub ending: CancellationToken,
    view: RefCell<View>,
    /// The beginning of each request id, in digits.
    id_prefix: [u8; 16],
    id_counter: Cell<u64>,
}

/// The rules as a worker last saw them. Looking is one relaxed load, and a request that keeps them counts without atomics.
#[derive(Debug)]
struct View {
    cache: Cache<Arc<ArcSwap<Rules>>, Arc<Rules>>,
    seen: Arc<Rules>,
    rules: Rc<Rules>,
}

impl Worker {
    /// A worker that has served nothing yet.
    pub fn new(gateway: Arc<Gateway>, ending: CancellationToken) -> Rc<Self> {
        let (id_prefix, _) = Uuid::new_v4().as_u64_pair();
        let seen = gateway.rules();
        let rules = Rc::new(Rules::clone(&seen));
        let view = View { cache: Cache::new(gateway.rules.clone()), seen, rules };
        let tunnels = TaskTracker::new();
        let meter = Meter::new(tunnels.clone());
        gateway.metrics.register(meter.counters().clone());
        Rc::new(Self {
            gateway,
            pools: Rc::default(),
            tunnels,
            meter,
            ending,
            view: RefCell::new(view),
            id_prefix: hex_digits(id_prefix),
            id_counter: Cell::new(0),
        })
    }

    /// The rules in force; when they are new to this worker, connections to servers that they no longer name are closed.
    pub(crate) fn rules(&self) -> Rc<Rules> {
        let view = &mut *self.view.borrow_mut();
        let in_force = view.cache.load();
        if !Arc::ptr_eq(in_force, &view.seen) {
            view.seen = in_force.clone();
            view.rules = Rc::new(Rules::clone(in_force));
            self.pools.keep_only(&view.rules.upstreams);
        }
        view.rules.clone()
    }

    /// Closes connections that idled too long, and lets go of rules that are no longer in force; called now and then.
    pub fn sweep(&self, now: BootTime) {
        drop(self.rules());
        self.pools.sweep(now);
    }

    /// A request id that no other worker or process makes: random once, then counted.
    pub(super) fn next_id(&self) -> RequestId {
        let count = self.id_counter.get();
        self.id_counter.set(count.wrapping_add(1));
        RequestId::made(&self.id_prefix, count)
    }
}
