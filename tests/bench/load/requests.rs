//! Requests with rotating pairs, as far towards bytes as their protocol lets them be made beforehand.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use super::client::Protocol;

const X_KEY: HeaderName = HeaderName::from_static("x-key");
const X_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");

/// A request, as its protocol wants it: head and body, or one piece.
pub(crate) enum Asked {
    H1(Bytes, Bytes),
    H2(Box<Request<()>>, Bytes),
}

/// Requests for one path, each with the next pair. The heads of HTTP/1.1 are in words already, the body's length with them.
#[derive(Clone)]
pub(crate) struct Requests {
    pairs: Rc<[Pair]>,
    next: Rc<Cell<usize>>,
    uri: Uri,
    body: Bytes,
}

enum Pair {
    Head(Bytes),
    Values(HeaderValue, HeaderValue),
}

impl Requests {
    pub(crate) fn new(pairs: &Path, path: &str, protocol: Protocol, body: Bytes) -> Self {
        let lines = std::fs::read_to_string(pairs).unwrap();
        let pairs = lines.lines().map(|line| {
            let (key, token) = line.split_once(' ').unwrap();
            match protocol {
                Protocol::H1 => Pair::Head(head(path, &format!("x-key: {key}\r\nx-access-token: {token}\r\n"), &body)),
                Protocol::H2 => Pair::Values(key.parse().unwrap(), token.parse().unwrap()),
            }
        });
        let uri = format!("https://localhost{path}").parse().unwrap();
        Self { pairs: pairs.collect(), next: Rc::default(), uri, body }
    }

    pub(crate) fn next(&self) -> Asked {
        match &self.pairs[self.next.replace(self.next.get() + 1) % self.pairs.len()] {
            Pair::Head(head) => Asked::H1(head.clone(), self.body.clone()),
            Pair::Values(key, token) => Asked::H2(Box::new(self.request(key, token)), self.body.clone()),
        }
    }

    fn request(&self, key: &HeaderValue, token: &HeaderValue) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = method(&self.body);
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(X_KEY, key.clone());
        headers.insert(X_ACCESS_TOKEN, token.clone());
        headers.insert(USER_AGENT, HeaderValue::from_static("load"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request
    }
}

fn method(body: &Bytes) -> Method {
    if body.is_empty() { Method::GET } else { Method::POST }
}

/// The head of a request of HTTP/1.1; `more` are lines of it.
pub(crate) fn head(path: &str, more: &str, body: &Bytes) -> Bytes {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!(
        "{} {path} HTTP/1.1\r\nhost: localhost\r\n{more}user-agent: load\r\ncontent-type: application/json\r\n{length}\r\n",
        method(body)
    )
    .into()
}
