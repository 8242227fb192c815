//! Where passwords are verified. Knows users and hashes; knows no sessions and no HTTP.

mod role;

pub use role::Role;
