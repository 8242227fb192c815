//! Family 10, token checks, revocation and failing open: only a token that was issued with its key passes, only while its session
//! lives, and a gateway that lacks what it judges by does not start. CVE-2026-25537 (jsonwebtoken), CVE-2026-33496 (oathkeeper, cache
//! confusion), CVE-2026-27586 (Caddy fails open). That a bad reload keeps what runs is in `reload`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use futures_util::future::join_all;

use super::{Scene, WAYS, Way, line, lines};
use crate::harness::{ADMIN, Pair, Prepared, ROOT, SECRET, USER, Upstream, User, command};

const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
/// In the year 2286, in milliseconds.
const CLAIMS: &str = r#"{"exp":9999999999999,"jti":"00000000000000000000000000000000"}"#;

#[tokio::test]
async fn no_forged_token_passes_though_it_is_signed_by_the_right_secret() {
    let scene = Scene::new("").await;
    let other = scene.gateway.login(&ROOT).await;
    for (what, token) in forgeries(&scene.pair, &other) {
        let asked = [line("X-Key", &scene.pair.key), line("X-Access-Token", &token)];
        for way in WAYS {
            scene.ask(way, "/x", &asked).await.is_refused(401, &format!("{way:?} {what}"));
        }
        for way in [Way::Http1, Way::Http2] {
            let seen = scene.ask_by(way, ("POST", "/logout"), &asked).await;
            seen.is_refused(401, &what);
            assert_eq!(seen.text, r#"{"status":"error","info":"Bad caller"}"#, "{what}");
        }
    }
    scene.ask(Way::Http1, "/x", &lines(&scene.pair)).await.passed("the session lives on");
}

/// What each is, and the token.
fn forgeries(pair: &Pair, other: &Pair) -> Vec<(String, String)> {
    let (head, claims, signature) = parts(&pair.token);
    let (_, other_claims, other_signature) = parts(&other.token);
    let mut forged = vec![
        ("another's token".to_owned(), other.token.clone()),
        ("a signature of another's".to_owned(), format!("{head}.{claims}.{other_signature}")),
        ("claims of another's".to_owned(), format!("{head}.{other_claims}.{signature}")),
        ("no signature".to_owned(), format!("{head}.{claims}")),
        ("an empty signature".to_owned(), format!("{head}.{claims}.")),
        ("a signature twice".to_owned(), format!("{}.{signature}", pair.token)),
        ("five parts".to_owned(), format!("{head}.{claims}.{signature}.{signature}.{signature}")),
        ("padding".to_owned(), format!("{}=", pair.token)),
        ("other unused bits at the end".to_owned(), turn_unused_bits(&pair.token)),
        ("the other alphabet".to_owned(), format!("{}+/", &pair.token[..pair.token.len() - 2])),
        ("letters in full width".to_owned(), pair.token.replacen('.', "\u{ff0e}", 1)),
        ("a space within".to_owned(), format!("{head}. {claims}.{signature}")),
        ("JSON".to_owned(), HEADER.to_owned()),
    ];
    for bytes in [1, 10, signature.len() - 1, pair.token.len() - 1] {
        forged.push((format!("{bytes} bytes fewer"), pair.token[..pair.token.len() - bytes].to_owned()));
    }
    let own_claims = String::from_utf8(BASE64.decode(claims).unwrap()).unwrap();
    for claims in [CLAIMS.to_owned(), own_claims] {
        forged.extend(headers().map(|header| (header.to_owned(), signed(header, &claims, SECRET))));
        for secret in [&b""[..], b"another secret, of more than 32 bytes", SECRET.trim_ascii_end(), HEADER.as_bytes()] {
            forged.push((format!("signed by {}", String::from_utf8_lossy(secret)), signed(HEADER, &claims, secret)));
        }
    }
    forged.extend(expiries().map(|exp| (format!("exp {exp}"), signed(HEADER, &format!("{{{exp}}}"), SECRET))));
    forged
}

fn headers() -> impl Iterator<Item = &'static str> {
    [
        r#"{"typ":"JWT","alg":"none"}"#,
        r#"{"typ":"JWT","alg":"None"}"#,
        r#"{"typ":"JWT","alg":"NONE"}"#,
        r#"{"typ":"JWT","alg":"nOnE"}"#,
        r#"{"typ":"JWT","alg":""}"#,
        r#"{"typ":"JWT","alg":null}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"typ":"JWT","alg":"hs256"}"#,
        r#"{"typ":"JWT","alg":"HS384"}"#,
        r#"{"typ":"JWT","alg":"HS512"}"#,
        r#"{"typ":"JWT","alg":"RS256"}"#,
        r#"{"typ":"JWT","alg":"ES256"}"#,
        r#"{"typ":"JWT","alg":"PS256"}"#,
        r#"{"typ":"JWT","alg":"EdDSA"}"#,
        r#"{"typ":"JWT","alg":"HS256 "}"#,
        r#"{"typ":"JWT","alg":"HS256","alg":"none"}"#,
        r#"{"typ":"jwt","alg":"HS256"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"JWT","alg":"HS256","kid":"../../../../dev/null"}"#,
        r#"{"typ":"JWT","alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#,
        r#"{"typ":"JWT","alg":"HS256","jku":"https://evil.example/keys"}"#,
        r#"{"typ":"JWT","alg":"HS256","crit":["exp"]}"#,
    ]
    .into_iter()
}

fn expiries() -> impl Iterator<Item = &'static str> {
    [
        "",
        r#""exp":"9999999999999""#,
        r#""exp":9999999999999.5"#,
        r#""exp":-1"#,
        r#""exp":-9999999999999"#,
        r#""exp":null"#,
        r#""exp":9999999999"#,
        r#""exp":9007199254740993"#,
        r#""exp":18446744073709551616"#,
        r#""exp":1e308"#,
        r#""exp":0"#,
        r#""exp":true"#,
        r#""exp":[9999999999999]"#,
        r#""exp":{"$gt":0}"#,
        r#""exp":9999999999999,"exp":1"#,
        r#""Exp":9999999999999"#,
        r#""exp":9999999999999,"nbf":9999999999999"#,
    ]
    .into_iter()
}

/// A JWT over any header and claims; by HS512 where the header says so.
fn signed(header: &str, claims: &str, secret: &[u8]) -> String {
    let message = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
    let algorithm = if header.contains("HS512") { hmac::HMAC_SHA512 } else { hmac::HMAC_SHA256 };
    let signature = hmac::sign(&hmac::Key::new(algorithm, secret), message.as_bytes());
    let token = format!("{message}.{}", BASE64.encode(signature));
    // The right one itself is no forgery: its claims under its header by its secret.
    if header == HEADER && secret == SECRET && claims != CLAIMS { format!("{token}.") } else { token }
}

fn parts(token: &str) -> (&str, &str, &str) {
    let (head, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    (head, claims, signature)
}

/// 32 bytes leave two bits of the last letter unused: another letter that decodes to the same signature.
fn turn_unused_bits(token: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *token.as_bytes().last().unwrap();
    let at = LETTERS.iter().position(|letter| *letter == last).unwrap();
    format!("{}{}", &token[..token.len() - 1], char::from(LETTERS[at ^ 1]))
}

/// What was found for one pair is never said of another, however close they come.
#[tokio::test]
async fn pairs_that_share_a_connection_are_never_taken_for_one_another() {
    let scene = Scene::new("").await;
    let people = [
        (&USER, scene.gateway.login(&USER).await),
        (&ADMIN, scene.gateway.login(&ADMIN).await),
        (&ROOT, scene.gateway.login(&ROOT).await),
    ];
    let requests = (0..300).map(|number| {
        let (scene, people) = (&scene, &people);
        async move {
            let ((user, mine), (_, other)) = (&people[number % 3], &people[(number + 1) % 3]);
            let mixed = Pair { key: mine.key.clone(), token: other.token.clone() };
            assert_eq!(scene.h2.get(&format!("/{}", user.name), mine).await.status, 200);
            assert_eq!(scene.h2.get("/mixed", &mixed).await.status, 401);
        }
    });
    join_all(requests).await;
    assert_eq!(scene.upstream.count(), 300);
    for request in scene.upstream.requests() {
        assert_eq!(Some(&request.target()[1..]), request.field("x-webitel-user").as_deref());
    }
}

/// A key whose session is over, or that nobody ever had, is refused as one with a wrong token is: none tells which there are.
#[tokio::test]
async fn a_refusal_does_not_tell_which_keys_there_are() {
    let scene = Scene::new("").await;
    let gone = scene.gateway.login(&USER).await;
    assert_eq!(scene.gateway.logout(&gone).await.status, 200);
    let nobody = "8fd26a17-eb28-4c74-aa6f-a3794f4f466c";
    for way in WAYS {
        for key in [&scene.pair.key, &gone.key, nobody] {
            let asked = [line("X-Key", key), line("X-Access-Token", "a.b.c")];
            let seen = scene.ask(way, "/x", &asked).await;
            seen.is_refused(401, key);
            assert_eq!(seen.text, r#"{"status":"error","info":"Invalid token or key"}"#);
        }
    }
}

#[tokio::test]
async fn a_gateway_without_its_secret_users_or_authorities_does_not_start() {
    let files = [("short.key", "31 bytes are one byte too few.."), ("empty", "")];
    for (settings, key) in [
        ("tokens.secret_files = ['DIR/missing.key']", "token secret"),
        ("tokens.secret_files = ['DIR/token.key', 'DIR/missing.key']", "token secret"),
        ("tokens.secret_files = ['DIR/short.key']", "token secret"),
        ("tokens.secret_files = ['DIR/empty']", "token secret"),
        ("tokens.secret_files = ['DIR']", "token secret"),
        ("directories = [{ kind = 'file', path = 'DIR/missing.toml' }]", "missing.toml"),
        ("directories = [{ kind = 'file', path = 'DIR/server.pem' }]", "server.pem"),
        ("tls.client_ca = 'DIR/missing.pem'\ntls.client_auth = 'required'", "missing.pem"),
        ("tls.client_ca = 'DIR/empty'\ntls.client_auth = 'required'", "empty"),
        ("tls.certificates = [{ chain = 'DIR/missing.pem', key = 'DIR/server.key' }]", "missing.pem"),
        ("upstreams.main = { servers = ['https://localhost:1'], tls = { ca = 'DIR/missing.pem' } }", "missing.pem"),
        ("upstreams.main = { servers = ['https://localhost:1'], tls = { ca = 'DIR/empty' } }", "empty"),
        ("routes = [{ path = '/', upstream = 'nowhere' }]", "nowhere"),
    ] {
        let upstream = Upstream::start().await;
        let prepared = Prepared::with_files(&upstream, settings, &files);
        for verb in ["check", "serve"] {
            let output = command(&[verb, "--config", prepared.path.to_str().unwrap()], "").await;
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(64), "{verb} {settings}: {told}");
            assert!(
                told.contains(key) && (told.contains(".toml:") || told.contains("server.pem:1: ")),
                "{settings}: {told}"
            );
        }
        upstream.saw_nothing();
    }
}

/// Users of their own, so that nobody else's files are needed.
const STAYS: [User; 2] = [ADMIN, ROOT];

mod racing {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use super::*;
    use crate::harness::{eventually, users_file};

    /// Requests that begin before the end, and as many after it.
    const EACH: usize = 5_000;

    #[derive(Default)]
    struct Race {
        begun: AtomicUsize,
        refused: AtomicUsize,
        /// The end was answered, or was seen by anybody: from then on nothing may come through.
        over: AtomicBool,
    }

    impl Race {
        /// One client: asks until enough were refused after the end.
        async fn run(&self, enough: usize, mut ask: impl AsyncFnMut(&str) -> u16) {
            while self.refused.load(SeqCst) < enough {
                self.begun.fetch_add(1, SeqCst);
                let after = self.over.load(SeqCst);
                match ask(if after { "/after" } else { "/before" }).await {
                    200 => assert!(!after, "a request that began after the end was answered"),
                    401 => {
                        self.over.store(true, SeqCst);
                        self.refused.fetch_add(usize::from(after), SeqCst);
                    }
                    other => panic!("{other}"),
                }
            }
        }

        /// Twelve connections of HTTP/1.1 and four of HTTP/2 with 25 streams each, while `end` ends the session.
        async fn hold(&self, scene: &Scene, enough: usize, end: impl Future<Output = ()>) {
            let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", scene.pair.lines());
            let http1 = (0..12).map(|_| async move {
                let mut connection = scene.gateway.plain().await;
                self.run(enough, async |target| connection.request(get(target)).await.status).await;
            });
            let http2 = (0..4).map(|_| async move {
                let h2 = scene.gateway.h2().await;
                let stream = || self.run(enough, async |target| h2.get(target, &scene.pair).await.status);
                join_all((0..25).map(|_| stream())).await;
            });
            tokio::join!(join_all(http1), join_all(http2), end);
            let requests = scene.upstream.requests();
            assert!(!requests.is_empty() && requests.iter().all(|request| request.target() == "/before"));
        }

        async fn has_begun(&self, many: usize) {
            while self.begun.load(SeqCst) < many {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[tokio::test]
    async fn no_request_that_starts_after_a_logouts_answer_is_forwarded() {
        let (scene, race) = (Scene::new("").await, Race::default());
        let logout = async {
            race.has_begun(EACH).await;
            assert_eq!(scene.gateway.logout(&scene.pair).await.status, 200);
            race.over.store(true, SeqCst);
        };
        race.hold(&scene, EACH, logout).await;
        assert!(race.begun.load(SeqCst) >= 2 * EACH);
    }

    #[tokio::test]
    async fn no_request_that_starts_after_the_expiry_is_forwarded() {
        let (scene, race) = (Scene::new("sessions.lifetime = '2s'").await, Race::default());
        // The clock that is printed and the one that decides were read at one moment before the answer.
        let expiry = async {
            tokio::time::sleep(Duration::from_millis(2_050)).await;
            race.over.store(true, SeqCst);
        };
        race.hold(&scene, 1_000, expiry).await;
    }

    #[tokio::test]
    async fn once_a_removed_user_is_refused_nothing_of_it_is_forwarded() {
        let (scene, race) = (Scene::new("").await, Race::default());
        let removal = async {
            race.has_begun(1_000).await;
            let (new, users) = (scene.gateway.dir.path().join("new.toml"), scene.gateway.dir.path().join("users.toml"));
            std::fs::write(&new, users_file(&STAYS)).unwrap();
            std::fs::rename(new, users).unwrap();
            eventually("the end", async || race.over.load(SeqCst)).await;
        };
        race.hold(&scene, 1_000, removal).await;
    }

    #[tokio::test]
    async fn a_handshake_that_starts_after_a_logouts_answer_never_reaches_the_upstream() {
        let scene = Scene::new("").await;
        for way in [Way::Upgrade1, Way::Upgrade2] {
            for _ in 0..50 {
                let pair = scene.gateway.login(&USER).await;
                let asked = lines(&pair);
                let racing = scene.ask(way, "/before", &asked);
                let (_, logout) = tokio::join!(racing, scene.gateway.logout(&pair));
                assert_eq!(logout.status, 200);
                scene.ask(way, "/after", &asked).await.is_refused(401, "after the logout");
            }
        }
        assert!(scene.upstream.requests().iter().all(|request| request.target() == "/before"));
    }
}
