//! The cases of the seeds that are a matter of policy, each with the configuration in `tests/seeds`.

use std::path::Path;

use baton_testkit::fake::{FakeUpstream, Script, Seen};
use serde_json::{Value, json};

use super::support::{Answer, Baton, Home, finished, run};
use super::v1::text;

/// Every model that the seeds name, as its provider names it.
const MODELS: [&str; 7] = [
    "gpt-4",
    "gpt-4o",
    "gpt-4.1",
    "gpt-4o-mini",
    "claude-sonnet-4-20250514",
    "claude-3-5-sonnet-20241022",
    "claude-3-opus-20240229",
];

/// A server with a seed's configuration, between fakes that serve the seeds' models.
struct Stage {
    baton: Baton,
    openai: FakeUpstream,
    anthropic: FakeUpstream,
}

impl Stage {
    async fn set(config: &str) -> Self {
        let script = || MODELS.iter().fold(Script::default(), |script, name| script.model(name));
        let openai = FakeUpstream::start(script()).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(script()).await.expect("a fake upstream");
        let (to_openai, to_anthropic) = (openai.base_url(), anthropic.origin());
        let environment =
            [("OPENAI_BASE_URL", to_openai.as_str()), ("ANTHROPIC_BASE_URL", to_anthropic.as_str())];
        let baton = Baton::start_in(Home::new(config), &environment).await;
        Self { baton, openai, anthropic }
    }

    async fn ask(&self, model: &str, own: Value) -> Answer {
        let messages = json!([{"role": "user", "content": "hi"}]);
        self.baton.chat(&json!({"model": model, "messages": messages, "max_tokens": 500, "baton": own})).await
    }

    /// Asks, and gives the target that answered and why. The fakes and the record must agree.
    async fn chosen(&self, model: &str, own: Value) -> (String, String) {
        let before = self.seen().len();
        let answer = self.ask(model, own.clone()).await.expect(200);
        let target = answer.header("x-baton-model").to_owned();
        let seen = self.seen();
        assert_eq!(seen.len(), before + 1, "{own}: one attempt");
        let asked: Vec<String> = seen.iter().map(|one| text(&one.json()["model"])).collect();
        let (_, name) = target.split_once('/').expect("a target");
        assert!(asked.iter().any(|one| one == name), "{target} was not asked: {asked:?}");
        let run = self.baton.run_of(&answer).await;
        let decision = &run["decisions"][0];
        assert_eq!((&decision["kind"], &decision["to"]), (&json!("select"), &json!(target)), "{run}");
        assert_eq!(decision["reason"]["code"], answer.header("x-baton-reason"), "{run}");
        (target, answer.header("x-baton-reason").to_owned())
    }

    fn seen(&self) -> Vec<Seen> {
        self.openai.seen().into_iter().chain(self.anthropic.seen()).collect()
    }
}

#[test]
fn s0_3_each_kind_of_task_gets_a_model_that_the_table_lists() {
    run(async {
        let stage = Stage::set(include_str!("../seeds/S0-3.yaml")).await;
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
        let stage = Stage::set(include_str!("../seeds/S0-5.yaml")).await;
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

#[test]
fn s1_2_a_declared_task_picks_its_model_and_an_unknown_one_the_default() {
    run(async {
        let stage = Stage::set(include_str!("../seeds/S1-2.yaml")).await;
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
        let stage = Stage::set(include_str!("../seeds/S1-6.yaml")).await;
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
        let home = Home::new(include_str!("../seeds/S1-6.yaml"));
        let cases = seeds.join("S1-6.cases.yaml");
        let cases = cases.to_str().expect("a path");
        let said = finished(home.command(&["policy", "test", cases, "--json"])).await.expect(0).json();
        assert_eq!((&said["cases"], &said["failed"]), (&json!(6), &json!(0)), "{said}");
        let text_form = finished(home.command(&["policy", "test", cases])).await.expect(0);
        assert!(text_form.out.contains("6 cases, 0 failed"), "{text_form:?}");

        let wrong = include_str!("../seeds/S1-6.cases.yaml")
            .replace("expect: openai/gpt-4o-mini", "expect: openai/gpt-4");
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
