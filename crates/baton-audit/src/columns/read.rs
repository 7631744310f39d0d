//! Reads what a database gives.
//!
//! - Start with [`Columns`].
//! - **Invariant:** what cannot be read as its type is told as corrupt.

use std::str::FromStr;

use baton_model::DecisionId;

use crate::block::Block;
use crate::chain::Hash;
use crate::row::{CorrectionRow, DecisionRow, FeedbackRow, OutcomeRow};
use crate::store::{Chain, HandoffCell, StoreError, StoreErrorKind, StoredDecision, UsageSums};
use crate::tally::Subject;
use crate::{ChainHead, Document};

/// A row that a database gave. A column is `None` where the database has `null`.
pub trait Columns {
    /// A text.
    ///
    /// # Errors
    /// When there is no such column, or it holds something else; so for all of these.
    fn text(&self, column: &'static str) -> Result<Option<String>, StoreError>;

    /// A number.
    ///
    /// # Errors
    /// See `text`.
    fn number(&self, column: &'static str) -> Result<Option<i64>, StoreError>;

    /// Yes or no.
    ///
    /// # Errors
    /// See `text`.
    fn flag(&self, column: &'static str) -> Result<bool, StoreError>;

    /// Bytes.
    ///
    /// # Errors
    /// See `text`.
    fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError>;
}

impl StoredDecision {
    /// Reads a row of `decision`, with `boot_ended`. Rows of an older version hold their records; of
    /// others they are still to be read.
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        let text = |column| Ok::<_, StoreError>(row.text(column)?.filter(|text| !text.is_empty()));
        Ok(Self {
            row: DecisionRow::from_columns(row)?,
            boot_ended: row.flag("boot_ended")?,
            record: text("record")?,
            outcome: text("outcome")?,
        })
    }
}

impl DecisionRow {
    fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            id: parsed(row.text("id")?)?,
            run: parsed(row.text("run")?)?,
            boot: parsed(row.text("boot")?)?,
            seq: natural(row.number("seq")?)?,
            at_ms: natural(row.number("at_ms")?)?,
            parent: row.text("parent")?.map(|parent| parsed(Some(parent))).transpose()?,
            // A row of an older version has none until it is made again.
            hop: row.number("hop")?.map(small).transpose()?.unwrap_or_default(),
            kind: needed(row.text("kind")?)?,
            principal: needed(row.text("principal")?)?,
            session: row.text("session")?,
            user: row.text("end_user")?,
            tags: row.text("tags")?.as_deref().map(list).transpose()?.unwrap_or_default(),
            reason_code: needed(row.text("reason_code")?)?,
            rule: row.text("rule")?,
            policy: row.text("policy")?,
            policy_version: row.text("policy_version")?,
            requested: needed(row.text("requested")?)?,
            from_target: row.text("from_target")?,
            provider: row.text("provider")?,
            to_model: row.text("to_model")?,
            to_target: row.text("to_target")?,
            attempt: row.flag("attempt")?,
            config: needed(row.text("config")?)?,
            outcome: OutcomeRow::from_columns(row)?,
        })
    }
}

impl OutcomeRow {
    fn from_columns(row: &impl Columns) -> Result<Option<Self>, StoreError> {
        let (boot, seq) = (row.text("outcome_boot")?, row.number("outcome_seq")?);
        let status = row.text("status")?;
        if boot.is_none() && seq.is_none() && status.is_none() {
            return Ok(None);
        }
        let boot = boot.map_or_else(|| row.text("boot"), |boot| Ok(Some(boot)))?;
        let optional = |number: Option<i64>| number.map(|number| natural(Some(number))).transpose();
        Ok(Some(Self {
            decision: parsed(row.text("id")?)?,
            boot: parsed(boot)?,
            seq: natural(seq)?,
            at_ms: natural(row.number("ended_ms")?)?,
            status: needed(status)?,
            fault: row.text("fault")?,
            input_tokens: optional(row.number("input_tokens")?)?,
            cached_tokens: optional(row.number("cached_tokens")?)?,
            cache_write_tokens: optional(row.number("cache_write_tokens")?)?,
            output_tokens: optional(row.number("output_tokens")?)?,
            reasoning_tokens: optional(row.number("reasoning_tokens")?)?,
            cost_nano: optional(row.number("cost_nano")?)?,
            first_content_us: optional(row.number("first_content_us")?)?,
            total_us: natural(row.number("total_us")?)?,
        }))
    }
}

impl OutcomeRow {
    /// Reads an orphan.
    pub(crate) fn from_orphan(row: &impl Columns) -> Result<Self, StoreError> {
        let derived: String = needed(row.text("derived")?)?;
        serde_json::from_str(&derived).map_err(|error| corrupt("an outcome").with_source(error))
    }
}

impl FeedbackRow {
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            boot: parsed(row.text("boot")?)?,
            seq: natural(row.number("seq")?)?,
            at_ms: natural(row.number("at_ms")?)?,
            decision: parsed(row.text("decision")?)?,
            principal: needed(row.text("principal")?)?,
            correct: row.number("correct")?.map(|correct| correct != 0),
            correct_target: row.text("correct_target")?,
            score: row.number("score")?,
            label: row.text("label")?,
            record: needed(row.text("record")?)?,
        })
    }
}

impl CorrectionRow {
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            decision: parsed(row.text("decision")?)?,
            at_ms: natural(row.number("at_ms")?)?,
            boot: parsed(row.text("boot")?)?,
            seq: natural(row.number("seq")?)?,
            cost_nano: natural(row.number("cost_nano")?)?,
            prices: needed(row.text("prices")?)?,
            first_prices: row.text("first_prices")?,
        })
    }
}

impl UsageSums {
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        let sum = |column| Ok::<u64, StoreError>(row.number(column)?.map_or(0, least_zero));
        Ok(Self {
            decisions: sum("decisions")?,
            attempts: sum("attempts")?,
            ok: sum("ok")?,
            failed: sum("failed")?,
            cancelled: sum("cancelled")?,
            input_tokens: sum("input_tokens")?,
            cached_tokens: sum("cached_tokens")?,
            cache_write_tokens: sum("cache_write_tokens")?,
            output_tokens: sum("output_tokens")?,
            reasoning_tokens: sum("reasoning_tokens")?,
            cost_nano: sum("cost_nano")?,
            unpriced: sum("unpriced")?,
            total_us: sum("total_us")?,
            first_content_us: sum("first_content_us")?,
            with_content: sum("with_content")?,
            right: sum("right_count")?,
            wrong: sum("wrong_count")?,
        })
    }
}

impl HandoffCell {
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        let sum = |column| Ok::<u64, StoreError>(row.number(column)?.map_or(0, least_zero));
        Ok(Self {
            from: needed(row.text("from_target")?)?,
            to: needed(row.text("to_target")?)?,
            reason_code: needed(row.text("reason_code")?)?,
            count: sum("decisions")?,
            succeeded: sum("succeeded")?,
            failed: sum("failed")?,
            cancelled: sum("cancelled")?,
            first_content_us: sum("first_content_us")?,
            with_content: sum("with_content")?,
            cost_nano: sum("cost_nano")?,
            cost_before_nano: sum("cost_before_nano")?,
            priced: sum("priced")?,
            right: sum("right_count")?,
            wrong: sum("wrong_count")?,
        })
    }
}

/// A decision that is there already, as far as it is needed to count it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    id: DecisionId,
    texts: [String; 10],
    attempt: bool,
    /// Whether its row is of today's shape, and so counted.
    pub(crate) is_counted: bool,
    /// How its attempt ended.
    pub(crate) status: Option<String>,
    /// The known cost of the decision before it, where it is a hand-over.
    pub(crate) cost_before: Option<u64>,
    /// The decision before it.
    pub(crate) parent: Option<DecisionId>,
}

impl Known {
    /// The columns that a text must give for it: `decision_id` and `cost_before` beside them.
    const TEXTS: [&'static str; 10] = [
        "principal",
        "provider",
        "to_model",
        "to_target",
        "policy",
        "policy_version",
        "rule",
        "reason_code",
        "kind",
        "from_target",
    ];

    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        let mut texts: [String; 10] = Default::default();
        for (text, column) in texts.iter_mut().zip(Self::TEXTS) {
            *text = row.text(column)?.unwrap_or_default();
        }
        let cost_before = row.number("cost_before")?;
        Ok(Self {
            id: parsed(row.text("decision_id")?)?,
            texts,
            attempt: row.flag("attempt")?,
            is_counted: row.number("hop")?.is_some(),
            status: row.text("status")?,
            cost_before: cost_before.map(|cost| natural(Some(cost))).transpose()?,
            parent: row.text("parent")?.map(|parent| parsed(Some(parent))).transpose()?,
        })
    }

    pub(crate) const fn id(&self) -> DecisionId {
        self.id
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        let [principal, provider, model, target, policy, version, rule, code, kind, from] = &self.texts;
        Subject {
            id: self.id,
            principal,
            provider,
            to_model: model,
            to_target: target,
            policy,
            policy_version: version,
            rule,
            reason_code: code,
            kind,
            from_target: from,
            attempt: self.attempt,
        }
    }
}

fn least_zero(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

impl Document {
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        let body: String = needed(row.text("body")?)?;
        Ok(Self {
            hash: needed(row.text("hash")?)?,
            kind: needed(row.text("kind")?)?,
            at_ms: natural(row.number("at_ms")?)?,
            body: serde_json::from_str(&body).map_err(|error| corrupt("a document").with_source(error))?,
        })
    }
}

impl Chain {
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        let boot = parsed(row.text("boot")?)?;
        let previous = (row.text("previous_boot")?, row.number("previous_seq")?, row.text("previous_hash")?);
        let previous = match previous {
            (Some(boot), seq @ Some(_), Some(hash)) => {
                Some(ChainHead { boot: parsed(Some(boot))?, seq: natural(seq)?, hash })
            }
            _ => None,
        };
        let stopped_ms = row.number("stopped_ms")?;
        Ok(Self {
            boot,
            at_ms: natural(row.number("at_ms")?)?,
            version: needed(row.text("version")?)?,
            previous,
            stopped_ms: stopped_ms.map(|stopped| natural(Some(stopped))).transpose()?,
            head: ChainHead::from_columns(row)?,
        })
    }
}

impl ChainHead {
    /// Reads how far the store has a chain: `boot`, `last_seq` and `last_hash`.
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            boot: parsed(row.text("boot")?)?,
            seq: natural(row.number("last_seq")?)?,
            hash: needed(row.text("last_hash")?)?,
        })
    }
}

impl Block {
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            boot: parsed(row.text("boot")?)?,
            first_seq: natural(row.number("first_seq")?)?,
            last_seq: natural(row.number("last_seq")?)?,
            previous: parsed::<Hash>(row.text("previous_hash")?)?,
            last: parsed::<Hash>(row.text("last_hash")?)?,
            at_ms: natural(row.number("at_ms")?)?,
            raw_bytes: natural(row.number("raw_bytes")?)?,
            body: row.bytes("body")?,
        })
    }
}

fn natural(number: Option<i64>) -> Result<u64, StoreError> {
    u64::try_from(needed(number)?).map_err(|error| corrupt("a negative number").with_source(error))
}

fn small(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|error| corrupt("a number out of its range").with_source(error))
}

fn list(text: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt("a list").with_source(error))
}

fn parsed<T>(text: Option<String>) -> Result<T, StoreError>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    needed(text)?.parse().map_err(|error: T::Err| corrupt("an id").with_source(error))
}

fn needed<T>(value: Option<T>) -> Result<T, StoreError> {
    value.ok_or_else(|| corrupt("a row with a gap"))
}

fn corrupt(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("the store holds {what} that cannot be read"))
}
