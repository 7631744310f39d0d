//! Lays rows out in columns, to be written.
//!
//! - Start with [`Rows`].
//! - **Invariant:** the values of a row stand in the order of its kind's columns.

use std::borrow::Cow;

use baton_model::DecisionId;

use super::value::Value;
use crate::Document;
use crate::block::Block;
use crate::mark;
use crate::row::{DecisionRow, DroppedRow, FeedbackRow, OutcomeRow, list_text};
use crate::store::{BucketWidth, Dimension, StoreError, StoreErrorKind};
use crate::tally::{HANDOFF_SUMS, HandoffRow, SUMS, SeriesRow, UsageRow};

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
const OF_DECISION: [Column; 24] = [
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
];

/// The columns that an outcome fills in its decision's row, in the order of [`OutcomeRow::values`]. The
/// first one is empty for the decision's own chain.
const OF_OUTCOME: [Column; 13] = [
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
    /// Tags are deleted.
    Untagged,
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
            Self::Tags | Self::Untagged => OF_TAG.to_vec(),
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
    /// See [`RowsKind::Untagged`].
    Untagged(&'a [TagRow<'a>]),
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

/// What leads to a decision: a tag of its client's, or a mark of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagRow<'a> {
    pub(crate) tag: Cow<'a, str>,
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
            Self::Untagged(_) => RowsKind::Untagged,
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
            Self::Tags(rows) | Self::Untagged(rows) => rows.len(),
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
        halves!(self at count: Decisions Outcomes Orphans Documents Upgrades Tags Untagged Asked Feedback Counted Dropped Series Usage Handoffs)
    }

    /// The values of all rows, row by row.
    ///
    /// # Errors
    /// When a row cannot be encoded.
    pub fn values(self) -> Result<Vec<Value<'a>>, StoreError> {
        Ok(match self {
            Self::Decisions(rows) | Self::Upgrades(rows) => {
                rows.iter().flat_map(DecisionRow::values).collect()
            }
            Self::Outcomes(rows) => rows.iter().flat_map(OutcomeRow::own_values).collect(),
            Self::Orphans(rows) => {
                rows.iter().map(OutcomeRow::orphan_values).collect::<Result<Vec<_>, _>>()?.concat()
            }
            Self::Documents(rows) => rows.iter().flat_map(Document::values).collect(),
            Self::Tags(rows) | Self::Untagged(rows) => rows.iter().flat_map(TagRow::values).collect(),
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
        ];
        let outcome = self.outcome.as_ref().map_or_else(no_outcome, |outcome| {
            let mut values = outcome.values();
            if let [boot, ..] = values.as_mut_slice()
                && outcome.boot == self.boot
            {
                *boot = Value::Text(None);
            }
            values
        });
        own.into_iter().chain(outcome)
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
}

impl<'a> TagRow<'a> {
    /// The tags of a decision, and its marks.
    pub(crate) fn of(row: &'a DecisionRow) -> impl Iterator<Item = Self> {
        let tags = row.tags.iter().map(|tag| Self { tag: mark::tag(tag), decision: row.id });
        tags.chain(mark::of(row).map(|tag| Self { tag, decision: row.id }))
    }

    /// The marks of an outcome that reached its decision later.
    pub(crate) fn of_outcome(row: &'a OutcomeRow) -> impl Iterator<Item = Self> {
        mark::of_outcome(row).map(|tag| Self { tag, decision: row.decision })
    }

    /// The mark of a decision that waits for its outcome.
    pub(crate) const fn open(decision: DecisionId) -> Self {
        Self { tag: Cow::Borrowed(mark::OPEN), decision }
    }

    fn values(&self) -> [Value<'_>; OF_TAG.len()] {
        [self.tag.as_ref().into(), self.decision.unix_ms().into(), Value::shown(self.decision)]
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
}
