use super::*;
use crate::{PolicyRef, ProviderPreferences};

#[test]
fn a_single_model_is_selected() {
    insta::assert_snapshot!(check("a/x", |_| ()), @r"
    a/x: selected
    only_model: a/x was the only model named
    ");
}

#[test]
fn a_list_is_tried_in_its_order_and_a_target_once() {
    insta::assert_snapshot!(check("a/x b/y a/x c/z", |_| ()), @r"
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
        check("a/small b/blind c/fits", |inputs| {
            inputs.features = Features { input_tokens: 9_000, images: true, ..Features::default() };
            inputs.candidates[0].capabilities.context_window = Some(8_192);
            inputs.candidates[1].capabilities.vision = Some(false);
        }),
        @r"
    a/small: capability window_too_small 9000 tokens > 8192 tokens
    b/blind: capability no_vision
    c/fits: selected
    first_eligible: c/fits is the first that fits: a/small has too small a context window, b/blind takes no images
    "
    );
}

#[test]
fn a_key_only_gets_its_models() {
    insta::assert_snapshot!(
        check("a/x b/y", |inputs| inputs.key_models = Some(vec!["b/*".to_owned()])),
        @r"
    a/x: allow key_not_allowed
    b/y: selected
    first_eligible: b/y is the first that fits: a/x is not allowed for this key
    "
    );
    insta::assert_snapshot!(
        check("a/x", |inputs| inputs.key_models = Some(vec![])),
        @r"
    a/x: allow key_not_allowed
    exhausted: no model is left: a/x is not allowed for this key
    "
    );
}

#[test]
fn provider_wishes_order_exclude_and_forbid_fallbacks() {
    insta::assert_snapshot!(
        check("a/x b/y c/z", |inputs| {
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
        check("a/x b/x", |inputs| inputs.candidates[0].not_carried = vec!["seed".to_owned(), "n".to_owned()]),
        @r"
    a/x: capability unsupported_parameter seed, n
    b/x: selected
    first_eligible: b/x is the first that fits: a/x cannot carry every parameter, and the request is strict
    "
    );
}

/// The only place that calls the API: targets, then a change to the inputs.
fn check(targets: &str, change: impl FnOnce(&mut Inputs)) -> String {
    let mut inputs = Inputs {
        policy: PolicyRef { name: "default".to_owned(), version: "0".to_owned() },
        features: Features::default(),
        candidates: targets
            .split(' ')
            .map(|name| Candidate {
                model: name.parse().unwrap(),
                target: name.parse().unwrap(),
                capabilities: Capabilities::default(),
                price: None,
                not_carried: Vec::new(),
            })
            .collect(),
        key_models: None,
        providers: ProviderPreferences::default(),
        retries: 2,
    };
    change(&mut inputs);
    let plan = plan(&inputs);
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
                        _ => String::new(),
                    };
                    format!("{} {}{figures}", format!("{stage:?}").to_lowercase(), code.as_str())
                }
            };
            format!("{}: {said}", candidate.target)
        })
        .collect();
    lines.push(format!("{}: {}", plan.reason.code.as_str(), plan.reason.text));
    lines.join("\n")
}
