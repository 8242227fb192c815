//! Looks once a second at the files that the server reads again when they change.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::tls::Tls;
use crate::gateway::Gateway;
use crate::panics;

/// Runs until it is dropped. A look may wait for a slow disk, so it is taken off the event loop that accepts.
pub(super) async fn keep_fresh(gateway: Arc<Gateway>, tls: Option<Arc<Tls>>) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let (rules, tls) = (gateway.rules(), tls.clone());
        let look = move || {
            rules.refresh();
            tls.iter().for_each(|tls| tls.refresh());
        };
        if tokio::task::spawn_blocking(look).await.is_err() {
            panics::note("refresh", None);
        }
    }
}
