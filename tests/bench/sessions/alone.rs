//! The map of sessions on its own, without a gateway around it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use gatewarden::auth::{Now, Sessions};
use gatewarden::clock::BootTime;
use serde_json::json;

use super::{Pair, Slowest};

pub(crate) fn measure(count: usize, lookups: usize) {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("token.key");
    std::fs::write(&secret, [7; 64]).unwrap();
    let config = super::config(&format!(
        "listeners = [{{ address = '127.0.0.1:0', tls = false }}]\ntokens.secret_files = ['{}']\nsessions.max = {}\n\
         directories = [{{ kind = 'file', path = 'users.toml', rehash = false }}]\n\
         upstreams.a.servers = ['http://127.0.0.1:1']\nroutes = [{{ path = '/', upstream = 'a' }}]\n",
        secret.display(),
        count.max(10_000_000) + 1,
    ));
    let (sessions, ring) = (Sessions::new(&config.sessions), super::ring(&config));
    let before = resident();
    let (sample, issue) = super::fill(&sessions, &ring, count);
    let held = resident().saturating_sub(before + taken_by(&sample));
    let lookup = look_up(&sessions, &sample, lookups);
    let known = sessions.issue(super::user(count), &ring, late(24)).unwrap();
    let (sweep, beside) = beside(&sessions, &(known.key, known.token), || sweep(&sessions));
    let each = |all: Duration| all.as_nanos() / count as u128;
    println!(
        "{}",
        json!({
            "bytes_each": held / count,
            "load_s": issue.total.as_secs_f64(), "issue_ns": each(issue.total), "lookup_ns": lookup, "sweep_ns": each(sweep.total),
            "slowest_issue_us": issue.cpu.as_micros(), "slowest_issue_wall_us": issue.wall.as_micros(),
            "slowest_sweep_us": sweep.cpu.as_micros(), "slowest_sweep_wall_us": sweep.wall.as_micros(),
            "slowest_lookup_beside_us": beside.cpu.as_micros(), "slowest_lookup_beside_wall_us": beside.wall.as_micros(),
        })
    );
}

/// Both clocks, so many hours from now.
fn late(hours: u64) -> Now {
    let (now, hours) = (Now::read(), Duration::from_secs(hours * 3600));
    Now { boot: now.boot + hours, wall_millis: now.wall_millis + hours.as_millis() as u64 }
}

/// Nanoseconds of one lookup, keys in an order that no cache foresees.
fn look_up(sessions: &Sessions, sample: &[Pair], lookups: usize) -> u128 {
    let (mut all, now, mut at) = (Slowest::default(), BootTime::now(), 1_usize);
    all.of(|| {
        for _ in 0..lookups {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (key, token) = &sample[(at >> 33) % sample.len()];
            assert!(sessions.authenticate(key, token.expose().as_bytes(), now).is_ok());
        }
    });
    all.total.as_nanos() / lookups.max(1) as u128
}

/// Looks one session up again and again on another thread while `work` is done; what came of it, and the slowest lookup.
fn beside<T>(sessions: &Sessions, (key, token): &Pair, work: impl FnOnce() -> T) -> (T, Slowest) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            let (mut slowest, now) = (Slowest::default(), BootTime::now());
            while !done.load(Relaxed) {
                slowest.of(|| assert!(sessions.authenticate(key, token.expose().as_bytes(), now).is_ok()));
            }
            slowest
        });
        let made = work();
        done.store(true, Relaxed);
        (made, looker.join().unwrap())
    })
}

/// Sweeps all away but the one that lives on, in batches, during each of which one core does nothing else.
fn sweep(sessions: &Sessions) -> Slowest {
    let (mut slowest, later) = (Slowest::default(), late(25).boot);
    while slowest.of(|| sessions.sweep(later)) == Sessions::SWEEP_BATCH {}
    assert_eq!(sessions.len(), 1);
    slowest
}

/// Bytes that this process holds.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// What the sample takes beside the sessions: tokens come in the allocator's sizes.
fn taken_by(sample: &[Pair]) -> usize {
    let tokens: usize = sample.iter().map(|(_, token)| token.expose().len().next_multiple_of(32)).sum();
    size_of_val(sample) + tokens
}
