//! What is asked of a store of runs.

use std::collections::{BTreeMap, BTreeSet};

use baton_model::{RawJson, RunId};
use baton_state::runs::{
    CallState, Claimed, Lease, MOST_EVENT_BYTES, NewBatch, NewRun, Refusal, RunKind, RunPageStart, RunStatus,
    Step, StepError, StepRow, Stepped, Then, Woken,
};
use baton_state::{Runs, Subject};

use super::{DAY_MS, LEASE_MS, OTHER, OWN, StateUnderTest, Time, json, process, queue, run_id};

/// With all that it was queued with.
pub async fn a_queued_run_is_claimed_once(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (a, b) = (process(store, &time, "a"), process(store, &time, "b"));
    let id = queue(&a, 1).await;
    let seen = a.get(OWN, id).await.unwrap().unwrap();
    assert_eq!((seen.run.status, seen.run.epoch, seen.run.events), (RunStatus::Queued, 0, 0));
    let claimed = one(&b).await;
    assert_eq!((claimed.lease.run(), claimed.lease.epoch(), claimed.lease.events()), (id, 1, 0));
    assert_eq!((claimed.principal.as_str(), claimed.lease.subject()), (OWN, &Subject::principal(OWN)));
    assert_eq!((claimed.request, claimed.checkpoint, claimed.answer), (json(r#"{"do":1}"#), None, None));
    assert_eq!((claimed.created_ms, claimed.cancelled), (time.now(), false));
    assert!(none(&a).await && none(&b).await);
    let seen = a.get(OWN, id).await.unwrap().unwrap();
    assert_eq!(seen.run.status, RunStatus::InProgress);
    assert_eq!((seen.run.owner.as_deref(), seen.run.due_ms), (Some("b"), Some(time.now() + LEASE_MS)));
    // One that is held from the beginning is nobody else's either.
    let subject = Subject::principal(OWN);
    let request = json("{}");
    let new = NewRun {
        id: run_id(2),
        kind: RunKind::Response,
        principal: OWN,
        subject: &subject,
        request: &request,
    };
    let lease = a.begin(&new).await.unwrap();
    assert_eq!((lease.run(), lease.epoch(), lease.events()), (run_id(2), 1, 0));
    assert!(none(&b).await);
    time.pass(LEASE_MS);
    let epochs: Vec<_> = all(&b).await.iter().map(|claimed| claimed.lease.epoch()).collect();
    assert_eq!(epochs, [2, 2]);
}

/// Each goes to one, none to nobody.
pub async fn claims_at_once_share_the_runs(store: &dyn StateUnderTest) {
    let time = Time::new();
    let queuer = process(store, &time, "queuer");
    let mut expected = BTreeSet::new();
    for number in 0..60 {
        expected.insert(queue(&queuer, number).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..6 {
        let runs = process(store, &time, &format!("owner {number}"));
        tasks.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let claimed = runs.claim(RunKind::Response, 4).await.unwrap();
                if claimed.is_empty() {
                    return mine;
                }
                assert!(claimed.len() <= 4);
                mine.extend(claimed.iter().map(|claimed| (claimed.lease.run(), claimed.lease.epoch())));
            }
        });
    }
    let taken = tasks.join_all().await.concat();
    assert_eq!(taken.len(), 60);
    assert!(taken.iter().all(|(_, epoch)| *epoch == 1));
    let taken: BTreeSet<_> = taken.into_iter().map(|(run, _)| run).collect();
    // A claim skips what another one is about to take, so what is left is left to the next.
    assert_eq!(taken, expected);
}

/// So none waits for ever.
pub async fn the_run_that_is_due_longest_is_claimed_first(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    for number in [3, 1, 2] {
        queue(&runs, number).await;
        time.pass(1);
    }
    for number in [3, 1, 2] {
        let claimed = runs.claim(RunKind::Response, 1).await.unwrap();
        assert_eq!(claimed.iter().map(|claimed| claimed.lease.run()).collect::<Vec<_>>(), [run_id(number)]);
    }
}

/// Whoever drives one kind does not know what another one needs.
pub async fn a_run_of_another_kind_is_left_alone(store: &dyn StateUnderTest) {
    let runs = process(store, &Time::new(), "a");
    queue(&runs, 1).await;
    assert!(runs.claim(RunKind::Run, 10).await.unwrap().is_empty());
    assert_eq!(runs.claim(RunKind::Response, 10).await.unwrap().len(), 1);
}

/// Exactly when it is over.
pub async fn a_lease_that_is_over_is_taken_with_a_larger_epoch(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (a, b) = (process(store, &time, "a"), process(store, &time, "b"));
    queue(&a, 1).await;
    let mut dead = one(&a).await.lease;
    let step = Step::default().checkpoint(json(r#"{"at":7}"#)).event(json("0")).event(json("1"));
    a.keep(&mut dead, &step).await.unwrap();
    time.pass(LEASE_MS - 1);
    assert!(none(&b).await);
    time.pass(1);
    let claimed = one(&b).await;
    assert_eq!((claimed.lease.epoch(), claimed.lease.events()), (2, 2));
    assert_eq!(claimed.checkpoint, Some(json(r#"{"at":7}"#)));
    time.pass(LEASE_MS);
    assert_eq!(one(&b).await.lease.epoch(), 3, "its own lease is over too");
}

/// Whichever step it is, and whatever the time.
pub async fn a_step_of_an_epoch_that_is_over_changes_nothing(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (a, b) = (process(store, &time, "a"), process(store, &time, "b"));
    let id = queue(&a, 1).await;
    let mut stale = one(&a).await.lease;
    let step = Step::default().checkpoint(json("\"first\"")).event(json("\"first\""));
    a.keep(&mut stale, &step).await.unwrap();
    time.pass(LEASE_MS);
    let mut lease = one(&b).await.lease;
    let before = a.get(OWN, id).await.unwrap().unwrap();
    let step = Step::default()
        .checkpoint(json("\"stale\""))
        .event(json("\"stale\""))
        .begins("call")
        .ends("call", json("1"));
    for empty in [Step::default(), step] {
        assert!(matches!(a.keep(&mut stale, &empty).await, Err(StepError::Lost)));
        assert!(matches!(
            a.rest(&mut stale, &empty, RunStatus::InProgress, None).await,
            Err(StepError::Lost)
        ));
        let finished = a.finish(&mut stale, &empty, RunStatus::Completed, &json("\"stale\"")).await;
        assert!(matches!(finished, Err(StepError::Lost)));
    }
    assert_eq!(a.renew([&stale]).await.unwrap(), []);
    assert_eq!(a.get(OWN, id).await.unwrap().unwrap(), before);
    assert_eq!(events(&a, id).await, ["\"first\""]);
    b.finish(&mut lease, &Step::default(), RunStatus::Completed, &json("\"right\"")).await.unwrap();
    let finished = a.finish(&mut stale, &Step::default(), RunStatus::Completed, &json("\"stale\"")).await;
    assert!(matches!(finished, Err(StepError::Lost)));
    assert_eq!(a.get(OWN, id).await.unwrap().unwrap().result, Some(json("\"right\"")));
}

/// The old holder comes back at the moment at which several take its run.
pub async fn takeovers_at_once_leave_one_holder(store: &dyn StateUnderTest) {
    let time = Time::new();
    let old = process(store, &time, "old");
    let id = queue(&old, 1).await;
    let mut lease = one(&old).await.lease;
    for round in 0..10_u64 {
        time.pass(LEASE_MS);
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..4 {
            let runs = process(store, &time, &format!("owner {number}"));
            tasks.spawn(async move { runs.claim(RunKind::Response, 1).await.unwrap() });
        }
        let event = json(&round.to_string());
        let said = old.keep(&mut lease, &Step::default().event(event)).await;
        let mut claimed = tasks.join_all().await.into_iter().flatten().collect::<Vec<_>>();
        // The old one was first, and has a lease again; or exactly one other has the run.
        match (said, claimed.pop()) {
            (Ok(_), None) => {}
            (Err(StepError::Lost), Some(now)) => lease = now.lease,
            (said, claimed) => panic!("{said:?} {claimed:?}"),
        }
        assert_eq!(claimed.len(), 0);
        let there = old.get(OWN, id).await.unwrap().unwrap().run;
        assert_eq!((there.epoch, there.events), (lease.epoch(), lease.events()));
    }
}

/// All of a process in one statement; those that were lost are not named.
pub async fn a_renewed_lease_is_not_taken(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (a, b) = (process(store, &time, "a"), process(store, &time, "b"));
    for number in 1..=3 {
        queue(&a, number).await;
    }
    let mut leases: Vec<_> = all(&a).await.into_iter().map(|claimed| claimed.lease).collect();
    leases.sort_by_key(Lease::run);
    a.finish(&mut leases[2], &Step::default(), RunStatus::Completed, &json("1")).await.unwrap();
    time.pass(LEASE_MS - 1);
    let renewed = a.renew(&leases).await.unwrap();
    let renewed: BTreeSet<_> = renewed.into_iter().map(|renewed| (renewed.run, renewed.cancelled)).collect();
    assert_eq!(renewed, [(run_id(1), false), (run_id(2), false)].into());
    time.pass(LEASE_MS - 1);
    assert!(none(&b).await);
    a.keep(&mut leases[0], &Step::default()).await.unwrap();
    time.pass(1);
    assert_eq!(one(&b).await.lease.run(), run_id(2), "a step makes the lease longer too");
    let renewed = a.renew(&leases).await.unwrap();
    assert_eq!(renewed.into_iter().map(|renewed| renewed.run).collect::<Vec<_>>(), [run_id(1)]);
    assert_eq!(a.renew([]).await.unwrap(), []);
}

/// Who did not hear the answer of the store asks again: of any kind of step.
pub async fn a_step_that_is_sent_again_counts_once(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let id = queue(&runs, 1).await;
    drop(one(&runs).await);
    let port = store.runs();
    let step = |before, then| StepRow {
        run: id,
        epoch: 1,
        before,
        now_ms: time.now(),
        checkpoint: Some(vec![1]),
        events: Some(NewBatch { count: 2, bytes: 2, body: vec![2] }),
        calls: Vec::new(),
        then,
    };
    let until_ms = time.now() + LEASE_MS;
    let hold = || Then::Hold { until_ms };
    let twice = async |step: StepRow| {
        let steps = [step];
        let first = port.take_steps(&steps).await.unwrap();
        (first, port.take_steps(&steps).await.unwrap())
    };
    let done = || (vec![Stepped::Done { cancelled: false }], vec![Stepped::Done { cancelled: false }]);
    assert_eq!(twice(step(0, hold())).await, done());
    assert_eq!(twice(step(2, hold())).await, done());
    let quiet = StepRow { events: None, ..step(4, hold()) };
    assert_eq!(twice(quiet).await, done());
    let rest = Then::Rest { status: RunStatus::InProgress, due_ms: Some(time.now()) };
    assert_eq!(twice(step(4, rest)).await, done());
    assert_eq!(one_row(&*port, &time).await, (2, 6));
    let end = || Then::End { status: RunStatus::Completed, result: vec![3], expires_ms: time.now() + DAY_MS };
    let last = StepRow { epoch: 2, ..step(6, end()) };
    assert_eq!(twice(last).await, done());
    let run = port.run(OWN, id, time.now()).await.unwrap().unwrap();
    assert_eq!((run.run.events, run.run.status, run.parts.result), (8, RunStatus::Completed, Some(vec![3])));
    // What is not the same step is not taken for it.
    for other in [
        StepRow { epoch: 2, ..step(8, end()) },
        StepRow { epoch: 2, ..step(4, end()) },
        StepRow { epoch: 2, ..step(6, hold()) },
        StepRow {
            epoch: 2,
            ..step(6, Then::End { status: RunStatus::Failed, result: vec![], expires_ms: u64::MAX })
        },
    ] {
        assert_eq!(port.take_steps(&[other]).await.unwrap(), [Stepped::Lost]);
    }
}

/// A holder that does not know what was told tells nothing.
pub async fn an_event_out_of_order_is_refused(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let id = queue(&runs, 1).await;
    let mut lease = one(&runs).await.lease;
    for number in 0..3 {
        runs.keep(&mut lease, &Step::default().event(json(&number.to_string()))).await.unwrap();
    }
    let port = store.runs();
    for before in [0, 1, 4] {
        let step = StepRow {
            run: id,
            epoch: 1,
            before,
            now_ms: time.now(),
            checkpoint: Some(vec![1]),
            events: Some(NewBatch { count: 1, bytes: 1, body: vec![1] }),
            calls: Vec::new(),
            then: Then::Hold { until_ms: u64::MAX },
        };
        let refused = Stepped::Refused(Refusal::OutOfOrder { said: before, there: 3 });
        assert_eq!(port.take_steps(&[step]).await.unwrap(), [refused]);
    }
    assert_eq!(events(&runs, id).await, ["0", "1", "2"]);
    assert_eq!(runs.get(OWN, id).await.unwrap().unwrap().checkpoint, None);
}

/// From the middle of a batch too; behind the last there is none.
pub async fn events_are_read_from_any_number_on(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let id = queue(&runs, 1).await;
    let mut lease = one(&runs).await.lease;
    let text = |number: u64| json(&format!(r#"{{"n":{number},"t":"'\u0000日本"}}"#));
    for numbers in [0..1, 1..4, 4..4, 4..9, 9..10] {
        runs.keep(&mut lease, &Step::default().events(numbers.map(text))).await.unwrap();
    }
    assert_eq!(lease.events(), 10);
    for from in 0..12 {
        let read = runs.events(OWN, id, from, u64::MAX).await.unwrap().unwrap();
        let expected: Vec<_> = (from..10).map(|number| (number, text(number))).collect();
        assert_eq!(read.events, expected, "from {from}");
        assert_eq!(read.next(from), (from.max(10), false));
    }
    runs.finish(&mut lease, &Step::default().event(text(10)), RunStatus::Completed, &json("1"))
        .await
        .unwrap();
    let read = runs.events(OWN, id, 10, u64::MAX).await.unwrap().unwrap();
    assert_eq!((read.events.len(), read.next(10)), (1, (11, true)));
    let read = runs.events(OWN, id, 11, u64::MAX).await.unwrap().unwrap();
    assert_eq!((read.events.len(), read.next(11)), (0, (11, true)));
    assert!(runs.events(OTHER, id, 0, u64::MAX).await.unwrap().is_none());
    assert!(runs.events(OWN, run_id(9), 0, u64::MAX).await.unwrap().is_none());
}

/// At least one, whatever it has.
pub async fn a_page_of_events_ends_with_a_batch(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let id = queue(&runs, 1).await;
    let mut lease = one(&runs).await.lease;
    // `["0123456789"]` has 14 bytes.
    for _ in 0..300 {
        runs.keep(&mut lease, &Step::default().event(json("\"0123456789\""))).await.unwrap();
    }
    for (bytes, expected) in [(0, 1), (1, 1), (14, 1), (15, 2), (28, 2), (29, 3), (u64::MAX, 256)] {
        let read = runs.events(OWN, id, 5, bytes).await.unwrap().unwrap();
        assert_eq!(read.events.len(), expected, "{bytes} bytes");
    }
    assert_eq!(events(&runs, id).await.len(), 300);
}

/// A run that talks without end is ended, and can say so.
pub async fn an_event_log_is_bounded_and_the_end_still_goes_in(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let id = queue(&runs, 1).await;
    drop(one(&runs).await);
    let port = store.runs();
    let step = |before, bytes, then| StepRow {
        run: id,
        epoch: 1,
        before,
        now_ms: time.now(),
        checkpoint: None,
        events: Some(NewBatch { count: 1, bytes, body: vec![2] }),
        calls: Vec::new(),
        then,
    };
    let hold = || Then::Hold { until_ms: time.now() + LEASE_MS };
    let take = async |step| port.take_steps(&[step]).await.unwrap().remove(0);
    let done = Stepped::Done { cancelled: false };
    assert_eq!(take(step(0, MOST_EVENT_BYTES - 1, hold())).await, done);
    assert_eq!(take(step(1, 2, hold())).await, Stepped::Refused(Refusal::Full));
    assert_eq!(take(step(1, 1, hold())).await, done);
    assert_eq!(take(step(2, 1, hold())).await, Stepped::Refused(Refusal::Full));
    assert_eq!(take(StepRow { events: None, ..step(2, 0, hold()) }).await, done);
    let end = Then::End { status: RunStatus::Incomplete, result: vec![], expires_ms: time.now() + DAY_MS };
    assert_eq!(take(step(2, 500, end)).await, done);
    assert_eq!(
        runs.get(OWN, id).await.unwrap_err().to_string(),
        "cannot open `run_part.body` of `".to_owned() + &id.to_string() + "`"
    );
    assert_eq!(port.run(OWN, id, time.now()).await.unwrap().unwrap().run.events, 3);
}

/// What was begun and has no result when somebody else takes the run may have happened.
pub async fn a_call_without_a_result_is_of_unknown_outcome(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (a, b) = (process(store, &time, "a"), process(store, &time, "b"));
    queue(&a, 1).await;
    let mut dead = one(&a).await.lease;
    // Ids come from models.
    let strange = "call'\u{0}\u{10ffff}".repeat(100);
    a.keep(&mut dead, &Step::default().begins("call_1").begins(&strange)).await.unwrap();
    a.keep(&mut dead, &Step::default().ends("call_1", json(r#"{"paid":5}"#)).begins("call_2")).await.unwrap();
    time.pass(LEASE_MS);
    let claimed = one(&b).await;
    assert_eq!(claimed.call("call_1"), Some(&CallState::Ended(json(r#"{"paid":5}"#))));
    assert_eq!(claimed.call("call_2"), Some(&CallState::Unknown));
    assert_eq!(claimed.call(&strange), Some(&CallState::Unknown));
    assert_eq!(claimed.call("call_3"), None);
    // Whoever takes the run says what is made of that.
    let mut lease = claimed.lease;
    b.keep(&mut lease, &Step::default().ends("call_2", json("\"unknown\""))).await.unwrap();
    time.pass(LEASE_MS);
    let claimed = one(&a).await;
    assert_eq!(claimed.call("call_2"), Some(&CallState::Ended(json("\"unknown\""))));
    assert_eq!(claimed.call(&strange), Some(&CallState::Unknown));
}

/// Never by mistake: the store knows.
pub async fn a_call_is_begun_again_only_by_who_says_so(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (a, b) = (process(store, &time, "a"), process(store, &time, "b"));
    let id = queue(&a, 1).await;
    let mut dead = one(&a).await.lease;
    a.keep(&mut dead, &Step::default().begins("x").begins("y")).await.unwrap();
    a.keep(&mut dead, &Step::default().begins("x").event(json("0"))).await.unwrap();
    a.keep(&mut dead, &Step::default().ends("y", json("1"))).await.unwrap();
    a.keep(&mut dead, &Step::default().ends("y", json("1"))).await.unwrap();
    time.pass(LEASE_MS);
    let mut lease = one(&b).await.lease;
    let refused = async |lease: &mut Lease, step: Step| match b.keep(lease, &step.event(json("1"))).await {
        Err(StepError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let before = Refusal::BegunBefore { epoch: 1 };
    assert_eq!(refused(&mut lease, Step::default().begins("x")).await, before);
    assert_eq!(refused(&mut lease, Step::default().begins("new").begins("x")).await, before);
    for step in
        [Step::default().begins("y"), Step::default().begins_again("y"), Step::default().ends("y", json("2"))]
    {
        assert_eq!(refused(&mut lease, step).await, Refusal::HasResult);
    }
    assert_eq!(refused(&mut lease, Step::default().ends("new", json("2"))).await, Refusal::NotBegun);
    assert_eq!(events(&b, id).await, ["0"], "nothing of a refused step is written");
    b.keep(&mut lease, &Step::default().begins_again("x").begins_again("z")).await.unwrap();
    b.keep(&mut lease, &Step::default().ends("x", json("3"))).await.unwrap();
    time.pass(LEASE_MS);
    let claimed = one(&a).await;
    let known = ["x", "y", "z", "new"].map(|call| claimed.call(call).cloned());
    let ended = |text| Some(CallState::Ended(json(text)));
    assert_eq!(known, [ended("3"), ended("1"), Some(CallState::Unknown), None]);
}

/// It has no holder meanwhile, and whoever let it go has lost it.
pub async fn a_run_rests_until_it_is_due(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (a, b) = (process(store, &time, "a"), process(store, &time, "b"));
    let id = queue(&a, 1).await;
    let mut lease = one(&a).await.lease;
    let step = Step::default().checkpoint(json("\"asleep\"")).event(json("0"));
    a.rest(&mut lease, &step, RunStatus::InProgress, Some(time.now() + 3 * LEASE_MS)).await.unwrap();
    assert!(matches!(a.keep(&mut lease, &Step::default().event(json("1"))).await, Err(StepError::Lost)));
    assert_eq!(a.renew([&lease]).await.unwrap(), []);
    let resting = a.get(OWN, id).await.unwrap().unwrap().run;
    assert_eq!((resting.owner, resting.status), (None, RunStatus::InProgress));
    time.pass(3 * LEASE_MS - 1);
    assert!(none(&b).await);
    time.pass(1);
    let claimed = one(&b).await;
    assert_eq!((claimed.lease.epoch(), claimed.lease.events()), (2, 1));
    assert_eq!(claimed.checkpoint, Some(json("\"asleep\"")));
    assert!(
        b.rest(&mut lease, &Step::default(), RunStatus::Failed, None).await.is_err(),
        "an end is no rest"
    );
}

/// Once, and not with an answer to an earlier question.
pub async fn a_run_that_requires_action_goes_on_with_its_answer(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (a, b) = (process(store, &time, "a"), process(store, &time, "b"));
    let (id, subject) = (queue(&a, 1).await, Subject::principal(OWN));
    let mut lease = one(&a).await.lease;
    a.rest(&mut lease, &Step::default(), RunStatus::RequiresAction, None).await.unwrap();
    time.pass(10 * LEASE_MS);
    assert!(none(&b).await);
    let woken = b.answer(OWN, &subject, id, &json(r#"{"yes":1}"#)).await.unwrap();
    assert!(matches!(&woken, Some(Woken::Woken(run)) if run.status == RunStatus::InProgress), "{woken:?}");
    let again = a.answer(OWN, &subject, id, &json(r#"{"yes":2}"#)).await.unwrap();
    assert!(matches!(&again, Some(Woken::NotWaiting(_))), "{again:?}");
    let claimed = one(&b).await;
    assert_eq!(claimed.answer, Some(json(r#"{"yes":1}"#)));
    let mut lease = claimed.lease;
    b.rest(&mut lease, &Step::default(), RunStatus::RequiresAction, Some(time.now() + 5)).await.unwrap();
    time.pass(5);
    let claimed = one(&a).await;
    assert_eq!(claimed.answer, None, "its time is over, and nobody answered");
}

/// Held, queued, ended, somebody else's.
pub async fn an_answer_that_nobody_waits_for_is_told_apart(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let (id, subject, yes) = (queue(&runs, 1).await, Subject::principal(OWN), json("1"));
    let answer = async |principal| runs.answer(principal, &subject, id, &yes).await.unwrap();
    let expect = |woken: Option<Woken>, status| {
        assert!(matches!(&woken, Some(Woken::NotWaiting(run)) if run.status == status), "{woken:?}");
    };
    expect(answer(OWN).await, RunStatus::Queued);
    let mut lease = one(&runs).await.lease;
    expect(answer(OWN).await, RunStatus::InProgress);
    runs.rest(&mut lease, &Step::default(), RunStatus::RequiresAction, None).await.unwrap();
    assert_eq!(answer(OTHER).await, None);
    assert!(none(&runs).await);
    assert!(matches!(answer(OWN).await, Some(Woken::Woken(_))));
    let mut lease = one(&runs).await.lease;
    runs.finish(&mut lease, &Step::default(), RunStatus::Completed, &json("1")).await.unwrap();
    expect(answer(OWN).await, RunStatus::Completed);
}

/// By its next word to the store, whichever that is.
pub async fn a_cancelled_run_is_told_to_its_holder(store: &dyn StateUnderTest) {
    let time = Time::new();
    let (a, b) = (process(store, &time, "a"), process(store, &time, "b"));
    let id = queue(&a, 1).await;
    let mut lease = one(&a).await.lease;
    assert!(!a.keep(&mut lease, &Step::default()).await.unwrap().cancelled);
    let told = b.cancel(OWN, id).await.unwrap().unwrap();
    assert_eq!(
        (told.status, told.cancelled, told.owner.as_deref()),
        (RunStatus::InProgress, true, Some("a"))
    );
    assert!(none(&b).await, "its holder ends it");
    assert!(a.keep(&mut lease, &Step::default().event(json("0"))).await.unwrap().cancelled);
    assert!(a.renew([&lease]).await.unwrap()[0].cancelled);
    // It dies before it has ended the run.
    time.pass(LEASE_MS);
    let claimed = one(&b).await;
    assert!(claimed.cancelled);
    let mut lease = claimed.lease;
    // A run that should stop is not left to wait for anybody.
    b.rest(&mut lease, &Step::default(), RunStatus::RequiresAction, None).await.unwrap();
    let claimed = one(&b).await;
    assert!(claimed.cancelled);
    let mut lease = claimed.lease;
    b.finish(&mut lease, &Step::default().event(json("1")), RunStatus::Cancelled, &json("{}")).await.unwrap();
    assert_eq!(events(&a, id).await, ["0", "1"]);
}

/// So that somebody ends it, and its log has an end.
pub async fn a_cancelled_run_that_nobody_holds_is_due(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    for (number, due) in [(1, None), (2, Some(time.now() + 100 * LEASE_MS))] {
        let id = queue(&runs, number).await;
        let mut lease = one(&runs).await.lease;
        runs.rest(&mut lease, &Step::default(), RunStatus::RequiresAction, due).await.unwrap();
        assert!(none(&runs).await);
        assert_eq!(runs.cancel(OWN, id).await.unwrap().unwrap().due_ms, Some(time.now()));
        let claimed = one(&runs).await;
        assert_eq!((claimed.lease.run(), claimed.cancelled), (id, true));
    }
    let id = queue(&runs, 3).await;
    runs.cancel(OWN, id).await.unwrap().unwrap();
    let claimed = one(&runs).await;
    assert_eq!((claimed.lease.run(), claimed.cancelled, claimed.lease.epoch()), (id, true, 1));
}

/// By nobody's word.
pub async fn a_run_that_ended_stays_as_it_ended(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let ends = [RunStatus::Completed, RunStatus::Incomplete, RunStatus::Failed, RunStatus::Cancelled];
    for (number, status) in (1..).zip(ends) {
        let id = queue(&runs, number).await;
        let mut lease = one(&runs).await.lease;
        time.pass(7);
        let result = json(&format!(r#"{{"r":{number}}}"#));
        runs.finish(&mut lease, &Step::default().event(json("0")), status, &result).await.unwrap();
        let before = runs.get(OWN, id).await.unwrap().unwrap();
        assert_eq!((before.run.status, before.run.ended_ms), (status, Some(time.now())));
        assert_eq!((before.run.owner.as_deref(), before.run.due_ms), (None, None));
        assert_eq!(before.run.expires_ms, time.now() + 30 * DAY_MS);
        assert_eq!(before.result, Some(result));
        time.pass(2 * LEASE_MS);
        assert!(none(&runs).await);
        assert_eq!(runs.cancel(OWN, id).await.unwrap().unwrap(), before.run);
        assert!(matches!(
            runs.keep(&mut lease, &Step::default().event(json("1"))).await,
            Err(StepError::Lost)
        ));
        assert_eq!(runs.get(OWN, id).await.unwrap().unwrap(), before);
    }
    let id = queue(&runs, 9).await;
    let mut lease = one(&runs).await.lease;
    let finished = runs.finish(&mut lease, &Step::default(), RunStatus::InProgress, &json("1")).await;
    assert!(matches!(finished, Err(StepError::State(_))), "that is no end");
    assert_eq!(runs.get(OWN, id).await.unwrap().unwrap().run.status, RunStatus::InProgress);
}

/// Of one kind and one principal; whoever goes on from either end sees each once.
pub async fn runs_are_listed_in_pages_both_ways(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    for number in 1..=7 {
        queue(&runs, number).await;
    }
    let (subject, request) = (Subject::principal(OWN), json("{}"));
    for (number, kind, principal) in [(100, RunKind::Run, OWN), (101, RunKind::Response, OTHER)] {
        let new = NewRun { id: run_id(number), kind, principal, subject: &subject, request: &request };
        runs.queue(&new).await.unwrap();
    }
    let list = async |start, limit| {
        let (rows, has_more) = runs.list(OWN, RunKind::Response, start, limit).await.unwrap();
        let numbers = (1..=7).filter(|number| rows.iter().any(|row| row.id == run_id(*number)));
        let numbers: Vec<_> = numbers.rev().collect();
        assert_eq!(
            rows.iter().map(|row| row.id).collect::<Vec<_>>(),
            numbers.iter().map(|n| run_id(*n)).collect::<Vec<_>>()
        );
        (numbers, has_more)
    };
    assert_eq!(list(RunPageStart::Newest, 3).await, (vec![7, 6, 5], true));
    assert_eq!(list(RunPageStart::After(run_id(5)), 3).await, (vec![4, 3, 2], true));
    assert_eq!(list(RunPageStart::After(run_id(2)), 3).await, (vec![1], false));
    assert_eq!(list(RunPageStart::After(run_id(1)), 3).await, (vec![], false));
    assert_eq!(list(RunPageStart::Before(run_id(2)), 3).await, (vec![5, 4, 3], true));
    assert_eq!(list(RunPageStart::Before(run_id(5)), 2).await, (vec![7, 6], false));
    assert_eq!(list(RunPageStart::Newest, 7).await, (vec![7, 6, 5, 4, 3, 2, 1], false));
    time.pass(30 * DAY_MS);
    assert_eq!(list(RunPageStart::Newest, 7).await, (vec![], false), "what has expired is not there");
}

/// Nothing can be done to it, and nothing be learned.
pub async fn another_principals_run_is_not_there(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let id = queue(&runs, 1).await;
    assert!(runs.get(OTHER, id).await.unwrap().is_none());
    assert!(runs.cancel(OTHER, id).await.unwrap().is_none());
    assert!(!runs.get(OWN, id).await.unwrap().unwrap().run.cancelled);
    assert_eq!(runs.list(OTHER, RunKind::Response, RunPageStart::Newest, 9).await.unwrap(), (vec![], false));
    time.pass(30 * DAY_MS);
    assert!(runs.get(OWN, id).await.unwrap().is_none());
    assert!(runs.cancel(OWN, id).await.unwrap().is_none());
    assert!(runs.events(OWN, id, 0, 1).await.unwrap().is_none());
}

/// Not those that are held, and of the others everything.
pub async fn expired_runs_go_with_all_that_belongs_to_them(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    for number in 1..=5 {
        queue(&runs, number).await;
    }
    let mut leases: Vec<_> = all(&runs).await.into_iter().map(|claimed| claimed.lease).collect();
    leases.sort_by_key(Lease::run);
    for lease in &mut leases {
        let step = Step::default().checkpoint(json("1")).event(json("0")).begins("x");
        runs.keep(lease, &step).await.unwrap();
    }
    time.pass(DAY_MS);
    for lease in leases.iter_mut().take(3) {
        runs.finish(lease, &Step::default(), RunStatus::Completed, &json("1")).await.unwrap();
    }
    runs.rest(&mut leases[3], &Step::default(), RunStatus::RequiresAction, None).await.unwrap();
    time.pass(29 * DAY_MS);
    assert_eq!(runs.drop_expired().await.unwrap(), 1, "it waited too long");
    time.pass(DAY_MS - 1);
    assert_eq!(runs.drop_expired().await.unwrap(), 0);
    time.pass(1);
    assert_eq!(store.runs().drop_expired_runs(time.now(), 2).await.unwrap(), 2);
    let (one, two) = tokio::join!(runs.drop_expired(), runs.drop_expired());
    assert_eq!(one.unwrap() + two.unwrap(), 1);
    assert_eq!(runs.count_of(&Subject::principal(OWN)).await.unwrap(), 1, "the last one is held");
    // Of it there are a request, a checkpoint, an event and a call, and of the others nothing.
    for (table, rows) in [("run", 1), ("run_part", 2), ("run_event", 1), ("run_call", 1)] {
        assert_eq!(
            store.execute(&format!("delete from {table}")).await.unwrap(),
            if table == "run" { rows } else { 0 }
        );
    }
}

/// Whoever still works on it finds out, and writes nothing.
pub async fn an_erased_run_is_lost_to_its_holder(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let (anna, request) = (Subject::end_user("anna"), json("{}"));
    let new = NewRun { id: run_id(1), kind: RunKind::Run, principal: OWN, subject: &anna, request: &request };
    let mut lease = runs.begin(&new).await.unwrap();
    runs.keep(&mut lease, &Step::default().event(json("0"))).await.unwrap();
    queue(&runs, 2).await;
    assert_eq!(runs.count_of(&anna).await.unwrap(), 1);
    assert_eq!(runs.erase(&anna).await.unwrap(), 1);
    assert_eq!(runs.count_of(&anna).await.unwrap(), 0);
    assert!(matches!(runs.keep(&mut lease, &Step::default().event(json("1"))).await, Err(StepError::Lost)));
    assert!(runs.events(OWN, run_id(1), 0, u64::MAX).await.unwrap().is_none());
    assert_eq!(runs.count_of(&Subject::principal(OWN)).await.unwrap(), 1);
    assert_eq!(store.execute("delete from run_event").await.unwrap(), 0);
}

/// With what it was asked and what it told; its caller alone can do that.
pub async fn a_deleted_run_is_lost_to_its_holder(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    let id = queue(&runs, 1).await;
    let mut lease = one(&runs).await.lease;
    let step = Step::default().checkpoint(json("1")).event(json("0")).begins("x");
    runs.keep(&mut lease, &step).await.unwrap();
    assert!(!runs.delete(OTHER, id).await.unwrap());
    assert!(runs.delete(OWN, id).await.unwrap());
    assert!(!runs.delete(OWN, id).await.unwrap());
    assert!(matches!(runs.keep(&mut lease, &Step::default()).await, Err(StepError::Lost)));
    assert!(runs.get(OWN, id).await.unwrap().is_none());
    for table in ["run", "run_part", "run_event", "run_call"] {
        assert_eq!(store.execute(&format!("delete from {table}")).await.unwrap(), 0, "{table}");
    }
}

/// Each is judged by itself.
pub async fn steps_of_many_runs_go_in_together(store: &dyn StateUnderTest) {
    let time = Time::new();
    let runs = process(store, &time, "a");
    for number in 0..100 {
        queue(&runs, number).await;
    }
    let mut leases: Vec<_> = all(&runs).await.into_iter().map(|claimed| claimed.lease).collect();
    leases.sort_by_key(Lease::run);
    time.pass(LEASE_MS);
    // Ten are taken over.
    let other = process(store, &time, "b");
    let lost: BTreeSet<_> =
        other.claim(RunKind::Response, 10).await.unwrap().iter().map(|claimed| claimed.lease.run()).collect();
    let mut answers = BTreeMap::new();
    let taken = leases.iter_mut().map(|lease| {
        let runs = &runs;
        async move {
            let mut kept = Vec::new();
            for number in 0..3 {
                let step =
                    Step::default().checkpoint(json(&number.to_string())).event(json(&number.to_string()));
                kept.push(match runs.keep(lease, &step.begins(&format!("call {number}"))).await {
                    Ok(_) => "kept",
                    Err(StepError::Lost) => "lost",
                    Err(error) => panic!("{error:?}"),
                });
            }
            (lease.run(), kept)
        }
    });
    for (run, kept) in futures_util::future::join_all(taken).await {
        answers.insert(run, kept);
    }
    assert_eq!(answers.len(), 100);
    for (run, kept) in answers {
        let told = events(&runs, run).await;
        if lost.contains(&run) {
            assert_eq!((kept, told.len()), (vec!["lost"; 3], 0));
        } else {
            assert_eq!(kept, vec!["kept"; 3]);
            assert_eq!(told, ["0", "1", "2"]);
            assert_eq!(runs.get(OWN, run).await.unwrap().unwrap().checkpoint, Some(json("2")));
        }
    }
}

/// Takes all that are due.
pub(super) async fn all(runs: &Runs) -> Vec<Claimed> {
    runs.claim(RunKind::Response, 1000).await.unwrap()
}

pub(super) async fn one(runs: &Runs) -> Claimed {
    let mut claimed = all(runs).await;
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

async fn none(runs: &Runs) -> bool {
    all(runs).await.is_empty()
}

/// The epoch and the number of events of the only run that is due.
async fn one_row(port: &dyn baton_state::runs::RunStore, time: &Time) -> (u64, u64) {
    let claim = baton_state::runs::Claim {
        owner: "a".to_owned(),
        kind: RunKind::Response,
        now_ms: time.now(),
        until_ms: time.now() + LEASE_MS,
        limit: 10,
    };
    let claimed = port.claim_runs(&claim).await.unwrap();
    assert_eq!(claimed.len(), 1);
    (claimed[0].run.epoch, claimed[0].run.events)
}

/// All events of a run, read page by page; their numbers have no gap.
pub(super) async fn events(runs: &Runs, id: RunId) -> Vec<String> {
    let (mut texts, mut from) = (Vec::new(), 0);
    loop {
        let page = runs.events(OWN, id, from, 100).await.unwrap().unwrap();
        if page.events.is_empty() {
            assert_eq!(page.run.events, from);
            return texts;
        }
        for (number, event) in &page.events {
            assert_eq!(*number, from);
            from += 1;
            texts.push(RawJson::get(event).to_owned());
        }
    }
}
