//! Where a request really comes from: the peer, or what trusted proxies say of the client behind them. Nobody else is believed.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::Peer;
use super::forwarded::{self, Element};
use crate::auth::Origin;
use crate::config::ForwardedPolicy;
use crate::upstream::headers::list;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Who sent a request.
#[derive(Debug)]
pub(crate) struct Client {
    /// The right-most address that is not a trusted proxy's.
    pub(crate) address: IpAddr,
    /// The trusted proxies that it came through, the nearest first; empty where the peer is the client.
    pub(crate) proxies: Vec<IpAddr>,
    /// The scheme that the client spoke: `https` or `http`.
    pub(crate) scheme: &'static str,
    /// A trusted proxy's own request id, if it is one: `[A-Za-z0-9._-]{1,128}`.
    pub(crate) request_id: Option<HeaderValue>,
    /// Why the proxies can't be believed although they are trusted. Then the client is not known.
    pub(crate) doubt: Option<&'static str>,
}

impl Client {
    /// What the peer says, and the headers where they are a trusted proxy's.
    pub(crate) fn of(peer: &Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let (address, scheme) = (peer.address.ip().to_canonical(), if peer.tls { "https" } else { "http" });
        let mut client = Self { address, proxies: Vec::new(), scheme, request_id: None, doubt: None };
        if !peer.unnamed && is_trusted(address, trusted) {
            client.request_id = request_id(headers);
            client.doubt = client.believe(headers, trusted).err();
        }
        client
    }

    /// Whom an attempt to log in is counted for.
    pub(crate) fn origin(&self, trusted: &[IpNet]) -> Origin {
        Origin { address: self.address, is_proxy: is_trusted(self.address, trusted) }
    }

    /// What an upstream is told in `X-Forwarded-For`: the client, or the client and its proxies, the nearest last.
    pub(crate) fn forwarded_for(&self, policy: ForwardedPolicy) -> HeaderValue {
        let mut told = self.address.to_string();
        if policy == ForwardedPolicy::Append {
            self.proxies.iter().rev().for_each(|proxy| told += &format!(", {proxy}"));
        }
        HeaderValue::from_str(&told).unwrap_or(HeaderValue::from_static("unknown"))
    }

    /// Takes over what both families of headers say. Most proxies write one of them and let the other pass as the client sent
    /// it, so that neither is better than the other where they disagree.
    fn believe(&mut self, headers: &HeaderMap, trusted: &[IpNet]) -> Result<(), &'static str> {
        let (old, new) = (x_forwarded(self.address, headers, trusted), forwarded(self.address, headers, trusted)?);
        let disagree = |_| "Forwarded and X-Forwarded-* disagree";
        let trail = one_of(old.trail, new.trail).map_err(disagree)?;
        let scheme = one_of(old.scheme, new.scheme).map_err(disagree)?;
        if let Some(mut trail) = trail {
            self.address = trail.pop().unwrap_or(self.address);
            self.proxies = trail;
        }
        self.scheme = scheme.unwrap_or(self.scheme);
        Ok(())
    }
}

/// What one family of headers says; absent what it does not mention.
struct Told {
    /// From the peer to the client.
    trail: Option<Vec<IpAddr>>,
    scheme: Option<&'static str>,
}

fn x_forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Told {
    let nodes: Vec<_> = list(headers, &X_FORWARDED_FOR).map(|entry| forwarded::node(text(entry))).collect();
    let (trail, hops) = follow(peer, nodes.iter().rev().copied(), trusted);
    // Each proxy appends to both headers, or the first writes the scheme alone.
    let schemes: Vec<_> = list(headers, &X_FORWARDED_PROTO).collect();
    let told = schemes.iter().rev().take(hops.max(1)).next_back();
    Told { trail: (!nodes.is_empty()).then_some(trail), scheme: told.and_then(|told| scheme(text(told))) }
}

fn forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Result<Told, &'static str> {
    let mut elements: Vec<Element<'_>> = Vec::new();
    for line in headers.get_all(FORWARDED) {
        elements.extend(forwarded::elements(line.as_bytes()).ok_or("The Forwarded header is malformed")?);
    }
    let named = || elements.iter().rev().filter(|element| element.node.is_some());
    let (trail, hops) = follow(peer, named().map(|element| forwarded::node(element.node?)), trusted);
    let scheme_of = |element: &Element<'_>| scheme(element.proto?);
    Ok(match hops {
        0 => Told { trail: None, scheme: elements.last().and_then(scheme_of) },
        _ => Told { trail: Some(trail), scheme: named().take(hops).filter_map(scheme_of).last() },
    })
}

/// Goes from the peer towards the client as long as trusted proxies name who is behind them; also says how many were asked.
fn follow(peer: IpAddr, nodes: impl Iterator<Item = Option<IpAddr>>, trusted: &[IpNet]) -> (Vec<IpAddr>, usize) {
    let (mut trail, mut hops) = (vec![peer], 0);
    for node in nodes {
        hops += 1;
        let Some(named) = node else { break };
        trail.push(named);
        if !is_trusted(named, trusted) {
            break;
        }
    }
    (trail, hops)
}

fn one_of<T: PartialEq>(one: Option<T>, other: Option<T>) -> Result<Option<T>, ()> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(()),
        (one, other) => Ok(one.or(other)),
    }
}

fn scheme(text: &str) -> Option<&'static str> {
    // Some proxies tell a WebSocket by its own scheme.
    let known = [("https", "https"), ("http", "http"), ("wss", "https"), ("ws", "http")];
    known.iter().find(|(spoken, _)| text.eq_ignore_ascii_case(spoken)).map(|(_, meant)| *meant)
}

fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(X_REQUEST_ID).iter();
    let (Some(id), None) = (lines.next(), lines.next()) else { return None };
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
    ((1..=128).contains(&id.len()) && id.as_bytes().iter().all(allowed)).then(|| id.clone())
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

fn text(entry: &[u8]) -> &str {
    std::str::from_utf8(entry).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[(&'static str, &str)], trusted: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        Client::of(&Peer::test(peer), &headers, &trusted)
    }

    fn trail(client: &Client) -> String {
        client.forwarded_for(ForwardedPolicy::Append).to_str().unwrap().to_owned()
    }

    const FOR: &str = "x-forwarded-for";
    const PROTO: &str = "x-forwarded-proto";

    fn behind_proxy(lines: &[(&'static str, &str)]) -> Result<String, &'static str> {
        let client = client("10.0.0.1:1", lines, &["10.0.0.0/8"]);
        client.doubt.map_or_else(|| Ok(format!("{} {}", client.scheme, trail(&client))), Err)
    }

    #[test]
    fn nobody_is_believed_unless_trusted() {
        let lines = [(FOR, "1.1.1.1"), ("forwarded", "for=2.2.2.2;proto=http"), (PROTO, "http"), ("x-request-id", "a")];
        for (peer, trusted) in [("10.0.0.1:1", &[][..]), ("9.9.9.9:1", &["10.0.0.0/8"])] {
            let client = client(peer, &lines, trusted);
            assert_eq!((trail(&client), client.scheme), (peer.replace(":1", ""), "https"));
            assert!(client.request_id.is_none() && client.doubt.is_none());
        }
    }

    #[test]
    fn who_passes_on_the_bytes_of_somebody_unnamed_vouches_for_no_header() {
        let headers = [(FOR, "1.1.1.1"), (PROTO, "http"), ("x-request-id", "a"), ("forwarded", "for=\"")];
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let peer = Peer { unnamed: true, ..Peer::test("10.0.0.1:1") };
        let client = Client::of(&peer, &HeaderMap::from_iter(headers), &["10.0.0.0/8".parse().unwrap()]);
        assert_eq!((trail(&client), client.scheme), ("10.0.0.1".into(), "https"));
        assert!(client.request_id.is_none() && client.doubt.is_none());
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        let told = |lines: &[&str]| behind_proxy(&lines.iter().map(|line| (FOR, *line)).collect::<Vec<_>>()).unwrap();
        assert_eq!(told(&["6.6.6.6, 1.1.1.1, 10.0.0.2"]), "https 1.1.1.1, 10.0.0.2, 10.0.0.1");
        assert_eq!(told(&["6.6.6.6", "1.1.1.1:80"]), "https 1.1.1.1, 10.0.0.1");
        assert_eq!(told(&["10.0.0.3"]), "https 10.0.0.3, 10.0.0.1");
        let mapped = client("[::ffff:10.0.0.1]:1", &[(FOR, "[2001:db8::1]")], &["10.0.0.0/8"]);
        assert_eq!(trail(&mapped), "2001:db8::1, 10.0.0.1");
        assert_eq!(mapped.forwarded_for(ForwardedPolicy::Replace), "2001:db8::1");
    }

    #[test]
    fn who_is_not_named_is_not_known() {
        for unnamed in ["1.1.1.1, unknown", "1.1.1.1, _hidden", "1.1.1.1, nonsense"] {
            assert_eq!(behind_proxy(&[(FOR, unnamed)]).unwrap(), "https 10.0.0.1");
            let forwarded = format!("for={}", unnamed.replace(' ', "for="));
            assert_eq!(behind_proxy(&[("forwarded", &forwarded)]).unwrap(), "https 10.0.0.1");
        }
    }

    #[test]
    fn forwarded_says_the_same() {
        let told = |line: &str| behind_proxy(&[("forwarded", line)]);
        assert_eq!(told("for=6.6.6.6;proto=https, for=1.1.1.1;proto=http").unwrap(), "http 1.1.1.1, 10.0.0.1");
        assert_eq!(
            told("for=1.1.1.1;proto=http, for=\"10.0.0.2:80\";proto=https").unwrap(),
            "http 1.1.1.1, 10.0.0.2, 10.0.0.1"
        );
        assert_eq!(told("for=\"[2001:db8::1]:4711\"").unwrap(), "https 2001:db8::1, 10.0.0.1");
        assert_eq!(told("proto=http").unwrap(), "http 10.0.0.1");
        assert_eq!(told("for=1.1.1.1, for=\"2.2.2.2").unwrap_err(), "The Forwarded header is malformed");
    }

    #[test]
    fn two_families_that_disagree_are_not_believed() {
        let both = |old: &str, new: &str| behind_proxy(&[(FOR, old), ("forwarded", new), (PROTO, "http")]);
        assert_eq!(both("1.1.1.1", "for=1.1.1.1;proto=http").unwrap(), "http 1.1.1.1, 10.0.0.1");
        assert_eq!(both("1.1.1.1", "host=a").unwrap(), "http 1.1.1.1, 10.0.0.1");
        for other in ["for=2.2.2.2", "for=unknown", "for=1.1.1.1;proto=https"] {
            assert_eq!(both("1.1.1.1", other).unwrap_err(), "Forwarded and X-Forwarded-* disagree", "{other}");
        }
    }

    #[test]
    fn the_scheme_is_the_one_the_client_spoke() {
        let told = |nodes: &str, schemes: &str| {
            let told = behind_proxy(&[(FOR, nodes), (PROTO, schemes)]).unwrap();
            told.split(' ').next().unwrap().to_owned()
        };
        assert_eq!(told("1.1.1.1, 10.0.0.2", "HTTP"), "http");
        assert_eq!(told("1.1.1.1, 10.0.0.2", "http, https"), "http");
        assert_eq!(told("1.1.1.1", "http, https"), "https");
        assert_eq!(
            (told("1.1.1.1", "ws"), told("1.1.1.1", "wss"), told("1.1.1.1", "ftp")),
            ("http".into(), "https".into(), "https".into())
        );
    }

    #[test]
    fn request_ids_are_one_word() {
        let id = |ids: &[&str]| {
            let lines: Vec<_> = ids.iter().map(|id| ("x-request-id", *id)).collect();
            client("10.0.0.1:1", &lines, &["10.0.0.0/8"]).request_id
        };
        assert_eq!(id(&["a.B-9_"]).unwrap(), "a.B-9_");
        assert_eq!(id(&[&"a".repeat(128)]).unwrap(), "a".repeat(128).as_str());
        for bad in [&["a b"][..], &[""], &["a", "a"], &["a/b"], &[&"a".repeat(129)]] {
            assert_eq!(id(bad), None, "{bad:?}");
        }
    }
}
