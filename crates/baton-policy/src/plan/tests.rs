use std::sync::Arc;

use baton_model::Price;

use super::*;
use crate::{
    Actions, Down, DownReason, Facts, Features, Health, Judge, Judged, Latency, Need, Order, PolicyDocument,
    ProviderPreferences, Rule, TaskKind,
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
            inputs.current = Some(crate::Current { target: "a/now".parse().unwrap(), cached_tokens: cached });
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
    });
}

fn latency(inputs: &mut Inputs, at: usize, p50_ms: u64, p95_ms: u64) {
    inputs.candidates[at].health.latency = Some(Latency { p50_ms, p95_ms, samples: 50 });
}

fn down(inputs: &mut Inputs, at: usize, why: DownReason, for_ms: u64) {
    inputs.candidates[at].health = Health { down: Some(Down { why, for_ms }), ..Health::default() };
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
    lines.join("\n")
}
