//! Dedalus, the patterns of several models: each as one request for a workflow.

use baton_testkit::fake::{Fault, Seen, Step};
use serde_json::{Value, json};

use super::stage::Stage;
use crate::blackbox::handoff::says;
use crate::blackbox::runs::{are_whole, events_of, id_of, queued, started};
use crate::blackbox::support::{run, until};
use crate::blackbox::v1::text;

const WORKFLOWS: &str = include_str!("S1-3.yaml");
const SONNET: &str = "anthropic/claude-3-5-sonnet-20241022";

/// A step of a run.
fn step<'r>(run: &'r Value, name: &str) -> &'r Value {
    let steps = run["steps"].as_array().unwrap_or_else(|| panic!("no steps in {run}"));
    steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no `{name}` in {run}"))
}

/// What the steps of a run are called, and what they said.
fn outputs(run: &Value) -> Vec<(&str, &str)> {
    let steps = run["steps"].as_array().expect("steps");
    steps.iter().map(|step| (text_of(&step["name"]), text_of(&step["output"]))).collect()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What was asked last of a request's messages.
fn asked(seen: &Seen) -> String {
    let body = seen.json();
    let last = body["messages"].as_array().and_then(|messages| messages.last()).expect("messages");
    match &last["content"] {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().expect("a text").to_owned(),
    }
}

/// The decisions of a run, by their ids.
async fn decisions(stage: &Stage, run: &Value) -> Vec<Value> {
    stage.baton.settled(&id_of(run)).await["decisions"].as_array().expect("decisions").clone()
}

/// Every step was answered by its model, under a decision that says so, at a cost; together they cost what the run did.
async fn is_accounted_for(stage: &Stage, run: &Value, models: &[(&str, &str)]) {
    let recorded = decisions(stage, run).await;
    let mut sum = 0.0;
    for (name, model) in models {
        let step = step(run, name);
        assert_eq!((&step["status"], &step["model"]), (&json!("completed"), &json!(model)), "{run}");
        let [decision] = step["decisions"].as_array().expect("decisions").as_slice() else {
            panic!("one decision for one answer: {step}")
        };
        let recorded = recorded.iter().find(|one| one["id"] == *decision).expect("it is recorded");
        assert_eq!((&recorded["kind"], &recorded["to"]), (&json!("select"), &json!(model)), "{recorded}");
        assert_eq!(recorded["outcome"]["status"], "ok", "{recorded}");
        assert!(
            step["began_ms"].as_u64() <= step["ended_ms"].as_u64() && step["began_ms"].is_u64(),
            "{step}"
        );
        sum += step["cost_usd"].as_str().and_then(|cost| cost.parse::<f64>().ok()).expect("a cost");
    }
    let cost: f64 = run["cost_usd"].as_str().and_then(|cost| cost.parse().ok()).expect("a cost");
    assert!(cost > 0.0 && (cost - sum).abs() < 1e-9, "{cost} is not {sum}: {run}");
}

/// S1-3: research, analysis and report as one sequence.
#[test]
fn s1_3_three_stages_are_one_sequence() {
    run(async {
        let stage = Stage::set(WORKFLOWS).await;
        stage.openai.then(says("Tea is old."));
        stage.openai.then(says("A report on tea."));
        stage.anthropic.then(says("It is very old."));
        let body = json!({"workflow": "stages", "input": "tea", "context": {"audience": "children"}});
        let done = started(&stage.baton, body).await;
        assert_eq!((&done["status"], &done["workflow"]), (&json!("completed"), &json!("stages")), "{done}");
        assert_eq!(done["output"]["text"], "A report on tea.");
        let said =
            [("research", "Tea is old."), ("analysis", "It is very old."), ("report", "A report on tea.")];
        assert_eq!(outputs(&done), said);
        let models = [("research", "openai/gpt-4.1"), ("analysis", SONNET), ("report", "openai/gpt-4")];
        is_accounted_for(&stage, &done, &models).await;
        let seen: Vec<String> = stage.openai.seen().iter().map(asked).collect();
        assert_eq!(seen, ["Research tea", "Report on tea for children: It is very old."]);
        let [analysis] = stage.anthropic.seen().try_into().expect("one request");
        assert_eq!(asked(&analysis), "Analyze this: Tea is old.", "it sees what the stage before said");
        let told = events_of(&stage.baton, &id_of(&done), None).await;
        are_whole(&told);
        let story: Vec<String> = told
            .iter()
            .filter(|event| event.name.starts_with("step_") || event.name == "text_done")
            .map(|event| format!("{} {}", event.name, text_of(&event.data["step"])))
            .collect();
        let expected =
            ["step_start research", "step_end research", "step_start analysis", "step_end analysis"];
        let expected = [&expected[..], &["step_start report", "step_end report", "text_done "]].concat();
        assert_eq!(story, expected);
    });
}

/// S1-7: parse, patterns, insights; each step gets what the one before said.
#[test]
fn s1_7_a_sequential_analysis_passes_results_on() {
    run(async {
        let stage = Stage::set(WORKFLOWS).await;
        for said in ["Three rows.", "They grow.", "They will be four."] {
            stage.openai.then(says(said));
        }
        let done = started(&stage.baton, json!({"workflow": "patterns", "input": "1, 2, 3"})).await;
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!("They will be four."))
        );
        let models =
            [("parse", "openai/gpt-4"), ("patterns", "openai/gpt-4.1"), ("insights", "openai/gpt-4")];
        is_accounted_for(&stage, &done, &models).await;
        let seen = stage.openai.seen();
        let inputs: Vec<String> = seen.iter().map(asked).collect();
        assert_eq!(inputs, ["Parse the data: 1, 2, 3", "Three rows.", "They grow."]);
        assert_eq!(
            seen[1].json()["messages"][0]["content"],
            "Look for patterns.",
            "its own instructions alone"
        );
    });
}

/// S1-8: three analyses are under way at the same time.
#[test]
fn s1_8_three_analyses_are_open_at_once() {
    run(async {
        let stage = Stage::set(WORKFLOWS).await;
        for _ in 0..3 {
            stage.openai.then(Step::Fault(Fault::HeaderStall));
        }
        let id = queued(&stage.baton, json!({"workflow": "views", "input": "a merger"})).await;
        let all = |seen: &[Seen]| seen.len() == 3;
        assert!(stage.openai.until(std::time::Duration::from_secs(30), all).await, "all three are asked");
        // None of them was answered, so none of them waited for another.
        let seen = stage.openai.seen();
        assert!(seen.iter().all(|one| one.status.is_none() && one.ended.is_none()), "{seen:?}");
        let mut inputs: Vec<String> = seen.iter().map(asked).collect();
        inputs.sort();
        let expected = ["Business implications", "Risk assessment", "Technical analysis"];
        assert_eq!(inputs, expected.map(|what| format!("{what}: a merger")));
        assert!(stage.anthropic.seen().is_empty(), "the synthesis waits for them");
        stage.baton.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await.expect(200);
        let closed = |seen: &[Seen]| seen.iter().all(Seen::closed_by_peer);
        assert!(
            stage.openai.until(std::time::Duration::from_secs(30), closed).await,
            "a cancelled run asks nobody"
        );
    });
}

/// S1-8: the synthesis sees every branch under its name, and a branch that fails is treated as it was asked.
#[test]
fn s1_8_the_synthesis_sees_every_branch_by_its_name() {
    run(async {
        let stage = Stage::set(WORKFLOWS).await;
        stage.anthropic.then(says("On the whole, yes."));
        let done = started(&stage.baton, json!({"workflow": "views", "input": "a merger"})).await;
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!("On the whole, yes."))
        );
        let [synthesis] = stage.anthropic.seen().try_into().expect("one request");
        let sections = ["technical", "business", "risk"]
            .map(|name| format!("## {name}\n\n{}", text_of(&step(&done, name)["output"])));
        assert_eq!(asked(&synthesis), format!("Synthesize: {}", sections.join("\n\n")));

        let views = |on_error: Value, broken: &[&str]| {
            let model = |name: &str| if broken.contains(&name) { "openai/fault-400" } else { "openai/gpt-4" };
            let branch = |name: &str| json!({"name": name, "model": model(name)});
            let branches = ["technical", "business", "risk"].map(branch);
            let mut parallel = json!({
                "branches": branches,
                "synthesis": {"name": "synthesis", "model": SONNET, "settings": {"max_tokens": 500}},
            });
            parallel.as_object_mut().unwrap().extend(on_error.as_object().unwrap().clone());
            json!({"workflow": {"parallel": parallel}, "input": "a merger"})
        };
        let failed = |run: &Value| text_of(&run["error"]["code"]).to_owned();
        let fails = started(&stage.baton, views(json!({"on_branch_error": "fail"}), &["risk"])).await;
        assert_eq!(
            (&fails["status"], failed(&fails)),
            (&json!("failed"), "branch_failed".to_owned()),
            "{fails}"
        );
        assert_eq!(step(&fails, "synthesis")["status"], "skipped");

        stage.anthropic.then(says("Without the risks."));
        let skips = started(&stage.baton, views(json!({"on_branch_error": "skip"}), &["risk"])).await;
        assert_eq!(
            (&skips["status"], &skips["output"]["text"]),
            (&json!("completed"), &json!("Without the risks."))
        );
        assert_eq!(step(&skips, "risk")["status"], "failed");
        let last = asked(stage.anthropic.seen().last().expect("a request"));
        assert!(last.contains("## risk\n\n(no answer)"), "{last}");

        let quorum = json!({"on_branch_error": "quorum", "quorum": 2});
        stage.anthropic.then(says("Two are enough."));
        let enough = started(&stage.baton, views(quorum.clone(), &["risk"])).await;
        assert_eq!(enough["output"]["text"], "Two are enough.", "{enough}");
        let missed = started(&stage.baton, views(quorum, &["risk", "business"])).await;
        assert_eq!(
            (&missed["status"], failed(&missed)),
            (&json!("failed"), "quorum_missed".to_owned()),
            "{missed}"
        );
    });
}

/// S1-9: three voters and a judge; its choice and its reason are returned, and recorded.
#[test]
fn s1_9_a_judge_chooses_among_three_votes() {
    run(async {
        let stage = Stage::set(WORKFLOWS).await;
        let reason = "It is to the point.";
        stage.anthropic.then(says(&json!({"choice": 2, "reason": reason}).to_string()));
        let done = started(&stage.baton, json!({"workflow": "vote", "input": "Tea or coffee?"})).await;
        let votes = ["careful", "quick", "bold"].map(|name| text_of(&step(&done, name)["output"]).to_owned());
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!(votes[1])),
            "{done}"
        );
        assert_eq!(done["choice"], json!({"step": "quick", "by": "judge", "reason": reason}), "{done}");
        let [ballot] = stage.anthropic.seen().try_into().expect("one request");
        let ballot = asked(&ballot);
        for (number, vote) in (1..).zip(&votes) {
            assert!(ballot.contains(&format!("<answer number=\"{number}\">\n{vote}\n</answer>")), "{ballot}");
        }
        let recorded = decisions(&stage, &done).await;
        let counted: Vec<&Value> =
            recorded.iter().filter(|one| one["reason"]["code"] == "vote_counted").collect();
        let [counted] = counted.as_slice() else { panic!("one choice: {recorded:?}") };
        assert_eq!(
            (&counted["to"], &counted["handoff"]["said"]),
            (&json!("openai/gpt-4o-mini"), &json!(reason))
        );
        assert!(text(&counted["reason"]["text"]).contains("`quick` counts"), "{counted}");
    });
}

/// S1-9: where the judge fails, the rule for a tie decides.
#[test]
fn s1_9_a_judge_that_fails_leaves_it_to_the_rule() {
    run(async {
        let stage = Stage::set(WORKFLOWS).await;
        stage.anthropic.then(Step::Fault(Fault::BadRequest));
        let done = started(&stage.baton, json!({"workflow": "vote", "input": "Tea or coffee?"})).await;
        let first = text_of(&step(&done, "careful")["output"]);
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!(first)),
            "{done}"
        );
        assert_eq!(done["choice"]["by"], json!({"tie": "first"}), "{done}");
        assert_eq!(step(&done, "judge")["status"], "failed");
        let recorded = decisions(&stage, &done).await;
        let counted =
            recorded.iter().find(|one| one["reason"]["code"] == "vote_counted").expect("it is recorded");
        assert!(text(&counted["reason"]["text"]).contains("the rule for that is `first`"), "{counted}");
    });
}

/// S1-10: context is passed on, a fallback takes over, a result is validated before it goes on, costs and time are
/// bounded, and the audit trail has all of it.
#[test]
fn s1_10_the_best_practices_are_members_of_one_request() {
    run(async {
        let stage = Stage::set(WORKFLOWS).await;
        let title = json!({"type": "object", "required": ["title"]});
        let draft = |models: &[&str], on_failure: &str, more: Value| {
            let mut validation = json!({"schema": title, "on_failure": on_failure});
            validation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let settings = json!({"max_tokens": 500});
            let input = "A title about {{input}} for {{context.audience}}";
            json!({
                "input": "tea", "context": {"audience": "children"}, "budget": {"max_cost_usd": 1, "max_seconds": 60},
                "workflow": {"sequence": [
                    {"name": "draft", "models": models, "settings": settings, "input": input, "validation": validation},
                    {"name": "text", "model": SONNET, "settings": settings},
                ]},
            })
        };
        let kinds = async |run: &Value| -> Vec<String> {
            let line = |one: &Value| format!("{} {}", text(&one["kind"]), text_of(&one["to"]));
            decisions(&stage, run).await.iter().map(line).map(|line| line.trim().to_owned()).collect()
        };
        stage.openai.then(Step::Fault(Fault::RateLimitedRetryAfter));
        for said in ["Leaves", r#"{"title": "Leaves"}"#, "A text about leaves."] {
            stage.anthropic.then(says(said));
        }
        let done = started(&stage.baton, draft(&["openai/gpt-4", SONNET], "retry", json!({}))).await;
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!("A text about leaves.")),
            "{done}"
        );
        let drafted = step(&done, "draft");
        assert_eq!((&drafted["attempts"], &drafted["output"]), (&json!(2), &json!(r#"{"title": "Leaves"}"#)));
        assert_eq!(
            (&drafted["checks"][0]["attempt"], &drafted["checks"][0]["then"]),
            (&json!(1), &json!("retry"))
        );
        assert_eq!(asked(&stage.openai.seen()[0]), "A title about tea for children");
        let again = &stage.anthropic.seen()[1].json()["messages"];
        assert!(
            again.to_string().contains("Leaves") && again.to_string().contains("cannot be taken"),
            "{again}"
        );
        let all = kinds(&done).await;
        assert_eq!(all[..3], ["select openai/gpt-4", &format!("fallback {SONNET}"), "retry"]);
        assert!(all.len() > 4 && all[3..].iter().all(|line| line.ends_with(SONNET)), "{all:?}");

        // Another one takes over; or nobody does, and what is wrong goes no further.
        stage.anthropic.then(says("Leaves"));
        stage.openai.then(says(r#"{"title": "Roots"}"#));
        stage.anthropic.then(says("A text about roots."));
        let handed =
            started(&stage.baton, draft(&[SONNET], "handoff", json!({"to": "openai/gpt-4.1"}))).await;
        assert_eq!(handed["output"]["text"], "A text about roots.", "{handed}");
        assert_eq!(step(&handed, "draft")["model"], "openai/gpt-4.1");
        assert!(kinds(&handed).await.contains(&"handoff".to_owned()), "{handed}");
        stage.anthropic.then(says("Leaves"));
        let before = stage.seen().len();
        let failed = started(&stage.baton, draft(&[SONNET], "fail", json!({}))).await;
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!("validation_failed"))
        );
        assert_eq!(step(&failed, "text")["status"], "skipped", "{failed}");
        assert!(kinds(&failed).await.contains(&"stop".to_owned()), "{failed}");
        assert!(stage.seen().len() <= before + 2, "nothing is asked behind it");

        // A budget that the first answer alone could go beyond.
        let mut poor = draft(&[SONNET], "retry", json!({}));
        poor["budget"] = json!({"max_cost_usd": "0.000001"});
        let before = stage.seen().len();
        let stopped = started(&stage.baton, poor).await;
        assert_eq!(
            (&stopped["status"], &stopped["incomplete_details"]["reason"]),
            (&json!("incomplete"), &json!("budget_reached")),
            "{stopped}"
        );
        assert_eq!(stage.seen().len(), before, "nobody is asked");
        until("the stop is recorded", async || {
            kinds(&stopped).await.contains(&"stop".to_owned()).then_some(())
        })
        .await;
    });
}
