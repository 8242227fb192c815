//! What browsers may do, and the headers that tell an upstream who is asking.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, header};

use super::findings::Wrong;
use super::names::{folded, header as header_name, identity_header, method};
use super::network::origin;
use super::problem::{Located, Place};
use super::section::Section;
use super::settings::{Cors, Identity, Origins};
use super::value::duration;

/// `[cors]`.
pub(super) fn cors(section: &mut Section<'_>) -> Cors {
    let headers = [
        header::CONTENT_TYPE,
        header::ACCEPT,
        HeaderName::from_static("x-access-token"),
        HeaderName::from_static("x-key"),
    ];
    let methods = [Method::GET, Method::PUT, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS];
    Cors {
        origins: origins(section),
        headers: section.list_or("headers", headers.into(), header_name),
        methods: section.list_or("methods", methods.into(), method),
        max_age: section.parsed_or("max_age", Duration::from_secs(24 * 60 * 60), duration),
    }
}

fn origins(section: &mut Section<'_>) -> Origins {
    let any = HeaderValue::from_static("*");
    let parse = |text: &str| if text == "*" { Ok(HeaderValue::from_static("*")) } else { origin(text) };
    let Some(origins) = section.list("origins", parse) else { return Origins::Any };
    match origins.iter().find(|origin| origin.value == any) {
        Some(_) if origins.len() == 1 => return Origins::Any,
        Some(star) => section.wrong(
            "origins",
            &star.place,
            Wrong::new("\"*\" stands beside other origins", "keep \"*\" alone, or the others"),
        ),
        None => {}
    }
    Origins::Listed(origins.into_iter().map(|origin| origin.value).collect())
}

/// `[identity]`.
pub(super) fn identity(section: &mut Section<'_>) -> Identity {
    let mut names = Vec::new();
    let mut name = |key, default| identity_name(section, &mut names, (key, default));
    Identity {
        user: name("user", "x-webitel-user"),
        domain: name("domain", "x-webitel-domain"),
        role: name("role", "x-webitel-role"),
        session: name("session", "x-webitel-session"),
        client: name("client", "x-client-identity"),
    }
}

type Named = (&'static str, Located<HeaderName>);

fn identity_name(
    section: &mut Section<'_>,
    names: &mut Vec<Named>,
    (key, default): (&'static str, &'static str),
) -> HeaderName {
    let place = section.place().clone();
    let default = || Located { value: HeaderName::from_static(default), place };
    let name = section.parsed(key, identity_header).unwrap_or_else(default);
    let value = name.value.clone();
    if let Some((other, earlier)) = names.iter().find(|(_, earlier)| folded(&earlier.value) == folded(&value)) {
        let wrong = Wrong::new(format!("the same header as identity.{other}"), "give each its own name");
        section.wrong(key, later(&earlier.place, &name.place), wrong);
    }
    names.push((key, name));
    value
}

/// The place to point at where two names collide: never that of a default, which stands on no line of its own.
fn later<'p>(a: &'p Place, b: &'p Place) -> &'p Place {
    match (a, b) {
        (Place::File { line: a_line, .. }, Place::File { line: b_line, .. }) if a_line > b_line => a,
        (Place::Environment(_), Place::File { .. }) => a,
        _ => b,
    }
}
