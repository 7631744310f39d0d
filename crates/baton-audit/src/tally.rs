//! Adds up what takes effect, so that questions about many decisions are answered from few rows.
//!
//! A decision counts once, in the bucket of its own time, when it is known how it ended. One whose attempt
//! has no outcome yet is in no sum of usage: these are few, and a question about usage counts them itself.
//!
//! - Start with [`Tally::decision`], [`Tally::whole`], [`Tally::ended`] and [`Tally::feedback`]; then [`Tally::rows`].
//! - **Invariant:** what is added for a row is a function of the row, so that all of it can be
//!   counted again.
//! - **Never here:** what a sum is used for.

use std::collections::{BTreeMap, HashMap};

use baton_model::DecisionId;

use crate::chain::Hash;
use crate::row::{DecisionRow, FeedbackRow, OutcomeRow};
use crate::store::{BucketWidth, Dimension};

/// No figure of one decision counts for more than this, so that no sum leaves the range of the
/// databases, whatever an upstream claims.
const MOST: u64 = 1 << 38;

/// How many dimensions a series has.
pub(crate) const DIMENSIONS: usize = Dimension::ALL.len();
/// The columns of the sums of usage, in their order.
pub(crate) const SUMS: [&str; 17] = [
    "decisions",
    "attempts",
    "ok",
    "failed",
    "cancelled",
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nano",
    "unpriced",
    "total_us",
    "first_content_us",
    "with_content",
    "right_count",
    "wrong_count",
];
/// The columns of the sums of hand-overs, in their order.
pub(crate) const HANDOFF_SUMS: [&str; 11] = [
    "decisions",
    "succeeded",
    "failed",
    "cancelled",
    "first_content_us",
    "with_content",
    "cost_nano",
    "cost_before_nano",
    "priced",
    "right_count",
    "wrong_count",
];

/// The status of a decision whose attempt has no outcome yet.
pub(crate) const OPEN: &str = "open";
/// The status of a decision without an attempt.
pub(crate) const NO_ATTEMPT: &str = "none";

/// What a decision is counted under. A text is empty where there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) id: DecisionId,
    pub(crate) principal: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) to_model: &'a str,
    pub(crate) to_target: &'a str,
    pub(crate) policy: &'a str,
    pub(crate) policy_version: &'a str,
    pub(crate) rule: &'a str,
    pub(crate) reason_code: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) from_target: &'a str,
    pub(crate) attempt: bool,
}

impl<'a> Subject<'a> {
    pub(crate) fn of(row: &'a DecisionRow) -> Self {
        let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
        Self {
            id: row.id,
            principal: &row.principal,
            provider: text(&row.provider),
            to_model: text(&row.to_model),
            to_target: text(&row.to_target),
            policy: text(&row.policy),
            policy_version: text(&row.policy_version),
            rule: text(&row.rule),
            reason_code: &row.reason_code,
            kind: &row.kind,
            from_target: text(&row.from_target),
            attempt: row.attempt,
        }
    }

    /// In the order of [`Dimension::ALL`].
    const fn series(self, status: &'a str) -> [&'a str; DIMENSIONS] {
        [
            self.principal,
            self.provider,
            self.to_model,
            self.to_target,
            self.policy,
            self.policy_version,
            self.rule,
            self.reason_code,
            self.kind,
            status,
        ]
    }

    const fn open(self) -> &'static str {
        if self.attempt { OPEN } else { NO_ATTEMPT }
    }

    fn is_handoff(self) -> bool {
        self.kind == "handoff" && !self.from_target.is_empty() && !self.to_target.is_empty()
    }
}

type Sums = [i64; SUMS.len()];
type HandoffSums = [i64; HANDOFF_SUMS.len()];

/// Sums that are still to be written.
#[derive(Debug, Default)]
pub(crate) struct Tally<'a> {
    /// By minute and series.
    usage: HashMap<(u64, [&'a str; DIMENSIONS]), Sums>,
    /// By minute, from, to and reason.
    handoffs: HashMap<(u64, [&'a str; 3]), HandoffSums>,
}

/// A series: what counts together, under a number that follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesRow {
    pub(crate) series: i64,
    pub(crate) values: [String; DIMENSIONS],
}

/// What is added to one bucket of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    pub(crate) width: BucketWidth,
    pub(crate) start_ms: u64,
    pub(crate) series: i64,
    pub(crate) sums: Sums,
}

/// What is added to one bucket of hand-overs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoffRow {
    pub(crate) width: BucketWidth,
    pub(crate) start_ms: u64,
    /// From, to, reason.
    pub(crate) cell: [String; 3],
    pub(crate) sums: HandoffSums,
}

/// All rows of a tally, in the order in which every replica takes hold of them.
#[derive(Debug, Default)]
pub(crate) struct TallyRows {
    pub(crate) series: Vec<SeriesRow>,
    pub(crate) usage: Vec<UsageRow>,
    pub(crate) handoffs: Vec<HandoffRow>,
}

impl<'a> Tally<'a> {
    /// A decision was stored, without its outcome.
    pub(crate) fn decision(&mut self, subject: Subject<'a>) {
        if !subject.attempt {
            let mut sums = Sums::default();
            let [decisions, ..] = &mut sums;
            *decisions = 1;
            self.add(subject, NO_ATTEMPT, &sums);
        }
        self.add_handoff(subject, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    /// A decision was stored with its outcome.
    pub(crate) fn whole(&mut self, subject: Subject<'a>, outcome: &'a OutcomeRow, cost_before: Option<u64>) {
        self.add(subject, &outcome.status, &sums_of(subject, outcome));
        if subject.is_handoff() {
            let [_, rest @ ..] = handoff_sums_of(outcome, cost_before);
            let [a, b, c, d, e, f, g, h, i, j] = rest;
            self.add_handoff(subject, &[1, a, b, c, d, e, f, g, h, i, j]);
        }
    }

    /// The outcome of a decision that was stored before took effect. `cost_before` is the known cost of
    /// the decision before it.
    pub(crate) fn ended(&mut self, subject: Subject<'a>, outcome: &'a OutcomeRow, cost_before: Option<u64>) {
        self.add(subject, &outcome.status, &sums_of(subject, outcome));
        if subject.is_handoff() {
            self.add_handoff(subject, &handoff_sums_of(outcome, cost_before));
        }
    }

    /// The cost of a counted attempt is another one than it `was`. `before` is the known cost of the decision
    /// before it.
    pub(crate) fn corrected(
        &mut self,
        subject: Subject<'a>,
        status: &'a str,
        was: Option<u64>,
        cost: u64,
        before: Option<u64>,
    ) {
        let more = signed(cost) - signed(was.unwrap_or_default());
        let mut sums = Sums::default();
        let [.., cost_nano, unpriced, _, _, _, _, _] = &mut sums;
        (*cost_nano, *unpriced) = (more, -i64::from(was.is_none()));
        self.add(subject, status, &sums);
        if let Some(before) = before {
            let first = was.is_none().then_some(signed(before));
            let priced = i64::from(first.is_some());
            self.add_handoff(subject, &[0, 0, 0, 0, 0, 0, more, first.unwrap_or_default(), priced, 0, 0]);
        }
    }

    /// The cost of the decision before a hand-over is another one than it `was`; its own attempt cost `own`.
    pub(crate) fn corrected_before(&mut self, subject: Subject<'a>, own: u64, was: Option<u64>, cost: u64) {
        let more = signed(cost) - signed(was.unwrap_or_default());
        let first = was.is_none().then_some(signed(own));
        let priced = i64::from(first.is_some());
        self.add_handoff(subject, &[0, 0, 0, 0, 0, 0, first.unwrap_or_default(), more, priced, 0, 0]);
    }

    /// Somebody said something of a decision that is in this status.
    pub(crate) fn feedback(&mut self, subject: Subject<'a>, status: Option<&'a str>, row: &FeedbackRow) {
        let right = match (row.correct, row.correct_target.as_deref()) {
            (Some(correct), _) => correct,
            (None, Some(name)) => name == subject.to_target || name == subject.to_model,
            (None, None) => return,
        };
        let (right, wrong) = (i64::from(right), i64::from(!right));
        let mut sums = Sums::default();
        let [.., rights, wrongs] = &mut sums;
        (*rights, *wrongs) = (right, wrong);
        self.add(subject, status.unwrap_or(subject.open()), &sums);
        self.add_handoff(subject, &[0, 0, 0, 0, 0, 0, 0, 0, 0, right, wrong]);
    }

    fn add(&mut self, subject: Subject<'a>, status: &'a str, more: &Sums) {
        let minute = BucketWidth::Minute.start_of(subject.id.unix_ms());
        join(self.usage.entry((minute, subject.series(status))).or_default(), more);
    }

    fn add_handoff(&mut self, subject: Subject<'a>, more: &HandoffSums) {
        if subject.is_handoff() {
            let minute = BucketWidth::Minute.start_of(subject.id.unix_ms());
            let cell = [subject.from_target, subject.to_target, subject.reason_code];
            join(self.handoffs.entry((minute, cell)).or_default(), more);
        }
    }

    /// The sums in buckets of every width. Where nothing is left to add, there is no row.
    pub(crate) fn rows(self) -> TallyRows {
        let mut rows = TallyRows::default();
        let mut series = BTreeMap::new();
        let mut usage: BTreeMap<(BucketWidth, u64, i64), Sums> = BTreeMap::new();
        for ((minute, values), sums) in self.usage {
            if sums != Sums::default() {
                let number = number_of(&values);
                for width in BucketWidth::ALL {
                    join(usage.entry((width, width.start_of(minute), number)).or_default(), &sums);
                }
                series.insert(number, values);
            }
        }
        let mut handoffs: BTreeMap<(BucketWidth, u64, [&str; 3]), HandoffSums> = BTreeMap::new();
        for ((minute, cell), sums) in self.handoffs {
            for width in BucketWidth::ALL {
                join(handoffs.entry((width, width.start_of(minute), cell)).or_default(), &sums);
            }
        }
        for (series, values) in series {
            rows.series.push(SeriesRow { series, values: values.map(str::to_owned) });
        }
        for ((width, start_ms, series), sums) in usage {
            rows.usage.push(UsageRow { width, start_ms, series, sums });
        }
        for ((width, start_ms, cell), sums) in handoffs {
            rows.handoffs.push(HandoffRow { width, start_ms, cell: cell.map(str::to_owned), sums });
        }
        rows
    }
}

/// What an ended attempt adds, in the order of [`SUMS`].
fn sums_of(subject: Subject<'_>, outcome: &OutcomeRow) -> Sums {
    let figure = |figure: Option<u64>| signed(figure.unwrap_or_default());
    let is = |status: &str| i64::from(outcome.status == status);
    [
        1,
        i64::from(subject.attempt),
        is("ok"),
        is("failed"),
        is("client_cancelled"),
        figure(outcome.input_tokens),
        figure(outcome.cached_tokens),
        figure(outcome.cache_write_tokens),
        figure(outcome.output_tokens),
        figure(outcome.reasoning_tokens),
        figure(outcome.cost_nano),
        i64::from(outcome.cost_nano.is_none()),
        signed(outcome.total_us),
        figure(outcome.first_content_us),
        i64::from(outcome.first_content_us.is_some()),
        0,
        0,
    ]
}

/// What the end of a hand-over's attempt adds, in the order of [`HANDOFF_SUMS`].
fn handoff_sums_of(outcome: &OutcomeRow, cost_before: Option<u64>) -> HandoffSums {
    let is = |status: &str| i64::from(outcome.status == status);
    let priced = outcome.cost_nano.zip(cost_before);
    [
        0,
        is("ok"),
        is("failed"),
        is("client_cancelled"),
        signed(outcome.first_content_us.unwrap_or_default()),
        i64::from(outcome.first_content_us.is_some()),
        priced.map_or(0, |(cost, _)| signed(cost)),
        priced.map_or(0, |(_, before)| signed(before)),
        i64::from(priced.is_some()),
        0,
        0,
    ]
}

/// The number of a series: the first bytes of its hash. The length of each text tells them apart.
fn number_of(values: &[&str; DIMENSIONS]) -> i64 {
    let text: String = values.iter().map(|value| format!("{}:{value}", value.len())).collect();
    let hash = Hash::of(text.as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |first| i64::from_be_bytes(*first))
}

fn join<const N: usize>(sums: &mut [i64; N], more: &[i64; N]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

fn signed(figure: u64) -> i64 {
    i64::try_from(figure.min(MOST)).unwrap_or_default()
}
