//! The handoff SDK: triage, hand-overs that stay, agents as tools, several levels.

use baton_testkit::fake::{FakeUpstream, Script};
use reqwest::Method;
use serde_json::json;

use super::s2::BOSS;
use crate::blackbox::agents::handed::SUPPORT;
use crate::blackbox::agents::{
    WAYS, ask, asked_of, counted, handoff, offered_to, one, plot, stage, task, text_of,
};
use crate::blackbox::handoff::{asked, calls, decisions, replays, says, says_and_calls, tool, user};
use crate::blackbox::runs::{are_whole, frames, started};
use crate::blackbox::support::{Baton, Fixture, Home, baton, run, sent, until};

const ADMIN: &str = "an-admin-key-that-is-long-enough-0123456789";

/// S4-1: not followed; the run ends with its target, and the next user message goes there.
#[test]
fn s4_1_a_hand_over_that_is_not_followed_ends_the_run_with_its_target() {
    run(async {
        for provider in ["oai", "ant"] {
            let turns = vec![one(handoff("billing", "a card is to be changed")), says("Which card?")];
            let fixture = stage(SUPPORT, provider, turns).await;
            let body = json!({"agent": "triage", "input": "I need to update my credit card", "follow_handoffs": false});
            let left = started(&fixture.baton, body).await;
            assert_eq!((&left["status"], &left["target"]), (&json!("handoff"), &json!("billing")), "{left}");
            let handed = &left["handoffs"][0];
            assert_eq!(
                (&handed["from"], &handed["to"], &handed["reason"]),
                (&json!("triage"), &json!("billing"), &json!("a card is to be changed")),
            );
            assert!(asked_of(&fixture, provider, "billing").is_empty(), "its target is not asked yet");
            let next = json!({"input": "The blue one", "previous_run": left["id"]});
            let next = started(&fixture.baton, next).await;
            assert_eq!(
                (&next["status"], &next["output"]["text"]),
                (&json!("completed"), &json!("Which card?"))
            );
            assert_eq!(next["ended_by"]["agent"], "billing", "{next}");
            assert_eq!(asked_of(&fixture, provider, "triage").len(), 1, "the old agent is asked no more");
            let seen = asked_of(&fixture, provider, "billing")[0].to_string();
            for part in ["update my credit card", "The blue one", "You are a billing specialist."] {
                assert!(seen.contains(part), "{part}: {seen}");
            }
        }
    });
}

/// S4-6: the stream of a run tells the hand-over with its reason, between the texts of both agents, in order.
#[test]
fn s4_6_a_stream_tells_hand_overs_and_texts_in_order() {
    run(async {
        let turns = vec![
            says_and_calls("One moment.", vec![handoff("billing", "a card is to be changed")]),
            says("Your card is changed."),
        ];
        let fixture = stage(SUPPORT, "oai", turns).await;
        let body = json!({"agent": "triage", "input": "I need to update my credit card", "stream": true});
        let answer = fixture.baton.post("/v1/runs", &body).await.expect(200);
        let told = frames(answer.text());
        are_whole(&told);
        let story: Vec<_> = told
            .iter()
            .filter_map(|event| match event.name.as_str() {
                "text_delta" => Some(json!(event.data["text"])),
                "handoff" => Some(json!([event.data["from"], event.data["to"], event.data["reason"]])),
                _ => None,
            })
            .collect();
        let handed = json!(["triage", "billing", "a card is to be changed"]);
        assert_eq!(story, [json!("One moment."), handed, json!("Your card is changed.")]);
    });
}

/// S4-2: followed; the old agent is asked no more, and the whole history is delivered.
#[test]
fn s4_2_triage_hands_over_to_billing_and_the_answer_goes_on() {
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let turns = vec![
                    says_and_calls("One moment.", vec![handoff("billing", "a card is to be changed")]),
                    says("Your card is changed."),
                ];
                let fixture = stage(SUPPORT, provider, turns).await;
                let (answer, said) = ask(&fixture, way, "triage", "I need to update my credit card").await;
                let case = format!("{provider} {way:?} {}", answer.text());
                assert_eq!(text_of(&said), "One moment.Your card is changed.", "{case}");
                assert!(
                    said.calls.is_empty() && ["stop", "end_turn"].contains(&said.finish.as_str()),
                    "{case}"
                );
                assert!(!answer.text().contains("handoff(") && !answer.text().contains("PRO-7"), "{case}");
                let triage = asked_of(&fixture, provider, "triage");
                let billing = asked_of(&fixture, provider, "billing");
                assert_eq!((triage.len(), billing.len()), (1, 1), "the old agent is asked no more: {case}");
                let (first, second) = (triage[0].to_string(), billing[0].to_string());
                assert!(first.contains("You are a triage agent.") && !first.contains("PRO-7"), "{case}");
                assert!(first.contains("- billing: Payment and subscription issues"), "{case}: {first}");
                assert!(second.contains("You are a billing specialist."), "{case}: {second}");
                assert!(!second.contains("You are a triage agent."), "its instruction is its own: {case}");
                for part in ["update my credit card", "One moment.", "a card is to be changed", "PRO-7"] {
                    assert!(second.contains(part), "{part} {case}: {second}");
                }
                assert_eq!(
                    plot(&fixture, &answer).await,
                    ["select only_model -->triage", "handoff handed_over triage->billing"],
                    "{case}"
                );
                replays(&fixture, 2).await;
            }
        }
    });
}

/// S4-3: what is configured for a target is told to it, and to nobody else.
#[test]
fn s4_3_additional_instructions_reach_the_target_only() {
    run(async {
        for way in WAYS {
            let turns = vec![
                one(handoff("billing", "a card")),
                one(handoff("sales", "another plan")),
                says("The small plan then."),
            ];
            let fixture = stage(SUPPORT, "oai", turns).await;
            let (answer, said) = ask(&fixture, way, "triage", "I need to update my credit card").await;
            assert_eq!(said.text, "The small plan then.", "{}", answer.text());
            let sees = |agent: &str| asked_of(&fixture, "oai", agent)[0].to_string().contains("PRO-7");
            assert_eq!(["triage", "billing", "sales"].map(sees), [false, true, false], "{way:?}");
        }
    });
}

/// S4-1's other half and S4-4: the conversation stays where it was handed to, goes back when the agents mean it, and
/// each message of the user's allows both ways again.
#[test]
fn s4_4_sales_and_billing_hand_to_and_fro_over_several_messages() {
    run(async {
        let turns = vec![
            one(handoff("billing", "wants to pay")),
            says("Which card?"),
            one(handoff("sales", "wants another plan")),
            says("The small one then."),
            one(handoff("billing", "wants to pay")),
            says("Paid."),
        ];
        let fixture = stage(SUPPORT, "oai", turns).await;
        let mut messages = json!([]);
        for (text, expected) in [
            ("I want to buy", "Which card?"),
            ("No, a smaller plan", "The small one then."),
            ("Visa", "Paid."),
        ] {
            messages.as_array_mut().unwrap().push(json!({"role": "user", "content": text}));
            let body = json!({"model": "agent/sales", "messages": messages});
            let (_, said) = asked(&fixture.baton, WAYS[0], body).await;
            assert_eq!(said.text, expected);
            messages.as_array_mut().unwrap().push(json!({"role": "assistant", "content": said.text}));
        }
        assert_eq!(asked_of(&fixture, "oai", "billing").len(), 3);
        assert_eq!(asked_of(&fixture, "oai", "sales").len(), 3);
    });
}

/// S4-5: an agent as a tool of its own name; the parent stays in control.
#[test]
fn s4_5_an_agent_is_a_tool_of_another() {
    run(async {
        for way in WAYS {
            let check = ("check_billing".to_owned(), json!({"task": "Is account 7 paid?"}));
            let turns = vec![
                calls(vec![check, task("finder", "Who owns it?")]),
                says("It is paid."),
                says("Ann owns it."),
                says("Ann has paid."),
            ];
            let fixture = stage(BOSS, "oai", turns).await;
            let (answer, said) = ask(&fixture, way, "root", "Account 7?").await;
            assert_eq!(said.text, "Ann has paid.", "{}", answer.text());
            assert_eq!(offered_to(&fixture, "oai", "root"), ["transfer_task", "check_billing"]);
            let parent = asked_of(&fixture, "oai", "root")[1].to_string();
            assert!(parent.contains("It is paid.") && parent.contains("Ann owns it."), "{parent}");
            assert_eq!(
                plot(&fixture, &answer).await[1..],
                [
                    "delegate delegated root->billing",
                    "return returned billing->root",
                    "delegate delegated root->finder",
                    "return returned finder->root",
                ]
            );
        }
    });
}

/// S4-7: several levels; the leaf has no transfer tools.
#[test]
fn s4_7_the_leaf_of_several_levels_has_no_transfers() {
    const DESK: &str = "
agents:
  front_desk: { model: '{p}/fake-front', handoffs: [sales_team] }
  sales_team: { model: '{p}/fake-team', description: Sales, handoffs: [enterprise_sales] }
  enterprise_sales: { model: '{p}/fake-leaf', description: Large customers, tools: [crm] }
";
    run(async {
        for way in WAYS {
            let turns = vec![
                one(handoff("sales_team", "r")),
                one(handoff("enterprise_sales", "r")),
                says("Welcome."),
            ];
            let fixture = stage(DESK, "oai", turns).await;
            let tools = [tool(way.0, "crm"), tool(way.0, "weather")];
            let body = json!({"model": "agent/front_desk", "messages": user("hi"), "tools": tools});
            let (answer, said) = asked(&fixture.baton, way, body).await;
            assert_eq!(said.text, "Welcome.", "{}", answer.text());
            assert_eq!(offered_to(&fixture, "oai", "front"), ["crm", "weather", "handoff"]);
            assert_eq!(offered_to(&fixture, "oai", "leaf"), ["crm"]);
        }
    });
}

/// S4-8: feedback on each hand-over; how often it was right stands at its edge of the matrix.
#[test]
fn s4_8_accuracy_is_told_for_each_edge() {
    run(async {
        let turns = [
            one(handoff("billing", "a card")),
            says("Changed."),
            one(handoff("tech", "a card")),
            says("That is not mine."),
        ];
        let openai = FakeUpstream::start(turns.into_iter().fold(Script::default(), Script::then));
        let openai = openai.await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let config = Fixture::config(&openai, &anthropic, &SUPPORT.replace("{p}", "oai"));
        let baton = Baton::start_in(Home::new(&config), &[("BATON_ADMIN_KEY", ADMIN)]).await;
        let fixture = Fixture { baton, openai, anthropic };
        for right in [true, false] {
            let (answer, _) = ask(&fixture, WAYS[0], "triage", "I need to update my credit card").await;
            let handed = decisions(&fixture, &answer).await[1]["id"].as_str().unwrap().to_owned();
            let path = format!("/v1/decisions/{handed}/feedback");
            fixture.baton.post(&path, &json!({"correct_target": right})).await.expect(200);
        }
        let cell = async |to: &str| {
            let matrix = fixture.baton.keyless(Method::GET, "/admin/v1/handoffs").bearer_auth(ADMIN);
            let matrix = sent(matrix).await.expect(200).json();
            let cells = matrix["data"].as_array().cloned().unwrap_or_default();
            let cell = cells.into_iter().find(|cell| cell["to"] == format!("oai/fake-{to}"))?;
            (!cell["accuracy"].is_null()).then(|| cell["accuracy"].clone())
        };
        assert_eq!(until("the good one is counted", async || cell("billing").await).await, json!(1.0));
        assert_eq!(until("the other one is counted", async || cell("tech").await).await, json!(0.0));
    });
}

/// S4-9: a chain of four hand-overs, and a triage that costs more than its targets: warned of, and counted.
#[test]
fn s4_9_long_chains_and_a_dear_triage_are_warned_of() {
    const CHAIN: &str = "
agents:
  one: { model: '{p}/fake-one', handoffs: [two] }
  two: { model: '{p}/fake-two', description: Sends bills, handoffs: [three] }
  three: { model: '{p}/fake-three', description: Pays money back, handoffs: [four] }
  four: { model: '{p}/fake-four', description: Looks for deceit, handoffs: [five] }
  five: { model: '{p}/fake-five', description: Knows the law }
";
    const FILE: &str = include_str!("../../crates/baton-config/fixtures/agents/08-depth-and-chain.yaml");
    run(async {
        let file = FILE
            .replace("openai/gpt-4o-mini", "cheap/model")
            .replace("anthropic/claude-opus-4-5", "dear/model");
        let providers = "
providers:
  cheap: { dialect: openai_chat, base_url: 'http://127.0.0.1:9', models: ['*'] }
  dear: { dialect: openai_chat, base_url: 'http://127.0.0.1:9', models: ['*'] }
models:
  cheap/model: { price: { input: 0.1, output: 0.4 } }
  dear/model: { price: { input: 5, output: 25 } }
";
        let said = baton(&Home::new(&format!("{file}{providers}")), &["check"]).await.expect(0).out;
        assert!(said.contains("4 hand-overs in a row are possible"), "{said}");
        let dear = said.lines().find(|line| line.contains("costs more than those of all"));
        assert!(dear.is_some_and(|line| line.contains("agents.triage")), "{said}");

        let hops = ["two", "three", "four", "five"].map(|to| one(handoff(to, "r")));
        let turns = hops.into_iter().chain([says("By law.")]).collect();
        let fixture = stage(CHAIN, "oai", turns).await;
        let (answer, said) = ask(&fixture, WAYS[0], "one", "go").await;
        assert_eq!(said.text, "By law.", "{}", answer.text());
        counted(&fixture, "chain", "five", 1).await;
    });
}
