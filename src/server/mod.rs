//! Sockets, threads and their end: listeners, workers, connections, TLS, drain. Knows nothing of sessions.

mod activation;
mod activity;
mod alarm;
mod allowance;
mod announced;
mod answer;
mod bind;
mod calls;
mod chunk;
mod connection;
mod deferred;
mod descriptors;
mod drain;
mod drive;
mod ended;
mod fields;
mod finish;
mod frames;
mod frugal;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod giving;
mod head;
mod linger;
mod listener;
mod messages;
mod opening;
mod parking;
mod preface;
mod proxied;
mod readable;
mod records;
mod refresh;
mod reload;
mod rest;
mod room;
mod socket;
mod stream;
mod streams;
mod strict;
mod timer;
mod tls;
mod together;
mod unix_file;
mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use crate::admin::health;
use crate::auth::Sessions;
use crate::clock::BootTime;
use crate::config::{Config, Problems};
use crate::gateway::{Gateway, Peers};
use crate::panics::restarting;
use crate::seldom::Seldom;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::audit::Audit;
use crate::telemetry::exposition::Exposition;
use crate::telemetry::writable;
use crate::watch::Watch;
use drain::Drain;
use listener::{Desk, Door, Front, Hall, Listener};
pub use reload::Survey;
use reload::{Reloader, Reloads, watch_users};
use room::Room;
use tls::Tls;
use worker::Post;

/// A gateway that is whole but has no sockets yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    gateway: Gateway,
    users: Watch,
    tls: Option<Arc<Tls>>,
}

/// A server whose sockets are bound; connections wait in the kernel.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    gateway: Arc<Gateway>,
    reloads: Reloads,
    tls: Option<Arc<Tls>>,
    listeners: Vec<Listener>,
    health: Option<TcpListener>,
}

/// A server at work.
#[derive(Debug)]
pub struct Running {
    gateway: Arc<Gateway>,
    reloads: Reloads,
    drain: Drain,
    control: Option<JoinHandle<()>>,
}

impl Server {
    /// Reads everything the configuration names; opens no socket.
    ///
    /// # Errors
    /// Everything that is missing or wrong, each with its place.
    pub fn prepare(config: &Config) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        writable::check(&config.log, &mut problems);
        let users = watch_users(&config.directories);
        let tls = config.tls.as_ref().and_then(|tls| Tls::load(tls, &mut problems)).map(Arc::new);
        tls.iter().for_each(|tls| tls.announce());
        match Gateway::build(config, &mut problems) {
            Some(gateway) if problems.is_empty() => Ok(Self { config: config.clone(), gateway, users, tls }),
            _ => Err(problems),
        }
    }

    /// Opens the access log and binds every listener.
    ///
    /// # Errors
    /// The first that fails, with what it was.
    pub fn bind(self) -> io::Result<Bound> {
        let Self { config, gateway, users, tls } = self;
        // First, since taking systemd's sockets over changes the environment, which other threads might read.
        let listeners = bind::listeners(&config, tls.as_ref())?;
        let log = AccessLog::open(&config.log)
            .map_err(|error| io::Error::new(error.kind(), format!("log.access: {error}")))?;
        let audit =
            Audit::open(&config.log).map_err(|error| io::Error::new(error.kind(), format!("log.audit: {error}")))?;
        let health = bind::health(&config)?;
        let gateway = Arc::new(gateway.with_access_log(log).with_audit(audit));
        let reloads = Reloads::start(Reloader::new(&gateway, tls.clone(), (config.clone(), users)))?;
        Ok(Bound { gateway, reloads, config, tls, listeners, health })
    }
}

impl Bound {
    /// The TCP addresses that clients connect to, in the order of the configuration; ports that were 0 are known now.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.socket.address.tcp()).collect()
    }

    /// Says where clients and probes connect.
    pub fn announce(&self) {
        for Listener { socket, door } in &self.listeners {
            let Door { proxy_protocol, redirects_to, tls } = &**door;
            tracing::info!(address = %socket.address, tls = tls.is_some(), proxy_protocol, redirects_to, "listening");
        }
        if let Some(address) = self.health_address() {
            tracing::info!(%address, "answering probes");
        }
    }

    /// Where probes connect.
    pub fn health_address(&self) -> Option<SocketAddr> {
        self.health.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Starts the workers and accepts.
    ///
    /// # Errors
    /// When a thread or an event loop can't be made.
    pub fn start(mut self) -> io::Result<Running> {
        let (drain, gateway, reloads) = (Drain::default(), self.gateway.clone(), self.reloads.clone());
        // However the control thread ends, or if it never begins: no worker goes on without it.
        let ends = [&drain.closing, &drain.ending].map(|step| step.clone().drop_guard());
        let limits = Arc::new(self.config.limits.clone());
        let trusted = self.config.server.trusted_proxies.clone();
        let peers = Peers::new(limits.connections_per_peer, trusted);
        let (mut desks, mut posts) = (Vec::new(), Vec::new());
        for _ in 0..self.config.server.workers.get() {
            let (sender, inbox) = mpsc::unbounded_channel();
            let (gateway, limits, peers) = (gateway.clone(), limits.clone(), peers.clone());
            let (closing, ending) = (drain.closing.clone(), drain.ending.clone());
            posts.push(Post { gateway, limits, peers, inbox, front: None, closing, ending });
            desks.push(Desk { inbox: sender, load: Arc::default() });
        }
        let room = Room::new(descriptors::fit(self.config.limits.connections));
        let hall = Hall { room, peers, desks, crowding: Seldom::new() };
        let mut front = Some(Front { listeners: std::mem::take(&mut self.listeners), hall });
        if let [only] = &mut posts[..] {
            only.front = front.take();
        }
        let workers =
            posts.into_iter().enumerate().map(|(number, post)| post.start(number)).collect::<io::Result<_>>()?;
        let steps = drain.clone();
        let thread = std::thread::Builder::new().name("control".into());
        let control = thread.spawn(move || {
            let _ends = ends;
            control(self, steps, front, workers);
        })?;
        Ok(Running { gateway, reloads, drain, control: Some(control) })
    }
}

/// Runs the control thread's event loop.
fn control(bound: Bound, drain: Drain, front: Option<Front>, workers: Vec<JoinHandle<()>>) {
    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => {
            runtime.block_on(control_loop(bound, drain, front, workers));
            // A look at a file on a disk that hangs is not waited for.
            runtime.shutdown_background();
        }
        Err(error) => tracing::error!(%error, "no event loop for the control thread: the gateway ends"),
    }
}

/// Sweeps and answers probes until the drain is over, and accepts for several workers.
async fn control_loop(bound: Bound, drain: Drain, front: Option<Front>, workers: Vec<JoinHandle<()>>) {
    let Bound { config, gateway, tls, health, .. } = bound;
    if let Some(health) = health {
        let (gateway, tls) = (gateway.clone(), tls.clone());
        let more = move |text: &mut Exposition| tls.iter().for_each(|tls| tls.describe(text));
        let metrics = Rc::new(move |syntax| gateway.metrics(syntax, &more));
        tokio::task::spawn_local(health::serve(health, metrics, drain.asked.clone()));
    }
    let refresher = tokio::spawn(refresh::keep_fresh(gateway.clone(), tls.clone()));
    let sweeper = tokio::task::spawn_local(restarting("sweeper", async move || sweep_sessions(&gateway).await));
    let accepting = front.map(|front| tokio::task::spawn_local(Rc::new(front).accept(drain.closing.clone())));
    drain.until_closing(config.server.drain_delay).await;
    tls.iter().for_each(|tls| tls.close());
    if let Some(accepting) = accepting {
        let _over = accepting.await;
    }
    let joined = tokio::task::spawn_blocking(move || workers.into_iter().for_each(|worker| drop(worker.join())));
    drain.close(&config.server, joined).await;
    sweeper.abort();
    refresher.abort();
}

async fn sweep_sessions(gateway: &Gateway) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        // A full batch means that there is more; others run in between.
        while gateway.sessions().sweep(BootTime::now()) == Sessions::SWEEP_BATCH {
            tokio::task::yield_now().await;
        }
    }
}

impl Running {
    /// Begins the drain: readiness fails, then accepting stops, then what is under way finishes or is cut.
    pub fn drain(&self) {
        self.drain.asked.cancel();
    }

    /// Waits until the drain is over.
    pub fn join(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        if let Some(control) = self.control.take() {
            let _panicked = control.join();
            self.gateway.record_shutdown();
        }
    }

    /// For an end in the middle of the drain, which holds the server itself.
    pub fn last_words(&self) -> LastWords {
        LastWords(self.gateway.clone())
    }

    /// The live sessions.
    pub fn sessions(&self) -> &Arc<Sessions> {
        self.gateway.sessions()
    }

    /// Reads again what can change at runtime: users, secrets, routes, upstreams and what belongs to them. Returns at once; what
    /// came of it is logged.
    pub fn reload(&self, survey: Survey) {
        self.reloads.ask(survey);
    }

    /// Opens the files of the logs anew.
    pub fn reopen_logs(&self) {
        self.gateway.reopen_logs();
    }
}

/// What is written down when nobody waits for the end of the drain.
#[derive(Debug)]
pub struct LastWords(Arc<Gateway>);

impl LastWords {
    /// Writes down that the process ends, and waits a second at most until that and what waits is written.
    pub fn say(&self) {
        self.0.record_shutdown();
        if !self.0.audit_is_written_within(Duration::from_secs(1)) {
            tracing::error!("AUDIT LINES LOST at the end: nothing takes them");
        }
    }
}

impl Drop for Running {
    /// Cuts everything: a server is never left running without an owner.
    fn drop(&mut self) {
        self.drain.asked.cancel();
        self.drain.ending.cancel();
        self.finish();
    }
}
