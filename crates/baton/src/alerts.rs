//! Tells somebody by a signed webhook when the audit log needs them.
//!
//! An alert is told when it begins and when it is over, each once, and again until the receiver has
//! taken it. What changes in between is not told.
//!
//! - Start with [`Alerts::run`]; [`verify_failed`] is for the command that checks the log.
//! - **Invariant:** nothing waits for the receiver.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use baton_audit::{IdSource, Journal, VerifyReport};
use baton_config::Alerts as Settings;
use baton_net::tasks::Tasks;
use baton_net::webhook::Webhook;
use serde_json::json;

use crate::webhooks;

/// How often it is looked at what could be wrong.
const EVERY: Duration = Duration::from_secs(5);
/// No more findings than this are in a message.
const FINDINGS: usize = 20;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The store is far behind the journal.
    RelayLag,
    /// The disk of the data directory is nearly full.
    Disk,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::RelayLag => "audit.relay_lag",
            Self::Disk => "audit.disk",
        }
    }
}

/// One alert: whether it is so, and what the receiver was told last.
#[derive(Debug)]
struct Alert {
    kind: Kind,
    limit: u64,
    told: bool,
    /// When it became what it is.
    since_ms: u64,
    is: bool,
}

/// What is looked at, and who is told.
#[derive(Debug)]
pub(crate) struct Alerts {
    webhook: Webhook,
    journal: Arc<Journal>,
    data_dir: PathBuf,
    ids: IdSource,
    alerts: [Alert; 2],
}

impl Alerts {
    /// Alerts of these settings, about this journal and the disk that it is on.
    pub(crate) fn new(
        settings: &Settings,
        journal: Arc<Journal>,
        data_dir: &Path,
        ids: IdSource,
    ) -> anyhow::Result<Self> {
        let limit_ms = u64::try_from(settings.relay_lag.as_millis()).unwrap_or(u64::MAX);
        let alert = |kind, limit| Alert { kind, limit, told: false, since_ms: 0, is: false };
        let alerts = [alert(Kind::RelayLag, limit_ms), alert(Kind::Disk, settings.disk_free)];
        Ok(Self {
            webhook: webhooks::alerts(&settings.webhook)?,
            journal,
            data_dir: data_dir.to_owned(),
            ids,
            alerts,
        })
    }

    /// Looks and tells until the tasks are stopped.
    pub(crate) async fn run(mut self, tasks: Tasks) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = tasks.stop_token().cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = tasks.stop_token().cancelled() => return,
                () = self.look() => {}
            }
        }
    }

    async fn look(&mut self) {
        let lag = self.journal.health().oldest_unrelayed;
        let free = free_bytes(&self.data_dir);
        let now_ms = self.ids.now_ms();
        for alert in &mut self.alerts {
            let (value, is) = match alert.kind {
                Kind::RelayLag => {
                    let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
                    (lag_ms, lag_ms > alert.limit)
                }
                // A disk that cannot be asked is not known to be full.
                Kind::Disk => match free {
                    Some(free) => (free, free < alert.limit),
                    None => continue,
                },
            };
            if is != alert.is {
                (alert.is, alert.since_ms) = (is, now_ms);
            }
            if alert.is == alert.told {
                continue;
            }
            let body = alert.message(value);
            match self.webhook.send(alert.kind.name(), body.as_bytes()).await {
                Ok(()) => alert.told = alert.is,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(alert = alert.kind.name(), error = %error, cause, "an alert could not be sent; it is tried again");
                }
            }
        }
    }
}

impl Alert {
    /// The message; the numbers are milliseconds of lag, or bytes of room.
    fn message(&self, value: u64) -> String {
        let state = if self.is { "begun" } else { "over" };
        json!({"state": state, "since_ms": self.since_ms, "value": value, "limit": self.limit}).to_string()
    }
}

/// Tells that a check of the log found something. It waits until the receiver has it, once.
pub(crate) async fn verify_failed(settings: &Settings, report: &VerifyReport) {
    let findings: Vec<_> = report
        .findings
        .iter()
        .take(FINDINGS)
        .map(|it| json!({"chain": it.boot.to_string(), "entry": it.seq, "flaw": it.flaw.to_string()}))
        .collect();
    let data = json!({"findings": findings, "count": report.findings.len()}).to_string();
    let sent = async {
        Ok::<_, anyhow::Error>(
            webhooks::alerts(&settings.webhook)?.send("audit.verify_failed", data.as_bytes()).await?,
        )
    };
    if let Err(error) = sent.await {
        tracing::warn!(
            error = format!("{error:#}"),
            "the finding could not be sent to `audit.alerts.webhook`"
        );
    }
}

/// The room that is left for a process like this one.
fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}
