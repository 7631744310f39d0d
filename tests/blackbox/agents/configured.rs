//! What the file says of agents: listed as models, shown by commands, bounded, and refused where it must be.

use serde_json::json;

use super::{WAYS, ask, asked_of, cast, handoff, one, plot, stage, task};
use crate::blackbox::handoff::{Surface, asked, calls, says, says_and_calls, tool, user};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Home, baton, run};
use baton_testkit::fake::{Fault, Step};

const TEAM: &str = "
agents:
  root:
    model: '{p}/fake-root'
    description: Takes questions
    instruction: You take questions.
    handoffs: [helper]
    sub_agents: [checker]
    max_iterations: 3
  helper:
    model: ['{p}/fake-helper']
    description: Helps with letters
    fallback: { models: ['{p}/fake-second'], retries: -1 }
  checker: { model: '{p}/fake-checker', description: Checks facts }
";

#[test]
fn each_agent_is_a_model() {
    run(async {
        let fixture = stage(TEAM, "oai", Vec::new()).await;
        let list = fixture.baton.get("/v1/models").await.expect(200).json();
        let ids: Vec<&str> =
            list["data"].as_array().unwrap().iter().filter_map(|it| it["id"].as_str()).collect();
        for id in ["agent/root", "agent/helper", "agent/checker"] {
            assert!(ids.contains(&id), "{ids:?}");
            assert_eq!(fixture.baton.get(&format!("/v1/models/{id}")).await.expect(200).json()["id"], id);
        }
        let answer = fixture.baton.chat(&json!({"model": "agent/rot", "messages": user("hi")})).await;
        let error = answer.openai_error(404);
        assert!(error["message"].as_str().unwrap().contains("agent/root"), "{error}");
    });
}

#[test]
fn an_agent_is_explained_with_its_section_and_its_tools() {
    run(async {
        let home = Home::new(&format!(
            "providers: {{ oai: {{ dialect: openai_chat, base_url: 'http://127.0.0.1:9', api_key: a }} }}\n{}",
            cast(TEAM, "oai")
        ));
        let said = baton(&home, &["explain", "--agent", "root"]).await.expect(0).out;
        for part in [
            "agent/root",
            "You take questions.",
            "# Team",
            "- helper: Helps with letters",
            "- checker: Checks facts",
            "handoff: Hand the conversation over",
            "transfer_task: Give another agent a task",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let checked = baton(&home, &["check", "--json"]).await.json();
        assert!(
            checked["agents"].as_array().unwrap().iter().any(|note| note["path"] == "agents.root.handoffs")
        );
    });
}

#[test]
fn a_stand_in_answers_for_an_agents_model() {
    run(async {
        let turns = vec![one(handoff("helper", "r")), Step::Fault(Fault::ServerError), says("I stand in.")];
        let fixture = stage(TEAM, "oai", turns).await;
        let (answer, said) = ask(&fixture, WAYS[1], "root", "write").await;
        assert_eq!(said.text, "I stand in.", "{}", answer.text());
        assert_eq!(
            (asked_of(&fixture, "oai", "helper").len(), asked_of(&fixture, "oai", "second").len()),
            (1, 1)
        );
        let second = asked_of(&fixture, "oai", "second")[0].to_string();
        assert!(second.contains("handed it to you"), "it works as the agent does: {second}");
        let plot = plot(&fixture, &answer).await;
        assert_eq!(plot[1], "handoff handed_over root->helper");
        assert!(plot[2].starts_with("fallback fallback_after_fault"), "{plot:?}");
    });
}

#[test]
fn an_agent_whose_models_fail_is_told_to_who_asked_for_it() {
    run(async {
        for call in [handoff("helper", "r"), task("checker", "t")] {
            let mut turns = vec![says_and_calls("So.", vec![call.clone()])];
            let faults = if call.0 == "handoff" { 2 } else { 1 };
            turns.extend((0..faults).map(|_| Step::Fault(Fault::ServerError)));
            turns.push(says("Myself then."));
            let fixture = stage(TEAM, "oai", turns).await;
            let (answer, said) = ask(&fixture, WAYS[1], "root", "go").await;
            assert_eq!(said.text.replace("\n\n", ""), "So.Myself then.", "{}", answer.text());
            let told = asked_of(&fixture, "oai", "root")[1].to_string();
            assert!(told.contains("target unavailable") || told.contains("could not finish"), "{told}");
        }
    });
}

#[test]
fn an_agent_takes_no_more_turns_than_it_may() {
    run(async {
        let nothing = || calls(vec![("nothing_like_it".to_owned(), json!({}))]);
        let fixture = stage(TEAM, "oai", vec![nothing(), nothing(), nothing(), nothing()]).await;
        let (answer, said) = ask(&fixture, WAYS[1], "root", "go").await;
        assert_eq!(said.finish, "length");
        assert_eq!(asked_of(&fixture, "oai", "root").len(), 3);
        assert_eq!(plot(&fixture, &answer).await.last().unwrap(), "stop max_turns -->root");
    });
}

#[test]
fn what_agents_do_not_follow_is_named() {
    run(async {
        let fixture = stage(TEAM, "oai", vec![says("Hello.")]).await;
        let body = json!({
            "model": "agent/root", "messages": user("hi"), "mcp_servers": ["acme/search"],
            "handoff_config": {"targets": [{"model": "x", "description": "y"}], "history": "summary"},
        });
        let (answer, _) = asked(&fixture.baton, WAYS[0], body).await;
        let first = &fixture.baton.run_of(&answer).await["decisions"][0]["ignored_parameters"];
        for name in ["mcp_servers", "handoff_config.targets", "handoff_config.history"] {
            assert!(first.as_array().unwrap().contains(&json!(name)), "{name}: {first}");
        }
    });
}

/// A rule of an agent's policy: the servers that it adds, and what it sets without a word in the client's dialect.
#[test]
fn a_rule_of_an_agents_policy_is_followed_or_named() {
    run(async {
        let mcp = Mcp::start().await;
        let config = format!(
            "
agents:
  root: {{ model: '{{p}}/fake-root', policy: helped, handoffs: [helper] }}
  helper: {{ model: '{{p}}/fake-helper', policy: helped, description: Helps }}
mcp_servers: {{ acme: {{ url: '{}' }} }}
policies:
  default: {{ fallback: {{ retries: 0 }} }}
  helped:
    fallback: {{ retries: 0 }}
    rules: [{{ name: all, when: 'request.input_tokens >= 0', mcp_servers: [acme], set: {{ seed: 7, temperature: 0.5 }} }}]
",
            mcp.url()
        );
        for (provider, way) in ["oai", "ant"].into_iter().flat_map(|it| WAYS.map(|way| (it, way))) {
            let turns = vec![
                calls(vec![("acme__query".to_owned(), json!({"q": "cats"}))]),
                one(handoff("helper", "r")),
                says("Done."),
            ];
            let fixture = stage(&config, provider, turns).await;
            let (answer, said) = ask(&fixture, way, "root", "go").await;
            let case = format!("{provider} {way:?} {}", answer.text());
            assert_eq!(said.text, "Done.", "{case}");
            let root = asked_of(&fixture, provider, "root");
            assert!(root[1].to_string().contains("found: cats"), "{case}: {}", root[1]);
            assert!(asked_of(&fixture, provider, "helper")[0].to_string().contains("acme__query"), "{case}");
            assert_eq!(root[0]["temperature"], json!(0.5), "{case}");
            let run = fixture.baton.run_of(&answer).await;
            let ignored = |at: usize| run["decisions"][at]["ignored_parameters"].to_string();
            let wordless = way.0 != Surface::Chat;
            // The first decision, and the one that brings the other agent in.
            assert_eq!([0, 2].map(|at| ignored(at).contains("rule.set.seed")), [wordless; 2], "{case} {run}");
        }
    });
}

/// A coordinator that waited and has no model left: the answer that it waited for is the run's.
#[test]
fn a_coordinator_without_a_model_does_not_cost_the_answer() {
    const TEAM: &str = "
agents:
  boss:
    model: '{p}/fake-boss'
    policy: careful
    handoffs: [{ agent: expert, returns: true }]
  expert: { model: '{p}/fake-expert', description: Knows it }
policies:
  default: { fallback: { retries: 0 } }
  careful:
    fallback: { retries: 0 }
    rules: [{ name: closed, when: 'context.closed == true', refuse: The house is closed }]
";
    run(async {
        let turns = vec![
            one(handoff("expert", "r")),
            calls(vec![("weather".to_owned(), json!({"city": "Rome"}))]),
            says("Sunny."),
        ];
        let fixture = stage(TEAM, "oai", turns).await;
        let tools = [tool(Surface::Chat, "weather")];
        let body = json!({"model": "agent/boss", "messages": user("Rome?"), "tools": tools});
        let (_, said) = asked(&fixture.baton, WAYS[0], body).await;
        let id = &said.call_ids[0];
        let messages = json!([
            {"role": "user", "content": "Rome?"},
            {"role": "assistant", "tool_calls": [
                {"id": id, "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
            ]},
            {"role": "tool", "tool_call_id": id, "content": "30 degrees"},
        ]);
        let body = json!({
            "model": "agent/boss", "messages": messages, "tools": tools, "baton": {"context": {"closed": true}},
        });
        let (answer, said) = asked(&fixture.baton, WAYS[0], body).await;
        assert_eq!((said.text.as_str(), said.finish.as_str()), ("Sunny.", "length"), "{}", answer.text());
        let plot = plot(&fixture, &answer).await;
        assert!(plot[1].starts_with("stop ") && plot.len() == 2, "{plot:?}");
    });
}

/// A secret that a model writes into its reason is taken out before the reason is shortened.
#[test]
fn a_secret_at_the_edge_of_a_reason_is_not_recorded() {
    run(async {
        let reason = format!("{} sk-{}", "x".repeat(480), "a".repeat(40));
        let fixture = stage(TEAM, "oai", vec![one(handoff("helper", &reason)), says("Done.")]).await;
        let (answer, _) = ask(&fixture, WAYS[0], "root", "go").await;
        let said = fixture.baton.run_of(&answer).await["decisions"][1]["handoff"]["said"].clone();
        let said = said.as_str().unwrap();
        assert!(said.ends_with(" [key]") && !said.contains("sk-"), "{said}");
        let told = answer.json()["handoffs"][0]["reason"].clone();
        assert_eq!(told.as_str().unwrap().chars().count(), 500, "{told}");
    });
}
