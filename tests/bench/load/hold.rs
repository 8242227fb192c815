//! Idle connections: opened, used once, then held, so that somebody can look at what they cost.

use std::path::PathBuf;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::Target;
use super::client::{Dialer, Protocol};
use super::requests::Requests;

/// How many.
#[derive(clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    pairs: PathBuf,
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
}

pub(crate) async fn run(plan: Plan) {
    let dialer = Dialer::new(&plan.target, Protocol::H1, false);
    let requests = Requests::new(&plan.pairs, "/bytes/1024", Protocol::H1, Bytes::new());
    let mut held = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        let mut sender = dialer.open().await.expect("a connection");
        let (status, _) = sender.exchange(requests.next()).await.expect("an answer");
        assert_eq!(status, 200);
        held.push(sender);
    }
    println!("ready");
    let _input_ended = tokio::io::stdin().read(&mut [0]).await;
}
