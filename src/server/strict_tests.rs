use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::server::activity::Exchange;
use crate::server::socket::Connected;

/// What hyper reads of a stream that comes in pieces of these sizes, the last for all the rest; the error that ends it, or the end.
fn read(stream: &[u8], pieces: &[usize], room: usize) -> (Vec<u8>, Option<io::ErrorKind>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Without tokio's budget, whose end would look as if nothing more came.
    runtime.block_on(tokio::task::unconstrained(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let mut strict = Strict::new(server, Activity::new(), 1024);
        let (mut left, mut read) = (stream, Vec::new());
        let (mut piece, mut buffer) = (0, vec![0; room]);
        loop {
            let size = pieces.get(piece).or(pieces.last()).map_or(left.len(), |size| (*size).max(1)).min(left.len());
            client.write_all(&left[..size]).await.unwrap();
            (left, piece) = (&left[size..], piece + 1);
            if left.is_empty() {
                client.shutdown().await.unwrap();
            }
            loop {
                let some = std::pin::pin!(strict.read(&mut buffer));
                match futures_util::poll!(some) {
                    Poll::Ready(Ok(0)) => return (read, None),
                    Poll::Ready(Ok(length)) => read.extend_from_slice(&buffer[..length]),
                    Poll::Ready(Err(error)) => return (read, Some(error.kind())),
                    // Over: nothing more will come, and nobody waits for it.
                    Poll::Pending if left.is_empty() => return (read, None),
                    Poll::Pending => break,
                }
            }
        }
    }))
}

/// Requests, good and bad, and what is neither.
fn parts() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "0\r\nX: y\r\n\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\n",
        "\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        "GET / HTTP/1.1\r\n",
        "Host: a\r\n",
        "x",
    ]);
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #[test]
    fn what_is_seen_does_not_depend_on_how_it_comes(
        stream in parts(),
        pieces in prop::collection::vec(1usize..40, 1..20),
        room in 1usize..100,
    ) {
        let whole = read(&stream, &[], 8192);
        prop_assert_eq!(read(&stream, &pieces, room), whole.clone());
        prop_assert_eq!(read(&stream, &[1], room), whole);
    }

    #[test]
    fn what_is_seen_is_what_came_up_to_a_flaw(stream in parts()) {
        let (seen, _) = read(&stream, &[], 8192);
        let seen = seen.strip_suffix(STAND_IN).unwrap_or(&seen);
        prop_assert!(stream.starts_with(seen));
    }
}

#[test]
fn a_flaw_in_a_head_becomes_a_request_that_is_refused_and_one_in_a_body_an_error() {
    let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    assert_eq!(read(&[&good, &b"GET / HTTP/1.1\n"[..], &good].concat(), &[], 8192), ([&good, STAND_IN].concat(), None));
    let chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc".to_vec();
    let error = Some(io::ErrorKind::InvalidData);
    assert_eq!(read(&[&chunked[..], b"d\r\n0\r\n\r\n"].concat(), &[], 8192), (chunked, error));
}

#[tokio::test]
async fn what_came_behind_an_upgrade_is_seen_once_the_answer_is_known() {
    let upgrade = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    for (switched, behind) in [(true, &b"\0\n anything"[..]), (false, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")] {
        let (mut client, server) = tokio::io::duplex(1024);
        let activity = Activity::new();
        let mut strict = Strict::new(server, activity.clone(), 1024);
        client.write_all(&[&upgrade[..], behind].concat()).await.unwrap();
        let mut buffer = [0; 1024];
        assert_eq!(strict.read(&mut buffer).await.unwrap(), upgrade.len());
        assert!(futures_util::poll!(std::pin::pin!(strict.read(&mut buffer))).is_pending());
        activity.decide(switched);
        let length = strict.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], behind);
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl Woken {
    fn count(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// A client, and the near end of its connection: the head of a request has been seen, and its answer is due.
async fn asked() -> (tokio::net::UnixStream, Strict<Connected>, Exchange) {
    let (mut client, server) = tokio::net::UnixStream::pair().unwrap();
    let activity = Activity::new();
    let mut strict = Strict::new(Connected::Right(server), activity.clone(), 1024);
    client.write_all(REQUEST).await.unwrap();
    assert_eq!(strict.read(&mut [0; 256]).await.unwrap(), REQUEST.len());
    (client, strict, activity.begin())
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn flush(strict: &mut Strict<Connected>, woken: &Arc<Woken>) -> Option<io::ErrorKind> {
    let waker = woken.clone().into();
    match Pin::new(strict).poll_flush(&mut Context::from_waker(&waker)) {
        Poll::Ready(flushed) => flushed.err().map(|error| error.kind()),
        Poll::Pending => panic!("nothing waits"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closed_its_side_has_a_while_for_its_answer_and_nobody_asks_over_and_over() {
    let (mut client, mut strict, _exchange) = asked().await;
    let woken = Arc::<Woken>::default();
    assert_eq!(flush(&mut strict, &woken), None);
    client.shutdown().await.unwrap();
    while woken.count() == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..3 {
        assert_eq!(flush(&mut strict, &woken), None);
    }
    tokio::time::sleep(HALF_CLOSED / 2).await;
    assert_eq!((flush(&mut strict, &woken), woken.count()), (None, 1));
    tokio::time::sleep(HALF_CLOSED).await;
    assert_eq!((flush(&mut strict, &woken), woken.count()), (Some(io::ErrorKind::UnexpectedEof), 2));
}

#[tokio::test(start_paused = true)]
async fn each_answer_has_a_while_of_its_own() {
    let (mut client, mut strict, exchange) = asked().await;
    let activity = strict.activity.clone();
    client.shutdown().await.unwrap();
    let mut exchange = Some(exchange);
    for _ in 0..3 {
        exchange.get_or_insert_with(|| activity.begin());
        for _ in 0..10 {
            assert_eq!(flush(&mut strict, &Arc::default()), None);
            tokio::task::yield_now().await;
        }
        assert!(strict.half_closed.is_some());
        tokio::time::sleep(HALF_CLOSED * 3 / 4).await;
        assert_eq!(flush(&mut strict, &Arc::default()), None);
        exchange = None;
        assert_eq!(flush(&mut strict, &Arc::default()), None);
    }
}

#[tokio::test]
async fn a_client_is_asked_to_the_end_for_what_nobody_reads_before_it_is_left() {
    for behind in [&REQUEST[..5], &REQUEST.repeat(100)[..], b""] {
        let (mut client, mut strict, exchange) = asked().await;
        client.write_all(behind).await.unwrap();
        if !behind.is_empty() {
            std::future::poll_fn(|cx| strict.poll_readable(cx)).await;
        }
        drop(exchange);
        strict.write_all(b"HTTP/1.1 200 OK").await.unwrap();
        let ends = async {
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            drop(client);
            answer
        };
        let (left, answer) = tokio::join!(strict.shutdown(), ends);
        assert!(left.is_ok() && answer == b"HTTP/1.1 200 OK");
        assert_eq!(strict.leaving.is_some(), !behind.is_empty());
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_is_gone_at_once_and_one_that_goes_when_all_is_answered_is_not() {
    let (mut client, mut strict, exchange) = asked().await;
    // The next head has begun.
    client.write_all(b"GET").await.unwrap();
    assert_eq!(flush(&mut strict, &Arc::default()), None);
    // With bytes unread on its side, closing is breaking off.
    strict.write_all(b"HTTP/1.1 200 OK").await.unwrap();
    drop(client);
    let kind = loop {
        match flush(&mut strict, &Arc::default()) {
            Some(kind) => break kind,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(kind, io::ErrorKind::ConnectionReset);
    drop(exchange);
    assert_eq!(flush(&mut strict, &Arc::default()), None);
}

#[tokio::test]
async fn what_comes_before_the_answer_is_seen_behind_it() {
    let (mut client, mut strict, exchange) = asked().await;
    client.write_all(&REQUEST.repeat(100)).await.unwrap();
    client.shutdown().await.unwrap();
    for _ in 0..10 {
        assert_eq!(flush(&mut strict, &Arc::default()), None);
        tokio::task::yield_now().await;
    }
    assert_eq!(strict.held.len(), AHEAD, "no more than that is held");
    drop(exchange);
    let mut seen = Vec::new();
    strict.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, REQUEST.repeat(100));
}
