//! Says what every store must do, as tests that each store runs over itself.
//!
//! The batches come out of a real journal through a real relay, so that they are what a store sees
//! in life. A store implements [`StoreUnderTest`] and calls [`store_conformance`](crate::store_conformance).
//!
//! - Start with [`StoreUnderTest`].
//! - **Invariant:** a test starts with an empty store, and needs no other test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests, kept in a library so that both stores can run them"
)]

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use baton_access::{
    Canary, KeyMac, KeyRecord, KeyStore, KeyStoreErrorKind, PolicyState, PolicyStore, PolicyStoreErrorKind,
    PolicyVersion, Role, RotatedSecret,
};
use baton_audit::{
    AuditQueries, AuditStore, AuditUpkeep, Batch, Block, BucketWidth, Chain, ChainHead, Change,
    CheckpointKey, CheckpointSigner, Clock, CorrectTarget, CorrectedCost, Correction, CorrectionRow,
    Decision, DecisionKind, DecisionRow, Decisions, Dimension, Document, Feedback, FeedbackQuery, Flaw,
    HandoffCell, HandoffQuery, Journal, JournalOptions, Labels, ListQuery, Lookup, Outcome, OutcomeStatus,
    OutcomeView, PageStart, PolicyFilter, Range, Record, Relay, RelayOptions, StatusFilter, StoreError,
    StoreErrorKind, StoredDecision, StoredPage, UsageGroup, UsageQuery, UsageSource, UsageSums,
    VerifyOptions, VerifyReport, verify,
};
use baton_model::{BootId, DecisionId, FaultKind, FinishReason, KeyId, NanoUsd, RequestId, RunId, Usage};
use futures_util::future::BoxFuture;
use tempfile::TempDir;

/// A fresh, empty store, and a way past it to its database.
pub trait StoreUnderTest: Send + Sync {
    /// The log.
    fn audit(&self) -> Arc<dyn AuditStore>;

    /// The keys.
    fn keys(&self) -> Arc<dyn KeyStore>;

    /// Questions about many decisions.
    fn queries(&self) -> Arc<dyn AuditQueries>;

    /// What keeps it in order.
    fn upkeep(&self) -> Arc<dyn AuditUpkeep>;

    /// The policies.
    fn policies(&self) -> Arc<dyn PolicyStore>;

    /// Runs a statement as somebody with access to the database. The error is the database's text.
    fn execute<'a>(&'a self, statement: &'a str) -> BoxFuture<'a, Result<u64, String>>;

    /// Removes what protects the blocks, as an attacker would.
    fn disarm(&self) -> BoxFuture<'_, ()>;

    /// Clears up after a test that passed.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// How the database would read a page: a way that is not along an index is named in it as
    /// [`BY_ALL_ROWS`] or [`BY_SORTING`].
    fn plan<'a>(&'a self, query: &'a ListQuery, lists: Vec<String>) -> BoxFuture<'a, String>;

    /// Puts this block in the place of the one with its chain and first number. Needs `disarm`.
    fn replace_block<'a>(&'a self, block: &'a Block) -> BoxFuture<'a, ()>;
}

/// Makes one test of each function of the suite. `$open` is an async function without arguments
/// that gives `Option<impl StoreUnderTest>`; `None` skips the test, and has said so.
#[macro_export]
macro_rules! store_conformance {
    ($open:path) => {
        $crate::store_conformance! {
            $open =>
            a_batch_sent_again_changes_nothing
            every_batch_size_arrives_whole
            a_part_of_a_block_is_told_and_nothing_is_written
            hostile_texts_come_back_as_they_were
            an_outcome_in_a_later_batch_reaches_its_decision
            an_outcome_before_its_decision_waits_for_it
            the_first_outcome_counts
            pages_are_complete_and_stable_while_rows_arrive
            pages_go_both_ways
            pages_reach_over_all_months
            filters_choose_what_they_name
            every_filter_chooses_what_it_names
            what_is_rare_is_found_by_its_mark_alone
            every_filter_is_read_along_an_index
            usage_counts_each_decision_once
            usage_is_told_in_pages_and_never_cut_inside_a_bucket
            a_hand_over_is_counted_with_how_it_went
            feedback_is_told_and_counted_once
            sums_of_days_that_are_over_say_what_all_sums_say
            a_corrected_cost_is_told_and_counted
            corrections_are_the_same_in_any_order
            a_changed_cost_or_correction_is_found
            retention_drops_what_a_signed_record_names_and_nothing_else
            retention_drops_what_came_before_its_month_was_made
            rows_made_again_from_the_evidence_are_the_same
            rows_of_an_older_shape_are_brought_up_to_date
            a_store_copied_block_by_block_is_equal
            an_attempt_of_a_dead_boot_is_crashed_and_of_a_live_one_running
            a_chain_is_told_with_its_head_its_stop_and_the_one_before
            blocks_come_back_as_they_were_committed
            a_block_cannot_be_changed_or_deleted
            a_record_is_shown_from_its_evidence_alone
            a_document_comes_back_by_its_hash
            a_whole_log_verifies
            every_change_of_the_log_is_found
            a_cut_tail_is_found_against_a_checkpoint_from_outside
            keys_are_listed_with_the_revision_that_wrote_them
            a_key_that_was_changed_meanwhile_is_not_overwritten
            two_keys_cannot_share_an_id_or_a_secret
            a_key_that_is_not_there_is_told
            key_changes_at_once_are_all_counted
            policies_are_listed_with_what_is_in_force
            a_version_of_a_policy_is_put_once_and_never_changed
            a_policy_that_was_changed_meanwhile_is_not_overwritten
            a_version_that_was_never_put_is_never_in_force
            policy_changes_at_once_are_all_counted
        }
    };
    ($open:path => $($test:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(store) = $open().await {
                    $crate::conformance::$test(&store).await;
                    $crate::conformance::StoreUnderTest::close(&store).await;
                }
            }
        )+
    };
}

/// Idempotent replay: the relay may send a batch again whose answer it did not hear.
pub async fn a_batch_sent_again_changes_nothing(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let batches = Life::new().batches(&requests(0..30), 7).await;
    for batch in &batches {
        audit.commit(batch).await.unwrap();
        audit.commit(batch).await.unwrap();
    }
    for batch in &batches {
        audit.commit(batch).await.unwrap();
    }
    assert_eq!(ids(&all(&audit, ListQuery::default(), 1_000).await).len(), 30);
    let boot = batches[0].blocks[0].boot;
    assert_eq!(audit.blocks(boot, 0, 1_000).await.unwrap().len(), batches.len());
    assert_eq!(audit.cursor(boot).await.unwrap(), batches.last().map(head_of));
}

/// No edge of a batch loses a row.
pub async fn every_batch_size_arrives_whole(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let mut expected = 0;
    for (size, first) in [(0, 0), (1, 1), (99, 100), (100, 200), (101, 300), (10_000, 1_000)] {
        // Refusals are one entry each; boot, checkpoints and stop come on top.
        let records: Vec<Record> = (first..first + size).map(refusal).collect();
        let batches = Life::roomy().batches(&records, 20_000).await;
        assert_eq!(batches.len(), 1, "{size} rows are one batch");
        for batch in &batches {
            assert_eq!(batch.decisions.len() as u64, size);
            audit.commit(batch).await.unwrap();
        }
        expected += size;
        let stored = audit.rows(batches[0].blocks[0].boot, 0, u64::MAX).await.unwrap();
        assert_eq!(stored, batches[0].decisions);
        let blocks = audit.blocks(batches[0].blocks[0].boot, 0, 1_000).await.unwrap();
        assert_eq!(blocks, batches[0].blocks, "the blocks of a batch follow each other");
        assert_eq!(blocks.len() as u64, (size + 4).div_ceil(256), "no block is too large");
    }
    let listed = all(&audit, ListQuery::default(), 1_000).await;
    assert_eq!(listed.len() as u64, expected);
}

/// A store never guesses which half of a block it has.
pub async fn a_part_of_a_block_is_told_and_nothing_is_written(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let life = Life::new();
    let small = life.batches(&requests(0..10), 4).await;
    let large = life.replayed(100).await;
    audit.commit(&small[0]).await.unwrap();
    let error = audit.commit(&large[0]).await.unwrap_err();
    assert_eq!(*error.kind(), StoreErrorKind::Overlap(head_of(&small[0])));
    assert_eq!(audit.blocks(large[0].blocks[0].boot, 0, 10).await.unwrap(), [small[0].blocks[0].clone()]);
    assert_eq!(audit.rows(large[0].blocks[0].boot, 0, u64::MAX).await.unwrap(), small[0].decisions);
}

/// What an upstream or a client sends is data: it breaks nothing and is no key.
pub async fn hostile_texts_come_back_as_they_were(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let texts = [
        String::new(),
        "constant".to_owned(),
        "constant".to_owned(),
        "x".repeat(10_000),
        "\u{0}\u{1}\u{7f}\u{fffd}\u{10ffff}\u{202e}e\u{301}\r\n".to_owned(),
        "'; drop table decision; --".to_owned(),
        "{\"a\":[null]} \\u0000 %s $1 ?1".to_owned(),
    ];
    let mut records = Vec::new();
    for (number, text) in (0..).zip(&texts) {
        let mut decision = decision(number);
        decision.principal = "key_hostile".to_owned();
        decision.labels.session = Some(text.clone());
        decision.labels.user = Some(text.clone());
        decision.requested = vec![text.clone(), "second".to_owned()];
        let mut outcome = outcome(number);
        outcome.upstream_id = Some(text.clone());
        records.extend([Record::Decision(Box::new(decision)), Record::Outcome(Box::new(outcome))]);
    }
    let batches = Life::new().batches(&records, 3).await;
    commit(&audit, &batches).await;
    for (number, text) in (0..).zip(&texts) {
        let stored = audit.decision(decision_id(number)).await.unwrap().unwrap();
        let record: Decision = serde_json::from_str(&stored.record.unwrap()).unwrap();
        assert_eq!(record.labels.session.as_deref(), Some(text.as_str()));
        let outcome: Outcome = serde_json::from_str(&stored.outcome.unwrap()).unwrap();
        // The journal cuts what an upstream says of itself; what it kept is kept to the letter.
        assert!(text.starts_with(&outcome.upstream_id.unwrap()));
        let model = ListQuery { model: Some(text.clone()), ..ListQuery::default() };
        assert_eq!(all(&audit, model, 10).await.len(), 0, "it was one of two names");
    }
    let own = ListQuery { principal: Some("key_hostile".to_owned()), ..ListQuery::default() };
    assert_eq!(all(&audit, own, 3).await.len(), texts.len());
}

/// A long answer ends many batches after it began.
pub async fn an_outcome_in_a_later_batch_reaches_its_decision(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let batches = Life::new().batches(&requests(0..5), 1).await;
    let with_decision = batches.iter().position(|batch| !batch.decisions.is_empty()).unwrap();
    commit(&audit, &batches[..=with_decision]).await;
    assert_eq!(audit.decision(decision_id(0)).await.unwrap().unwrap().row.outcome, None);
    commit(&audit, &batches[with_decision + 1..]).await;
    for number in 0..5 {
        let stored = audit.decision(decision_id(number)).await.unwrap().unwrap();
        let derived = stored.row.outcome.unwrap();
        let record: Outcome = serde_json::from_str(&stored.outcome.unwrap()).unwrap();
        assert_eq!(record, outcome(number));
        assert_eq!(derived.status, "ok");
        assert_eq!((derived.input_tokens, derived.output_tokens), (Some(100 + number), Some(7)));
        assert_eq!((derived.cached_tokens, derived.reasoning_tokens), (Some(40), Some(2)));
        assert_eq!((derived.cost_nano, derived.first_content_us, derived.total_us), (Some(12), Some(3), 9));
    }
}

/// Chains arrive in any order.
pub async fn an_outcome_before_its_decision_waits_for_it(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let early = Life::new().batches(&[Record::Outcome(Box::new(outcome(1)))], 100).await;
    let late = Life::new().batches(&[Record::Decision(Box::new(decision(1)))], 100).await;
    commit(&audit, &early).await;
    assert_eq!(audit.decision(decision_id(1)).await.unwrap(), None);
    assert_eq!(all(&audit, ListQuery::default(), 10).await.len(), 0);
    commit(&audit, &late).await;
    commit(&audit, &early).await;
    let stored = audit.decision(decision_id(1)).await.unwrap().unwrap();
    let derived = stored.row.outcome.unwrap();
    assert_eq!(serde_json::from_str::<Outcome>(&stored.outcome.unwrap()).unwrap(), outcome(1));
    assert_eq!(derived.boot, early[0].blocks[0].boot);
    assert_eq!(check(store, &[]).await.findings, []);
}

/// A second outcome of the same decision changes no row, in the same batch or a later one.
pub async fn the_first_outcome_counts(store: &dyn StoreUnderTest) {
    for entries in [1, 100] {
        let audit = store.audit();
        let number = entries as u64;
        let second = Outcome { total_us: 999, ..outcome(number) };
        let records = [
            Record::Decision(Box::new(decision(number))),
            Record::Outcome(Box::new(outcome(number))),
            Record::Outcome(Box::new(second)),
        ];
        commit(&audit, &Life::new().batches(&records, entries).await).await;
        let stored = audit.decision(decision_id(number)).await.unwrap().unwrap();
        assert_eq!(stored.row.outcome.unwrap().total_us, 9);
    }
    assert_eq!(check(store, &[]).await.findings, []);
}

/// A reader sees each row that was there when it began, once, whatever is written meanwhile.
pub async fn pages_are_complete_and_stable_while_rows_arrive(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let life = Life::new();
    commit(&audit, &life.batches(&requests(0..50), 100).await).await;
    let mut seen = Vec::new();
    let mut start = PageStart::Newest;
    let mut next = 50;
    loop {
        let page = audit.list(&ListQuery { start, limit: 7, ..ListQuery::default() }).await.unwrap();
        seen.extend(ids(&page.rows));
        commit(&audit, &life.batches(&requests(next..next + 3), 100).await).await;
        next += 3;
        let Some(last) = seen.last().filter(|_| page.has_more) else { break };
        start = PageStart::After(*last);
    }
    let expected: Vec<DecisionId> = (0..50).rev().map(decision_id).collect();
    assert_eq!(seen, expected);
}

/// Newest first, whichever way the reader goes.
pub async fn pages_go_both_ways(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    commit(&audit, &Life::new().batches(&requests(0..10), 100).await).await;
    let page = |start, limit| {
        let audit = Arc::clone(&audit);
        async move {
            let page = audit.list(&ListQuery { start, limit, ..ListQuery::default() }).await.unwrap();
            (ids(&page.rows), page.has_more)
        }
    };
    let numbered = |numbers: &[u64]| numbers.iter().map(|number| decision_id(*number)).collect::<Vec<_>>();
    assert_eq!(page(PageStart::Newest, 3).await, (numbered(&[9, 8, 7]), true));
    assert!(!page(PageStart::Newest, 10).await.1);
    assert_eq!(page(PageStart::After(decision_id(2)), 5).await, (numbered(&[1, 0]), false));
    assert_eq!(page(PageStart::After(decision_id(7)), 2).await, (numbered(&[6, 5]), true));
    assert_eq!(page(PageStart::Before(decision_id(4)), 2).await, (numbered(&[6, 5]), true));
    assert_eq!(page(PageStart::Before(decision_id(8)), 2).await, (numbered(&[9]), false));
    assert_eq!(page(PageStart::After(decision_id(0)), 2).await, (Vec::new(), false));
    // A cursor need not be a row that is still there.
    assert_eq!(page(PageStart::After(decision_id(77)), 2).await, (numbered(&[9, 8]), true));
}

/// Each filter alone, and together with the caller's own rows.
pub async fn filters_choose_what_they_name(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let mut records = Vec::new();
    for number in 0..12 {
        let mut decision = decision(number);
        decision.principal = if number % 2 == 0 { "key_a" } else { "anonymous" }.to_owned();
        if number % 3 == 0 {
            decision.kind = DecisionKind::Fallback;
        }
        if number < 4 {
            decision.run = run_id(0);
        }
        if number == 5 {
            decision.to = "local/llama".parse().ok();
            decision.to_model = "fast".parse().ok();
            decision.requested = vec!["alias".to_owned()];
        }
        records.push(Record::Decision(Box::new(decision)));
    }
    commit(&audit, &Life::new().batches(&records, 5).await).await;
    let count = async |query: ListQuery| all(&audit, query, 100).await.len();
    let base = ListQuery::default;
    let own = || Some("key_a".to_owned());
    assert_eq!(count(base()).await, 12);
    assert_eq!(count(ListQuery { principal: own(), ..base() }).await, 6);
    assert_eq!(count(ListQuery { kinds: vec![DecisionKind::Fallback], ..base() }).await, 4);
    assert_eq!(count(ListQuery { kinds: vec![DecisionKind::Fallback], principal: own(), ..base() }).await, 2);
    assert_eq!(count(ListQuery { kinds: vec![DecisionKind::Refuse], ..base() }).await, 0);
    assert_eq!(count(ListQuery { run: Some(run_id(0)), ..base() }).await, 4);
    assert_eq!(count(ListQuery { run: Some(run_id(0)), principal: own(), ..base() }).await, 2);
    for name in ["local/llama", "fast", "alias"] {
        assert_eq!(count(ListQuery { model: Some(name.to_owned()), ..base() }).await, 1, "{name}");
        assert_eq!(count(ListQuery { model: Some(name.to_owned()), principal: own(), ..base() }).await, 0);
    }
    let run = audit.run(run_id(0)).await.unwrap();
    assert_eq!(ids(&run), (0..4).map(decision_id).collect::<Vec<_>>(), "a run is told oldest first");
}

/// Each filter of the list, with a decision that it leaves out.
pub async fn every_filter_chooses_what_it_names(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let mut records = Vec::new();
    for number in 0..6 {
        records.push(Record::Decision(Box::new(decision(number))));
        records.push(Record::Outcome(Box::new(outcome(number))));
    }
    let mut odd = decision(10);
    odd.principal = "key_odd".to_owned();
    odd.kind = DecisionKind::Handoff;
    odd.from = "echo/hello".parse().ok();
    odd.to = "local/llama".parse().ok();
    odd.to_model = "fast".parse().ok();
    odd.hop = 5;
    odd.requested = vec!["alias".to_owned(), "echo/other".to_owned(), "echo/other".to_owned()];
    odd.reason = serde_json::from_value(serde_json::json!({
        "code": "chosen_by_rule", "text": "local/llama is chosen by rule `prose`", "source": "rule",
    }))
    .unwrap();
    odd.labels = Labels {
        session: Some("s\u{0}1".to_owned()),
        tags: vec!["rare".to_owned(), "a".to_owned(), "rare".to_owned()],
        ..Labels::default()
    };
    odd.inputs = Some(Box::new(
        serde_json::from_value(serde_json::json!({
            "policy": { "name": "frugal", "version": "0123456789abcdef0123" },
            "features": { "input_tokens": 1 }, "candidates": [],
        }))
        .unwrap(),
    ));
    let ended = Outcome {
        status: OutcomeStatus::Failed,
        fault: Some(FaultKind::Timeout),
        cost: Some(NanoUsd(200_000_000)),
        first_content_us: Some(31_000_000),
        total_us: 40_000_000,
        ..outcome(10)
    };
    records.extend([Record::Decision(Box::new(odd)), Record::Outcome(Box::new(ended)), refusal(11)]);
    records.push(Record::Decision(Box::new(decision(12))));
    let life = Life::new();
    // Killed: the attempt without an outcome is open, and of a dead boot once the next one is there.
    commit(&audit, &life.killed(&records).await).await;
    let chosen = async |query: ListQuery| {
        let pages = [all(&audit, query.clone(), 100).await, all(&audit, query, 1).await];
        assert_eq!(pages[0], pages[1], "pages of one row are the same rows");
        pages[0].iter().map(|stored| stored.row.id).collect::<Vec<_>>()
    };
    let only_odd = vec![decision_id(10)];
    let text = |text: &str| Some(text.to_owned());
    let policy = |version: Option<&str>| {
        Some(PolicyFilter { name: "frugal".to_owned(), version: version.map(str::to_owned) })
    };
    let from = |at_least| Range { at_least: Some(at_least), at_most: None };
    let base = ListQuery::default;
    for (name, query) in [
        ("kinds", ListQuery { kinds: vec![DecisionKind::Handoff, DecisionKind::Stop], ..base() }),
        ("reason code", ListQuery { reason_code: text("chosen_by_rule"), ..base() }),
        ("policy", ListQuery { policy: policy(None), ..base() }),
        ("policy and version", ListQuery { policy: policy(Some("0123456789abcdef0123")), ..base() }),
        ("policy and digits", ListQuery { policy: policy(Some("0123")), ..base() }),
        ("requested first", ListQuery { requested: text("alias"), ..base() }),
        ("requested second", ListQuery { requested: text("echo/other"), ..base() }),
        ("served model", ListQuery { served: text("fast"), ..base() }),
        ("served target", ListQuery { served: text("local/llama"), ..base() }),
        ("from", ListQuery { from: text("echo/hello"), ..base() }),
        ("to", ListQuery { to: text("local/llama"), ..base() }),
        ("provider", ListQuery { provider: text("local"), ..base() }),
        ("principal", ListQuery { principal: text("key_odd"), ..base() }),
        ("run", ListQuery { run: Some(run_id(10)), ..base() }),
        ("session", ListQuery { session: text("s\u{0}1"), ..base() }),
        ("tag", ListQuery { tag: text("rare"), ..base() }),
        ("failed", ListQuery { status: Some(StatusFilter::Ended(OutcomeStatus::Failed)), ..base() }),
        ("fault", ListQuery { fault: text("timeout"), ..base() }),
        ("hop 2", ListQuery { min_hop: Some(2), ..base() }),
        ("hop 5", ListQuery { min_hop: Some(5), ..base() }),
        ("cost", ListQuery { cost_nano: from(13), ..base() }),
        ("high cost", ListQuery { cost_nano: from(150_000_000), ..base() }),
        ("latency", ListQuery { total_us: from(10), ..base() }),
        ("high latency", ListQuery { total_us: from(30_000_000), ..base() }),
        ("first content", ListQuery { first_content_us: from(30_000_000), ..base() }),
        ("two ways at once", ListQuery { served: text("fast"), requested: text("alias"), ..base() }),
        ("three ways", ListQuery { model: text("fast"), to: text("local/llama"), tag: text("a"), ..base() }),
    ] {
        assert_eq!(chosen(query).await, only_odd, "{name}");
    }
    let numbers =
        |numbers: &[u64]| numbers.iter().rev().map(|number| decision_id(*number)).collect::<Vec<_>>();
    let ms = |number: u64| Some(decision_id(number).unix_ms());
    for (name, query, expected) in [
        (
            "kinds with select",
            ListQuery { kinds: vec![DecisionKind::Select], ..base() },
            numbers(&[0, 1, 2, 3, 4, 5, 12]),
        ),
        ("hop 1", ListQuery { min_hop: Some(1), ..base() }, numbers(&[0, 1, 2, 3, 4, 5, 10, 11, 12])),
        ("hop 6", ListQuery { min_hop: Some(6), ..base() }, Vec::new()),
        ("time", ListQuery { from_ms: ms(3), to_ms: ms(10), ..base() }, numbers(&[3, 4, 5])),
        (
            "time and provider",
            ListQuery { from_ms: ms(3), to_ms: ms(10), provider: text("echo"), ..base() },
            numbers(&[3, 4, 5]),
        ),
        ("time upside down", ListQuery { from_ms: ms(10), to_ms: ms(3), ..base() }, Vec::new()),
        (
            "all times",
            ListQuery { from_ms: Some(0), to_ms: Some(u64::MAX), min_hop: Some(2), ..base() },
            numbers(&[10]),
        ),
        ("served", ListQuery { served: text("echo/hello"), ..base() }, numbers(&[0, 1, 2, 3, 4, 5, 12])),
        ("to", ListQuery { to: text("echo/hello"), ..base() }, numbers(&[0, 1, 2, 3, 4, 5, 12])),
        (
            "requested alone",
            ListQuery { requested: text("echo/hello"), ..base() },
            numbers(&[0, 1, 2, 3, 4, 5, 11, 12]),
        ),
        ("never requested", ListQuery { requested: text("echo/never"), ..base() }, Vec::new()),
        ("tag of all", ListQuery { tag: text("a"), ..base() }, numbers(&[0, 1, 2, 3, 4, 5, 10, 11, 12])),
        (
            "ok",
            ListQuery { status: Some(StatusFilter::Ended(OutcomeStatus::Ok)), ..base() },
            numbers(&[0, 1, 2, 3, 4, 5]),
        ),
        ("running", ListQuery { status: Some(StatusFilter::Running), ..base() }, numbers(&[12])),
        ("crashed", ListQuery { status: Some(StatusFilter::Crashed), ..base() }, Vec::new()),
        ("no attempt", ListQuery { status: Some(StatusFilter::NoAttempt), ..base() }, numbers(&[11])),
        (
            "low cost",
            ListQuery { cost_nano: Range { at_least: Some(1), at_most: Some(12) }, ..base() },
            numbers(&[0, 1, 2, 3, 4, 5]),
        ),
        (
            "low latency",
            ListQuery { total_us: Range { at_least: None, at_most: Some(9) }, ..base() },
            numbers(&[0, 1, 2, 3, 4, 5]),
        ),
        ("another policy", ListQuery { policy: policy(Some("0124")), ..base() }, Vec::new()),
    ] {
        assert_eq!(chosen(query).await, expected, "{name}");
    }
    commit(&audit, &life.batches(&[], 100).await).await;
    let status = |status| ListQuery { status: Some(status), ..base() };
    assert_eq!(chosen(status(StatusFilter::Running)).await, []);
    assert_eq!(chosen(status(StatusFilter::Crashed)).await, numbers(&[12]));
}

/// What a plan says where every decision would be read.
pub const BY_ALL_ROWS: &str = "reads every decision";
/// What a plan says where all that fits would be sorted.
pub const BY_SORTING: &str = "sorts all that fits";

/// Whatever a client calls a tag, and whenever an outcome comes.
pub async fn what_is_rare_is_found_by_its_mark_alone(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let forged = ["\u{1}open", "\u{1}ended failed", "\u{1}\u{1}open"];
    let mut tagged = decision(1);
    tagged.labels.tags = forged.map(str::to_owned).to_vec();
    let failed = Outcome {
        status: OutcomeStatus::Failed,
        fault: Some(FaultKind::Timeout),
        total_us: 30_000_000,
        ..outcome(2)
    };
    let records = [
        Record::Decision(Box::new(tagged)),
        Record::Outcome(Box::new(outcome(1))),
        Record::Decision(Box::new(decision(2))),
        Record::Decision(Box::new(decision(3))),
    ];
    let life = Life::new();
    commit(&audit, &life.batches(&records, 100).await).await;
    let found = async |query: ListQuery| ids(&all(&audit, query, 1).await);
    let status = |status| ListQuery { status: Some(status), ..ListQuery::default() };
    assert_eq!(found(status(StatusFilter::Running)).await, [], "the process stopped in order");
    assert_eq!(found(status(StatusFilter::Crashed)).await, [3, 2].map(decision_id));
    let ended = StatusFilter::Ended(OutcomeStatus::Failed);
    assert_eq!(found(status(ended)).await, []);
    commit(&audit, &life.batches(&[Record::Outcome(Box::new(failed))], 100).await).await;
    assert_eq!(found(status(StatusFilter::Crashed)).await, [decision_id(3)]);
    let slow = Range { at_least: Some(30_000_000), at_most: None };
    for query in [
        status(ended),
        ListQuery { fault: Some("timeout".to_owned()), ..ListQuery::default() },
        ListQuery { total_us: slow, ..ListQuery::default() },
        ListQuery { total_us: slow, tag: Some("a".to_owned()), ..status(ended) },
    ] {
        assert_eq!(found(query).await, [decision_id(2)]);
    }
    for tag in forged {
        let by_tag = ListQuery { tag: Some(tag.to_owned()), ..ListQuery::default() };
        assert_eq!(found(by_tag).await, [decision_id(1)], "{tag:?}");
    }
    let open = std::slice::from_ref(&Dimension::Status);
    let counted = usage_of(store, open).await;
    let counted: Vec<_> =
        counted.iter().map(|group| (group.by[0].as_deref(), group.sums.decisions)).collect();
    assert_eq!(counted, [(Some("failed"), 1), (Some("ok"), 1), (Some("open"), 1)]);
}

/// The first page of a filter costs what it shows, however many rows there are.
pub async fn every_filter_is_read_along_an_index(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    commit(&audit, &Life::new().batches(&requests(0..50), 100).await).await;
    let text = || Some("x".to_owned());
    let policy = |version: Option<&str>| {
        Some(PolicyFilter { name: "frugal".to_owned(), version: version.map(str::to_owned) })
    };
    let least = |at_least| Range { at_least: Some(at_least), at_most: None };
    let base = || ListQuery { limit: 20, ..ListQuery::default() };
    let status = |status| ListQuery { status: Some(status), ..base() };
    for (name, query) in [
        ("nothing", base()),
        ("time", ListQuery { from_ms: Some(NOW_MS - 1_000_000), to_ms: Some(NOW_MS), ..base() }),
        ("principal", ListQuery { principal: text(), ..base() }),
        ("session", ListQuery { session: text(), ..base() }),
        ("run", ListQuery { run: Some(run_id(1)), ..base() }),
        ("tag", ListQuery { tag: text(), ..base() }),
        ("kinds", ListQuery { kinds: vec![DecisionKind::Handoff], ..base() }),
        ("the usual kind", ListQuery { kinds: vec![DecisionKind::Select], ..base() }),
        ("reason code", ListQuery { reason_code: text(), ..base() }),
        ("policy", ListQuery { policy: policy(None), ..base() }),
        ("policy and version", ListQuery { policy: policy(Some("0123456789abcdef")), ..base() }),
        ("model", ListQuery { model: text(), ..base() }),
        ("requested", ListQuery { requested: text(), ..base() }),
        ("served", ListQuery { served: text(), ..base() }),
        ("from", ListQuery { from: text(), ..base() }),
        ("to", ListQuery { to: text(), ..base() }),
        ("provider", ListQuery { provider: text(), ..base() }),
        ("ok", status(StatusFilter::Ended(OutcomeStatus::Ok))),
        ("failed", status(StatusFilter::Ended(OutcomeStatus::Failed))),
        ("cancelled", status(StatusFilter::Ended(OutcomeStatus::ClientCancelled))),
        ("running", status(StatusFilter::Running)),
        ("crashed", status(StatusFilter::Crashed)),
        ("no attempt", status(StatusFilter::NoAttempt)),
        ("fault", ListQuery { fault: text(), ..base() }),
        ("hops", ListQuery { min_hop: Some(2), ..base() }),
        ("many hops", ListQuery { min_hop: Some(4), ..base() }),
        ("cost", ListQuery { cost_nano: least(100_000_000), ..base() }),
        ("latency", ListQuery { total_us: least(30_000_000), ..base() }),
        ("first content", ListQuery { first_content_us: least(30_000_000), ..base() }),
    ] {
        for start in
            [PageStart::Newest, PageStart::After(decision_id(20)), PageStart::Before(decision_id(20))]
        {
            let query = ListQuery { start, ..query.clone() };
            let plan = store.plan(&query, vec!["[\"x\"]".to_owned(), "[\"x\",\"y\"]".to_owned()]).await;
            for way in [BY_ALL_ROWS, BY_SORTING] {
                assert!(!plan.contains(way), "{name}, {start:?}:\n{plan}");
            }
        }
    }
}

/// Whatever is sent again, late or early.
pub async fn usage_counts_each_decision_once(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let whole = usage_of(store, &[]).await;
    assert_eq!(whole, []);
    // One entry in each batch: every outcome is late.
    let batches = Life::new().batches(&requests(0..4), 1).await;
    for batch in &batches {
        audit.commit(batch).await.unwrap();
        audit.commit(batch).await.unwrap();
    }
    let early = Life::new().batches(&[Record::Outcome(Box::new(outcome(7)))], 100).await;
    commit(&audit, &early).await;
    commit(&audit, &Life::new().batches(&requests(4..7), 100).await).await;
    let late = [Record::Decision(Box::new(decision(7))), refusal(8), Record::Decision(Box::new(decision(9)))];
    commit(&audit, &Life::new().batches(&late, 100).await).await;
    let expected = UsageSums {
        decisions: 10,
        attempts: 9,
        ok: 8,
        input_tokens: (0..8).map(|number| 100 + number).sum(),
        cached_tokens: 8 * 40,
        output_tokens: 8 * 7,
        reasoning_tokens: 8 * 2,
        cost_nano: 8 * 12,
        total_us: 8 * 9,
        first_content_us: 8 * 3,
        with_content: 8,
        ..UsageSums::default()
    };
    for width in BucketWidth::ALL {
        assert_eq!(sums(&usage_in(store, width, &[], &[]).await), [(vec![], expected)], "{width:?}");
    }
    // What is told in longer buckets is not kept in short ones for ever.
    store.upkeep().maintain(NOW_MS + 4 * 86_400_000).await.unwrap();
    let left = UsageSums { decisions: 1, attempts: 1, ..UsageSums::default() };
    let minutes = sums(&usage_in(store, BucketWidth::Minute, &[], &[]).await);
    assert_eq!(minutes, [(vec![], left)], "what is open is counted where it is");
    for width in [BucketWidth::Hour, BucketWidth::Day] {
        assert_eq!(sums(&usage_in(store, width, &[], &[]).await), [(vec![], expected)], "{width:?}");
    }
    let by = async |dimension| {
        let groups = usage_of(store, &[dimension]).await;
        groups.into_iter().map(|group| (group.by[0].clone(), group.sums.decisions)).collect::<Vec<_>>()
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        by(Dimension::Status).await,
        [(named("ok"), 8), (named("none"), 1), (named("open"), 1)],
        "what is open is told apart"
    );
    assert_eq!(by(Dimension::Model).await, [(named("echo/hello"), 9), (None, 1)]);
    assert_eq!(by(Dimension::Kind).await, [(named("select"), 9), (named("refuse"), 1)]);
    assert_eq!(by(Dimension::Policy).await, [(None, 10)]);
    let only = [(Dimension::Kind, "refuse".to_owned())];
    let refused = usage_in(store, BucketWidth::Day, &[], &only).await;
    assert_eq!(refused[0].1.sums.decisions, 1);
    for dimension in Dimension::ALL {
        let total: u64 = by(dimension).await.into_iter().map(|(_, decisions)| decisions).sum();
        assert_eq!(total, 10, "{dimension:?}");
    }
}

/// A page ends with a bucket, and the next one goes on there.
pub async fn usage_is_told_in_pages_and_never_cut_inside_a_bucket(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let minute = 60_000;
    let records: Vec<Record> = (0_u8..6)
        .map(|place| {
            let number = u64::from(place);
            let mut decision = decision(number);
            decision.id = DecisionId::from_parts(NOW_MS + number / 2 * 2 * minute, [1 + place; 10]);
            Record::Decision(Box::new(decision))
        })
        .collect();
    commit(&audit, &Life::new().batches(&records, 100).await).await;
    let mut query = UsageQuery {
        from_ms: NOW_MS,
        to_ms: NOW_MS + 5 * minute,
        width: BucketWidth::Minute,
        group_by: vec![],
        only: vec![],
        limit: 2,
    };
    let first = BucketWidth::Minute.start_of(NOW_MS);
    let mut seen = Vec::new();
    loop {
        let page = store.queries().usage(&query).await.unwrap();
        seen.extend(page.buckets.iter().map(|bucket| (bucket.start_ms, bucket.groups[0].sums.decisions)));
        let Some(next_ms) = page.next_ms else { break };
        assert!(next_ms > query.from_ms, "a page goes on");
        query.from_ms = next_ms;
    }
    assert_eq!(seen, [(first, 2), (first + 2 * minute, 2), (first + 4 * minute, 2)]);
}

/// Count, success, added latency, difference of cost.
pub async fn a_hand_over_is_counted_with_how_it_went(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let over = |number: u64| {
        let mut over = decision(number);
        over.kind = DecisionKind::Handoff;
        over.parent = Some(decision_id(number - 1));
        over.from = "echo/hello".parse().ok();
        over.to = "local/llama".parse().ok();
        Record::Decision(Box::new(over))
    };
    let failed = Outcome { status: OutcomeStatus::Failed, first_content_us: None, cost: None, ..outcome(3) };
    let records = [
        Record::Decision(Box::new(decision(0))),
        Record::Outcome(Box::new(outcome(0))),
        over(1),
        Record::Outcome(Box::new(Outcome { cost: Some(NanoUsd(50)), ..outcome(1) })),
        over(3),
        Record::Outcome(Box::new(failed)),
        over(5),
    ];
    // In one block and in many.
    for (round, entries) in [(1, 100), (2, 1)] {
        let records: Vec<Record> = records.iter().map(|record| later(record, round * 100)).collect();
        commit(&audit, &Life::new().batches(&records, entries).await).await;
        let query = HandoffQuery { from_ms: 0, to_ms: NOW_MS * 2, from: None, to: None };
        let cell = HandoffCell {
            from: "echo/hello".to_owned(),
            to: "local/llama".to_owned(),
            reason_code: "only_model".to_owned(),
            count: 3 * round,
            succeeded: round,
            failed: round,
            first_content_us: 3 * round,
            with_content: round,
            cost_nano: 50 * round,
            cost_before_nano: 12 * round,
            priced: round,
            ..HandoffCell::default()
        };
        assert_eq!(store.queries().handoffs(&query).await.unwrap(), [cell]);
        let none = HandoffQuery { to_ms: NOW_MS - 10_000_000, ..query.clone() };
        assert_eq!(store.queries().handoffs(&none).await.unwrap(), []);
        let other = HandoffQuery { from: Some("local/llama".to_owned()), ..query };
        assert_eq!(store.queries().handoffs(&other).await.unwrap(), []);
    }
}

/// Before or after the decision it is about.
pub async fn feedback_is_told_and_counted_once(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let said = |number: u64, correct| {
        Record::Feedback(Feedback {
            at_ms: NOW_MS + number,
            decision: decision_id(number),
            principal: "anonymous".to_owned(),
            correct_target: correct,
            score: Some(-500_000),
            label: Some("good\u{0}".to_owned()),
            comment: None,
        })
    };
    let early = Life::new().batches(&[said(3, Some(CorrectTarget::Chosen(true)))], 100).await;
    commit(&audit, &early).await;
    assert_eq!(usage_of(store, &[]).await, []);
    let mut records = requests(0..4);
    records.extend([
        said(0, Some(CorrectTarget::Named("echo/hello".to_owned()))),
        said(0, Some(CorrectTarget::Named("echo/other".to_owned()))),
        said(1, None),
    ]);
    for batch in Life::new().batches(&records, 3).await {
        audit.commit(&batch).await.unwrap();
        audit.commit(&batch).await.unwrap();
    }
    let groups = usage_of(store, &[]).await;
    assert_eq!((groups[0].sums.right, groups[0].sums.wrong, groups[0].sums.decisions), (2, 1, 4));
    let read = async |decisions: Vec<DecisionId>, limit| {
        let mut rows = Vec::new();
        let mut query = FeedbackQuery { decisions, after: None, limit };
        loop {
            let page = store.queries().feedback(&query).await.unwrap();
            let Some(last) = page.last() else { return rows };
            query.after =
                Some(baton_audit::FeedbackPlace { at_ms: last.at_ms, boot: last.boot, seq: last.seq });
            rows.extend(page);
        }
    };
    let rows = read(vec![], 1).await;
    assert_eq!(rows.iter().map(|row| row.decision).collect::<Vec<_>>(), [0, 0, 1, 3].map(decision_id));
    assert_eq!(read(vec![decision_id(0), decision_id(1)], 100).await, rows[..3]);
    assert_eq!(read(vec![decision_id(9)], 100).await, []);
    assert_eq!((rows[0].correct_target.as_deref(), rows[3].correct), (Some("echo/hello"), Some(true)));
    assert_eq!((rows[0].score, rows[0].label.as_deref()), (Some(-500_000), Some("good\u{fffd}")));
}

/// They are read where few dimensions are asked for, forgotten when something is added, and made again.
pub async fn sums_of_days_that_are_over_say_what_all_sums_say(store: &dyn StoreUnderTest) {
    let (audit, upkeep) = (store.audit(), store.upkeep());
    let life = Life::new();
    commit(&audit, &life.batches(&requests(0..20), 5).await).await;
    let questions: Vec<Vec<Dimension>> = Dimension::ALL
        .map(|dimension| vec![dimension])
        .into_iter()
        .chain([
            vec![],
            vec![Dimension::Model, Dimension::Principal],
            vec![Dimension::Rule, Dimension::ReasonCode],
            vec![Dimension::Model, Dimension::ReasonCode],
        ])
        .collect();
    let told = async || {
        let mut all = Vec::new();
        for group_by in &questions {
            all.push(usage_of(store, group_by).await);
            let only = (Dimension::Status, "ok".to_owned());
            all.push(sums_only(&usage_in(store, BucketWidth::Day, group_by, &[only]).await));
        }
        all
    };
    let made = async || store.execute("update usage_day set cube = cube").await.unwrap();
    let before = told().await;
    let over = NOW_MS + 3 * 86_400_000;
    upkeep.maintain(NOW_MS).await.unwrap();
    assert_eq!(made().await, 0, "the day is not over");
    for _ in 0..2 {
        upkeep.maintain(over).await.unwrap();
        assert!(made().await > 0);
        assert_eq!(told().await, before);
    }
    // That they are read shows when they are wrong.
    assert!(store.execute("update usage_day set decisions = decisions + 7").await.unwrap() > 0);
    assert_ne!(usage_of(store, &[]).await[0].sums.decisions, 20);
    assert_ne!(usage_of(store, &[Dimension::Model]).await[0].sums.decisions, 20);
    assert_eq!(usage_of(store, &[Dimension::Model, Dimension::ReasonCode]).await[0].sums.decisions, 20);

    // Whatever is added to the day: decisions, an outcome alone, feedback, a correction, rows made again.
    let open = [Record::Decision(Box::new(decision(20)))];
    let ended = [Record::Outcome(Box::new(outcome(20)))];
    let said = Record::Feedback(Feedback {
        at_ms: NOW_MS,
        decision: decision_id(3),
        principal: "anonymous".to_owned(),
        correct_target: Some(CorrectTarget::Chosen(true)),
        score: None,
        label: None,
        comment: None,
    });
    for records in [&open[..], &ended, &[said], &[correction(5, &[(4, 40)])]] {
        for batch in life.batches(records, 100).await {
            audit.commit(&batch).await.unwrap();
        }
        let now = told().await;
        assert_ne!(now, before);
        upkeep.maintain(over).await.unwrap();
        assert!(made().await > 0);
        assert_eq!(told().await, now);
    }
    let sums = usage_of(store, &[]).await[0].sums;
    assert_eq!((sums.decisions, sums.right, sums.cost_nano), (21, 1, 20 * 12 + 40));
    for chain in audit.chains().await.unwrap() {
        upkeep.reproject(chain.boot).await.unwrap();
    }
    assert_eq!(made().await, 0, "what is counted again is made again");
    assert_eq!(usage_of(store, &[]).await[0].sums, sums);
}

fn sums_only(groups: &[(u64, UsageGroup)]) -> Vec<UsageGroup> {
    groups.iter().map(|(_, group)| group.clone()).collect()
}

/// Three decisions, of which the last is a hand-over from the second, and corrections of them.
fn priced() -> Vec<Record> {
    let mut over = decision(2);
    over.kind = DecisionKind::Handoff;
    over.parent = Some(decision_id(1));
    over.run = run_id(1);
    over.from = "echo/hello".parse().ok();
    let ended = |number, cost| Record::Outcome(Box::new(Outcome { cost, ..outcome(number) }));
    vec![
        Record::Decision(Box::new(decision(0))),
        ended(0, Some(NanoUsd(12))),
        Record::Decision(Box::new(decision(1))),
        ended(1, None),
        Record::Decision(Box::new(over)),
        ended(2, Some(NanoUsd(50))),
    ]
}

fn correction(step: u64, costs: &[(u64, u64)]) -> Record {
    let cost = |(number, cost): &(u64, u64)| CorrectedCost {
        decision: decision_id(*number),
        was: None,
        cost: NanoUsd(*cost),
    };
    Record::Correction(Box::new(Correction {
        at_ms: NOW_MS + step,
        actor: "cli".to_owned(),
        prices: format!("prices-{step}"),
        first_prices: (step == 2).then(|| "first".to_owned()),
        costs: costs.iter().map(cost).collect(),
    }))
}

/// Costs of the decisions as their rows say, the sums of usage, and of hand-overs.
async fn costs(store: &dyn StoreUnderTest) -> (Vec<Option<u64>>, (u64, u64), [u64; 3]) {
    let mut rows = Vec::new();
    for number in 0..3 {
        let stored = store.audit().decision(decision_id(number)).await.unwrap().unwrap();
        rows.push(stored.row.outcome.unwrap().cost_nano);
    }
    let sums = usage_of(store, &[]).await[0].sums;
    let query = HandoffQuery { from_ms: 0, to_ms: NOW_MS * 2, from: None, to: None };
    let cells = store.queries().handoffs(&query).await.unwrap();
    let cell = &cells[0];
    (rows, (sums.cost_nano, sums.unpriced), [cell.cost_nano, cell.cost_before_nano, cell.priced])
}

/// Rows, usage and the matrix follow; the evidence does not change, and what was recorded first is still told.
pub async fn a_corrected_cost_is_told_and_counted(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let life = Life::new();
    commit(&audit, &life.batches(&priced(), 3).await).await;
    assert_eq!(costs(store).await, (vec![Some(12), None, Some(50)], (62, 1), [0, 0, 0]));
    let evidence = audit.chains().await.unwrap();
    let both = [correction(2, &[(0, 20), (1, 7)]), correction(3, &[(2, 5)])];
    for batch in life.batches(&both, 1).await {
        // What is sent again changes nothing.
        audit.commit(&batch).await.unwrap();
        audit.commit(&batch).await.unwrap();
    }
    let corrected = (vec![Some(20), Some(7), Some(5)], (32, 0), [5, 7, 1]);
    assert_eq!(costs(store).await, corrected);
    for chain in evidence {
        assert!(audit.chains().await.unwrap().contains(&chain), "the chain of the outcomes is what it was");
    }
    let stored = audit.decision(decision_id(0)).await.unwrap().unwrap();
    let first: Outcome = serde_json::from_str(&stored.outcome.unwrap()).unwrap();
    assert_eq!(first.cost, Some(NanoUsd(12)), "the record is what it was");
    let told = audit.corrections(&[decision_id(0), decision_id(5)]).await.unwrap();
    assert_eq!(told.len(), 1);
    let told = (told[0].cost_nano, told[0].prices.as_str(), told[0].first_prices.as_deref());
    assert_eq!(told, (20, "prices-2", Some("first")));
    let dear = ListQuery { cost_nano: Range { at_least: Some(20), at_most: None }, ..ListQuery::default() };
    assert_eq!(ids(&all(&audit, dear, 10).await), [decision_id(0)]);
    assert_eq!(check(store, &[]).await.findings, []);

    // A later one counts, however dear; and both are told.
    let again = life.batches(&[correction(9, &[(0, 200_000_000)])], 100).await;
    commit(&audit, &again).await;
    assert_eq!(costs(store).await.0[0], Some(200_000_000));
    let dear = Range { at_least: Some(100_000_000), at_most: None };
    let dear = ListQuery { cost_nano: dear, ..ListQuery::default() };
    assert_eq!(ids(&all(&audit, dear, 10).await), [decision_id(0)]);
    let told = audit.corrections(&[decision_id(0)]).await.unwrap();
    assert_eq!(told.iter().map(|row| row.cost_nano).collect::<Vec<_>>(), [20, 200_000_000]);
    let before = costs(store).await;
    for chain in audit.chains().await.unwrap() {
        store.upkeep().reproject(chain.boot).await.unwrap();
        assert_eq!(costs(store).await, before, "made again");
    }
    commit(&audit, &life.batches(&requests(7..8), 100).await).await;
    assert_eq!(costs(store).await.0, before.0, "what waits was counted");
    assert_eq!(check(store, &[]).await.findings, []);
}

/// Chains arrive in any order: the latest correction counts, whenever it comes.
pub async fn corrections_are_the_same_in_any_order(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let late = Life::new().batches(&[correction(9, &[(0, 30), (2, 5)])], 100).await;
    let early = Life::new().batches(&[correction(2, &[(0, 20), (1, 7)])], 100).await;
    let corrected = (vec![Some(30), Some(7), Some(5)], (42, 0), [5, 7, 1]);
    commit(&audit, &late).await;
    // Block by block, so that a correction waits for an outcome whose decision is there.
    commit(&audit, &Life::new().batches(&priced(), 1).await).await;
    commit(&audit, &early).await;
    assert_eq!(costs(store).await, corrected);
    assert_eq!(check(store, &[]).await.findings, []);
    for chain in audit.chains().await.unwrap() {
        store.upkeep().reproject(chain.boot).await.unwrap();
    }
    assert_eq!(costs(store).await, corrected);
    assert_eq!(check(store, &[]).await.findings, []);
}

/// A cost without a record that says it, and a correction that says something else than its record.
pub async fn a_changed_cost_or_correction_is_found(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let life = Life::new();
    commit(&audit, &life.batches(&priced(), 3).await).await;
    commit(&audit, &life.batches(&[correction(2, &[(0, 20)])], 3).await).await;
    assert_eq!(check(store, &[]).await.findings, []);
    let (corrected, other) = (decision_id(0), decision_id(2));
    for (deed, id, undo) in [
        (
            format!("update decision set cost_nano = 12 where id = '{corrected}'"),
            corrected,
            format!("update decision set cost_nano = 20 where id = '{corrected}'"),
        ),
        (
            format!("update decision set cost_nano = 1 where id = '{other}'"),
            other,
            format!("update decision set cost_nano = 50 where id = '{other}'"),
        ),
        (
            format!("update decision set cost_nano = null where id = '{other}'"),
            other,
            format!("update decision set cost_nano = 50 where id = '{other}'"),
        ),
        (
            "update correction set cost_nano = 21".to_owned(),
            corrected,
            "update correction set cost_nano = 20".to_owned(),
        ),
        (
            "update correction set prices = 'x'".to_owned(),
            corrected,
            "update correction set prices = 'prices-2'".to_owned(),
        ),
    ] {
        assert_eq!(store.execute(&deed).await, Ok(1), "{deed}");
        let flaws: Vec<Flaw> = check(store, &[]).await.findings.into_iter().map(|it| it.flaw).collect();
        assert_eq!(flaws, [Flaw::RowDiffers(id)], "{deed}");
        assert_eq!(store.execute(&undo).await, Ok(1), "{undo}");
        assert_eq!(check(store, &[]).await.findings, []);
    }
    assert_eq!(store.execute("delete from correction").await, Ok(1));
    assert!(!check(store, &[]).await.is_clean(), "a correction is gone");
}

/// Whole months, and only after the record that says so was committed.
pub async fn retention_drops_what_a_signed_record_names_and_nothing_else(store: &dyn StoreUnderTest) {
    let (audit, upkeep) = (store.audit(), store.upkeep());
    let now_ms = baton_audit::SystemClock.now_ms();
    upkeep.maintain(now_ms).await.unwrap();
    commit(&audit, &Life::new().batches(&requests(0..20), 5).await).await;
    let month = 31 * 86_400_000;
    let later_id = DecisionId::from_parts(now_ms + 2 * month, [1; 10]);
    let kept =
        Record::Decision(Box::new(Decision { id: later_id, at_ms: now_ms + 2 * month, ..decision(50) }));
    let life = Life::at(now_ms + 2 * month);
    commit(&audit, &life.batches(&[kept], 100).await).await;
    // A block that begins before the border takes along what it says of decisions behind it.
    let border = upkeep.droppable(now_ms + month).await.unwrap().before_ms;
    let beyond = Decision { id: DecisionId::from_parts(border + 500, [1; 10]), ..decision(51) };
    let beyond = [Record::Decision(Box::new(beyond))];
    commit(&audit, &Life::at(border - 500).batches(&beyond, 100).await).await;

    let droppable = upkeep.droppable(now_ms + month).await.unwrap();
    assert!(droppable.before_ms <= now_ms + month && droppable.before_ms > NOW_MS);
    assert_eq!((droppable.before_ms, droppable.heads.len(), droppable.decisions), (border, 2, 20));
    let before = usage_of(store, &[]).await;
    let refused = upkeep.drop_before(&droppable).await.unwrap_err();
    assert_eq!(*refused.kind(), StoreErrorKind::Rejected, "nothing is signed");
    let signed = |heads| signer().sign_drop(now_ms, droppable.before_ms, heads, droppable.decisions);
    let other = vec![ChainHead { seq: 1, ..droppable.heads[0].clone() }, droppable.heads[1].clone()];
    commit(&audit, &life.batches(&[Record::Dropped(signed(other))], 100).await).await;
    let refused = upkeep.drop_before(&droppable).await.unwrap_err();
    assert_eq!(*refused.kind(), StoreErrorKind::Rejected, "another drop is signed");
    assert_eq!(usage_of(store, &[]).await, before);
    commit(&audit, &life.batches(&[Record::Dropped(signed(droppable.heads.clone()))], 100).await).await;
    upkeep.drop_before(&droppable).await.unwrap();

    let left = ids(&all(&audit, ListQuery::default(), 100).await);
    assert_eq!(left, [later_id]);
    assert_eq!(audit.blocks(droppable.heads[0].boot, 0, 100).await.unwrap(), []);
    assert_eq!(usage_of(store, &[]).await, [], "nothing is counted that is not there");
    let empty = upkeep.droppable(now_ms + month).await.unwrap();
    assert!(empty.is_empty(), "{empty:?}");
    let refusal = store.execute("delete from audit_block").await.unwrap_err();
    assert!(refusal.contains("insert-only"), "what is left is evidence as before: {refusal}");
    upkeep.maintain(now_ms).await.unwrap();
    // The store takes what comes, of every month.
    commit(&audit, &Life::new().batches(&requests(60..62), 100).await).await;
    assert_eq!(all(&audit, ListQuery::default(), 100).await.len(), 3);
}

/// What came before its month was made is dropped like all else.
pub async fn retention_drops_what_came_before_its_month_was_made(store: &dyn StoreUnderTest) {
    let (audit, upkeep) = (store.audit(), store.upkeep());
    let now_ms = baton_audit::SystemClock.now_ms();
    let month = 31 * 86_400_000;
    let at = |at_ms, number| {
        let id = DecisionId::from_parts(at_ms, [1; 10]);
        (id, Record::Decision(Box::new(Decision { id, at_ms, ..decision(number) })))
    };
    upkeep.maintain(now_ms).await.unwrap();
    let (_, early) = at(now_ms + 8 * month, 1);
    commit(&audit, &Life::at(now_ms + 8 * month).batches(&[early], 100).await).await;
    upkeep.maintain(now_ms + 12 * month).await.unwrap();
    let (kept_id, kept) = at(now_ms + 15 * month, 2);
    let life = Life::at(now_ms + 15 * month);
    commit(&audit, &life.batches(&[kept], 100).await).await;

    let droppable = upkeep.droppable(now_ms + 14 * month).await.unwrap();
    assert_eq!((droppable.heads.len(), droppable.decisions), (1, 1));
    let signed =
        signer().sign_drop(now_ms, droppable.before_ms, droppable.heads.clone(), droppable.decisions);
    commit(&audit, &life.batches(&[Record::Dropped(signed)], 100).await).await;
    upkeep.drop_before(&droppable).await.unwrap();
    assert_eq!(ids(&all(&audit, ListQuery::default(), 100).await), [kept_id]);
    let tag = ListQuery { tag: Some("a".to_owned()), ..ListQuery::default() };
    assert_eq!(ids(&all(&audit, tag, 100).await), [kept_id]);
    assert_eq!(audit.blocks(droppable.heads[0].boot, 0, 100).await.unwrap(), []);
    let empty = upkeep.droppable(now_ms + 14 * month).await.unwrap();
    assert!(empty.is_empty(), "{empty:?}");
}

/// A page goes on behind the month that is looked at first, both ways.
pub async fn pages_reach_over_all_months(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let month = 31 * 86_400_000;
    let (numbers, principal) = (0_u64..8, Some("anonymous".to_owned()));
    let id = |number: u64| DecisionId::from_parts(NOW_MS + number * month, [1; 10]);
    let records: Vec<Record> = numbers
        .clone()
        .map(|number| {
            Record::Decision(Box::new(Decision { id: id(number), attempt: false, ..decision(number) }))
        })
        .collect();
    commit(&audit, &Life::new().batches(&records, 100).await).await;
    let newest_first: Vec<DecisionId> = numbers.rev().map(id).collect();
    for base in [ListQuery::default(), ListQuery { principal, ..ListQuery::default() }] {
        for limit in [1, 3, 8, 9] {
            assert_eq!(ids(&all(&audit, base.clone(), limit).await), newest_first, "{limit}");
        }
        let page = async |query: ListQuery| {
            let page = audit.list(&query).await.unwrap();
            (ids(&page.rows), page.has_more)
        };
        let before = |limit| ListQuery { start: PageStart::Before(id(1)), limit, ..base.clone() };
        assert_eq!(page(before(3)).await, (vec![id(4), id(3), id(2)], true));
        assert_eq!(page(before(6)).await, (newest_first[..6].to_vec(), false));
        let within = ListQuery {
            from_ms: Some(id(2).unix_ms()),
            to_ms: Some(id(6).unix_ms()),
            limit: 4,
            ..base.clone()
        };
        assert_eq!(page(within).await, ([5, 4, 3, 2].map(id).to_vec(), false));
    }
}

/// After somebody changed rows and sums, and with outcomes of other chains.
pub async fn rows_made_again_from_the_evidence_are_the_same(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let log = Log::written(store).await;
    let elsewhere = [Record::Decision(Box::new(decision(70)))];
    let elsewhere = Life::new().batches(&elsewhere, 100).await;
    commit(&audit, &elsewhere).await;
    commit(&audit, &Life::new().batches(&[Record::Outcome(Box::new(outcome(70)))], 100).await).await;
    let rows = all(&audit, ListQuery::default(), 100).await;
    let usage = usage_of(store, &[Dimension::Status, Dimension::Model]).await;
    let tagged = all(&audit, ListQuery { tag: Some("a".to_owned()), ..ListQuery::default() }, 100).await;
    let boot = log.batches[0].blocks[0].boot;
    for statement in [
        format!("update decision set principal = 'mallory', status = 'failed' where boot = '{boot}'"),
        format!("delete from decision where boot = '{boot}' and seq > 9"),
        "delete from decision_tag".to_owned(),
        "update usage_bucket set decisions = decisions + 7".to_owned(),
    ] {
        assert!(store.execute(&statement).await.unwrap() > 0, "{statement}");
    }
    assert_ne!(all(&audit, ListQuery::default(), 100).await, rows);
    let mut made = 0;
    for chain in audit.chains().await.unwrap() {
        made += store.upkeep().reproject(chain.boot).await.unwrap();
    }
    assert_eq!(made, rows.len() as u64);
    assert_eq!(all(&audit, ListQuery::default(), 100).await, rows);
    assert_eq!(usage_of(store, &[Dimension::Status, Dimension::Model]).await, usage);
    let again = all(&audit, ListQuery { tag: Some("a".to_owned()), ..ListQuery::default() }, 100).await;
    assert_eq!(again, tagged);
    assert_eq!(check(store, &log.held).await.findings, []);
}

/// An older version writes rows without the columns of today, and counts nothing.
pub async fn rows_of_an_older_shape_are_brought_up_to_date(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let mut records = requests(0..5);
    records.push(Record::Decision(Box::new(decision(5))));
    commit(&audit, &Life::new().batches(&records, 4).await).await;
    let rows = all(&audit, ListQuery::default(), 100).await;
    let usage = usage_of(store, &[Dimension::Status]).await;
    // The rows of that version hold their records.
    for stored in &rows {
        let text = |record: &Option<String>| match record {
            Some(record) => format!("'{}'", record.replace('\'', "''")),
            None => "null".to_owned(),
        };
        let (record, outcome, id) = (text(&stored.record), text(&stored.outcome), stored.row.id);
        let statement =
            format!("update decision set record = {record}, outcome = {outcome} where id = '{id}'");
        assert_eq!(store.execute(&statement).await, Ok(1), "{statement}");
    }
    for statement in [
        "update decision set made_ms = null, parent = null, hop = null, tags = null, rule = null, policy = null, \
         policy_version = null, from_target = null, provider = null, cache_write_tokens = null",
        "delete from usage_bucket",
        "delete from decision_tag",
        "delete from asked",
    ] {
        assert!(store.execute(statement).await.unwrap() > 0, "{statement}");
    }
    assert_ne!(all(&audit, ListQuery::default(), 100).await, rows);
    // Its outcome comes before its row is up to date: it is counted with the row.
    let late = Life::new().batches(&[Record::Outcome(Box::new(outcome(5)))], 100).await;
    commit(&audit, &late).await;
    store.upkeep().maintain(NOW_MS).await.unwrap();
    store.upkeep().maintain(NOW_MS).await.unwrap();
    let after = all(&audit, ListQuery::default(), 100).await;
    assert_eq!(after[1..], rows[1..]);
    let groups = usage_of(store, &[Dimension::Status]).await;
    assert_eq!(groups.len(), 1, "before, one was open: {usage:?}");
    assert_eq!((groups[0].sums.decisions, groups[0].sums.ok, groups[0].sums.output_tokens), (6, 6, 42));
    let by_tag = ListQuery { tag: Some("a".to_owned()), ..ListQuery::default() };
    assert_eq!(all(&audit, by_tag, 100).await, after);
    let asked = ListQuery { requested: Some("echo/hello".to_owned()), ..ListQuery::default() };
    assert_eq!(all(&audit, asked, 100).await, after);
    assert_eq!(check(store, &[]).await.findings, []);
}

/// What is read block by block and committed elsewhere gives the same rows: the evidence suffices.
pub async fn a_store_copied_block_by_block_is_equal(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let log = Log::written(store).await;
    for batch in &log.batches {
        let frames = batch.blocks[0].unpack().unwrap();
        let again = Batch::from_frames(batch.blocks[0].boot, batch.blocks[0].previous, &frames).unwrap();
        assert_eq!(&again, batch);
        audit.commit(&again).await.unwrap();
    }
    assert_eq!(check(store, &log.held).await.findings, []);
}

/// The same record, made so many later.
fn later(record: &Record, by: u64) -> Record {
    let shift = |id: DecisionId| DecisionId::from_parts(id.unix_ms() + by, [1; 10]);
    match record {
        Record::Decision(decision) => Record::Decision(Box::new(Decision {
            id: shift(decision.id),
            parent: decision.parent.map(shift),
            ..(**decision).clone()
        })),
        Record::Outcome(outcome) => {
            Record::Outcome(Box::new(Outcome { decision: shift(outcome.decision), ..(**outcome).clone() }))
        }
        other => other.clone(),
    }
}

/// The one bucket of a day.
async fn usage_of(store: &dyn StoreUnderTest, group_by: &[Dimension]) -> Vec<UsageGroup> {
    let groups = usage_in(store, BucketWidth::Day, group_by, &[]).await;
    groups.into_iter().map(|(_, group)| group).collect()
}

async fn usage_in(
    store: &dyn StoreUnderTest,
    width: BucketWidth,
    group_by: &[Dimension],
    only: &[(Dimension, String)],
) -> Vec<(u64, UsageGroup)> {
    let query = UsageQuery {
        from_ms: NOW_MS - 3_600_000,
        to_ms: NOW_MS + 60_000,
        width,
        group_by: group_by.to_vec(),
        only: only.to_vec(),
        limit: u32::MAX,
    };
    let page = store.queries().usage(&query).await.unwrap();
    assert_eq!(page.next_ms, None);
    page.buckets
        .into_iter()
        .flat_map(|bucket| bucket.groups.into_iter().map(move |group| (bucket.start_ms, group)))
        .collect()
}

fn sums(groups: &[(u64, UsageGroup)]) -> Vec<(Vec<Option<String>>, UsageSums)> {
    groups.iter().map(|(_, group)| (group.by.clone(), group.sums)).collect()
}

/// A decision without an outcome is under way only while its process lives.
pub async fn an_attempt_of_a_dead_boot_is_crashed_and_of_a_live_one_running(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let life = Life::new();
    let first = Record::Decision(Box::new(decision(1)));
    commit(&audit, &life.killed(std::slice::from_ref(&first)).await).await;
    assert!(!audit.decision(decision_id(1)).await.unwrap().unwrap().boot_ended);
    let second = [Record::Decision(Box::new(decision(2))), refusal(3)];
    commit(&audit, &life.batches(&second, 100).await).await;
    assert!(audit.decision(decision_id(1)).await.unwrap().unwrap().boot_ended, "the next boot names it");
    assert!(audit.decision(decision_id(2)).await.unwrap().unwrap().boot_ended, "it stopped in order");

    let (journal, relay) = life.open(Arc::clone(&audit), 100);
    journal.append(&Record::Decision(Box::new(decision(4)))).unwrap();
    journal.checkpoint().await.unwrap();
    let decisions = Decisions::new(Arc::clone(&journal), Arc::clone(&audit));
    let view = async |number| match decisions.get(decision_id(number)).await.unwrap() {
        Lookup::Found(view) => view.outcome,
        other => panic!("decision {number} is {other:?}"),
    };
    assert_eq!(view(4).await, OutcomeView::Running, "from the journal");
    assert!(relay.drain(DEADLINE).await);
    assert_eq!(view(1).await, OutcomeView::Crashed);
    assert_eq!(view(2).await, OutcomeView::Crashed);
    assert_eq!(view(3).await, OutcomeView::NotExpected);
    assert_eq!(view(4).await, OutcomeView::Running, "from the store");
    journal.append(&Record::Outcome(Box::new(outcome(4)))).unwrap();
    assert_eq!(view(4).await, OutcomeView::Recorded(Box::new(outcome(4))), "from both");
    let listed = decisions.list(&ListQuery { limit: 1, ..ListQuery::default() }).await.unwrap();
    assert_eq!(listed.decisions[0].outcome, OutcomeView::Recorded(Box::new(outcome(4))));
    assert_eq!(decisions.get(DecisionId::from_parts(1, [0; 10])).await.unwrap(), Lookup::NotFound);
    let fresh = DecisionId::from_parts(FixedClock.now_ms(), [0; 10]);
    assert_eq!(decisions.get(fresh).await.unwrap(), Lookup::NotYetVisible);
}

/// The table of chains is what `verify` and a reader start from.
pub async fn a_chain_is_told_with_its_head_its_stop_and_the_one_before(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let life = Life::new();
    let first = life.killed(&requests(0..2)).await;
    let second = life.batches(&requests(2..4), 3).await;
    commit(&audit, &first).await;
    commit(&audit, &second).await;
    let mut chains = audit.chains().await.unwrap();
    chains.sort_by_key(|chain| chain.previous.is_some());
    let head = |batches: &[Batch]| head_of(batches.last().unwrap());
    let expected = [
        Chain {
            boot: first[0].blocks[0].boot,
            at_ms: FixedClock.now_ms(),
            version: "test".to_owned(),
            previous: None,
            stopped_ms: None,
            head: head(&first),
        },
        Chain {
            boot: second[0].blocks[0].boot,
            at_ms: FixedClock.now_ms(),
            version: "test".to_owned(),
            previous: Some(head(&first)),
            stopped_ms: Some(FixedClock.now_ms()),
            head: head(&second),
        },
    ];
    assert_eq!(chains, expected);
    assert_eq!(audit.cursor(BootId::from_parts(1, [0; 10])).await.unwrap(), None);
}

/// The evidence is bytes, and stays them.
pub async fn blocks_come_back_as_they_were_committed(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let batches = Life::new().batches(&requests(0..20), 6).await;
    commit(&audit, &batches).await;
    let boot = batches[0].blocks[0].boot;
    let expected: Vec<Block> = batches.iter().map(|batch| batch.blocks[0].clone()).collect();
    assert_eq!(audit.blocks(boot, 0, 1_000).await.unwrap(), expected);
    let after = audit.blocks(boot, expected[1].first_seq, 2).await.unwrap();
    assert_eq!(after, expected[2..4]);
    assert_eq!(audit.blocks(BootId::from_parts(1, [0; 10]), 0, 10).await.unwrap(), []);
}

/// The database itself refuses to change the evidence.
pub async fn a_block_cannot_be_changed_or_deleted(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let batches = Life::new().batches(&requests(0..3), 100).await;
    commit(&audit, &batches).await;
    for statement in [
        "update audit_block set last_hash = 'x'",
        "update audit_block set body = body where first_seq = 1",
        "delete from audit_block",
        "delete from audit_block where first_seq = 1",
    ] {
        let refusal = store.execute(statement).await.unwrap_err();
        assert!(refusal.contains("insert-only"), "`{statement}` was refused with: {refusal}");
    }
    let kept = audit.blocks(batches[0].blocks[0].boot, 0, 10).await.unwrap();
    assert_eq!(kept, [batches[0].blocks[0].clone()]);
}

/// A row shows what its evidence says, and nothing where that cannot be read or is another's.
pub async fn a_record_is_shown_from_its_evidence_alone(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let batches = Life::new().batches(&requests(0..4), 100).await;
    commit(&audit, &batches).await;
    let (journal, _relay) = Life::new().open(Arc::clone(&audit), 100);
    let decisions = Decisions::new(journal, Arc::clone(&audit));
    let view = async |number| decisions.get(decision_id(number)).await;
    let Lookup::Found(shown) = view(1).await.unwrap() else { panic!("it is there") };
    assert_eq!((shown.decision, shown.outcome), (decision(1), OutcomeView::Recorded(Box::new(outcome(1)))));
    let seq = |number: usize| batches[0].decisions[number].seq;
    let led = format!(
        "update decision set seq = seq + 1000 where id = '{}'; update decision set seq = {} where id = '{}'",
        decision_id(2),
        seq(2),
        decision_id(1)
    );
    run(store, &[led], "a row that is led to another's record").await;
    assert!(view(1).await.is_err(), "another's record is not shown");
    assert!(view(2).await.is_err(), "there is no such entry");
    store.disarm().await;
    store.replace_block(&flipped(&batches[0].blocks[0])).await;
    assert_eq!(audit.decision(decision_id(3)).await.unwrap().unwrap().record, None);
    assert!(view(3).await.is_err());
}

/// A decision names its configuration by hash; here is what it names.
pub async fn a_document_comes_back_by_its_hash(store: &dyn StoreUnderTest) {
    let audit = store.audit();
    let document = document(1);
    let records = [Record::Document(document.clone()), Record::Document(document.clone())];
    commit(&audit, &Life::new().batches(&records, 1).await).await;
    assert_eq!(audit.document(&document.hash).await.unwrap(), Some(document));
    assert_eq!(audit.document("unknown").await.unwrap(), None);
}

/// What the relay wrote, in however many batches and lives, verifies.
pub async fn a_whole_log_verifies(store: &dyn StoreUnderTest) {
    let log = Log::written(store).await;
    let report = check(store, &log.held).await;
    assert_eq!(report.findings, []);
    assert_eq!((report.chains, report.held), (3, 1));
    assert_eq!(report.decisions, Log::DECISIONS);
    assert_eq!(report.entries, log.entries);
    // Each life signs at its beginning, and at its end unless it was killed.
    assert_eq!(report.checkpoints, 5);
    let stranger = CheckpointSigner::from_seed(&[9; 32]).unwrap().public_key();
    let report = verify(&*store.audit(), VerifyOptions::new(&[stranger])).await.unwrap();
    let (bad, other): (Vec<_>, Vec<_>) =
        report.findings.iter().partition(|finding| finding.flaw == Flaw::BadSignature);
    assert_eq!(bad.len(), 5);
    // What no known key signed is not signed.
    assert!(other.iter().all(|finding| finding.flaw == Flaw::Unsigned), "{other:?}");
}

/// Every kind of change, each on a fresh log, is found, with the place.
pub async fn every_change_of_the_log_is_found(store: &dyn StoreUnderTest) {
    let log = Log::written(store).await;
    store.disarm().await;
    for change in &log.changes() {
        assert_eq!(check(store, &[]).await.findings, [], "before {}", change.name);
        change.make(store).await;
        let report = check(store, &[]).await;
        let first = report.first_bad().unwrap_or_else(|| panic!("{} was not found", change.name));
        let (boot, places) = &change.place;
        let is_there = first.boot == *boot && places.contains(&first.seq);
        assert!(is_there, "{}: {places:?} of {boot}, found {:?}", change.name, report.findings);
        change.undo(store).await;
    }
    assert_eq!(check(store, &[]).await.findings, []);
}

/// What no chain by itself can show.
pub async fn a_cut_tail_is_found_against_a_checkpoint_from_outside(store: &dyn StoreUnderTest) {
    let log = Log::written(store).await;
    store.disarm().await;
    let last = log.batches.last().unwrap();
    let boot = last.blocks[0].boot;
    // The newest chain disappears with all its traces: what is left is a whole, older log.
    for table in ["audit_block", "audit_chain", "decision"] {
        store.execute(&format!("delete from {table} where boot = '{boot}'")).await.unwrap();
    }
    assert_eq!(check(store, &[]).await.findings, []);
    let report = check(store, &log.held).await;
    let first = report.first_bad().unwrap();
    assert_eq!((first.boot, first.seq), (boot, log.held[0].head.seq));
    assert_eq!(first.flaw, Flaw::HeadDiffers(log.held[0].head.clone()));
}

/// The revision of a list is the last one among its records.
pub async fn keys_are_listed_with_the_revision_that_wrote_them(store: &dyn StoreUnderTest) {
    let keys = store.keys();
    assert_eq!(keys.revision().await.unwrap(), 0);
    assert_eq!(keys.list().await.unwrap(), baton_access::KeyList::default());
    let mut one = key(1);
    let mut two = key(2);
    two.rotated_from = Some(RotatedSecret { mac: mac(77), last4: "\u{0}'é\"".to_owned(), until_ms: 9 });
    two.models = Some(vec!["openai/*".to_owned(), String::new()]);
    two.revision = 4711;
    one.revision = keys.insert(&one).await.unwrap();
    two.revision = keys.insert(&two).await.unwrap();
    assert!(one.revision >= 1 && two.revision > one.revision);
    let list = keys.list().await.unwrap();
    assert_eq!((list.revision, list.records), (two.revision, vec![one.clone(), two.clone()]));
    one.revoked_ms = Some(5);
    one.revision = keys.update(&one).await.unwrap();
    assert!(one.revision > two.revision);
    let list = keys.list().await.unwrap();
    assert_eq!((list.revision, list.records), (one.revision, vec![one.clone(), two]));
    assert_eq!(keys.revision().await.unwrap(), one.revision);
}

/// Two operators at once cannot undo each other's revocation.
pub async fn a_key_that_was_changed_meanwhile_is_not_overwritten(store: &dyn StoreUnderTest) {
    let keys = store.keys();
    let mut seen = key(1);
    seen.revision = keys.insert(&seen).await.unwrap();
    let mut revoked = KeyRecord { revoked_ms: Some(1), ..seen.clone() };
    revoked.revision = keys.update(&revoked).await.unwrap();
    let stale = KeyRecord { name: "renamed".to_owned(), ..seen };
    assert_eq!(keys.update(&stale).await.unwrap_err().kind(), KeyStoreErrorKind::Conflict);
    let list = keys.list().await.unwrap();
    assert_eq!((list.revision, list.records), (revoked.revision, vec![revoked]), "nothing was counted");
}

/// An id and a secret belong to one key.
pub async fn two_keys_cannot_share_an_id_or_a_secret(store: &dyn StoreUnderTest) {
    let keys = store.keys();
    let mut one = key(1);
    let mut two = key(2);
    one.revision = keys.insert(&one).await.unwrap();
    two.revision = keys.insert(&two).await.unwrap();
    let before = keys.list().await.unwrap();
    let same_id = KeyRecord { mac: mac(9), ..one.clone() };
    let same_mac = KeyRecord { id: key(3).id, ..one.clone() };
    let taken_mac = KeyRecord { mac: one.mac, ..two.clone() };
    assert_eq!(keys.insert(&same_id).await.unwrap_err().kind(), KeyStoreErrorKind::Duplicate);
    assert_eq!(keys.insert(&same_mac).await.unwrap_err().kind(), KeyStoreErrorKind::Duplicate);
    assert_eq!(keys.update(&taken_mac).await.unwrap_err().kind(), KeyStoreErrorKind::Duplicate);
    assert_eq!(keys.list().await.unwrap(), before);
}

/// An update makes no key.
pub async fn a_key_that_is_not_there_is_told(store: &dyn StoreUnderTest) {
    let keys = store.keys();
    assert_eq!(keys.update(&key(1)).await.unwrap_err().kind(), KeyStoreErrorKind::NotFound);
    assert_eq!(keys.list().await.unwrap(), baton_access::KeyList::default());
}

/// Changes at the same moment are put in one order.
pub async fn key_changes_at_once_are_all_counted(store: &dyn StoreUnderTest) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let keys = store.keys();
        tasks.spawn(async move { keys.insert(&key(number)).await.unwrap() });
    }
    let mut revisions = tasks.join_all().await;
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 16);
    let list = store.keys().list().await.unwrap();
    assert_eq!((list.records.len(), Some(list.revision)), (16, revisions.last().copied()));
}

/// What is listed is what was put and set, ordered, under one revision.
pub async fn policies_are_listed_with_what_is_in_force(store: &dyn StoreUnderTest) {
    let policies = store.policies();
    assert_eq!(policies.policy_revision().await.unwrap(), 0);
    assert_eq!(policies.policies().await.unwrap(), baton_access::PolicyList::default());
    let versions = [policy("b", 1), policy("a", 2), policy("a", 3)];
    for version in &versions {
        policies.put(version).await.unwrap();
    }
    let mut first = state(&versions[2]);
    first.revision = policies.set(&first).await.unwrap();
    let canary = Some(Canary { version: versions[1].version.clone(), percent: 100 });
    let previous = Some(versions[1].version.clone());
    let mut second =
        PolicyState { canary, previous, shadow: Some(versions[2].version.clone()), ..first.clone() };
    second.revision = policies.set(&second).await.unwrap();
    assert!(second.revision > first.revision);
    let list = policies.policies().await.unwrap();
    assert_eq!(list.revision, second.revision);
    assert_eq!(policies.policy_revision().await.unwrap(), second.revision);
    assert_eq!(list.versions, [versions[1].clone(), versions[2].clone(), versions[0].clone()]);
    assert_eq!(list.states, [second.clone()]);
    // What stands beside can be taken away again.
    let mut third = PolicyState { canary: None, shadow: None, ..second };
    third.revision = policies.set(&third).await.unwrap();
    assert_eq!(policies.policies().await.unwrap().states, [third]);
}

/// A version belongs to its content for good, also for somebody with the database at hand.
pub async fn a_version_of_a_policy_is_put_once_and_never_changed(store: &dyn StoreUnderTest) {
    let policies = store.policies();
    policies.put(&policy("a", 1)).await.unwrap();
    let other = PolicyVersion { document: serde_json::json!({"order": ["auto"]}), ..policy("a", 1) };
    assert_eq!(policies.put(&other).await.unwrap_err().kind(), PolicyStoreErrorKind::Duplicate);
    // Another name may have the same content.
    policies.put(&PolicyVersion { name: "b".to_owned(), ..policy("a", 1) }).await.unwrap();
    let before = policies.policies().await.unwrap();
    for statement in ["update policy_version set document = '{}'", "delete from policy_version"] {
        let error = store.execute(statement).await.unwrap_err();
        assert!(error.contains("insert-only"), "{error}");
    }
    assert_eq!(policies.policies().await.unwrap(), before);
}

/// Two operators cannot undo each other's change unseen.
pub async fn a_policy_that_was_changed_meanwhile_is_not_overwritten(store: &dyn StoreUnderTest) {
    let policies = store.policies();
    let (one, two) = (policy("a", 1), policy("a", 2));
    policies.put(&one).await.unwrap();
    policies.put(&two).await.unwrap();
    let fresh = state(&one);
    let mut seen = fresh.clone();
    seen.revision = policies.set(&fresh).await.unwrap();
    assert_eq!(policies.set(&fresh).await.unwrap_err().kind(), PolicyStoreErrorKind::Conflict);
    let mut moved = PolicyState { active: two.version, ..seen.clone() };
    moved.revision = policies.set(&moved).await.unwrap();
    assert_eq!(policies.set(&seen).await.unwrap_err().kind(), PolicyStoreErrorKind::Conflict);
    let list = policies.policies().await.unwrap();
    assert_eq!(list.states, [moved]);
    assert_eq!(list.revision, policies.policy_revision().await.unwrap());
}

/// What is in force was put before, under that name.
pub async fn a_version_that_was_never_put_is_never_in_force(store: &dyn StoreUnderTest) {
    let policies = store.policies();
    let known = policy("a", 1);
    policies.put(&known).await.unwrap();
    policies.put(&policy("b", 2)).await.unwrap();
    let before = policies.policies().await.unwrap();
    let elsewhere = policy("b", 2).version;
    let canary = Canary { version: elsewhere.clone(), percent: 5 };
    for wrong in [
        state(&policy("c", 1)),
        PolicyState { active: elsewhere.clone(), ..state(&known) },
        PolicyState { previous: Some(elsewhere.clone()), ..state(&known) },
        PolicyState { canary: Some(canary), ..state(&known) },
        PolicyState { shadow: Some(elsewhere), ..state(&known) },
    ] {
        let error = policies.set(&wrong).await.unwrap_err();
        assert_eq!(error.kind(), PolicyStoreErrorKind::NotFound, "{wrong:?}");
    }
    assert_eq!(policies.policies().await.unwrap(), before);
}

/// Changes at the same moment are put in one order.
pub async fn policy_changes_at_once_are_all_counted(store: &dyn StoreUnderTest) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let policies = store.policies();
        tasks.spawn(async move { policies.put(&policy("a", number)).await.unwrap() });
    }
    let mut revisions = tasks.join_all().await;
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!(revisions.len(), 16);
    let list = store.policies().policies().await.unwrap();
    assert_eq!(list.versions.len(), 16);
    assert_eq!(Some(&list.revision), revisions.last());
}

const DEADLINE: Duration = Duration::from_secs(60);
const NOW_MS: u64 = 1_700_000_000_000;

#[derive(Clone, Copy, Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }
}

/// A clock that always shows the same other time.
#[derive(Clone, Copy, Debug)]
struct ClockAt(u64);

impl Clock for ClockAt {
    fn now_ms(&self) -> u64 {
        self.0
    }
}

fn signer() -> CheckpointSigner {
    CheckpointSigner::from_seed(&[7; 32]).unwrap()
}

async fn check(store: &dyn StoreUnderTest, held: &[baton_audit::Checkpoint]) -> VerifyReport {
    let keys: [CheckpointKey; 1] = [signer().public_key()];
    verify(&*store.audit(), VerifyOptions { held, ..VerifyOptions::new(&keys) }).await.unwrap()
}

/// A journal's directory; each call is the next process in it.
struct Life {
    dir: TempDir,
    segment_bytes: u64,
    clock: Arc<dyn Clock>,
}

impl Life {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), segment_bytes: 1 << 20, clock: Arc::new(FixedClock) }
    }

    /// At another time.
    fn at(now_ms: u64) -> Self {
        Self { clock: Arc::new(ClockAt(now_ms)), ..Self::new() }
    }

    /// With room for a large batch in one segment.
    fn roomy() -> Self {
        Self { segment_bytes: 400 << 20, ..Self::new() }
    }

    fn open(&self, store: Arc<dyn AuditStore>, entries: usize) -> (Arc<Journal>, Relay) {
        let options = JournalOptions {
            segment_bytes: self.segment_bytes,
            clock: Arc::clone(&self.clock),
            ..JournalOptions::new(self.dir.path(), signer(), "test")
        };
        let (journal, recovered) = Journal::open(options).unwrap();
        assert_eq!(recovered.quarantined, []);
        let journal = Arc::new(journal);
        let options =
            RelayOptions { batch_entries: entries, batch_bytes: 64 << 20, ..RelayOptions::STANDARD };
        let relay = Relay::new(Arc::clone(&journal), store, options);
        (journal, relay)
    }

    /// What a relay sends of a process that writes these records and stops in order.
    async fn batches(&self, records: &[Record], entries: usize) -> Vec<Batch> {
        let store = Arc::new(Recorder::default());
        let (journal, relay) = self.open(Arc::clone(&store) as Arc<dyn AuditStore>, entries);
        for record in records {
            journal.append(record).unwrap();
        }
        journal.close().await.unwrap();
        assert!(relay.drain(DEADLINE).await);
        store.of(journal.boot())
    }

    /// The same of a process that was killed.
    async fn killed(&self, records: &[Record]) -> Vec<Batch> {
        let store = Arc::new(Recorder::default());
        let (journal, relay) = self.open(Arc::clone(&store) as Arc<dyn AuditStore>, 100);
        for record in records {
            journal.append(record).unwrap();
        }
        let receipt = journal.append(&Record::Change(change())).unwrap();
        journal.synced(&receipt).await.unwrap();
        assert!(relay.drain(DEADLINE).await);
        store.of(journal.boot())
    }

    /// What a relay sends of the last process, in batches of another size.
    async fn replayed(&self, entries: usize) -> Vec<Batch> {
        let store = Arc::new(Recorder::default());
        let (journal, relay) = self.open(Arc::clone(&store) as Arc<dyn AuditStore>, entries);
        assert!(relay.drain(DEADLINE).await);
        let own = journal.boot();
        store.all().into_iter().filter(|batch| batch.blocks[0].boot != own).collect()
    }
}

/// Takes batches and keeps them.
#[derive(Default)]
struct Recorder {
    batches: Mutex<Vec<Batch>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    fn all(&self) -> Vec<Batch> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn of(&self, boot: BootId) -> Vec<Batch> {
        self.all().into_iter().filter(|batch| batch.blocks[0].boot == boot).collect()
    }
}

impl AuditStore for Recorder {
    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).push(batch.clone());
        Box::pin(async { Ok(()) })
    }

    fn cursor(&self, _: BootId) -> BoxFuture<'_, Result<Option<ChainHead>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn decision(&self, _: DecisionId) -> BoxFuture<'_, Result<Option<StoredDecision>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn run(&self, _: RunId) -> BoxFuture<'_, Result<Vec<StoredDecision>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn list<'a>(&'a self, _: &'a ListQuery) -> BoxFuture<'a, Result<StoredPage, StoreError>> {
        Box::pin(async { Ok(StoredPage::default()) })
    }

    fn chains(&self) -> BoxFuture<'_, Result<Vec<Chain>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn blocks(&self, _: BootId, _: u64, _: u32) -> BoxFuture<'_, Result<Vec<Block>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn rows(&self, _: BootId, _: u64, _: u64) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn strays(&self, _: u32) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn document<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Document>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn corrections<'a>(
        &'a self,
        _: &'a [DecisionId],
    ) -> BoxFuture<'a, Result<Vec<CorrectionRow>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

/// A log of three lives, the first of which was killed, to be tampered with.
struct Log {
    batches: Vec<Batch>,
    entries: u64,
    held: Vec<baton_audit::Checkpoint>,
}

impl Log {
    const DECISIONS: u64 = 30;

    async fn written(store: &dyn StoreUnderTest) -> Self {
        let life = Life::new();
        let mut batches = life.killed(&requests(0..10)).await;
        batches.extend(life.batches(&with_document(requests(10..20)), 5).await);
        batches.extend(life.batches(&requests(20..30), 7).await);
        commit(&store.audit(), &batches).await;
        let entries =
            batches.iter().map(|batch| batch.blocks[0].last_seq - batch.blocks[0].first_seq + 1).sum();
        let head = head_of(batches.last().unwrap());
        let held = vec![signer().sign(NOW_MS, head)];
        Self { batches, entries, held }
    }

    /// The batches of the life in the middle.
    fn middle(&self) -> Vec<&Batch> {
        let boot = self
            .batches
            .iter()
            .map(|batch| batch.blocks[0].boot)
            .find(|boot| *boot != self.batches[0].blocks[0].boot);
        self.batches.iter().filter(|batch| Some(batch.blocks[0].boot) == boot).collect()
    }

    #[expect(clippy::too_many_lines, reason = "a flat list of like things")]
    fn changes(&self) -> Vec<Tampering> {
        let middle = self.middle();
        let boot = middle[0].blocks[0].boot;
        let first = &middle[1].blocks[0];
        let row = middle[1].decisions.first().unwrap();
        let block = |name, place: u64, changed: Block, whole: &Block| Tampering {
            name,
            place: (boot, place..=place),
            deed: Deed::Block { changed: changed.into(), whole: whole.clone().into() },
        };
        let rows = |name, place: u64, deed: String, undo: String| Tampering {
            name,
            place: (boot, place..=place),
            deed: Deed::Statements { deed: vec![deed], undo: vec![undo] },
        };
        let mut changes = vec![
            Tampering {
                name: "a flipped bit in a block",
                place: (boot, first.first_seq..=first.last_seq),
                deed: Deed::Block { changed: flipped(first).into(), whole: first.clone().into() },
            },
            block(
                "the content of another block",
                first.first_seq,
                swapped(first, &middle[2].blocks[0]),
                first,
            ),
            Tampering {
                name: "a block with another end",
                place: (boot, first.first_seq..=first.last_seq),
                deed: Deed::Block { changed: shortened(first).into(), whole: first.clone().into() },
            },
            block(
                "a block with another hash before it",
                first.first_seq,
                Block { previous: first.last, ..first.clone() },
                first,
            ),
        ];
        let outcomes = middle.iter().flat_map(|batch| &batch.outcomes);
        let ended = outcomes.clone().find(|outcome| outcome.decision == row.id).unwrap().seq;
        for (place, change) in [
            (row.seq, "principal = 'mallory'"),
            (row.seq, "reason_code = 'only_model '"),
            (row.seq, "run = 'run_00000000000000000000000000000000'"),
            (row.seq, "at_ms = at_ms + 1"),
            (row.seq, "to_model = null"),
            (row.seq, "to_target = 'other/model'"),
            (row.seq, "config = ''"),
            (row.seq, "requested = '[]'"),
            (row.seq, "kind = 'stay'"),
            (ended, "status = 'failed'"),
            (ended, "cost_nano = 1"),
            (ended, "input_tokens = null"),
            (ended, "ended_ms = 0"),
            (ended, "status = null, outcome_seq = null"),
            (ended + 1, "outcome_seq = outcome_seq + 1"),
        ] {
            let is_row = format!("id = '{}'", row.id);
            changes.push(rows(
                change,
                place,
                format!(
                    "create table kept as select * from decision where {is_row}; \
                     update decision set {change} where {is_row}"
                ),
                format!(
                    "delete from decision where {is_row}; \
                     insert into decision select * from kept; drop table kept"
                ),
            ));
        }
        let keep = |table: &str, condition: &str| {
            format!("create table kept as select * from {table} where {condition}")
        };
        let restore = |table: &str| format!("insert into {table} select * from kept; drop table kept");
        let id = format!("id = '{}'", row.id);
        changes.push(rows(
            "a deleted decision",
            row.seq,
            format!("{}; delete from decision where {id}", keep("decision", &id)),
            restore("decision"),
        ));
        let is_block = format!("boot = '{boot}' and first_seq = {}", first.first_seq);
        changes.push(rows(
            "a deleted block",
            first.first_seq,
            format!("{}; delete from audit_block where {is_block}", keep("audit_block", &is_block)),
            restore("audit_block"),
        ));
        let last = &middle[middle.len() - 1].blocks[0];
        let is_last = format!("boot = '{boot}' and first_seq = {}", last.first_seq);
        changes.push(Tampering {
            name: "a deleted last block",
            // The end of the chain differs from there on, too.
            place: (boot, last.first_seq - 1..=last.first_seq),
            deed: Deed::Statements {
                deed: vec![format!(
                    "{}; delete from audit_block where {is_last}",
                    keep("audit_block", &is_last)
                )],
                undo: vec![restore("audit_block")],
            },
        });
        let before = &middle[middle.len() - 2].blocks[0];
        let is_chain = format!("boot = '{boot}'");
        changes.push(Tampering {
            name: "a cut tail, the table of chains adjusted",
            place: (boot, last.first_seq..=last.last_seq),
            deed: Deed::Statements {
                deed: vec![
                    keep("audit_block", &is_last),
                    format!("create table kept_chain as select * from audit_chain where {is_chain}"),
                    format!("delete from audit_block where {is_last}"),
                    format!(
                        "update audit_chain set last_seq = {}, last_hash = '{}', stopped_ms = null where {is_chain}",
                        before.last_seq, before.last
                    ),
                ],
                undo: vec![
                    restore("audit_block"),
                    format!("delete from audit_chain where {is_chain}"),
                    "insert into audit_chain select * from kept_chain; drop table kept_chain".to_owned(),
                ],
            },
        });
        changes.push(Tampering {
            name: "a chain that disappeared whole",
            place: (boot, 1..=last.last_seq),
            deed: Deed::Statements {
                deed: vec![
                    format!("create table kept_block as select * from audit_block where {is_chain}"),
                    format!("create table kept_chain as select * from audit_chain where {is_chain}"),
                    format!("create table kept as select * from decision where {is_chain}"),
                    format!("delete from audit_block where {is_chain}"),
                    format!("delete from audit_chain where {is_chain}"),
                    format!("delete from decision where {is_chain}"),
                ],
                undo: vec![
                    "insert into audit_block select * from kept_block; drop table kept_block".to_owned(),
                    "insert into audit_chain select * from kept_chain; drop table kept_chain".to_owned(),
                    restore("decision"),
                ],
            },
        });
        let invented = row.id.to_string().replace("dec_", "dec_0");
        let invented: String = invented.chars().take(36).collect();
        changes.push(rows(
            "an invented decision in a place that has one",
            first.last_seq + 1_000,
            format!(
                "create table kept as select * from decision where {id}; update kept set id = '{invented}', seq = {}; insert into decision select * from kept; drop table kept",
                first.last_seq + 1_000
            ),
            format!("delete from decision where id = '{invented}'"),
        ));
        let document = document(1).hash;
        changes.push(rows(
            "an edited document",
            middle.iter().find(|batch| !batch.documents.is_empty()).unwrap().blocks[0].first_seq,
            format!("update document set kind = 'other' where hash = '{document}'"),
            format!("update document set kind = 'config' where hash = '{document}'"),
        ));
        changes
    }
}

/// A change that somebody with access to the database could make.
struct Tampering {
    name: &'static str,
    place: (BootId, std::ops::RangeInclusive<u64>),
    deed: Deed,
}

enum Deed {
    Block { changed: Box<Block>, whole: Box<Block> },
    Statements { deed: Vec<String>, undo: Vec<String> },
}

impl Tampering {
    async fn make(&self, store: &dyn StoreUnderTest) {
        match &self.deed {
            Deed::Block { changed, .. } => store.replace_block(changed).await,
            Deed::Statements { deed, .. } => run(store, deed, self.name).await,
        }
    }

    async fn undo(&self, store: &dyn StoreUnderTest) {
        match &self.deed {
            Deed::Block { whole, .. } => store.replace_block(whole).await,
            Deed::Statements { undo, .. } => run(store, undo, self.name).await,
        }
    }
}

async fn run(store: &dyn StoreUnderTest, statements: &[String], name: &str) {
    for statement in statements.iter().flat_map(|statements| statements.split("; ")) {
        if let Err(error) = store.execute(statement).await {
            panic!("{name}: `{statement}`: {error}");
        }
    }
}

fn flipped(block: &Block) -> Block {
    let mut changed = block.clone();
    let middle = changed.body.len() / 2;
    changed.body[middle] ^= 1;
    changed
}

fn swapped(block: &Block, other: &Block) -> Block {
    Block { body: other.body.clone(), raw_bytes: other.raw_bytes, ..block.clone() }
}

fn shortened(block: &Block) -> Block {
    Block { last_seq: block.last_seq - 1, ..block.clone() }
}

async fn commit(audit: &Arc<dyn AuditStore>, batches: &[Batch]) {
    for batch in batches {
        audit.commit(batch).await.unwrap();
    }
}

/// Every row of a query, page by page.
async fn all(audit: &Arc<dyn AuditStore>, query: ListQuery, limit: u32) -> Vec<StoredDecision> {
    let mut rows: Vec<StoredDecision> = Vec::new();
    let mut start = PageStart::Newest;
    loop {
        let page = audit.list(&ListQuery { start, limit, ..query.clone() }).await.unwrap();
        rows.extend(page.rows);
        match rows.last().filter(|_| page.has_more) {
            Some(last) => start = PageStart::After(last.row.id),
            None => return rows,
        }
    }
}

fn ids(rows: &[StoredDecision]) -> Vec<DecisionId> {
    rows.iter().map(|stored| stored.row.id).collect()
}

fn head_of(batch: &Batch) -> ChainHead {
    let block = batch.blocks.last().unwrap();
    ChainHead { boot: block.boot, seq: block.last_seq, hash: block.last.to_string() }
}

/// Decisions with their outcomes, interleaved as under load: each ends two requests later.
fn requests(numbers: std::ops::Range<u64>) -> Vec<Record> {
    let mut records = Vec::new();
    let (first, end) = (numbers.start, numbers.end);
    for number in first..end + 2 {
        if number < end {
            records.push(Record::Decision(Box::new(decision(number))));
        }
        if number >= first + 2 {
            records.push(Record::Outcome(Box::new(outcome(number - 2))));
        }
    }
    records
}

fn with_document(mut records: Vec<Record>) -> Vec<Record> {
    records.insert(0, Record::Document(document(1)));
    records
}

fn document(number: u64) -> Document {
    Document {
        hash: format!("{number:064x}"),
        kind: "config".to_owned(),
        at_ms: NOW_MS,
        body: serde_json::json!({ "listen": "127.0.0.1:8080", "odd": "\u{1}é", "number": 1.5 }),
    }
}

fn change() -> Change {
    Change {
        at_ms: NOW_MS,
        actor: "cli".to_owned(),
        action: "key.create".to_owned(),
        subject: "key_1".to_owned(),
        detail: serde_json::Value::Null,
    }
}

fn decision_id(number: u64) -> DecisionId {
    DecisionId::from_parts(NOW_MS - 1_000_000 + number, [1; 10])
}

fn run_id(number: u64) -> RunId {
    RunId::from_parts(NOW_MS - 1_000_000 + number, [3; 10])
}

fn decision(number: u64) -> Decision {
    Decision {
        id: decision_id(number),
        run: run_id(number),
        request: RequestId::from_parts(NOW_MS, [4; 10]),
        parent: None,
        at_ms: NOW_MS,
        turn: 1,
        hop: 1,
        kind: DecisionKind::Select,
        principal: "anonymous".to_owned(),
        surface: "/v1/chat/completions".to_owned(),
        requested: vec!["echo/hello".to_owned()],
        from: None,
        to: "echo/hello".parse().ok(),
        to_model: "echo/hello".parse().ok(),
        attempt: true,
        reason: serde_json::from_value(serde_json::json!({
            "code": "only_model", "text": "the client named just this model", "source": "client",
        }))
        .unwrap(),
        planner: 1,
        config: "c0ffee".to_owned(),
        inputs: None,
        table: Vec::new(),
        shadow: None,
        handoff: None,
        tools: Vec::new(),
        steps: Vec::new(),
        dropped_parameters: vec!["logit_bias".to_owned()],
        ignored_parameters: Vec::new(),
        labels: Labels { tags: vec!["a".to_owned()], ..Labels::default() },
    }
}

fn refusal(number: u64) -> Record {
    let decision =
        Decision { kind: DecisionKind::Refuse, to: None, to_model: None, attempt: false, ..decision(number) };
    Record::Decision(Box::new(decision))
}

fn outcome(number: u64) -> Outcome {
    Outcome {
        decision: decision_id(number),
        at_ms: NOW_MS,
        status: OutcomeStatus::Ok,
        fault: Some(FaultKind::Truncated),
        http_status: Some(200),
        finish: Some(FinishReason::Stop),
        usage: Some(Usage {
            input_tokens: 100 + number,
            cached_input_tokens: 40,
            output_tokens: 7,
            reasoning_tokens: 2,
            ..Usage::default()
        }),
        usage_source: Some(UsageSource::Provider),
        cost: Some(NanoUsd(12)),
        first_content_us: Some(3),
        total_us: 9,
        bytes: 30,
        content_sent: true,
        upstream_done: true,
        upstream_id: Some("chatcmpl-1".to_owned()),
        upstream_model: None,
    }
}

fn key(number: u64) -> KeyRecord {
    KeyRecord {
        id: KeyId::from_parts(NOW_MS + number, [5; 10]),
        name: format!("key {number}"),
        mac: mac(number),
        last4: "abcd".to_owned(),
        rotated_from: None,
        role: Role::Use,
        models: None,
        byok: false,
        concurrency: Some(3),
        created_ms: NOW_MS,
        expires_ms: Some(NOW_MS + 1),
        revoked_ms: None,
        revision: 0,
    }
}

fn policy(name: &str, number: u64) -> PolicyVersion {
    PolicyVersion {
        name: name.to_owned(),
        version: format!("{number:064x}"),
        document: serde_json::json!({"switch_margin": number, "note": "' \" \u{1f600}"}),
        created_ms: NOW_MS + number,
        created_by: "cli".to_owned(),
    }
}

fn state(version: &PolicyVersion) -> PolicyState {
    PolicyState {
        name: version.name.clone(),
        active: version.version.clone(),
        previous: None,
        canary: None,
        shadow: None,
        revision: 0,
    }
}

fn mac(number: u64) -> KeyMac {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    KeyMac::from_bytes(bytes)
}
