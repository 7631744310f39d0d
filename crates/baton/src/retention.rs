//! Keeps the store in order over the months: makes room ahead, and drops what is too old.
//!
//! - **Invariant:** what is dropped was signed before, and what says so is in the store by then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use baton_audit::{AuditUpkeep, Droppable, IdSource, Journal, Relay};
use baton_net::tasks::Tasks;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long until the next try, when the store did not answer.
const AGAIN: Duration = Duration::from_secs(10 * 60);
/// How long the store may take to get the record that says what goes.
const SETTLING: Duration = Duration::from_secs(60);

/// Keeps one store in order.
#[derive(Debug)]
pub(crate) struct Retention {
    pub(crate) journal: Arc<Journal>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) store: Arc<dyn AuditUpkeep>,
    pub(crate) ids: IdSource,
    /// How long decisions are kept; none for ever.
    pub(crate) keep: Option<Duration>,
}

impl Retention {
    /// Looks at once, and every day.
    pub(crate) async fn run(self, tasks: Tasks) {
        loop {
            let pause = match self.once().await {
                Ok(dropped) => {
                    if !dropped.is_empty() {
                        tracing::info!(
                            decisions = dropped.decisions,
                            chains = dropped.heads.len(),
                            before = baton_audit::utc(dropped.before_ms),
                            "retention dropped what is too old"
                        );
                    }
                    EVERY
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the store was not kept in order; it is tried again"
                    );
                    AGAIN
                }
            };
            tokio::select! {
                () = tasks.stop_token().cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Makes room, and drops what is too old. Returns what was dropped.
    async fn once(&self) -> anyhow::Result<Droppable> {
        let now_ms = self.ids.now_ms();
        self.store.maintain(now_ms).await?;
        let Some(keep) = self.keep else { return Ok(Droppable::default()) };
        let before_ms = now_ms.saturating_sub(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        let droppable = self.store.droppable(before_ms).await?;
        if droppable.is_empty() {
            return Ok(droppable);
        }
        let Droppable { before_ms, heads, decisions } = droppable.clone();
        let signed = self.journal.sign_drop(before_ms, heads, decisions).await?;
        if !self.relay.deliver(signed, SETTLING).await {
            bail!("the store did not take the record that says what is dropped");
        }
        self.store.drop_before(&droppable).await?;
        Ok(droppable)
    }
}

#[cfg(test)]
mod tests;
