//! Busy polling: a worker that looks for an answer which is due any moment, instead of going to sleep and being woken for it.

use std::cell::Cell;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::Instant;

/// What a worker looks for. Waking a core that sleeps takes longer than a fast server takes to answer; looking costs the CPU time that it
/// takes.
#[derive(Debug, Default)]
pub(crate) struct BusyPoll {
    /// The number of the answer that was asked for last, and until when it is looked for. Those before it are not: one that is late would
    /// keep the worker awake for nothing whenever another is due.
    newest: Cell<Option<(u64, Instant)>>,
    asked: Cell<u64>,
    begins: Notify,
}

impl BusyPoll {
    /// Looks for an answer, until then at most, and says its number. Somebody must [`BusyPoll::attend`].
    pub(super) fn look_for(&self, until: Instant) -> u64 {
        let number = self.asked.get() + 1;
        self.asked.set(number);
        self.newest.set(Some((number, until)));
        self.begins.notify_one();
        number
    }

    /// That answer is there. Of one that nobody waits for any more nothing need be said: it is looked for a moment only.
    pub(super) fn stop(&self, number: u64) {
        if self.newest.get().is_some_and(|(newest, _)| newest == number) {
            self.newest.set(None);
        }
    }

    /// Keeps its event loop awake while there is an answer to look for, for ever.
    pub(super) async fn attend(&self) {
        loop {
            self.begins.notified().await;
            while self.looks() {
                // Behind all who have something to do, and a look at the sockets.
                yield_now().await;
            }
        }
    }

    fn looks(&self) -> bool {
        self.newest.get().is_some_and(|(_, until)| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::path::Path;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::time::Duration;

    use http::{HeaderValue, Method, StatusCode};
    use tokio::runtime::{Builder, LocalOptions};

    use super::*;
    use crate::auth::{self, Access, Sessions};
    use crate::clock::BootTime;
    use crate::config::{self, Problems};
    use crate::upstream::{Outbound, Pools, Upstream};

    const WHILE: Duration = Duration::from_micros(50);

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_looked_for_until_it_is_there_or_late() {
        let (busy, now) = (BusyPoll::default(), Instant::now());
        assert!(!busy.looks());
        let here = busy.look_for(now + WHILE);
        assert!(busy.looks());
        busy.stop(here);
        assert!(!busy.looks(), "it is there");
        busy.look_for(now + WHILE);
        tokio::time::advance(WHILE).await;
        assert!(!busy.looks(), "it is late");
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_the_newest_is_looked_for_and_a_late_one_keeps_nobody_awake() {
        let (busy, now) = (BusyPoll::default(), Instant::now());
        let late = busy.look_for(now + WHILE);
        let newest = busy.look_for(now + 2 * WHILE);
        tokio::time::advance(WHILE).await;
        assert!(busy.looks());
        busy.stop(newest);
        assert!(!busy.looks());
        busy.look_for(now + 2 * WHILE);
        busy.stop(late);
        assert!(busy.looks(), "for the one that is still due");
    }

    #[tokio::test]
    async fn who_looks_lets_others_go_on() {
        let busy = BusyPoll::default();
        let answered = async {
            busy.look_for(Instant::now() + Duration::from_secs(60));
            let (mut near, mut far) = tokio::io::duplex(1);
            let answer = tokio::io::AsyncReadExt::read_u8(&mut near);
            let server = async {
                yield_now().await;
                tokio::io::AsyncWriteExt::write_u8(&mut far, 7).await
            };
            tokio::join!(answer, server).0
        };
        tokio::select! {
            biased;
            () = busy.attend() => unreachable!("it never ends"),
            answer = answered => assert_eq!(answer.unwrap(), 7),
        }
    }

    #[test]
    fn who_looks_for_an_answer_does_not_sleep_until_it_is_there() {
        assert!(sleeps_before_the_answer(None, Duration::from_secs(10)));
        assert!(!sleeps_before_the_answer(Some(Duration::from_secs(60)), Duration::from_millis(50)));
    }

    /// Whether a worker sleeps while a server holds its answer back until it does, or for so long.
    fn sleeps_before_the_answer(busy_poll: Option<Duration>, patience: Duration) -> bool {
        let (listener, sleeps) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicBool::new(false)));
        let (address, seen) = (listener.local_addr().unwrap(), sleeps.clone());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            let began = std::time::Instant::now();
            while !seen.load(SeqCst) && began.elapsed() < patience {
                std::thread::sleep(Duration::from_millis(1));
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            seen.load(SeqCst)
        });
        let (falls_asleep, wakes) = (sleeps.clone(), sleeps);
        let mut builder = Builder::new_current_thread();
        builder.enable_all().on_thread_park(move || falls_asleep.store(true, SeqCst));
        builder.on_thread_unpark(move || wakes.store(false, SeqCst));
        builder.build_local(LocalOptions::default()).unwrap().block_on(get(address, busy_poll));
        server.join().unwrap()
    }

    async fn get(address: SocketAddr, busy_poll: Option<Duration>) {
        let configured = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = false\n[[directories]]\nkind = \"file\"\npath = \"u\"\n\
                          [[routes]]\npath = \"/\"\nupstream = \"a\"\n";
        let configured = format!("{configured}[upstreams.a]\nservers = [\"http://{address}\"]\n");
        let config = config::parse(&configured, Path::new("g.toml"), std::iter::empty()).unwrap();
        let policy = config::Upstream { busy_poll, ..config.upstreams["a"].clone() };
        let configured = BTreeMap::from([("a".to_owned(), policy)]);
        let upstreams = Upstream::build_all(&configured, None, &mut Problems::default());
        let admission = auth::admit(&Sessions::new(&config.sessions), Access::Public, None, BootTime::now()).unwrap();
        let pools = Rc::<Pools>::default();
        let attended = pools.clone();
        tokio::task::spawn_local(async move { attended.attend().await });
        let mut request = Outbound::new(Method::GET, "/");
        request.host(&HeaderValue::from_static("a"));
        let answered = upstreams["a"].send(&admission, &mut request, &pools).await.unwrap();
        assert_eq!(answered.response.status(), StatusCode::NO_CONTENT);
    }
}
