//! Files that were good at the start: a certificate that expires is served on and said, users that vanish stay, and that is said.

use rcgen::CertificateParams;

use crate::harness::tls::Authority;
use crate::harness::{Connection, Gateway, Prepared, Process, USER, Upstream};

const PAIR: &str = "tls.certificates = [{ chain = 'DIR/over.pem', key = 'DIR/over.key' }]";

#[tokio::test]
async fn a_certificate_that_is_over_is_shown_all_the_same_and_its_end_is_a_metric() {
    let authority = Authority::new("the gateway's");
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    let over = authority.sign(&params);
    let files = [("over.pem", over.chain.as_str()), ("over.key", over.key.as_str())];
    let gateway = Gateway::with_files(&Upstream::start().await, PAIR, &files).await;
    let error = crate::harness::tls::connect(
        gateway.tls,
        &crate::harness::tls::config(&authority.pem(), None).into(),
        "localhost",
    )
    .await;
    assert!(error.unwrap_err().to_string().contains("certificate expired"), "shown, and refused by who looks");
    let mut plain = gateway.plain().await;
    assert_eq!(plain.request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 401);
    let mut health = Connection::plain(gateway.health).await;
    let answer = health.request("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let file = gateway.dir.path().join("over.pem");
    let expected = format!("gatewarden_certificate_not_after_seconds{{file={file:?}}} 1609459200\n");
    assert!(answer.text().contains(&expected), "{}", answer.text());
}

#[tokio::test]
async fn a_users_file_that_vanishes_is_said_and_its_users_and_sessions_stay() {
    let upstream = Upstream::start().await;
    let prepared = Prepared::new(&upstream, "log.level = 'info'");
    let mut process = Process::serve(&prepared);
    let address = process.address().await;
    let mut connection = Connection::tls(address, &prepared.ca).await;
    let pair = connection.login(&USER).await;
    std::fs::remove_file(prepared.dir.path().join("users.toml")).unwrap();
    let told = process.says("users.toml").await;
    assert!(told.contains("No such file"), "{told}");
    process.says("users stay as they were where their file is broken").await;
    assert_eq!(connection.request(super::get("/", &pair)).await.status, 200);
    connection.login(&USER).await;
    process.signal("TERM").await;
    assert_eq!(process.ended().await, Some(0));
}
