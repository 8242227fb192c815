//! What must hold whatever bytes a request is made of. Called by tests/fuzz, and by nobody else.

mod copying;
mod paths;
mod proxies;

use http::header::{HOST, LOCATION, SET_COOKIE};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version};
use percent_encoding::percent_decode;

use super::credentials::{Sources, X_ACCESS_TOKEN, X_KEY};
use super::login_body::Login;
use super::prefix::Places;
use super::{credentials as presented, query as queries};
use crate::directory;

pub use copying::hop_by_hop;
pub use paths::{path, routes};
pub use proxies::forwarded;

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// The first byte, which decides between cases, and a text.
fn cased(bytes: &[u8]) -> Option<(u8, &str)> {
    let (case, rest) = bytes.split_first()?;
    Some((*case, text(rest)?))
}

/// Lines without their ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|b| *b == b'\n')
}

/// What is cut holds no credentials and nothing new; what is shown needs no second look.
pub fn query(bytes: &[u8]) {
    let Some(query) = text(bytes) else { return };
    let decoded = |name: &str| percent_decode(name.replace('+', " ").as_bytes()).decode_utf8_lossy().to_lowercase();
    let named = |pair: &str| decoded(pair.split('=').next().unwrap_or_default());
    let plainly = query.split('&').any(|pair| matches!(&*named(pair), "x_key" | "access_token"));
    assert!(!plainly || queries::holds_credentials(query), "{query:?}");
    match queries::without_credentials(query) {
        Some(kept) => {
            assert!(!queries::holds_credentials(&kept));
            let mut pairs = query.split('&');
            assert!(kept.split('&').all(|kept| pairs.any(|pair| pair == kept)), "{query:?} became {kept:?}");
            assert!(queries::holds_credentials(query) || kept == query);
        }
        None => assert!(queries::holds_credentials(query)),
    }
    let shown = queries::redacted(query);
    assert_eq!(queries::redacted(&shown), shown);
    assert!(shown.len() <= 3 * query.len() + 2);
}

/// Whoever is let on to be asked about presented one key and one token, in one place, spelt just so.
pub fn credentials(bytes: &[u8]) {
    let Some((case, rest)) = bytes.split_first() else { return };
    let (mut headers, mut query) = (HeaderMap::new(), None);
    for line in lines(rest) {
        let value = |name: HeaderName, value: &[u8]| Some((name, HeaderValue::from_bytes(value).ok()?));
        match line.split_first() {
            Some((b'k', rest)) => headers.extend(value(X_KEY, rest).map(|(name, value)| (Some(name), value))),
            Some((b't', rest)) => headers.extend(value(X_ACCESS_TOKEN, rest).map(|(name, value)| (Some(name), value))),
            Some((b'?', rest)) => query = text(rest),
            _ => {}
        }
    }
    let sources = Sources { header: case & 1 != 0, query: case & 2 != 0, forwarded: case & 4 != 0 };
    let Some(presented) = presented::present(&headers, query, sources) else { return };
    assert_eq!(presented.key.expose().as_bytes(), presented.key_text());
    assert!(!presented.token().is_empty() && presented.token().iter().all(u8::is_ascii_graphic));
    let in_query = query.filter(|query| queries::holds_credentials(query));
    if headers.is_empty() {
        assert!(sources.query && in_query.is_some());
    } else {
        assert!(sources.header && headers.get_all(X_KEY).iter().count() == 1);
        assert!(headers.len() == 2 && headers[X_ACCESS_TOKEN].as_bytes() == presented.token());
        assert!(in_query.is_none() || !(sources.query || sources.forwarded));
    }
}

/// A host is said once and means the same when it is read again.
pub fn authority(bytes: &[u8]) {
    let mut lines = lines(bytes);
    let uri = lines.next().and_then(|line| Uri::try_from(line).ok()).unwrap_or_default();
    let hosts: Vec<HeaderValue> = lines.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let headers: HeaderMap = hosts.iter().map(|host| (HOST, host.clone())).collect();
    let mut all = HeaderMap::new();
    hosts.iter().for_each(|host| _ = all.append(HOST, host.clone()));
    let last = super::authority::Last::default();
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let Ok(Some(host)) = super::authority::judge(version, &uri, &all, &last) else { continue };
        assert!(hosts.len() < 2);
        assert!(!host.as_str().contains(['@', '/', ',', '\\', '%', ' ']));
        assert_eq!(host.as_str().parse::<Authority>().ok().as_ref(), Some(&host));
        let again = super::authority::judge(version, &Uri::default(), &headers, &last);
        assert!(hosts.is_empty() || again.is_ok_and(|again| again == Some(host)));
    }
}

/// A login that is taken is what every JSON reader takes it for that takes what stands in the members that nobody reads: large numbers,
/// and halves of surrogate pairs, which RFC 8259, section 8.2, leaves to readers.
pub fn login_body(bytes: &[u8]) {
    const LEFT_TO_READERS: [&str; 3] =
        ["number out of range", "lone leading surrogate", "unexpected end of hex escape"];
    let Ok(login) = Login::parse(bytes) else { return };
    let value: serde_json::Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(error) => {
            let said = error.to_string();
            return assert!(LEFT_TO_READERS.iter().any(|left| said.starts_with(left)), "{said}");
        }
    };
    let member = |name: &str| value.get(name).map_or("", |text| text.as_str().expect("a text"));
    assert!(value.is_object());
    let is_said_by = |login: &Login| {
        login.username == member("username") && directory::fuzz::is_password(&login.password, member("password"))
    };
    assert!(is_said_by(&login));
    assert!(Login::parse(&serde_json::to_vec(&value).expect("JSON")).is_ok_and(|again| is_said_by(&again)));
}

/// Answers name the client's own places or are left alone, and a cookie keeps its name, its value and all its attributes but the
/// path.
pub fn places(bytes: &[u8]) {
    let authority = Authority::from_static("a.b:1");
    let places = Places { prefix: "/p", authority: Some(&authority), scheme: "https", server: None };
    let mut lines = lines(bytes).filter_map(|line| HeaderValue::from_bytes(line).ok());
    let (Some(location), Some(cookie)) = (lines.next(), lines.next()) else { return };
    let mut answer = HeaderMap::from_iter([(LOCATION, location.clone()), (SET_COOKIE, cookie.clone())]);
    places.give_back(&mut answer);
    let (given, before) = (&answer[LOCATION], location.to_str().unwrap_or_default());
    if *given != location {
        let given = given.to_str().unwrap_or_default();
        let ours =
            |text: &str| text.split_once("//").is_some_and(|(_, rest)| rest.to_lowercase().starts_with("a.b:1/p"));
        let local = given.starts_with("/p/") && given[2..] == *before;
        assert!(local || ours(given) && given.len() == before.len() + 2, "{before:?} became {given:?}");
    }
    let (before, after) = (cookie.as_bytes(), answer[SET_COOKIE].as_bytes());
    let parts = |cookie: &[u8]| cookie.split(|b| *b == b';').count();
    let pair = |cookie: &[u8]| cookie.split(|b| *b == b';').next().map(<[u8]>::to_vec);
    assert_eq!((parts(before), pair(before)), (parts(after), pair(after)));
    assert!(after.len() <= before.len() + 3 * parts(before));
}
