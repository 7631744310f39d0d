//! Turns rows into the audit log's types.

use std::str::FromStr;

use baton_audit::{
    Block, Chain, ChainHead, DecisionRow, Document, Hash, OutcomeRow, StoreError, StoreErrorKind,
    StoredDecision,
};
use sqlx::FromRow;

/// A row of `decision`, with whether its chain has ended.
#[derive(Debug, FromRow)]
pub(crate) struct RawDecision {
    id: String,
    run: String,
    boot: String,
    seq: i64,
    at_ms: i64,
    kind: String,
    principal: String,
    session: Option<String>,
    end_user: Option<String>,
    reason_code: String,
    requested: String,
    to_model: Option<String>,
    to_target: Option<String>,
    attempt: bool,
    config: String,
    record: String,
    status: Option<String>,
    fault: Option<String>,
    input_tokens: Option<i64>,
    cached_tokens: Option<i64>,
    output_tokens: Option<i64>,
    reasoning_tokens: Option<i64>,
    cost_nano: Option<i64>,
    first_content_us: Option<i64>,
    total_us: Option<i64>,
    outcome_boot: Option<String>,
    outcome_seq: Option<i64>,
    ended_ms: Option<i64>,
    outcome: Option<String>,
    boot_ended: bool,
}

impl RawDecision {
    pub(crate) fn parse(self) -> Result<StoredDecision, StoreError> {
        let id = parsed(&self.id)?;
        let outcome = match (self.outcome_boot, self.outcome_seq, self.status, self.outcome) {
            (Some(boot), Some(seq), Some(status), Some(record)) => Some(OutcomeRow {
                decision: id,
                boot: parsed(&boot)?,
                seq: natural(seq)?,
                at_ms: natural(self.ended_ms.unwrap_or_default())?,
                status,
                fault: self.fault,
                input_tokens: self.input_tokens.map(natural).transpose()?,
                cached_tokens: self.cached_tokens.map(natural).transpose()?,
                output_tokens: self.output_tokens.map(natural).transpose()?,
                reasoning_tokens: self.reasoning_tokens.map(natural).transpose()?,
                cost_nano: self.cost_nano.map(natural).transpose()?,
                first_content_us: self.first_content_us.map(natural).transpose()?,
                total_us: natural(self.total_us.unwrap_or_default())?,
                record,
            }),
            (None, None, None, None) => None,
            _ => return Err(corrupt("half an outcome")),
        };
        let row = DecisionRow {
            id,
            run: parsed(&self.run)?,
            boot: parsed(&self.boot)?,
            seq: natural(self.seq)?,
            at_ms: natural(self.at_ms)?,
            kind: self.kind,
            principal: self.principal,
            session: self.session,
            user: self.end_user,
            reason_code: self.reason_code,
            requested: self.requested,
            to_model: self.to_model,
            to_target: self.to_target,
            attempt: self.attempt,
            config: self.config,
            record: self.record,
            outcome,
        };
        Ok(StoredDecision { row, boot_ended: self.boot_ended })
    }
}

/// A row of `audit_chain`.
#[derive(Debug, FromRow)]
pub(crate) struct RawChain {
    boot: String,
    at_ms: i64,
    version: String,
    previous_boot: Option<String>,
    previous_seq: Option<i64>,
    previous_hash: Option<String>,
    stopped_ms: Option<i64>,
    last_seq: i64,
    last_hash: String,
}

impl RawChain {
    pub(crate) fn parse(self) -> Result<Chain, StoreError> {
        let previous = match (self.previous_boot, self.previous_seq, self.previous_hash) {
            (Some(boot), Some(seq), Some(hash)) => {
                Some(ChainHead { boot: parsed(&boot)?, seq: natural(seq)?, hash })
            }
            _ => None,
        };
        let boot = parsed(&self.boot)?;
        Ok(Chain {
            boot,
            at_ms: natural(self.at_ms)?,
            version: self.version,
            previous,
            stopped_ms: self.stopped_ms.map(natural).transpose()?,
            head: ChainHead { boot, seq: natural(self.last_seq)?, hash: self.last_hash },
        })
    }
}

/// A row of `audit_block`.
#[derive(Debug, FromRow)]
pub(crate) struct RawBlock {
    boot: String,
    first_seq: i64,
    last_seq: i64,
    previous_hash: String,
    last_hash: String,
    at_ms: i64,
    raw_bytes: i64,
    body: Vec<u8>,
}

impl RawBlock {
    pub(crate) fn parse(self) -> Result<Block, StoreError> {
        Ok(Block {
            boot: parsed(&self.boot)?,
            first_seq: natural(self.first_seq)?,
            last_seq: natural(self.last_seq)?,
            previous: parsed::<Hash>(&self.previous_hash)?,
            last: parsed::<Hash>(&self.last_hash)?,
            at_ms: natural(self.at_ms)?,
            raw_bytes: natural(self.raw_bytes)?,
            body: self.body,
        })
    }
}

/// A row of `document`.
#[derive(Debug, FromRow)]
pub(crate) struct RawDocument {
    hash: String,
    kind: String,
    at_ms: i64,
    body: String,
}

impl RawDocument {
    pub(crate) fn parse(self) -> Result<Document, StoreError> {
        let body =
            serde_json::from_str(&self.body).map_err(|error| corrupt("a document").with_source(error))?;
        Ok(Document { hash: self.hash, kind: self.kind, at_ms: natural(self.at_ms)?, body })
    }
}

/// A number as the databases count.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn natural(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|error| corrupt("a negative number").with_source(error))
}

fn parsed<T>(text: &str) -> Result<T, StoreError>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(|error: T::Err| corrupt("an id").with_source(error))
}

fn corrupt(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("the store holds {what} that cannot be read"))
}
