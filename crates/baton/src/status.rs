//! Knows how the process stands, for `/readyz` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use baton_api::{Readiness, StatusSource};
use baton_audit::{Journal, Relay};
use baton_engine::Engine;
use baton_telemetry::JournalState;
use metrics_exporter_prometheus::PrometheusHandle;

/// A sync that is late by more than this means that no request is taken.
const SYNC_LATE: Duration = Duration::from_millis(500);

/// A store that owes an answer for so long counts as away.
const STORE_SILENT: Duration = Duration::from_secs(2);

/// The parts that are asked.
#[derive(Clone)]
pub(crate) struct Status {
    pub(crate) engine: Arc<Engine>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) metrics: PrometheusHandle,
}

impl std::fmt::Debug for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Status")
    }
}

impl StatusSource for Status {
    fn readiness(&self) -> Readiness {
        let health = self.journal.health();
        let mut problems = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            problems.push("draining: no new requests are taken".to_owned());
        }
        if health.failed {
            problems.push("a sync of the journal failed: restart when the disk is well".to_owned());
        } else if health.sync_age > SYNC_LATE {
            problems.push(format!("the journal waits {} ms for its disk", health.sync_age.as_millis()));
        }
        if health.full {
            problems.push(
                "the journal is full: the store must take what waits, or the disk needs room".to_owned(),
            );
        }
        let relay = self.relay.health();
        let store = if relay.failures == 0 && relay.silence < STORE_SILENT { "ok" } else { "away" };
        Readiness {
            ready: problems.is_empty(),
            config: self.engine.settings().version.clone(),
            journal_backlog_bytes: health.backlog_bytes,
            relay_lag_ms: u64::try_from(health.oldest_unrelayed.as_millis()).unwrap_or(u64::MAX),
            store,
            problems,
        }
    }

    fn metrics(&self) -> String {
        let health = self.journal.health();
        JournalState {
            backlog_bytes: health.backlog_bytes,
            lag: health.oldest_unrelayed,
            sync_age: health.sync_age,
        }
        .emit();
        self.metrics.render()
    }
}
