//! Steps before a hand-over and at an end: what they change, when they are done, and what is written of them.

use serde_json::{Value, json};

use super::hook::{Answers, Receiver};
use super::{WAYS, ask, asked_of, handoff, one, plot, stage, task, text_of};
use crate::blackbox::handoff::{Surface, asked, calls, decisions, says, says_and_calls, tool, user};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Answer, Fixture, Home, baton, run};

/// A request to an agent with this context.
pub(in crate::blackbox) fn with_context(agent: &str, context: &Value) -> Value {
    json!({ "model": format!("agent/{agent}"), "messages": user("go"), "baton": { "context": context } })
}

/// The steps that a run's decisions record, a line for each: agent, point, kind, result, code.
pub(in crate::blackbox) async fn steps(fixture: &Fixture, answer: &Answer) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |step: &Value| {
        let words = ["agent", "point", "kind", "result", "code"].map(|key| word(&step[key]));
        words.join(" ")
    };
    let all = decisions(fixture, answer).await;
    all.iter()
        .flat_map(|one| one["steps"].as_array().cloned().unwrap_or_default())
        .map(|it| line(&it))
        .collect()
}

/// `desk` hands over to `expert`, before which these steps are done.
pub(in crate::blackbox) fn desk(steps: &str) -> String {
    format!(
        "
agents:
  desk:
    model: '{{p}}/fake-desk'
    handoffs: [{{ agent: expert, additional_instructions: 'Plan {{{{context.plan}}}}.' }}]
  expert:
    model: '{{p}}/fake-expert'
    description: Knows the accounts
    instruction: 'You serve {{{{context.user}}}}.'
    before_handoff:
{steps}
"
    )
}

#[test]
fn steps_are_done_for_a_transfer_and_for_nothing_else() {
    let more = "
  direct: { model: '{p}/fake-direct', sub_agents: [expert] }
";
    run(async {
        let config = format!("{}{more}", desk("      - set: { seen: true }\n"));
        let fixture = stage(&config, "oai", vec![says("Me.")]).await;
        let (answer, _) = ask(&fixture, WAYS[0], "expert", "go").await;
        assert!(steps(&fixture, &answer).await.is_empty(), "who begins was not handed over to");
        let turns = vec![one(task("expert", "t")), says("Done."), says("So.")];
        let fixture = stage(&config, "oai", turns).await;
        let (answer, _) = ask(&fixture, WAYS[0], "direct", "go").await;
        assert!(steps(&fixture, &answer).await.is_empty(), "a task is no transfer");
    });
}

/// What the record holds: what was done, sizes and hashes, no content.
#[test]
fn a_record_of_steps_has_no_content() {
    run(async {
        let config = desk("      - set: { secret: hunter2 }\n      - instructions: 'hunter2 is the word'\n");
        let fixture = stage(&config, "oai", vec![one(handoff("expert", "r")), says("Done.")]).await;
        let (answer, _) = ask(&fixture, WAYS[0], "desk", "go").await;
        let all = decisions(&fixture, &answer).await;
        assert!(!json!(all).to_string().contains("hunter2"), "{all:?}");
        let told = &all[1]["steps"][1];
        assert_eq!((&told["bytes"], &told["step"]), (&json!(19), &json!(1)), "{told}");
        assert_eq!(told["hash"].as_str().unwrap().len(), 64, "{told}");
        assert!(all[0].get("steps").is_none(), "they stand with the hand-over: {all:?}");
    });
}

/// A tool of a server: its result is in the context, and the next step sees it.
#[test]
fn a_step_asks_a_tool() {
    run(async {
        let mcp = Mcp::start().await;
        let steps_of = |query: &str, more: &str| {
            desk(&format!(
                "
      - {{ tool: {{ server: crm, name: query, arguments: {{ q: '{query}' }}, into: found.text }}{more} }}
      - instructions: 'It says: {{{{context.found.text}}}}'
"
            )) + &format!("mcp_servers: {{ crm: {{ url: '{}' }} }}\n", mcp.url())
        };
        let turns = || vec![one(handoff("expert", "r")), says("Done.")];
        let fixture = stage(&steps_of("{{context.who}}", ""), "oai", turns()).await;
        let (answer, said) =
            asked(&fixture.baton, WAYS[1], with_context("desk", &json!({"who": "Ann"}))).await;
        assert_eq!(said.text, "Done.", "{}", answer.text());
        assert!(asked_of(&fixture, "oai", "expert")[0].to_string().contains("It says: found: Ann"));
        let no_tool = asked_of(&fixture, "oai", "expert")[0].get("tools").cloned();
        assert_eq!(no_tool, None, "a step's tool is nobody's to call");

        for (more, expected, result) in [
            ("", "Done.", "veto"),
            (", on_error: veto", "Done.", "veto"),
            (", on_error: go_on", "Done.", "go_on"),
        ] {
            let fixture = stage(&steps_of("fail", more), "oai", turns()).await;
            let (answer, said) = ask(&fixture, WAYS[0], "desk", "go").await;
            assert_eq!(said.text, expected, "{more} {}", answer.text());
            let reached = asked_of(&fixture, "oai", "expert").len();
            assert_eq!(reached, usize::from(result == "go_on"), "{more}");
            assert_eq!(steps(&fixture, &answer).await[0], "expert before_handoff tool failed tool_failed");
        }
    });
}

/// A webhook is told of the transfer, signed, and may do what the other steps do.
#[test]
fn a_step_asks_a_webhook() {
    run(async {
        let said = json!({
            "context": {"account": {"id": 7}, "user": "Ann"},
            "instructions": "Account 7.", "prepend": "In front.", "append": "Behind.",
        });
        for way in WAYS {
            let receiver = Receiver::start(Answers::With(said.clone())).await;
            let step = format!("      - webhook: {{ {}, conversation: true }}\n", receiver.settings());
            let turns = vec![says_and_calls("A moment.", vec![handoff("expert", "a card")]), says("Done.")];
            let fixture = stage(&desk(&step), "oai", turns).await;
            let (answer, heard) = asked(&fixture.baton, way, with_context("desk", &json!({"tier": 1}))).await;
            assert_eq!(text_of(&heard), "A moment.Done.", "{}", answer.text());
            let seen = receiver.seen();
            let [(headers, message)] = seen.as_slice() else { panic!("once: {seen:?}") };
            for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
                assert!(headers.contains_key(name), "{name}: {headers:?}");
            }
            assert!(headers["webhook-signature"].to_str().unwrap().starts_with("v1,"));
            assert_eq!(message["type"], "agent.before_handoff");
            let data = &message["data"];
            let told = (&data["agent"], &data["from"], &data["to"], &data["reason"], &data["context"]);
            let expected =
                (&json!("expert"), &json!("desk"), &json!("expert"), &json!("a card"), &json!({"tier": 1}));
            assert_eq!(told, expected);
            assert!(data["run"].as_str().unwrap().starts_with("run_"), "{data}");
            assert_eq!(data["messages"][0], json!({"role": "user", "content": "go"}));
            let target = asked_of(&fixture, "oai", "expert")[0].to_string();
            for part in ["You serve Ann.", "Account 7.", "In front.", "Behind."] {
                assert!(target.contains(part), "{part}: {target}");
            }
            assert_eq!(steps(&fixture, &answer).await, ["expert before_handoff webhook done -"]);
        }
    });
}

#[test]
fn a_webhook_forbids_a_hand_over_in_its_own_words() {
    run(async {
        for (answer, told) in
            [(json!({"veto": "we are closed"}), "we are closed"), (json!({"veto": true}), "not wanted")]
        {
            let receiver = Receiver::start(Answers::With(answer)).await;
            let step = format!("      - webhook: {{ {} }}\n", receiver.settings());
            let turns = vec![one(handoff("expert", "r")), says("Later.")];
            let fixture = stage(&desk(&step), "oai", turns).await;
            let (answer, said) = ask(&fixture, WAYS[0], "desk", "go").await;
            assert_eq!(said.text, "Later.", "{}", answer.text());
            assert!(asked_of(&fixture, "oai", "desk")[1].to_string().contains(told));
            assert_eq!(receiver.seen()[0].1["data"].get("messages"), None, "it was not asked for");
        }
    });
}

/// A webhook that hangs, fails or talks nonsense: the declared `on_error`.
#[test]
fn a_webhook_that_gives_no_answer_is_done_without_or_forbids() {
    run(async {
        for (answers, code) in [
            (Answers::Hangs, "late"),
            (Answers::Status(500), "refused"),
            (Answers::Text("nonsense"), "bad_answer"),
            (Answers::With(json!({"contxt": {}})), "bad_answer"),
            (Answers::With(json!({"context": {"a": "x".repeat(70_000)}})), "context_too_large"),
        ] {
            for (on_error, goes_on) in [("veto", false), ("go_on", true)] {
                let receiver = Receiver::start(answers.clone()).await;
                let step = format!(
                    "      - {{ webhook: {{ {} }}, deadline: 300ms, on_error: {on_error} }}\n",
                    receiver.settings()
                );
                let turns = vec![one(handoff("expert", "r")), says("Done.")];
                let fixture = stage(&desk(&step), "oai", turns).await;
                let (answer, said) = ask(&fixture, WAYS[1], "desk", "go").await;
                let case = format!("{answers:?} {on_error} {}", answer.text());
                assert_eq!(said.text, "Done.", "{case}");
                assert_eq!(asked_of(&fixture, "oai", "expert").len(), usize::from(goes_on), "{case}");
                let expected = format!("expert before_handoff webhook failed {code}");
                assert_eq!(steps(&fixture, &answer).await, [expected], "{case}");
                assert_eq!(receiver.seen().len(), 1, "asked once: {case}");
            }
        }
        let gone = {
            let receiver = Receiver::start(Answers::Nothing).await;
            receiver.settings()
        };
        let turns = vec![one(handoff("expert", "r")), says("Done.")];
        let fixture = stage(&desk(&format!("      - webhook: {{ {gone} }}\n")), "oai", turns).await;
        let (answer, _) = ask(&fixture, WAYS[0], "desk", "go").await;
        assert_eq!(steps(&fixture, &answer).await, ["expert before_handoff webhook failed unreachable"]);
    });
}

/// With a tool of the client's in front, a hand-over that has steps is left for later.
#[test]
fn a_hand_over_with_steps_does_not_happen_behind_the_clients_tools() {
    run(async {
        let fixture = stage(
            &desk("      - set: { a: 1 }\n"),
            "oai",
            vec![calls(vec![("weather".to_owned(), json!({"city": "Rome"})), handoff("expert", "r")])],
        )
        .await;
        let tools = [tool(Surface::Chat, "weather")];
        let body = json!({"model": "agent/desk", "messages": user("go"), "tools": tools});
        let (answer, said) = asked(&fixture.baton, WAYS[0], body).await;
        assert_eq!(said.calls.len(), 1, "{}", answer.text());
        assert_eq!(plot(&fixture, &answer).await[1..], ["stay handoff_denied -->desk"]);
        assert!(steps(&fixture, &answer).await.is_empty());
    });
}

/// A webhook at an end is told the answer, and cannot hold it up.
#[test]
fn a_webhook_at_an_end_is_told_the_answer() {
    run(async {
        for answers in [Answers::Nothing, Answers::Status(500), Answers::Hangs] {
            let receiver = Receiver::start(answers.clone()).await;
            let config = format!(
                "agents:\n  a: {{ model: '{{p}}/fake-a', on_end: [{{ webhook: {{ {} }}, deadline: 300ms }}] }}\n",
                receiver.settings()
            );
            let fixture = stage(&config, "oai", vec![says("The answer.")]).await;
            let (answer, said) = ask(&fixture, WAYS[1], "a", "go").await;
            assert_eq!(
                (said.text.as_str(), said.finish.as_str()),
                ("The answer.", "stop"),
                "{}",
                answer.text()
            );
            let seen = receiver.seen();
            assert_eq!(
                (&seen[0].1["type"], &seen[0].1["data"]["answer"]),
                (&json!("agent.on_end"), &json!("The answer."))
            );
            let expected = match answers {
                Answers::Nothing => "a on_end webhook done -",
                Answers::Hangs => "a on_end webhook failed late",
                _ => "a on_end webhook failed refused",
            };
            assert_eq!(steps(&fixture, &answer).await, [expected]);
        }
    });
}

#[test]
fn steps_are_shown_and_their_mistakes_have_a_place() {
    run(async {
        let file = |steps: &str| {
            Home::new(&format!(
                "agents:\n  a: {{ model: echo/hello, handoffs: [b] }}\n  b:\n    model: echo/hello\n    description: Accounts\n{steps}"
            ))
        };
        for (steps, expected) in [
            ("    before_handoff: [{ set: { a: '{{contxt.a}}' } }]\n", "there is no `{{contxt.a}}` here"),
            ("    on_end: [{ instructions: x }]\n", "nothing is handed over at an end"),
            ("    on_end: [{ set: { a: '{{reason}}' } }]\n", "there is no `{{reason}}` here"),
            ("    before_handoff: [{ deadline: 5s }]\n", "a step does one thing"),
            ("    before_handoff: [{ prepend: x, append: y }]\n", "a step does one thing"),
            ("    before_handoff: [{ tool: { server: crm, name: x } }]\n", "there is no server `crm`"),
            ("    before_handoff: [{ set: { 'a b': 1 } }]\n", "a member of the context is named"),
            ("    before_handoff: [{ veto_if: 'nobody.knows' }]\n", "agents.b.before_handoff[0].veto_if"),
            ("    before_handoff: [{ prepend: x, deadline: 2m }]\n", "expected a time up to 60 s"),
            (
                "    on_end: [{ set: { a: 1 }, on_error: veto }]\n",
                "there is nothing left to forbid at an end",
            ),
            ("    before_handoff: [{ webhook: { url: 'http://x.example' } }]\n", "`secret` is missing"),
        ] {
            let said = baton(&file(steps), &["check"]).await.expect(1).err;
            assert!(said.contains(expected), "{steps}: {said}");
        }
        let home =
            file("    before_handoff: [{ webhook: { url: 'http://x.example', secret: whsec_short } }]\n");
        let said = baton(&home, &["check"]).await.expect(1).err;
        assert!(said.contains("a step of agent `b`") && !said.contains("whsec_short"), "{said}");
    });
}
