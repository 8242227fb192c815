//! gatewarden: a TLS reverse proxy that forwards a request only when its `X-Access-Token` and `X-Key` belong to a live session.

mod admin;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod directory;
pub mod gateway;
pub mod server;
pub mod telemetry;
pub mod upstream;
