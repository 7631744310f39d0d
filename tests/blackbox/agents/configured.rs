//! What the file says of agents: listed as models, shown by commands, bounded, and refused where it must be.

use serde_json::json;

use super::{WAYS, ask, asked_of, cast, handoff, one, plot, stage, task};
use crate::blackbox::handoff::{asked, calls, says, says_and_calls, user};
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

/// S2-6: an agent elsewhere is refused by name. S3-11, S4-9: the anti-patterns are warnings with their place.
#[test]
fn s2_6_agents_elsewhere_are_refused_and_s3_11_anti_patterns_are_warned_of() {
    run(async {
        let agents = |handoffs: &str| {
            format!(
                "agents:\n  a: {{ model: echo/hello, handoffs: [{handoffs}] }}\n  b: {{ model: echo/hello }}\n"
            )
        };
        let refused = Home::new(&agents("'https://agents.example.com'"));
        let output = baton(&refused, &["check"]).await.expect(1);
        assert!(output.err.contains("A2A"), "{}", output.err);
        let warned = Home::new(&agents("b"));
        let said = baton(&warned, &["check"]).await.expect(0).out;
        assert!(said.contains("2:"), "{said}");
        assert!(said.contains("`b` has no description to be chosen by"), "{said}");
    });
}
