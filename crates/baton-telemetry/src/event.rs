//! The things worth telling, each with the log line and the metric that belong together.

use std::time::Duration;

use baton_model::{FaultKind, Target, Usage};
use metrics::{counter, gauge};

use crate::Metric;
use crate::meter::{TargetMeter, attempts, count_request};

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
        TargetMeter::of(self.target, |meter| {
            if let Some(usage) = self.usage {
                meter.count_tokens(self.target, usage);
            }
            if let Some(first) = self.first_content {
                meter.first_content(self.target).record(first.as_secs_f64());
            }
            meter.duration(self.target).record(self.total.as_secs_f64());
            match self.fault {
                None => meter.count_success(self.target),
                Some(fault) => attempts(self.target, fault.as_str()).increment(1),
            }
        });
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

/// A decision was compared with what a policy on trial would have chosen.
#[derive(Debug)]
pub struct ShadowCompared<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// Whether it chose the same; nothing where it could not choose.
    pub same: Option<bool>,
}

impl ShadowCompared<'_> {
    /// Counts it.
    pub fn emit(&self) {
        let result = match self.same {
            Some(true) => "same",
            Some(false) => "different",
            None => "undetermined",
        };
        counter!(Metric::Shadowed.name(), "policy" => self.policy.to_owned(), "result" => result)
            .increment(1);
    }
}

/// Agents did what rarely ends well.
#[derive(Debug)]
pub struct AgentPattern<'a> {
    /// What they did.
    pub pattern: Pattern,
    /// The agent that came to work by it.
    pub agent: &'a str,
}

/// What agents do that rarely ends well. The lints at load warn of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The conversation went back the way that it had come.
    PingPong,
    /// Four conversations or more are open within each other.
    Depth,
    /// An agent can choose among more than five others.
    ManyTargets,
    /// The fourth hand-over of one request.
    Chain,
    /// An agent was chosen whose description does not say what it is for.
    Vague,
    /// Who was handed the conversation handed it on.
    NoCoordinator,
}

impl Pattern {
    const fn as_str(self) -> &'static str {
        match self {
            Self::PingPong => "ping_pong",
            Self::Depth => "depth",
            Self::ManyTargets => "many_targets",
            Self::Chain => "chain",
            Self::Vague => "vague",
            Self::NoCoordinator => "no_coordinator",
        }
    }
}

impl AgentPattern<'_> {
    /// Counts it.
    pub fn emit(&self) {
        let agent = self.agent.to_owned();
        counter!(Metric::AgentPatterns.name(), "pattern" => self.pattern.as_str(), "agent" => agent)
            .increment(1);
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
        count_request(self.surface, self.status);
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
