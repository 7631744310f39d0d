//! The texts of the audit log's statements. Each is made once; what varies is bound.
//!
//! - Start with [`query`], [`command`] and [`rows`].
//! - **Invariant:** nothing that was ever received is part of a text.

use std::sync::LazyLock;

use baton_audit::{Column, ColumnKind, Command, PageOf, Query, RowsKind, Towards};

/// The text of a question.
pub(crate) fn query(query: Query) -> &'static str {
    let decisions = &*DECISIONS;
    match query {
        Query::Cursor => "select boot, last_seq, last_hash from audit_chain where boot = $1",
        Query::HeldCursor => "select boot, last_seq, last_hash from audit_chain where boot = $1 for update",
        Query::Decision => &decisions.one,
        Query::Run => &decisions.run,
        Query::Page(PageOf::Run, towards) => decisions.of_run.text(towards),
        Query::Page(PageOf::Principal, towards) => decisions.of_principal.text(towards),
        Query::Page(PageOf::All, towards) => decisions.of_all.text(towards),
        Query::Chains => {
            "select boot, at_ms, version, previous_boot, previous_seq, previous_hash, stopped_ms, \
             last_seq, last_hash from audit_chain order by boot"
        }
        Query::Blocks => {
            "select boot, first_seq, last_seq, previous_hash, last_hash, at_ms, raw_bytes, body \
             from audit_block where boot = $1 and first_seq > $2 order by first_seq limit $3"
        }
        Query::Rows => &decisions.rows,
        Query::Strays => &decisions.strays,
        Query::Document => "select hash, kind, at_ms, body::text as body from document where hash = $1",
        Query::HasOrphans => "select 1 from orphan_outcome limit 1",
        Query::Orphans => {
            "select derived::text as derived from orphan_outcome where decision in \
             (select id from decision where boot = $1 and seq between $2 and $3)"
        }
        Query::Ping => "select 1",
    }
}

/// The text of a change.
pub(crate) const fn command(command: Command) -> &'static str {
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
    }
}

/// The text that writes rows of a kind: its parameters are one list for each column.
pub(crate) fn rows(kind: RowsKind) -> &'static str {
    match kind {
        RowsKind::Decisions => &ROWS.decisions,
        RowsKind::Outcomes => &ROWS.outcomes,
        RowsKind::Orphans => &ROWS.orphans,
        RowsKind::Documents => &ROWS.documents,
    }
}

static DECISIONS: LazyLock<Decisions> = LazyLock::new(Decisions::new);
static ROWS: LazyLock<RowsTexts> = LazyLock::new(RowsTexts::new);

/// The questions that are answered with decisions.
struct Decisions {
    one: String,
    run: String,
    rows: String,
    strays: String,
    of_run: Directions,
    of_principal: Directions,
    of_all: Directions,
}

/// The texts of a page towards either end.
struct Directions {
    older: String,
    newer: String,
}

/// The statements that write rows.
struct RowsTexts {
    decisions: String,
    outcomes: String,
    orphans: String,
    documents: String,
}

impl Decisions {
    fn new() -> Self {
        Self {
            one: select("d.id = $1"),
            // Ids of one millisecond sort by chance; the chain knows the order.
            run: select("d.run = $1 order by d.at_ms, d.boot, d.seq"),
            rows: select("d.boot = $1 and d.seq between $2 and $3 order by d.seq"),
            strays: select(
                "not exists (select 1 from audit_chain c where c.boot = d.boot \
                 and d.seq between 1 and c.last_seq) order by d.id limit $1",
            ),
            of_run: Directions::new("d.run = $7 and (cast($6 as text) is null or d.principal = $6)"),
            of_principal: Directions::new("d.principal = $6 and cast($7 as text) is null"),
            of_all: Directions::new("cast($6 as text) is null and cast($7 as text) is null"),
        }
    }
}

impl Directions {
    /// Both texts of a page: by what the index leads to, then the other filters.
    fn new(lead: &str) -> Self {
        let page = |direction: &str| {
            select(&format!(
                "{lead} and (cast($3 as text) is null or d.kind = $3) \
                 and (cast($4 as text) is null or d.to_model = $4 or d.to_target = $4 or d.requested = $5) \
                 and {direction} limit $2"
            ))
        };
        Self { older: page("d.id < $1 order by d.id desc"), newer: page("d.id > $1 order by d.id asc") }
    }

    const fn text(&self, towards: Towards) -> &str {
        match towards {
            Towards::Older => self.older.as_str(),
            Towards::Newer => self.newer.as_str(),
        }
    }
}

fn select(rest: &str) -> String {
    let columns = joined(&RowsKind::Decisions.columns(), |column| match column.kind {
        ColumnKind::Json => format!("d.{0}::text as {0}", column.name),
        ColumnKind::Text | ColumnKind::Number | ColumnKind::Flag => format!("d.{}", column.name),
    });
    format!(
        "select {columns}, \
         (exists (select 1 from audit_chain c where c.boot = d.boot and c.stopped_ms is not null) \
         or exists (select 1 from audit_chain c where c.previous_boot = d.boot)) as boot_ended \
         from decision d where {rest}"
    )
}

impl RowsTexts {
    fn new() -> Self {
        Self {
            decisions: insert("decision", RowsKind::Decisions, ""),
            outcomes: give_outcomes(),
            orphans: insert(
                "orphan_outcome",
                RowsKind::Orphans,
                "where not exists (select 1 from decision d where d.id = r.decision)",
            ),
            documents: insert("document", RowsKind::Documents, ""),
        }
    }
}

fn insert(table: &str, kind: RowsKind, which: &str) -> String {
    let columns = kind.columns();
    let (names, read, rows) = (names(&columns), joined(&columns, read), unnested(&columns));
    format!("insert into {table} ({names}) select {read} from {rows} {which} on conflict do nothing")
}

/// The first outcome of a decision counts.
fn give_outcomes() -> String {
    let columns = RowsKind::Outcomes.columns();
    let filled = columns.get(1..).unwrap_or_default();
    let set = joined(filled, |column| format!("{} = {}", column.name, read(column)));
    let rows = unnested(&columns);
    format!("update decision set {set} from {rows} where decision.id = r.id and decision.outcome is null")
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
