//! Reads what proxies say of the client behind them: the `Forwarded` header (RFC 7239, section 4) and the nodes that it and
//! `X-Forwarded-For` name. Knows nothing of who may be believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What one proxy said: where the request came from, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// `for`: see [`node`].
    pub(crate) node: Option<&'a str>,
    /// `proto`: a scheme.
    pub(crate) proto: Option<&'a str>,
}

/// The elements of one line. `None` when the line is not what the RFC says, or says it in a way that readers might differ about:
/// a parameter twice in an element, or an escape in a value that matters here.
pub(crate) fn elements(line: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut reader = Reader(std::str::from_utf8(line).ok()?);
    let mut elements = Vec::new();
    loop {
        elements.extend(reader.element()?);
        if reader.0.is_empty() {
            return Some(elements);
        }
        reader.eat(',')?;
    }
}

/// The address in a node: `1.2.3.4`, `1.2.3.4:80`, `[2001:db8::1]:80`, or IPv6 without brackets or port. `None` for `unknown`, for
/// an obfuscated identifier, and for whatever else is no address.
pub(crate) fn node(text: &str) -> Option<IpAddr> {
    let address: IpAddr = if let Some(inner) = text.strip_prefix('[') {
        let (address, rest) = inner.split_once(']')?;
        let plain = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        address.parse::<Ipv6Addr>().ok().filter(|_| plain)?.into()
    } else if let Ok(address) = text.parse() {
        address
    } else {
        let (address, port) = text.split_once(':')?;
        address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port))?.into()
    };
    Some(address.to_canonical())
}

/// A number or an obfuscated port (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    let obscure = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    match text.strip_prefix('_') {
        Some(hidden) => !hidden.is_empty() && hidden.bytes().all(obscure),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// What is left of a line.
struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    /// The next element; an empty one, as lists may hold, is none.
    fn element(&mut self) -> Option<Option<Element<'a>>> {
        let (mut element, mut is_empty) = (Element::default(), true);
        loop {
            self.skip_spaces();
            let name = self.take_while(is_token);
            if !name.is_empty() {
                self.eat('=')?;
                let value = self.value()?;
                is_empty = false;
                match () {
                    () if name.eq_ignore_ascii_case("for") => set(&mut element.node, value)?,
                    () if name.eq_ignore_ascii_case("proto") => set(&mut element.proto, value)?,
                    () => {}
                }
            }
            self.skip_spaces();
            if self.eat(';').is_none() {
                return Some((!is_empty).then_some(element));
            }
        }
    }

    /// A token or a quoted string. Addresses with colons and brackets must be quoted, but not every proxy does.
    fn value(&mut self) -> Option<&'a str> {
        if self.eat('"').is_none() {
            let bare = self.take_while(|b| is_token(b) || b":[]".contains(&b));
            return (!bare.is_empty()).then_some(bare);
        }
        let mut escaped = false;
        let end = self.0.bytes().position(|b| {
            let ends = b == b'"' && !escaped;
            escaped = b == b'\\' && !escaped;
            ends
        })?;
        let (value, rest) = self.0.split_at(end);
        self.0 = &rest[1..];
        Some(value)
    }

    fn skip_spaces(&mut self) {
        self.take_while(|b| matches!(b, b' ' | b'\t'));
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let end = self.0.bytes().position(|b| !wanted(b)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn eat(&mut self, wanted: char) -> Option<()> {
        self.0 = self.0.strip_prefix(wanted)?;
        Some(())
    }
}

fn set<'a>(into: &mut Option<&'a str>, value: &'a str) -> Option<()> {
    if into.is_some() || value.contains('\\') {
        return None;
    }
    *into = Some(value);
    Some(())
}

/// RFC 9110, section 5.6.2.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Option<Vec<(&str, &str)>> {
        let pair = |element: Element<'static>| (element.node.unwrap_or("-"), element.proto.unwrap_or("-"));
        let line: &'static str = line.to_owned().leak();
        elements(line.as_bytes()).map(|elements| elements.into_iter().map(pair).collect())
    }

    #[test]
    fn elements_are_read_as_the_rfc_writes_them() {
        assert_eq!(read("for=\"_gazonk\"").unwrap(), [("_gazonk", "-")]);
        assert_eq!(read("For=\"[2001:db8:cafe::17]:4711\"").unwrap(), [("[2001:db8:cafe::17]:4711", "-")]);
        assert_eq!(read("for=192.0.2.60;proto=http;by=203.0.113.43").unwrap(), [("192.0.2.60", "http")]);
        assert_eq!(read("for=192.0.2.43, for=198.51.100.17").unwrap(), [("192.0.2.43", "-"), ("198.51.100.17", "-")]);
        assert_eq!(
            read("host=\"a,b;c\\\"d\" ; proto=https ,, ;for=unknown").unwrap(),
            [("-", "https"), ("unknown", "-")]
        );
        assert_eq!(read("for=[::1]:5").unwrap(), [("[::1]:5", "-")]);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for bad in [
            "for=\"1.1.1.1",
            "for=",
            "for",
            "for=1.1.1.1;for=2.2.2.2",
            "for=1.1.1.1 for=2.2.2.2",
            "for=\"1\\.1.1.1\"",
            "for=\"1.1.1.1\"x",
            "for =1.1.1.1",
            "=1.1.1.1",
            "for=é",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(elements(b"for=\xff"), None);
    }

    #[test]
    fn nodes_are_addresses_with_or_without_a_port() {
        for (text, address) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4:80", "1.2.3.4"),
            ("1.2.3.4:_port", "1.2.3.4"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:65535", "2001:db8::1"),
            ("::ffff:1.2.3.4", "1.2.3.4"),
        ] {
            assert_eq!(node(text).map(|node| node.to_string()).as_deref(), Some(address));
        }
        for none in [
            "",
            "unknown",
            "_hidden",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:x",
            "[::1",
            "[1.2.3.4]",
            "[::1]x",
            "[::1]:",
            "a.b",
            "1.2.3.4:_",
            "1.2.3.4:123456",
            "::1%eth0",
        ] {
            assert_eq!(node(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in any::<Vec<u8>>(), text in "[a-z=;,\"\\\\ :.\\[\\]0-9]{0,60}") {
            let _ = elements(&line);
            let _ = elements(text.as_bytes());
            let _ = node(&text);
        }

        #[test]
        fn what_is_written_is_read_back(nodes in prop::collection::vec(any::<IpAddr>(), 1..5), port in any::<u16>()) {
            let text = |ip: &IpAddr| std::net::SocketAddr::new(*ip, port).to_string();
            let line: Vec<String> = nodes.iter().map(|ip| format!("for=\"{}\";proto=https", text(ip))).collect();
            let line = line.join(", ");
            let read: Vec<IpAddr> =
                elements(line.as_bytes()).unwrap().iter().filter_map(|element| node(element.node?)).collect();
            prop_assert_eq!(read, nodes.iter().map(IpAddr::to_canonical).collect::<Vec<_>>());
        }
    }
}
