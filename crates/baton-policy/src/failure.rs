//! What follows a failed attempt, read from one table.
//!
//! Each kind of failure has one row: whether the same target is worth another try, whether another
//! credential or another target is, and what the failure counts against. [`next`] reads the row and what
//! became of the attempts so far; there is no rule about a kind anywhere else.
//!
//! - Start with [`reaction`], the table.
//! - **Invariant:** nothing is tried after the deadline, and no target more than [`MAX_RETRIES`] times again.
//! - **Invariant:** what a client did wrong counts against nobody.

use std::time::Duration;

use baton_model::FaultKind;

/// How often the same target is tried again, whatever a policy says.
pub const MAX_RETRIES: u32 = 3;

/// A row of the failure table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaction {
    /// Whether the same target is tried again, with the same credential and after a pause.
    pub same_target: SameTarget,
    /// Whether another credential of the same target is tried, at once and before anything else.
    pub other_credential: bool,
    /// Whether another target is tried.
    pub other_target: bool,
    /// What the failure counts against.
    pub counts: Counts,
}

/// Whether the same target is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameTarget {
    /// Never.
    Never,
    /// Only where no other target is left.
    IfAlone,
    /// Before any other.
    Yes,
}

/// What a failure counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Nothing: it says nothing of the target's health.
    Nothing,
    /// The target's breaker.
    Target,
    /// The credential's breaker, for every model.
    Credential,
    /// The target rests for this credential: limits are by model and key.
    CoolsTarget,
    /// The credential rests, for every model: an account is empty as a whole.
    CoolsCredential,
}

impl Reaction {
    /// The target failed: again after a pause, then the next.
    const TARGET_FAILED: Self = Self {
        same_target: SameTarget::Yes,
        other_credential: false,
        other_target: true,
        counts: Counts::Target,
    };
    /// The target cannot do what was asked: one that can.
    const DOES_NOT_FIT: Self = Self {
        same_target: SameTarget::Never,
        other_credential: false,
        other_target: true,
        counts: Counts::Nothing,
    };
    /// Nobody would do it, or nobody is left to do it for.
    const RETURNED: Self = Self { other_target: false, ..Self::DOES_NOT_FIT };

    /// It is the key: another one, then another target.
    const fn key_failed(counts: Counts) -> Self {
        Self { same_target: SameTarget::Never, other_credential: true, other_target: true, counts }
    }

    /// Whether the client is told at once, whatever is left to try.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self.same_target, SameTarget::Never) && !self.other_credential && !self.other_target
    }
}

/// The failure table.
#[must_use]
pub const fn reaction(kind: FaultKind) -> Reaction {
    match kind {
        FaultKind::ServerError
        | FaultKind::Overloaded
        | FaultKind::Connect
        | FaultKind::Timeout
        | FaultKind::MalformedAnswer
        | FaultKind::Truncated => Reaction::TARGET_FAILED,
        FaultKind::RateLimited => {
            Reaction { same_target: SameTarget::IfAlone, ..Reaction::key_failed(Counts::CoolsTarget) }
        }
        FaultKind::QuotaExhausted => Reaction::key_failed(Counts::CoolsCredential),
        FaultKind::Unauthorized => Reaction::key_failed(Counts::Credential),
        // An unavailable model counts nothing: a header of one caller can make a provider say this of a
        // model that it has.
        FaultKind::ContextTooLong | FaultKind::UnsupportedFeature | FaultKind::ModelUnavailable => {
            Reaction::DOES_NOT_FIT
        }
        FaultKind::InvalidRequest
        | FaultKind::TooLarge
        | FaultKind::ContentFiltered
        | FaultKind::ClientCancelled
        | FaultKind::ClientStalled
        | FaultKind::Internal => Reaction::RETURNED,
        // A kind without a row is nobody's fault until it has one.
        _ => Reaction::RETURNED,
    }
}

/// What became of the attempts so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// How many attempts the current target has had, with any credential.
    pub attempts_on_target: u32,
    /// How often the policy lets the same target be tried again; at most [`MAX_RETRIES`] count.
    pub retries: u32,
    /// Whether the target has a credential left that this request has not tried.
    pub credentials_left: bool,
    /// Whether another target is left in the plan.
    pub others_left: bool,
    /// Whether the provider's retry budget has a token. The caller asks with `true`, claims a token if
    /// the answer is a retry, and asks again with `false` if there is none: so no token is wasted.
    pub budget: bool,
    /// A random number, for the jitter.
    pub random: u64,
    /// What is left until the total deadline.
    pub time_left: Duration,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same target after a pause.
    Retry {
        /// How long to wait.
        after: Duration,
    },
    /// The same target with another credential, at once.
    Credential,
    /// The next target of the plan, at once.
    Fallback,
    /// Nothing: the client is told.
    Stop,
}

/// What follows a failure before any content reached the client.
#[must_use]
pub fn next(kind: FaultKind, retry_after: Option<Duration>, history: &History) -> Next {
    if history.time_left.is_zero() {
        return Next::Stop;
    }
    let row = reaction(kind);
    if row.other_credential && history.credentials_left {
        return Next::Credential;
    }
    let others_left = row.other_target && history.others_left;
    let may_retry = history.budget && history.attempts_on_target <= history.retries.min(MAX_RETRIES);
    let pause = retry_after.unwrap_or_else(|| backoff(history.attempts_on_target, history.random));
    let retry_fits = may_retry && pause < history.time_left && pause <= MAX_WAIT;
    match row.same_target {
        // A provider that names a pause longer than a moment is left in peace where there is another.
        SameTarget::Yes if retry_fits && !(others_left && pause > MAX_PAUSE) => Next::Retry { after: pause },
        SameTarget::IfAlone if retry_fits && !others_left => Next::Retry { after: pause },
        SameTarget::Yes | SameTarget::IfAlone | SameTarget::Never if others_left => Next::Fallback,
        SameTarget::Yes | SameTarget::IfAlone | SameTarget::Never => Next::Stop,
    }
}

/// The longest pause that is preferred to another target.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause at all: a client is told sooner, with what the provider said of the time.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A pause drawn evenly from the upper half of 100 ms, 200 ms, 400 ms, ... up to 2 s.
fn backoff(attempt: u32, random: u64) -> Duration {
    let ceiling = (100_u64 << attempt.saturating_sub(1).min(5)).min(2_000);
    let half = ceiling / 2;
    Duration::from_millis(half + random % (half + 1))
}

#[cfg(test)]
mod tests;
