//! What a worker keeps for its exchanges with servers. Belongs to one thread, so nothing here waits for anybody.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;

use super::Upstreams;
use super::busy_poll::BusyPoll;
use super::connect::Connection;
use super::server::{Occupied, Server};
use super::soon::Soon;
use crate::auth::Admission;
use crate::clock::BootTime;

/// Bytes that short answers share, and the least memory that a client keeps from others who does not read its own.
const CHUNK: usize = 16 * 1024;

/// Connections that idle, and who tells exchanges that they take long.
pub struct Pools {
    /// By the server's number.
    idle: RefCell<Vec<Vec<Idle>>>,
    /// For exchanges that go on unwatched.
    pub(super) soon: Soon,
    /// For answers that are due at once.
    pub(super) busy: BusyPoll,
    /// Memory that the next answers go to, one behind the other: what was just used is still in the cache, and who waits holds none.
    chunk: Cell<BytesMut>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: BootTime,
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").field("idle", &self.idle).finish_non_exhaustive()
    }
}

impl Default for Pools {
    fn default() -> Self {
        Self {
            idle: RefCell::default(),
            soon: Soon::new(Admission::UNWATCHED),
            busy: BusyPoll::default(),
            chunk: Cell::default(),
        }
    }
}

impl Pools {
    /// Calls those who wait too long and looks for what is due, for ever.
    pub(crate) async fn attend(&self) {
        tokio::join!(self.soon.attend(), self.busy.attend());
    }

    /// The connection that was used last and is still open and ready.
    pub(crate) fn take(&self, server: &Server, now: BootTime) -> Option<Connection> {
        let mut pools = self.idle.borrow_mut();
        let idle = pools.get_mut(server.id)?;
        // Those that can't be used are closed here; nobody would ever use them.
        while let Some(mut entry) = idle.pop() {
            if entry.is_alive(now) && entry.connection.is_usable(server) {
                return Some(entry.connection);
            }
        }
        None
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

    /// Memory for `most` bytes at least; whoever takes it gives the rest back.
    pub(super) fn take_chunk(&self, most: usize) -> BytesMut {
        let mut chunk = self.chunk.take();
        if chunk.capacity() == 0 {
            return BytesMut::with_capacity(CHUNK.max(most));
        }
        // Where the rest is too little: the same from its beginning, if nobody holds any of it, else another.
        chunk.reserve(most);
        chunk
    }

    /// Takes back what nobody has used.
    pub(super) fn give_back_chunk(&self, rest: BytesMut) {
        self.chunk.set(rest);
    }

    fn put(&self, server: &Server, mut connection: Connection, until: BootTime) {
        let mut pools = self.idle.borrow_mut();
        if pools.len() <= server.id {
            pools.resize_with(server.id + 1, Vec::new);
        }
        connection.reused = true;
        // Empty, but of memory that others use.
        connection.received = BytesMut::new();
        pools[server.id].push(Idle { connection, until });
    }
}

impl Idle {
    fn is_alive(&self, now: BootTime) -> bool {
        self.until > now
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
    /// Gives the connection back after its exchange is over.
    pub(crate) fn finish(self) {
        let until = BootTime::now() + self.idle_timeout;
        self.pools.put(&self.server.0, self.connection, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut as _;

    /// Puts `answer` where the next one goes.
    fn answered(pools: &Pools, answer: &[u8]) -> BytesMut {
        let mut chunk = pools.take_chunk(8192);
        chunk.put_slice(answer);
        let part = chunk.split();
        pools.give_back_chunk(chunk);
        part
    }

    #[test]
    fn answers_lie_behind_each_other_and_where_nobody_holds_any_memory_is_used_again() {
        let pools = Pools::default();
        let first = answered(&pools, &[1; 6000]);
        let second = answered(&pools, &[2; 6000]);
        assert_eq!(second.as_ptr(), first.as_ptr().wrapping_add(6000));
        let third = answered(&pools, &[3; 6000]);
        assert!([&first[..], &second, &third].iter().zip(1..).all(|(part, number)| part.iter().all(|b| *b == number)));
        let begins = third.as_ptr();
        drop((first, second, third));
        assert_eq!(answered(&pools, &[4; 4000]).as_ptr(), begins.wrapping_add(6000));
        assert_eq!(answered(&pools, &[5; 4000]).as_ptr(), begins, "from its beginning");
    }
}
