//! Whether a refused login tells by its time whether there is such a user: logs in over a socket as a client does, kinds of refusal
//! in random order, and compares each two by the test of Kolmogorov and Smirnov. One line of JSON a pair; fails where p < 0.001.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that cannot go on stops")]

mod client;
mod ground;
mod ks;

use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

use client::Client;
use ground::Ground;

/// The program's own allocator, since what an allocation takes depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Plan {
    /// Samples of each kind.
    #[arg(long, default_value_t = 2_000)]
    count: usize,
    /// What is compared; all, if absent.
    #[arg(long, value_enum)]
    of: Option<Of>,
    /// Where the order of the samples begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Of {
    /// Logins that are checked and refused.
    Checked,
    /// Logins that are refused for those before.
    Locked,
}

/// The least probable that is taken for chance.
const LEAST: f64 = 0.001;

/// Who logs in with a wrong password: nobody, or users with such hashes.
const CHECKED: [&str; 4] = ["unknown", "new", "bcrypt", "a1"];
/// The same, when they may not any more.
const LOCKED: [&str; 3] = ["unknown", "new", "a1"];

fn main() -> ExitCode {
    let plan = Plan::parse();
    let mut same = true;
    if plan.of != Some(Of::Locked) {
        same &= compare(&plan, &CHECKED, &Ground::new("throttle = { per_user = 1000000, per_network = 1000000 }"), 401);
    }
    if plan.of != Some(Of::Checked) {
        let ground = Ground::new("throttle = { per_user = 1, per_network = 1000000, window = '24h' }");
        let mut client = Client::connect(ground.address);
        LOCKED.iter().flat_map(|kind| ground::names(kind)).for_each(|name| _ = client.log_in(&name));
        same &= compare(&plan, &LOCKED, &ground, 429);
    }
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether no two kinds can be told apart.
fn compare(plan: &Plan, kinds: &[&str], ground: &Ground, status: u16) -> bool {
    let mut client = Client::connect(ground.address);
    let names: Vec<Vec<String>> = kinds.iter().map(|kind| ground::names(kind).collect()).collect();
    let mut order: Vec<usize> = (0..kinds.len()).cycle().take(kinds.len() * plan.count).collect();
    shuffle(&mut order, plan.seed);
    let mut micros = vec![Vec::with_capacity(plan.count); kinds.len()];
    names.iter().flatten().for_each(|name| _ = client.log_in(name));
    for kind in order {
        let name = &names[kind][micros[kind].len() % names[kind].len()];
        let (answered, took) = client.log_in(name);
        assert_eq!(answered, status, "{name}");
        micros[kind].push(took.as_secs_f64() * 1e6);
    }
    micros.iter_mut().for_each(|all| all.sort_by(f64::total_cmp));
    let mut same = true;
    for (one, first) in micros.iter().enumerate() {
        for (other, second) in micros.iter().enumerate().skip(one + 1) {
            let (d, p) = ks::two_samples(first, second);
            same &= p >= LEAST;
            let median = |all: &[f64]| all[all.len() / 2].round();
            let pair = [kinds[one], kinds[other]];
            println!(
                "{}",
                json!({ "pair": pair, "status": status, "count": plan.count, "median_micros": [median(first), median(second)], "d": d, "p": p })
            );
        }
    }
    same
}

/// By Fisher and Yates, from a generator of which only that it repeats itself matters.
fn shuffle(order: &mut [usize], seed: u64) {
    let mut state = seed;
    for last in (1..order.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(last, (state >> 33) as usize % (last + 1));
    }
}
