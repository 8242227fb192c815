//! Where clients connect, and the TLS that they speak there.

use std::net::SocketAddr;
use std::time::Duration;

use super::file::file_path;
use super::findings::Wrong;
use super::network::listen_address;
use super::problem::Located;
use super::section::Section;
use super::settings::{Certificate, Clients, ListenAddress, Listener, Tls, TlsVersion};
use super::value::{duration, quoted};

/// `[[listeners]]`: at least one.
pub(super) fn listeners(root: &mut Section<'_>) -> Vec<Listener> {
    let Some(listeners) = root.sections("listeners", listener) else {
        root.missing("listeners", "add [[listeners]] with an address and tls = true or tls = false");
        return Vec::new();
    };
    listeners.into_iter().flatten().collect()
}

fn listener(section: &mut Section<'_>) -> Option<Listener> {
    let unsaid = !section.has("tls");
    let tls = section.flag("tls");
    if unsaid {
        section.missing("tls", "say tls = true or tls = false");
    }
    let redirect = section.flag("redirect").filter(|redirect| redirect.value);
    if let (Some(redirect), Some(Located { value: true, .. })) = (&redirect, &tls) {
        let fix = "say tls = false here, or remove redirect";
        section.wrong("redirect", &redirect.place, Wrong::new("a listener with TLS has nothing to redirect to", fix));
    }
    let default = ListenAddress::Tcp(SocketAddr::from(([0; 8], 10022)));
    let default = Located { value: default, place: section.place().clone() };
    let address = (!section.has("address")).then_some(default);
    let address = section.parsed("address", listen_address).or(address)?;
    let proxy_protocol = section.flag_or("proxy_protocol", false);
    Some(Listener { address, tls: tls?.value, redirect: redirect.is_some(), proxy_protocol })
}

/// `[tls]`.
pub(super) fn tls(section: &mut Section<'_>) -> Tls {
    let place = section.place().clone();
    let certificates = section.sections("certificates", certificate).unwrap_or_else(|| {
        let located = |path: &str| Located { value: path.into(), place: place.clone() };
        vec![Some(Certificate { chain: located("certs/server.pem"), key: located("certs/server.key") })]
    });
    Tls {
        certificates: certificates.into_iter().flatten().collect(),
        min_version: section.choice_or(
            "min_version",
            TlsVersion::V1_2,
            &[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)],
        ),
        hsts: section.parsed_or("hsts", None, hsts),
        clients: clients(section),
    }
}

/// Whole seconds, since the header counts in them; zero is off.
fn hsts(text: &str) -> Result<Option<Duration>, Wrong> {
    let fix = "say for how long browsers use TLS only, such as \"365d\"; \"0s\" is off";
    let age = duration(text).map_err(|wrong| Wrong::new(wrong.what, fix))?;
    match age.subsec_nanos() {
        0 => Ok(Some(age).filter(|age| !age.is_zero())),
        _ => {
            Err(Wrong::new(format!("{} is not a whole number of seconds", quoted(text)), "write one such as \"365d\""))
        }
    }
}

/// Whom clients' certificates are checked against, and whether they must show one. Half of it would promise what does not happen.
fn clients(section: &mut Section<'_>) -> Option<Clients> {
    let unsaid = !section.has("client_auth");
    let words = [("none", None), ("optional", Some(false)), ("required", Some(true))];
    let required = section.choice_or("client_auth", None, &words);
    let ca = section.parsed("client_ca", file_path);
    match (&ca, required) {
        (None, Some(_)) => {
            section.missing("client_ca", "name the PEM file of the authorities that sign your clients' certificates")
        }
        (Some(ca), None) if unsaid => {
            let fix = "say client_auth = \"optional\" or \"required\"";
            section.wrong("client_ca", &ca.place, Wrong::new("nobody is asked for a certificate", fix));
        }
        _ => {}
    }
    Some(Clients { ca: ca?, required: required? })
}

fn certificate(section: &mut Section<'_>) -> Option<Certificate> {
    let chain = section.required("chain", "name the PEM file of the certificate and its chain", file_path);
    let key = section.required("key", "name the PEM file of the private key", file_path);
    Some(Certificate { chain: chain?, key: key? })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bad, good};
    use super::*;

    #[test]
    fn a_listener_with_tls_gets_the_default_certificate() {
        let config = good("[[listeners]]\ntls = true\n");
        assert_eq!(config.listeners[1].address.value.to_string(), "[::]:10022");
        let tls = config.tls.unwrap();
        assert_eq!(tls.certificates[0].chain.value.to_str(), Some("certs/server.pem"));
        assert_eq!(tls.certificates[0].key.value.to_str(), Some("certs/server.key"));
        assert_eq!(tls.min_version, TlsVersion::V1_2);
    }

    #[test]
    fn certificates_are_pairs() {
        let more = "[[listeners]]\ntls = true\n[tls]\nmin_version = \"1.3\"\ncertificates = [{ chain = \"a\", key = \"b\" }, { chain = \"c\", key = \"d\" }]\n";
        let tls = good(more).tls.unwrap();
        assert_eq!((tls.certificates.len(), tls.min_version), (2, TlsVersion::V1_3));
        assert_eq!(
            bad("[tls]\ncertificates = [{ chain = \"a\" }]\n"),
            ["tls.certificates.key: missing; name the PEM file of the private key"]
        );
        assert_eq!(bad("[tls]\ncertificates = []\n").len(), 1);
        let table = bad("[tls]\ncertificates = { chain = \"a\", key = \"b\" }\n");
        assert!(table[0].starts_with("tls.certificates: wants a list, not a table; write [{ ... }], or"), "{table:?}");
    }

    #[test]
    fn clients_are_known_with_an_authority_and_a_demand_only() {
        let tls = |more: &str| format!("[[listeners]]\ntls = true\n[tls]\n{more}\n");
        let clients = |more: &str| good(&tls(more)).tls.unwrap().clients;
        assert!(clients("").is_none() && clients("client_ca = \"ca\"\nclient_auth = \"none\"").is_none());
        for (word, required) in [("optional", false), ("required", true)] {
            let clients = clients(&format!("client_ca = \"ca\"\nclient_auth = \"{word}\"")).unwrap();
            assert_eq!((clients.ca.value.to_str(), clients.required), (Some("ca"), required));
        }
        assert!(bad(&tls("client_auth = \"required\""))[0].starts_with("tls.client_ca: missing; name the PEM file"));
        assert!(
            bad(&tls("client_ca = \"ca\""))[0].starts_with("tls.client_ca: nobody is asked for a certificate; say")
        );
        assert_eq!(bad(&tls("client_ca = \"ca\"\nclient_auth = \"require\"")).len(), 1);
    }

    #[test]
    fn a_redirect_leads_from_no_tls_to_tls() {
        let listener = |more: &str| format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{more}\n");
        let both = listener("tls = true") + &listener("tls = false\nredirect = true");
        let redirects: Vec<_> = good(&both).listeners.iter().map(|listener| listener.redirect).collect();
        assert_eq!(redirects, [false, false, true]);
        assert!(
            bad(&listener("tls = true\nredirect = true"))[0].starts_with("listeners.redirect: a listener with TLS")
        );
        let nowhere = "listeners.redirect: no listener speaks TLS; add one with tls = true, or remove redirect";
        assert_eq!(bad(&listener("tls = false\nredirect = true")), [nowhere]);
    }

    #[test]
    fn hsts_counts_in_seconds_and_zero_is_off() {
        let hsts =
            |text: &str| good(&format!("[[listeners]]\ntls = true\n[tls]\nhsts = \"{text}\"\n")).tls.unwrap().hsts;
        assert_eq!((hsts("0s"), hsts("365d")), (None, Some(Duration::from_secs(31_536_000))));
        assert!(bad("[tls]\nhsts = true\n")[0].contains("not true or false; say for how long browsers use TLS only"));
        assert!(bad("[tls]\nhsts = \"1500ms\"\n")[0].starts_with("tls.hsts: \"1500ms\" is not a whole number"));
    }

    #[test]
    fn tls_must_be_said() {
        assert_eq!(
            bad("[[listeners]]\naddress = \"[::1]:5\"\n"),
            ["listeners.tls: missing; say tls = true or tls = false"]
        );
        assert_eq!(bad("[[listeners]]\ntls = \"no\"\n").len(), 1);
    }
}
