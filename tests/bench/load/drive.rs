//! Requests as fast as they are answered, or at a fixed rate whatever the answers do.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::Target;
use super::alarm::Alarm;
use super::client::{Dialer, Protocol, Sender};
use super::measured::Measured;
use super::requests::Requests;
use super::watch::Watch;

/// What to send.
#[derive(clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    target: Target,
    /// One "key token" a line; requests rotate through them.
    #[arg(long)]
    pairs: PathBuf,
    #[arg(long, default_value = "/bytes/1024")]
    path: String,
    #[arg(long, value_enum, default_value = "h1")]
    protocol: Protocol,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Requests at once on each connection, for HTTP/2.
    #[arg(long, default_value_t = 1)]
    streams: usize,
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// Requests a second; latencies count from when each was due. Absent: as fast as they are answered.
    #[arg(long)]
    rate: Option<f64>,
    /// Bytes of a request body; makes it a POST.
    #[arg(long, default_value_t = 0)]
    upload: usize,
    /// A JSON body; makes it a POST.
    #[arg(long)]
    json: Option<String>,
    /// A new TLS connection for each request.
    #[arg(long)]
    fresh: bool,
    /// Resume TLS sessions.
    #[arg(long)]
    resume: bool,
    /// The status that every answer must have.
    #[arg(long)]
    expect: Option<u16>,
    /// Stop after so many seconds, however many requests are left.
    #[arg(long, default_value_t = 600.0)]
    seconds: f64,
}

impl Plan {
    fn body(&self) -> Bytes {
        self.json.clone().map_or_else(|| vec![b'u'; self.upload].into(), Bytes::from)
    }
}

/// What all lanes share. A lane has one request under way at a time.
struct Run {
    plan: Plan,
    dialer: Dialer,
    requests: Requests,
    taken: Cell<usize>,
    watch: Watch,
    measured: RefCell<Measured>,
}

pub(crate) async fn run(plan: Plan) {
    let dialer = Dialer::new(&plan.target, plan.protocol, plan.resume);
    let requests = Requests::new(&plan.pairs, &plan.path, plan.protocol, plan.body());
    let mut senders = Vec::new();
    if !plan.fresh {
        for _ in 0..plan.connections {
            let first = dialer.open().await.expect("a connection");
            let more: Vec<_> = (1..plan.streams).map_while(|_| first.share()).collect();
            senders.push(Some(first));
            senders.extend(more.into_iter().map(Some));
        }
    } else {
        senders.resize_with(plan.connections, || None);
    }
    let (taken, measured, watch) = (Cell::new(0), RefCell::default(), Watch::begin(&plan.target));
    let run = Rc::new(Run { plan, dialer, requests, taken, watch, measured });
    let mut lanes = JoinSet::new();
    for sender in senders {
        lanes.spawn_local(run.clone().lane(sender));
    }
    while let Some(lane) = lanes.join_next().await {
        lane.expect("a lane goes to its end");
    }
    let mut measured = run.measured.take();
    measured.resumed = run.dialer.resumed();
    measured.print(&run.watch);
}

impl Run {
    async fn lane(self: Rc<Self>, mut sender: Option<Sender>) {
        let alarm = Alarm::new();
        while let Some(due) = self.next_due() {
            alarm.at(due).await;
            let due = if self.plan.rate.is_some() { due } else { Instant::now() };
            match self.exchange(&mut sender).await {
                Ok(status) => self
                    .measured
                    .borrow_mut()
                    .answered(due.elapsed(), self.plan.expect.is_none_or(|expected| status == expected)),
                Err(_) => self.measured.borrow_mut().failed(),
            }
        }
    }

    /// When the next request is due; `None` when there were enough.
    fn next_due(&self) -> Option<Instant> {
        let number = self.taken.replace(self.taken.get() + 1);
        let delay = self.plan.rate.map_or(0.0, |rate| number as f64 / rate);
        let over = number >= self.plan.requests || self.watch.took().as_secs_f64() > self.plan.seconds;
        (!over).then(|| self.watch.start + Duration::from_secs_f64(delay))
    }

    async fn exchange(&self, sender: &mut Option<Sender>) -> Result<u16, Box<dyn std::error::Error>> {
        let mut one = match sender.take() {
            Some(open) => open,
            None => self.dialer.open().await?,
        };
        let (status, _) = one.exchange(self.requests.next()).await?;
        if !self.plan.fresh {
            *sender = Some(one);
        }
        Ok(status)
    }
}
