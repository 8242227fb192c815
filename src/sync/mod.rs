//! The locks, counters and maps that several threads share. With the feature `races` they are loom's instead, which runs a test
//! once for every order in which its threads could touch them.

#[cfg(feature = "races")]
mod map;
#[cfg(feature = "races")]
mod once;

#[cfg(not(feature = "races"))]
mod real {
    pub(crate) use dashmap::{DashMap, Entry};
    pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, atomic};
}
#[cfg(feature = "races")]
mod modelled {
    pub(crate) use super::map::{DashMap, Entry};
    pub(crate) use super::once::OnceLock;
    pub(crate) use loom::sync::{Mutex, MutexGuard, atomic};
}

#[cfg(feature = "races")]
pub(crate) use modelled::*;
#[cfg(not(feature = "races"))]
pub(crate) use real::*;
