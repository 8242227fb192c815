//! Family 7 on HTTP/1.1: a connection whose two ends could disagree about where a message ends is answered 400 and closed, and what
//! comes behind is never a request. RUSTSEC-2026-0033 and -0034 (Pingora), hyper#4123, CVE-2023-25725 (HAProxy), CVE-2026-71324
//! (Traefik), RUSTSEC-2021-0078 and -0079 (hyper), CVE-2021-21409 (netty), CVE-2022-32213 and -32215 (node).

use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::{ROUTES, Scene};
use crate::harness::{Answer, Connection, Gateway, Pair, Upstream, upgrade};

/// What would be smuggled, where nobody needs a session.
const SMUGGLED: &str = "GET /open/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The heads of a request on a protected and on a public route, and of a WebSocket's handshake on both; the empty line is missing.
fn heads(pair: &Pair) -> Vec<String> {
    let lines = pair.lines();
    let upgrade =
        |target, lines: &str| upgrade::request(target, lines).strip_suffix("\r\n").expect("a head").to_owned();
    vec![
        format!("POST / HTTP/1.1\r\nHost: localhost\r\n{lines}"),
        "POST /open HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
        upgrade("/", &lines),
        upgrade("/open", ""),
    ]
}

/// Sends this, then something to smuggle, and hears the answer that must be the last.
async fn last_answer(scene: &Scene, stream: &str) -> Answer {
    let mut connection = scene.gateway.plain().await;
    // It may be refused, and closed, before all of it was sent.
    let _sent = connection.try_send(format!("{stream}{SMUGGLED}")).await;
    let answer = connection.answer().await;
    assert!(connection.closed().await, "{stream:?}");
    answer
}

async fn is_refused(scene: &Scene, stream: &str) {
    let answer = last_answer(scene, stream).await;
    assert_eq!(answer.status, 400, "{stream:?}: {}", answer.text());
    assert_eq!(answer.field("connection"), Some("close"), "{stream:?}");
    assert!(answer.text().starts_with(r#"{"status":"error","info":""#), "{stream:?}: {}", answer.text());
    scene.upstream.saw_nothing();
}

#[tokio::test]
async fn a_body_whose_length_can_be_read_in_two_ways_is_refused() {
    let scene = Scene::new(ROUTES).await;
    for head in heads(&scene.pair) {
        for framing in [
            // CL.TE and TE.CL: hyper#4123, RUSTSEC-2026-0034.
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            "Content-Length: 4\r\nX: y\r\ntransfer-ENCODING:chunked",
            // CL.CL.
            "Content-Length: 4\r\nContent-Length: 4",
            "Content-Length: 4\r\nContent-Length: 5",
            "Content-Length: 0\r\ncontent-length: 4",
            // RUSTSEC-2021-0078, CVE-2021-21409.
            "Content-Length: +4",
            "Content-Length: -4",
            "Content-Length: 4, 4",
            "Content-Length: 4 4",
            "Content-Length: 0x4",
            "Content-Length: 4;",
            "Content-Length: \"4\"",
            "Content-Length:",
            "Content-Length: 18446744073709551620",
            "Content-Length: 99999999999999999999999999999999",
            // TE.TE: RUSTSEC-2026-0033, CVE-2022-32215.
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: identity, chunked",
            "Transfer-Encoding: chunked,",
            "Transfer-Encoding: ,chunked",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding:",
            "Transfer-Encoding: cow",
        ] {
            is_refused(&scene, &format!("{head}{framing}\r\n\r\n4\r\nabcd\r\n0\r\n\r\n")).await;
        }
    }
}

#[tokio::test]
async fn a_head_that_is_not_to_the_letter_is_refused() {
    let scene = Scene::new(ROUTES).await;
    for head in heads(&scene.pair) {
        for lines in [
            // Bare LF and CR, an empty name: RUSTSEC-2021-0079, CVE-2023-25725.
            "X: y\n",
            "X: y\nTransfer-Encoding: chunked\r\n",
            "X: y\rTransfer-Encoding: chunked\r\n",
            "X: y\r\r\n",
            ": y\r\n",
            // Obs-fold.
            "X: y\r\n Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding:\r\n chunked\r\n",
            "Content-Length:\r\n\t4\r\n",
            // A space before the colon, and what else is no name: CVE-2022-32213.
            "Content-Length : 4\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding\t: chunked\r\n",
            "Transfer Encoding: chunked\r\n",
            "Transfer-Encoding\x0b: chunked\r\n",
            "Transfer-Encoding\r\n: chunked\r\n",
            "Transfer-Encoding chunked\r\n",
            // NUL and its kin.
            "X: a\0b\r\n",
            "X\0: b\r\n",
            "X: a\x01b\r\n",
            "X: a\x7fb\r\n",
            // One host: repeated, and none that a name can be.
            "Host: localhost\r\n",
            "host: other.example\r\n",
        ] {
            is_refused(&scene, &format!("{head}{lines}\r\n")).await;
        }
        for lines in ["X : y", "X\t: y", "Host : localhost", "X y: z", "X(: y", "X", "Fold\r\n : y"] {
            // hyper's own answer, which says nothing more.
            let answer = last_answer(&scene, &format!("{head}{lines}\r\n\r\n")).await;
            assert_eq!((answer.status, answer.field("connection")), (400, Some("close")), "{lines:?}");
        }
        is_refused(&scene, &format!("{}\n", head.replace("\r\n", "\n"))).await;
        is_refused(&scene, &format!("{}\r\n", head.replacen("\r\n", "\n", 1))).await;
        is_refused(&scene, &format!("{head}\n")).await;
        is_refused(&scene, &format!("\n{head}\r\n")).await;
        is_refused(&scene, &format!("{}\r\n", head.replace("Host: localhost\r\n", ""))).await;
        for host in ["", "a b", "u@localhost", "localhost/x", "localhost:", "localhost:x", "a,b"] {
            is_refused(&scene, &format!("{}\r\n", head.replace("Host: localhost", &format!("Host: {host}")))).await;
        }
        for (from, to) in
            [("HTTP/1.1", "HTTP/1.2"), (" /", "  /"), (" HTTP", "\tHTTP"), (" /", " /a b"), (" HTTP/1.1", "")]
        {
            is_refused(&scene, &format!("{}\r\n", head.replacen(from, to, 1))).await;
        }
        for target in
            ["http://other.example/", "http://u@localhost/", "http://u:p@localhost/", "/#x", "*", "http://localhost/#"]
        {
            let (method, rest) = head.split_once(' ').unwrap();
            let rest = rest.split_once(' ').unwrap().1;
            is_refused(&scene, &format!("{method} {target} {rest}\r\n")).await;
        }
    }
}

#[tokio::test]
async fn http_1_0_knows_no_coding() {
    let scene = Scene::new(ROUTES).await;
    for lines in ["Transfer-Encoding: chunked\r\n", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"] {
        is_refused(&scene, &format!("POST /open HTTP/1.0\r\n{lines}\r\n0\r\n\r\n")).await;
    }
}

#[tokio::test]
async fn a_tunnel_that_is_refused_leaves_no_bytes_behind() {
    // CVE-2026-71324: what comes behind CONNECT is meant for the tunnel, and no request.
    let scene = Scene::new(ROUTES).await;
    let lines = scene.pair.lines();
    let answer =
        last_answer(&scene, &format!("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n{lines}\r\n")).await;
    answer.is_refusal(501, "Method not implemented");
    scene.upstream.saw_nothing();
}

#[tokio::test]
async fn a_body_in_bad_chunks_never_becomes_a_whole_request() {
    // RUSTSEC-2021-0079 (a size that overflows), CVE-2025-22871 and the TERM.EXT family (LF in and after an extension).
    let scene = Scene::new(ROUTES).await;
    for head in &heads(&scene.pair)[..2] {
        for chunks in [
            "g\r\n",
            "\r\n",
            "-1\r\n",
            "+4\r\nabcd\r\n0\r\n\r\n",
            "0x4\r\nabcd\r\n0\r\n\r\n",
            " 4\r\nabcd\r\n0\r\n\r\n",
            "4 \r\nabcd\r\n0\r\n\r\n",
            "4\nabcd\r\n0\r\n\r\n",
            "4\rabcd\r\n0\r\n\r\n",
            "4\r\nabcd\n0\r\n\r\n",
            "4\r\nabcd0\r\n\r\n",
            "4\r\nabcde\r\n0\r\n\r\n",
            "4\r\nabc\r\n0\r\n\r\n",
            "10000000000000004\r\nabcd\r\n0\r\n\r\n",
            "4;\r\nabcd\r\n0\r\n\r\n",
            "4;a\nb\r\nabcd\r\n0\r\n\r\n",
            "4;a=\"\n\"\r\nabcd\r\n0\r\n\r\n",
            "4\r\nabcd\r\n0\n\r\n",
            "4\r\nabcd\r\n0\r\n\n",
            "4\r\nabcd\r\n0\r\nX : y\r\n\r\n",
            "4\r\nabcd\r\n0\r\n X: y\r\n\r\n",
            "4\r\nabcd\r\n0\r\nX: y\n\r\n",
            "4\r\nabcd\r\n0\r\nX: \0\r\n\r\n",
            "4\r\nabcd\r\n00000000000000000\r\n\r\n",
        ] {
            let stream = format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}");
            let answer = last_answer(&scene, &stream).await;
            answer.is_refusal(400, "The request body broke off");
            scene.upstream.saw_nothing();
        }
        let longest = format!("4;{}\r\nabcd\r\n0\r\n\r\n", "x".repeat(500));
        let answer = last_answer(&scene, &format!("{head}Transfer-Encoding: chunked\r\n\r\n{longest}")).await;
        assert_eq!(answer.status, 400);
        scene.upstream.saw_nothing();
    }
}

#[tokio::test]
async fn a_chunk_that_turns_bad_under_way_cuts_the_upload() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, ROUTES).await;
    let mut connection = gateway.plain().await;
    connection.send("POST /open HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    let mut exchange = upstream.exchange().await;
    assert_eq!(exchange.chunk().await, b"abc");
    connection.send(format!("3\r\nabcd\r\n0\r\n\r\n{SMUGGLED}")).await;
    assert!(!exchange.some().await.is_some_and(|more| more.ends_with(b"0\r\n\r\n")), "the upload looks whole");
    exchange.cancelled().await;
    connection.answer().await.is_refusal(400, "The request body broke off");
    assert!(connection.closed().await);
    assert_eq!(upstream.only_request().target(), "/open");
}

#[tokio::test]
async fn extensions_and_odd_sizes_that_are_well_formed_go_no_further() {
    let scene = Scene::new(ROUTES).await;
    let mut connection = scene.gateway.plain().await;
    let head = "POST /open HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: Chunked\r\n\r\n";
    assert_eq!(
        connection.request(format!("{head}0A;x;y=\"z z\";w=1\r\n0123456789\r\n000;q\r\n\r\n")).await.status,
        200
    );
    let seen = scene.upstream.only_request();
    assert_eq!((&*seen.body, seen.field("content-length")), (&b"0123456789"[..], None));
    assert_eq!(seen.field("transfer-encoding").as_deref(), Some("chunked"));
}

/// Good, bad, good: with a marker of each in its path.
fn good_bad_good(bad: &str) -> String {
    let good = |path: &str| format!("GET /open/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let chunked =
        "POST /open/2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\n\r\n";
    let length = "POST /open/3 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\nGET / H";
    [&good("1"), chunked, length, bad, &good("smuggled")].concat()
}

async fn is_answered_up_to_the_bad_one(scene: &Scene, parts: [&str; 2]) {
    let mut connection = scene.gateway.plain().await;
    for part in parts {
        let _sent = connection.try_send(part).await;
        tokio::task::yield_now().await;
    }
    let before = scene.upstream.requests().len();
    let mut statuses = Vec::new();
    while let Some((status, fields)) = connection.try_head().await {
        let length = fields.one("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        connection.exactly(length).await.unwrap();
        statuses.push(status);
    }
    assert_eq!(statuses, [200, 200, 200, 400], "{parts:?}");
    let seen = scene.upstream.requests();
    let new: Vec<_> = seen[seen.len().min(before)..].iter().map(|request| request.target().to_owned()).collect();
    assert!(new.len() <= 3 && !seen.iter().any(|request| request.target().contains("smuggled")), "{parts:?}: {new:?}");
}

#[tokio::test]
async fn a_bad_request_in_a_pipeline_is_answered_in_its_turn_wherever_the_stream_is_split() {
    let scene = Scene::new(ROUTES).await;
    for bad in [
        "GET /open/bad HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
        "POST /open/bad HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /open/bad#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /open/bad HTTP/1.1\r\n\r\n",
    ] {
        is_answered_up_to_the_bad_one(&scene, [&good_bad_good(bad), ""]).await;
    }
    let stream = good_bad_good("GET /open/bad HTTP/1.1\r\nHost : localhost\r\n\r\n");
    for at in 0..stream.len() {
        is_answered_up_to_the_bad_one(&scene, stream.split_at(at).into()).await;
    }
    for request in scene.upstream.requests() {
        assert!(is_canonical(&request.head), "{}", request.head);
    }
}

#[tokio::test]
async fn what_comes_behind_a_handshake_waits_for_the_answer() {
    for (answer, behind, statuses) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", SMUGGLED, [403, 200]),
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            [403, 400],
        ),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "\x01\x02\0", [403, 400]),
    ] {
        let upstream = Upstream::by_hand().await;
        let gateway = Gateway::with(&upstream, ROUTES).await;
        let mut connection = gateway.plain().await;
        connection.send(format!("{}{behind}", upgrade::request("/open", ""))).await;
        let mut exchange = upstream.exchange().await;
        exchange.send(answer).await;
        let (first, _) = connection.head().await;
        if statuses[1] == 200 {
            let mut exchange = upstream.exchange().await;
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
        assert_eq!([first, connection.head().await.0], statuses, "{behind:?}");
    }
}

#[tokio::test]
async fn bytes_behind_a_handshake_pass_as_they_are_once_it_is_accepted() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::with(&upstream, ROUTES).await;
    // Nothing that a request could begin with; all that a judge of requests would stumble over.
    let behind = "\x01\n\0\r no request at all";
    for pieces in [1, 2] {
        let mut connection = gateway.plain().await;
        let handshake = upgrade::request("/open", "");
        connection.send(if pieces == 1 { format!("{handshake}{behind}") } else { handshake }).await;
        let mut exchange = upstream.exchange().await;
        if pieces == 2 {
            connection.send(behind).await;
        }
        let early = tokio::time::timeout(std::time::Duration::from_millis(100), exchange.some()).await;
        assert!(early.is_err(), "{early:?} came before the 101");
        let request = upstream.last_request();
        exchange.send(upgrade::accepted(&request.fields())).await;
        assert_eq!(connection.head().await.0, 101);
        let mut passed = Vec::new();
        while passed.len() < behind.len() {
            passed.extend(exchange.some().await.unwrap());
        }
        assert_eq!(passed, behind.as_bytes());
    }
}

/// Whether a head says everything that frames the message once, in the one way that all read alike.
fn is_canonical(head: &str) -> bool {
    let lines: Vec<&str> = head.split("\r\n").collect();
    let named = |name: &str| {
        lines[1..].iter().filter(|line| line.split(':').next().unwrap().eq_ignore_ascii_case(name)).count()
    };
    let words: Vec<_> = lines[0].split(' ').collect();
    let framings = named("content-length") + named("transfer-encoding");
    words.len() == 3
        && words[2] == "HTTP/1.1"
        && named("host") == 1
        && framings <= 1
        && !head.replace("\r\n", "").contains(['\r', '\n', '\0'])
        && lines[1..].iter().all(|line| line.find(':').is_some_and(|at| at > 0 && !line[..at].contains([' ', '\t'])))
}

/// Streams of which some parts are requests, and others are meant to be taken for some.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let part = prop::sample::select(vec![
        "GET /open/good HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST /open/good HTTP/1.1\r\nHost: localhost\r\n",
        "POST /open/good HTTP/1.1\r\nHost: localhost\r\nContent-Length: 57\r\n\r\nGET /open/smuggled HTTP/1.1\r\nHost: localhost\r\nX: 12345\r\n\r\n",
        "POST /open/good HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Content-Length: 4\r\n",
        "Content-Length: 04 \r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\n",
        "Transfer-Encoding:\tchunked, identity\r\n",
        " folded\r\n",
        "X: y\r\n",
        "4\r\nabcd\r\n",
        "4;x\nabcd\r\n",
        "0\r\n\r\n",
        "\r\n",
        "\n",
        "\r",
        "\0",
        "GET / HTTP/1.1\r\n",
        "GET http://localhost/open/good HTTP/1.0\r\n\r\n",
    ]);
    let noise = prop::collection::vec(any::<u8>(), 0..4);
    let parts = prop::collection::vec((part, prop::option::weighted(0.05, noise)), 1..10);
    parts.prop_map(|parts| {
        let bytes = |(part, noise): (&str, Option<Vec<u8>>)| [part.as_bytes(), &noise.unwrap_or_default()].concat();
        parts.into_iter().flat_map(bytes).collect()
    })
}

#[test]
fn whatever_comes_is_refused_or_forwarded_as_one_canonical_message_a_request() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let scene = runtime.block_on(Scene::new(ROUTES));
    let property = |stream: Vec<u8>| {
        runtime.block_on(async {
            let mut socket = tokio::net::TcpStream::connect(scene.gateway.plain).await.unwrap();
            let _sent = socket.write_all(&stream).await;
            let _sent = socket.write_all(b"\r\n\r\nGET\n\n").await;
            // What is whole is answered; what is not ends here: noise before a chunk can make it 64 KiB long.
            let _ended = socket.shutdown().await;
            let mut connection = Connection::over(socket);
            while connection.try_head().await.is_some() {}
        });
        for request in scene.upstream.requests() {
            prop_assert!(is_canonical(&request.head), "{}", request.head);
            prop_assert!(["/open/good", "/"].contains(&request.target()), "{}", request.head);
        }
        Ok(())
    };
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest::test_runner::TestRunner::new(config).run(&streams(), property).unwrap();
}
