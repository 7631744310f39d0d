//! The texts of the audit log's statements. Each is made once; what varies is bound.
//!
//! - Start with [`query`], [`command`] and [`rows`].
//! - **Invariant:** nothing that was ever received is part of a text.

use std::sync::LazyLock;

use baton_audit::{BOOT_ENDED, Column, ColumnKind, Command, Query, RowsKind, Words, making_days};

/// The text of a question.
pub(crate) fn query(query: Query) -> &'static str {
    let decisions = &*DECISIONS;
    match query {
        Query::Cursor => "select boot, last_seq, last_hash from audit_chain where boot = $1",
        Query::HeldCursor => "select boot, last_seq, last_hash from audit_chain where boot = $1 for update",
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
            "with place as (select (p.v ->> 0) collate \"C\" as boot, (p.v ->> 1)::bigint as seq, \
             (p.v ->> 2)::bigint as from_ms, (p.v ->> 3)::bigint as to_ms from json_array_elements($1::json) as p(v)), \
             named as (select distinct n.boot, n.first_seq, n.at_ms from place cross join lateral \
             (select b.boot, b.first_seq, b.at_ms from audit_block b where b.boot = place.boot \
             and b.first_seq <= place.seq and b.at_ms between place.from_ms and place.to_ms \
             order by b.first_seq desc limit 1) n) \
             select b.boot, b.first_seq, b.last_seq, b.previous_hash, b.last_hash, b.at_ms, b.raw_bytes, b.body \
             from named n join audit_block b on b.boot = n.boot and b.first_seq = n.first_seq and b.at_ms = n.at_ms"
        }
        Query::Rows => &decisions.rows,
        Query::Strays => &decisions.strays,
        Query::Document => "select hash, kind, at_ms, body::text as body from document where hash = $1",
        Query::Waiting => {
            "select exists (select 1 from orphan_outcome) as orphans, \
             exists (select 1 from feedback where not counted) as feedback, \
             exists (select 1 from correction where not applied) as corrections"
        }
        Query::Orphans => {
            "select derived::text as derived from orphan_outcome where decision in \
             (select id from decision where hashtextextended(boot, 0) = hashtextextended($1, 0) \
             and boot = $1 and seq between $2 and $3)"
        }
        Query::Uncounted => &decisions.uncounted,
        Query::Cost => "select cost_nano from decision where id = $1",
        Query::Uncorrected => &decisions.uncorrected,
        Query::HandoffsAfter => &decisions.handoffs_after,
        Query::Corrections => {
            "select decision, at_ms, boot, seq, cost_nano, prices, first_prices from correction \
             where decision in (select json_array_elements_text($1::json)) order by at_ms, boot, seq"
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
        Query::OldHeads => {
            "select distinct on (boot) boot, last_seq, last_hash from audit_block where at_ms < $1 \
             order by boot, last_seq desc"
        }
        Query::OldDecisions => "select count(*) as count from decision where id < $1",
        Query::Signed => "select record from dropped where before_ms = $1",
        Query::Ping => "select 1",
    }
}

/// Makes room for the months to come. A time.
pub(crate) const MAKE_ROOM: &str = "select baton_make_room($1)";
/// The months that are over before a time, and whose indexes were not made again.
pub(crate) const MONTHS_OVER: &str = "select name from month_partition where not compacted and to_ms <= $1 \
     and of_table in ('decision', 'decision_tag') order by to_ms, name";
/// Makes a month one's own. Its name.
pub(crate) const CLAIM_MONTH: &str =
    "update month_partition set compacted = true where name = $1 and not compacted";
/// Drops the months before a border. A time.
pub(crate) const DROP_OLDER: &str = "select baton_drop_older($1)";
/// The latest end of a month before a time.
pub(crate) const BORDER: &str =
    "select coalesce(max(to_ms), 0) as border from month_partition where to_ms <= $1";

/// Gives outcomes to their decisions: one list for each column, then the least and the greatest id.
pub(crate) fn give() -> &'static str {
    &ROWS.give
}

/// What only this database says: indexes hold texts as numbers that follow from them, which take a
/// third of the room.
pub(crate) fn words() -> Words {
    Words { columns: &DECISIONS.columns, equal: |column, value| equal(&format!("d.{column}"), value) }
}

/// That a column has this value, by the number and by the text.
fn equal(column: &str, value: &str) -> String {
    format!("hashtextextended({column}, 0) = hashtextextended({value}, 0) and {column} = {value}")
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
             (select id from decision where hashtextextended(boot, 0) = hashtextextended($1, 0) \
             and boot = $1 and seq between $2 and $3)"
        }
        Command::DropRows => {
            "with gone as (delete from decision where hashtextextended(boot, 0) = hashtextextended($1, 0) \
             and boot = $1 and seq between $2 and $3 returning id) \
             delete from decision_tag where decision in (select id from gone)"
        }
        Command::DropRow => {
            "with gone as (delete from decision where id = $1 returning id) \
             delete from decision_tag where decision in (select id from gone)"
        }
        Command::HoldCounts => {
            "lock table audit_block, usage_bucket, handoff_bucket in share row exclusive mode"
        }
        Command::KeepCorrections => {
            "insert into correction (decision, at_ms, boot, seq, cost_nano, prices, first_prices) \
             select p.v ->> 0, (p.v ->> 1)::bigint, p.v ->> 2, (p.v ->> 3)::bigint, (p.v ->> 4)::bigint, p.v ->> 5, \
             p.v ->> 6 from json_array_elements($1::json) as p(v) on conflict do nothing"
        }
        Command::Correct => {
            "update decision d set cost_nano = (p.v ->> 1)::bigint from json_array_elements($1::json) as p(v) \
             where d.id = p.v ->> 0"
        }
        Command::SettleCorrections => {
            "update correction c set applied = true from json_array_elements($1::json) as p(v) \
             where c.decision = p.v ->> 0 and c.at_ms = (p.v ->> 1)::bigint and c.boot = p.v ->> 2 \
             and c.seq = (p.v ->> 3)::bigint"
        }
        // One that waits and is in its row already changes no sum when it takes effect.
        Command::CorrectAgain => {
            "update decision d set cost_nano = l.cost_nano from (select distinct on (k.decision) k.decision, k.cost_nano \
             from correction k where k.decision in (select json_array_elements_text($1::json)) \
             order by k.decision, k.at_ms desc, k.boot desc, k.seq desc) l \
             where d.id = l.decision and d.outcome_seq is not null"
        }
        Command::DropCorrections => "delete from correction where boot = $1 and seq between $2 and $3",
        Command::DropUsage => "delete from usage_bucket where start_ms >= $1 and start_ms < $2",
        Command::HoldUsage => "lock table usage_bucket in share row exclusive mode",
        // What was made of them goes with them.
        Command::ForgetDays => {
            "delete from usage_day_made where start_ms in (select json_array_elements_text($1::json)::bigint)"
        }
        Command::MakeDays => &MAKE_DAYS,
        Command::NoteDays => {
            "insert into usage_day_made (start_ms) select json_array_elements_text($1::json)::bigint on conflict do nothing"
        }
        Command::DropShort => "delete from usage_bucket where width_s = $1 and start_ms < $2",
        Command::DropHandoffs => "delete from handoff_bucket where start_ms >= $1 and start_ms < $2",
    }
}

/// The text that writes rows of a kind: its parameters are one list for each column.
pub(crate) fn rows(kind: RowsKind) -> &'static str {
    match kind {
        RowsKind::Decisions => &ROWS.decisions,
        RowsKind::Outcomes => &ROWS.give,
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
    }
}

static DECISIONS: LazyLock<Decisions> = LazyLock::new(Decisions::new);
static ROWS: LazyLock<RowsTexts> = LazyLock::new(RowsTexts::new);

/// Makes the sums of days over fewer dimensions.
static MAKE_DAYS: LazyLock<String> =
    LazyLock::new(|| making_days("select json_array_elements_text($1::json)::bigint"));

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

/// The statements that write rows.
struct RowsTexts {
    decisions: String,
    give: String,
    orphans: String,
    documents: String,
    upgrades: String,
    tags: String,
    untagged: String,
    asked: String,
    feedback: String,
    counted: String,
    dropped: String,
    series: String,
    usage: String,
    handoffs: String,
}

impl Decisions {
    fn new() -> Self {
        let columns = joined(&RowsKind::Decisions.columns(), |column| match column.kind {
            ColumnKind::Json => format!("d.{0}::text as {0}", column.name),
            ColumnKind::Text | ColumnKind::Number | ColumnKind::Flag => format!("d.{}", column.name),
        });
        // Rows of the version before hold their records.
        let columns = format!(
            "{columns}, d.record::text as record, d.outcome::text as outcome, {BOOT_ENDED} as boot_ended"
        );
        let select = |rest: &str| format!("select {columns} from decision d where {rest}");
        let feedback = format!(
            "select {SUBJECT}, {COST_BEFORE}, f.boot, f.seq, f.at_ms, f.decision, f.correct, \
             f.correct_target, f.score, f.label, f.record from feedback f join decision d on d.id = f.decision"
        );
        Self {
            one: select("d.id = $1"),
            // Ids of one millisecond sort by chance; the chain knows the order. No decision of a run is
            // much older than the run.
            run: select(&format!("{} and d.id >= $2 order by d.at_ms, d.boot, d.seq", equal("d.run", "$1"))),
            rows: select(&format!("{} and d.seq between $2 and $3 order by d.seq", equal("d.boot", "$1"))),
            strays: select(
                "not exists (select 1 from audit_chain c where c.boot = d.boot \
                 and d.seq between 1 and c.last_seq) order by d.id limit $1",
            ),
            // Another replica may be counting: what it holds is its business.
            uncounted: format!(
                "{feedback} where not f.counted order by f.boot, f.seq limit $1 for update of f skip locked"
            ),
            old_shapes: select("d.hop is null order by d.id limit $1 for update of d"),
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
                 limit $1 for update of c, d skip locked"
            ),
            handoffs_after: format!(
                "select {SUBJECT}, {COST_BEFORE}, d.cost_nano as cost_now from decision p join decision d on {} \
                 where p.id in (select json_array_elements_text($1::json)) and d.parent = p.id \
                 and d.kind = 'handoff' and d.outcome_seq is not null",
                equal("d.run", "p.run")
            ),
            recount_feedback: format!("{feedback} where f.counted and d.id >= $1 and d.id < $2"),
            columns,
        }
    }
}

impl RowsTexts {
    fn new() -> Self {
        Self {
            decisions: insert("decision", RowsKind::Decisions, ""),
            give: give_outcomes(),
            orphans: insert(
                "orphan_outcome",
                RowsKind::Orphans,
                "where not exists (select 1 from decision d where d.id = r.decision)",
            ),
            documents: insert("document", RowsKind::Documents, ""),
            upgrades: upgrade(),
            tags: insert("decision_tag", RowsKind::Tags, ""),
            untagged: format!(
                "delete from decision_tag t using {} where t.tag = r.tag and t.made_ms = r.made_ms \
                 and t.decision = r.decision",
                unnested(&RowsKind::Untagged.columns())
            ),
            asked: insert("asked", RowsKind::Asked, ""),
            feedback: insert("feedback", RowsKind::Feedback, ""),
            counted: format!(
                "update feedback f set counted = true from {} where f.boot = r.boot and f.seq = r.seq",
                unnested(&RowsKind::Counted.columns())
            ),
            dropped: insert("dropped", RowsKind::Dropped, ""),
            series: insert("usage_series", RowsKind::Series, ""),
            usage: add("usage_bucket", RowsKind::Usage, 3),
            handoffs: add("handoff_bucket", RowsKind::Handoffs, 5),
        }
    }
}

fn insert(table: &str, kind: RowsKind, which: &str) -> String {
    let columns = kind.columns();
    let (names, read, rows) = (names(&columns), joined(&columns, read), unnested(&columns));
    format!("insert into {table} ({names}) select {read} from {rows} {which} on conflict do nothing")
}

/// Sums are added to what is there. The first columns are the key.
fn add(table: &str, kind: RowsKind, key: usize) -> String {
    let columns = kind.columns();
    let (key, sums) = columns.split_at(key.min(columns.len()));
    let set = joined(sums, |sum| format!("{0} = {table}.{0} + excluded.{0}", sum.name));
    let (all, rows, key) = (names(&columns), unnested(&columns), names(key));
    format!("insert into {table} ({all}) select {all} from {rows} on conflict ({key}) do update set {set}")
}

/// The first outcome of a decision counts.
fn give_outcomes() -> String {
    let columns = RowsKind::Outcomes.columns();
    let filled = columns.get(1..).unwrap_or_default();
    let set = joined(filled, |column| match column.name {
        // Nearly all outcomes stand in the chain of their decision.
        "outcome_boot" => "outcome_boot = nullif(r.outcome_boot, d.boot)".to_owned(),
        name => format!("{name} = {}", read(column)),
    });
    let rows = unnested(&columns);
    let (least, most) = (columns.len() + 1, columns.len() + 2);
    format!(
        "update decision d set {set} from {rows} where d.id = r.id and d.id between ${least} and ${most} \
         and d.outcome_seq is null returning {SUBJECT}, {COST_BEFORE}"
    )
}

fn upgrade() -> String {
    let columns = RowsKind::Upgrades.columns();
    let set = joined(&columns, |column| format!("{} = {}", column.name, read(column)));
    let rows = unnested(&columns);
    format!("update decision d set {set} from {rows} where d.id = r.id and d.hop is null")
}

/// The lists as rows. JSON comes as text, because a list of texts is what the driver can send.
fn unnested(columns: &[Column]) -> String {
    let lists = columns.iter().zip(1..).map(|(column, number)| match column.kind {
        ColumnKind::Text | ColumnKind::Json => format!("${number}::text[]"),
        ColumnKind::Number => format!("${number}::bigint[]"),
        ColumnKind::Flag => format!("${number}::boolean[]"),
    });
    format!("unnest({}) as r({})", lists.collect::<Vec<_>>().join(", "), names(columns))
}

fn read(column: &Column) -> String {
    match column.kind {
        ColumnKind::Json => format!("r.{}::json", column.name),
        ColumnKind::Text | ColumnKind::Number | ColumnKind::Flag => format!("r.{}", column.name),
    }
}

fn names(columns: &[Column]) -> String {
    joined(columns, |column| column.name.to_owned())
}

fn joined(columns: &[Column], shown: impl Fn(&Column) -> String) -> String {
    columns.iter().map(shown).collect::<Vec<_>>().join(", ")
}
