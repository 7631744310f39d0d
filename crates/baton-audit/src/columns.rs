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

use baton_model::DecisionId;

use crate::block::Block;
use crate::chain::Hash;
use crate::row::{DecisionRow, DroppedRow, FeedbackRow, OutcomeRow, list_text};
use crate::store::{
    BucketWidth, Chain, Dimension, HandoffCell, StoreError, StoreErrorKind, StoredDecision, UsageSums,
};
use crate::tally::{HANDOFF_SUMS, HandoffRow, SUMS, SeriesRow, Subject, UsageRow};
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
const OF_DECISION: [Column; 25] = [
    text("id"),
    number("made_ms"),
    text("run"),
    text("boot"),
    number("seq"),
    number("at_ms"),
    text("parent"),
    number("hop"),
    text("kind"),
    text("principal"),
    text("session"),
    text("end_user"),
    text("tags"),
    text("reason_code"),
    text("rule"),
    text("policy"),
    text("policy_version"),
    text("requested"),
    text("from_target"),
    text("to_model"),
    text("to_target"),
    text("provider"),
    flag("attempt"),
    text("config"),
    json("record"),
];

/// The columns that an outcome fills in its decision's row, in the order of [`OutcomeRow::values`].
const OF_OUTCOME: [Column; 14] = [
    text("outcome_boot"),
    number("outcome_seq"),
    number("ended_ms"),
    text("status"),
    text("fault"),
    number("input_tokens"),
    number("cached_tokens"),
    number("cache_write_tokens"),
    number("output_tokens"),
    number("reasoning_tokens"),
    number("cost_nano"),
    number("first_content_us"),
    number("total_us"),
    json("outcome"),
];

const OF_ORPHAN: [Column; 2] = [text("decision"), json("derived")];
const OF_TAG: [Column; 3] = [text("tag"), number("made_ms"), text("decision")];
const OF_ASKED: [Column; 2] = [text("model"), text("requested")];
const OF_FEEDBACK: [Column; 10] = [
    text("boot"),
    number("seq"),
    number("at_ms"),
    text("decision"),
    text("principal"),
    number("correct"),
    text("correct_target"),
    number("score"),
    text("label"),
    text("record"),
];
const OF_DROPPED: [Column; 5] =
    [text("boot"), number("seq"), number("at_ms"), number("before_ms"), text("record")];
const OF_COUNTED: [Column; 2] = [text("boot"), number("seq")];
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
    /// Decisions of an older version's shape get all columns; others are left as they are.
    Upgrades,
    /// Tags are inserted; one that is there is left as it is.
    Tags,
    /// What was asked for, name by name, is inserted; what is there is left as it is.
    Asked,
    /// Feedback is inserted; one that is there is left as it is.
    Feedback,
    /// Feedback that was counted is marked so. The columns name it.
    Counted,
    /// What retention dropped is inserted; one that is there is left as it is.
    Dropped,
    /// Series are inserted; one that is there is left as it is.
    Series,
    /// Sums are added to those of their bucket. The first three columns name it.
    Usage,
    /// Sums are added to those of their bucket. The first five columns name it.
    Handoffs,
}

impl RowsKind {
    /// The columns, in the order of the values.
    pub fn columns(self) -> Vec<Column> {
        match self {
            Self::Decisions | Self::Upgrades => [&OF_DECISION[..], &OF_OUTCOME].concat(),
            Self::Outcomes => [&OF_DECISION[..1], &OF_OUTCOME].concat(),
            Self::Orphans => OF_ORPHAN.to_vec(),
            Self::Documents => OF_DOCUMENT.to_vec(),
            Self::Tags => OF_TAG.to_vec(),
            Self::Asked => OF_ASKED.to_vec(),
            Self::Feedback => OF_FEEDBACK.to_vec(),
            Self::Counted => OF_COUNTED.to_vec(),
            Self::Dropped => OF_DROPPED.to_vec(),
            Self::Series => {
                let dimensions = Dimension::ALL.map(|dimension| text(dimension.as_str()));
                [&[number("series")], &dimensions[..]].concat()
            }
            Self::Usage => [&["width_s", "start_ms", "series"].map(number)[..], &SUMS.map(number)].concat(),
            Self::Handoffs => {
                let place = ["width_s", "start_ms"].map(number);
                let cell = ["from_target", "to_target", "reason_code"].map(text);
                [&place[..], &cell, &HANDOFF_SUMS.map(number)].concat()
            }
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
    /// See [`RowsKind::Upgrades`].
    Upgrades(&'a [DecisionRow]),
    /// See [`RowsKind::Tags`].
    Tags(&'a [TagRow<'a>]),
    /// See [`RowsKind::Asked`].
    Asked(&'a [AskedRow]),
    /// See [`RowsKind::Feedback`].
    Feedback(&'a [FeedbackRow]),
    /// See [`RowsKind::Counted`].
    Counted(&'a [FeedbackRow]),
    /// See [`RowsKind::Dropped`].
    Dropped(&'a [DroppedRow]),
    /// See [`RowsKind::Series`].
    Series(&'a [SeriesRow]),
    /// See [`RowsKind::Usage`].
    Usage(&'a [UsageRow]),
    /// See [`RowsKind::Handoffs`].
    Handoffs(&'a [HandoffRow]),
}

/// A tag of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagRow<'a> {
    pub(crate) tag: &'a str,
    pub(crate) decision: DecisionId,
}

/// A list of models that was asked for, and one of its names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskedRow {
    pub(crate) model: String,
    pub(crate) requested: String,
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
            Self::Upgrades(_) => RowsKind::Upgrades,
            Self::Tags(_) => RowsKind::Tags,
            Self::Asked(_) => RowsKind::Asked,
            Self::Feedback(_) => RowsKind::Feedback,
            Self::Counted(_) => RowsKind::Counted,
            Self::Dropped(_) => RowsKind::Dropped,
            Self::Series(_) => RowsKind::Series,
            Self::Usage(_) => RowsKind::Usage,
            Self::Handoffs(_) => RowsKind::Handoffs,
        }
    }

    /// How many.
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::Decisions(rows) | Self::Upgrades(rows) => rows.len(),
            Self::Outcomes(rows) | Self::Orphans(rows) => rows.len(),
            Self::Documents(rows) => rows.len(),
            Self::Tags(rows) => rows.len(),
            Self::Asked(rows) => rows.len(),
            Self::Feedback(rows) | Self::Counted(rows) => rows.len(),
            Self::Dropped(rows) => rows.len(),
            Self::Series(rows) => rows.len(),
            Self::Usage(rows) => rows.len(),
            Self::Handoffs(rows) => rows.len(),
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
        /// Each half keeps the kind.
        macro_rules! halves {
            ($rows:ident at $count:ident: $($kind:ident)+) => {
                match $rows {
                    $(Self::$kind(rows) => {
                        let (first, rest) = rows.split_at($count);
                        (Self::$kind(first), Self::$kind(rest))
                    })+
                }
            };
        }
        let count = count.min(self.len());
        halves!(self at count: Decisions Outcomes Orphans Documents Upgrades Tags Asked Feedback Counted Dropped Series Usage Handoffs)
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
            Self::Upgrades(rows) => rows.iter().flat_map(DecisionRow::values).collect(),
            Self::Tags(rows) => rows.iter().flat_map(TagRow::values).collect(),
            Self::Asked(rows) => rows.iter().flat_map(AskedRow::values).collect(),
            Self::Feedback(rows) => rows.iter().flat_map(FeedbackRow::values).collect(),
            Self::Counted(rows) => rows.iter().flat_map(FeedbackRow::place).collect(),
            Self::Dropped(rows) => rows.iter().flat_map(DroppedRow::values).collect(),
            Self::Series(rows) => rows.iter().flat_map(SeriesRow::values).collect(),
            Self::Usage(rows) => rows.iter().flat_map(UsageRow::values).collect(),
            Self::Handoffs(rows) => rows.iter().flat_map(HandoffRow::values).collect(),
        })
    }
}

impl DecisionRow {
    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let own = [
            Value::shown(self.id),
            self.id.unix_ms().into(),
            Value::shown(self.run),
            Value::shown(self.boot),
            self.seq.into(),
            self.at_ms.into(),
            self.parent.map(|parent| parent.to_string()).into(),
            u64::from(self.hop).into(),
            self.kind.as_str().into(),
            self.principal.as_str().into(),
            self.session.as_deref().into(),
            self.user.as_deref().into(),
            self.tags_text().into(),
            self.reason_code.as_str().into(),
            self.rule.as_deref().into(),
            self.policy.as_deref().into(),
            self.policy_version.as_deref().into(),
            self.requested.as_str().into(),
            self.from_target.as_deref().into(),
            self.to_model.as_deref().into(),
            self.to_target.as_deref().into(),
            self.provider.as_deref().into(),
            self.attempt.into(),
            self.config.as_str().into(),
            self.record.as_str().into(),
        ];
        own.into_iter().chain(self.outcome.as_ref().map_or_else(no_outcome, OutcomeRow::values))
    }

    fn tags_text(&self) -> Option<String> {
        (!self.tags.is_empty()).then(|| list_text(&self.tags))
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
            self.cache_write_tokens.into(),
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

impl<'a> TagRow<'a> {
    /// The tags of a decision.
    pub(crate) fn of(row: &'a DecisionRow) -> impl Iterator<Item = Self> {
        row.tags.iter().map(|tag| Self { tag, decision: row.id })
    }

    fn values(&self) -> [Value<'a>; OF_TAG.len()] {
        [self.tag.into(), self.decision.unix_ms().into(), Value::shown(self.decision)]
    }
}

impl AskedRow {
    /// The names in a list. A list of which nobody knows the names has none.
    pub(crate) fn of(requested: &str) -> impl Iterator<Item = Self> {
        let names: Vec<String> = serde_json::from_str(requested).unwrap_or_default();
        names.into_iter().map(move |model| Self { model, requested: requested.to_owned() })
    }

    fn values(&self) -> [Value<'_>; OF_ASKED.len()] {
        [self.model.as_str().into(), self.requested.as_str().into()]
    }
}

impl FeedbackRow {
    fn place(&self) -> [Value<'_>; OF_COUNTED.len()] {
        [Value::shown(self.boot), self.seq.into()]
    }

    fn values(&self) -> [Value<'_>; OF_FEEDBACK.len()] {
        [
            Value::shown(self.boot),
            self.seq.into(),
            self.at_ms.into(),
            Value::shown(self.decision),
            self.principal.as_str().into(),
            self.correct.map(u64::from).into(),
            self.correct_target.as_deref().into(),
            Value::Number(self.score),
            self.label.as_deref().into(),
            self.record.as_str().into(),
        ]
    }

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

impl DroppedRow {
    fn values(&self) -> [Value<'_>; OF_DROPPED.len()] {
        [
            Value::shown(self.boot),
            self.seq.into(),
            self.at_ms.into(),
            self.before_ms.into(),
            self.record.as_str().into(),
        ]
    }
}

impl SeriesRow {
    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let values = self.values.iter().map(|value| value.as_str().into());
        std::iter::once(Value::Number(Some(self.series))).chain(values)
    }
}

impl UsageRow {
    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let place = [seconds(self.width), self.start_ms.into(), Value::Number(Some(self.series))];
        place.into_iter().chain(self.sums.iter().map(|sum| Value::Number(Some(*sum))))
    }
}

impl HandoffRow {
    fn values(&self) -> impl Iterator<Item = Value<'_>> {
        let place = [seconds(self.width), self.start_ms.into()];
        let cell = self.cell.iter().map(|text| text.as_str().into());
        place.into_iter().chain(cell).chain(self.sums.iter().map(|sum| Value::Number(Some(*sum))))
    }
}

fn seconds(width: BucketWidth) -> Value<'static> {
    (width.ms() / 1_000).into()
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
            cache_write_tokens: optional(row.number("cache_write_tokens")?)?,
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
