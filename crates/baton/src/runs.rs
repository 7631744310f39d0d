//! Removes stored runs whose time is over.

use std::sync::Arc;
use std::time::Duration;

use baton_net::tasks::Tasks;
use baton_state::Runs;

/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long until the next try, when the store did not answer.
const AGAIN: Duration = Duration::from_secs(10 * 60);

/// Removes what has expired, at once and every day.
pub(crate) async fn purge(runs: Arc<Runs>, tasks: Tasks) {
    loop {
        let pause = match runs.drop_expired().await {
            Ok(0) => EVERY,
            Ok(removed) => {
                tracing::info!(removed, "stored runs had expired, and are removed");
                EVERY
            }
            Err(error) => {
                tracing::warn!(error = %error, "expired runs were not removed; it is tried again");
                AGAIN
            }
        };
        tokio::select! {
            () = tasks.stop_token().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
