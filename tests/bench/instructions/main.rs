//! The hot path, again and again: run under callgrind by tests/bench/instructions/run, which counts instructions, that are the same
//! on a busy machine as on an idle one.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark that cannot go on stops")]

mod ground;
mod parts;
mod requests;

use clap::Parser;

use ground::Ground;

/// The program's own allocator, since its instructions count too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Does one thing so many times. What it takes to begin is the same however many, so that the difference of two runs is what one costs.
#[derive(Parser)]
struct Plan {
    /// Absent: prints what there is.
    what: Option<String>,
    #[arg(long, default_value_t = 100)]
    times: usize,
    #[arg(long, hide = true)]
    bench: bool,
}

type Work = fn(&Ground, usize);

const ALL: [(&str, Work); 9] = [
    ("admit", parts::admit),
    ("admit_wrong_token", parts::admit_wrong_token),
    ("strip_headers", parts::strip_headers),
    ("route_of_1000", parts::route_of_1000),
    ("access_line", parts::access_line),
    ("request_denied_by_route", requests::denied_by_route),
    ("request_refused", requests::refused),
    ("request_forwarded", requests::forwarded),
    ("request_with_body", requests::with_body),
];

fn main() {
    let plan = Plan::parse();
    let Some(what) = plan.what else {
        return ALL.iter().for_each(|(name, _)| println!("{name}"));
    };
    let (_, work) = ALL.iter().find(|(name, _)| *name == what).expect("one of those that are listed");
    work(&Ground::lay(), plan.times);
}
