//! Says what every store of responses and runs must do, as tests that each store runs over itself.
//!
//! Most tests go through `Responses` and `Runs`, with the real cipher: what is asked of a store is what
//! these two promise. Time is a number that a test moves; two processes are two `Runs` over one store.
//!
//! - Start with [`StateUnderTest`].
//! - **Invariant:** a test starts with an empty store, and needs no other test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests, kept in a library so that both stores can run them"
)]

pub mod responses;
pub mod runs;
pub mod walk;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use baton_access::{Label, MasterKey, Sealer};
use baton_model::{RawJson, RequestId, RunId};
use baton_state::idempotency::Clock;
use baton_state::responses::{
    Bounds, Keeping, NewResponse, ResponseId, ResponseStatus, ResponseStore, items,
};
use baton_state::runs::{Leasing, NewRun, RunKind, RunStore};
use baton_state::{Place, Responses, Runs, Seal, SealError, Subject};
use futures_util::future::BoxFuture;

/// A fresh, empty store, and a way past it to its database.
pub trait StateUnderTest: Send + Sync {
    /// The responses.
    fn responses(&self) -> Arc<dyn ResponseStore>;

    /// The runs.
    fn runs(&self) -> Arc<dyn RunStore>;

    /// Runs a statement as somebody with access to the database. The error is the database's text.
    fn execute<'a>(&'a self, statement: &'a str) -> BoxFuture<'a, Result<u64, String>>;

    /// What shows a column in capitals, bytes as their digits.
    fn shown(&self, column: &str) -> String;

    /// Clears up after a test that passed.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Makes one test of each function of the suite. `$open` is an async function without arguments
/// that gives `Option<impl StateUnderTest>`; `None` skips the test, and has said so.
#[macro_export]
macro_rules! state_conformance {
    ($open:path) => {
        $crate::state_conformance! {
            $open =>
            responses:
                a_response_comes_back_as_it_was_stored
                another_principals_response_is_not_there
                a_response_ends_once
                a_response_is_there_until_it_expires
                a_deleted_response_is_gone
                a_conversation_is_read_back_to_its_beginning
                a_conversation_with_a_hole_is_refused
                a_conversation_beyond_its_bounds_is_refused
                a_conversation_goes_on_from_an_end_only
                input_items_are_those_of_the_whole_conversation
                expired_responses_are_dropped_in_batches
                a_subject_is_counted_and_erased_alone
                sealed_content_opens_in_its_own_row_only
                nothing_that_was_said_stands_in_the_open
                an_id_is_taken_once;
            runs:
                a_queued_run_is_claimed_once
                claims_at_once_share_the_runs
                the_run_that_is_due_longest_is_claimed_first
                a_run_of_another_kind_is_left_alone
                a_lease_that_is_over_is_taken_with_a_larger_epoch
                a_step_of_an_epoch_that_is_over_changes_nothing
                takeovers_at_once_leave_one_holder
                a_renewed_lease_is_not_taken
                a_step_that_is_sent_again_counts_once
                an_event_out_of_order_is_refused
                events_are_read_from_any_number_on
                a_page_of_events_ends_with_a_batch
                an_event_log_is_bounded_and_the_end_still_goes_in
                a_call_without_a_result_is_of_unknown_outcome
                a_call_is_begun_again_only_by_who_says_so
                a_run_rests_until_it_is_due
                a_run_that_requires_action_goes_on_with_its_answer
                an_answer_that_nobody_waits_for_is_told_apart
                a_cancelled_run_is_told_to_its_holder
                a_cancelled_run_that_nobody_holds_is_due
                a_run_that_ended_stays_as_it_ended
                runs_are_listed_in_pages_both_ways
                another_principals_run_is_not_there
                expired_runs_go_with_all_that_belongs_to_them
                an_erased_run_is_lost_to_its_holder
                a_deleted_run_is_lost_to_its_holder
                steps_of_many_runs_go_in_together;
            walk:
                two_holders_at_once_leave_a_gapless_log
                crashes_lose_and_repeat_nothing;
        }
    };
    ($open:path => $($module:ident: $($test:ident)+;)+) => {
        $(
            mod $module {
                use super::*;
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $test() {
                        if let Some(store) = $open().await {
                            $crate::state_conformance::$module::$test(&store).await;
                            $crate::state_conformance::StateUnderTest::close(&store).await;
                        }
                    }
                )+
            }
        )+
    };
}

/// The cipher of the real process.
#[derive(Debug)]
struct Sealing(Sealer);

impl Seal for Sealing {
    fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.0.seal(&place.context(), plain).map_err(SealError::new)
    }

    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.0.open(&place.context(), sealed).map_err(SealError::new)
    }
}

fn sealing() -> Arc<dyn Seal> {
    let master = MasterKey::from_text("0123456789abcdef0123456789abcdef").unwrap();
    Arc::new(Sealing(Sealer::new(&master.derive(Label::Sealing))))
}

/// A time that a test moves.
#[derive(Clone, Debug)]
struct Time(Arc<AtomicU64>);

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const LEASE_MS: u64 = 30_000;

impl Time {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_790_000_000_000)))
    }

    fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn clock(&self) -> Clock {
        let time = self.clone();
        Box::new(move || time.now())
    }
}

/// One process over the store.
fn process(store: &dyn StateUnderTest, time: &Time, owner: &str) -> Runs {
    let leasing = Leasing { lease: Duration::from_millis(LEASE_MS), ..Leasing::STANDARD };
    Runs::new(store.runs(), sealing(), time.clock(), leasing, owner)
}

fn archive(store: &dyn StateUnderTest, time: &Time) -> Responses {
    archive_with(store, time, Keeping::STANDARD.bounds)
}

fn archive_with(store: &dyn StateUnderTest, time: &Time, bounds: Bounds) -> Responses {
    let keeping = Keeping { bounds, ..Keeping::STANDARD };
    Responses::new(store.responses(), sealing(), time.clock(), keeping)
}

const OWN: &str = "key_own";
const OTHER: &str = "key_other";

fn response_id(number: u8) -> ResponseId {
    ResponseId::of(RequestId::from_parts(1_790_000_000_000 + u64::from(number), [number; 10]))
}

fn run_id(number: u8) -> RunId {
    RunId::from_parts(1_790_000_000_000 + u64::from(number), [number; 10])
}

fn json(text: &str) -> RawJson {
    RawJson::parse(text).unwrap()
}

/// A response of this number to a text, that goes on from another.
async fn say(
    archive: &Responses,
    number: u8,
    previous: Option<u8>,
    status: ResponseStatus,
    text: &str,
) -> ResponseId {
    say_of(archive, OWN, &Subject::principal(OWN), number, previous, status, text).await
}

async fn say_of(
    archive: &Responses,
    principal: &str,
    subject: &Subject,
    number: u8,
    previous: Option<u8>,
    status: ResponseStatus,
    text: &str,
) -> ResponseId {
    let id = response_id(number);
    let input = serde_json::Value::from(text).to_string();
    let input = items::of_request(id, input.as_bytes()).unwrap();
    let body = json(&said(number, text));
    let previous = previous.map(response_id);
    let new = NewResponse { id, principal, subject, run: None, previous, status, input: &input, body: &body };
    archive.create(&new).await.unwrap();
    id
}

/// The object of the response of this number.
fn said(number: u8, text: &str) -> String {
    let answer = format!("answer to {text}");
    let content = serde_json::json!([{"type": "output_text", "text": answer, "annotations": []}]);
    let item = serde_json::json!({"id": format!("msg_{number}"), "type": "message", "role": "assistant",
        "status": "completed", "content": content});
    serde_json::json!({"id": response_id(number).to_string(), "object": "response", "output": [item]})
        .to_string()
}

async fn queue(runs: &Runs, number: u8) -> RunId {
    let subject = Subject::principal(OWN);
    let request = json(&format!(r#"{{"do":{number}}}"#));
    let id = run_id(number);
    let new = NewRun { id, kind: RunKind::Response, principal: OWN, subject: &subject, request: &request };
    runs.queue(&new).await.unwrap();
    id
}
