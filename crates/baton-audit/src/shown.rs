//! Shows decisions: the one JSON form that every surface, export and command gives out.
//!
//! - Start with [`DecisionBody`] and [`RunBody`].
//! - **Invariant:** what was sealed stays out, unless the caller hands in what it has opened:
//!   [`DecisionBody::with_said`], [`FeedbackBody::with_comment`].

mod schema;

use baton_model::{NanoUsd, Usage};
use baton_policy::{Features, Reason, Row, Verdict};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    CorrectTarget, CorrectionRow, DecisionKind, DecisionPage, DecisionView, Feedback, HandoffNote, Labels,
    Outcome, OutcomeView, RunView, Shadow, StepNote, UsageSource, sentence, utc,
};

pub use schema::{CorrectTargetSchema, FeaturesSchema, ReasonSchema};
use schema::{HandoffSchema, LabelsSchema, ShadowSchema, StepSchema, UsageSchema, VerdictSchema};

/// A page of decisions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionList {
    /// `list`.
    object: &'static str,
    /// The decisions.
    data: Vec<DecisionBody>,
    /// Whether there are more in the direction of reading.
    has_more: bool,
}

/// Everything that was decided for one request.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunBody {
    /// `run`.
    object: &'static str,
    /// The run's id.
    id: String,
    /// Why the answer came from where it came, in one sentence.
    summary: String,
    /// The decisions, oldest first.
    decisions: Vec<DecisionBody>,
}

/// One decision, with how its attempt ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionBody {
    /// `decision`.
    object: &'static str,
    id: String,
    run: String,
    request: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// When, RFC 3339.
    at: String,
    /// `select`, `retry`, `fallback`, `refuse`, `stop`, ...
    #[schema(value_type = String)]
    kind: DecisionKind,
    turn: u32,
    hop: u32,
    principal: String,
    surface: String,
    /// The models as the client named them.
    requested: Vec<String>,
    /// The target left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The target chosen.
    to: Option<String>,
    /// Why: a code, a sentence, and who spoke.
    #[schema(value_type = ReasonSchema)]
    reason: Reason,
    /// The policy as `name@version`, on the first decision of a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    planner: u32,
    /// The version of the configuration in force.
    config: String,
    /// What the request needed, on the first decision of a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<FeaturesSchema>)]
    features: Option<Features>,
    /// What was said about each candidate, on the first decision of a plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<CandidateBody>,
    /// What is to be said of hand-overs: what the model gave as its reason, how much of the conversation
    /// went along, what was lost; or why none was offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HandoffSchema>)]
    handoff: Option<Box<HandoffNote>>,
    /// The steps of agents that were done since the decision before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<StepSchema>)]
    steps: Vec<StepNote>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped_parameters: Vec<String>,
    /// What a version on trial would have chosen, where one is planned with beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ShadowSchema>)]
    shadow: Option<Box<Shadow>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored_parameters: Vec<String>,
    /// Session, user, tags and metadata of the request.
    #[schema(value_type = LabelsSchema)]
    labels: Labels,
    outcome: OutcomeBody,
    /// What was said of it afterwards, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    feedback: Vec<FeedbackBody>,
}

/// What somebody said of a decision afterwards.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeedbackBody {
    /// `feedback`.
    object: &'static str,
    decision: String,
    /// When, RFC 3339.
    at: String,
    /// Who says it.
    principal: String,
    /// Whether the choice was right, or the model or target that would have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CorrectTargetSchema>)]
    correct_target: Option<CorrectTarget>,
    /// How good the answer was, from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// A word of the caller's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// What was said in words; for whoever said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

/// What was said about one candidate.
#[derive(Debug, Serialize, ToSchema)]
pub struct CandidateBody {
    model: String,
    target: String,
    /// `selected`, `eligible` with its rank, or `rejected` with stage, code, observed value and limit.
    #[serde(flatten)]
    #[schema(value_type = VerdictSchema)]
    verdict: Verdict,
    /// The figure it was ranked by, where the order has one: nano-dollars, milliseconds or millionths.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<u64>,
}

/// How an attempt ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomeBody {
    /// `ok`, `failed`, `client_cancelled`, `running`, `crashed` or `not_expected`.
    status: &'static str,
    #[serde(flatten)]
    recorded: Option<RecordedBody>,
}

/// What is known of an attempt that ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordedBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'static str>,
    /// Tokens; input includes cached ones, output includes reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<UsageSchema>)]
    usage: Option<Usage>,
    /// `provider` or `estimated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    usage_source: Option<UsageSource>,
    /// US dollars as a decimal, or `unknown`.
    #[schema(required = false)]
    cost_usd: String,
    /// What was recorded at first, where the cost was counted anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_cost_usd: Option<String>,
    /// The times that the cost was counted anew; the last one counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    corrections: Vec<CorrectionBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_content_us: Option<u64>,
    #[schema(required = false)]
    total_us: u64,
    #[schema(required = false)]
    bytes: u64,
    #[schema(required = false)]
    content_sent: bool,
    #[schema(required = false)]
    upstream_done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_model: Option<String>,
}

/// A cost that was counted anew with other prices, from the tokens that were recorded.
#[derive(Debug, Serialize, ToSchema)]
pub struct CorrectionBody {
    /// When, RFC 3339.
    at: String,
    /// US dollars as a decimal.
    cost_usd: String,
    /// The version of the catalogue whose prices count.
    prices: String,
    /// The version that was counted with at first, where the plan names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_prices: Option<String>,
}

impl DecisionList {
    /// The page, each decision shown by `shown`.
    #[must_use]
    pub fn of(page: DecisionPage, shown: impl Fn(DecisionView) -> DecisionBody) -> Self {
        Self {
            object: "list",
            data: page.decisions.into_iter().map(shown).collect(),
            has_more: page.has_more,
        }
    }
}

impl RunBody {
    /// The run, each decision shown by `shown`.
    #[must_use]
    pub fn of(run: RunView, shown: impl Fn(DecisionView) -> DecisionBody) -> Self {
        Self {
            object: "run",
            id: run.run.to_string(),
            summary: sentence(&run),
            decisions: run.decisions.into_iter().map(shown).collect(),
        }
    }
}

impl DecisionBody {
    /// Adds what a model said of its hand-over, opened.
    #[must_use]
    pub fn with_said(mut self, said: Option<String>) -> Self {
        if let Some(note) = &mut self.handoff {
            note.said = said;
        }
        self
    }

    /// Adds what was said of the decision.
    #[must_use]
    pub fn with_feedback(mut self, feedback: Vec<FeedbackBody>) -> Self {
        self.feedback = feedback;
        self
    }
}

impl FeedbackBody {
    /// Adds the comment, opened.
    #[must_use]
    pub fn with_comment(mut self, comment: Option<String>) -> Self {
        self.comment = comment;
        self
    }
}

impl From<&Feedback> for FeedbackBody {
    fn from(feedback: &Feedback) -> Self {
        Self {
            object: "feedback",
            decision: feedback.decision.to_string(),
            at: utc(feedback.at_ms),
            principal: feedback.principal.clone(),
            correct_target: feedback.correct_target.clone(),
            score: feedback.score.map(share),
            label: feedback.label.clone(),
            // Sealed until somebody opens it.
            comment: None,
        }
    }
}

/// Millionths as a share of one.
#[expect(clippy::cast_precision_loss, reason = "a score has seven digits")]
fn share(millionths: i64) -> f64 {
    millionths as f64 / 1e6
}

impl From<DecisionView> for DecisionBody {
    fn from(view: DecisionView) -> Self {
        let cost = view.cost();
        let decision = view.decision;
        let inputs = decision.inputs.as_deref();
        Self {
            object: "decision",
            id: decision.id.to_string(),
            run: decision.run.to_string(),
            request: decision.request.to_string(),
            parent: decision.parent.map(|parent| parent.to_string()),
            at: utc(decision.at_ms),
            kind: decision.kind,
            turn: decision.turn,
            hop: decision.hop,
            policy: inputs.map(|inputs| format!("{}@{}", inputs.policy.name, inputs.policy.version)),
            features: inputs.map(|inputs| inputs.features.clone()),
            candidates: inputs
                .map(|inputs| candidate_rows(&inputs.candidates, decision.table))
                .unwrap_or_default(),
            principal: decision.principal,
            surface: decision.surface,
            requested: decision.requested,
            from: decision.from.map(|target| target.to_string()),
            to: decision.to.map(|target| target.to_string()),
            reason: decision.reason,
            planner: decision.planner,
            config: decision.config,
            // Sealed until somebody opens it.
            handoff: decision.handoff.map(|note| Box::new(HandoffNote { said: None, ..*note })),
            steps: decision.steps,
            dropped_parameters: decision.dropped_parameters,
            shadow: decision.shadow,
            ignored_parameters: decision.ignored_parameters,
            labels: decision.labels,
            outcome: OutcomeBody::of(view.outcome, cost, &view.corrections),
            feedback: Vec::new(),
        }
    }
}

/// Each candidate with what was said about it.
#[must_use]
pub fn candidate_rows(candidates: &[baton_policy::Candidate], table: Vec<Row>) -> Vec<CandidateBody> {
    candidates
        .iter()
        .zip(table)
        .map(|(candidate, row)| CandidateBody {
            model: candidate.model.to_string(),
            target: candidate.target.to_string(),
            verdict: row.verdict,
            score: row.score,
        })
        .collect()
}

impl OutcomeBody {
    fn of(view: OutcomeView, cost: Option<NanoUsd>, corrections: &[CorrectionRow]) -> Self {
        let status = match &view {
            OutcomeView::NotExpected => "not_expected",
            OutcomeView::Running => "running",
            OutcomeView::Crashed => "crashed",
            OutcomeView::Recorded(outcome) => outcome.status.as_str(),
        };
        let recorded = match view {
            OutcomeView::Recorded(outcome) => Some(RecordedBody::of(*outcome, cost, corrections)),
            OutcomeView::NotExpected | OutcomeView::Running | OutcomeView::Crashed => None,
        };
        Self { status, recorded }
    }
}

impl RecordedBody {
    fn of(outcome: Outcome, cost: Option<NanoUsd>, corrections: &[CorrectionRow]) -> Self {
        Self {
            fault: outcome.fault.map(baton_model::FaultKind::as_str),
            http_status: outcome.http_status,
            finish_reason: outcome.finish.map(baton_model::FinishReason::as_str),
            usage: outcome.usage,
            usage_source: outcome.usage_source,
            cost_usd: usd(cost),
            first_cost_usd: (!corrections.is_empty()).then(|| usd(outcome.cost)),
            corrections: corrections.iter().map(CorrectionBody::from).collect(),
            first_content_us: outcome.first_content_us,
            total_us: outcome.total_us,
            bytes: outcome.bytes,
            content_sent: outcome.content_sent,
            upstream_done: outcome.upstream_done,
            upstream_id: outcome.upstream_id,
            upstream_model: outcome.upstream_model,
        }
    }
}

impl From<&CorrectionRow> for CorrectionBody {
    fn from(row: &CorrectionRow) -> Self {
        Self {
            at: utc(row.at_ms),
            cost_usd: usd(Some(NanoUsd(row.cost_nano))),
            prices: row.prices.clone(),
            first_prices: row.first_prices.clone(),
        }
    }
}

/// Dollars as a decimal.
fn usd(cost: Option<NanoUsd>) -> String {
    cost.map_or_else(|| "unknown".to_owned(), |cost| cost.to_string().replace('$', ""))
}
