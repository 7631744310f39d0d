//! Fills a store with a history, and measures what is asked of it while more arrives.
//!
//! - **Invariant:** every question must have an answer with rows, else nothing was measured.

#![expect(clippy::print_stdout, reason = "a program that prints its figures")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use baton_audit::{
    AuditQueries, AuditStore, AuditUpkeep, BucketWidth, DecisionKind, Dimension, HandoffQuery, ListQuery,
    OutcomeStatus, PageStart, PolicyFilter, Range, StatusFilter, UsageQuery,
};
use baton_model::DecisionId;
use baton_store_postgres::{PostgresOptions, PostgresStore};
use baton_store_sqlite::SqliteStore;
use baton_testkit::history::{History, MODELS, principal, session};
use clap::Parser;
use sqlx::{Connection, PgConnection};

const DAY_MS: u64 = 86_400_000;
/// What arrives meanwhile.
const RATE: u64 = 500;
const PAGE: u32 = 20;

#[derive(Debug, Parser)]
#[command(about = "Fills a store with a history and measures questions")]
struct Args {
    /// A Postgres database that may be filled.
    #[arg(long, conflicts_with = "sqlite")]
    postgres: Option<String>,
    /// A folder for a SQLite store.
    #[arg(long)]
    sqlite: Option<PathBuf>,
    /// How many decisions.
    #[arg(long)]
    rows: u64,
    /// How many days the history spans; thirteen months unless said otherwise. Few rows in few days are as dense
    /// as many rows in many.
    #[arg(long, default_value_t = 395)]
    days: u64,
    /// How often each question is asked.
    #[arg(long, default_value_t = 40)]
    times: u64,
    /// Let the store have each day before the next is made, so that batches are the same in every run: to
    /// count what writing costs.
    #[arg(long)]
    in_step: bool,
    /// Fail when a figure is beyond its bar.
    #[arg(long)]
    check: bool,
}

trait Store: AuditStore + AuditQueries + AuditUpkeep {}
impl<T: AuditStore + AuditQueries + AuditUpkeep> Store for T {}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let store: Arc<dyn Store> = match (&args.postgres, &args.sqlite) {
        (Some(url), _) => Arc::new(PostgresStore::connect(url, PostgresOptions::STANDARD).await?),
        (None, Some(folder)) => Arc::new(SqliteStore::open(folder.join("baton.db")).await?),
        (None, None) => anyhow::bail!("name a store: --postgres URL or --sqlite FOLDER"),
    };
    let begin_ms = baton_audit::Clock::now_ms(&baton_audit::SystemClock) / DAY_MS * DAY_MS;
    let days = args.days.max(1);
    let end_ms = begin_ms + days * DAY_MS;

    let started = Instant::now();
    let mut history = History::begin(Arc::clone(&store) as Arc<dyn AuditStore>, 0, begin_ms)?;
    for day in 0..days {
        let from_ms = begin_ms + day * DAY_MS;
        // As in life, but once a day: short buckets go when their time is over.
        store.maintain(from_ms).await?;
        let count = args.rows * (day + 1) / days - args.rows * day / days;
        history.write(count, from_ms, from_ms + DAY_MS).await?;
        if args.in_step {
            history.settle().await?;
        }
    }
    history.settle().await?;
    store.maintain(end_ms).await?;
    let took = started.elapsed().as_secs_f64();
    println!(
        "{} decisions written in {took:.0} s, {:.0} a second",
        args.rows,
        thousands(args.rows) * 1e3 / took
    );
    let mut failed = Vec::new();
    if let Some(url) = &args.postgres {
        let bytes = sizes(url, args.rows).await?;
        if bytes > 1_500.0 {
            failed.push(format!("{bytes:.0} bytes a decision"));
        }
    }

    let is_over = Arc::new(AtomicBool::new(false));
    let mut writer = tokio::task::JoinSet::new();
    writer.spawn(arrive(history, Arc::clone(&is_over), end_ms));
    println!("\n{:<34} {:>9} {:>9} {:>7}", "question", "p50 ms", "p95 ms", "rows");
    for (name, queries) in lists(args.rows, begin_ms, end_ms, args.times) {
        let mut times = Vec::new();
        let mut rows = 0;
        for query in &queries {
            let started = Instant::now();
            rows += store.list(query).await.with_context(|| name.to_owned())?.rows.len();
            times.push(started.elapsed());
        }
        report(name, times, rows, 50.0, &mut failed);
    }
    let from_ms = end_ms - days.min(30) * DAY_MS;
    for (name, width, group_by) in [
        ("usage 30 days, by model", BucketWidth::Day, vec![Dimension::Model]),
        ("usage 30 days, by principal", BucketWidth::Day, vec![Dimension::Principal]),
        ("usage 30 days, whole", BucketWidth::Day, vec![]),
        ("usage 1 day by minute", BucketWidth::Minute, vec![]),
    ] {
        let from_ms = if width == BucketWidth::Minute { end_ms - DAY_MS } else { from_ms };
        let limit = UsageQuery::MAX_BUCKETS;
        let query = UsageQuery { from_ms, to_ms: end_ms, width, group_by, only: Vec::new(), limit };
        let mut times = Vec::new();
        let mut rows = 0;
        for _ in 0..args.times {
            let started = Instant::now();
            rows += store.usage(&query).await?.buckets.len();
            times.push(started.elapsed());
        }
        report(name, times, rows, 200.0, &mut failed);
    }
    let query = HandoffQuery { from_ms, to_ms: end_ms, from: None, to: None };
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..args.times {
        let started = Instant::now();
        rows += store.handoffs(&query).await?.len();
        times.push(started.elapsed());
    }
    report("hand-off matrix of 30 days", times, rows, 200.0, &mut failed);

    is_over.store(true, Ordering::Relaxed);
    let (arrived, secs) = writer.join_next().await.context("the writer is gone")???;
    println!("\n{arrived} decisions arrived meanwhile, {:.0} a second", thousands(arrived) * 1e3 / secs);
    ensure!(!args.check || failed.is_empty(), "beyond the bar: {}", failed.join("; "));
    Ok(())
}

fn thousands(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / 1e3
}

/// Writes on as a gateway does: a batch every 200 ms.
async fn arrive(mut history: History, is_over: Arc<AtomicBool>, end_ms: u64) -> anyhow::Result<(u64, f64)> {
    let started = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut arrived = 0;
    while !is_over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let now_ms = end_ms + u64::try_from(started.elapsed().as_millis())?;
        history.write(RATE / 5, now_ms, now_ms + 200).await?;
        arrived += RATE / 5;
    }
    Ok((arrived, started.elapsed().as_secs_f64()))
}

/// The first page of every kind of question, each with several values.
fn lists(rows: u64, begin_ms: u64, end_ms: u64, times: u64) -> Vec<(&'static str, Vec<ListQuery>)> {
    let page = || ListQuery { limit: PAGE, ..ListQuery::default() };
    let each = |make: &dyn Fn(u64) -> ListQuery| (0..times).map(make).collect::<Vec<_>>();
    let model = |at: u64| {
        let place = usize::try_from(at).unwrap_or_default() % MODELS.len();
        MODELS.get(place).map(|(model, _)| (*model).to_owned())
    };
    let place = |at: u64| begin_ms + (end_ms - begin_ms) * (at % 13 + 1) / 14;
    let dear = Range { at_least: Some(100_000_000), at_most: None };
    let slow = Range { at_least: Some(30_000_000), at_most: None };
    vec![
        ("newest", each(&|_| page())),
        (
            "older than a cursor",
            each(&|at| ListQuery {
                start: PageStart::After(DecisionId::from_parts(place(at), [0; 10])),
                ..page()
            }),
        ),
        (
            "newer than a cursor",
            each(&|at| ListQuery {
                start: PageStart::Before(DecisionId::from_parts(place(at), [0; 10])),
                ..page()
            }),
        ),
        (
            "a time range",
            each(&|at| ListQuery { from_ms: Some(place(at) - DAY_MS), to_ms: Some(place(at)), ..page() }),
        ),
        ("principal", each(&|at| ListQuery { principal: Some(principal(at * 31)), ..page() })),
        (
            "principal and kind",
            each(&|at| ListQuery {
                principal: Some(principal(at * 31)),
                kinds: vec![DecisionKind::Fallback],
                ..page()
            }),
        ),
        (
            "principal and failed",
            each(&|at| ListQuery {
                principal: Some(principal(at * 31)),
                status: Some(StatusFilter::Ended(OutcomeStatus::Failed)),
                ..page()
            }),
        ),
        (
            "kind",
            each(&|at| ListQuery {
                kinds: vec![if at.is_multiple_of(2) { DecisionKind::Handoff } else { DecisionKind::Refuse }],
                ..page()
            }),
        ),
        (
            "reason code",
            each(&|at| ListQuery {
                reason_code: Some(if at.is_multiple_of(2) { "cheapest" } else { "exhausted" }.to_owned()),
                ..page()
            }),
        ),
        (
            "policy",
            each(&|_| ListQuery {
                policy: Some(PolicyFilter { name: "frugal".to_owned(), version: None }),
                ..page()
            }),
        ),
        (
            "requested",
            each(&|at| ListQuery {
                requested: if at.is_multiple_of(2) { Some("smart".to_owned()) } else { model(at) },
                ..page()
            }),
        ),
        ("served", each(&|at| ListQuery { served: model(at), ..page() })),
        ("from", each(&|at| ListQuery { from: model(at), ..page() })),
        ("to", each(&|at| ListQuery { to: model(at), ..page() })),
        ("from and to", each(&|at| ListQuery { from: model(at), to: model(at + 1), ..page() })),
        (
            "provider",
            each(&|at| ListQuery {
                provider: Some(if at.is_multiple_of(2) { "openai" } else { "mistral" }.to_owned()),
                ..page()
            }),
        ),
        (
            "session",
            each(&|at| {
                let last = (0..).map(|back| rows - 1 - at * 997 % rows.max(1) / 2 - back);
                ListQuery { session: last.take(100).find_map(session), ..page() }
            }),
        ),
        (
            "tag",
            each(&|at| ListQuery {
                tag: Some(if at.is_multiple_of(2) { "prod".to_owned() } else { format!("team-{}", at % 30) }),
                ..page()
            }),
        ),
        (
            "failed",
            each(&|_| ListQuery { status: Some(StatusFilter::Ended(OutcomeStatus::Failed)), ..page() }),
        ),
        ("running", each(&|_| ListQuery { status: Some(StatusFilter::Running), ..page() })),
        (
            "error class",
            each(&|at| ListQuery {
                fault: Some(if at.is_multiple_of(2) { "timeout" } else { "overloaded" }.to_owned()),
                ..page()
            }),
        ),
        ("hops", each(&|at| ListQuery { min_hop: Some(2 + u32::try_from(at % 3).unwrap_or(0)), ..page() })),
        ("cost", each(&|_| ListQuery { cost_nano: dear, ..page() })),
        ("latency", each(&|_| ListQuery { total_us: slow, ..page() })),
        ("a value that nothing has", each(&|_| ListQuery { served: Some("no/model".to_owned()), ..page() })),
    ]
}

fn report(name: &str, mut times: Vec<Duration>, rows: usize, bar_ms: f64, failed: &mut Vec<String>) {
    times.sort_unstable();
    let at = |percent: usize| {
        let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    };
    let (p50, p95) = (at(50), at(95));
    println!("{name:<34} {p50:>9.2} {p95:>9.2} {rows:>7}");
    if p95 > bar_ms {
        failed.push(format!("{name}: {p95:.0} ms"));
    }
    if rows == 0 && !name.contains("nothing") && name != "running" {
        failed.push(format!("{name}: no rows, nothing was measured"));
    }
}

/// Prints what the tables take, and returns the bytes of a decision with all that belongs to it.
async fn sizes(url: &str, rows: u64) -> anyhow::Result<f64> {
    let mut server = PgConnection::connect(url).await?;
    sqlx::query("vacuum analyze").execute(&mut server).await?;
    let sizes: Vec<(String, i64, i64)> = sqlx::query_as(
        "select regexp_replace(relname::text, '_([0-9]{6}|first|default)$', '') as name, \
         sum(pg_table_size(oid))::bigint, sum(pg_indexes_size(oid))::bigint from pg_class \
         where relkind = 'r' and relnamespace = 'public'::regnamespace \
         group by 1 order by sum(pg_total_relation_size(oid)) desc",
    )
    .fetch_all(&mut server)
    .await?;
    let mut all = 0.0;
    println!("\n{:<20} {:>12} {:>12}   bytes a decision", "table", "rows", "indexes");
    for (name, table, indexes) in sizes {
        let of = |bytes: i64| {
            f64::from(u32::try_from(bytes / 1_024).unwrap_or(u32::MAX)) * 1.024 / thousands(rows)
        };
        let (table, indexes) = (of(table), of(indexes));
        all += table + indexes;
        if table + indexes >= 1.0 {
            println!("{name:<20} {table:>12.0} {indexes:>12.0}");
        }
    }
    println!("{:<20} {all:>12.0} bytes a decision, with evidence, sums and indexes", "all");
    Ok(all)
}
