//! What live sessions cost, by how many there are: memory each, issuing, looking up, sweeping. Prints one line of JSON, or serves
//! with so many, so that a request can be measured.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that cannot go on stops")]

mod alone;
mod served;
mod slowest;

use std::path::{Path, PathBuf};

use clap::Parser;
use gatewarden::auth::{AccessToken, Now, Ring, SessionKey, Sessions};
use gatewarden::config::{self, Config, Problems};
use gatewarden::directory::{Principal, Role};

use slowest::Slowest;

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
    /// A gateway's configuration: serves with it until its input ends, and prints "ready" once all sessions are there.
    #[arg(long, requires = "pairs")]
    serve: Option<PathBuf>,
    /// Where one "key token" a line goes for those whose requests are sent.
    #[arg(long)]
    pairs: Option<PathBuf>,
    #[arg(long, hide = true)]
    bench: bool,
}

/// Keys and tokens that lookups rotate through: the most.
const SAMPLE: usize = 100_000;

/// A key and its token.
type Pair = (SessionKey, AccessToken);

fn main() {
    let plan = Plan::parse();
    match (plan.serve, plan.pairs) {
        (Some(file), Some(pairs)) => served::serve(&file, &pairs, plan.count),
        _ => alone::measure(plan.count, plan.lookups),
    }
}

fn ring(config: &Config) -> Ring {
    Ring::load(&config.tokens, &mut Problems::default()).unwrap()
}

fn config(text: &str) -> Config {
    config::parse(text, Path::new("bench.toml"), std::iter::empty()).unwrap_or_else(|bad| panic!("{bad}"))
}

/// Issues so many sessions; some of their pairs, spread over all, and the slowest issue.
fn fill(sessions: &Sessions, ring: &Ring, count: usize) -> (Vec<Pair>, Slowest) {
    let (mut slowest, now) = (Slowest::default(), Now::read());
    let mut sample = Vec::with_capacity(SAMPLE.min(count));
    for number in 0..count {
        let issued = slowest.of(|| sessions.issue(user(number), ring, now).unwrap());
        if number % count.div_ceil(SAMPLE) == 0 {
            sample.push((issued.key, issued.token));
        }
    }
    (sample, slowest)
}

fn user(number: usize) -> Principal {
    Principal { name: format!("{number:08}@example.com"), role: Role::User, attributes: serde_json::Map::new() }
}
