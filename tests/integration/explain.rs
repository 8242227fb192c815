//! `explain` says what a running gateway does, for any request.

use std::process::Output;

use gatewarden::directory::Role;
use gatewarden::gateway::{Explainer, Explanation, Outcome, Question};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::harness::tls::Authority;
use crate::harness::{Gateway, USER, Upstream};

const RULES: &str = "
cors.origins = ['*']
upstreams.main = { servers = ['UPSTREAM'], host = 'server' }
routes = [
    { path = '/', upstream = 'main' },
    { path = '/a', upstream = 'main', strip_prefix = true, access = 'public' },
    { path = '/a/b', access = 'deny' },
    { path = '/a', exact = true, upstream = 'main', methods = ['GET', 'PUT'] },
    { path = '/b', upstream = 'main', roles = ['root', 'ops'], methods = ['GET'] },
    { path = '/b', upstream = 'main', methods = ['POST'] },
    { path = '/b/keep', upstream = 'main', encoded_slash = 'keep', forward_credentials = true },
    { path = '/only', upstream = 'main', hosts = ['api.example.com'], methods = ['GET'] },
]";

/// Paths made of what has a meaning to routes, and of what lenient readers trip over.
fn targets() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", "/a", "/a", "/b", "/b", "/keep", "/only", "/login", "/logout", "/A", "%61", "%2561", "%2f", "%5c",
        "%00", "%0a", "%20", "%zz", "%", ".", "..", ";x", "//", "x", "#", "?q=1", "*",
    ]);
    prop::collection::vec(piece, 0..5).prop_map(|pieces| format!("/{}", pieces.concat().trim_start_matches('/')))
}

fn questions() -> impl Strategy<Value = Question> {
    let method = prop::sample::select(vec!["GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "ODD"]);
    let host = prop::sample::select(vec!["localhost", "api.example.com", "API.example.com.:1", "a@b", "x:y"]);
    (method, targets(), host).prop_map(|(method, target, host)| Question {
        method: method.parse().unwrap(),
        target,
        host: host.to_owned(),
        role: Some(Role::User),
    })
}

#[tokio::test]
async fn it_agrees_with_a_running_gateway_about_any_request() {
    let (upstream, gateway, explainer) = running().await;
    let lines = gateway.login(&USER).await.lines();
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(3), ..Config::default() });
    let (mut forwarded, mut refused) = (0, 0);
    for _ in 0..600 {
        let question = questions().new_tree(&mut runner).unwrap().current();
        let explanation = explainer.explain(&question);
        let before = upstream.requests().len();
        let Question { method, target, host, .. } = &question;
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n{lines}\r\n");
        let answer = gateway.plain().await.request(request).await;
        let seen = upstream.requests();
        match explanation.outcome {
            Outcome::Forwarded(said) => {
                forwarded += 1;
                assert_eq!((answer.status, seen.len()), (200, before + 1), "{question:?}");
                let request = seen.last().unwrap();
                assert_eq!(request.target(), said.target, "{question:?}");
                assert!(said.sets.iter().all(|name| request.field(name).is_some()), "{said:?} {request:?}");
                assert_eq!(request.field("x-webitel-user").is_some(), said.without_session.is_some());
                assert_eq!(request.field("x-key").is_some(), said.forward_credentials);
            }
            Outcome::Refused(said) => {
                refused += 1;
                assert_eq!((answer.status, seen.len()), (said.status, before), "{question:?}");
                assert_eq!(answer.field("allow"), said.allow.as_deref(), "{question:?}");
                assert!(
                    said.label == "not_http" || answer.text().contains(said.info),
                    "{question:?}: {}",
                    answer.text()
                );
            }
            Outcome::Login => assert_eq!(answer.status, 415, "a login without JSON"),
            Outcome::Logout => panic!("a session that is needed: {question:?}"),
        }
    }
    assert!(forwarded > 60 && refused > 60, "{forwarded} forwarded, {refused} refused");
}

#[tokio::test]
async fn without_a_session_and_with_another_role_the_gateway_answers_as_said() {
    let (upstream, gateway, explainer) = running().await;
    let lines = gateway.login(&USER).await.lines();
    let explained = explain(&explainer, "GET", "/b/x", None);
    let Outcome::Forwarded(said) = explained.outcome else { panic!("{explained:?}") };
    let (without, other) = (said.without_session.unwrap(), said.other_roles.unwrap());
    gateway.get("/b/x", "").await.is_refusal(without.status, without.info);
    gateway.get("/b/x", &lines).await.is_refusal(other.status, other.info);
    upstream.saw_nothing();
    assert_eq!(said.roles, ["root", "ops"]);
}

#[tokio::test]
async fn a_route_for_some_clients_names_them_and_what_others_are_answered() {
    let (upstream, authority) = (Upstream::start().await, Authority::new("clients"));
    let settings = "routes = [{ path = '/', upstream = 'main', access = 'public', clients = ['a.machines', '*.b'] }]
                    tls.client_ca = 'DIR/clients.pem'\ntls.client_auth = 'optional'";
    let gateway = Gateway::with_files(&upstream, settings, &[("clients.pem", &authority.pem())]).await;
    let path = gateway.dir.path().join("gatewarden.toml");
    let config = gatewarden::config::load(&path, std::iter::empty()).unwrap();
    let explained = explain(&Explainer::new(config).unwrap(), "GET", "/x", None);
    let Outcome::Forwarded(said) = explained.outcome else { panic!("{explained:?}") };
    assert_eq!(said.clients, ["a.machines", "*.b"]);
    assert!(said.sets.contains(&"x-client-identity".to_owned()));
    let other = said.other_clients.unwrap();
    gateway.get("/x", "").await.is_refusal(other.status, other.info);
    upstream.saw_nothing();
    let words = run(&["explain", "--config", path.to_str().unwrap(), "GET", "/x"]);
    assert!(String::from_utf8(words.stdout).unwrap().contains("clients      a.machines, *.b"));
}

#[tokio::test]
async fn rules_are_named_by_their_place() {
    let (_upstream, gateway, explainer) = running().await;
    let text = std::fs::read_to_string(gateway.dir.path().join("gatewarden.toml")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (method, target, paths) in [
        ("GET", "/x", vec!["/"]),
        ("GET", "/a/x", vec!["/a"]),
        ("GET", "/a", vec!["/a"]),
        ("DELETE", "/b", vec!["/b", "/b"]),
        ("GET", "/a/b/c", vec!["/a/b"]),
        ("POST", "/login", vec!["/login"]),
        ("GET", "/A", vec![]),
    ] {
        let rules = explain(&explainer, method, target, None).rules;
        assert_eq!(rules.iter().map(|rule| rule.path.as_str()).collect::<Vec<_>>(), paths, "{method} {target}");
        for rule in rules.iter().filter_map(|rule| Some((rule.place.as_ref()?, &rule.path))) {
            let line: usize = rule.0.rsplit_once(':').unwrap().1.parse().unwrap();
            assert_eq!(lines[line - 1], format!("path = \"{}\"", rule.1));
        }
    }
    assert!(explain(&explainer, "POST", "/login", None).rules[0].place.is_none());
}

#[tokio::test]
async fn credentials_in_what_is_asked_are_blotted_out() {
    let (_upstream, _gateway, explainer) = running().await;
    for target in ["/b/keep?x_key=SECRET&a=1", "/?access_token=SECRET"] {
        let json = serde_json::to_string(&explain(&explainer, "GET", target, None)).unwrap();
        assert!(!json.contains("SECRET"), "{json}");
    }
}

#[tokio::test]
async fn the_command_answers_in_words_or_json_and_with_an_exit_code() {
    let (_upstream, gateway, _explainer) = running().await;
    let path = gateway.dir.path().join("gatewarden.toml");
    let config = path.to_str().unwrap();
    let words = run(&["explain", "--config", config, "--role", "user", "GET", "/b"]);
    assert_eq!(words.status.code(), Some(0));
    let text = String::from_utf8(words.stdout).unwrap();
    assert!(
        text.starts_with("GET /b for localhost, with a session of role user\n  rule         ")
            && text.contains("403 Forbidden"),
        "{text}"
    );
    let json = run(&["explain", "--config", config, "--json", "DELETE", "/b"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["outcome"]["status"], &json["outcome"]["allow"]), (&405.into(), &"GET, POST, HEAD".into()));
    for wrong in [
        &["explain", "--config", config, "G T", "/"][..],
        &["explain", "--config", config, "--host", "a\nb", "GET", "/"],
        &["explain", "--config", config, "--role", "a b", "GET", "/"],
        &["explain", "--config", config, "GET"],
        &["explain", "--config", "no/such.toml", "GET", "/"],
        &["explain", "--nonsense"],
    ] {
        let output = run(wrong);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{wrong:?}");
        assert!(!output.stderr.is_empty());
    }
    assert_eq!(run(&["explain", "--help"]).status.code(), Some(0));
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    for arguments in [&["completions", "bash"][..], &["completions", "zsh"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program(arguments).stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{arguments:?}");
    }
}

fn explain(explainer: &Explainer, method: &str, target: &str, role: Option<Role>) -> Explanation {
    let (method, target, host) = (method.parse().unwrap(), target.to_owned(), "localhost".to_owned());
    explainer.explain(&Question { method, target, host, role })
}

fn program(arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_gatewarden"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

async fn running() -> (Upstream, Gateway, Explainer) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::with(&upstream, RULES).await;
    let path = gateway.dir.path().join("gatewarden.toml");
    let config = gatewarden::config::load(&path, std::iter::empty()).unwrap();
    (upstream, gateway, Explainer::new(config).unwrap())
}
