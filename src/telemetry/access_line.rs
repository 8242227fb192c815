//! One access line: what it says, and how it is written, as a JSON object or for people. Knows no queue and no file.

use std::io::Write as _;
use std::net::IpAddr;

use super::target::escaped;
use crate::config::LogFormat;

/// What an access line says.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The client, behind trusted proxies.
    pub peer: IpAddr,
    /// Canonical name, if a session or a login names one.
    pub user: Option<&'a str>,
    /// The client's name by its certificate; only where it showed one.
    pub client: Option<&'a str>,
    /// As sent: a token (RFC 9110, section 5.6.2).
    pub method: &'a str,
    /// As sent, without the query.
    pub path: &'a str,
    /// Only where configured; credentials redacted.
    pub query: Option<&'a str>,
    /// `h1` or `h2`.
    pub protocol: &'static str,
    /// The path of the rule that decided.
    pub route: Option<&'a str>,
    /// 0 when the client was gone before an answer began.
    pub status: u16,
    /// Body bytes from the client.
    pub received: u64,
    /// Body bytes to the client.
    pub sent: u64,
    /// Microseconds from the head of the request to the last byte of the answer.
    pub micros: u64,
    /// Microseconds until the upstream's answer began.
    pub upstream_micros: u64,
    /// Host and port of the server that answered or failed.
    pub server: Option<&'a str>,
    /// Why the gateway refused, or what went wrong.
    pub refusal: Option<&'static str>,
    /// Also in `X-Request-Id`: letters, digits, and `._-`.
    pub request_id: &'a [u8],
}

impl Line<'_> {
    /// Appends the line and its end to `buffer`.
    pub fn append(&self, buffer: &mut Vec<u8>, format: LogFormat, time: &str) {
        match format {
            LogFormat::Json => self.append_object(buffer, time),
            LogFormat::Text => self.append_text(buffer, time),
        }
    }

    fn append_object(&self, buffer: &mut Vec<u8>, time: &str) {
        buffer.extend_from_slice(b"{\"time\":\"");
        buffer.extend_from_slice(time.as_bytes());
        buffer.push(b'"');
        let mut members = Members(buffer);
        members.address(r#","peer":"#, self.peer);
        members.text_or_null(r#","user":"#, self.user);
        members.text_if_any(r#","client":"#, self.client);
        members.plain(r#","method":""#, self.method.as_bytes());
        members.text(r#","path":"#, self.path);
        members.text_if_any(r#","query":"#, self.query);
        members.plain(r#","protocol":""#, self.protocol.as_bytes());
        members.text_or_null(r#","route":"#, self.route);
        members.number(r#","status":"#, self.status.into());
        members.number(r#","received":"#, self.received);
        members.number(r#","sent":"#, self.sent);
        members.number(r#","micros":"#, self.micros);
        members.number(r#","upstream_micros":"#, self.upstream_micros);
        members.text_or_null(r#","server":"#, self.server);
        match self.refusal {
            Some(refusal) => members.plain(r#","refusal":""#, refusal.as_bytes()),
            None => members.0.extend_from_slice(br#","refusal":null"#),
        }
        members.plain(r#","request_id":""#, self.request_id);
        buffer.extend_from_slice(b"}\n");
    }

    fn append_text(&self, buffer: &mut Vec<u8>, time: &str) {
        let Line { peer, method, protocol, status, received, sent, micros, upstream_micros, .. } = self;
        let or_dash = |text: Option<&str>| text.map_or("-".to_owned(), escaped);
        let (user, route) = (or_dash(self.user), or_dash(self.route));
        let (server, refusal) = (or_dash(self.server), or_dash(self.refusal));
        let (path, request_id) = (escaped(self.path), escaped(&String::from_utf8_lossy(self.request_id)));
        let client = self.client.map(|client| format!(" client={}", escaped(client))).unwrap_or_default();
        let query = self.query.map(|query| format!("?{}", escaped(query))).unwrap_or_default();
        let _whole = writeln!(
            buffer,
            "{time} {peer} {user} {method} {path}{query} {protocol} {status} in={received} out={sent} us={micros} \
             up={upstream_micros} route={route} server={server} refusal={refusal} id={request_id}{client}"
        );
    }
}

/// The members of an object after its first. Written by hand: this is on every request's way, and costs a third of serde's. Names
/// come as they are written, with what stands around them.
struct Members<'a>(&'a mut Vec<u8>);

impl Members<'_> {
    /// A text without anything to escape; the name ends with its quote.
    fn plain(&mut self, name: &str, text: &[u8]) {
        debug_assert!(text.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\')), "{name}{text:?}");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(text);
        self.0.push(b'"');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.0.extend_from_slice(name.as_bytes());
        // Every byte is looked at, many at once.
        let is_plain = |plain, b| plain & (b >= b' ') & (b != b'"') & (b != b'\\');
        if !text.bytes().fold(true, is_plain) {
            let _whole = serde_json::to_writer(&mut *self.0, text);
            return;
        }
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    fn address(&mut self, name: &str, address: IpAddr) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(b'"');
        match address {
            IpAddr::V4(address) => {
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        self.0.push(b'.');
                    }
                    self.0.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
                }
            }
            // A vector takes all that is written to it.
            IpAddr::V6(address) => drop(write!(self.0, "{address}")),
        }
        self.0.push(b'"');
    }

    fn text_if_any(&mut self, name: &str, text: Option<&str>) {
        text.into_iter().for_each(|text| self.text(name, text));
    }

    fn text_or_null(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => {
                self.0.extend_from_slice(name.as_bytes());
                self.0.extend_from_slice(b"null");
            }
        }
    }

    fn number(&mut self, name: &str, number: u64) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use http::Method;
    use proptest::prelude::*;

    pub(crate) fn line(path: &str) -> Line<'_> {
        Line {
            peer: IpAddr::from([127, 0, 0, 1]),
            user: Some("100@mydomain.com"),
            client: None,
            method: "GET",
            path,
            query: None,
            protocol: "h1",
            route: Some("/"),
            status: 200,
            received: 0,
            sent: 5,
            micros: 10,
            upstream_micros: 5,
            server: None,
            refusal: None,
            request_id: b"id-1",
        }
    }

    fn written(format: LogFormat, line: Line<'_>) -> String {
        let mut buffer = Vec::new();
        line.append(&mut buffer, format, "now");
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn text_lines_are_for_people() {
        let text = written(LogFormat::Text, line("/c"));
        assert!(text.starts_with("now 127.0.0.1 100@mydomain.com GET /c h1 200 in=0 out=5 "), "{text}");
    }

    #[test]
    fn a_text_line_is_one_line_whatever_the_path_holds() {
        let forged = "/a\u{85}b\u{2028}c\u{2029}d\u{1b}[2Je\u{9b}f g\u{202e}h\rj\nk";
        let line = Line { query: Some(forged), user: Some("x y"), ..line(forged) };
        let text = written(LogFormat::Text, line);
        let escaped = r"/a\u{85}b\u{2028}c\u{2029}d\u{1b}[2Je\u{9b}f\u{20}g\u{202e}h\rj\nk";
        assert!(text.contains(&format!(r" x\u{{20}}y GET {escaped}?{escaped} h1 200 ")), "{text}");
        assert_eq!(text.chars().filter(|c| c.is_control() || "\u{2028}\u{2029}".contains(*c)).count(), 1, "{text:?}");
    }

    #[test]
    fn no_method_holds_what_must_be_escaped() {
        let odd = |b: &u8| !b.is_ascii_graphic() || matches!(b, b'"' | b'\\');
        assert!((0..=u8::MAX).filter(odd).all(|b| Method::from_bytes(&[b'A', b, b'A']).is_err()));
    }

    #[test]
    fn addresses_are_as_they_are_printed() {
        for address in ["127.0.0.1", "10.0.200.255", "::1", "2001:db8::ff00:1"] {
            let line = Line { peer: address.parse().unwrap(), ..line("/") };
            let json: serde_json::Value = serde_json::from_str(&written(LogFormat::Json, line)).unwrap();
            assert_eq!(json["peer"], address);
        }
    }

    proptest! {
        #[test]
        fn every_line_is_an_object_whatever_its_texts_hold(
            text in any::<String>(),
            token in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}",
            number in any::<u64>(),
        ) {
            let (user, query, request_id) = (Some(text.as_str()), Some(text.as_str()), token.as_bytes());
            let all = Line { user, query, server: user, method: &token, sent: number, request_id, ..line(&text) };
            let json: serde_json::Value = serde_json::from_str(&written(LogFormat::Json, all)).unwrap();
            prop_assert_eq!((&json["path"], &json["sent"]), (&text.clone().into(), &number.into()));
            prop_assert!(["user", "query", "server"].iter().all(|name| json[name] == text));
            prop_assert!(["method", "request_id"].iter().all(|name| json[name] == token));
            prop_assert_eq!((&json["time"], &json["refusal"]), (&"now".into(), &serde_json::Value::Null));
            prop_assert!(json.get("client").is_none());
        }
    }
}
