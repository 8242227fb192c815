//! Every parser of input from the network or from a file, for libFuzzer: `FUZZ_TARGET` names the one that is fuzzed. What must
//! hold stands beside the parsers, in the `fuzz` modules of the crate.

#![no_main]

use std::sync::LazyLock;

use gatewarden::{auth, config, directory, gateway, server, upstream};
use libfuzzer_sys::fuzz_target;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 21] = [
    ("announced", server::fuzz::announced),
    ("answer", upstream::fuzz::answer),
    ("authority", gateway::fuzz::authority),
    ("configuration", config::fuzz::configuration),
    ("credentials", gateway::fuzz::credentials),
    ("environment", config::fuzz::environment),
    ("forwarded", gateway::fuzz::forwarded),
    ("frames", upstream::fuzz::frames),
    ("hash", directory::fuzz::hash),
    ("hop_by_hop", gateway::fuzz::hop_by_hop),
    ("import", directory::fuzz::import),
    ("login_body", gateway::fuzz::login_body),
    ("messages", server::fuzz::messages),
    ("name", directory::fuzz::name),
    ("path", gateway::fuzz::path),
    ("places", gateway::fuzz::places),
    ("preface", server::fuzz::preface),
    ("query", gateway::fuzz::query),
    ("routes", gateway::fuzz::routes),
    ("token", auth::fuzz::token),
    ("users_file", directory::fuzz::users_file),
];

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let wanted = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    TARGETS.iter().find(|(name, _)| *name == wanted).expect("a target that tests/fuzz/run lists").1
});

fuzz_target!(|bytes: &[u8]| TARGET(bytes));
