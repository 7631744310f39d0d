//! Runs that are carried on by whoever is alive: what was told is what was acknowledged, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use baton_model::RunId;
use baton_state::Runs;
use baton_state::runs::{CallState, Claimed, RunKind, RunStatus, Step, StepError};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::runs::events;
use super::{LEASE_MS, OWN, StateUnderTest, Time, json, process, queue};

/// Two holders write as quickly as they can, and take the run from each other all the time.
pub async fn two_holders_at_once_leave_a_gapless_log(store: &dyn StateUnderTest) {
    let time = Time::new();
    let id = queue(&process(store, &time, "queuer"), 1).await;
    let mut tasks = tokio::task::JoinSet::new();
    for owner in 0..3_u64 {
        let (runs, time) = (process(store, &time, &owner.to_string()), time.clone());
        tasks.spawn(async move {
            let mut acknowledged = Vec::new();
            let mut number = 0_u64;
            for _ in 0..15 {
                // Whoever holds it now is too slow.
                time.pass(LEASE_MS);
                let Some(Claimed { mut lease, .. }) = runs.claim(RunKind::Response, 1).await.unwrap().pop()
                else {
                    continue;
                };
                for _ in 0..4 {
                    number += 1;
                    let at = lease.events();
                    let event = json(&format!("\"{owner} {number}\""));
                    match runs.keep(&mut lease, &Step::default().event(event)).await {
                        Ok(_) => acknowledged.push((at, format!("\"{owner} {number}\""))),
                        Err(StepError::Lost) => break,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            }
            acknowledged
        });
    }
    let acknowledged = tasks.join_all().await.concat();
    let told: Vec<_> = events(&process(store, &time, "reader"), id).await;
    assert!(!told.is_empty());
    let expected: BTreeMap<_, _> = acknowledged.iter().cloned().collect();
    assert_eq!(expected.len(), acknowledged.len(), "no number was given twice");
    let numbered: BTreeMap<_, _> = (0..).zip(told).collect();
    assert_eq!(numbered, expected);
}

/// Runs with calls are driven by processes that die at any moment: before a step, after it, before the call
/// and after it. The world counts the calls.
pub async fn crashes_lose_and_repeat_nothing(store: &dyn StateUnderTest) {
    const RUNS: u8 = 12;
    const STEPS: u64 = 8;
    let time = Time::new();
    let queuer = process(store, &time, "queuer");
    let mut ids = Vec::new();
    for number in 0..RUNS {
        ids.push(queue(&queuer, number).await);
    }
    let world: Arc<BTreeMap<RunId, Vec<AtomicU64>>> =
        Arc::new(ids.iter().map(|id| (*id, (0..STEPS).map(|_| AtomicU64::new(0)).collect())).collect());
    let (mut dice, mut deaths) = (StdRng::seed_from_u64(7), 0);
    for life in 0.. {
        assert!(life < 2_000, "the runs do not end");
        let runs = process(store, &time, &format!("life {life}"));
        let mut claimed = runs.claim(RunKind::Response, 3).await.unwrap();
        if claimed.is_empty() {
            if ends(&runs, &ids).await == usize::from(RUNS) {
                break;
            }
            time.pass(LEASE_MS);
            continue;
        }
        for claimed in &mut claimed {
            // So long it lives: a few effects, or until the end.
            let effects = dice.random_range(0..12);
            deaths += u64::from(!go_on(&runs, &world, claimed, STEPS, effects).await);
        }
        time.pass(dice.random_range(0..LEASE_MS));
    }
    assert!(deaths > 30, "only {deaths} died");
    for id in &ids {
        let told = events(&queuer, *id).await;
        let steps = (0..STEPS).map(|step| format!("\"step {step}\""));
        assert_eq!(told, steps.chain(["\"end\"".to_owned()]).collect::<Vec<_>>());
        for (step, calls) in world[id].iter().enumerate() {
            assert!(calls.load(Ordering::SeqCst) <= 1, "step {step} of {id} was called twice");
        }
        let done = queuer.get(OWN, *id).await.unwrap().unwrap().result.unwrap();
        let done: Vec<String> = done.read().unwrap();
        // What the run says of each call is what the world saw, or that nobody knows.
        for (calls, said) in world[id].iter().zip(&done) {
            let called = calls.load(Ordering::SeqCst) == 1;
            assert!(said == "unknown" || (said == "called" && called), "{said} {called}");
        }
        assert!(done.iter().any(|said| said == "called"));
    }
}

/// Carries a run on. False: died after so many effects.
async fn go_on(
    runs: &Runs,
    world: &BTreeMap<RunId, Vec<AtomicU64>>,
    claimed: &mut Claimed,
    steps: u64,
    effects: u64,
) -> bool {
    let mut left = effects;
    let mut alive = move || {
        left = left.saturating_sub(1);
        left > 0
    };
    let mut done: Vec<String> =
        claimed.checkpoint.as_ref().map(|checkpoint| checkpoint.read().unwrap()).unwrap_or_default();
    let id = claimed.lease.run();
    for step in u64::try_from(done.len()).unwrap()..steps {
        let call = format!("call {step}");
        let said = match claimed.call(&call) {
            Some(CallState::Unknown) => "unknown".to_owned(),
            Some(CallState::Ended(said)) => said.read::<String>().unwrap(),
            None => {
                if !alive() {
                    return false;
                }
                runs.keep(&mut claimed.lease, &Step::default().begins(&call)).await.unwrap();
                if !alive() {
                    return false;
                }
                world[&id][usize::try_from(step).unwrap()].fetch_add(1, Ordering::SeqCst);
                if !alive() {
                    return false;
                }
                let ended = Step::default().ends(&call, json("\"called\""));
                runs.keep(&mut claimed.lease, &ended).await.unwrap();
                "called".to_owned()
            }
        };
        if !alive() {
            return false;
        }
        done.push(said);
        let checkpoint = json(&serde_json::to_string(&done).unwrap());
        let event = json(&format!("\"step {step}\""));
        runs.keep(&mut claimed.lease, &Step::default().checkpoint(checkpoint).event(event)).await.unwrap();
    }
    if !alive() {
        return false;
    }
    let result = json(&serde_json::to_string(&done).unwrap());
    let end = Step::default().event(json("\"end\""));
    runs.finish(&mut claimed.lease, &end, RunStatus::Completed, &result).await.unwrap();
    true
}

async fn ends(runs: &Runs, ids: &[RunId]) -> usize {
    let mut ended = 0;
    for id in ids {
        ended += usize::from(runs.get(OWN, *id).await.unwrap().unwrap().run.status.is_end());
    }
    ended
}
