//! Dedalus: hand-overs between models of a list, and policies.

use baton_testkit::fake::Step;
use serde_json::json;

use super::stage::Stage;
use crate::blackbox::handoff::{
    POOLS, Surface, WAYS, asked, calls, decisions, saw, says, says_and_calls, story, talking, tool_bytes,
    tools_of, transfer, user,
};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::run;

/// S0-1: research, then write: the tools of a server run on the first model, the prose is the second's.
#[test]
fn s0_1_research_is_the_first_models_and_prose_the_seconds() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let mcp = Mcp::start().await;
                let more = format!("mcp_servers: {{ simon/search: {{ url: '{}' }} }}\n", mcp.url());
                let turns = vec![
                    (0, calls(vec![("simon-search__query".to_owned(), json!({"q": "SpaceX"}))])),
                    (0, says_and_calls("Found it.", vec![transfer(pool[1], "it writes better prose")])),
                    (1, says("A post about the launch.")),
                ];
                let fixture = talking(pool, turns, &more).await;
                let body = json!({"model": pool, "messages": user("Research, then write"), "mcp_servers": ["simon/search"]});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                assert_eq!(said.text.replace("\n\n", ""), "Found it.A post about the launch.", "{case}");
                if way != (Surface::Messages, true) {
                    assert_eq!(said.model, pool[1], "{case}");
                }
                assert!(said.calls.is_empty(), "no hidden tool leaks: {case}");
                assert_eq!(mcp.calls(), [json!({"q": "SpaceX"})], "{case}");
                assert_eq!((saw(&fixture, pool[0]).len(), saw(&fixture, pool[1]).len()), (2, 1), "{case}");
                let written = saw(&fixture, pool[1])[0].json().to_string();
                assert!(
                    written.contains("found: SpaceX") && written.contains("Found it."),
                    "{case}: {written}"
                );
                assert_eq!(
                    story(&fixture, &answer).await,
                    [
                        format!("1.1 select first_in_order -->{} ok", pool[0]),
                        format!("2.1 stay tools_answered -->{} ok", pool[0]),
                        format!("3.2 handoff handed_over {}->{} ok", pool[0], pool[1]),
                    ],
                    "{case}"
                );
            }
        }
    });
}

/// S0-2: three pairs of phases; the reason names the phase.
#[test]
fn s0_2_each_phase_has_its_model_and_the_reason_names_it() {
    run(async {
        for (pool, reason) in POOLS.into_iter().zip([
            "research is done, now writing",
            "analysis is done, now code",
            "triage is done, a specialist's case",
            "gathered, now prose",
        ]) {
            for way in WAYS {
                let turns: Vec<(usize, Step)> = vec![
                    (0, says_and_calls("One moment.", vec![transfer(pool[1], reason)])),
                    (1, says("Done.")),
                ];
                let fixture = talking(pool, turns, "").await;
                let (answer, said) =
                    asked(&fixture.baton, way, json!({"model": pool, "messages": user("go")})).await;
                assert_eq!(
                    said.text.replace("\n\n", ""),
                    "One moment.Done.",
                    "{pool:?} {way:?} {}",
                    answer.text()
                );
                let all = decisions(&fixture, &answer).await;
                assert_eq!(all[1]["kind"], "handoff", "{all:?}");
                assert_eq!(all[1]["handoff"]["said"], reason, "{all:?}");
            }
        }
    });
}

/// S0-4: with one model in the list there is nobody to hand over to.
#[test]
fn s0_4_one_model_is_offered_nobody() {
    run(async {
        for model in ["oai/fake", "ant/fake"] {
            for way in WAYS {
                let fixture = talking([model, model], vec![(0, says("Alone."))], "").await;
                let (answer, said) =
                    asked(&fixture.baton, way, json!({"model": [model], "messages": user("Hello")})).await;
                assert_eq!(said.text, "Alone.", "{model} {way:?} {}", answer.text());
                let seen = saw(&fixture, model);
                assert!(tools_of(&seen[0]).is_empty() && tool_bytes(&seen[0]).is_empty(), "{model} {way:?}");
                assert_eq!(story(&fixture, &answer).await, [format!("1.1 select only_model -->{model} ok")]);
            }
        }
    });
}

#[test]
fn s0_3_each_kind_of_task_gets_a_model_that_the_table_lists() {
    run(async {
        let stage = Stage::set(include_str!("S0-3.yaml")).await;
        let claude = "anthropic/claude-sonnet-4-20250514";
        for (kinds, listed) in [
            (&["tool_use", "math_reasoning", "reasoning"][..], &["openai/gpt-4o-mini", "openai/gpt-4.1"][..]),
            (&["writing", "creative_writing"], &[claude]),
            (&["code", "code_generation"], &[claude, "openai/gpt-4o"]),
            (&["quick_answer", "quick_answers"], &["openai/gpt-4o-mini"]),
        ] {
            for kind in kinds {
                let (target, code) = stage.chosen("policy/strengths", json!({"task": kind})).await;
                assert!(
                    listed.contains(&target.as_str()),
                    "{kind} went to {target}, not to one of {listed:?}"
                );
                assert_eq!(code, "best_strengths", "{kind}");
            }
        }
    });
}

#[test]
fn s0_5_a_policy_changes_model_list_messages_settings_and_ends_it() {
    run(async {
        let stage = Stage::set(include_str!("S0-5.yaml")).await;
        let step = |number: u32| json!({"context": {"step": number}});
        assert_eq!(
            stage.chosen("assistant", step(1)).await,
            ("openai/gpt-4o-mini".to_owned(), "first_in_order".to_owned())
        );
        // Another model, though the route does not have it.
        assert_eq!(
            stage.chosen("assistant", step(2)).await,
            ("openai/gpt-4o".to_owned(), "chosen_by_rule".to_owned())
        );
        assert_eq!(
            stage.chosen("assistant", step(3)).await,
            ("anthropic/claude-sonnet-4-20250514".to_owned(), "first_eligible".to_owned())
        );
        assert_eq!(stage.chosen("assistant", step(4)).await.0, "openai/gpt-4o-mini");
        let shaped = stage.openai.seen().pop().expect("a request").json();
        assert_eq!(
            shaped["messages"],
            json!([
                {"role": "system", "content": "Answer in one sentence."},
                {"role": "user", "content": "hi"},
                {"role": "system", "content": "Name your sources."},
            ])
        );
        assert_eq!((&shaped["temperature"], &shaped["max_tokens"]), (&json!(0.1), &json!(64)));
        assert_eq!(
            stage.chosen("assistant", step(5)).await,
            ("anthropic/claude-sonnet-4-20250514".to_owned(), "chosen_by_rule".to_owned())
        );
        let together = stage.anthropic.seen().pop().expect("a request").json();
        assert!(together["system"].to_string().contains("Write it up."), "{together}");
        assert_eq!((&together["temperature"], &together["max_tokens"]), (&json!(0.7), &json!(500)));
        let before = stage.seen().len();
        let answer = stage.ask("assistant", step(6)).await;
        assert_eq!(answer.openai_error(403)["code"], "stopped_by_rule");
        assert_eq!(stage.seen().len(), before, "nobody is asked after the end");
        // The next request is decided afresh.
        assert_eq!(stage.chosen("assistant", step(1)).await.0, "openai/gpt-4o-mini");
    });
}
