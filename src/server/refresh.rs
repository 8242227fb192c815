//! Looks once a second at the files that the server reads again when they change.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::tls::Tls;

/// Runs until it is dropped. A look may wait for a slow disk, so it is taken off the event loop that accepts.
pub(super) async fn keep_fresh(tls: Option<Arc<Tls>>) {
    let Some(tls) = tls else { return };
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let tls = tls.clone();
        if let Err(panicked) = tokio::task::spawn_blocking(move || tls.refresh()).await {
            tracing::error!(%panicked, "looking at changed certificates failed");
        }
    }
}
