//! Writes decisions and outcomes to the journal; an attempt that is dropped gets its end too.

use std::sync::Arc;
use std::time::Duration;

use baton_audit::{
    Decision, IdSource, Journal, JournalError, Outcome, OutcomeStatus, Receipt, Record, UsageSource,
};
use baton_model::{DecisionId, Fault, FaultKind, FinishReason, NanoUsd, Price, Target, Usage};
use baton_policy::Current;
use baton_telemetry::AttemptEnded;
use baton_upstream::limits;
use http::HeaderMap;
use tokio::time::Instant;
use tracing::Span;

use crate::Engine;
use crate::capture::Capturing;
use crate::features::estimate;
use crate::health::{Attempted, Form, HealthBoard};
use crate::sticky::{Conversation, Held, Sticky};

/// An attempt whose decision is written and whose outcome is not.
///
/// Dropping it records that the client left: that is the only way in which a request's future
/// ends without an answer or a fault.
#[derive(Debug)]
pub(crate) struct OpenAttempt {
    journal: Arc<Journal>,
    ids: IdSource,
    decision: DecisionId,
    receipt: Receipt,
    target: Target,
    terms: Terms,
    health: Arc<HealthBoard>,
    sticky: Arc<Sticky>,
    started: Instant,
    span: Span,
    retry_after: Option<Duration>,
    /// Whether the board knows already that the answer began well.
    told: bool,
    /// Whether it answered, though not as it should: the board was told.
    answered: bool,
    /// What is known so far.
    pub(crate) seen: Seen,
    closed: bool,
}

/// What an attempt came to that ended well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) finish: Option<FinishReason>,
    pub(crate) usage: Option<Usage>,
    pub(crate) cost: Option<NanoUsd>,
}

/// What an attempt is made with, as far as its end has to know.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) price: Option<Price>,
    pub(crate) input_estimate: u64,
    /// The credential, and the right to try a target that may be well again.
    pub(crate) attempted: Attempted,
    pub(crate) form: Form,
    /// How long the target rests that does not say for how long.
    pub(crate) cooldown: Duration,
    /// Whose conversation it is, where the policy looks at that: principal and session.
    pub(crate) conversation: Option<Conversation>,
}

/// What has been learnt of an attempt so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) http_status: Option<u16>,
    pub(crate) first_content: Option<Instant>,
    pub(crate) usage: Option<Usage>,
    pub(crate) finish: Option<FinishReason>,
    pub(crate) upstream_id: Option<String>,
    pub(crate) upstream_model: Option<String>,
    pub(crate) upstream_done: bool,
    pub(crate) content_sent: bool,
    pub(crate) bytes: u64,
    /// Gathers what comes, where somebody wants it kept.
    pub(crate) capturing: Option<Box<Capturing>>,
}

/// Most bytes of an upstream's own id or model name that are recorded: they are data, not keys.
const MAX_FOREIGN: usize = 256;

impl Seen {
    pub(crate) fn absorb_usage(&mut self, usage: &Usage) {
        self.usage.get_or_insert_default().absorb(usage);
    }

    pub(crate) fn note_origin(&mut self, id: Option<&str>, model: Option<&str>) {
        for (slot, text) in [(&mut self.upstream_id, id), (&mut self.upstream_model, model)] {
            if slot.is_none()
                && let Some(text) = text.filter(|text| !text.is_empty())
            {
                *slot = Some(cut(text, MAX_FOREIGN).to_owned());
            }
        }
    }
}

/// The longest prefix of at most `most` bytes that ends at a character.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

impl OpenAttempt {
    /// Writes the decision; from here on the attempt has an end in any case.
    pub(crate) fn begin(
        engine: &Engine,
        decision: Decision,
        target: Target,
        terms: Terms,
        span: Span,
    ) -> Result<Self, JournalError> {
        let id = decision.id;
        let record = Record::Decision(Box::new(decision));
        let receipt = engine.journal.append(&record)?;
        Ok(Self {
            journal: Arc::clone(&engine.journal),
            ids: engine.ids.clone(),
            decision: id,
            receipt,
            target,
            terms,
            health: Arc::clone(&engine.outlook.health),
            sticky: Arc::clone(&engine.outlook.sticky),
            started: Instant::now(),
            span,
            retry_after: None,
            told: false,
            answered: false,
            seen: Seen::default(),
            closed: false,
        })
    }

    /// Waits until the decision is on disk.
    pub(crate) async fn synced(&self) -> Result<(), JournalError> {
        self.journal.synced(&self.receipt).await
    }

    /// Notes the commit point.
    pub(crate) fn note_content(&mut self) {
        self.seen.first_content.get_or_insert_with(Instant::now);
        // A long stream says that its target is well by beginning, not by ending.
        if self.terms.form == Form::Stream {
            self.tell(None);
        }
    }

    /// Where the decision stands in the journal.
    pub(crate) const fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Records a whole answer.
    pub(crate) fn succeed(mut self) -> Ended {
        self.close(OutcomeStatus::Ok, None);
        let usage = self.seen.usage.or_else(|| self.estimated_usage());
        Ended {
            finish: self.seen.finish,
            usage,
            cost: self.terms.price.zip(usage).map(|(price, usage)| price.cost(&usage)),
        }
    }

    /// Records a failure.
    pub(crate) fn fail(mut self, fault: &Fault) {
        self.retry_after = fault.retry_after;
        self.close(OutcomeStatus::Failed, Some(fault.kind));
    }

    /// Records an answer that did not follow its schema. It says nothing of the target's health: it answers.
    pub(crate) fn misfit(mut self, fault: &Fault) {
        self.tell(None);
        self.answered = true;
        self.close(OutcomeStatus::Failed, Some(fault.kind));
    }

    /// Takes note of what the provider says is left of its rate limits.
    pub(crate) fn note_limits(&self, headers: &HeaderMap) {
        if let Some(credential) = &self.terms.attempted.credential
            && let Some(limits) = limits(headers, self.ids.now_ms())
        {
            self.health.note_limits(&self.target, credential.index, limits, Instant::now());
        }
    }

    fn close(&mut self, status: OutcomeStatus, fault: Option<FaultKind>) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let seen = &self.seen;
        let counted = seen.usage.or_else(|| self.estimated_usage());
        let since = |at: Instant| at.saturating_duration_since(self.started);
        let outcome = Outcome {
            decision: self.decision,
            at_ms: self.ids.now_ms(),
            status,
            fault,
            http_status: seen.http_status,
            finish: seen.finish,
            usage: counted,
            usage_source: counted
                .map(|_| if seen.usage.is_some() { UsageSource::Provider } else { UsageSource::Estimated }),
            cost: self.terms.price.zip(counted).map(|(price, usage)| price.cost(&usage)),
            first_content_us: seen.first_content.map(|at| micros(since(at))),
            total_us: micros(since(Instant::now())),
            bytes: seen.bytes,
            content_sent: seen.content_sent,
            upstream_done: seen.upstream_done,
            upstream_id: seen.upstream_id.clone(),
            upstream_model: seen.upstream_model.clone(),
        };
        AttemptEnded {
            target: &self.target,
            fault,
            http_status: seen.http_status,
            first_content: seen.first_content.map(since),
            total: since(Instant::now()),
            usage: seen.usage.as_ref(),
        }
        .emit();
        if !self.answered {
            self.tell(fault);
        }
        if let Some(conversation) = self.terms.conversation.take().filter(|_| status == OutcomeStatus::Ok) {
            let cached = counted.map_or(self.terms.input_estimate, |usage| usage.input_tokens);
            let current = Current { target: self.target.clone(), cached_tokens: cached };
            let held = Held { current, handed: conversation.handed, agent: None };
            self.sticky.put(&conversation.principal, conversation.keys, &held);
        }
        self.record_span(&outcome);
        if let Some(capturing) = self.seen.capturing.take() {
            capturing.end(status);
        }
        // Space was reserved with the decision, so this fails only with the disk itself. The
        // answer's decision is safe; its outcome will read as unknown.
        if let Err(error) = self.journal.append(&Record::Outcome(Box::new(outcome))) {
            tracing::error!(decision_id = %self.decision, error = %error, "outcome could not be written");
        }
    }

    /// Tells the board how it went, once for each thing there is to tell.
    fn tell(&mut self, fault: Option<FaultKind>) {
        if std::mem::replace(&mut self.told, true) && fault.is_none() {
            return;
        }
        let since = |at: Instant| at.saturating_duration_since(self.started);
        let now = Instant::now();
        let ended = crate::health::Ended {
            fault,
            retry_after: self.retry_after,
            default_cooldown: self.terms.cooldown,
            first_content: self.seen.first_content.map(since),
            total: since(now),
            form: self.terms.form,
        };
        self.health.ended(&self.target, &mut self.terms.attempted, &ended, now);
    }

    /// For an answer that was given in part and whose provider did not say what it used.
    fn estimated_usage(&self) -> Option<Usage> {
        self.seen.content_sent.then(|| Usage {
            input_tokens: self.terms.input_estimate,
            output_tokens: estimate(usize::try_from(self.seen.bytes).unwrap_or(usize::MAX)),
            ..Usage::default()
        })
    }

    fn record_span(&self, outcome: &Outcome) {
        let span = &self.span;
        if span.is_disabled() {
            return;
        }
        if let Some(fault) = outcome.fault {
            span.record("error.type", fault.as_str());
        }
        if let Some(finish) = outcome.finish {
            span.record("gen_ai.response.finish_reasons", finish.as_str());
        }
        if let Some(usage) = &outcome.usage {
            span.record("gen_ai.usage.input_tokens", usage.input_tokens);
            span.record("gen_ai.usage.output_tokens", usage.output_tokens);
            span.record("gen_ai.usage.cache_read.input_tokens", usage.cached_input_tokens);
            span.record("gen_ai.usage.reasoning.output_tokens", usage.reasoning_tokens);
        }
        if let Some(id) = &outcome.upstream_id {
            span.record("gen_ai.response.id", id.as_str());
        }
        if let Some(model) = &outcome.upstream_model {
            span.record("gen_ai.response.model", model.as_str());
        }
        if let Some(first) = self.seen.first_content {
            span.record(
                "gen_ai.response.time_to_first_chunk",
                first.duration_since(self.started).as_secs_f64(),
            );
        }
    }
}

impl Drop for OpenAttempt {
    fn drop(&mut self) {
        self.close(OutcomeStatus::ClientCancelled, Some(FaultKind::ClientCancelled));
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
