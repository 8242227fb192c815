//! What must hold of keys and tokens whatever is presented. Called by tests/fuzz, and by nobody else.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::time::Duration;

use super::{Issued, Now, Rejected, Ring, SessionKey, Sessions};
use crate::clock::BootTime;
use crate::config;
use crate::directory::{Principal, Role};

const NOW: BootTime = BootTime::from_millis(1_000);

/// One live session, for all inputs.
static LIVE: LazyLock<(Sessions, Issued)> = LazyLock::new(|| {
    let (lifetime, one) = (Duration::from_secs(3600), NonZeroUsize::MIN);
    let sessions = Sessions::new(&config::Sessions { lifetime, idle_timeout: None, per_user: one, max: one });
    let principal = Principal { name: "a@b".to_owned(), role: Role::User, attributes: Default::default() };
    let now = Now { boot: NOW, wall_millis: 1_000 };
    let issued = sessions.issue(principal, &Ring::generate(), now).expect("there is room");
    (sessions, issued)
});

/// A key is read only as it is written, and no token opens the session but the one that was issued, to the byte: the input is
/// laid over the right one.
pub fn token(bytes: &[u8]) {
    if let Some(key) = SessionKey::parse(bytes) {
        assert_eq!(key.expose().as_bytes(), bytes);
        assert!(LIVE.0.authenticate(&key, bytes, NOW).is_err());
    }
    let (sessions, issued) = &*LIVE;
    let right = issued.token.expose().as_bytes();
    let mut presented: Vec<u8> = right.to_vec();
    presented.resize(right.len().max(bytes.len()), 0);
    presented.iter_mut().zip(bytes).for_each(|(byte, change)| *byte ^= change);
    match sessions.authenticate(&issued.key, &presented, NOW) {
        Ok(session) => assert!(presented == right && session.key == issued.key),
        Err(rejected) => assert!(presented != right && rejected != Rejected::Expired),
    }
}
