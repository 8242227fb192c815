//! Integration tests: real clients' bytes against a real gateway in front of an upstream that records what it got.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod activation;
mod attacks;
mod balancers;
mod balancing;
mod bodies;
mod busy_poll;
mod client;
mod contract;
mod cors;
mod credentials;
mod crowds;
mod drain;
mod early;
mod explain;
mod faults;
mod h2_websocket;
mod h2c;
mod half_closed;
mod harness;
mod headers;
mod https_upstreams;
mod judged;
mod limits;
mod logs;
mod metrics;
mod mutual_tls;
mod parked;
mod places;
mod processes;
mod proxies;
mod reload;
mod retries;
mod routes;
mod secrets;
mod secure;
mod session_end;
mod sighup;
mod sockets;
mod throttle;
mod tls;
mod upgrades;
