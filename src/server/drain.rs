//! The end of a server: readiness fails, accepting stops, what is under way finishes or is cut.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config;

/// The steps, each a token that is cancelled when it begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drain {
    /// Readiness fails, still accepting.
    pub(crate) asked: CancellationToken,
    /// No more accepting; GOAWAY and `Connection: close`; idle connections close.
    pub(crate) closing: CancellationToken,
    /// Tunnels get 1001, the rest is cut.
    pub(crate) ending: CancellationToken,
}

impl Drain {
    /// Waits until a drain is asked for, and until accepting must stop. Connections are told first: who finds the listener closed
    /// finds them finishing.
    pub(crate) async fn until_closing(&self, delay: Duration) {
        self.asked.cancelled().await;
        if !delay.is_zero() {
            tracing::info!(?delay, "draining: readiness fails, still accepting");
        }
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.ending.cancelled() => {}
        }
        self.closing.cancel();
    }

    /// Lets `done` finish within the drain timeout, then cuts.
    pub(crate) async fn close(&self, server: &config::Server, done: impl Future) {
        tracing::info!(timeout = ?server.drain_timeout, "draining: closing");
        let mut done = std::pin::pin!(done);
        if tokio::time::timeout(server.drain_timeout, &mut done).await.is_err() {
            tracing::warn!("drain timeout: what is left is cut");
            self.ending.cancel();
            done.await;
        }
    }
}
