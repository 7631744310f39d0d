//! Dedalus, the patterns of hand-off: names without their provider, and which model a task gets.

use std::path::Path;

use serde_json::{Value, json};

use super::stage::Stage;
use crate::blackbox::handoff::{calls, says};
use crate::blackbox::support::{Home, finished, run};
use crate::blackbox::v1::text;

/// S1-1: the second model is named without its provider, which the catalogue knows.
#[test]
fn s1_1_a_second_model_without_a_provider_is_found() {
    run(async {
        let stage = Stage::set(include_str!("S1-2.yaml")).await;
        let to = "transfer_to_claude_3_5_sonnet_20241022";
        stage.openai.then(calls(vec![(to.to_owned(), json!({"reason": "the user wants Claude to write"}))]));
        stage.anthropic.then(says("A technical summary."));
        let body = json!({
            "model": ["openai/gpt-4", "claude-3-5-sonnet-20241022"], "max_tokens": 500,
            "messages": [{"role": "user", "content": "Research, then hand off to Claude to write a technical summary"}],
        });
        let answer = stage.baton.chat(&body).await.expect(200);
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "A technical summary.");
        assert_eq!(answer.json()["model"], "anthropic/claude-3-5-sonnet-20241022");
        let run = stage.baton.run_of(&answer).await;
        let kinds: Vec<&str> =
            run["decisions"].as_array().unwrap().iter().filter_map(|it| it["kind"].as_str()).collect();
        assert_eq!(kinds, ["select", "handoff"], "{run}");
        assert_eq!(run["decisions"][1]["handoff"]["said"], "the user wants Claude to write", "{run}");
        let asked = stage.anthropic.seen().pop().expect("a request").json();
        assert_eq!(asked["model"], "claude-3-5-sonnet-20241022");
        assert!(asked["messages"].to_string().contains("hand off to Claude"), "{asked}");
    });
}

#[test]
fn s1_2_a_declared_task_picks_its_model_and_an_unknown_one_the_default() {
    run(async {
        let stage = Stage::set(include_str!("S1-2.yaml")).await;
        for (task, target) in [
            ("code_generation", "anthropic/claude-3-5-sonnet-20241022"),
            ("data_analysis", "openai/gpt-4"),
            ("creative_writing", "anthropic/claude-3-opus-20240229"),
            ("quick_answers", "openai/gpt-4o-mini"),
            ("research", "openai/gpt-4.1"),
        ] {
            let chosen = stage.chosen("policy/intelligent", json!({"task": task})).await;
            assert_eq!(chosen, (target.to_owned(), "chosen_by_rule".to_owned()), "{task}");
        }
        for task in ["gardening", "translation", ""] {
            let (target, _) = stage.chosen("policy/intelligent", json!({"task": task})).await;
            assert_eq!(target, "openai/gpt-4", "{task}");
        }
    });
}

#[test]
fn s1_6_the_four_branches_of_the_selection() {
    run(async {
        let stage = Stage::set(include_str!("S1-6.yaml")).await;
        let choose = async |question: &str, context: Value| {
            let body =
                json!({"model": "policy/optimal", "messages": question, "baton": {"context": context}});
            stage.baton.chat(&body).await.expect(200).header("x-baton-model").to_owned()
        };
        let simple = "What is the capital of France?";
        for (context, target) in [
            (json!({"max_cost": 0.005}), "openai/gpt-4o-mini"),
            (json!({"max_cost": 0.02, "code": true}), "anthropic/claude-3-5-sonnet-20241022"),
            (json!({"creative": true}), "anthropic/claude-3-opus-20240229"),
            (json!({"max_latency": 3}), "openai/gpt-4"),
            (json!({}), "openai/gpt-4"),
        ] {
            assert_eq!(choose(simple, context.clone()).await, target, "{context}");
        }
    });
}

#[test]
fn s1_6_passes_as_a_policy_test_and_a_wrong_expectation_fails() {
    run(async {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/seeds");
        let home = Home::new(include_str!("S1-6.yaml"));
        let cases = seeds.join("S1-6.cases.yaml");
        let cases = cases.to_str().expect("a path");
        let said = finished(home.command(&["policy", "test", cases, "--json"])).await.expect(0).json();
        assert_eq!((&said["cases"], &said["failed"]), (&json!(6), &json!(0)), "{said}");
        let text_form = finished(home.command(&["policy", "test", cases])).await.expect(0);
        assert!(text_form.out.contains("6 cases, 0 failed"), "{text_form:?}");

        let wrong =
            include_str!("S1-6.cases.yaml").replace("expect: openai/gpt-4o-mini", "expect: openai/gpt-4");
        let broken = home.config().with_file_name("wrong.yaml");
        std::fs::write(&broken, wrong).expect("a written file");
        let said =
            finished(home.command(&["policy", "test", broken.to_str().expect("a path"), "--json"])).await;
        let said = said.expect(1).json();
        assert_eq!(said["failed"], 1, "{said}");
        assert_eq!(said["results"][0]["ok"], false, "{said}");
        let why = text(&said["results"][0]["why"]);
        assert!(why.starts_with("expected openai/gpt-4, got openai/gpt-4o-mini"), "{why}");
    });
}
