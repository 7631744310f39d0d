//! `POST /v1/route` and `baton explain --models`: what would be decided, without anybody being asked.

use serde_json::{Value, json};

use super::{LARGE, POOL, PROSE, SMALL, decided, rows, start, under};
use crate::blackbox::support::{baton, run};
use crate::blackbox::v1::text;

const POLICIES: &str = r#"
  cheap: { order: cheapest }
  strong: { order: [strengths, cheapest] }
  ruled:
    rules:
      - { name: prose, when: 'task.kind == "writing"', prefer: [ant/fake-prose] }
      - { name: odd, when: 'context.size > 3', avoid: [ant/fake-prose] }
      - { name: none, when: 'context.stage == "none"', refuse: Not now. }
  limited: { constraints: { max_cost_usd: 0.0000001 } }
  judged: { order: judge, judge: { model: oai/fake-judge } }
"#;

#[test]
fn a_dry_run_says_what_would_be_decided_and_asks_nobody() {
    run(async {
        let fixture = start(POLICIES).await;
        let mut bodies: Vec<Value> = ["cheap", "strong", "ruled"].map(under).to_vec();
        for (body, task) in bodies.iter_mut().zip(["quick_answer", "code", "writing"]) {
            body["baton"]["task"] = json!(task);
        }
        bodies.push(json!({"model": POOL, "messages": "hi"}));
        bodies.push(json!({"model": "baton/auto", "messages": "Write a function that sorts a list."}));
        bodies.push(json!({"model": POOL, "messages": "hi", "provider": {"order": ["oai"]}, "route": "x"}));
        for body in &bodies {
            let shown = fixture.baton.post("/v1/route", body).await.expect(200).json();
            assert!(fixture.openai.seen().is_empty() && fixture.anthropic.seen().is_empty(), "{body}");
            assert_eq!((&shown["object"], &shown["planner"]), (&json!("route"), &json!(4)), "{shown}");
            assert_eq!(shown["selected"], shown["order"][0], "{shown}");
        }
        let list = fixture.baton.get("/v1/decisions").await.expect(200).json();
        assert_eq!(list["data"], json!([]), "a dry run was recorded");

        // The same request, answered: the same table, the same reason, the same order.
        for body in &bodies {
            let shown = fixture.baton.post("/v1/route", body).await.expect(200).json();
            let answer = fixture.baton.chat(body).await.expect(200);
            let decision = decided(&fixture.baton, &answer).await;
            assert_eq!(shown["candidates"], decision["candidates"], "{body}");
            assert_eq!(shown["reason"], decision["reason"], "{body}");
            assert_eq!(shown["selected"], decision["to"], "{body}");
            assert_eq!(shown["policy"], decision["policy"], "{body}");
            assert_eq!(shown["features"], decision["features"], "{body}");
            let ignored = decision.get("ignored_parameters").cloned().unwrap_or_else(|| json!([]));
            assert_eq!(shown["ignored_parameters"], ignored, "{body}");
        }
    });
}

#[test]
fn rules_are_shown_with_what_each_came_to() {
    run(async {
        let fixture = start(POLICIES).await;
        let mut body = under("ruled");
        body["baton"]["task"] = json!("writing");
        let shown = fixture.baton.post("/v1/route", &body).await.expect(200).json();
        let rules = shown["rules"].as_array().expect("rules");
        let matched: Vec<(&Value, &Value)> =
            rules.iter().map(|one| (&one["name"], &one["matched"])).collect();
        assert_eq!(
            matched,
            [
                (&json!("prose"), &json!(true)),
                (&json!("odd"), &json!(false)),
                (&json!("none"), &json!(false))
            ]
        );
        assert!(text(&rules[1]["failed"]).contains("cannot take null"), "{shown}");
        assert_eq!(shown["reason"]["code"], "chosen_by_rule");
        assert_eq!(
            rows(&shown),
            [format!("{PROSE} selected -"), format!("{LARGE} eligible 1 -"), format!("{SMALL} eligible 2 -"),]
        );
        body["baton"]["task"] = json!("chat");
        body["baton"]["context"] = json!({"stage": "none"});
        let shown = fixture.baton.post("/v1/route", &body).await.expect(200).json();
        assert_eq!((&shown["selected"], &shown["order"]), (&Value::Null, &json!([])));
        assert_eq!(shown["reason"]["code"], "refused_by_rule");
    });
}

#[test]
fn a_plan_without_anybody_and_one_that_asks_a_judge_are_shown_as_such() {
    run(async {
        let fixture = start(POLICIES).await;
        let shown = fixture.baton.post("/v1/route", &under("limited")).await.expect(200).json();
        assert_eq!(shown["selected"], Value::Null);
        assert_eq!(rows(&shown), POOL.map(|target| format!("{target} constraints cost_too_high -")));
        let shown = fixture.baton.post("/v1/route", &under("judged")).await.expect(200).json();
        assert_eq!((&shown["judge"], &shown["selected"]), (&json!("oai/fake-judge"), &Value::Null));
        assert!(fixture.openai.seen().is_empty());
        fixture.baton.post("/v1/route", &under("nobody")).await.openai_error(404);
        let request =
            fixture.baton.posting("/v1/route", &under("nobody")).header("anthropic-version", "2023-06-01");
        crate::blackbox::support::sent(request).await.anthropic_error(404);
    });
}

#[test]
fn the_command_line_explains_a_prompt_without_a_request() {
    run(async {
        let fixture = start(POLICIES).await;
        let prompt = fixture.baton.home.data().join("prompt.txt");
        std::fs::write(&prompt, "Write a function that sorts a list of words.").expect("a written file");
        let prompt = prompt.to_str().expect("a path");
        let models = POOL.join(",");
        let arguments =
            ["explain", "--models", &models, "--prompt-file", prompt, "--policy", "cheap", "--json"];
        let said = baton(&fixture.baton.home, &arguments).await.expect(0);
        let shown = said.json();
        assert_eq!(
            (&shown["selected"], &shown["reason"]["code"]),
            (&json!(SMALL), &json!("cheapest")),
            "{shown}"
        );
        let said = baton(&fixture.baton.home, &arguments[..7]).await.expect(0);
        assert!(said.out.contains(SMALL) && said.out.contains("selected"), "{said:?}");
        assert!(fixture.openai.seen().is_empty() && fixture.anthropic.seen().is_empty());
        let wrong = ["explain", "--models", "oai/fake", "--prompt-file", prompt, "--policy", "nobody"];
        let said = baton(&fixture.baton.home, &wrong).await.expect(1);
        assert!(said.err.contains("nobody"), "{said:?}");
    });
}
