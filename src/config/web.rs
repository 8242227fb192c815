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

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};
    use super::*;

    #[test]
    fn cors_has_defaults_once_it_is_there() {
        let cors = good("[cors]\n").cors.unwrap();
        assert_eq!(cors.origins, Origins::Any);
        assert_eq!((cors.headers.len(), cors.methods.len(), cors.max_age), (4, 6, Duration::from_secs(86_400)));
        let cors =
            good("[cors]\norigins = [\"https://a\", \"https://b:8443\"]\nheaders = [\"X-A\"]\nmax_age = \"0s\"\n")
                .cors
                .unwrap();
        assert_eq!(
            cors.origins,
            Origins::Listed(vec![HeaderValue::from_static("https://a"), HeaderValue::from_static("https://b:8443")])
        );
        assert_eq!(cors.headers, ["x-a"]);
    }

    #[test]
    fn a_star_stands_alone() {
        assert_eq!(
            bad("[cors]\norigins = [\"*\", \"https://a\"]\n"),
            ["cors.origins: \"*\" stands beside other origins; keep \"*\" alone, or the others"]
        );
        assert_eq!(bad("[cors]\norigins = []\nheaders = []\nmethods = []\n").len(), 3);
    }

    #[test]
    fn identity_names_are_different_names() {
        assert_eq!(good("").identity.session, "x-webitel-session");
        assert_eq!(good("[identity]\nuser = \"X-User\"\n").identity.user, "x-user");
        let twice = "the same header as identity.user; give each its own name";
        assert_eq!(bad("[identity]\nuser = \"X-A\"\nrole = \"x_a\"\n"), [format!("identity.role: {twice}")]);
        assert_eq!(bad("[identity]\nuser = \"X-Webitel-Role\"\n"), [format!("identity.role: {twice}")]);
    }
}
