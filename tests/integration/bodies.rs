//! Bodies: streamed both ways as they come, never buffered, never changed, and cut where the other side was cut.

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::BodyExt;

use crate::harness::{Connection, Gateway, Pair, Reply, USER, Upstream, body_by_hand, chunked, within};

#[tokio::test]
async fn a_length_beside_chunks_gives_one_whole_answer_with_one_framing() {
    let raw = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n0\r\n\r\n";
    let upstream = Upstream::answering(raw).await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    let answer = gateway.get("/", &pair.lines()).await;
    assert_eq!((answer.text(), answer.fields.all("content-length").len()), ("abcdefgh", 0));
    assert_eq!(gateway.h2().await.get("/", &pair).await.body, "abcdefgh");
}

#[tokio::test]
async fn a_body_of_known_length_passes_both_ways() {
    let upstream = Upstream::scripted(|_| Reply::Echo).await;
    let (gateway, pair) = gateway(&upstream).await;
    let body = "x".repeat(300_000);
    let head = post(&pair, &format!("Content-Length: {}\r\n", body.len()));
    let answer = gateway.request(format!("{head}{body}")).await;
    assert_eq!((answer.status, answer.text()), (200, body.as_str()));
    assert_eq!(answer.field("content-length"), Some("300000"));
    assert_eq!(upstream.only_request().field("content-length").as_deref(), Some("300000"));
}

#[tokio::test]
async fn a_chunked_body_passes_both_ways() {
    let upstream = Upstream::scripted(|request| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Reply::Raw([&head[..], &chunked(&request.body), b"0\r\n\r\n"].concat())
    })
    .await;
    let (gateway, pair) = gateway(&upstream).await;
    let head = post(&pair, "Transfer-Encoding: chunked\r\n");
    let answer = gateway.request(format!("{head}5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n")).await;
    assert_eq!((answer.status, answer.text()), (200, "hello world"));
    assert_eq!(upstream.only_request().body, b"hello world");
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 4711\r\n\r\n").await;
    let (gateway, pair) = gateway(&upstream).await;
    let mut connection = gateway.connect().await;
    let head = format!("HEAD / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
    for _ in 0..2 {
        let answer = connection.request(&head).await;
        assert_eq!((answer.status, answer.field("content-length")), (200, Some("4711")));
    }
    assert_eq!(upstream.last_request().line(), "HEAD / HTTP/1.1");
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_in_step() {
    let upstream = Upstream::scripted(|request| match request.target() {
        "/204" => Reply::Raw(b"HTTP/1.1 204 No Content\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n".to_vec()),
        "/304" => Reply::Raw(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 99\r\n\r\n".to_vec()),
        _ => Reply::ok("", "after"),
    })
    .await;
    let (gateway, pair) = gateway(&upstream).await;
    let mut connection = gateway.connect().await;
    for (target, status) in [("/204", 204), ("/304", 304), ("/", 200)] {
        assert_eq!(connection.request(get(target, &pair, "")).await.status, status);
    }
    // RFC 9110, section 8.6, over either protocol.
    assert!(connection.request(get("/204", &pair, "")).await.field("content-length").is_none());
    let credentials = [("x-key", &*pair.key), ("x-access-token", &*pair.token)];
    let answer = gateway.h2().await.request("GET", "/204", &credentials).await;
    assert_eq!((answer.status, answer.headers.get("content-length")), (204, None));
}

#[tokio::test]
async fn a_range_passes_and_so_does_its_answer() {
    let upstream = Upstream::answering(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/10\r\nAccept-Ranges: bytes\r\nContent-Length: 3\r\n\r\ncde",
    )
    .await;
    let (gateway, pair) = gateway(&upstream).await;
    let answer = gateway.request(get("/", &pair, "Range: bytes=2-4\r\nIf-Range: \"a\"\r\n")).await;
    assert_eq!((answer.status, answer.text(), answer.field("content-range")), (206, "cde", Some("bytes 2-4/10")));
    let request = upstream.only_request();
    assert_eq!(request.field("range").as_deref(), Some("bytes=2-4"));
    assert_eq!(request.field("if-range").as_deref(), Some("\"a\""));
}

#[tokio::test]
async fn an_encoded_body_is_not_touched() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x08ab").await;
    let (gateway, pair) = gateway(&upstream).await;
    let answer = gateway.request(get("/", &pair, "Accept-Encoding: gzip\r\n")).await;
    assert_eq!((answer.field("content-encoding"), &answer.body[..]), (Some("gzip"), &b"\x1f\x08ab"[..]));
    assert_eq!(upstream.only_request().field("accept-encoding").as_deref(), Some("gzip"));
}

#[tokio::test]
async fn an_event_passes_before_the_next_one_is_written() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = gateway(&upstream).await;
    let mut connection = gateway.connect().await;
    connection.send(get("/events", &pair, "Accept: text/event-stream\r\n")).await;
    let mut exchange = upstream.exchange().await;
    exchange.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let (status, fields) = connection.head().await;
    assert_eq!((status, fields.one("content-type")), (200, Some("text/event-stream")));
    for number in 0..5 {
        let event = format!("data: {number}\n\n");
        exchange.send(chunked(event.as_bytes())).await;
        assert_eq!(connection.chunk().await, event.as_bytes());
    }
}

#[tokio::test]
async fn both_directions_move_at_once_over_http_1() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = gateway(&upstream).await;
    let mut connection = gateway.connect().await;
    connection.send(post(&pair, "Transfer-Encoding: chunked\r\n")).await;
    let mut exchange = upstream.exchange().await;
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(connection.head().await.0, 200);
    for number in 0..5 {
        let data = format!("{number}");
        connection.send(chunked(data.as_bytes())).await;
        assert_eq!(exchange.chunk().await, data.as_bytes());
        exchange.send(chunked(data.as_bytes())).await;
        assert_eq!(connection.chunk().await, data.as_bytes());
    }
}

#[tokio::test]
async fn both_directions_move_at_once_over_http_2() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = gateway(&upstream).await;
    let (send, receive) = body_by_hand();
    let h2 = gateway.h2().await;
    let headers = [("x-key", pair.key.as_str()), ("x-access-token", pair.token.as_str())];
    let request = h2.build("POST", "/", &headers).body(receive).unwrap();
    let answering = tokio::spawn(async move { h2.send(request).await });
    let mut exchange = upstream.exchange().await;
    exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut body = answering.await.unwrap().unwrap().into_body().into_data_stream();
    for number in 0..5 {
        send.send(Bytes::from(number.to_string())).unwrap();
        assert_eq!(exchange.chunk().await, number.to_string().as_bytes());
        exchange.send(chunked(number.to_string().as_bytes())).await;
        assert_eq!(within("data", body.next()).await.unwrap().unwrap(), number.to_string());
    }
}

#[tokio::test]
async fn announced_trailers_pass_and_reserved_ones_do_not() {
    let upstream = Upstream::start().await;
    let (gateway, pair) = gateway(&upstream).await;
    let head = post(&pair, "Transfer-Encoding: chunked\r\nTrailer: X-Sum, X-Key, X_Webitel_User, Content-Length\r\n");
    let trailers = "X-Sum: 7\r\nX-Key: forged\r\nX_Webitel_User: forged\r\nContent-Length: 1\r\nX-Else: 1\r\n";
    assert_eq!(gateway.request(format!("{head}1\r\na\r\n0\r\n{trailers}\r\n")).await.status, 200);
    let request = upstream.only_request();
    assert_eq!(request.trailers.0.len(), 1, "{:?}", request.trailers);
    assert_eq!(request.trailers.one("x-sum"), Some("7"));
}

#[tokio::test]
async fn an_answers_trailers_pass_to_a_client_that_takes_them() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n",
    )
    .await;
    let (gateway, pair) = gateway(&upstream).await;
    let answer = gateway.request(get("/", &pair, "TE: trailers\r\n")).await;
    assert_eq!((answer.text(), answer.trailers.one("x-sum")), ("a", Some("7")));
    let answer = gateway.h2().await.get("/", &pair).await;
    assert_eq!(answer.trailers.expect("trailers")["x-sum"], "7");
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_once_it_is_admitted() {
    let upstream = Upstream::start().await;
    let (gateway, pair) = gateway(&upstream).await;
    let mut connection = gateway.connect().await;
    connection.send(post(&pair, "Content-Length: 4\r\nExpect: 100-continue\r\n")).await;
    assert_eq!(connection.head().await.0, 100);
    connection.send("body").await;
    assert_eq!(connection.answer().await.status, 200);
    assert_eq!(upstream.only_request().body, b"body");
}

#[tokio::test]
async fn a_client_that_is_refused_never_gets_a_100() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(gateway.request(head).await.status, 401);
    let other = head.replace("100-continue", "200-maybe");
    assert!([401, 417].contains(&gateway.request(other).await.status));
    upstream.saw_nothing();
}

#[tokio::test]
async fn an_answer_in_a_coding_that_would_be_lost_is_502() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n").await;
    let (gateway, pair) = gateway(&upstream).await;
    assert_eq!(gateway.request(get("/", &pair, "")).await.status, 502);
}

#[tokio::test]
async fn interim_answers_of_an_upstream_are_consumed() {
    let upstream = Upstream::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
    .await;
    let (gateway, pair) = gateway(&upstream).await;
    let answer = gateway.request(get("/", &pair, "")).await;
    assert_eq!((answer.status, answer.text(), answer.field("link")), (200, "ok", None));
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_upstream_back() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = gateway(&upstream).await;
    let mut connection = gateway.connect().await;
    connection.send(get("/", &pair, "")).await;
    let mut exchange = upstream.exchange().await;
    let total = 256 << 20;
    exchange.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n")).await;
    let block = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < total {
        // A write that does not move for so long is held back; kernel buffers take a few MiB at most.
        match tokio::time::timeout(std::time::Duration::from_millis(500), exchange.try_send(&block)).await {
            Ok(written) => written.unwrap(),
            Err(_) => break,
        }
        sent += block.len();
    }
    assert!(sent <= 64 << 20, "{sent} bytes went somewhere that nobody reads");
    assert_eq!(connection.head().await.0, 200);
}

#[tokio::test]
async fn an_upstream_that_does_not_read_holds_the_client_back() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = gateway(&upstream).await;
    let mut connection = gateway.connect().await;
    let total = 256 << 20;
    connection.send(post(&pair, &format!("Content-Length: {total}\r\n"))).await;
    let _exchange = upstream.exchange().await;
    let block = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < total {
        match tokio::time::timeout(std::time::Duration::from_millis(500), connection.try_send(&block)).await {
            Ok(written) => written.unwrap(),
            Err(_) => break,
        }
        sent += block.len();
    }
    assert!(sent <= 64 << 20, "{sent} bytes went somewhere that nobody reads");
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_the_upstreams_exchange() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = gateway(&upstream).await;
    let mut connection = gateway.connect().await;
    connection.send(get("/", &pair, "")).await;
    let mut exchange = upstream.exchange().await;
    drop(connection);
    exchange.cancelled().await;
}

#[tokio::test]
async fn an_answer_that_the_upstream_cuts_is_cut_for_the_client() {
    for raw in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let upstream = Upstream::scripted(move |_| Reply::RawThenClose(raw.into())).await;
        let (gateway, pair) = gateway(&upstream).await;
        let mut connection = gateway.connect().await;
        connection.send(get("/", &pair, "")).await;
        let (status, fields) = connection.head().await;
        assert_eq!(status, 200);
        assert!(is_cut(&mut connection, fields.one("content-length").is_none()).await, "{raw}");
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_is_no_whole_request_upstream() {
    let upstream = Upstream::by_hand().await;
    let (gateway, pair) = gateway(&upstream).await;
    let mut connection = gateway.connect().await;
    connection.send(post(&pair, "Transfer-Encoding: chunked\r\n")).await;
    connection.send(chunked(b"half")).await;
    let mut exchange = upstream.exchange().await;
    assert_eq!(exchange.chunk().await, b"half");
    drop(connection);
    // The end of the connection, without the chunk that would end the body.
    assert_eq!(exchange.some().await, None);
}

#[tokio::test]
async fn messages_that_can_be_framed_two_ways_never_reach_the_upstream_twice() {
    let upstream = Upstream::start().await;
    let (gateway, pair) = gateway(&upstream).await;
    let smuggled = format!("GET /smuggled HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
    for framing in [
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 4, 4\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
    ] {
        let mut connection = gateway.connect().await;
        let head = post(&pair, framing);
        drop(connection.try_send(format!("{head}0\r\n\r\n{smuggled}")).await);
        while connection.try_head().await.is_some_and(|(status, _)| status < 400) {}
        let seen: Vec<_> = upstream.requests().iter().map(|request| request.head.clone()).collect();
        assert!(!seen.iter().any(|head| head.contains("/smuggled")), "{framing}: {seen:?}");
    }
}

async fn is_cut(connection: &mut Connection, chunked: bool) -> bool {
    if !chunked {
        return connection.exactly(10).await.is_err();
    }
    loop {
        match connection.try_chunk().await {
            Err(_) => return true,
            Ok(chunk) if chunk.is_empty() => return false,
            Ok(_) => {}
        }
    }
}

fn get(target: &str, pair: &Pair, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}{}\r\n", pair.lines())
}

fn post(pair: &Pair, lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}{}\r\n", pair.lines())
}

async fn gateway(upstream: &Upstream) -> (Gateway, Pair) {
    let gateway = Gateway::start(upstream).await;
    let pair = gateway.login(&USER).await;
    (gateway, pair)
}
