//! Hand-overs within a run, where they are followed and where they are not, and from run to run.

use serde_json::{Value, json};

use super::{are_whole, decided, events_of, id_of, started};
use crate::blackbox::handoff::{calls, saw, says, says_and_calls, says_next, scripted, transfer};
use crate::blackbox::support::run;

const TEAM: &str = "
agents:
  triage: { model: oai/fake-triage, description: Finds out who can help, instruction: Hand over., handoffs: [billing] }
  billing: { model: oai/fake-billing, description: Knows every invoice, instruction: Help with invoices. }
";

fn to_billing() -> baton_testkit::fake::Step {
    calls(vec![("handoff".to_owned(), json!({"agent": "billing", "reason": "It is about an invoice"}))])
}

#[test]
fn a_pool_hands_the_conversation_on_and_the_run_tells_who_said_what() {
    run(async {
        let turns = vec![
            says_and_calls("I looked it up.", vec![transfer("oai/fake-b", "prose")]),
            says("Once upon a time."),
        ];
        let fixture = scripted(turns, Vec::new(), "").await;
        let done =
            started(&fixture.baton, json!({"model": ["oai/fake", "oai/fake-b"], "input": "A tale"})).await;
        assert_eq!(done["status"], "completed", "{done}");
        assert_eq!(done["output"]["text"], "I looked it up.\n\nOnce upon a time.");
        assert_eq!(done["agents_used"], json!(["oai/fake", "oai/fake-b"]));
        assert_eq!(done["ended_by"]["model"], "oai/fake-b");
        let handed = &done["handoffs"][0];
        assert_eq!(
            (&handed["from"], &handed["to"], &handed["by"], &handed["reason"]),
            (&json!("oai/fake"), &json!("oai/fake-b"), &json!("model"), &json!("prose")),
            "{done}"
        );
        let id = id_of(&done);
        let record = fixture.baton.settled(&id).await;
        let decision = record["decisions"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|one| one["id"] == handed["decision"]);
        assert_eq!(decision.expect("the decision of the hand-over")["kind"], "handoff");
        // In the order of what happened, and the hidden call is not among it.
        let told = events_of(&fixture.baton, &id, None).await;
        are_whole(&told);
        let story: Vec<(&str, Value)> = told
            .iter()
            .filter(|event| {
                matches!(event.name.as_str(), "text_delta" | "handoff" | "agent_start" | "tool_call_start")
            })
            .map(|event| {
                let what = ["text", "to", "agent"].iter().find_map(|key| event.data.get(*key));
                (event.name.as_str(), what.cloned().unwrap_or_default())
            })
            .collect();
        assert_eq!(
            story,
            [
                ("agent_start", json!("oai/fake")),
                ("text_delta", json!("I looked it up.")),
                ("handoff", json!("oai/fake-b")),
                ("agent_start", json!("oai/fake-b")),
                ("text_delta", json!("Once upon a time.")),
            ]
        );
    });
}

#[test]
fn a_hand_over_that_is_not_followed_ends_the_run_and_the_next_one_goes_to_its_target() {
    run(async {
        let fixture = scripted(vec![to_billing()], Vec::new(), TEAM).await;
        let body = json!({"agent": "triage", "input": "My invoice is wrong", "follow_handoffs": false});
        let left = started(&fixture.baton, body).await;
        assert_eq!((&left["status"], &left["target"]), (&json!("handoff"), &json!("billing")), "{left}");
        assert_eq!(left["handoffs"][0]["reason"], "It is about an invoice", "{left}");
        assert!(saw(&fixture, "oai/fake-billing").is_empty(), "it was not asked");
        let id = id_of(&left);
        let last = decided(&fixture.baton, &id).await.pop().expect("a decision");
        assert_eq!(last, "handoff oai/fake-billing");
        // The user says more: billing is asked, and sees all that was said.
        says_next(&fixture, "oai/fake-billing", says("It is corrected."));
        let next = started(&fixture.baton, json!({"input": "Number 7", "previous_run": id})).await;
        assert_eq!((&next["status"], &next["agent"]), (&json!("completed"), &json!("triage")), "{next}");
        assert_eq!(
            (&next["ended_by"]["agent"], &next["previous_run"]),
            (&json!("billing"), &json!(id)),
            "{next}"
        );
        assert_eq!(saw(&fixture, "oai/fake-triage").len(), 1, "who handed over is asked no more");
        let seen = saw(&fixture, "oai/fake-billing")[0].json()["messages"].to_string();
        for said in ["Help with invoices.", "My invoice is wrong", "Number 7"] {
            assert!(seen.contains(said), "{seen}");
        }
        assert!(!seen.contains("Hand over."), "no agent sees another's instruction: {seen}");
        // And so does the one after that.
        says_next(&fixture, "oai/fake-billing", says("Gladly."));
        let after = started(&fixture.baton, json!({"input": "Thanks", "previous_run": id_of(&next)})).await;
        assert_eq!(after["ended_by"]["agent"], "billing", "{after}");
        let seen = saw(&fixture, "oai/fake-billing")[1].json()["messages"].to_string();
        assert!(seen.contains("It is corrected.") && seen.contains("Number 7"), "{seen}");
    });
}

#[test]
fn the_next_run_of_a_pool_goes_to_who_had_the_conversation() {
    run(async {
        let turns = vec![calls(vec![transfer("oai/fake-b", "prose")]), says("A tale."), says("Another.")];
        let fixture = scripted(turns, Vec::new(), "").await;
        let pool = json!(["oai/fake", "oai/fake-b"]);
        let first = started(&fixture.baton, json!({"model": pool, "input": "A tale"})).await;
        let next = started(&fixture.baton, json!({"input": "Another", "previous_run": id_of(&first)})).await;
        assert_eq!((&next["ended_by"]["model"], &next["model"]), (&json!("oai/fake-b"), &pool), "{next}");
        assert_eq!(next["output"]["text"], "Another.", "of its own run alone");
    });
}

#[test]
fn a_task_is_done_out_of_sight_and_its_turns_are_counted() {
    run(async {
        let team = "
agents:
  lead: { model: oai/fake-lead, description: Leads, instruction: Lead., sub_agents: [clerk] }
  clerk: { model: oai/fake-clerk, description: Files, instruction: File. }
";
        let task = json!({"agent": "clerk", "task": "file it", "expected_output": "a number"});
        let turns = vec![
            calls(vec![("transfer_task".to_owned(), task)]),
            says("Filed under 7."),
            says("It is filed."),
        ];
        let fixture = scripted(turns, Vec::new(), team).await;
        let done = started(&fixture.baton, json!({"agent": "lead", "input": "File this"})).await;
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!("It is filed.")),
            "{done}"
        );
        assert_eq!(done["agents_used"], json!(["lead", "clerk", "lead"]), "{done}");
        let turns = done["turns"].as_array().expect("turns");
        let of_tasks: Vec<bool> = turns.iter().map(|turn| turn["task"] == true).collect();
        assert_eq!(of_tasks, [false, true, false]);
        let told = events_of(&fixture.baton, &id_of(&done), None).await;
        assert_eq!(super::text_of(&told), "It is filed.", "a task is out of the user's sight");
    });
}
