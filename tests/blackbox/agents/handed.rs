//! Hand-overs for good, forced ones, and the conversation after them.

use serde_json::json;

use super::{WAYS, ask, asked_of, handoff, offered_to, one, plot, stage, text_of};
use crate::blackbox::handoff::{asked, replays, says, says_and_calls, tool, tools_of, user};
use crate::blackbox::support::run;

const SUPPORT: &str = "
agents:
  triage:
    model: '{p}/fake-triage'
    description: Finds out what the user needs
    instruction: You are a triage agent.
    handoffs:
      - { agent: billing, additional_instructions: The plan of the user is PRO-7. }
      - tech
  billing:
    model: '{p}/fake-billing'
    description: Payment and subscription issues
    instruction: You are a billing specialist.
    handoffs: [sales]
  tech:
    model: '{p}/fake-tech'
    description: Technical questions about the product
    instruction: You solve technical problems.
  sales:
    model: '{p}/fake-sales'
    description: Helps to choose the right plan
    instruction: You are a sales agent.
    handoffs: [billing]
";

/// S4-2 and S4-3: followed, with the whole history, and with more instructions for the target alone.
#[test]
fn s4_2_and_s4_3_triage_hands_over_to_billing_and_the_answer_goes_on() {
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

/// Within one request it is bounded.
#[test]
fn to_and_fro_without_a_word_of_the_users_comes_to_an_end() {
    run(async {
        let turns = (0..8).map(|turn| {
            let to = if turn % 2 == 0 { "billing" } else { "sales" };
            says_and_calls(&format!("{turn}."), vec![handoff(to, "r")])
        });
        let fixture = stage(SUPPORT, "oai", turns.collect()).await;
        let (answer, said) = ask(&fixture, WAYS[1], "sales", "go").await;
        assert_eq!(said.finish, "length");
        let plot = plot(&fixture, &answer).await;
        assert!(plot.last().unwrap().starts_with("stop ping_pong"), "{plot:?}");
    });
}

/// S2-3: a target outside the list is an error that names the valid ones, and the run goes on.
#[test]
fn s2_3_a_target_outside_the_list_is_an_error_with_the_valid_ids() {
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let turns = vec![one(handoff("sales", "r")), one(handoff("Billing", "r")), says("Myself.")];
                let fixture = stage(SUPPORT, provider, turns).await;
                let (answer, said) = ask(&fixture, way, "triage", "hi").await;
                assert_eq!(said.text, "Myself.", "{}", answer.text());
                let triage = asked_of(&fixture, provider, "triage");
                for seen in &triage[1..] {
                    let told = "Agent triage cannot hand off to that target: it is not in its handoffs list. \
                                Available agent IDs are: billing, tech";
                    assert!(seen.to_string().contains(told), "{seen}");
                }
                assert!(asked_of(&fixture, provider, "sales").is_empty());
                assert_eq!(
                    plot(&fixture, &answer).await[1..],
                    ["stay handoff_denied -->triage", "stay handoff_denied -->triage"]
                );
            }
        }
    });
}

/// S3-1 and S3-2: `transfer_to_<agent>` with the descriptions, each reached by its own task.
#[test]
fn s3_1_and_s3_2_specialists_are_offered_by_their_descriptions() {
    const TEAM: &str = "
agents:
  coordinator:
    model: '{p}/fake-coordinator'
    instruction: Delegate tasks to the appropriate specialist.
    handoff_tool: transfer_to
    handoffs: [researcher, coder]
  researcher:
    model: '{p}/fake-researcher'
    description: Use for fact-finding, research, and information gathering
  coder:
    model: '{p}/fake-coder'
    description: Use for code generation, debugging, and code review
";
    run(async {
        for (target, other) in [("researcher", "coder"), ("coder", "researcher")] {
            let turns =
                vec![one((format!("transfer_to_{target}"), json!({"reason": "it fits"}))), says("Done.")];
            let fixture = stage(TEAM, "oai", turns).await;
            let (_, said) = ask(&fixture, WAYS[0], "coordinator", "do it").await;
            assert_eq!(said.text, "Done.");
            assert_eq!(
                offered_to(&fixture, "oai", "coordinator"),
                ["transfer_to_researcher", "transfer_to_coder"]
            );
            let tools = asked_of(&fixture, "oai", "coordinator")[0]["tools"].to_string();
            assert!(tools.contains("Use for fact-finding, research, and information gathering"), "{tools}");
            assert_eq!(asked_of(&fixture, "oai", target).len(), 1);
            assert!(asked_of(&fixture, "oai", other).is_empty());
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

/// Forced: no model is asked, and the recorded reason says that the configuration spoke.
#[test]
fn a_forced_hand_over_follows_the_answer() {
    const LINE: &str = "
agents:
  draft: { model: '{p}/fake-draft', force_handoff: polish }
  polish: { model: '{p}/fake-polish', description: Polishes texts }
";
    run(async {
        for provider in ["oai", "ant"] {
            for way in WAYS {
                let fixture = stage(LINE, provider, vec![says("Rough."), says("Smooth.")]).await;
                let (answer, said) = ask(&fixture, way, "draft", "write").await;
                assert_eq!(text_of(&said), "Rough.Smooth.", "{}", answer.text());
                assert_eq!(
                    plot(&fixture, &answer).await,
                    ["select only_model -->draft", "handoff handoff_forced draft->polish"]
                );
                let polish = asked_of(&fixture, provider, "polish")[0].to_string();
                assert!(polish.contains("Rough."), "{polish}");
            }
        }
    });
}

/// S2-1: a bounded cycle.
#[test]
fn s2_1_the_first_file_of_the_seed_goes_round_and_ends() {
    const SEED: &str = include_str!("../../../crates/baton-config/fixtures/agents/seed-002-first.yaml");
    run(async {
        let turns = vec![
            one(handoff("web_search", "to be looked up")),
            one(handoff("summarizer", "found")),
            one(handoff("root", "summed up")),
            says("That is all."),
        ];
        let seed = SEED
            .replacen("anthropic/claude-sonnet-4-5", "oai/fake-root", 1)
            .replace("anthropic/claude-sonnet-4-5", "oai/fake-summarizer")
            .replace("openai/gpt-4o", "oai/fake-web");
        let config = format!("{seed}\nmcp_servers: {{ duckduckgo: {{ url: 'http://127.0.0.1:9/mcp' }} }}\n");
        let fixture = stage(&config, "oai", turns).await;
        let (answer, said) = ask(&fixture, WAYS[0], "root", "find it").await;
        assert_eq!(said.text, "That is all.");
        assert_eq!(
            plot(&fixture, &answer).await,
            [
                "select only_model -->root",
                "handoff handed_over root->web_search",
                "handoff handed_over web_search->summarizer",
                "handoff handed_over summarizer->root",
            ]
        );
        let errors = answer.json()["mcp_server_errors"].to_string();
        assert!(errors.contains("duckduckgo"), "a server that is away is told of: {errors}");
        assert_eq!(tools_of(&crate::blackbox::handoff::saw(&fixture, "oai/fake-root")[0]), ["handoff"]);
    });
}
