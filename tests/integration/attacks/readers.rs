//! Family 4 again, from the upstream's side: whatever an upstream of some kind makes of a path that comes through, it is a path of
//! the route that let it through. The readers here share nothing with the gateway's own.

use super::{Scene, Way, lines};
use crate::harness::{Gateway, Upstream};

const ROUTES: &str = "routes = [
    { path = '/', upstream = 'main', encoded_slash = 'SLASH' },
    { path = '/open', upstream = 'main', access = 'public', encoded_slash = 'SLASH' },
    { path = '/shut', access = 'deny' },
    { path = '/root', upstream = 'main', roles = ['root'] },
]";

/// Between segments, as some upstream may see it.
const SLASHES: [&str; 16] = [
    "/",
    "//",
    "%2f",
    "%2F",
    "%5c",
    "\\",
    "%252f",
    "%255C",
    "%c0%af",
    "%e0%80%af",
    "%ef%bc%8f",
    "%ef%bc%bc",
    ";/",
    "/;x/",
    ";a=%2f/",
    "/%2f/",
];
/// Between those, a way up.
const UPS: [&str; 20] = [
    "..",
    "%2e%2e",
    ".%2E",
    "%252e%252e",
    "..;",
    "..;x=1",
    "%2e%2e%3b",
    "..%00",
    "..%20",
    "%c0%ae%c0%ae",
    "%ef%bc%8e.",
    "..%23",
    "..%3f",
    "...",
    ".",
    "",
    "..%09",
    "..%c2%a0",
    "%20..",
    "%e2%80%a8..%c2%85",
];
/// What is shut, as some upstream may see it.
const SHUT: [&str; 23] = [
    "shut",
    "SHUT",
    "Shut",
    "%73hut",
    "%2573hut",
    "%53HUT",
    "shut;x=1",
    "shut%3bx",
    "shut.",
    "shut%2e",
    "shut%20",
    "%20shut",
    "shut%00",
    "shut%00x",
    "shut%0a",
    "shut%23x",
    "shut%3fx",
    "shut/",
    "shut%2f",
    "%ef%bd%93hut",
    "%c5%bfhut",
    "%c1%b3hut",
    "shut%ef%bb%bf",
];

/// An upstream of some kind, and what path it sees.
type Reader = (&'static str, fn(&[u8]) -> Vec<u8>);

const READERS: [Reader; 13] = [
    ("node, express", |path| fold_case(path)),
    ("Go's mux", |path| resolve(&decode(path))),
    ("node's new URL", |path| resolve(&drop_host(&backslashes(path)))),
    ("nginx, Apache", |path| fold_case(&resolve(&merge(&decode(path))))),
    ("Tomcat", |path| resolve(&merge(&decode(&cut(path, b';'))))),
    ("Jetty", |path| resolve(&merge(&cut(&decode(path), b';')))),
    ("IIS", |path| fold_case(&resolve(&merge(&trim(&backslashes(&decode(path))))))),
    ("one that decodes twice", |path| fold_case(&resolve(&merge(&trim(&backslashes(&decode(&decode(path)))))))),
    ("a C program", |path| resolve(&merge(&until(&decode(path), b"\0")))),
    ("one that parses what it decoded", |path| resolve(&until(&decode(path), b"?#"))),
    ("Python, normalised", |path| fold_case(&resolve(&merge(&trim(&backslashes(&compatible(&decode(path)))))))),
    ("one that trims", |path| resolve(&merge(&strip(&decode(path))))),
    ("old Tomcat, overlong", |path| fold_case(&resolve(&merge(&backslashes(&overlong(&decode(path))))))),
];

#[tokio::test]
async fn no_upstream_sees_another_routes_path_over_http_1() {
    nothing_slips_past(Way::Http1, "refuse").await;
    nothing_slips_past(Way::Http1, "keep").await;
}

#[tokio::test]
async fn no_upstream_sees_another_routes_path_over_http_2() {
    nothing_slips_past(Way::Http2, "refuse").await;
    nothing_slips_past(Way::Http2, "keep").await;
}

#[tokio::test]
async fn no_upstream_sees_another_routes_path_in_a_handshake() {
    nothing_slips_past(Way::Upgrade1, "keep").await;
}

async fn nothing_slips_past(way: Way, encoded_slash: &str) {
    let scene = Scene::new(&ROUTES.replace("SLASH", encoded_slash)).await;
    let (pair, mut passed) = (lines(&scene.pair), 0);
    for path in paths().iter().filter(|path| way != Way::Http2 || is_uri(path)) {
        let seen = scene.ask(way, path, &pair).await;
        if ![101, 200].contains(&seen.status) {
            assert!([400, 403].contains(&seen.status), "{path}: {}", seen.status);
            seen.is_refused(seen.status, path);
            continue;
        }
        passed += 1;
        assert_eq!(seen.passed(path).target(), path, "the path judged is the path sent");
        for (name, read) in READERS {
            let read = read(path.as_bytes());
            let text = String::from_utf8_lossy(&read);
            assert_eq!(route(&read), route(path.as_bytes()), "{path}: {name} sees {text:?}");
        }
    }
    assert!(passed > 50, "what all read alike comes through: {passed}");
}

/// Every start with every way on to what is shut, and every spelling of that.
fn paths() -> Vec<String> {
    let mut paths = Vec::new();
    for start in ["", "/open/x", "/root", "///h"] {
        for slash in SLASHES {
            paths.extend(UPS.iter().map(|up| format!("{start}/a{slash}{up}{slash}{up}{slash}shut/x")));
            paths.extend(UPS.iter().map(|up| format!("{start}{slash}{up}/shut")));
            paths.extend(SHUT.iter().flat_map(|shut| {
                [
                    format!("{start}{slash}{shut}"),
                    format!("{start}/..{slash}{shut}/x"),
                    format!("{start}/{shut}{slash}x"),
                ]
            }));
        }
    }
    paths.retain(|path| path.starts_with('/'));
    paths
}

/// Whether a client that builds a URI of it can send it as it is.
fn is_uri(path: &str) -> bool {
    path.parse::<http::Uri>().is_ok_and(|uri| uri.path() == path && uri.query().is_none())
}

/// The route by whole segments.
fn route(path: &[u8]) -> &'static str {
    let under =
        |route: &str| path.strip_prefix(route.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
    ["/shut", "/root", "/open"].into_iter().find(|route| under(route)).unwrap_or("/")
}

fn decode(path: &[u8]) -> Vec<u8> {
    let hex = |b: u8| char::from(b).to_digit(16).map(|digit| digit as u8);
    let (mut decoded, mut at) = (Vec::new(), 0);
    while at < path.len() {
        match path[at..] {
            [b'%', high, low, ..] if hex(high).is_some() && hex(low).is_some() => {
                decoded.push(hex(high).unwrap() << 4 | hex(low).unwrap());
                at += 3;
            }
            _ => {
                decoded.push(path[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn fold_case(path: &[u8]) -> Vec<u8> {
    path.to_ascii_lowercase()
}

fn join<'a>(segments: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    segments.collect::<Vec<_>>().join(&b'/')
}

fn merge(path: &[u8]) -> Vec<u8> {
    let kept = path.split(|b| *b == b'/').filter(|segment| !segment.is_empty());
    [b"/", &join(kept)[..]].concat()
}

fn resolve(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|b| *b == b'/').skip(1) {
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    [b"/", &join(kept.into_iter())[..]].concat()
}

/// Cuts each segment at a sign.
fn cut(path: &[u8], sign: u8) -> Vec<u8> {
    join(path.split(|b| *b == b'/').map(|segment| segment.split(|b| *b == sign).next().unwrap_or_default()))
}

/// Cuts the whole at any of these signs.
fn until(path: &[u8], signs: &[u8]) -> Vec<u8> {
    path.split(|b| signs.contains(b)).next().unwrap_or_default().to_vec()
}

fn trim(path: &[u8]) -> Vec<u8> {
    let trimmed = |segment: &[u8]| {
        let up_or_here = matches!(segment, b"." | b"..");
        let end = segment.iter().rposition(|b| *b > b' ' && *b != b'.').map_or(0, |last| last + 1);
        let end = if up_or_here { segment.len() } else { end };
        segment[..end].trim_ascii_start().to_vec()
    };
    path.split(|b| *b == b'/').map(trimmed).collect::<Vec<_>>().join(&b'/')
}

/// Without blanks around each segment, as JavaScript trims.
fn strip(path: &[u8]) -> Vec<u8> {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}' || c.is_control();
    let text = String::from_utf8_lossy(path);
    text.split('/').map(|segment| segment.trim_matches(blank)).collect::<Vec<_>>().join("/").into_bytes()
}

/// A URL of a scheme like http ignores how many slashes there are before the host.
fn drop_host(path: &[u8]) -> Vec<u8> {
    if !path.starts_with(b"//") {
        return path.to_vec();
    }
    let slashes = path.iter().take_while(|b| **b == b'/').count();
    [b"/", &join(path[slashes..].split(|b| *b == b'/').skip(1))[..]].concat()
}

fn backslashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|b| if *b == b'\\' { b'/' } else { *b }).collect()
}

/// What Unicode calls compatible, of the letters and signs that are used here.
fn compatible(path: &[u8]) -> Vec<u8> {
    let plain = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from(u8::try_from(u32::from(c) - 0xfee0).unwrap()),
        '\u{17f}' => 's',
        '\u{a0}' | '\u{3000}' => ' ',
        other => other,
    };
    String::from_utf8_lossy(path).chars().map(plain).collect::<String>().into_bytes()
}

/// Sequences that are longer than UTF-8 allows, read all the same.
fn overlong(path: &[u8]) -> Vec<u8> {
    let (mut read, mut at) = (Vec::new(), 0);
    while at < path.len() {
        let (byte, length) = match path[at..] {
            [first @ (0xc0 | 0xc1), last, ..] => ((first & 1) << 6 | last & 0x3f, 2),
            [0xe0, middle @ (0x80 | 0x81), last, ..] => ((middle & 1) << 6 | last & 0x3f, 3),
            _ => (path[at], 1),
        };
        read.push(byte);
        at += length;
    }
    read
}

/// What is left of a path behind a cut prefix begins with one slash, whatever followed the prefix.
#[tokio::test]
async fn a_cut_prefix_leaves_a_path_and_no_host() {
    let upstream = Upstream::start().await;
    let settings = "routes = [{ path = '/cut', upstream = 'main', access = 'public', strip_prefix = true }]";
    let gateway = Gateway::with(&upstream, settings).await;
    for (path, told) in [
        ("/cut", "/"),
        ("/cut/", "/"),
        ("/cut//evil.example/x", "/evil.example/x"),
        ("/cut///x", "/x"),
        ("/cut/x//y", "/x//y"),
        ("/cut?//x", "/?//x"),
        ("/cut/%41", "/%41"),
    ] {
        assert_eq!(gateway.get(path, "").await.status, 200, "{path}");
        assert_eq!(upstream.last_request().target(), told, "{path}");
    }
    let before = upstream.requests().len();
    for path in ["/cut/../x", "/cut/%2e%2e/x", "/cut%2fx", "/cut/..;/x%2f", "/cut/%5cevil.example", "/CUT/x", "/cut;/x"]
    {
        assert_eq!(gateway.get(path, "").await.status, 400, "{path}");
    }
    assert_eq!(upstream.requests().len(), before);
}
