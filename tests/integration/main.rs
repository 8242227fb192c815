//! Integration tests: real clients' bytes against a real gateway in front of an upstream that records what it got.

mod bodies;
mod contract;
mod cors;
mod credentials;
mod drain;
mod harness;
mod headers;
mod limits;
mod paths;
mod retries;
mod routes;
mod upgrades;
