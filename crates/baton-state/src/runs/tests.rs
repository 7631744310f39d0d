use std::future;
use std::sync::Mutex;

use tokio::sync::Semaphore;

use super::*;
use crate::error::BoxFuture;

#[tokio::test]
async fn steps_that_come_while_one_is_written_are_written_together() {
    let store = Gate::closed();
    let line = Line::default();
    let all = future_of_all((0..70).map(|number| line.take(&store, step(number, 0))));
    let (stepped, ()) = tokio::join!(all, async {
        store.open(100);
    });
    assert!(stepped.into_iter().all(|stepped| stepped.unwrap() == DONE));
    // The first writes for all who stand in the line by then, as many as go in one transaction.
    let sizes: Vec<_> = store.seen().iter().map(Vec::len).collect();
    assert_eq!((sizes.iter().sum::<usize>(), sizes.len()), (70, 3));
}

#[tokio::test]
async fn two_steps_of_one_run_are_never_in_one_transaction() {
    let store = Gate::closed();
    let line = Line::default();
    let steps = [(1, 0), (1, 5), (2, 0), (1, 9)].map(|(run, before)| line.take(&store, step(run, before)));
    let (stepped, ()) = tokio::join!(future_of_all(steps), async {
        store.open(100);
    });
    assert!(stepped.into_iter().all(|stepped| stepped.unwrap() == DONE));
    for batch in store.seen() {
        let mut runs: Vec<_> = batch.iter().map(|(run, _)| run).collect();
        runs.sort();
        runs.dedup();
        assert_eq!(runs.len(), batch.len());
    }
    let befores: Vec<_> = store
        .seen()
        .concat()
        .iter()
        .filter(|(run, _)| *run == run_id(1))
        .map(|(_, before)| *before)
        .collect();
    assert_eq!(befores, [0, 5, 9], "those of a run stay in their order");
}

#[tokio::test]
async fn those_who_wrote_together_fail_together() {
    let store = Gate { fails: true, ..Gate::closed() };
    store.open(100);
    let line = Line::default();
    let stepped = future_of_all((0..3).map(|number| line.take(&store, step(number, 0)))).await;
    for stepped in stepped {
        assert_eq!(stepped.unwrap_err().kind(), StateErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn who_is_dropped_while_it_writes_for_others_leaves_none_waiting() {
    let store = Gate::closed();
    let line = Line::default();
    let mut first = Box::pin(line.take(&store, step(1, 0)));
    let mut second = Box::pin(line.take(&store, step(2, 0)));
    // Both stand in the line, and the first is writing what was there when it began.
    assert!(is_pending(&mut first).await && is_pending(&mut second).await);
    let mut third = Box::pin(line.take(&store, step(3, 0)));
    assert!(is_pending(&mut third).await);
    drop(first);
    store.open(100);
    let (second, third) = tokio::join!(second, third);
    assert_eq!((second.unwrap(), third.unwrap()), (DONE, DONE));
    // Now one that takes others with it.
    let store = Gate::closed();
    let mut first = Box::pin(line.take(&store, step(1, 0)));
    assert!(is_pending(&mut first).await);
    let mut leader = Box::pin(line.take(&store, step(2, 0)));
    let mut follower = Box::pin(line.take(&store, step(3, 0)));
    assert!(is_pending(&mut leader).await && is_pending(&mut follower).await);
    drop(first);
    assert!(is_pending(&mut leader).await, "it writes for both");
    drop(leader);
    assert_eq!(follower.await.unwrap_err().to_string(), "it is not known whether the step was written");
}

#[test]
fn what_is_shown_of_a_step_has_no_content() {
    let secret = RawJson::parse("\"hush\"").unwrap();
    let step = Step::default().checkpoint(secret.clone()).event(secret.clone()).ends("hush", secret);
    assert!(!format!("{step:?}").contains("hush"));
}

#[test]
fn every_status_and_kind_is_read_as_it_is_written() {
    let all = ["queued", "in_progress", "requires_action", "completed", "incomplete", "failed", "cancelled"];
    let ends = all.map(|text| {
        let status: RunStatus = text.parse().unwrap();
        assert_eq!(status.as_str(), text);
        status.is_end()
    });
    assert_eq!(ends, [false, false, false, true, true, true, true]);
    assert!("done".parse::<RunStatus>().is_err());
    for text in ["response", "run"] {
        assert_eq!(text.parse::<RunKind>().unwrap().as_str(), text);
    }
    assert!("walk".parse::<RunKind>().is_err());
}

const DONE: Stepped = Stepped::Done { cancelled: false };

fn run_id(number: u8) -> RunId {
    RunId::from_parts(1, [number; 10])
}

fn step(run: u8, before: u64) -> StepRow {
    StepRow {
        run: run_id(run),
        epoch: 1,
        before,
        now_ms: 1,
        checkpoint: None,
        events: None,
        calls: Vec::new(),
        then: Then::Hold { until_ms: 2 },
    }
}

/// Polled in turn: those that come later stand behind in the line.
async fn future_of_all<T>(all: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut heard: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    future::poll_fn(move |context| {
        for (waiting, heard) in waiting.iter_mut().zip(&mut heard) {
            if heard.is_none()
                && let std::task::Poll::Ready(value) = waiting.as_mut().poll(context)
            {
                *heard = Some(value);
            }
        }
        if heard.iter().all(Option::is_some) {
            std::task::Poll::Ready(heard.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

async fn is_pending(of: &mut (impl Future + Unpin)) -> bool {
    future::poll_fn(|context| std::task::Poll::Ready(std::pin::Pin::new(&mut *of).poll(context).is_pending()))
        .await
}

/// A store that writes when it is let.
#[derive(Debug)]
struct Gate {
    permits: Semaphore,
    seen: Mutex<Vec<Vec<(RunId, u64)>>>,
    fails: bool,
}

impl Gate {
    fn closed() -> Self {
        Self { permits: Semaphore::new(0), seen: Mutex::default(), fails: false }
    }

    fn open(&self, times: usize) {
        self.permits.add_permits(times);
    }

    fn seen(&self) -> Vec<Vec<(RunId, u64)>> {
        self.seen.lock().unwrap().clone()
    }
}

fn refuse<T: Send + 'static>() -> BoxFuture<'static, Result<T, StateError>> {
    Box::pin(future::ready(Err(StateError::new(StateErrorKind::Rejected, "nothing but steps"))))
}

impl RunStore for Gate {
    fn take_steps<'a>(&'a self, steps: &'a [StepRow]) -> BoxFuture<'a, Result<Vec<Stepped>, StateError>> {
        Box::pin(async move {
            self.permits.acquire().await.unwrap().forget();
            self.seen.lock().unwrap().push(steps.iter().map(|step| (step.run, step.before)).collect());
            if self.fails {
                return Err(StateError::new(StateErrorKind::Unavailable, "away"));
            }
            Ok(steps.iter().map(|_| DONE).collect())
        })
    }

    fn insert_run<'a>(&'a self, _run: &'a NewRunRow) -> BoxFuture<'a, Result<(), StateError>> {
        refuse()
    }

    fn claim_runs<'a>(&'a self, _claim: &'a Claim) -> BoxFuture<'a, Result<Vec<ClaimedRow>, StateError>> {
        refuse()
    }

    fn renew_runs<'a>(
        &'a self,
        _leases: &'a [LeaseRow],
        _until_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Renewed>, StateError>> {
        refuse()
    }

    fn cancel_run<'a>(
        &'a self,
        _principal: &'a str,
        _id: RunId,
        _now_ms: u64,
    ) -> BoxFuture<'a, Result<Option<RunRow>, StateError>> {
        refuse()
    }

    fn wake_run<'a>(&'a self, _wake: &'a Wake) -> BoxFuture<'a, Result<Option<Woken>, StateError>> {
        refuse()
    }

    fn run<'a>(
        &'a self,
        _principal: &'a str,
        _id: RunId,
        _now_ms: u64,
    ) -> BoxFuture<'a, Result<Option<WholeRunRow>, StateError>> {
        refuse()
    }

    fn delete_run<'a>(
        &'a self,
        _principal: &'a str,
        _id: RunId,
        _now_ms: u64,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        refuse()
    }

    fn runs<'a>(&'a self, _page: &'a RunPage) -> BoxFuture<'a, Result<Vec<RunRow>, StateError>> {
        refuse()
    }

    fn run_events<'a>(
        &'a self,
        _page: &'a EventPage,
    ) -> BoxFuture<'a, Result<Option<EventRows>, StateError>> {
        refuse()
    }

    fn drop_expired_runs(&self, _now_ms: u64, _limit: u32) -> BoxFuture<'_, Result<u64, StateError>> {
        refuse()
    }

    fn count_runs<'a>(&'a self, _subject: &'a Subject) -> BoxFuture<'a, Result<u64, StateError>> {
        refuse()
    }

    fn erase_runs<'a>(
        &'a self,
        _subject: &'a Subject,
        _limit: u32,
    ) -> BoxFuture<'a, Result<u64, StateError>> {
        refuse()
    }
}
