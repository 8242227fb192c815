//! Mutual TLS: who is let in by certificate, as whom, and what becomes of it when the authority changes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DistinguishedName, DnType, SanType};
use rustls::client::{ClientConfig, Resumption, Tls12Resumption};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, SupportedProtocolVersion};

use crate::harness::tls::{Authority, Identity, config_for, connect};
use crate::harness::{Answer, Connection, Gateway, USER, Upstream, eventually};

const ROUTES: &str = "routes = [
    { path = '/', upstream = 'main' },
    { path = '/billing', upstream = 'main', clients = ['billing.internal', 'spiffe://prod/billing/*'] },
    { path = '/machines', upstream = 'main', access = 'public', clients = ['*.machines'] },
    { path = '/open', upstream = 'main', access = 'public' },
]";

#[tokio::test]
async fn where_a_certificate_is_required_nobody_gets_in_without_a_good_one() {
    let (authority, stranger) = (Authority::new("clients"), Authority::new("clients"));
    let (upstream, gateway) = setup(&authority, "required").await;
    assert!(
        is_turned_away(connect(gateway.tls, &config(&gateway, None), "localhost").await.map(Connection::over)).await
    );
    assert!(is_turned_away(gateway.connect_as(&stranger.client("billing.internal")).await).await);
    let mut old = CertificateParams::new(["billing.internal".to_owned()]).unwrap();
    old.not_after = rcgen::date_time_ymd(2020, 1, 1);
    assert!(is_turned_away(gateway.connect_as(&authority.sign(&old)).await).await);
    upstream.saw_nothing();
    assert_eq!(get(&gateway, &authority.client("anybody"), "/open", "").await.status, 200);
}

#[tokio::test]
async fn where_it_is_optional_a_bad_certificate_is_still_turned_away() {
    let authority = Authority::new("clients");
    let (upstream, gateway) = setup(&authority, "optional").await;
    assert_eq!(gateway.get("/open", "").await.status, 200);
    let stranger = Authority::new("strangers").client("billing.internal");
    assert!(is_turned_away(gateway.connect_as(&stranger).await).await);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_route_for_some_clients_is_403_for_all_others() {
    let authority = Authority::new("clients");
    let (upstream, gateway) = setup(&authority, "optional").await;
    let lines = gateway.login(&USER).await.lines();
    for lines in ["", &lines] {
        gateway.get("/billing", lines).await.is_refusal(403, "Forbidden");
        let plain = format!("GET /billing HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
        gateway.plain().await.request(plain).await.is_refusal(403, "Forbidden");
        for name in ["other.internal", "x.billing.internal", "billing"] {
            get(&gateway, &authority.client(name), "/billing", lines).await.is_refusal(403, "Forbidden");
        }
    }
    get(&gateway, &authority.client("a.b.machines"), "/machines", "").await.is_refusal(403, "Forbidden");
    gateway.get("/machines", "X-Client-Identity: a.machines\r\n").await.is_refusal(403, "Forbidden");
    upstream.saw_nothing();
    assert_eq!(get(&gateway, &authority.client("billing.internal"), "/billing", "").await.status, 401);
    assert_eq!(get(&gateway, &authority.client("Billing.Internal"), "/billing", &lines).await.status, 200);
    assert_eq!(get(&gateway, &authority.client("a.machines"), "/machines", "").await.status, 200);
}

#[tokio::test]
async fn the_upstream_is_told_the_clients_name_and_never_a_forged_one() {
    let authority = Authority::new("clients");
    let (upstream, gateway) = setup(&authority, "optional").await;
    let lines =
        format!("{}X_Client-Identity: forged\r\nX-Client-Identity: forged\r\n", gateway.login(&USER).await.lines());
    let mut named = CertificateParams::new(["also.internal".to_owned()]).unwrap();
    named.subject_alt_names.push(SanType::URI("spiffe://prod/billing/a".try_into().unwrap()));
    let mut common = CertificateParams::default();
    common.distinguished_name = DistinguishedName::new();
    common.distinguished_name.push(DnType::CommonName, "Jürgen 5%");
    for (identity, path, expected) in [
        (authority.sign(&named), "/billing", "spiffe://prod/billing/a"),
        (authority.sign(&common), "/", "J%C3%BCrgen%205%25"),
        (authority.client("a.machines"), "/machines", "a.machines"),
    ] {
        assert_eq!(get(&gateway, &identity, path, &lines).await.status, 200, "{path}");
        assert_eq!(upstream.last_request().field("x-client-identity").as_deref(), Some(expected));
    }
    for (identity, path) in [(Some(authority.client("a.machines")), "/open"), (None, "/open"), (None, "/")] {
        let answer = match identity {
            Some(identity) => get(&gateway, &identity, path, &lines).await,
            None => gateway.get(path, &lines).await,
        };
        assert_eq!(answer.status, 200);
        let head = upstream.last_request().head.to_ascii_lowercase();
        assert!(!head.contains("client-identity") && !head.contains("forged"), "{head}");
    }
}

#[tokio::test]
async fn an_access_line_names_the_client_that_a_certificate_names() {
    let authority = Authority::new("clients");
    let upstream = Upstream::start().await;
    let settings = settings("optional") + "\nlog = { access = 'DIR/access.log' }";
    let gateway = Gateway::with_files(&upstream, &settings, &[("clients.pem", &authority.pem())]).await;
    get(&gateway, &authority.client("other.internal"), "/billing", "").await.is_refusal(403, "Forbidden");
    let told = r#""client":"other.internal""#;
    eventually("an access line", || async { gateway.access_log().contains(told) }).await;
    assert!(gateway.access_log().contains(r#""refusal":"wrong_client""#));
    upstream.saw_nothing();
}

#[tokio::test]
async fn a_resumed_session_keeps_its_name_until_the_authority_changes() {
    for (version, by_id) in [(&TLS12, false), (&TLS12, true), (&TLS13, false)] {
        let (old, new) = (Authority::new("old"), Authority::new("new"));
        let (upstream, gateway) = setup(&old, "required").await;
        let client = resuming(&gateway, &old.client("a.machines"), (version, by_id));
        let mut first = visit(&gateway, &client, HandshakeKind::Full).await;
        visit(&gateway, &client, HandshakeKind::Resumed).await;
        assert_eq!(upstream.last_request().field("x-client-identity").as_deref(), Some("a.machines"));
        let seen = upstream.requests().len();

        std::fs::write(gateway.dir.path().join("clients.pem"), new.pem()).unwrap();
        assert!(first.closed().await, "an open connection ends with the belief in its certificate");
        let again = connect(gateway.tls, &client, "localhost").await.map(Connection::over);
        assert!(is_turned_away(again).await, "{version:?} by id: {by_id}");
        assert_eq!(upstream.requests().len(), seen);
        visit(&gateway, &resuming(&gateway, &new.client("a.machines"), (version, by_id)), HandshakeKind::Full).await;
    }
}

#[tokio::test]
async fn a_reload_that_asks_more_of_clients_counts_for_those_that_come_back() {
    for version in [&TLS12, &TLS13] {
        let authority = Authority::new("clients");
        let (upstream, gateway) = setup(&authority, "optional").await;
        let unknown = Arc::new(config_for(&gateway.ca, None, &[version]));
        let mut known = Connection::over(connect(gateway.tls, &unknown, "localhost").await.unwrap());
        assert_eq!(known.request("GET /open HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 200);
        let mut machine = gateway.connect_as(&authority.client("a.machines")).await.unwrap();
        gateway.reload(&upstream, &settings("required"));
        assert!(machine.closed().await, "it was let in under other settings");
        let seen = upstream.requests().len();
        let again = connect(gateway.tls, &unknown, "localhost").await.map(Connection::over);
        assert!(is_turned_away(again).await, "{version:?}");
        assert_eq!(upstream.requests().len(), seen);
        assert_eq!(get(&gateway, &authority.client("a.machines"), "/machines", "").await.status, 200);
    }
}

#[tokio::test]
async fn a_broken_authority_keeps_the_old_one() {
    let authority = Authority::new("clients");
    let (_upstream, gateway) = setup(&authority, "required").await;
    let client = resuming(&gateway, &authority.client("a.machines"), (&TLS13, false));
    visit(&gateway, &client, HandshakeKind::Full).await;
    std::fs::write(gateway.dir.path().join("clients.pem"), "nonsense").unwrap();
    let renewed = Authority::new("renewals").server(&["localhost"]);
    for (name, text) in [("server.pem", &renewed.chain), ("server.key", &renewed.key)] {
        std::fs::write(gateway.dir.path().join(name), text).unwrap();
    }
    // Once the certificate was read again, the authority was looked at as well.
    let trusting = || connect(gateway.tls, &client, "127.0.0.1");
    eventually("the renewal", || async { trusting().await.is_err_and(|error| error.to_string().contains("Unknown")) })
        .await;
    visit(&gateway, &client, HandshakeKind::Resumed).await;
}

#[tokio::test]
async fn a_certificate_that_expired_since_is_turned_away_though_its_session_is_resumed() {
    let authority = Authority::new("clients");
    let (upstream, gateway) = setup(&authority, "required").await;
    let mut short = CertificateParams::new(["a.machines".to_owned()]).unwrap();
    short.not_after = (SystemTime::now() + Duration::from_secs(5)).into();
    let client = resuming(&gateway, &authority.sign(&short), (&TLS12, false));
    visit(&gateway, &client, HandshakeKind::Full).await;
    let refused = || async {
        let stream = connect(gateway.tls, &client, "localhost").await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        is_turned_away(Ok(Connection::over(stream))).await
    };
    eventually("the end of the certificate", refused).await;
    assert!(upstream.requests().iter().all(|request| request.target() == "/machines"));
}

/// A gateway that believes the authority's clients.
async fn setup(authority: &Authority, demand: &str) -> (Upstream, Gateway) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with_files(&upstream, &settings(demand), &[("clients.pem", &authority.pem())]).await;
    (upstream, gateway)
}

fn settings(demand: &str) -> String {
    format!("{ROUTES}\ntls.client_ca = 'DIR/clients.pem'\ntls.client_auth = '{demand}'")
}

fn config(gateway: &Gateway, identity: Option<&Identity>) -> Arc<ClientConfig> {
    config_for(&gateway.ca, identity, rustls::ALL_VERSIONS).into()
}

/// A client of one version that comes back by ticket or, with TLS 1.2, by session id.
fn resuming(
    gateway: &Gateway,
    identity: &Identity,
    (version, by_id): (&'static SupportedProtocolVersion, bool),
) -> Arc<ClientConfig> {
    let mut config = config_for(&gateway.ca, Some(identity), &[version]);
    let how = if by_id { Tls12Resumption::SessionIdOnly } else { Tls12Resumption::SessionIdOrTickets };
    config.resumption = Resumption::in_memory_sessions(64).tls12_resumption(how);
    config.into()
}

/// A connection that got an answer, after the handshake that was expected.
async fn visit(gateway: &Gateway, client: &Arc<ClientConfig>, kind: HandshakeKind) -> Connection {
    let stream = connect(gateway.tls, client, "localhost").await.unwrap();
    let was = stream.get_ref().1.handshake_kind();
    let mut connection = Connection::over(stream);
    assert_eq!(connection.request("GET /machines HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 200);
    assert_eq!(was, Some(kind));
    connection
}

async fn get(gateway: &Gateway, identity: &Identity, path: &str, lines: &str) -> Answer {
    let mut connection = gateway.connect_as(identity).await.expect("a client that is believed");
    connection.request(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")).await
}

/// With TLS 1.3 a client learns only after its own part of the handshake that it is not believed.
async fn is_turned_away(connected: std::io::Result<Connection>) -> bool {
    let Ok(mut connection) = connected else { return true };
    let sent = connection.try_send("GET /machines HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    sent.is_err() || connection.try_head().await.is_none()
}
