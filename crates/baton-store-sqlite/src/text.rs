//! The texts of the audit log's statements. Each is made once; what varies is bound.
//!
//! - Start with [`query`], [`command`] and [`rows`].
//! - **Invariant:** nothing that was ever received is part of a text.

use std::sync::LazyLock;

use baton_audit::{BOOT_ENDED, Column, Command, Query, RowsKind, Words, making_days};

/// How many rows one statement writes, the most first. A statement is a message to the writing
/// thread and back, so that many rows in one are cheap; the last size takes what is left over.
const SIZES: [usize; 3] = [32, 8, 1];

/// The text of a question.
pub(crate) fn query(query: Query) -> &'static str {
    let decisions = &*DECISIONS;
    match query {
        Query::Cursor | Query::HeldCursor => {
            "select boot, last_seq, last_hash from audit_chain where boot = $1"
        }
        Query::Decision => &decisions.one,
        Query::Run => &decisions.run,
        Query::Chains => {
            "select boot, at_ms, version, previous_boot, previous_seq, previous_hash, stopped_ms, \
             last_seq, last_hash from audit_chain order by boot"
        }
        Query::Blocks => {
            "select boot, first_seq, last_seq, previous_hash, last_hash, at_ms, raw_bytes, body \
             from audit_block where boot = $1 and first_seq > $2 order by first_seq limit $3"
        }
        Query::BlocksOf => {
            "with place as (select p.value ->> 0 as boot, p.value ->> 1 as seq \
             from json_each($1) p), \
             named as (select distinct boot, (select max(b.first_seq) from audit_block b \
             where b.boot = place.boot and b.first_seq <= place.seq) as first_seq from place) \
             select b.boot, b.first_seq, b.last_seq, b.previous_hash, b.last_hash, b.at_ms, b.raw_bytes, b.body \
             from named n join audit_block b on b.boot = n.boot and b.first_seq = n.first_seq"
        }
        Query::Rows => &decisions.rows,
        Query::Strays => &decisions.strays,
        Query::Document => "select hash, kind, at_ms, body from document where hash = $1",
        Query::Waiting => {
            "select exists (select 1 from orphan_outcome) as orphans, \
             exists (select 1 from feedback where not counted) as feedback, \
             exists (select 1 from correction where not applied) as corrections"
        }
        Query::Orphans => {
            "select derived from orphan_outcome where decision in \
             (select id from decision where boot = $1 and seq between $2 and $3)"
        }
        Query::Uncounted => &decisions.uncounted,
        Query::Cost => "select cost_nano from decision where id = $1",
        Query::Uncorrected => &decisions.uncorrected,
        Query::HandoffsAfter => &decisions.handoffs_after,
        Query::Corrections => {
            "select decision, at_ms, boot, seq, cost_nano, prices, first_prices from correction \
             where decision in (select value from json_each($1)) order by at_ms, boot, seq"
        }
        Query::NewestDay => "select max(start_ms) as start_ms from usage_bucket where width_s = 86400",
        // The days are few, and each is looked for by its place.
        Query::UnmadeDays => {
            "with recursive day(start_ms) as (select min(start_ms) from usage_bucket where width_s = 86400 \
             union all select (select min(b.start_ms) from usage_bucket b where b.width_s = 86400 \
             and b.start_ms > day.start_ms) from day where day.start_ms is not null) \
             select start_ms from day where start_ms < $1 and start_ms not in (select start_ms from usage_day_made) \
             order by start_ms limit $2"
        }
        Query::MadeDays => {
            "select start_ms from usage_day_made where start_ms >= $1 and start_ms < $2 order by start_ms"
        }
        Query::OldShapes => &decisions.old_shapes,
        Query::Recount => &decisions.recount,
        Query::RecountFeedback => &decisions.recount_feedback,
        // A column beside a greatest one is of its row.
        Query::OldHeads => {
            "select boot, max(last_seq) as last_seq, last_hash from audit_block where at_ms < $1 \
             group by boot order by boot"
        }
        Query::OldDecisions => "select count(*) as count from decision where id < $1",
        Query::Signed => "select record from dropped where before_ms = $1",
        Query::Ping => "select 1",
    }
}

/// What drops what is older than a border, in this order. A time, and the first id of that time.
pub(crate) const DROP_OLDER: [&str; 8] = [
    "delete from audit_block where at_ms < $1 and $2 is not null",
    "delete from decision where id < $2 and $1 is not null",
    "delete from decision_tag where decision < $2 and $1 is not null",
    "delete from feedback where decision < $2 and $1 is not null",
    "delete from correction where decision < $2 and $1 is not null",
    "delete from usage_bucket where start_ms < $1 and $2 is not null",
    "delete from usage_day_made where start_ms < $1 and $2 is not null",
    "delete from handoff_bucket where start_ms < $1 and $2 is not null",
];

/// The beginning of the month of a time.
pub(crate) const BORDER: &str = "select unixepoch($1 / 1000, 'unixepoch', 'start of month') * 1000 as border";

/// What only this database says.
pub(crate) fn words() -> Words {
    Words { columns: &DECISIONS.columns, equal: |column, value| format!("d.{column} = {value}") }
}

/// The text of a change.
pub(crate) fn command(command: Command) -> &'static str {
    match command {
        Command::BeginChain => {
            "insert into audit_chain (boot, at_ms, version, last_seq, last_hash) \
             values ($1, $2, '', 0, $3) on conflict do nothing"
        }
        Command::InsertBlock => {
            "insert into audit_block (boot, first_seq, last_seq, previous_hash, last_hash, at_ms, \
             raw_bytes, body) values ($1, $2, $3, $4, $5, $6, $7, $8)"
        }
        Command::DescribeChain => {
            "update audit_chain set at_ms = $2, version = $3, previous_boot = $4, previous_seq = $5, \
             previous_hash = $6 where boot = $1"
        }
        Command::AdvanceChain => {
            "update audit_chain set last_seq = $2, last_hash = $3, stopped_ms = coalesce($4, stopped_ms) \
             where boot = $1"
        }
        Command::DropOrphans => {
            "delete from orphan_outcome where decision in \
             (select id from decision where boot = $1 and seq between $2 and $3)"
        }
        // What leads to them from their tags leads nowhere until they are there again.
        Command::DropRows => "delete from decision where boot = $1 and seq between $2 and $3",
        Command::DropRow => "delete from decision where id = $1",
        // One connection writes.
        Command::HoldCounts => "select 1",
        Command::KeepCorrections => {
            "insert into correction (decision, at_ms, boot, seq, cost_nano, prices, first_prices) \
             select p.value ->> 0, p.value ->> 1, p.value ->> 2, p.value ->> 3, p.value ->> 4, p.value ->> 5, \
             p.value ->> 6 from json_each($1) p where true on conflict do nothing"
        }
        Command::Correct => {
            "update decision set cost_nano = p.value ->> 1 from json_each($1) p where decision.id = p.value ->> 0"
        }
        Command::SettleCorrections => {
            "update correction set applied = 1 from json_each($1) p where correction.decision = p.value ->> 0 \
             and correction.at_ms = p.value ->> 1 and correction.boot = p.value ->> 2 \
             and correction.seq = p.value ->> 3"
        }
        // One that waits and is in its row already changes no sum when it takes effect.
        Command::CorrectAgain => {
            "update decision set cost_nano = (select k.cost_nano from correction k where k.decision = decision.id \
             order by k.at_ms desc, k.boot desc, k.seq desc limit 1) \
             where decision.id in (select value from json_each($1)) and decision.outcome_seq is not null \
             and exists (select 1 from correction k where k.decision = decision.id)"
        }
        Command::DropCorrections => "delete from correction where boot = $1 and seq between $2 and $3",
        Command::DropUsage => "delete from usage_bucket where start_ms >= $1 and start_ms < $2",
        Command::HoldUsage => "select 1",
        // What was made of them goes with them.
        Command::ForgetDays => {
            "delete from usage_day_made where start_ms in (select value from json_each($1))"
        }
        Command::MakeDays => &MAKE_DAYS,
        Command::NoteDays => {
            "insert into usage_day_made (start_ms) select value from json_each($1) where true on conflict do nothing"
        }
        Command::DropShort => "delete from usage_bucket where width_s = $1 and start_ms < $2",
        Command::DropHandoffs => "delete from handoff_bucket where start_ms >= $1 and start_ms < $2",
    }
}

/// The largest statement that writes no more than so many rows: its number of rows, and its text.
pub(crate) fn rows(kind: RowsKind, most: usize) -> (usize, &'static str) {
    let texts = match kind {
        RowsKind::Decisions => &ROWS.decisions,
        RowsKind::Outcomes => &ROWS.outcomes,
        RowsKind::Orphans => &ROWS.orphans,
        RowsKind::Documents => &ROWS.documents,
        RowsKind::Upgrades => &ROWS.upgrades,
        RowsKind::Tags => &ROWS.tags,
        RowsKind::Untagged => &ROWS.untagged,
        RowsKind::Asked => &ROWS.asked,
        RowsKind::Feedback => &ROWS.feedback,
        RowsKind::Counted => &ROWS.counted,
        RowsKind::Dropped => &ROWS.dropped,
        RowsKind::Series => &ROWS.series,
        RowsKind::Usage => &ROWS.usage,
        RowsKind::Handoffs => &ROWS.handoffs,
    };
    let [many, some, one] = texts;
    match SIZES {
        [size, ..] if most >= size => (size, many),
        [_, size, _] if most >= size => (size, some),
        [_, _, size] => (size, one),
    }
}

static DECISIONS: LazyLock<Decisions> = LazyLock::new(Decisions::new);
static ROWS: LazyLock<RowsTexts> = LazyLock::new(RowsTexts::new);

/// Makes the sums of days over fewer dimensions.
static MAKE_DAYS: LazyLock<String> = LazyLock::new(|| making_days("select value from json_each($1)"));

/// What a decision is counted under, beside its `cost_before`.
const SUBJECT: &str = "d.id as decision_id, d.principal, d.provider, d.to_model, d.to_target, d.policy, \
    d.policy_version, d.rule, d.reason_code, d.kind, d.from_target, d.attempt, d.hop, d.status, d.parent";
/// The known cost of the decision before a hand-over.
const COST_BEFORE: &str = "case when d.kind = 'handoff' then \
    (select p.cost_nano from decision p where p.id = d.parent) end as cost_before";

/// The questions that are answered with decisions.
struct Decisions {
    columns: String,
    one: String,
    run: String,
    rows: String,
    strays: String,
    uncounted: String,
    old_shapes: String,
    recount: String,
    recount_feedback: String,
    uncorrected: String,
    handoffs_after: String,
}

/// The statements that write rows, one for each size.
struct RowsTexts {
    decisions: [String; SIZES.len()],
    outcomes: [String; SIZES.len()],
    orphans: [String; SIZES.len()],
    documents: [String; SIZES.len()],
    upgrades: [String; SIZES.len()],
    tags: [String; SIZES.len()],
    untagged: [String; SIZES.len()],
    asked: [String; SIZES.len()],
    feedback: [String; SIZES.len()],
    counted: [String; SIZES.len()],
    dropped: [String; SIZES.len()],
    series: [String; SIZES.len()],
    usage: [String; SIZES.len()],
    handoffs: [String; SIZES.len()],
}

impl Decisions {
    fn new() -> Self {
        // Rows of the version before hold their records.
        let columns = format!(
            "{}, d.record, d.outcome, {BOOT_ENDED} as boot_ended",
            names(&RowsKind::Decisions.columns(), "d.")
        );
        let select = |rest: &str| format!("select {columns} from decision d where {rest}");
        let feedback = format!(
            "select {SUBJECT}, {COST_BEFORE}, f.boot, f.seq, f.at_ms, f.decision, f.correct, \
             f.correct_target, f.score, f.label, f.record from feedback f join decision d on d.id = f.decision"
        );
        Self {
            one: select("d.id = $1"),
            // Ids of one millisecond sort by chance; the chain knows the order.
            run: select("d.run = $1 and d.id >= $2 order by d.at_ms, d.boot, d.seq"),
            rows: select("d.boot = $1 and d.seq between $2 and $3 order by d.seq"),
            strays: select(
                "not exists (select 1 from audit_chain c where c.boot = d.boot \
                 and d.seq between 1 and c.last_seq) order by d.id limit $1",
            ),
            uncounted: format!("{feedback} where not f.counted order by f.boot, f.seq limit $1"),
            old_shapes: select("d.hop is null order by d.id limit $1"),
            recount: format!(
                "select {columns}, {COST_BEFORE} from decision d where d.id > $1 and d.id < $2 \
                 order by d.id limit $3"
            ),
            uncorrected: format!(
                "select {SUBJECT}, {COST_BEFORE}, d.cost_nano as cost_now, c.decision, c.at_ms, c.boot, c.seq, \
                 c.cost_nano, c.prices, c.first_prices, not exists (select 1 from correction l \
                 where l.decision = c.decision and (l.at_ms, l.boot, l.seq) > (c.at_ms, c.boot, c.seq)) as is_latest \
                 from correction c join decision d on d.id = c.decision \
                 where not c.applied and d.outcome_seq is not null order by c.at_ms, c.boot, c.seq, c.decision \
                 limit $1"
            ),
            handoffs_after: format!(
                "select {SUBJECT}, {COST_BEFORE}, d.cost_nano as cost_now from decision p join decision d on d.run = p.run \
                 where p.id in (select value from json_each($1)) and d.parent = p.id \
                 and d.kind = 'handoff' and d.outcome_seq is not null"
            ),
            recount_feedback: format!("{feedback} where f.counted and d.id >= $1 and d.id < $2"),
            columns,
        }
    }
}

impl RowsTexts {
    fn new() -> Self {
        let insert_all = |table, kind| SIZES.map(|size| insert(table, kind, size));
        Self {
            decisions: SIZES.map(insert_decisions),
            outcomes: SIZES.map(give_outcomes),
            orphans: SIZES.map(keep_orphans),
            documents: insert_all("document", RowsKind::Documents),
            upgrades: SIZES.map(upgrade),
            tags: insert_all("decision_tag", RowsKind::Tags),
            untagged: SIZES.map(|size| {
                format!(
                    "delete from decision_tag where (tag, made_ms, decision) in (values {})",
                    values(RowsKind::Untagged, size)
                )
            }),
            asked: insert_all("asked", RowsKind::Asked),
            feedback: insert_all("feedback", RowsKind::Feedback),
            counted: SIZES.map(|size| {
                format!(
                    "update feedback set counted = 1 from (values {}) o \
                     where feedback.boot = o.column1 and feedback.seq = o.column2",
                    values(RowsKind::Counted, size)
                )
            }),
            dropped: insert_all("dropped", RowsKind::Dropped),
            series: insert_all("usage_series", RowsKind::Series),
            usage: SIZES.map(|size| add("usage_bucket", RowsKind::Usage, 3, size)),
            handoffs: SIZES.map(|size| add("handoff_bucket", RowsKind::Handoffs, 5, size)),
        }
    }
}

fn insert(table: &str, kind: RowsKind, size: usize) -> String {
    let (columns, values) = (names(&kind.columns(), ""), values(kind, size));
    format!("insert into {table} ({columns}) values {values} on conflict do nothing")
}

/// The column of the records has to be filled; they stand in the evidence.
fn insert_decisions(size: usize) -> String {
    let columns = RowsKind::Decisions.columns();
    let row = format!("({}, '')", vec!["?"; columns.len()].join(", "));
    let (names, values) = (names(&columns, ""), vec![row; size].join(", "));
    format!("insert into decision ({names}, record) values {values} on conflict do nothing")
}

/// Sums are added to what is there. The first columns are the key.
fn add(table: &str, kind: RowsKind, key: usize, size: usize) -> String {
    let columns = kind.columns();
    let (key, sums) = columns.split_at(key.min(columns.len()));
    let sums = sums.iter().map(|sum| format!("{0} = {0} + excluded.{0}", sum.name));
    let (set, key) = (sums.collect::<Vec<_>>().join(", "), names(key, ""));
    let (all, values) = (names(&columns, ""), values(kind, size));
    format!("insert into {table} ({all}) values {values} on conflict ({key}) do update set {set}")
}

/// The first outcome of a decision counts. The columns of `values` are named by their numbers.
fn give_outcomes(size: usize) -> String {
    let (set, values) = (set_to(&RowsKind::Outcomes.columns()), values(RowsKind::Outcomes, size));
    // What is returned is told of the table by its own name.
    let [subject, cost] = [SUBJECT, COST_BEFORE].map(|text| text.replace("d.", "decision."));
    format!(
        "update decision set {set} from (values {values}) o where decision.id = o.column1 \
         and decision.outcome_seq is null returning {subject}, {cost}"
    )
}

fn upgrade(size: usize) -> String {
    let (set, values) = (set_to(&RowsKind::Upgrades.columns()), values(RowsKind::Upgrades, size));
    format!(
        "update decision set {set} from (values {values}) o where decision.id = o.column1 and decision.hop is null"
    )
}

/// All columns but the first.
fn set_to(columns: &[Column]) -> String {
    let set = columns.iter().zip(1..).skip(1);
    let set = set.map(|(column, number)| match column.name {
        // Nearly all outcomes stand in the chain of their decision.
        "outcome_boot" => format!("outcome_boot = nullif(o.column{number}, decision.boot)"),
        name => format!("{name} = o.column{number}"),
    });
    set.collect::<Vec<_>>().join(", ")
}

fn keep_orphans(size: usize) -> String {
    let (columns, values) = (names(&RowsKind::Orphans.columns(), ""), values(RowsKind::Orphans, size));
    format!(
        "insert into orphan_outcome ({columns}) select o.column1, o.column2 from (values {values}) o \
         where not exists (select 1 from decision d where d.id = o.column1) on conflict do nothing"
    )
}

fn names(columns: &[Column], prefix: &str) -> String {
    columns.iter().map(|column| format!("{prefix}{}", column.name)).collect::<Vec<_>>().join(", ")
}

fn values(kind: RowsKind, size: usize) -> String {
    let row = format!("({})", vec!["?"; kind.columns().len()].join(", "));
    vec![row; size].join(", ")
}
