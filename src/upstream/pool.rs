//! A worker's idle connections to servers. Belongs to one thread, so nothing here waits for anybody.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use super::Upstreams;
use super::connect::Connection;
use super::server::{Occupied, Server};
use crate::clock::BootTime;

/// Idle connections, by the server's number.
#[derive(Debug, Default)]
pub struct Pools {
    idle: RefCell<Vec<Vec<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: BootTime,
}

impl Pools {
    /// The connection that was used last and is still open and ready.
    pub(crate) fn take(&self, server: &Server, now: BootTime) -> Option<Connection> {
        let mut pools = self.idle.borrow_mut();
        let idle = pools.get_mut(server.id)?;
        let at = idle.iter().rposition(|entry| entry.is_alive(now) && entry.connection.is_usable(server))?;
        Some(idle.remove(at).connection)
    }

    /// Closes what is overdue; called now and then, since taking one looks no further than it must.
    pub fn sweep(&self, now: BootTime) {
        for idle in self.idle.borrow_mut().iter_mut() {
            idle.retain(|entry| entry.is_alive(now));
        }
    }

    /// Closes what idles at servers that none of these upstreams has. What is still on loan comes back and idles out.
    pub(crate) fn keep_only(&self, upstreams: &Upstreams) {
        let servers = upstreams.values().flat_map(|upstream| &upstream.servers);
        let kept: HashSet<usize> = servers.map(|server| server.id).collect();
        for (id, idle) in self.idle.borrow_mut().iter_mut().enumerate() {
            if !kept.contains(&id) {
                *idle = Vec::new();
            }
        }
    }

    fn put(&self, server: &Server, connection: Connection, until: BootTime) {
        let mut pools = self.idle.borrow_mut();
        if pools.len() <= server.id {
            pools.resize_with(server.id + 1, Vec::new);
        }
        connection.reused.set(true);
        pools[server.id].push(Idle { connection, until });
    }
}

impl Idle {
    fn is_alive(&self, now: BootTime) -> bool {
        self.until > now && !self.connection.sender.is_closed()
    }
}

/// A connection on loan to one exchange; dropped, it closes; [`Lease::finish`] gives it back.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    pub(crate) server: Occupied,
    pub(crate) idle_timeout: Duration,
    pub(crate) pools: Rc<Pools>,
}

impl Lease {
    /// Gives the connection back after its answer was read to the end. If the request body is still being sent, the
    /// connection is not ready and waits in the pool until it is, or until the idle timeout closes it.
    pub(crate) fn finish(self) {
        if !self.connection.sender.is_closed() {
            let until = BootTime::now() + self.idle_timeout;
            self.pools.put(&self.server.0, self.connection, until);
        }
    }
}
