//! Faults: what breaks behind, below and inside the gateway has a defined answer, leaves a line that names it, and passes.

mod answers;
mod connecting;
mod cut;
mod descriptors;
mod disks;
mod files;
mod panics;
mod silence;

use std::net::SocketAddr;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Gateway, Pair, USER, Upstream, eventually};

/// A gateway with an access log, in front of servers of the test's own, and a pair for it.
async fn in_front_of(servers: &str, settings: &str) -> (Gateway, Pair) {
    let settings = format!("log.access = 'DIR/access.log'\nupstreams.main.servers = ['{servers}']\n{settings}");
    let gateway = Gateway::with(&Upstream::start().await, &settings).await;
    let pair = gateway.login(&USER).await;
    (gateway, pair)
}

/// A server that does with each connection what the test says, HTTP or not.
async fn behind<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Why the access line of a request says that it failed.
async fn reason_of(gateway: &Gateway, path: &str) -> String {
    let find = || {
        let log = gateway.access_log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["path"] == path)
    };
    eventually("an access line", || async { find().is_some() }).await;
    find().unwrap()["refusal"].as_str().unwrap_or_default().to_owned()
}

fn get(path: &str, pair: &Pair) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())
}
