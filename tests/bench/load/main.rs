//! The load generator of the benchmark, and the upstream that it measures proxies in front of. See `tests/bench/run`.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that cannot go on stops")]

mod alarm;
mod client;
mod drive;
mod hold;
mod login;
mod measured;
mod plain;
mod requests;
mod trust;
mod tunnels;
mod upstream;
mod watch;

use std::future::Future;

use clap::{Args, Parser, Subcommand};
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::runtime::{Builder, LocalOptions};

/// Drives a proxy and says what it cost the client, as one line of JSON.
#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    task: Task,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Task {
    #[command(flatten)]
    Client(Client),
    /// Answers from memory: GET /bytes/N, POST /sink, a WebSocket at /socket. Prints its address; has the same port on 127.0.0.2 to 127.0.0.100.
    /// Then each line of its input is a task, as a JSON array of its words: where client and server share a core, one event loop for
    /// both spares that core half of its switches.
    Upstream,
}

/// What drives a proxy.
#[derive(Subcommand)]
enum Client {
    /// Logs in and prints one "key token" a line.
    Login(login::Logins),
    /// Sends requests and prints how many, in what time, with what latencies.
    Drive(drive::Plan),
    /// Opens connections, sends one request over each, prints "ready" and holds them until its input ends.
    Hold(hold::Plan),
    /// Opens WebSockets and sends messages over all of them.
    Tunnels(tunnels::Plan),
}

/// Whom to drive.
#[derive(Args, Clone)]
struct Target {
    /// Host and port of the proxy, which speaks TLS.
    #[arg(long)]
    target: std::net::SocketAddr,
    /// A process of the proxy, whose CPU time is told; may be repeated.
    #[arg(long)]
    watch: Vec<u32>,
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs on one thread; the machine's other core is the proxy's.
fn on_one_thread(task: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap().block_on(task);
}

fn main() {
    match Command::parse().task {
        Task::Upstream => on_one_thread(async {
            tokio::select! {
                () = upstream::serve() => {}
                () = obey() => {}
            }
        }),
        Task::Client(client) => on_one_thread(client.run()),
    }
}

impl Client {
    async fn run(self) {
        match self {
            Self::Login(logins) => login::run(logins).await,
            Self::Drive(plan) => drive::run(plan).await,
            Self::Hold(plan) => hold::run(plan).await,
            Self::Tunnels(plan) => tunnels::run(plan).await,
        }
    }
}

/// Does what each line of the input says, until that ends.
async fn obey() {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        let words: Vec<String> = serde_json::from_str(&line).unwrap();
        let command = Command::parse_from(std::iter::once("load".to_owned()).chain(words));
        let Task::Client(client) = command.task else { panic!("there is an upstream") };
        client.run().await;
    }
}
