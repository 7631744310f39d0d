use std::sync::Arc;

use baton_model::Price;

use super::*;
use crate::{
    Actions, AgentMove, AgentMoveBy, Asked, Current, Down, DownReason, Facts, Features, HandoffBy, Health,
    Judge, Judged, Latency, Need, Order, PolicyDocument, ProviderPreferences, Rule, RunInputs, TaskKind,
};

#[test]
fn a_single_model_is_selected() {
    insta::assert_snapshot!(check("a/x", |_, _| ()), @r"
    a/x: selected
    only_model: a/x was the only model named
    ");
}

#[test]
fn a_list_is_tried_in_its_order_and_a_target_once() {
    insta::assert_snapshot!(check("a/x b/y a/x c/z", |_, _| ()), @r"
    a/x: selected
    b/y: eligible 1
    a/x: allow listed_twice
    c/z: eligible 2
    first_in_order: a/x is first in the list
    ");
}

#[test]
fn what_a_model_cannot_do_is_said_with_value_and_limit() {
    insta::assert_snapshot!(
        check("a/small b/blind c/fits", |inputs, _| {
            inputs.features = Features { input_tokens: 9_000, images: true, ..Features::default() };
            facts(inputs, 0).capabilities.context_window = Some(8_192);
            facts(inputs, 1).capabilities.vision = Some(false);
        }),
        @r"
    a/small: capability window_too_small 9000 tokens > 8192 tokens
    b/blind: capability no_vision
    c/fits: selected
    first_eligible: c/fits is the first that fits: a/small has too small a context window (9000 tokens, limit 8192 tokens), b/blind takes no images
    "
    );
}

#[test]
fn a_key_only_gets_its_models() {
    insta::assert_snapshot!(
        check("a/x b/y", |inputs, _| inputs.key_models = Some(vec!["b/*".to_owned()])),
        @r"
    a/x: allow key_not_allowed
    b/y: selected
    first_eligible: b/y is the first that fits: a/x is not allowed for this key
    "
    );
    insta::assert_snapshot!(
        check("a/x", |inputs, _| inputs.key_models = Some(vec![])),
        @r"
    a/x: allow key_not_allowed
    exhausted: no model is left: a/x is not allowed for this key
    "
    );
}

#[test]
fn provider_wishes_order_exclude_and_forbid_fallbacks() {
    insta::assert_snapshot!(
        check("a/x b/y c/z", |inputs, _| {
            inputs.providers = ProviderPreferences {
                order: vec!["c".parse().unwrap()],
                ignore: vec!["a".parse().unwrap()],
                allow_fallbacks: Some(false),
                ..ProviderPreferences::default()
            };
        }),
        @r"
    a/x: allow provider_ignored
    b/y: allow fallback_not_allowed
    c/z: selected
    provider_order: c/z is first in the provider order of the request: a/x was excluded by the request, b/y is a fallback, and the request allows none
    "
    );
}

#[test]
fn a_strict_request_passes_over_who_cannot_carry_it() {
    insta::assert_snapshot!(
        check("a/x b/x", |inputs, _| inputs.candidates[0].not_carried = vec!["seed".to_owned(), "n".to_owned()]),
        @r"
    a/x: capability unsupported_parameter seed, n
    b/x: selected
    first_eligible: b/x is the first that fits: a/x cannot carry every parameter, and the request is strict (seed, n)
    "
    );
}

#[test]
fn an_unwell_target_is_passed_over_with_the_time_it_needs() {
    insta::assert_snapshot!(check("a/x b/y c/z", |inputs, _| {
        down(inputs, 0, DownReason::BreakerOpen, 1_500);
        down(inputs, 1, DownReason::Drained, 0);
    }));
}

#[test]
fn where_none_is_well_the_first_to_recover_is_tried_once() {
    insta::assert_snapshot!(check("a/x b/y c/z", |inputs, _| {
        down(inputs, 0, DownReason::Cooling, 9_000);
        down(inputs, 1, DownReason::BreakerOpen, 400);
        down(inputs, 2, DownReason::Disabled, 0);
    }));
}

#[test]
fn limits_on_cost_ask_for_a_known_price() {
    insta::assert_snapshot!(check("a/dear b/unknown c/cheap", |inputs, policy| {
        price(inputs, 0, 10_000, 30_000);
        price(inputs, 2, 100, 400);
        policy.constraints.max_cost = Some(NanoUsd(10_000_000));
    }));
}

#[test]
fn limits_on_time_and_ability_name_what_was_seen() {
    insta::assert_snapshot!(check("a/slow b/weak c/new d/fits", |inputs, policy| {
        latency(inputs, 0, 900, 4_000);
        facts(inputs, 0).capabilities.tools = Some(true);
        facts(inputs, 1).capabilities.tools = Some(true);
        facts(inputs, 1).strengths.insert("prose".to_owned(), 300_000);
        facts(inputs, 3).capabilities.tools = Some(true);
        facts(inputs, 3).strengths.insert("prose".to_owned(), 800_000);
        policy.constraints.max_latency_ms = Some(2_000);
        policy.constraints.capabilities = vec![Need::named("tools"), Need::named("prose")];
    }));
}

#[test]
fn the_tighter_limit_holds() {
    insta::assert_snapshot!(check("a/x b/y", |inputs, policy| {
        price(inputs, 0, 10_000, 30_000);
        price(inputs, 1, 100, 400);
        policy.constraints.max_cost = Some(NanoUsd(1_000_000_000));
        inputs.wishes.constraints.max_cost = Some(NanoUsd(1_000_000));
    }));
}

#[test]
fn the_cheapest_is_first_and_the_unknown_last() {
    insta::assert_snapshot!(check("a/dear b/unknown c/cheap", |inputs, policy| {
        price(inputs, 0, 10_000, 30_000);
        price(inputs, 2, 100, 400);
        policy.order = vec![Order::Cheapest];
    }));
}

#[test]
fn the_quickest_is_first_and_the_unmeasured_before_it() {
    insta::assert_snapshot!(check("a/slow b/quick c/new", |inputs, policy| {
        latency(inputs, 0, 900, 4_000);
        latency(inputs, 1, 100, 400);
        policy.order = vec![Order::Fastest];
    }));
}

#[test]
fn now_and_then_the_least_measured_is_tried() {
    // The first number whose first throw is below the share of explorers.
    let lucky = (0..1_000).find(|random| fixed::dice(&mut random.clone()) % 100 < 5).unwrap();
    insta::assert_snapshot!(check("a/slow b/quick", |inputs, policy| {
        latency(inputs, 0, 900, 4_000);
        latency(inputs, 1, 100, 400);
        inputs.candidates[0].health.latency.as_mut().unwrap().samples = 2;
        inputs.random = lucky;
        policy.order = vec![Order::Fastest];
    }));
}

#[test]
fn lots_follow_from_the_number_and_a_weight_of_zero_never_wins() {
    let weigh = |random| {
        check("a/x b/y c/z", |inputs, policy| {
            inputs.random = random;
            policy.order = vec![Order::Weighted];
            policy.weights =
                [("a/x", 1), ("b/y", 3), ("c/z", 0)].map(|(name, n)| (name.parse().unwrap(), n)).into();
        })
    };
    insta::assert_snapshot!(weigh(7));
    assert_eq!(weigh(7), weigh(7));
    let firsts = (0..4_000).filter(|random| weigh(*random).contains("b/y: selected")).count();
    assert!((2_850..3_150).contains(&firsts), "{firsts} of 4000 for a weight of 3 in 4");
}

#[test]
fn strengths_are_weighed_by_the_kind_of_task() {
    insta::assert_snapshot!(check("a/coder b/poet", |inputs, policy| {
        facts(inputs, 0).strengths.insert("code".to_owned(), 900_000);
        facts(inputs, 1).strengths.insert("prose".to_owned(), 900_000);
        inputs.features.declared_task = Some(crate::DeclaredTask::Kind(TaskKind::Writing));
        policy.order = vec![Order::Strengths];
    }));
}

#[test]
fn an_order_that_cannot_rank_is_passed_over_with_the_reason() {
    insta::assert_snapshot!(check("a/dear b/cheap", |inputs, policy| {
        price(inputs, 0, 10_000, 30_000);
        price(inputs, 1, 100, 400);
        policy.order = vec![Order::Strengths, Order::Cheapest];
    }));
}

#[test]
fn attributes_of_the_task_meet_those_of_the_models() {
    insta::assert_snapshot!(check("a/clever b/quick", |inputs, policy| {
        policy.client_order = true;
        inputs.wishes.attributes =
            [("complexity".to_owned(), 900_000), ("efficiency".to_owned(), 100_000)].into();
        inputs.wishes.model_attributes = [
            (
                "a/clever".to_owned(),
                [("intelligence".to_owned(), 900_000), ("speed".to_owned(), 200_000)].into(),
            ),
            (
                "b/quick".to_owned(),
                [("intelligence".to_owned(), 400_000), ("speed".to_owned(), 1_000_000)].into(),
            ),
        ]
        .into();
    }));
}

#[test]
fn expected_quality_is_weighed_against_doublings_of_the_cost() {
    let plan = |quality: u32| {
        check("a/big b/small", |inputs, policy| {
            price(inputs, 0, 1_600, 1_600);
            price(inputs, 1, 100, 100);
            inputs.candidates[0].quality = Some(quality);
            inputs.candidates[1].quality = Some(700_000);
            policy.order = vec![Order::Auto];
        })
    };
    // Four doublings at 0.03 each.
    insta::assert_snapshot!(plan(830_000));
    assert!(plan(810_000).contains("b/small: selected"));
}

#[test]
fn balance_counts_quality_cost_speed_and_headroom() {
    insta::assert_snapshot!(check("a/full b/spent", |inputs, policy| {
        for at in 0..2 {
            price(inputs, at, 100, 100);
            latency(inputs, at, 100, 100);
        }
        inputs.candidates[1].health.headroom = Some(100);
        policy.order = vec![Order::Balanced];
    }));
}

#[test]
fn a_judge_is_asked_once_and_followed() {
    let judged = |judged: Option<Judged>| {
        check("a/x b/y c/z", |inputs, policy| {
            inputs.judged = judged;
            policy.order = vec![Order::Judge, Order::Cheapest];
            policy.judge = Some(Judge { model: "j/j".parse().unwrap(), timeout_ms: 5_000 });
            price(inputs, 2, 1, 1);
        })
    };
    insta::assert_snapshot!(judged(None));
    insta::assert_snapshot!(judged(Some(Judged::Chose(1))));
    insta::assert_snapshot!(judged(Some(Judged::Failed(crate::JudgeFailure::Timeout))));
}

#[test]
fn a_conversation_stays_unless_the_gain_is_worth_it() {
    let plan = |cached: u64| {
        check("a/now b/other", |inputs, policy| {
            price(inputs, 0, 110, 100);
            price(inputs, 1, 100, 100);
            facts(inputs, 0).price.as_mut().unwrap().cached_input = Some(NanoUsd(10_000_000));
            inputs.features.input_tokens = 10_000;
            inputs.current = Some(Current { target: "a/now".parse().unwrap(), cached_tokens: cached });
            policy.order = vec![Order::Cheapest];
        })
    };
    insta::assert_snapshot!(plan(0));
    insta::assert_snapshot!(plan(10_000));
}

#[test]
fn a_rule_uses_prefers_avoids_and_refuses() {
    let rule = |then: Actions| {
        check("a/x b/y c/z", move |inputs, policy| {
            inputs.candidates[2].by_rule = true;
            policy.rules = vec![Rule { name: "r".to_owned(), when: "true".to_owned(), then }];
        })
    };
    let names = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>();
    insta::assert_snapshot!(rule(Actions { use_models: names(&["c/z", "a/x"]), ..Actions::default() }));
    insta::assert_snapshot!(rule(Actions { prefer: names(&["b/y"]), ..Actions::default() }));
    insta::assert_snapshot!(rule(Actions { avoid: names(&["a/x"]), ..Actions::default() }));
    insta::assert_snapshot!(rule(Actions { allow_models: vec!["b/*".to_owned()], ..Actions::default() }));
    insta::assert_snapshot!(rule(Actions { refuse: Some("not today".to_owned()), ..Actions::default() }));
}

#[test]
fn a_hand_over_goes_to_who_is_asked_for_or_to_nobody() {
    insta::assert_snapshot!(hand_over("a/x b/y c/z", (2, 0), HandoffBy::Model, |_, _| ()), @r"
    a/x: order has_conversation
    b/y: order not_handed_to
    c/z: selected
    handed_over: c/z takes over from a/x because the model asked for it
    goes to c/z
    ");
    insta::assert_snapshot!(hand_over("a/x b/y", (1, 0), HandoffBy::Forced, |_, _| ()), @r"
    a/x: order has_conversation
    b/y: selected
    handoff_forced: b/y takes over from a/x as is configured
    goes to b/y
    ");
    insta::assert_snapshot!(hand_over("a/x b/y", (1, 1), HandoffBy::Model, |_, _| ()), @r"
    a/x: order not_handed_to
    b/y: order has_conversation
    handoff_denied: b/y keeps the conversation: b/y has the conversation already
    ");
    insta::assert_snapshot!(hand_over("a/x b/y a/x", (2, 0), HandoffBy::Model, |_, _| ()), @r"
    a/x: order has_conversation
    b/y: order not_handed_to
    a/x: allow listed_twice
    handoff_denied: a/x keeps the conversation: a/x was listed before
    ");
    insta::assert_snapshot!(hand_over("a/x b/y", (9, 0), HandoffBy::Model, |_, _| ()), @r"
    a/x: order has_conversation
    b/y: order not_handed_to
    handoff_denied: a/x keeps the conversation: there is no such candidate
    ");
}

#[test]
fn a_hand_over_does_not_look_at_orders_and_not_for_a_last_resort() {
    insta::assert_snapshot!(hand_over("a/x b/y c/z", (2, 0), HandoffBy::Model, |inputs, policy| {
        price(inputs, 1, 1, 1);
        policy.order = vec![Order::Judge, Order::Cheapest];
        policy.judge = Some(Judge { model: "j/j".parse().unwrap(), timeout_ms: 5_000 });
    }), @r"
    a/x: order has_conversation
    b/y: order not_handed_to
    c/z: selected
    handed_over: c/z takes over from a/x because the model asked for it
    goes to c/z
    ");
    insta::assert_snapshot!(hand_over("a/x b/y", (1, 0), HandoffBy::Model, |inputs, _| {
        down(inputs, 0, DownReason::Cooling, 9_000);
        down(inputs, 1, DownReason::BreakerOpen, 1);
    }), @r"
    a/x: health cooling_down 9s left
    b/y: health breaker_open 1ms left
    target_unavailable: a/x keeps the conversation: b/y failed too often lately (1ms left)
    ");
}

#[test]
fn of_a_rule_what_forbids_counts_for_a_hand_over() {
    let rule =
        |by, then: Actions| hand_over("a/x b/y", (1, 0), by, |_, policy| policy.rules = vec![always(then)]);
    let name = |name: &str| name.parse().unwrap();
    let model = |then| rule(HandoffBy::Model, then);
    insta::assert_snapshot!(model(Actions { avoid: vec![name("b/y")], ..Actions::default() }), @r"
    a/x: order has_conversation
    b/y: selected
    handed_over: b/y takes over from a/x because the model asked for it
    goes to b/y
    ");
    insta::assert_snapshot!(model(Actions { use_models: vec![name("a/x")], ..Actions::default() }), @r"
    a/x: order has_conversation
    b/y: rules not_in_rule
    handoff_denied: a/x keeps the conversation: b/y is not among the models of the rule
    ");
    insta::assert_snapshot!(model(Actions { stop: true, ..Actions::default() }), @r"
    a/x: rules stopped_by_rule
    b/y: rules stopped_by_rule
    stopped_by_rule: rule `r` ends the run
    ");
    insta::assert_snapshot!(rule(HandoffBy::Rule, Actions { handoff_to: Some(name("b/y")), ..Actions::default() }), @r"
    a/x: order has_conversation
    b/y: selected
    handoff_by_rule: b/y takes over from a/x by rule `r`
    goes to b/y
    ");
}

#[test]
fn between_turns_only_a_rule_leads_away() {
    let turn = |holder: &str, then: Actions| {
        check("a/x b/y c/z", |inputs, policy| {
            inputs.current = Some(Current { target: holder.parse().unwrap(), cached_tokens: 0 });
            inputs.run = Some(Box::new(RunInputs { turn: 2, hop: 1, ..RunInputs::default() }));
            inputs.candidates[2].by_rule = true;
            price(inputs, 0, 1, 1);
            policy.order = vec![Order::Cheapest];
            policy.rules = vec![always(then)];
        })
    };
    let to = |name: &str| Actions { handoff_to: Some(name.parse().unwrap()), ..Actions::default() };
    insta::assert_snapshot!(turn("b/y", Actions { max_turns: Some(3), ..Actions::default() }), @r"
    a/x: eligible 1
    b/y: selected
    c/z: rules not_asked_for
    stays: the conversation stays with b/y: no rule leads away from it
    ");
    insta::assert_snapshot!(turn("b/y", to("a/x")), @r"
    a/x: selected
    b/y: eligible 1
    c/z: rules not_asked_for
    handoff_by_rule: a/x takes over from b/y by rule `r`
    goes to a/x
    ");
    insta::assert_snapshot!(turn("b/y", to("c/z")), @r"
    a/x: eligible 2
    b/y: eligible 1
    c/z: selected
    handoff_by_rule: c/z takes over from b/y by rule `r`
    goes to c/z
    ");
    insta::assert_snapshot!(turn("b/y", to("b/y")), @r"
    a/x: eligible 1
    b/y: selected
    c/z: rules not_asked_for
    stays: the conversation stays with b/y: no rule leads away from it
    ");
    insta::assert_snapshot!(turn("b/y", to("d/d")), @r"
    a/x: eligible 1
    b/y: selected
    c/z: rules not_asked_for
    stays: the conversation stays with b/y: no rule leads away from it
    ");
}

#[test]
fn a_request_begins_with_whom_a_rule_hands_over_to() {
    let begin = |holder: Option<&str>| {
        check("a/x b/y", |inputs, policy| {
            let target = holder.map(|holder| holder.parse().unwrap());
            inputs.current = target.map(|target| Current { target, cached_tokens: 0 });
            let handoff_to = Some("b/y".parse().unwrap());
            policy.rules = vec![always(Actions { handoff_to, ..Actions::default() })];
        })
    };
    insta::assert_snapshot!(begin(None), @r"
    a/x: eligible 1
    b/y: selected
    chosen_by_rule: b/y is chosen by rule `r`
    ");
    insta::assert_snapshot!(begin(Some("a/x")), @r"
    a/x: eligible 1
    b/y: selected
    handoff_by_rule: b/y takes over from a/x by rule `r`
    goes to b/y
    ");
    insta::assert_snapshot!(begin(Some("b/y")), @r"
    a/x: eligible 1
    b/y: selected
    chosen_by_rule: b/y is chosen by rule `r`
    ");
    // It was with one that is not named any more.
    insta::assert_snapshot!(begin(Some("c/z")), @r"
    a/x: eligible 1
    b/y: selected
    handoff_by_rule: b/y takes over from c/z by rule `r`
    goes to b/y
    ");
}

#[test]
fn the_models_of_a_hand_over_are_named_by_the_policy() {
    let rule = always(Actions { handoff_to: Some("c/z".parse().unwrap()), ..Actions::default() });
    let document = PolicyDocument { rules: vec![rule], ..PolicyDocument::default() };
    let policy = Policy::new(crate::PolicyRef::default(), document).unwrap();
    assert_eq!(policy.rule_models().map(ToString::to_string).collect::<Vec<_>>(), ["c/z"]);
    let named: Vec<_> = policy.named_models().map(|(key, name)| format!("{key} {name}")).collect();
    assert_eq!(named, ["handoff_to c/z"]);
    assert!(policy.needs(&crate::Wishes::default()).conversation);
}

fn always(then: Actions) -> Rule {
    Rule { name: "r".to_owned(), when: String::new(), then }
}

/// A hand-over to the first place from the second.
fn hand_over(
    targets: &str,
    (to, from): (u32, u32),
    by: HandoffBy,
    change: impl FnOnce(&mut Inputs, &mut PolicyDocument),
) -> String {
    check(targets, |inputs, policy| {
        let asked = Some(Asked { to, from, by });
        inputs.run = Some(Box::new(RunInputs { turn: 2, hop: 1, asked, ..RunInputs::default() }));
        change(inputs, policy);
    })
}

fn facts(inputs: &mut Inputs, at: usize) -> &mut Facts {
    Arc::make_mut(&mut inputs.candidates[at].facts)
}

/// In thousandths of a dollar per million tokens.
fn price(inputs: &mut Inputs, at: usize, input: u64, output: u64) {
    facts(inputs, at).price = Some(Price {
        input: NanoUsd(input * 1_000_000),
        output: NanoUsd(output * 1_000_000),
        cached_input: None,
        cache_write: None,
        cache_write_1h: None,
    });
}

fn latency(inputs: &mut Inputs, at: usize, p50_ms: u64, p95_ms: u64) {
    inputs.candidates[at].health.latency = Some(Latency { p50_ms, p95_ms, samples: 50 });
}

fn down(inputs: &mut Inputs, at: usize, why: DownReason, for_ms: u64) {
    inputs.candidates[at].health = Health { down: Some(Down { why, for_ms }), ..Health::default() };
}

#[test]
fn an_agent_that_begins_to_work_says_so_before_its_model() {
    let begins = |by| {
        check("a/x b/y", |inputs, _| {
            let (from, to) = ("triage".to_owned(), "billing".to_owned());
            inputs.agent = Some(Box::new(AgentMove { from, to, by }));
        })
    };
    let last = |text: String| text.lines().last().unwrap().trim().to_owned();
    assert_eq!(
        last(begins(AgentMoveBy::Handoff)),
        "handed_over: agent `billing` takes over from agent `triage` because its model asked for it; \
         a/x is first in the list"
    );
    assert_eq!(
        last(begins(AgentMoveBy::Forced)),
        "handoff_forced: agent `billing` takes over from agent `triage` as is configured to follow its answer; \
         a/x is first in the list"
    );
    assert_eq!(
        last(begins(AgentMoveBy::Task)),
        "delegated: agent `billing` is given a task by agent `triage`; a/x is first in the list"
    );
    assert_eq!(
        last(begins(AgentMoveBy::Return)),
        "returned: agent `billing` goes on with the answer of agent `triage`; a/x is first in the list"
    );
    let nobody = check("a/x", |inputs, _| {
        let (from, to) = ("triage".to_owned(), "billing".to_owned());
        inputs.agent = Some(Box::new(AgentMove { from, to, by: AgentMoveBy::Handoff }));
        down(inputs, 0, DownReason::Disabled, 0);
    });
    assert!(last(nobody).starts_with("exhausted: no model is left"), "nobody takes over");
}

/// The only place that calls the API: targets, then a change to inputs and policy.
fn check(targets: &str, change: impl FnOnce(&mut Inputs, &mut PolicyDocument)) -> String {
    let mut inputs = Inputs {
        features: Features { input_tokens: 1_000, ..Features::default() },
        candidates: targets
            .split(' ')
            .map(|name| Candidate::named(name.parse().unwrap(), name.parse().unwrap()))
            .collect(),
        // A number that explores nothing.
        random: 1,
        ..Inputs::default()
    };
    let mut document = PolicyDocument::default();
    change(&mut inputs, &mut document);
    let policy = Policy::new(inputs.policy.clone(), document).unwrap();
    let knowledge = Knowledge {
        task_strengths: [(TaskKind::Writing, vec!["prose".to_owned(), "code".to_owned()])].into(),
        ..Knowledge::default()
    };
    let plan = match plan(&policy, &knowledge, &inputs) {
        Planned::Plan(plan) => plan,
        Planned::Ask(Question { judge, choices, .. }) => return format!("ask {judge} about {choices:?}"),
    };
    let mut lines: Vec<String> = plan
        .table
        .iter()
        .zip(&inputs.candidates)
        .map(|(row, candidate)| {
            let said = match &row.verdict {
                Verdict::Selected => "selected".to_owned(),
                Verdict::Eligible { rank } => format!("eligible {rank}"),
                Verdict::Rejected(Rejection { stage, code, observed, limit }) => {
                    let figures = match (observed, limit) {
                        (Some(observed), Some(limit)) => format!(" {observed} > {limit}"),
                        (Some(observed), None) => format!(" {observed}"),
                        (None, Some(limit)) => format!(" < {limit}"),
                        (None, None) => String::new(),
                    };
                    format!("{} {}{figures}", format!("{stage:?}").to_lowercase(), code.as_str())
                }
            };
            let score = row.score.map(|score| format!(" [{score}]")).unwrap_or_default();
            format!("{}: {said}{score}", candidate.target)
        })
        .collect();
    lines.push(format!("{}: {}", plan.reason.code.as_str(), plan.reason.text));
    lines.extend(plan.handoff.map(|at| format!("goes to {}", inputs.candidates[at as usize].target)));
    lines.join("\n")
}
