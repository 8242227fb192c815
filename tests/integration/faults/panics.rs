//! A request or an accept loop panics: that one fails, the process lives, and both are counted. The panics come from a subscriber
//! to the gateway's messages, since nothing a client can send makes the gateway itself panic.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, Once};

use tokio::net::TcpSocket;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::{get, in_front_of, reason_of};
use crate::harness::{Connection, Gateway, USER, Upstream, body, eventually, within};

/// What a message must hold so that whoever says it panics, each as often as is said there.
static PANICKING: Mutex<Vec<(String, usize)>> = Mutex::new(Vec::new());

/// Messages seen since the start, which nobody panics over.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Panics in the task that says what it is waiting for.
struct Panicking(AtomicUsize);

impl Subscriber for Panicking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_loud = metadata.target().starts_with("gatewarden") && *metadata.level() <= tracing::Level::WARN;
        is_loud || metadata.target() == "gatewarden::server::worker"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.0.fetch_add(1, Relaxed) as u64 + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let matches = |(needle, left): &&mut (String, usize)| *left > 0 && text.0.contains(needle.as_str());
        let panics = PANICKING.lock().unwrap().iter_mut().find(matches).map(|(_, left)| *left -= 1).is_some();
        assert!(!panics, "planted-secret: a subscriber panics over {}", text.0);
        SAID.lock().unwrap().push(text.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

/// Hears all messages of the process; to be called before the first gateway starts, which would have others hear them.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Panicking(AtomicUsize::new(0))).unwrap());
}

/// From now on the task that says something with that in it panics, so many times.
fn panic_over(needle: &str, times: usize) {
    PANICKING.lock().unwrap().push((needle.to_owned(), times));
}

#[tokio::test]
async fn a_request_that_panics_costs_its_http_1_connection_and_no_other() {
    listen();
    let gone = Upstream::start().await;
    gone.stop().await;
    let (gateway, pair) = in_front_of(&gone.url(), "").await;
    let mut other = gateway.connect().await;
    assert_eq!(other.request("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 401);
    let before = panics(&gateway, "connection").await;
    panic_over(&format!("server={}", gone.address()), 1);
    let mut connection = gateway.connect().await;
    connection.send(get("/panics", &pair)).await;
    assert!(connection.closed().await, "no answer at all");
    assert_eq!(reason_of(&gateway, "/panics").await, "panicked");
    eventually("the panic to be counted", || async { panics(&gateway, "connection").await == before + 1 }).await;
    assert!(said("task=\"connection\" peer=127.0.0.1:"));
    assert_eq!(other.request("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 401);
    assert_eq!(gateway.get("/after", &pair.lines()).await.status, 502, "and the next is served as ever");
    drop(other);
    eventually("places to be free again", || async { nothing_is_open(&gateway).await }).await;
}

#[tokio::test]
async fn a_request_that_panics_costs_its_http_2_stream_and_not_its_connection() {
    listen();
    let gone = Upstream::start().await;
    gone.stop().await;
    let (gateway, pair) = in_front_of(&gone.url(), "").await;
    let h2 = gateway.h2().await;
    let before = panics(&gateway, "stream").await;
    panic_over(&format!("server={}", gone.address()), 1);
    let presented = [("x-key", pair.key.as_str()), ("x-access-token", pair.token.as_str())];
    let panicking = h2.build("GET", "/panics", &presented).body(body("")).unwrap();
    assert!(h2.send(panicking).await.is_err(), "reset");
    assert_eq!(h2.get("/after", &pair).await.status, 502, "over the same connection");
    assert_eq!(reason_of(&gateway, "/panics").await, "panicked");
    eventually("the panic to be counted", || async { panics(&gateway, "stream").await == before + 1 }).await;
    drop(h2);
    eventually("places to be free again", || async { nothing_is_open(&gateway).await }).await;
}

#[tokio::test]
async fn an_accept_loop_that_panics_begins_again_on_the_same_port() {
    listen();
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "limits.connections_per_peer = 1").await;
    let pair = gateway.login(&USER).await;
    let free = || async { nothing_is_open(&gateway).await };
    eventually("the login's place", free).await;
    let mut only = gateway.plain().await;
    assert_eq!(only.request(get("/", &pair)).await.status, 200);
    let before = panics(&gateway, "accept").await;
    panic_over("limits.connections_per_peer is reached: closed at once", 1);
    for _ in 0..2 {
        assert!(gateway.plain().await.closed().await, "by the panic, and then by the loop that began again");
    }
    eventually("the panic to be counted", || async { panics(&gateway, "accept").await == before + 1 }).await;
    assert_eq!(only.request(get("/", &pair)).await.status, 200, "what is open stays so");
    drop(only);
    eventually("the place", free).await;
    let mut next = within("a connection", gateway.plain()).await;
    assert_eq!(next.request(get("/", &pair)).await.status, 200);
}

#[tokio::test]
async fn a_workers_loop_that_panics_begins_again_and_what_is_open_stays_so() {
    listen();
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, "server.workers = 1").await;
    let pair = gateway.login(&USER).await;
    let mut open = gateway.connect().await;
    assert_eq!(open.request(get("/", &pair)).await.status, 200);
    let before = panics(&gateway, "worker_loop").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    panic_over(&format!("peer={} ", socket.local_addr().unwrap()), 1);
    let mut lost = Connection::over(within("a connection", socket.connect(gateway.plain)).await.unwrap());
    assert!(lost.closed().await, "the one that it was taking");
    eventually("the panic to be counted", || async { panics(&gateway, "worker_loop").await == before + 1 }).await;
    assert_eq!(open.request(get("/", &pair)).await.status, 200);
    assert_eq!(gateway.plain().await.request(get("/", &pair)).await.status, 200, "the next is taken");
    drop(open);
    eventually("places to be free again", || async { nothing_is_open(&gateway).await }).await;
}

#[tokio::test]
async fn a_worker_that_panics_begins_again_as_a_whole() {
    listen();
    let upstream = Upstream::start().await;
    panic_over("a worker begins", 1);
    let gateway = Gateway::with(&upstream, "server.workers = 1").await;
    let pair = gateway.login(&USER).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    assert!(panics(&gateway, "worker").await > 0);
}

fn said(text: &str) -> bool {
    SAID.lock().unwrap().iter().any(|line| line.contains(text) && !line.contains("planted-secret"))
}

async fn metrics(gateway: &Gateway) -> String {
    let mut connection = Connection::plain(gateway.health).await;
    connection.request("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.text().to_owned()
}

async fn panics(gateway: &Gateway, task: &str) -> usize {
    let name = format!("gatewarden_panics_total{{task=\"{task}\"}} ");
    metrics(gateway).await.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
}

async fn nothing_is_open(gateway: &Gateway) -> bool {
    let text = metrics(gateway).await;
    ["connections", "requests_in_flight"].iter().all(|name| text.contains(&format!("\ngatewarden_{name} 0\n")))
}
