//! The list of metrics: one variant each, with its name, unit and help text.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// A metric that `/metrics` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Requests by surface and status.
    Requests,
    /// Attempts by provider, model and how they ended.
    Attempts,
    /// Tokens by provider, model and type.
    Tokens,
    /// Seconds from sending to the first content.
    FirstContent,
    /// Seconds from sending to the end.
    AttemptDuration,
    /// Whether a target's breaker lets requests through.
    TargetUp,
    /// Requests refused before a decision: `401`, `413`, `429`, `503`.
    Shed,
    /// Decisions planned with a policy on trial too, by policy and what it came to.
    Shadowed,
    /// What agents did that rarely ends well, by pattern and agent.
    AgentPatterns,
    /// Configuration reloads by result.
    ConfigReloads,
    /// Bytes in the journal that no store has yet.
    JournalBacklog,
    /// Age of the oldest entry that no store has yet.
    RelayLag,
    /// Age of the oldest unsynced decision.
    SyncAge,
}

impl Metric {
    /// All of them, in the order of `/metrics`.
    pub const ALL: [Self; 13] = [
        Self::Requests,
        Self::Attempts,
        Self::Tokens,
        Self::FirstContent,
        Self::AttemptDuration,
        Self::TargetUp,
        Self::Shed,
        Self::Shadowed,
        Self::AgentPatterns,
        Self::ConfigReloads,
        Self::JournalBacklog,
        Self::RelayLag,
        Self::SyncAge,
    ];

    /// The name it has on `/metrics`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "baton_requests_total",
            Self::Attempts => "baton_attempts_total",
            Self::Tokens => "baton_tokens_total",
            Self::FirstContent => "baton_attempt_first_content_seconds",
            Self::AttemptDuration => "baton_attempt_duration_seconds",
            Self::TargetUp => "baton_target_up",
            Self::Shed => "baton_requests_shed_total",
            Self::Shadowed => "baton_shadow_decisions_total",
            Self::AgentPatterns => "baton_agent_patterns_total",
            Self::ConfigReloads => "baton_config_reloads_total",
            Self::JournalBacklog => "baton_journal_backlog_bytes",
            Self::RelayLag => "baton_relay_lag_seconds",
            Self::SyncAge => "baton_journal_sync_age_seconds",
        }
    }

    const fn help(self) -> &'static str {
        match self {
            Self::Requests => "Requests answered, by surface and status.",
            Self::Attempts => "Attempts at upstreams, by target and how they ended.",
            Self::Tokens => "Tokens that providers reported, by type.",
            Self::FirstContent => "Time from sending an attempt to its first content.",
            Self::AttemptDuration => "Time from sending an attempt to its end.",
            Self::TargetUp => "1 while a target's breaker lets requests through, 0 while it does not.",
            Self::Shed => "Requests refused before a decision was made, by reason.",
            Self::Shadowed => "Decisions that a policy on trial was compared with, by policy and result.",
            Self::AgentPatterns => "What agents did that rarely ends well, by pattern and agent.",
            Self::ConfigReloads => "Configuration reloads, by result.",
            Self::JournalBacklog => "Bytes in the journal that the store does not have yet.",
            Self::RelayLag => "Age of the oldest journal entry that the store does not have yet.",
            Self::SyncAge => "Age of the oldest decision that waits for its sync.",
        }
    }
}

/// Tells the recorder every metric's help text. Once, after the recorder is installed.
pub fn describe() {
    for metric in Metric::ALL {
        match metric {
            Metric::Requests
            | Metric::Attempts
            | Metric::Tokens
            | Metric::Shed
            | Metric::Shadowed
            | Metric::AgentPatterns
            | Metric::ConfigReloads => {
                describe_counter!(metric.name(), Unit::Count, metric.help());
            }
            Metric::FirstContent | Metric::AttemptDuration => {
                describe_histogram!(metric.name(), Unit::Seconds, metric.help());
            }
            Metric::TargetUp => {
                describe_gauge!(metric.name(), Unit::Count, metric.help());
            }
            Metric::JournalBacklog => {
                describe_gauge!(metric.name(), Unit::Bytes, metric.help());
            }
            Metric::RelayLag | Metric::SyncAge => {
                describe_gauge!(metric.name(), Unit::Seconds, metric.help());
            }
        }
    }
}
