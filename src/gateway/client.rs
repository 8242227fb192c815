//! Where a request really comes from: the peer, or what a trusted proxy says of the client behind it.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::Peer;
use crate::upstream::headers::list;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The right-most address that is not a trusted proxy; nobody but trusted proxies is believed.
pub(crate) fn address(peer: &Peer, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let mut client = peer.address.ip().to_canonical();
    if !is_trusted(client, proxies) {
        return client;
    }
    let forwarded: Vec<&[u8]> = list(headers, &X_FORWARDED_FOR).collect();
    for entry in forwarded.into_iter().rev() {
        let Some(named) = parse(entry) else { break };
        client = named;
        if !is_trusted(client, proxies) {
            break;
        }
    }
    client
}

/// The scheme the client spoke: the listener's, unless a trusted proxy says otherwise.
pub(crate) fn scheme(peer: &Peer, headers: &HeaderMap, proxies: &[IpNet]) -> HeaderValue {
    let own = if peer.tls { "https" } else { "http" };
    let told = headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes);
    match told.filter(|_| is_trusted(peer.address.ip().to_canonical(), proxies)) {
        Some(b"https") => HeaderValue::from_static("https"),
        Some(b"http") => HeaderValue::from_static("http"),
        _ => HeaderValue::from_static(own),
    }
}

/// A trusted proxy's own request id, if it is one: `[A-Za-z0-9._-]{1,128}`.
pub(crate) fn request_id(peer: &Peer, headers: &HeaderMap, proxies: &[IpNet]) -> Option<HeaderValue> {
    if proxies.is_empty() || !is_trusted(peer.address.ip().to_canonical(), proxies) {
        return None;
    }
    let id = headers.get(X_REQUEST_ID)?;
    let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
    ((1..=128).contains(&id.len()) && id.as_bytes().iter().all(allowed)).then(|| id.clone())
}

fn is_trusted(address: IpAddr, proxies: &[IpNet]) -> bool {
    proxies.iter().any(|network| network.contains(&address))
}

fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, forwarded: &[&str], proxies: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        let proxies: Vec<IpNet> = proxies.iter().map(|p| p.parse().unwrap()).collect();
        address(&Peer::test(peer), &headers, &proxies).to_string()
    }

    #[test]
    fn nobody_is_believed_unless_trusted() {
        assert_eq!(from("10.0.0.1:1", &["1.1.1.1"], &[]), "10.0.0.1");
        assert_eq!(from("9.9.9.9:1", &["1.1.1.1"], &["10.0.0.0/8"]), "9.9.9.9");
    }

    #[test]
    fn the_right_most_untrusted_address_is_the_client() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(from("10.0.0.1:1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], &trusted), "1.1.1.1");
        assert_eq!(from("10.0.0.1:1", &["6.6.6.6", "1.1.1.1:80"], &trusted), "1.1.1.1");
        assert_eq!(from("10.0.0.1:1", &["10.0.0.3"], &trusted), "10.0.0.3");
        assert_eq!(from("[::ffff:10.0.0.1]:1", &["[2001:db8::1]"], &trusted), "2001:db8::1");
    }

    #[test]
    fn nonsense_stops_the_search() {
        assert_eq!(from("10.0.0.1:1", &["1.1.1.1, unknown"], &["10.0.0.0/8"]), "10.0.0.1");
    }

    #[test]
    fn request_ids_are_taken_from_trusted_proxies_only() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        let id = |peer: &str, id: &str, proxies: &[IpNet]| {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, id.parse().unwrap())]);
            request_id(&Peer::test(peer), &headers, proxies).is_some()
        };
        assert!(id("10.0.0.1:1", "a.B-9_", &trusted));
        assert!(!id("9.0.0.1:1", "a", &trusted) && !id("10.0.0.1:1", "a b", &trusted) && !id("10.0.0.1:1", "a", &[]));
        assert!(!id("10.0.0.1:1", &"a".repeat(129), &trusted));
    }
}
