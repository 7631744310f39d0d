use baton_policy::{Actions, PLANNER_VERSION, Rule, RunInputs};

use super::*;
use crate::{Record, samples};

const CATALOGUE: &str = "k";
const POLICY: &str = "p";

#[test]
fn a_decision_is_derived_again_by_each_version_that_reads_it() {
    assert_eq!(replayed(3, |_| ()), Replay::Same);
    assert_eq!(replayed(2, |decision| decision.inputs.as_mut().unwrap().run = None), Replay::Same);
    for planner in [0, 1, PLANNER_VERSION + 1] {
        let refused = Replay::NotReplayable(NotReplayable::Planner(planner));
        assert_eq!(replayed(planner, |_| ()), refused);
    }
}

#[test]
fn what_was_changed_afterwards_is_found() {
    differs(|decision| decision.reason.text.push('!'), &["reason"]);
    differs(|decision| decision.to = "a/x".parse().ok(), &["to"]);
    differs(|decision| decision.table.truncate(1), &["table"]);
    let back = |decision: &mut Decision| {
        let run = decision.inputs.as_mut().unwrap().run.as_mut().unwrap();
        run.asked.as_mut().unwrap().by = HandoffBy::Forced;
    };
    differs(back, &["reason"]);
}

#[test]
fn who_keeps_the_conversation_may_be_written_down_or_not() {
    let denied = |to: Option<&str>| {
        let mut decision = handed_over(1, HandoffBy::Model);
        decision.inputs.as_mut().unwrap().key_models = Some(vec!["a/*".to_owned()]);
        derive(&mut decision);
        assert_eq!(decision.to, None);
        decision.to = to.map(|to| to.parse().unwrap());
        replayer("c/z").replay(&decision)
    };
    assert_eq!(denied(None), Replay::Same);
    assert_eq!(denied(Some("a/x")), Replay::Same);
    assert!(matches!(denied(Some("b/y")), Replay::Differs { .. }));
}

#[test]
fn a_hand_over_of_the_model_goes_to_the_same_target_under_another_policy() {
    // The candidate is at another place there, as other rules name other models.
    assert_eq!(what_if(2, HandoffBy::Model, &policy("d/w")), to(Some("c/z"), None));
    assert_eq!(what_if(1, HandoffBy::Model, &policy("d/w")), WhatIf::Same);
    assert_eq!(what_if(1, HandoffBy::Forced, &policy("d/w")), WhatIf::Same);
}

#[test]
fn a_hand_over_of_a_rule_is_a_question_to_the_other_rules() {
    assert_eq!(what_if(2, HandoffBy::Rule, &policy("c/z")), WhatIf::Same);
    assert_eq!(what_if(2, HandoffBy::Rule, &policy("b/y")), to(Some("c/z"), Some("b/y")));
    // Without such a rule the conversation stays.
    let none = Policy::new(PolicyRef::default(), PolicyDocument::default()).unwrap();
    assert_eq!(what_if(2, HandoffBy::Rule, &none), to(Some("c/z"), Some("a/x")));
}

fn to(from: Option<&str>, to: Option<&str>) -> WhatIf {
    let target = |name: Option<&str>| name.map(|name| name.parse().unwrap());
    WhatIf::Changed { from: target(from), to: target(to), cost: None }
}

#[track_caller]
fn differs(change: impl FnOnce(&mut Decision), expected: &[&str]) {
    let found = match replayed(3, change) {
        Replay::Differs { members, .. } => members,
        other => panic!("{other:?}"),
    };
    assert_eq!(found, expected);
}

/// What a replay of a recorded hand-over comes to, once something of it was changed.
fn replayed(planner: u32, change: impl FnOnce(&mut Decision)) -> Replay {
    let mut decision = handed_over(1, HandoffBy::Model);
    if planner == 2 {
        // Version 2 knew no runs.
        decision.inputs.as_mut().unwrap().run = None;
        derive(&mut decision);
    }
    decision.planner = planner;
    change(&mut decision);
    replayer("c/z").replay(&decision)
}

fn what_if(at: u32, by: HandoffBy, policy: &Policy) -> WhatIf {
    replayer("c/z").what_if(&handed_over(at, by), None, policy)
}

/// A conversation with `a/x` goes to one of `a/x b/y c/z`, the last of which only the policy's rule names.
fn handed_over(at: u32, by: HandoffBy) -> Decision {
    let Record::Decision(decision) = samples::decision(7) else { panic!("no decision") };
    let mut decision = *decision;
    let candidate = |name: &str| Candidate::named(name.parse().unwrap(), name.parse().unwrap());
    let asked = Some(Asked { to: at, from: 0, by });
    decision.inputs = Some(Box::new(Inputs {
        policy: PolicyRef { name: POLICY.to_owned(), version: POLICY.to_owned() },
        knowledge: CATALOGUE.to_owned(),
        candidates: vec![candidate("a/x"), candidate("b/y"), Candidate { by_rule: true, ..candidate("c/z") }],
        context: Some(Box::default()),
        run: Some(Box::new(RunInputs { turn: 2, hop: 1, asked, ..RunInputs::default() })),
        ..Inputs::default()
    }));
    decision.planner = PLANNER_VERSION;
    derive(&mut decision);
    decision
}

/// Writes down what the planner makes of the inputs.
fn derive(decision: &mut Decision) {
    let inputs = decision.inputs.as_ref().unwrap();
    let Planned::Plan(plan) = plan(&policy("c/z"), &Knowledge::default(), inputs) else {
        panic!("a question")
    };
    decision.to = plan.order.first().map(|at| inputs.candidates[*at as usize].target.clone());
    decision.reason = plan.reason;
    decision.table = plan.table;
}

/// A policy that hands over to one model whenever it may.
fn policy(handoff_to: &str) -> Policy {
    let reference = PolicyRef { name: POLICY.to_owned(), version: POLICY.to_owned() };
    Policy::new(reference, document(handoff_to)).unwrap()
}

fn document(handoff_to: &str) -> PolicyDocument {
    let then = Actions { handoff_to: Some(handoff_to.parse().unwrap()), ..Actions::default() };
    let rule = Rule { name: "r".to_owned(), when: String::new(), then };
    PolicyDocument { rules: vec![rule], ..PolicyDocument::default() }
}

fn replayer(handoff_to: &str) -> Replayer {
    let mut replayer = Replayer::default();
    replayer.give(POLICY.to_owned(), serde_json::to_value(document(handoff_to)).unwrap());
    replayer.give(CATALOGUE.to_owned(), serde_json::to_value(Knowledge::default()).unwrap());
    replayer
}
