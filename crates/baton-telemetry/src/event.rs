//! The things worth telling, each with the log line and the metric that belong together.

use std::time::Duration;

use baton_model::{FaultKind, Target, Usage};
use metrics::{counter, gauge, histogram};

use crate::Metric;

/// An attempt at an upstream ended.
#[derive(Debug)]
pub struct AttemptEnded<'a> {
    /// Where it went.
    pub target: &'a Target,
    /// `ok`, or what went wrong.
    pub fault: Option<FaultKind>,
    /// The provider's HTTP status.
    pub http_status: Option<u16>,
    /// Until the first content.
    pub first_content: Option<Duration>,
    /// Until the end.
    pub total: Duration,
    /// What the provider counted.
    pub usage: Option<&'a Usage>,
}

impl AttemptEnded<'_> {
    /// Counts it, and logs it if it failed.
    pub fn emit(&self) {
        let provider = self.target.provider.to_string();
        let model = self.target.model.to_string();
        let result = self.fault.map_or("ok", FaultKind::as_str);
        if let Some(usage) = self.usage {
            for (kind, tokens) in [
                ("input", usage.input_tokens),
                ("cached_input", usage.cached_input_tokens),
                ("output", usage.output_tokens),
            ] {
                if tokens > 0 {
                    counter!(Metric::Tokens.name(), "provider" => provider.clone(), "model" => model.clone(), "type" => kind)
                        .increment(tokens);
                }
            }
        }
        if let Some(first) = self.first_content {
            histogram!(Metric::FirstContent.name(), "provider" => provider.clone())
                .record(first.as_secs_f64());
        }
        histogram!(Metric::AttemptDuration.name(), "provider" => provider.clone())
            .record(self.total.as_secs_f64());
        counter!(Metric::Attempts.name(), "provider" => provider, "model" => model, "result" => result)
            .increment(1);
        match self.fault {
            None | Some(FaultKind::ClientCancelled) => {}
            Some(fault) => tracing::warn!(
                to = %self.target,
                fault = %fault,
                http_status = self.http_status,
                total_ms = self.total.as_millis(),
                "attempt failed",
            ),
        }
    }
}

/// A request was answered.
#[derive(Debug)]
pub struct RequestEnded {
    /// The path as matched.
    pub surface: &'static str,
    /// The HTTP status.
    pub status: u16,
}

impl RequestEnded {
    /// Counts it.
    pub fn emit(&self) {
        counter!(Metric::Requests.name(), "surface" => self.surface, "status" => status_text(self.status))
            .increment(1);
    }
}

/// A request was refused before any decision.
#[derive(Debug)]
pub struct RequestShed {
    /// `unauthorized`, `too_large`, `key_busy`, `journal_full`, `sync_late`, ...
    pub reason: &'static str,
}

impl RequestShed {
    /// Counts it.
    pub fn emit(&self) {
        counter!(Metric::Shed.name(), "reason" => self.reason).increment(1);
    }
}

/// A configuration was read again.
#[derive(Debug)]
pub enum ConfigReload<'a> {
    /// It is in force.
    Applied {
        /// Its version.
        version: &'a str,
    },
    /// It is wrong; the one before stays.
    Rejected {
        /// The mistakes, as text for a person.
        mistakes: &'a str,
    },
}

impl ConfigReload<'_> {
    /// Counts and logs it.
    pub fn emit(&self) {
        let result = match self {
            Self::Applied { version } => {
                tracing::info!(config_version = version, "configuration reloaded");
                "applied"
            }
            Self::Rejected { mistakes } => {
                tracing::error!(mistakes, "configuration not reloaded, the one before stays in force");
                "rejected"
            }
        };
        counter!(Metric::ConfigReloads.name(), "result" => result).increment(1);
    }
}

/// Where journal and relay stand.
#[derive(Debug)]
pub struct JournalState {
    /// Bytes that the store does not have yet.
    pub backlog_bytes: u64,
    /// Age of the oldest of them.
    pub lag: Duration,
    /// Age of the oldest unsynced decision.
    pub sync_age: Duration,
}

impl JournalState {
    /// Sets the gauges.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float; bytes of a backlog stay far below 2^52"
    )]
    pub fn emit(&self) {
        gauge!(Metric::JournalBacklog.name()).set(self.backlog_bytes as f64);
        gauge!(Metric::RelayLag.name()).set(self.lag.as_secs_f64());
        gauge!(Metric::SyncAge.name()).set(self.sync_age.as_secs_f64());
    }
}

/// A status as a label, without allocating for the common ones.
fn status_text(status: u16) -> std::borrow::Cow<'static, str> {
    match status {
        200 => "200".into(),
        400 => "400".into(),
        401 => "401".into(),
        404 => "404".into(),
        429 => "429".into(),
        502 => "502".into(),
        503 => "503".into(),
        other => other.to_string().into(),
    }
}
