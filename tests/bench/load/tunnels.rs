//! WebSocket messages there and back over many tunnels at once.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::Target;
use super::client::{Dialer, Protocol};
use super::measured::Measured;
use super::watch::Watch;

/// How many.
#[derive(clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    pairs: PathBuf,
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    /// Messages over each, one at a time.
    #[arg(long, default_value_t = 20)]
    messages: usize,
    /// Bytes of each.
    #[arg(long, default_value_t = 256)]
    size: usize,
}

pub(crate) async fn run(plan: Plan) {
    let dialer = Dialer::new(&plan.target, Protocol::H1, false);
    let pairs = std::fs::read_to_string(&plan.pairs).unwrap();
    let mut sockets = Vec::with_capacity(plan.connections);
    for (_, pair) in (0..plan.connections).zip(pairs.lines().cycle()) {
        sockets.push(open(&dialer, pair).await);
    }
    let measured = Rc::new(RefCell::new(Measured::default()));
    let (mut lanes, watch) = (JoinSet::new(), Watch::begin(&plan.target));
    for socket in sockets {
        lanes.spawn_local(echo(socket, (plan.messages, plan.size), measured.clone()));
    }
    while let Some(lane) = lanes.join_next().await {
        lane.expect("a lane goes to its end");
    }
    measured.take().print(&watch);
}

async fn open(dialer: &Dialer, pair: &str) -> WebSocketStream<TlsStream<TcpStream>> {
    let (key, token) = pair.split_once(' ').unwrap();
    let mut request = "wss://localhost/socket".into_client_request().unwrap();
    request.headers_mut().insert("x-key", key.parse().unwrap());
    request.headers_mut().insert("x-access-token", token.parse().unwrap());
    tokio_tungstenite::client_async(request, dialer.tls().await.unwrap()).await.expect("a WebSocket").0
}

async fn echo(
    mut socket: WebSocketStream<TlsStream<TcpStream>>,
    (messages, size): (usize, usize),
    measured: Rc<RefCell<Measured>>,
) {
    for _ in 0..messages {
        let (sent, start) = (Message::binary(vec![b'w'; size]), Instant::now());
        socket.send(sent.clone()).await.expect("the tunnel is open");
        let back = socket.next().await;
        measured.borrow_mut().answered(start.elapsed(), matches!(back, Some(Ok(back)) if back == sent));
    }
}
