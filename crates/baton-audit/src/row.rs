//! Derives the indexed rows from the records. The rows can always be made again from the evidence.
//!
//! - Start with [`Batch::from_frames`].
//! - **Invariant:** a row is a function of its record and its place in the chain, nothing else, so
//!   that [`crate::verify`] can derive it again and compare.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use baton_model::{BootId, DecisionId, FaultKind, ModelName, NanoUsd, RunId, Target, Usage};
use baton_policy::ReasonCode;
use serde::{Deserialize, Serialize};

use crate::block::{Block, BlockError};
use crate::chain::Hash;
use crate::content::ContentRow;
use crate::frame;
use crate::{
    Boot, CorrectTarget, Correction, DecisionKind, Document, Dropped, Feedback, OutcomeStatus, Record,
};

/// A decision as its table row. The record has more, and stands in the evidence alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    /// The decision's id.
    pub id: DecisionId,
    /// Its run.
    pub run: RunId,
    /// The chain it stands in.
    pub boot: BootId,
    /// Its number there.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The decision before it in the run.
    pub parent: Option<DecisionId>,
    /// Which hop of the run.
    pub hop: u32,
    /// What kind of choice.
    pub kind: String,
    /// Whose request.
    pub principal: String,
    /// The client's session.
    pub session: Option<String>,
    /// The client's end user.
    pub user: Option<String>,
    /// The client's tags, each once.
    pub tags: Vec<String>,
    /// Why, as a code.
    pub reason_code: String,
    /// The rule that the reason names.
    pub rule: Option<String>,
    /// The policy that planned; on the first decision of a plan.
    pub policy: Option<String>,
    /// The first digits of its version.
    pub policy_version: Option<String>,
    /// The models as the client named them, as a JSON list.
    pub requested: String,
    /// The target left behind.
    pub from_target: Option<String>,
    /// The chosen model.
    pub to_model: Option<String>,
    /// The chosen target.
    pub to_target: Option<String>,
    /// The chosen target's provider.
    pub provider: Option<String>,
    /// Whether an outcome is expected.
    pub attempt: bool,
    /// The hash of the configuration in force.
    pub config: String,
    /// How the attempt ended, once that is known.
    pub outcome: Option<OutcomeRow>,
}

/// An outcome as its table columns. The record has more, and stands in the evidence alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeRow {
    /// Whose outcome.
    pub decision: DecisionId,
    /// The chain it stands in.
    pub boot: BootId,
    /// Its number there.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How it ended.
    pub status: String,
    /// What went wrong.
    pub fault: Option<String>,
    /// Input tokens, cached ones included.
    pub input_tokens: Option<u64>,
    /// Input tokens read from a prompt cache.
    pub cached_tokens: Option<u64>,
    /// Input tokens written to a prompt cache.
    #[serde(default)]
    pub cache_write_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    pub output_tokens: Option<u64>,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: Option<u64>,
    /// What it cost, in nano-dollars.
    pub cost_nano: Option<u64>,
    /// From sending to the first content, in microseconds.
    pub first_content_us: Option<u64>,
    /// From sending to the end, in microseconds.
    pub total_us: u64,
}

/// What somebody said of a decision, as its table row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackRow {
    /// The chain it stands in.
    pub boot: BootId,
    /// Its number there.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Of which decision.
    pub decision: DecisionId,
    /// Who says it.
    pub principal: String,
    /// Whether the chosen target was right.
    pub correct: Option<bool>,
    /// The model or target that would have been right.
    pub correct_target: Option<String>,
    /// How good the answer was, in millionths.
    pub score: Option<i64>,
    /// A word of the caller's own.
    pub label: Option<String>,
    /// The record, as it was journaled.
    pub record: String,
}

/// What the relay commits in one transaction: evidence, and what was derived from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The evidence: blocks that follow each other, at least one.
    pub blocks: Vec<Block>,
    /// The boot record, when the first block begins its chain.
    pub boot: Option<Boot>,
    /// When the chain ended in order, when it did.
    pub clean_stop_ms: Option<u64>,
    /// The decisions, each with its outcome if that is in the same batch.
    pub decisions: Vec<DecisionRow>,
    /// Outcomes whose decisions are in earlier batches.
    pub outcomes: Vec<OutcomeRow>,
    /// Documents that decisions refer to.
    pub documents: Vec<Document>,
    /// What was said of decisions.
    pub feedback: Vec<FeedbackRow>,
    /// What retention is about to drop.
    pub dropped: Vec<DroppedRow>,
    /// Where sealed content stands. It goes into the store with its keys, before the batch.
    pub contents: Vec<ContentRow>,
    /// Costs that are counted anew.
    pub corrections: Vec<CorrectionRow>,
}

/// A signed statement of what retention is about to drop, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedRow {
    /// The chain it stands in.
    pub boot: BootId,
    /// Its number there.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The border.
    pub before_ms: u64,
    /// The record, as it was journaled.
    pub record: String,
}

/// A cost that is counted anew, as its table row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionRow {
    /// Of which decision.
    pub decision: DecisionId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The chain it stands in.
    pub boot: BootId,
    /// Its number there.
    pub seq: u64,
    /// What the attempt cost, in nano-dollars.
    pub cost_nano: u64,
    /// The catalogue whose prices count.
    pub prices: String,
    /// The catalogue that it was counted with first, where that is known.
    pub first_prices: Option<String>,
}

impl CorrectionRow {
    /// Of two corrections of one decision, the one with the greater place counts.
    pub(crate) const fn place(&self) -> (u64, BootId, u64) {
        (self.at_ms, self.boot, self.seq)
    }

    fn all(correction: Correction, boot: BootId, seq: u64) -> impl Iterator<Item = Self> {
        let at_ms = storable(correction.at_ms);
        let (prices, first) = (plain(&correction.prices), correction.first_prices.as_deref().map(plain));
        correction.costs.into_iter().map(move |cost| Self {
            decision: cost.decision,
            at_ms,
            boot,
            seq,
            cost_nano: storable(cost.cost.0),
            prices: prices.clone(),
            first_prices: first.clone(),
        })
    }
}

impl Batch {
    /// The batch of these journal bytes: whole entries of one chain that follow `previous`.
    ///
    /// # Errors
    /// When the bytes are not that.
    pub fn from_frames(boot: BootId, previous: Hash, frames: &[u8]) -> Result<Self, BlockError> {
        let blocks = Block::pack_all(boot, previous, frames)?;
        let mut derived = Derived::new(boot);
        for frame in frame::read_all(frames) {
            let frame = frame.map_err(|error| BlockError::Damaged(error.to_string()))?;
            derived.add(frame.seq, frame.payload);
        }
        derived.join();
        let Derived {
            begun: boot,
            clean_stop_ms,
            decisions,
            outcomes,
            documents,
            feedback,
            dropped,
            contents,
            corrections,
            ..
        } = derived;
        Ok(Self {
            blocks,
            boot,
            clean_stop_ms,
            decisions,
            outcomes,
            documents,
            feedback,
            dropped,
            contents,
            corrections,
        })
    }

    /// Where it stands in its chain.
    pub(crate) fn span(&self) -> Option<Span> {
        let (first, last) = (self.blocks.first()?, self.blocks.last()?);
        Some(Span { boot: first.boot, first_seq: first.first_seq, last_seq: last.last_seq, last: last.last })
    }
}

/// A stretch of a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) boot: BootId,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
    /// The hash of the last entry.
    pub(crate) last: Hash,
}

impl Span {
    /// How many entries it has.
    pub(crate) const fn entries(self) -> u64 {
        self.last_seq - self.first_seq + 1
    }
}

/// What follows from the records of a stretch of a chain.
#[derive(Debug)]
pub(crate) struct Derived {
    boot: BootId,
    begun: Option<Boot>,
    clean_stop_ms: Option<u64>,
    pub(crate) decisions: Vec<DecisionRow>,
    pub(crate) outcomes: Vec<OutcomeRow>,
    pub(crate) documents: Vec<Document>,
    pub(crate) feedback: Vec<FeedbackRow>,
    pub(crate) dropped: Vec<DroppedRow>,
    contents: Vec<ContentRow>,
    pub(crate) corrections: Vec<CorrectionRow>,
}

impl Derived {
    pub(crate) const fn new(boot: BootId) -> Self {
        Self {
            boot,
            begun: None,
            clean_stop_ms: None,
            decisions: Vec::new(),
            outcomes: Vec::new(),
            documents: Vec::new(),
            feedback: Vec::new(),
            dropped: Vec::new(),
            contents: Vec::new(),
            corrections: Vec::new(),
        }
    }

    /// Adds what follows from an entry. One of a kind that this version does not know is evidence
    /// without a row.
    pub(crate) fn add(&mut self, seq: u64, payload: &[u8]) {
        let Ok(text) = str::from_utf8(payload) else { return };
        // The two frequent kinds are told by how they begin, and read no further than the row needs.
        if text.starts_with(DECISION) {
            self.add_decision(seq, text);
        } else if text.starts_with(OUTCOME) {
            self.add_outcome(seq, text);
        } else {
            match Record::read(payload) {
                Ok(Record::Boot(boot)) => self.begun = Some(boot),
                Ok(Record::CleanStop { at_ms }) => self.clean_stop_ms = Some(at_ms),
                Ok(Record::Document(document)) => self.documents.push(document),
                Ok(Record::Decision(_)) => self.add_decision(seq, text),
                Ok(Record::Outcome(_)) => self.add_outcome(seq, text),
                Ok(Record::Feedback(feedback)) => {
                    self.feedback.push(FeedbackRow::new(feedback, self.boot, seq, text));
                }
                Ok(Record::Dropped(dropped)) => {
                    self.dropped.push(DroppedRow::new(&dropped, self.boot, seq, text));
                }
                Ok(Record::Content(content)) => {
                    self.contents.push(ContentRow::new(&content, self.boot, seq));
                }
                Ok(Record::Correction(correction)) => {
                    self.corrections.extend(CorrectionRow::all(*correction, self.boot, seq));
                }
                Ok(Record::Change(_) | Record::Checkpoint(_) | Record::SigningKey(_) | Record::Erased(_))
                | Err(_) => {}
            }
        }
    }

    fn add_decision(&mut self, seq: u64, text: &str) {
        let row = |columns: DecisionColumns<'_>| columns.into_row(self.boot, seq);
        let columns = serde_json::from_str(text).map(row);
        if let Ok(row) = columns.or_else(|_| serde_json::from_str(&without_inputs(text)?).map(row)) {
            self.decisions.push(row);
        }
    }

    fn add_outcome(&mut self, seq: u64, text: &str) {
        if let Ok(columns) = serde_json::from_str::<OutcomeColumns>(text) {
            self.outcomes.push(columns.into_row(self.boot, seq));
        }
    }

    /// Gives each outcome to its decision, where both are here. The first outcome counts.
    pub(crate) fn join(&mut self) {
        let places: HashMap<DecisionId, usize> =
            self.decisions.iter().enumerate().map(|(at, row)| (row.id, at)).collect();
        let mut earlier = HashSet::new();
        for outcome in std::mem::take(&mut self.outcomes) {
            match places.get(&outcome.decision).and_then(|at| self.decisions.get_mut(*at)) {
                Some(row) if row.outcome.is_none() => row.outcome = Some(outcome),
                Some(_) => {}
                None if earlier.insert(outcome.decision) => self.outcomes.push(outcome),
                None => {}
            }
        }
    }
}

/// How the text of a decision begins, as the journal writes it.
const DECISION: &str = r#"{"record":"decision","#;
/// How the text of an outcome begins.
const OUTCOME: &str = r#"{"record":"outcome","#;

/// What the row of a decision needs of its record. The inputs and the table are most of a record, and
/// are passed over.
#[derive(Deserialize)]
struct DecisionColumns<'a> {
    id: DecisionId,
    run: RunId,
    #[serde(default)]
    parent: Option<DecisionId>,
    at_ms: u64,
    #[serde(default = "first")]
    hop: u32,
    kind: DecisionKind,
    #[serde(borrow)]
    principal: Cow<'a, str>,
    requested: Vec<String>,
    from: Option<Target>,
    to: Option<Target>,
    to_model: Option<ModelName>,
    attempt: bool,
    #[serde(borrow)]
    reason: ReasonColumns<'a>,
    #[serde(borrow)]
    config: Cow<'a, str>,
    #[serde(borrow)]
    inputs: Option<InputColumns<'a>>,
    #[serde(default)]
    labels: LabelColumns,
}

const fn first() -> u32 {
    1
}

/// Inputs of a later version, which this one cannot read, do not hide the decision.
fn without_inputs(text: &str) -> serde_json::Result<String> {
    let mut record: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
    record.remove("inputs");
    serde_json::to_string(&record)
}

#[derive(Deserialize)]
struct ReasonColumns<'a> {
    code: ReasonCode,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// Of the inputs, only who planned.
#[derive(Deserialize)]
struct InputColumns<'a> {
    #[serde(borrow, default)]
    policy: Option<PolicyColumns<'a>>,
}

#[derive(Deserialize)]
struct PolicyColumns<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct LabelColumns {
    session: Option<String>,
    user: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// What the row of an outcome needs of its record.
#[derive(Deserialize)]
struct OutcomeColumns {
    decision: DecisionId,
    at_ms: u64,
    status: OutcomeStatus,
    fault: Option<FaultKind>,
    usage: Option<Usage>,
    cost: Option<NanoUsd>,
    first_content_us: Option<u64>,
    total_us: u64,
}

impl DecisionColumns<'_> {
    fn into_row(self, boot: BootId, seq: u64) -> DecisionRow {
        let rule = match self.reason.code {
            ReasonCode::ChosenByRule
            | ReasonCode::RefusedByRule
            | ReasonCode::StoppedByRule
            | ReasonCode::HandoffByRule => named_rule(&self.reason.text).map(plain),
            _ => None,
        };
        let mut tags: Vec<String> = self.labels.tags.iter().map(|tag| plain(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let policy = self.inputs.and_then(|inputs| inputs.policy);
        DecisionRow {
            id: self.id,
            run: self.run,
            boot,
            seq,
            at_ms: storable(self.at_ms),
            parent: self.parent,
            hop: self.hop,
            kind: self.kind.as_str().to_owned(),
            principal: plain(&self.principal),
            session: self.labels.session.as_deref().map(plain),
            user: self.labels.user.as_deref().map(plain),
            tags,
            reason_code: self.reason.code.as_str().to_owned(),
            rule,
            policy_version: policy.as_ref().map(|policy| version_digits(&plain(&policy.version)).to_owned()),
            policy: policy.map(|policy| plain(&policy.name)),
            requested: list_text(&self.requested),
            from_target: self.from.map(|target| plain(&target.to_string())),
            provider: self.to.as_ref().map(|target| plain(target.provider.as_str())),
            to_model: self.to_model.map(|model| plain(model.as_str())),
            to_target: self.to.map(|target| plain(&target.to_string())),
            attempt: self.attempt,
            config: plain(&self.config),
            outcome: None,
        }
    }
}

impl OutcomeColumns {
    fn into_row(self, boot: BootId, seq: u64) -> OutcomeRow {
        let usage = self.usage.as_ref();
        OutcomeRow {
            decision: self.decision,
            boot,
            seq,
            at_ms: storable(self.at_ms),
            status: self.status.as_str().to_owned(),
            fault: self.fault.map(|fault| fault.as_str().to_owned()),
            input_tokens: usage.map(|usage| storable(usage.input_tokens)),
            cached_tokens: usage.map(|usage| storable(usage.cached_input_tokens)),
            cache_write_tokens: usage.map(|usage| storable(usage.cache_write_tokens)),
            output_tokens: usage.map(|usage| storable(usage.output_tokens)),
            reasoning_tokens: usage.map(|usage| storable(usage.reasoning_tokens)),
            cost_nano: self.cost.map(|cost| storable(cost.0)),
            first_content_us: self.first_content_us.map(storable),
            total_us: storable(self.total_us),
        }
    }
}

impl FeedbackRow {
    fn new(feedback: Feedback, boot: BootId, seq: u64, record: &str) -> Self {
        let (correct, correct_target) = match feedback.correct_target {
            Some(CorrectTarget::Chosen(correct)) => (Some(correct), None),
            Some(CorrectTarget::Named(name)) => (None, Some(plain(&name))),
            None => (None, None),
        };
        Self {
            boot,
            seq,
            at_ms: storable(feedback.at_ms),
            decision: feedback.decision,
            principal: plain(&feedback.principal),
            correct,
            correct_target,
            score: feedback.score,
            label: feedback.label.as_deref().map(plain),
            record: record.to_owned(),
        }
    }
}

impl DroppedRow {
    fn new(dropped: &Dropped, boot: BootId, seq: u64, record: &str) -> Self {
        Self {
            boot,
            seq,
            at_ms: storable(dropped.at_ms),
            before_ms: storable(dropped.before_ms),
            record: record.to_owned(),
        }
    }
}

/// The rule that the sentence of a reason names. The sentences are the planner's.
fn named_rule(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("rule `")?;
    rest.split_once('`').map(|(name, _)| name)
}

/// As many digits of a policy's version as rows keep: enough to tell any two apart.
pub(crate) fn version_digits(version: &str) -> &str {
    version.char_indices().nth(16).and_then(|(end, _)| version.get(..end)).unwrap_or(version)
}

/// Names as a JSON list: the text that a filter by one name is compared with.
pub(crate) fn list_text(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| plain(name)).collect();
    serde_json::Value::from(names).to_string()
}

/// Postgres has no NUL in texts. The record keeps it.
pub(crate) fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The databases count to 2⁶³ − 1. The record keeps what was said.
pub(crate) fn storable(number: u64) -> u64 {
    number.min(i64::MAX.unsigned_abs())
}

#[cfg(test)]
mod tests;
