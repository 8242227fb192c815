//! The families of published attacks on gateways of this kind, one module each: what is refused never reaches the upstream, and
//! what reaches it says everything once, in the gateway's own words.

mod aliases;
mod credentials;
mod forwarded;
mod hop_by_hop;
mod http2_floods;
mod http2_framing;
mod http2_messages;
mod identity;
mod logins;
mod oracle;
mod paths;
mod poisoning;
mod readers;
mod slow;
mod smuggling;
mod tokens;
mod websocket;
mod websocket_cases;

use http::{HeaderValue, Request};
use hyper::ext::Protocol;

use crate::harness::{Gateway, H2, Pair, Recorded, USER, Upstream, User, body, upgrade};

/// A route of each kind: for a session, for anybody, for nobody, for a role that [`USER`] has not.
const ROUTES: &str = "routes = [
    { path = '/', upstream = 'main' },
    { path = '/open', upstream = 'main', access = 'public' },
    { path = '/shut', access = 'deny' },
    { path = '/root', upstream = 'main', roles = ['root'] },
]";

/// What an attacker writes where only the gateway may write.
const FORGED: &str = "forged-by-the-client";

/// How a request reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http1,
    Http2,
    /// A WebSocket's handshake.
    Upgrade1,
    /// Extended CONNECT (RFC 8441).
    Upgrade2,
}

const WAYS: [Way; 4] = [Way::Http1, Way::Http2, Way::Upgrade1, Way::Upgrade2];

/// A header line: its name, and a value that need not be text.
type Line = (String, Vec<u8>);

fn line(name: impl Into<String>, value: impl AsRef<[u8]>) -> Line {
    (name.into(), value.as_ref().to_vec())
}

/// The two lines that present a pair.
fn lines(pair: &Pair) -> Vec<Line> {
    vec![line("X-Key", &pair.key), line("X-Access-Token", &pair.token)]
}

/// What the client and the upstream saw of one request.
struct Seen {
    status: u16,
    /// The answer's content.
    text: String,
    /// What came through.
    through: Vec<Recorded>,
}

impl Seen {
    /// Fails the test unless the request was refused with that status, and nothing of it came through.
    #[track_caller]
    fn is_refused(&self, status: u16, what: &str) {
        assert_eq!(self.status, status, "{what}: {}", self.text);
        assert!(self.through.is_empty(), "{what}: the upstream saw {:?}", self.through);
    }

    /// The one request that came through.
    #[track_caller]
    fn passed(&self, what: &str) -> &Recorded {
        assert!([101, 200].contains(&self.status), "{what}: {} {}", self.status, self.text);
        assert_eq!(self.through.len(), 1, "{what}: {:?}", self.through);
        &self.through[0]
    }
}

/// A gateway with an upstream that records, and a session there.
struct Scene {
    upstream: Upstream,
    gateway: Gateway,
    pair: Pair,
    h2: H2,
}

impl Scene {
    async fn new(settings: &str) -> Self {
        Self::of(&USER, settings).await
    }

    /// With another user's session.
    async fn of(user: &User, settings: &str) -> Self {
        let upstream = Upstream::start().await;
        let gateway = Gateway::with(&upstream, settings).await;
        let (pair, h2) = (gateway.login(user).await, gateway.h2().await);
        // The answer comes after the settings, which allow extended CONNECT.
        h2.request("OPTIONS", "/login", &[]).await;
        Self { upstream, gateway, pair, h2 }
    }

    /// Asks with these lines and no others but what the way needs.
    async fn ask(&self, way: Way, target: &str, lines: &[Line]) -> Seen {
        self.ask_by(way, ("GET", target), lines).await
    }

    /// Asks by a method, which counts where the way leaves the choice.
    async fn ask_by(&self, way: Way, (method, target): (&str, &str), lines: &[Line]) -> Seen {
        let before = self.upstream.count();
        let (status, text) = match way {
            Way::Http1 => {
                let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n");
                self.over_http1(head, lines).await
            }
            Way::Upgrade1 => {
                let head = upgrade::request(target, "");
                self.over_http1(head.strip_suffix("\r\n").unwrap().to_owned(), lines).await
            }
            Way::Http2 => self.over_http2(self.h2.build(method, target, &[]), lines).await,
            Way::Upgrade2 => {
                let request = self.h2.build("CONNECT", target, &[("sec-websocket-version", "13")]);
                self.over_http2(request.extension(Protocol::from_static("websocket")), lines).await
            }
        };
        Seen { status, text, through: self.upstream.since(before) }
    }

    async fn over_http1(&self, head: String, lines: &[Line]) -> (u16, String) {
        let mut request = head.into_bytes();
        for (name, value) in lines {
            request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        let mut connection = self.gateway.plain().await;
        let answer = connection.request(request).await;
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }

    async fn over_http2(&self, request: http::request::Builder, lines: &[Line]) -> (u16, String) {
        let with = |request: http::request::Builder, (name, value): &Line| {
            request.header(name.to_ascii_lowercase(), HeaderValue::from_bytes(value).expect("a value"))
        };
        let request: Request<_> = lines.iter().fold(request, with).body(body("")).expect("a request");
        let opens = request.extensions().get::<Protocol>().is_some();
        let answer = self.h2.send(request).await.expect("an answer");
        let status = answer.status().as_u16();
        if opens && status == 200 {
            return (status, String::new());
        }
        let answer = crate::harness::whole(answer).await;
        (status, String::from_utf8_lossy(&answer.body).into_owned())
    }
}

/// A name with every mix of `-`, `_`, `.` and one other sign, in several mixes of case.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    for c in name.chars() {
        let signs: &[char] = if c == '-' { &['-', '_', '.', '~'] } else { &[c] };
        all = all.iter().flat_map(|begun| signs.iter().map(move |sign| format!("{begun}{sign}"))).collect();
    }
    let alternating = |name: &String| {
        let turn = |(at, c): (usize, char)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c };
        name.chars().enumerate().map(turn).collect()
    };
    let upper: Vec<String> = all.iter().map(|name| name.to_uppercase()).collect();
    let mixed: Vec<String> = all.iter().map(alternating).collect();
    [all, upper, mixed].concat()
}
