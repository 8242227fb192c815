//! What must hold of the headers that proxies write.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::{lines, text};
use crate::config::ForwardedPolicy;
use crate::gateway::Peer;
use crate::gateway::client::Client;
use crate::gateway::forwarded as said;

/// What proxies say is read alike when it is written down again, and whom they speak for is no proxy while anybody else is named.
pub fn forwarded(bytes: &[u8]) {
    if let Some(elements) = lines(bytes).next().and_then(said::elements) {
        let written: Vec<String> = elements.iter().map(|element| element_as_text(*element)).collect();
        let written = written.join(",");
        assert_eq!(said::elements(written.as_bytes()), Some(elements));
    }
    let mut headers = HeaderMap::new();
    for (line, name) in lines(bytes).zip(["forwarded", "x-forwarded-for", "x-forwarded-for", "x-forwarded-proto"]) {
        if let Some(address) = text(line).and_then(said::node) {
            assert_eq!(said::node(&address.to_string()), Some(address));
            assert_eq!(address.to_canonical(), address);
        }
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    let trusted = ["10.0.0.0/8".parse().expect("a network")];
    let client = Client::of(&peer(), &headers, &trusted);
    let told = client.forwarded_for(ForwardedPolicy::Append);
    let told: Vec<&str> = told.to_str().expect("visible ASCII").split(", ").collect();
    assert!(told.iter().all(|address| address.parse::<IpAddr>().is_ok()), "{told:?}");
    assert!(told[1..].iter().all(|proxy| proxy.starts_with("10.")), "{told:?}");
    assert!(matches!(client.scheme, "http" | "https"));
}

fn element_as_text(element: said::Element<'_>) -> String {
    let said = [("for", element.node), ("proto", element.proto)];
    let parameters = said.iter().filter_map(|(name, value)| Some(format!("{name}=\"{}\"", (*value)?)));
    let parameters: Vec<String> = parameters.chain(["by=_".to_owned()]).collect();
    parameters.join(";")
}

/// A trusted proxy.
fn peer() -> Peer {
    Peer::at(([10, 0, 0, 1], 1).into())
}
