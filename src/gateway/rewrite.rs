//! What an upstream is told of a request: what the client said under names that are its own to use, and what the gateway knows.

use http::header::{CONNECTION, COOKIE, REFERER, TE, UPGRADE};
use http::{HeaderMap, HeaderValue};

use super::client;
use super::credentials::{X_ACCESS_TOKEN, X_KEY};
use super::forward::Going;
use super::query;
use crate::upstream::Outbound;
use crate::upstream::headers::HopByHop;
use crate::upstream::reserved::Reserved;

impl Going<'_> {
    /// Copies what the client may say, then says the rest: what was sent under a reserved name never reaches an upstream.
    pub(super) fn tell(&self, headers: &HeaderMap, switches: bool, outbound: &mut Outbound) {
        let rules = &self.record.rules;
        self.tell_host(outbound);
        let hops = HopByHop::of(headers);
        copy(headers, &hops, &rules.reserved, outbound);
        if switches {
            outbound.field(&CONNECTION, &HeaderValue::from_static("Upgrade"));
            outbound.field(&UPGRADE, &HeaderValue::from_static("websocket"));
        } else if hops.takes_trailers {
            outbound.field(&CONNECTION, &HeaderValue::from_static("te"));
            outbound.field(&TE, &HeaderValue::from_static("trailers"));
        }
        self.tell_client(outbound);
        if let Some(session) = self.admission.session() {
            rules.identity.introduce(session, outbound);
        }
        if let Some(client) = self.introduced_client() {
            rules.identity.introduce_client(client, outbound);
        }
        if let Some(presented) = &self.presented {
            outbound.plain(&X_KEY, presented.key_text());
            outbound.plain(&X_ACCESS_TOKEN, presented.token());
        }
    }

    /// What the client said; a client of HTTP/1.0 may have said nothing. An upstream that wants its own name is told by whoever
    /// sends, once a server is chosen.
    fn tell_host(&self, outbound: &mut Outbound) {
        let renamed = self.route.upstream.renames_host();
        match &self.authority {
            Some(said) if !renamed => outbound.authority(said),
            None if !renamed => {
                let its_own = self.route.upstream.server_host().cloned();
                outbound.host(&its_own.unwrap_or(HeaderValue::from_static("localhost")));
            }
            _ => {}
        }
        if let Some(said) = &self.authority {
            outbound.text(&client::X_FORWARDED_HOST, said.as_str());
        }
    }

    /// Where the request comes from, and what it is called.
    fn tell_client(&self, outbound: &mut Outbound) {
        let (record, client) = (self.record, &self.record.client);
        match client.proxies.is_empty() {
            true => outbound.field(&client::X_FORWARDED_FOR, record.peer.address_value()),
            false => outbound.field(&client::X_FORWARDED_FOR, &client.forwarded_for(record.rules.forwarded)),
        }
        outbound.plain(&client::X_FORWARDED_PROTO, client.scheme.as_bytes());
        outbound.plain(&client::X_REQUEST_ID, record.request_id.as_bytes());
    }

    /// The client's name, where somebody was asked for: on public routes nobody was, unless they name clients.
    fn introduced_client(&self) -> Option<&str> {
        let asked = self.admission.session().is_some() || self.route.knows_clients();
        self.record.peer.client.as_deref().filter(|_| asked)
    }
}

/// Copies what is the client's own to say: nothing that is reserved, of one connection, or said otherwise by who sends it on.
pub(super) fn copy(headers: &HeaderMap, hops: &HopByHop, reserved: &Reserved, outbound: &mut Outbound) {
    let mut has_cookies = false;
    for (name, value) in headers {
        if hops.own(name) || reserved.holds(name.as_str()) {
            continue;
        }
        match name.as_str() {
            "host" => {}
            // A transfer coding overrides it (RFC 9112, section 6.3).
            "content-length" if hops.coded => {}
            "content-length" => outbound.announce(value),
            "cookie" => has_cookies = true,
            "referer" => copy_referer(headers, value, outbound),
            _ => outbound.field(name, value),
        }
    }
    if has_cookies {
        copy_cookies(headers, outbound);
    }
}

/// HTTP/2 may send cookies one by one (RFC 9113, section 8.2.3); an HTTP/1.1 upstream expects one line.
fn copy_cookies(headers: &HeaderMap, outbound: &mut Outbound) {
    let mut lines = headers.get_all(COOKIE).iter();
    if let (Some(only), None) = (lines.next(), lines.next()) {
        return outbound.field(&COOKIE, only);
    }
    let lines: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        outbound.field(&COOKIE, &joined);
    }
}

/// A page that was opened with credentials in its address sends them on as `Referer`; they stop here.
fn copy_referer(headers: &HeaderMap, referer: &HeaderValue, outbound: &mut Outbound) {
    let repeated = headers.get_all(REFERER).iter().count() > 1;
    let Some(text) = referer.to_str().ok().filter(|_| !repeated) else { return };
    let Some((page, query)) = text.split_once('?').filter(|(_, query)| query::holds_credentials(query)) else {
        return outbound.field(&REFERER, referer);
    };
    let kept = query::without_credentials(query);
    let redacted = kept.map_or_else(|| page.to_owned(), |kept| format!("{page}?{kept}"));
    if let Ok(redacted) = HeaderValue::from_str(&redacted) {
        outbound.field(&REFERER, &redacted);
    }
}
