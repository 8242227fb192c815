//! What live sessions cost, by how many there are: memory each, issuing, looking up, sweeping. Prints one line of JSON.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that cannot go on stops")]

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Parser;
use gatewarden::auth::{Now, Ring, SessionKey, Sessions};
use gatewarden::clock::BootTime;
use gatewarden::config::{self, Problems};
use gatewarden::directory::{Principal, Role};
use serde_json::json;

/// The program's own allocator, since what a session takes depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One session a user, each with a name of 20 bytes.
#[derive(Parser)]
struct Plan {
    #[arg(long, default_value_t = 1000)]
    count: usize,
    #[arg(long, default_value_t = 2_000_000)]
    lookups: usize,
    #[arg(long, hide = true)]
    bench: bool,
}

/// Keys and tokens that lookups rotate through.
const SAMPLE: usize = 100_000;

fn main() {
    let plan = Plan::parse();
    let (sessions, ring) = empty(plan.count);
    let before = resident();
    let (mut slowest, start, now) = (Duration::ZERO, Instant::now(), Now::read());
    let mut sample = Vec::with_capacity(SAMPLE);
    for number in 0..plan.count {
        let one = Instant::now();
        let issued = sessions.issue(user(number), &ring, now).unwrap();
        slowest = slowest.max(one.elapsed());
        if number % plan.count.div_ceil(SAMPLE) == 0 {
            sample.push((issued.key, issued.token));
        }
    }
    let issuing = start.elapsed();
    let held = resident().saturating_sub(before + sample.len() * 400);
    let lookup = look_up(&sessions, &sample, plan.lookups);
    let (sweep, longest) = sweep(&sessions, now.boot + Duration::from_secs(48 * 3600));
    println!(
        "{}",
        json!({
            "sessions": plan.count, "bytes_each": held / plan.count,
            "issue_micros": issuing.as_secs_f64() * 1e6 / plan.count as f64, "issue_slowest_micros": slowest.as_micros(),
            "lookup_nanos": lookup, "sweep_nanos_each": sweep.as_nanos() / plan.count as u128,
            "sweep_longest_batch_micros": longest.as_micros(),
        })
    );
}

fn empty(count: usize) -> (Sessions, Ring) {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("token.key");
    std::fs::write(&secret, [7; 64]).unwrap();
    let text = format!(
        "listeners = [{{ address = '127.0.0.1:0', tls = false }}]\ntokens.secret_files = ['{}']\nsessions.max = {}\n\
         directories = [{{ kind = 'file', path = 'users.toml', rehash = false }}]\n\
         upstreams.a.servers = ['http://127.0.0.1:1']\nroutes = [{{ path = '/', upstream = 'a' }}]\n",
        secret.display(),
        count.max(10_000_000),
    );
    let config =
        config::parse(&text, Path::new("bench.toml"), std::iter::empty()).unwrap_or_else(|bad| panic!("{bad}"));
    let ring = Ring::load(&config.tokens, &mut Problems::default()).unwrap();
    (Sessions::new(&config.sessions), ring)
}

fn user(number: usize) -> Principal {
    Principal { name: format!("{number:08}@example.com"), role: Role::User, attributes: serde_json::Map::new() }
}

/// Nanoseconds of one lookup, keys in an order that no cache foresees.
fn look_up(sessions: &Sessions, sample: &[(SessionKey, gatewarden::auth::AccessToken)], lookups: usize) -> u128 {
    let (start, now, mut at) = (Instant::now(), BootTime::now(), 1_usize);
    for _ in 0..lookups {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (key, token) = &sample[(at >> 33) % sample.len()];
        assert!(sessions.authenticate(key, token.expose().as_bytes(), now).is_ok());
    }
    start.elapsed().as_nanos() / lookups as u128
}

/// How long it takes to sweep all away, and how long the longest batch, during which one core does nothing else.
fn sweep(sessions: &Sessions, later: BootTime) -> (Duration, Duration) {
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    loop {
        let one = Instant::now();
        let swept = sessions.sweep(later);
        longest = longest.max(one.elapsed());
        if swept < Sessions::SWEEP_BATCH {
            assert!(sessions.is_empty());
            return (start.elapsed(), longest);
        }
    }
}

/// Bytes that this process holds.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
