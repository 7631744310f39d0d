//! Seals stored responses with the process's cipher, and removes those whose time is over.

use std::sync::Arc;
use std::time::Duration;

use baton_access::Sealer;
use baton_net::tasks::Tasks;
use baton_state::{Place, Responses, Seal, SealError};

/// How often they are looked at.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long until the next try, when the store did not answer.
const AGAIN: Duration = Duration::from_secs(10 * 60);

/// The cipher, for what clients and models said.
#[derive(Debug)]
pub(crate) struct Sealing(pub(crate) Sealer);

impl Seal for Sealing {
    fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.0.seal(&place.context(), plain).map_err(SealError::new)
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.0.open(&place.context(), sealed).map_err(SealError::new)
    }
}

/// Removes what has expired, at once and every day.
pub(crate) async fn purge(responses: Arc<Responses>, tasks: Tasks) {
    loop {
        let pause = match responses.drop_expired().await {
            Ok(0) => EVERY,
            Ok(removed) => {
                tracing::info!(removed, "stored responses had expired, and are removed");
                EVERY
            }
            Err(error) => {
                tracing::warn!(error = %error, "expired responses were not removed; it is tried again");
                AGAIN
            }
        };
        tokio::select! {
            () = tasks.stop_token().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
