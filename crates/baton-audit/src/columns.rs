//! Lays the log's types out in columns and reads them back, the same for every database.
//!
//! A store binds [`Value`]s in the order of [`Rows::columns`], and gives its rows as [`Columns`].
//! So a column has one name, one kind and one meaning, whatever the database is.
//!
//! - Start with [`Rows`] for what is written and [`Columns`] for what is read.
//! - **Invariant:** what was written as values is read back as the same type, or is told as corrupt.
//! - **Never here:** SQL.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::block::Block;
use crate::chain::Hash;
use crate::row::{DecisionRow, OutcomeRow};
use crate::store::{Chain, StoreError, StoreErrorKind, StoredDecision};
use crate::{ChainHead, Document};

/// A value that is bound to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A text.
    Text(Option<Cow<'a, str>>),
    /// A number, as the databases count.
    Number(Option<i64>),
    /// Yes or no.
    Flag(bool),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl Value<'static> {
    /// A value as it is shown: an id, a hash.
    pub fn shown(value: impl fmt::Display) -> Self {
        Self::Text(Some(Cow::Owned(value.to_string())))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(Cow::Borrowed(text)))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }
}

impl From<Option<String>> for Value<'_> {
    fn from(text: Option<String>) -> Self {
        Self::Text(text.map(Cow::Owned))
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Number(Some(signed(number)))
    }
}

impl From<Option<u64>> for Value<'_> {
    fn from(number: Option<u64>) -> Self {
        Self::Number(number.map(signed))
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text.
    Text,
    /// A text that is JSON.
    Json,
    /// A number.
    Number,
    /// Yes or no.
    Flag,
}

/// A column of a table that rows are put into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Text }
}

const fn json(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Json }
}

const fn number(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Number }
}

const fn flag(name: &'static str) -> Column {
    Column { name, kind: ColumnKind::Flag }
}

/// The columns of a decision, in the order of [`DecisionRow::values`].
const OF_DECISION: [Column; 16] = [
    text("id"),
    text("run"),
    text("boot"),
    number("seq"),
    number("at_ms"),
    text("kind"),
    text("principal"),
    text("session"),
    text("end_user"),
    text("reason_code"),
    text("requested"),
    text("to_model"),
    text("to_target"),
    flag("attempt"),
    text("config"),
    json("record"),
];

/// The columns that an outcome fills in its decision's row, in the order of [`OutcomeRow::values`].
const OF_OUTCOME: [Column; 13] = [
    text("outcome_boot"),
    number("outcome_seq"),
    number("ended_ms"),
    text("status"),
    text("fault"),
    number("input_tokens"),
    number("cached_tokens"),
    number("output_tokens"),
    number("reasoning_tokens"),
    number("cost_nano"),
    number("first_content_us"),
    number("total_us"),
    json("outcome"),
];

const OF_ORPHAN: [Column; 2] = [text("decision"), json("derived")];
const OF_DOCUMENT: [Column; 4] = [text("hash"), text("kind"), number("at_ms"), json("body")];

/// What is done with rows of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsKind {
    /// Decisions are inserted; one that is there is left as it is.
    Decisions,
    /// Outcomes are put into the rows of their decisions that have none. The first column names
    /// the decision.
    Outcomes,
    /// Outcomes whose decisions are not there are kept; what is kept already is left as it is.
    Orphans,
    /// Documents are inserted; one that is there is left as it is.
    Documents,
}

impl RowsKind {
    /// The columns, in the order of the values.
    pub fn columns(self) -> Vec<Column> {
        match self {
            Self::Decisions => [&OF_DECISION[..], &OF_OUTCOME].concat(),
            Self::Outcomes => [&OF_DECISION[..1], &OF_OUTCOME].concat(),
            Self::Orphans => OF_ORPHAN.to_vec(),
            Self::Documents => OF_DOCUMENT.to_vec(),
        }
    }
}

/// Rows to write, all of one kind.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// See [`RowsKind::Decisions`].
    Decisions(&'a [DecisionRow]),
    /// See [`RowsKind::Outcomes`].
    Outcomes(&'a [OutcomeRow]),
    /// See [`RowsKind::Orphans`].
    Orphans(&'a [OutcomeRow]),
    /// See [`RowsKind::Documents`].
    Documents(&'a [Document]),
}

impl<'a> Rows<'a> {
    /// Their kind.
    #[must_use]
    pub const fn kind(self) -> RowsKind {
        match self {
            Self::Decisions(_) => RowsKind::Decisions,
            Self::Outcomes(_) => RowsKind::Outcomes,
            Self::Orphans(_) => RowsKind::Orphans,
            Self::Documents(_) => RowsKind::Documents,
        }
    }

    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::Decisions(rows) => rows.len(),
            Self::Outcomes(rows) | Self::Orphans(rows) => rows.len(),
            Self::Documents(rows) => rows.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The first so many rows, or all, and the others.
    #[must_use]
    pub fn split_at(self, count: usize) -> (Self, Self) {
        let count = count.min(self.len());
        match self {
            Self::Decisions(rows) => {
                let (first, rest) = rows.split_at(count);
                (Self::Decisions(first), Self::Decisions(rest))
            }
            Self::Outcomes(rows) => {
                let (first, rest) = rows.split_at(count);
                (Self::Outcomes(first), Self::Outcomes(rest))
            }
            Self::Orphans(rows) => {
                let (first, rest) = rows.split_at(count);
                (Self::Orphans(first), Self::Orphans(rest))
            }
            Self::Documents(rows) => {
                let (first, rest) = rows.split_at(count);
                (Self::Documents(first), Self::Documents(rest))
            }
        }
    }

    /// The values of all rows, row by row.
    ///
    /// # Errors
    /// When a row cannot be encoded.
    pub fn values(self) -> Result<Vec<Value<'a>>, StoreError> {
        Ok(match self {
            Self::Decisions(rows) => rows.iter().flat_map(DecisionRow::values).collect(),
            Self::Outcomes(rows) => rows.iter().flat_map(OutcomeRow::own_values).collect(),
            Self::Orphans(rows) => {
                rows.iter().map(OutcomeRow::orphan_values).collect::<Result<Vec<_>, _>>()?.concat()
            }
            Self::Documents(rows) => rows.iter().flat_map(Document::values).collect(),
        })
    }
}

impl DecisionRow {
    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let own = [
            Value::shown(self.id),
            Value::shown(self.run),
            Value::shown(self.boot),
            self.seq.into(),
            self.at_ms.into(),
            self.kind.as_str().into(),
            self.principal.as_str().into(),
            self.session.as_deref().into(),
            self.user.as_deref().into(),
            self.reason_code.as_str().into(),
            self.requested.as_str().into(),
            self.to_model.as_deref().into(),
            self.to_target.as_deref().into(),
            self.attempt.into(),
            self.config.as_str().into(),
            self.record.as_str().into(),
        ];
        own.into_iter().chain(self.outcome.as_ref().map_or_else(no_outcome, OutcomeRow::values))
    }
}

impl OutcomeRow {
    fn values(&self) -> [Value<'_>; OF_OUTCOME.len()] {
        [
            Value::shown(self.boot),
            self.seq.into(),
            self.at_ms.into(),
            self.status.as_str().into(),
            self.fault.as_deref().into(),
            self.input_tokens.into(),
            self.cached_tokens.into(),
            self.output_tokens.into(),
            self.reasoning_tokens.into(),
            self.cost_nano.into(),
            self.first_content_us.into(),
            self.total_us.into(),
            self.record.as_str().into(),
        ]
    }

    fn own_values(&self) -> impl Iterator<Item = Value<'_>> {
        std::iter::once(Value::shown(self.decision)).chain(self.values())
    }

    fn orphan_values(&self) -> Result<[Value<'_>; OF_ORPHAN.len()], StoreError> {
        let derived = serde_json::to_string(self).map_err(|error| {
            StoreError::new(StoreErrorKind::Rejected, "an outcome cannot be encoded").with_source(error)
        })?;
        Ok([Value::shown(self.decision), Some(derived).into()])
    }

    /// Reads an orphan.
    pub(crate) fn from_orphan(row: &impl Columns) -> Result<Self, StoreError> {
        let derived: String = needed(row.text("derived")?)?;
        serde_json::from_str(&derived).map_err(|error| corrupt("an outcome").with_source(error))
    }
}

fn no_outcome<'a>() -> [Value<'a>; OF_OUTCOME.len()] {
    OF_OUTCOME.map(|column| match column.kind {
        ColumnKind::Number => Value::Number(None),
        ColumnKind::Text | ColumnKind::Json | ColumnKind::Flag => Value::Text(None),
    })
}

impl Document {
    fn values(&self) -> [Value<'_>; OF_DOCUMENT.len()] {
        [self.hash.as_str().into(), self.kind.as_str().into(), self.at_ms.into(), Value::shown(&self.body)]
    }

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
    /// Reads a row of `decision`, with `boot_ended`.
    pub(crate) fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self { row: DecisionRow::from_columns(row)?, boot_ended: row.flag("boot_ended")? })
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
            kind: needed(row.text("kind")?)?,
            principal: needed(row.text("principal")?)?,
            session: row.text("session")?,
            user: row.text("end_user")?,
            reason_code: needed(row.text("reason_code")?)?,
            requested: needed(row.text("requested")?)?,
            to_model: row.text("to_model")?,
            to_target: row.text("to_target")?,
            attempt: row.flag("attempt")?,
            config: needed(row.text("config")?)?,
            record: needed(row.text("record")?)?,
            outcome: OutcomeRow::from_columns(row)?,
        })
    }
}

impl OutcomeRow {
    fn from_columns(row: &impl Columns) -> Result<Option<Self>, StoreError> {
        let (boot, seq) = (row.text("outcome_boot")?, row.number("outcome_seq")?);
        let (status, record) = (row.text("status")?, row.text("outcome")?);
        if boot.is_none() && seq.is_none() && status.is_none() && record.is_none() {
            return Ok(None);
        }
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
            output_tokens: optional(row.number("output_tokens")?)?,
            reasoning_tokens: optional(row.number("reasoning_tokens")?)?,
            cost_nano: optional(row.number("cost_nano")?)?,
            first_content_us: optional(row.number("first_content_us")?)?,
            total_us: natural(row.number("total_us")?)?,
            record: needed(record)?,
        }))
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
    /// In the order of `boot, first_seq, last_seq, previous_hash, last_hash, at_ms, raw_bytes, body`.
    pub(crate) fn values(&self) -> Vec<Value<'_>> {
        vec![
            Value::shown(self.boot),
            self.first_seq.into(),
            self.last_seq.into(),
            Value::shown(self.previous),
            Value::shown(self.last),
            self.at_ms.into(),
            self.raw_bytes.into(),
            Value::Bytes(&self.body),
        ]
    }

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

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn natural(number: Option<i64>) -> Result<u64, StoreError> {
    u64::try_from(needed(number)?).map_err(|error| corrupt("a negative number").with_source(error))
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
