//! Rules: what matches, and what the upstream gets to see of it.

use serde_json::{Value, json};

use super::{LARGE, POOL, PROSE, SMALL, chosen, decided, rows, start};
use crate::blackbox::support::{Fixture, run};
use crate::blackbox::v1::{story, text};

/// One rule for each action, each asked for by a variable of the client's.
const STEPS: &str = r#"
  steps:
    rules:
      - { name: use, when: 'context.step == "use"', use: [ant/fake-prose, oai/fake-extra] }
      - { name: prefer, when: 'context.step == "prefer"', prefer: [oai/fake-small] }
      - { name: avoid, when: 'context.step == "avoid"', avoid: [ant/fake-prose, oai/fake-large] }
      - { name: allow, when: 'context.step == "allow"', allow_models: ["oai/*"] }
      - { name: refuse, when: 'context.step == "refuse"', refuse: Not on a Sunday. }
      - { name: stop, when: 'context.step == "stop"', stop: true }
      - { name: shape, when: 'context.step == "shape"', set: { temperature: 0.1, max_tokens: 7, stop: [END], seed: 5 }, prepend: Answer in French., append: Mind the deadline. }
"#;

fn step(step: &str) -> Value {
    json!({"model": POOL, "messages": "hi", "baton": {"policy": "steps", "context": {"step": step}}})
}

#[test]
fn without_a_match_the_order_holds_and_rules_models_stay_out() {
    run(async {
        let fixture = start(STEPS).await;
        for body in [step("none"), json!({"model": POOL, "messages": "hi", "baton": {"policy": "steps"}})] {
            let answer = fixture.baton.chat(&body).await.expect(200);
            assert_eq!(answer.header("x-baton-reason"), "first_in_order");
            assert_eq!(
                rows(&decided(&fixture.baton, &answer).await),
                [
                    "ant/fake-prose selected -",
                    "oai/fake-large eligible 1 -",
                    "oai/fake-small eligible 2 -",
                    "oai/fake-extra rules not_asked_for -",
                ]
            );
        }
    });
}

#[test]
fn a_rule_uses_prefers_avoids_and_allows() {
    run(async {
        let fixture = start(STEPS).await;
        for (word, target, code, table) in [
            (
                "use",
                PROSE,
                "chosen_by_rule",
                [
                    "ant/fake-prose selected -",
                    "oai/fake-large rules not_in_rule -",
                    "oai/fake-small rules not_in_rule -",
                    "oai/fake-extra eligible 1 -",
                ],
            ),
            (
                "prefer",
                SMALL,
                "chosen_by_rule",
                [
                    "ant/fake-prose eligible 1 -",
                    "oai/fake-large eligible 2 -",
                    "oai/fake-small selected -",
                    "oai/fake-extra rules not_asked_for -",
                ],
            ),
            (
                "avoid",
                SMALL,
                "chosen_by_rule",
                [
                    "ant/fake-prose eligible 1 -",
                    "oai/fake-large eligible 2 -",
                    "oai/fake-small selected -",
                    "oai/fake-extra rules not_asked_for -",
                ],
            ),
            (
                "allow",
                LARGE,
                "first_eligible",
                [
                    "ant/fake-prose rules not_in_rule -",
                    "oai/fake-large selected -",
                    "oai/fake-small eligible 1 -",
                    "oai/fake-extra rules not_asked_for -",
                ],
            ),
        ] {
            for stream in [false, true] {
                let mut body = step(word);
                body["stream"] = json!(stream);
                let answer = fixture.baton.chat(&body).await.expect(200);
                assert_eq!(
                    (answer.header("x-baton-model"), answer.header("x-baton-reason")),
                    (target, code),
                    "{word}"
                );
                let decision = decided(&fixture.baton, &answer).await;
                assert_eq!(rows(&decision), table, "{word}");
                if code == "chosen_by_rule" {
                    let why = text(&decision["reason"]["text"]);
                    assert!(why.contains(&format!("is chosen by rule `{word}`")), "{why}");
                }
            }
        }
        // The fakes agree: each was asked as often as it was chosen.
        assert_eq!(fixture.anthropic_saw("fake-prose").len(), 2);
        assert_eq!(fixture.openai_saw("fake-small").len(), 4);
        assert_eq!(fixture.openai_saw("fake-large").len(), 2);
        assert_eq!(fixture.openai_saw("fake-extra").len(), 0);
    });
}

#[test]
fn a_rule_leads_to_a_model_that_is_not_in_the_pool() {
    run(async {
        let policies = "
  out:
    rules:
      - { name: out, when: 'task.kind == \"translate\"', use: [oai/fake-extra, ant/fake-prose] }
";
        let fixture = start(policies).await;
        let body =
            json!({"model": [LARGE], "messages": "hi", "baton": {"policy": "out", "task": "translation"}});
        assert_eq!(
            chosen(&fixture.baton, &body).await,
            ("oai/fake-extra".to_owned(), "chosen_by_rule".to_owned())
        );
        assert_eq!(fixture.openai_saw("fake-extra").len(), 1);
        // Its second model is where a failure of the first leads.
        let policies = policies
            .replace("oai/fake-extra", "oai/fault-500")
            .replace("out:\n    rules", "out:\n    fallback: { retries: 0 }\n    rules");
        let fixture = start(&policies).await;
        let answer = fixture.baton.chat(&body).await.expect(200);
        assert_eq!(
            story(&fixture.baton.run_of(&answer).await),
            [
                "select chosen_by_rule -->oai/fault-500 failed server_error",
                "fallback fallback_after_fault oai/fault-500->ant/fake-prose ok -",
            ]
        );
    });
}

#[test]
fn a_refusal_and_a_stop_reach_nobody() {
    run(async {
        let fixture = start(STEPS).await;
        for (word, code, sentence) in [
            ("refuse", "refused_by_rule", "rule `refuse` refuses the request: Not on a Sunday."),
            ("stop", "stopped_by_rule", "rule `stop` ends the run"),
        ] {
            for stream in [false, true] {
                let mut body = step(word);
                body["stream"] = json!(stream);
                let answer = fixture.baton.chat(&body).await;
                let error = answer.openai_error(403);
                assert_eq!((&error["code"], &error["message"]), (&json!(code), &json!(sentence)));
                let decision = decided(&fixture.baton, &answer).await;
                assert_eq!((&decision["reason"]["code"], &decision["to"]), (&json!(code), &Value::Null));
                assert_eq!(
                    rows(&decision),
                    [PROSE, LARGE, SMALL, "oai/fake-extra"].map(|it| format!("{it} rules {code} -"))
                );
                assert_eq!(error["candidates"], decision["candidates"]);
            }
            let mut body = step(word);
            body["messages"] = json!([{"role": "user", "content": "hi"}]);
            body["max_tokens"] = json!(9);
            let error = fixture.baton.messages(&body).await.anthropic_error(403);
            assert_eq!((&error["type"], &error["message"]), (&json!("permission_error"), &json!(sentence)));
        }
        assert_eq!((fixture.openai.seen().len(), fixture.anthropic.seen().len()), (0, 0));
    });
}

#[test]
fn settings_and_messages_of_a_rule_are_what_the_upstream_gets() {
    run(async {
        let fixture = start(STEPS).await;
        for stream in [false, true] {
            let mut body = step("shape");
            body["messages"] = json!([
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "hi"},
            ]);
            body["temperature"] = json!(1.5);
            body["stream"] = json!(stream);
            for model in [LARGE, PROSE] {
                body["model"] = json!([model]);
                fixture.baton.chat(&body).await.expect(200);
            }
        }
        let seen = fixture.openai_saw("fake-large");
        assert_eq!(seen.len(), 2);
        for one in seen {
            let body = one.json();
            assert_eq!(
                body["messages"],
                json!([
                    {"role": "system", "content": "Answer in French."},
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": "hi"},
                    {"role": "system", "content": "Mind the deadline."},
                ])
            );
            let settings = ["temperature", "max_tokens", "stop", "seed"].map(|key| body[key].clone());
            assert_eq!(settings, [json!(0.1), json!(7), json!(["END"]), json!(5)]);
            assert!(body.get("baton").is_none(), "{body}");
        }
        let seen = fixture.anthropic_saw("fake-prose");
        assert_eq!(seen.len(), 2);
        for one in seen {
            let body = one.json();
            let whole = body.to_string();
            let places = ["Answer in French.", "Be kind.", "\"hi\"", "Mind the deadline."]
                .map(|part| whole.contains(part));
            assert_eq!(places, [true; 4], "{body}");
            let settings = ["temperature", "max_tokens", "stop_sequences"].map(|key| body[key].clone());
            assert_eq!(settings, [json!(0.1), json!(7), json!(["END"])]);
        }
    });
}

#[test]
fn the_other_dialect_gets_what_it_has_a_word_for_and_the_record_names_the_rest() {
    run(async {
        let fixture = start(STEPS).await;
        let body = json!({
            "model": [PROSE],
            "system": "Be kind.",
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 50,
            "baton": {"policy": "steps", "context": {"step": "shape"}},
        });
        let answer = fixture.baton.messages(&body).await.expect(200);
        let seen = fixture.anthropic_saw("fake-prose");
        let [one] = seen.as_slice() else { panic!("{} requests", seen.len()) };
        let sent = one.json();
        assert_eq!(sent["system"], "Answer in French.\n\nBe kind.");
        // Turns alternate: what is appended goes into the user's last one.
        let content = json!([{"type": "text", "text": "hi"}, {"type": "text", "text": "Mind the deadline."}]);
        assert_eq!(sent["messages"], json!([{"role": "user", "content": content}]));
        assert_eq!((&sent["temperature"], &sent["max_tokens"]), (&json!(0.1), &json!(7)));
        assert_eq!(sent["stop_sequences"], json!(["END"]));
        let ignored = decided(&fixture.baton, &answer).await["ignored_parameters"].clone();
        assert_eq!(ignored, json!(["rule.set.seed"]));
    });
}

#[test]
fn a_setting_takes_the_name_and_the_form_that_the_request_has() {
    run(async {
        let policies = "
  short:
    rules: [{ name: short, when: 'true', set: { max_tokens: 7, stop: END } }]
";
        let fixture = start(policies).await;
        let messages = json!([{"role": "user", "content": "hi"}]);
        let chat = json!({"model": LARGE, "messages": messages, "max_completion_tokens": 90, "baton": {"policy": "short"}});
        fixture.baton.chat(&chat).await.expect(200);
        let body = fixture.openai_saw("fake-large")[0].json();
        assert_eq!((&body["max_completion_tokens"], body.get("max_tokens")), (&json!(7), None), "{body}");
        assert_eq!(body["stop"], "END");
        let message =
            json!({"model": PROSE, "messages": messages, "max_tokens": 90, "baton": {"policy": "short"}});
        fixture.baton.messages(&message).await.expect(200);
        let body = fixture.anthropic_saw("fake-prose")[0].json();
        assert_eq!((&body["max_tokens"], &body["stop_sequences"]), (&json!(7), &json!(["END"])), "{body}");
    });
}

#[test]
fn rules_look_at_tags_tools_headers_and_the_declared_task() {
    run(async {
        let policies = r#"
  looks:
    rules:
      - { name: vip, when: '"vip" in request.tags', use: [oai/fake-large] }
      - { name: tools, when: 'request.tools > 0', use: [oai/fake-small] }
      - { name: kind, when: 'task.kind in ["writing", "creative_writing"]', use: [ant/fake-prose] }
      - { name: long, when: 'request.input_tokens > 2000', use: [oai/fake-large] }
"#;
        let fixture: Fixture = start(policies).await;
        let tool = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]);
        let mut bodies = vec![
            (json!({"baton": {"tags": ["a", "vip"]}}), LARGE),
            (json!({"tools": tool}), SMALL),
            (json!({"baton": {"task": "writing"}}), PROSE),
            (json!({"baton": {"task": "creative_expansion"}}), PROSE),
            (json!({"messages": "word ".repeat(4_000)}), LARGE),
        ];
        for (body, target) in &mut bodies {
            body["model"] = json!(["oai/fake-extra", "oai/fake-other"]);
            if body.get("messages").is_none() {
                body["messages"] = json!("hi");
            }
            body["baton"]["policy"] = json!("looks");
            assert_eq!(
                chosen(&fixture.baton, body).await,
                ((*target).to_owned(), "chosen_by_rule".to_owned()),
                "{body}"
            );
        }
        // A header declares as the body does.
        let body = json!({"model": "oai/fake-extra", "messages": "hi"});
        let request = fixture.baton.posting("/v1/chat/completions", &body);
        let request = request.header("x-baton-policy", "looks").header("x-baton-task", "writing");
        let answer = crate::blackbox::support::sent(request).await.expect(200);
        assert_eq!(answer.header("x-baton-model"), PROSE);
    });
}
