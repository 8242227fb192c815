//! What must hold of the headers that are copied from a request for its upstream.

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST, REFERER, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Method};

use crate::gateway::rewrite::copy;
use crate::upstream::Outbound;
use crate::upstream::fuzz::{fields, headers, is_key, trailers};
use crate::upstream::headers::{HopByHop, list};
use crate::upstream::reserved::Reserved;

/// What is for one connection and what is reserved stays behind, whatever names it; all else passes as it was.
pub fn hop_by_hop(bytes: &[u8]) {
    let (sent, reserved) = (headers(bytes), Reserved::new([]));
    let mut outbound = Outbound::new(Method::GET, "/");
    copy(&sent, &HopByHop::of(&sent), &reserved, &mut outbound);
    let passed = fields(&outbound);
    let named: Vec<HeaderName> =
        list(&sent, &CONNECTION).filter_map(|name| HeaderName::from_bytes(name).ok()).collect();
    let never = [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, CONTENT_LENGTH, HOST];
    assert!(!passed.keys().any(is_key));
    assert!(never.iter().chain(&named).all(|name| !passed.contains_key(name)));
    assert!([COOKIE, REFERER].iter().all(|name| passed.get_all(name).iter().count() < 2));
    for name in passed.keys().filter(|name| **name != COOKIE && **name != REFERER) {
        assert!(passed.get_all(name).iter().eq(sent.get_all(name)), "{name}");
    }
    let stays = |name: &HeaderName| never.contains(name) || named.contains(name) || reserved.holds(name.as_str());
    let kept = |name: &HeaderName| stays(name) || *name == REFERER || HopByHop::of(&sent).own(name);
    assert!(sent.keys().all(|name| kept(name) || passed.contains_key(name)));
    trailers(&sent, &reserved);
}
