//! TLS towards clients: which certificate is shown, and what happens when the files change.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use rcgen::CertificateParams;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, HandshakeKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::tls::{Authority, Identity, config, config_for, connect, shown};
use crate::harness::{Connection, Gateway, Prepared, Process, USER, Upstream, eventually, within};

const PAIRS: &str = "tls.certificates = [{ chain = 'DIR/a.pem', key = 'DIR/a.key' },
                                        { chain = 'DIR/b.pem', key = 'DIR/b.key' }]";

#[tokio::test]
async fn the_certificate_is_chosen_by_name_and_the_first_is_the_default() {
    let authority = Authority::new("names");
    let ca = authority.pem();
    let first = authority.server(&["first.example", "127.0.0.1"]);
    let wild = authority.server(&["*.b.example"]);
    let exact = authority.server(&["x.b.example", "c.example"]);
    let upstream = Upstream::start().await;
    let pair = |name: &str| format!("{{ chain = 'DIR/{name}.pem', key = 'DIR/{name}.key' }}");
    let settings = format!("tls.certificates = [{}, {}, {}]", pair("first"), pair("wild"), pair("exact"));
    let files = [
        ("first.pem", &*first.chain),
        ("first.key", &*first.key),
        ("wild.pem", &*wild.chain),
        ("wild.key", &*wild.key),
        ("exact.pem", &*exact.chain),
        ("exact.key", &*exact.key),
    ];
    let gateway = Gateway::with_files(&upstream, &settings, &files).await;
    for (name, expected) in [
        ("first.example", &first),
        ("127.0.0.1", &first),
        ("a.b.example", &wild),
        ("A.B.Example", &wild),
        ("x.b.example", &exact),
        ("c.example", &exact),
    ] {
        assert_eq!(shown(gateway.tls, &ca, name).await, expected.der(), "{name}");
    }
    let unknown = config(&ca, None).into();
    for name in ["b.example", "y.x.b.example", "elsewhere.example"] {
        let refused = connect(gateway.tls, &unknown, name).await;
        assert!(refused.unwrap_err().to_string().contains("first.example"), "{name} is shown the first");
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let (authority, old, gateway) = with_pairs().await;
    let stream = connect(gateway.tls, &config(&authority.pem(), None).into(), "localhost").await;
    let mut connection = Connection::over(stream.unwrap());
    let new = authority.server(&["localhost"]);
    replace(gateway.dir.path(), "a.pem", &new.chain);
    replace(gateway.dir.path(), "a.key", &new.key);
    shows(&gateway, &authority, &new).await;
    assert_ne!(old.der(), new.der());
    let answer = connection.request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn a_bad_pair_keeps_the_old_one_until_it_is_mended() {
    let (authority, old, gateway) = with_pairs().await;
    let (new, other) = (authority.server(&["localhost"]), authority.server(&["b.example"]));
    replace(gateway.dir.path(), "a.pem", "nonsense");
    replace(gateway.dir.path(), "b.pem", &other.chain);
    replace(gateway.dir.path(), "b.key", &other.key);
    let ca = authority.pem();
    let named = || shown(gateway.tls, &ca, "b.example");
    eventually("the other pair's renewal", || async { named().await == other.der() }).await;
    assert_eq!(shown(gateway.tls, &authority.pem(), "localhost").await, old.der());
    replace(gateway.dir.path(), "a.pem", &new.chain);
    replace(gateway.dir.path(), "a.key", &new.key);
    shows(&gateway, &authority, &new).await;
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_apart_from_who_fails_at_it() {
    let prepared = Prepared::new(&Upstream::start().await, "log.level = 'info'");
    let mut process = Process::serve(&prepared);
    let address = process.address().await;
    for sent in ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "PUT / HTTP/1.1\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n"] {
        Connection::plain(address).await.send(sent).await;
        assert!(process.says("connection ended early").await.contains("the client spoke no TLS"), "{sent}");
    }
    let mut connection = Connection::plain(address).await;
    connection.send([&b"\x16\x03\x01\0\x04"[..], &[2, 0, 0, 0]].concat()).await;
    assert!(!process.says("connection ended early").await.contains("no TLS"));
}

#[tokio::test]
async fn the_log_says_what_was_loaded_what_ends_and_what_is_wrong() {
    let (authority, prepared) =
        (Authority::new("logged"), Prepared::new(&Upstream::start().await, "log.level = 'info'"));
    let mut process = Process::serve(&prepared);
    assert!(process.says("certificate loaded").await.contains("localhost 127.0.0.1 api.example.com other.example.com"));
    process.address().await;
    let mut old = CertificateParams::new(["old.example".to_owned()]).unwrap();
    old.not_after = rcgen::date_time_ymd(2021, 2, 3);
    let old = authority.sign(&old);
    replace(prepared.dir.path(), "server.pem", &old.chain);
    replace(prepared.dir.path(), "server.key", &old.key);
    process.says("old.example").await;
    assert!(process.says("has expired").await.contains("2021-02-03T00:00:00Z"));
    replace(prepared.dir.path(), "server.key", &authority.server(&["old.example"]).key);
    let line = process.says("the old one stays in use").await;
    let key = prepared.dir.path().join("server.key");
    assert!(
        line.contains("are no pair")
            && line.contains(key.to_str().unwrap())
            && line.contains("give the key that belongs")
    );
}

#[tokio::test]
async fn a_swapped_link_as_kubernetes_does_it_is_noticed() {
    let authority = Authority::new("kubernetes");
    let (old, new) = (authority.server(&["localhost"]), authority.server(&["localhost"]));
    let mount = tempfile::tempdir().unwrap();
    for (version, identity) in [("..1", &old), ("..2", &new)] {
        fs::create_dir(mount.path().join(version)).unwrap();
        fs::write(mount.path().join(version).join("tls.crt"), &identity.chain).unwrap();
        fs::write(mount.path().join(version).join("tls.key"), &identity.key).unwrap();
    }
    symlink("..1", mount.path().join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), mount.path().join(name)).unwrap();
    }
    let upstream = Upstream::start().await;
    let folder = mount.path().display();
    let settings = format!("tls.certificates = [{{ chain = '{folder}/tls.crt', key = '{folder}/tls.key' }}]");
    let gateway = Gateway::with(&upstream, &settings).await;
    assert_eq!(shown(gateway.tls, &authority.pem(), "localhost").await, old.der());
    symlink("..2", mount.path().join("..data_tmp")).unwrap();
    fs::rename(mount.path().join("..data_tmp"), mount.path().join("..data")).unwrap();
    shows(&gateway, &authority, &new).await;
}

#[tokio::test]
async fn both_versions_are_spoken_and_resumed_and_the_old_one_can_be_refused() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    for version in [&TLS12, &TLS13] {
        let client = Arc::new(config_for(&gateway.ca, None, &[version]));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = connect(gateway.tls, &client, "localhost").await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{version:?}");
            let answer = Connection::over(stream).request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
            assert_eq!(answer.status, 401);
        }
    }
    let strict = Gateway::with(&upstream, "tls.min_version = '1.3'").await;
    let accepts = async |version| {
        connect(strict.tls, &config_for(&strict.ca, None, &[version]).into(), "localhost").await.is_ok()
    };
    assert_eq!((accepts(&TLS12).await, accepts(&TLS13).await), (false, true));
}

#[tokio::test]
async fn no_ticket_allows_early_data_which_could_be_replayed() {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start(&upstream).await;
    let mut client = config(&gateway.ca, None);
    client.enable_early_data = true;
    let client = Arc::new(client);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let stream = connect(gateway.tls, &client, "localhost").await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "each answer comes with a ticket");
        Connection::over(stream).request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    }
    let mut third = ClientConnection::new(client, "localhost".try_into().unwrap()).unwrap();
    assert!(third.early_data().is_none());
}

/// A gateway with a pair for `localhost` and one for `b.example`.
async fn with_pairs() -> (Authority, Identity, Gateway) {
    let authority = Authority::new("renewals");
    let identity = authority.server(&["localhost"]);
    let upstream = Upstream::start().await;
    let second = authority.server(&["b.example"]);
    let files =
        [("a.pem", &*identity.chain), ("a.key", &*identity.key), ("b.pem", &*second.chain), ("b.key", &*second.key)];
    let gateway = Gateway::with_files(&upstream, PAIRS, &files).await;
    assert_eq!(shown(gateway.tls, &authority.pem(), "localhost").await, identity.der());
    (authority, identity, gateway)
}

async fn shows(gateway: &Gateway, authority: &Authority, identity: &Identity) {
    let ca = authority.pem();
    let renewed = || async { shown(gateway.tls, &ca, "localhost").await == identity.der() };
    eventually("the new certificate", renewed).await;
}

/// As careful writers do it: a new file beside it, then a rename.
fn replace(folder: &Path, name: &str, text: &str) {
    let new = folder.join("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}

/// Both records come at once, so that TLS has read the second, and holds its error, before anybody asks for what is behind the first.
#[tokio::test]
async fn a_record_that_fails_right_behind_a_good_one_ends_the_exchange_at_once() {
    let upstream = Upstream::by_hand().await;
    let gateway = Gateway::start(&upstream).await;
    let pair = gateway.login(&USER).await;
    let trusting = Arc::new(config(&gateway.ca, None));
    let (mut socket, mut session) = connect(gateway.tls, &trusting, "localhost").await.unwrap().into_inner();
    let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n{}\r\n", pair.lines());
    let (mut sent, mut broken) = (Vec::new(), Vec::new());
    session.writer().write_all(head.as_bytes()).unwrap();
    session.write_tls(&mut sent).unwrap();
    session.writer().write_all(&[b'x'; 5000]).unwrap();
    session.write_tls(&mut broken).unwrap();
    *broken.last_mut().unwrap() ^= 1;
    sent.append(&mut broken);
    within("sending", socket.write_all(&sent)).await.unwrap();
    let mut rest = Vec::new();
    let _reset_or_end = within("the end of the connection", socket.read_to_end(&mut rest)).await;
    if upstream.count() > 0 {
        upstream.exchange().await.cancelled().await;
    }
}
