//! Changes while the gateway runs: users files that are swapped, and what SIGHUP reads again.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use std::future::ready;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use argon2::PasswordHasher;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use crate::harness::{ADMIN, Gateway, Pair, ROOT, SECRET, USER, Upstream, User, eventually, users_file, within};

/// Two users files, so that a change of one shows that the other was looked at.
const TWO_FILES: &str = "directories = [{ kind = 'file', path = 'DIR/users.toml', rehash = false },
                                        { kind = 'file', path = 'DIR/more.toml', rehash = false }]";
const MARKER: User = User { name: "marker", password: "secret-marker", role: "user", attributes: "" };

#[tokio::test]
async fn a_removed_users_session_ends_and_nobody_elses() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream, "", &[]).await;
    let (gone, stays) = (gateway.login(&USER).await, gateway.login(&ROOT).await);
    assert_eq!(gateway.get("/", &gone.lines()).await.status, 200);
    let seen = upstream.requests().len();
    replace(gateway.dir.path(), "users.toml", &users_file(&[ADMIN, ROOT]));
    eventually("the end of the session", || ends(&gateway, &gone)).await;
    let last = upstream.requests().len();
    gateway.get("/", &gone.lines()).await.is_refusal(401, "Invalid token or key");
    assert_eq!(gateway.post_login(&login_body(&USER)).await.status, 404);
    assert!(seen <= last && upstream.requests().len() == last, "nothing came through after the end");
    assert_eq!(gateway.get("/", &stays.lines()).await.status, 200);
}

#[tokio::test]
async fn users_mounted_by_kubernetes_change_with_the_link_that_leads_to_them() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    publish(folder.path(), "one", &users_file(&[USER]));
    let file = folder.path().join("users.toml");
    let settings = format!("directories = [{{ kind = 'file', path = '{}', rehash = false }}]", file.display());
    let gateway = start(&upstream, &settings, &[]).await;
    let pair = gateway.login(&USER).await;
    assert_eq!(gateway.post_login(&login_body(&MARKER)).await.status, 404);
    publish(folder.path(), "two", &users_file(&[USER, MARKER]));
    eventually("the new user", || logs_in(&gateway, &MARKER)).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200, "who is in both stays");
    publish(folder.path(), "three", &users_file(&[MARKER]));
    eventually("the end of the session", || ends(&gateway, &pair)).await;
}

#[tokio::test]
async fn a_broken_file_keeps_its_users_and_holds_up_no_other_file() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream, TWO_FILES, &[("more.toml", "")]).await;
    let pair = gateway.login(&USER).await;
    fs::write(gateway.dir.path().join("users.toml"), "[[users]]\nname = \"100@mydomain.com\"\npassword = \"none\"\n")
        .unwrap();
    replace(gateway.dir.path(), "more.toml", &users_file(&[MARKER]));
    eventually("the other file", || logs_in(&gateway, &MARKER)).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    assert!(logs_in(&gateway, &USER).await);
    replace(gateway.dir.path(), "users.toml", &users_file(&[ROOT]));
    eventually("the mended file", || ends(&gateway, &pair)).await;
}

#[tokio::test]
async fn a_missing_file_keeps_its_users() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream, TWO_FILES, &[("more.toml", "")]).await;
    let pair = gateway.login(&USER).await;
    fs::remove_file(gateway.dir.path().join("users.toml")).unwrap();
    replace(gateway.dir.path(), "more.toml", &users_file(&[MARKER]));
    eventually("the other file", || logs_in(&gateway, &MARKER)).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
}

#[tokio::test]
async fn another_role_or_password_ends_sessions_and_another_attribute_does_not() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream, "", &[]).await;
    let user = gateway.login(&USER).await;
    let (admin, root) = (gateway.login(&ADMIN).await, gateway.login(&ROOT).await);
    let users = [
        User { attributes: "attributes = { acl = 1 }", ..USER },
        User { role: "user", ..ADMIN },
        User { password: "another", ..ROOT },
    ];
    replace(gateway.dir.path(), "users.toml", &users_file(&users));
    eventually("the end of the admin's session", || ends(&gateway, &admin)).await;
    gateway.get("/", &root.lines()).await.is_refusal(401, "Invalid token or key");
    assert_eq!(gateway.get("/", &user.lines()).await.status, 200);
    assert!(logs_in(&gateway, &users[2]).await);
    let reasons = |reason: &str| gateway.audit_log().matches(&format!("\"reason\":\"{reason}\"")).count();
    eventually("the audit lines", || ready(reasons("user_changed") == 2 && reasons("user_removed") == 0)).await;
}

#[tokio::test]
async fn a_rehash_ends_nobody() {
    let upstream = Upstream::start().await;
    let settings = TWO_FILES.replacen("rehash = false", "rehash = true", 1);
    let gateway = start(&upstream, &settings, &[("more.toml", "")]).await;
    let path = gateway.dir.path().join("users.toml");
    let hashes = |kind: &str| fs::read_to_string(&path).unwrap().matches(kind).count();
    let pair = gateway.login(&USER).await;
    eventually("a better hash", || ready(hashes("$argon2id$") == 2 && hashes("a1:") == 1)).await;
    replace(gateway.dir.path(), "more.toml", &users_file(&[MARKER]));
    eventually("both files to be read", || logs_in(&gateway, &MARKER)).await;
    assert_eq!(gateway.get("/", &pair.lines()).await.status, 200);
    assert!(logs_in(&gateway, &USER).await);
    assert_eq!(gateway.post_login(&login_body(&User { password: "wrong", ..USER })).await.status, 401);
}

#[tokio::test]
async fn a_login_that_a_reload_overtakes_leaves_no_session_of_a_removed_user() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream, "", &[]).await;
    // Dear enough for a reload to overtake it; where that is late, the session ends.
    let users = format!("[[users]]\nname = \"slow\"\npassword = \"{}\"\n", dearest_hash("secret"));
    replace(gateway.dir.path(), "users.toml", &users);
    gateway.reload(&upstream, "");
    let user = User { name: "slow", password: "secret", role: "user", attributes: "" };
    eventually("the slow user", || logs_in(&gateway, &user)).await;
    let body = login_body(&user);
    let (answer, ()) = tokio::join!(gateway.post_login(&body), async {
        replace(gateway.dir.path(), "users.toml", &users_file(&[ROOT]));
        gateway.reload(&upstream, "");
        eventually("the reload", || logs_in(&gateway, &ROOT)).await;
    });
    if answer.status == 200 {
        let pair = Pair::of(&answer);
        eventually("the end of the session", || ends(&gateway, &pair)).await;
    } else {
        answer.is_refusal(404, "User not found");
    }
}

#[tokio::test]
async fn new_routes_and_upstreams_take_over_and_a_request_under_way_keeps_its_own() {
    let (old, new) = (Upstream::by_hand().await, Upstream::start().await);
    // The old routes know nothing of the new path: asked for too early, it would wait for the old upstream.
    let settings = "upstreams.main.idle_timeout = '60s'\nroutes = [{ path = '/old', upstream = 'main' }]";
    let gateway = start(&old, settings, &[]).await;
    let pair = gateway.login(&USER).await;
    let mut connection = gateway.connect().await;
    connection.send(format!("GET /old HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines())).await;
    let mut exchange = old.exchange().await;
    gateway.reload(&new, "routes = [{ path = '/new', upstream = 'main' }]");
    eventually("the new routes", || async { gateway.get("/new/x", &pair.lines()).await.status == 200 }).await;
    gateway.get("/old", &pair.lines()).await.is_refusal(404, "Not found");
    exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold").await;
    assert_eq!(connection.answer().await.text(), "old");
    assert!(new.requests().iter().all(|request| request.target() == "/new/x"));
}

#[tokio::test]
async fn connections_to_servers_that_stay_are_kept_and_idle_ones_to_servers_that_go_are_closed() {
    let (stays, goes) = (Upstream::start().await, Upstream::by_hand().await);
    let both = format!(
        "server.workers = 1\nupstreams.main.idle_timeout = '60s'\n\
         upstreams.other = {{ servers = ['http://{}'], idle_timeout = '60s' }}\n\
         routes = [{{ path = '/', upstream = 'main' }}, {{ path = '/other', upstream = 'other' }}]",
        goes.address()
    );
    let gateway = start(&stays, &both, &[]).await;
    let pair = gateway.login(&USER).await;
    let lines = pair.lines();
    assert_eq!(gateway.get("/", &lines).await.status, 200);
    let (mut exchange, answer) = tokio::join!(
        async {
            let mut exchange = goes.exchange().await;
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            exchange
        },
        gateway.get("/other", &lines)
    );
    assert_eq!(answer.status, 200);
    gateway.reload(&stays, "server.workers = 1\nupstreams.main.idle_timeout = '50s'");
    exchange.cancelled().await;
    assert_eq!(gateway.get("/other", &lines).await.status, 200);
    assert!(stays.requests().iter().all(|request| request.connection == 0), "one connection carries all");
}

#[tokio::test]
async fn a_rotated_secret_logs_nobody_out_and_a_removed_one_ends_what_it_signed() {
    let upstream = Upstream::start().await;
    let gateway = start(&upstream, "", &[("new.key", "another secret, of more than 32 bytes")]).await;
    let old = gateway.login(&USER).await;
    gateway.reload(&upstream, "tokens.secret_files = ['DIR/new.key', 'DIR/token.key']");
    let by_new = async {
        loop {
            let pair = gateway.login(&ROOT).await;
            if !is_signed_by(&pair, SECRET) {
                return pair;
            }
        }
    };
    let new = within("a token by the new secret", by_new).await;
    assert_eq!(gateway.get("/", &old.lines()).await.status, 200);
    gateway.reload(&upstream, "tokens.secret_files = ['DIR/new.key']");
    eventually("the end of the old session", || ends(&gateway, &old)).await;
    let seen = upstream.requests().len();
    gateway.get("/", &old.lines()).await.is_refusal(401, "Invalid token or key");
    assert_eq!(upstream.requests().len(), seen);
    assert_eq!(gateway.get("/", &new.lines()).await.status, 200);
}

#[tokio::test]
async fn what_is_broken_keeps_all_that_ran_before() {
    let upstream = Upstream::start().await;
    let short = [("short.key", "31 bytes are one byte too few..")];
    let gateway = start(&upstream, "", &short).await;
    let pair = gateway.login(&USER).await;
    for broken in [
        "tokens.secret_files = ['DIR/short.key']",
        "tokens.secret_files = ['DIR/missing.key']",
        "routes = [{ path = '/', upstream = 'nowhere' }]",
        "directories = [{ kind = 'file', path = 'DIR/missing.toml' }]",
        "tls.certificates = [{ chain = 'DIR/users.toml', key = 'DIR/server.key' }]",
        "log.colour = 'red'",
    ] {
        // The rest of it is good, and would show.
        gateway.reload(&upstream, &format!("cors = {{}}\n{broken}"));
        gateway.reload(&upstream, "login.hide_unknown_users = true");
        eventually("the next good one", || hides(&gateway, true)).await;
        assert!(gateway.get("/", "Origin: https://a\r\n").await.field("access-control-allow-origin").is_none());
        assert_eq!(gateway.get("/", &pair.lines()).await.status, 200, "{broken}");
        gateway.reload(&upstream, "");
        eventually("the first one", || hides(&gateway, false)).await;
    }
}

#[tokio::test]
async fn reloads_under_load_fail_no_request() {
    let (one, two) = (Upstream::start().await, Upstream::start().await);
    let gateway = start(&one, "server.workers = 2", &[]).await;
    let pair = gateway.login(&USER).await;
    let over = AtomicBool::new(false);
    let client = |number: usize| {
        let (gateway, pair, over) = (&gateway, &pair, &over);
        async move {
            let mut connection = gateway.connect().await;
            let mut answered = 0;
            while !over.load(Relaxed) {
                let request = format!("GET /{number} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", pair.lines());
                let answer = connection.request(request).await;
                assert_eq!((answer.status, answer.text()), (200, "behind"));
                answered += 1;
            }
            answered
        }
    };
    let reloads = async {
        for round in 0..10 {
            let next = if round % 2 == 0 { &two } else { &one };
            let seen = next.requests().len();
            gateway.reload(next, &format!("server.workers = 2\nlogin.queue = {}", 10 + round));
            eventually("requests at the other upstream", || ready(next.requests().len() > seen)).await;
        }
        over.store(true, Relaxed);
    };
    let (answered, ()) = tokio::join!(join_all((0..4).map(client)), reloads);
    assert!(answered.iter().all(|answered| *answered > 0), "{answered:?}");
}

/// A gateway where nobody is told to wait for having tried too often: these tests log in until they see a change.
async fn start(upstream: &Upstream, settings: &str, files: &[(&str, &str)]) -> Gateway {
    let lenient = "login.throttle = { per_user = 1000000, per_network = 1000000 }";
    Gateway::with_files(upstream, &format!("{lenient}\n{settings}"), files).await
}

/// Replaces a file as editors do: another one is renamed over it.
fn replace(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join("new"), text).unwrap();
    fs::rename(dir.join("new"), dir.join(name)).unwrap();
}

/// Publishes users as the kubelet does: `users.toml` leads through `..data` to a folder, and `..data` is swapped.
fn publish(mount: &Path, version: &str, users: &str) {
    fs::create_dir(mount.join(version)).unwrap();
    fs::write(mount.join(version).join("users.toml"), users).unwrap();
    symlink(version, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    if !mount.join("users.toml").exists() {
        symlink("..data/users.toml", mount.join("users.toml")).unwrap();
    }
}

fn login_body(user: &User) -> String {
    serde_json::json!({ "username": user.name, "password": user.password }).to_string()
}

async fn logs_in(gateway: &Gateway, user: &User) -> bool {
    gateway.post_login(&login_body(user)).await.status == 200
}

async fn ends(gateway: &Gateway, pair: &Pair) -> bool {
    gateway.get("/", &pair.lines()).await.status == 401
}

async fn hides(gateway: &Gateway, hidden: bool) -> bool {
    let unknown = gateway.post_login(&login_body(&MARKER)).await.status;
    unknown == if hidden { 401 } else { 404 }
}

fn is_signed_by(pair: &Pair, secret: &[u8]) -> bool {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    jsonwebtoken::decode::<Value>(&pair.token, &DecodingKey::from_secret(secret), &validation).is_ok()
}

/// As dear an argon2id hash as is accepted.
fn dearest_hash(password: &str) -> String {
    let params = argon2::Params::new(64 * 1024, 10, 1, None).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    argon2.hash_password_with_salt(password.as_bytes(), b"integration-test").unwrap().to_string()
}
