//! gatewarden: a TLS reverse proxy that forwards a request only when its `X-Access-Token` and `X-Key` belong to a live session.
//!
//! # The life of a request
//!
//! 1. [`server`] accepts, takes a place among the connections, and hands the connection to the worker that has the fewest. The
//!    worker hears a proxy's announcement and does TLS under a deadline, and speaks HTTP/1.1 or HTTP/2, as ALPN says. What an
//!    HTTP/1.1 client sends is judged before it is parsed: one message, one reading.
//! 2. [`gateway`] refuses what can be understood in more than one way: host, path, fragment, method.
//! 3. The route is selected: the longest prefix of whole segments decides alone. It is a login, a logout, a preflight, a
//!    refusal, or a request to forward.
//! 4. [`auth`] looks the session up by its key, compares the token's digest in constant time, reads the expiry and the role,
//!    and makes an [`auth::Admission`]: the only value that [`upstream`] sends a request for.
//! 5. Reserved and hop-by-hop headers are stripped, the identity is injected, and the request goes over a pooled connection
//!    to the least busy server. The answer streams back; a 101 of a WebSocket becomes a tunnel.
//!    An exchange that outlasts 50 ms is watched: when its session ends, it ends too, on both sides.
//! 6. When the last byte is gone, [`telemetry`] writes one access line.
//!
//! # The modules
//!
//! | Module | Answers for |
//! |---|---|
//! | [`cli`] | the command line and the commands |
//! | [`config`] | what the file says becomes what the program wants, with every problem at once |
//! | [`server`] | listeners, workers, connections, TLS, deadlines, drain; knows nothing of sessions |
//! | [`gateway`] | what happens to a request; one step, one file |
//! | [`auth`] | sessions, tokens, the ring of secrets, the proof of admission; knows no HTTP |
//! | [`directory`] | users, canonical names, password hashes and their bounded checks |
//! | [`upstream`] | servers, pools, headers, bodies, second attempts, tunnels |
//! | `admin` | the probes and /metrics |
//! | [`telemetry`] | the program's own messages, the access log, the audit log, what is counted |
//! | `plain_file` | files of the configuration: regular ones, up to a size; secrets that others can read |
//! | `unreadable` | what is said of a named file that cannot be read |
//! | `watch`, `kept`, `pem` | files that changed, and what was read from them: the last good one stays in use |
//! | `sync` | the locks, counters and maps that several threads share, which tests replace to try every order of events |
//! | `seldom` | what is said once in a while, with how often it happened |
//! | `panics` | what a panic costs: one task, counted and said; what must go on begins again |
//! | [`clock`] | the two clocks: boot time decides, wall time is printed |
//!
//! Dependencies point down only: [`cli`] → [`server`] → [`gateway`] → [`auth`], [`upstream`]; [`auth`] → [`directory`]. Each
//! takes its own section of [`config`]; [`clock`] is read by whoever needs the time.

mod admin;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod gateway;
mod hex;
mod kept;
mod panics;
mod pem;
mod plain_file;
mod seldom;
pub mod server;
mod sync;
pub mod telemetry;
mod unreadable;
pub mod upstream;
mod watch;
