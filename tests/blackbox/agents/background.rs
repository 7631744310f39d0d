//! Agents in the background: they do tasks while the one who gave them goes on.

use baton_testkit::fake::{Fault, Step};
use serde_json::{Value, json};

use super::{WAYS, ask, asked_of, cast, plot};
use crate::blackbox::handoff::{calls, decisions, extra, says, scripted};
use crate::blackbox::support::{Fixture, run};

/// The root's model is at one provider, those of the others at the other: each side has a script of its own.
const TEAM: &str = "
agents:
  root:
    model: oai/fake-root
    instruction: You are the boss.
    sub_agents: [finder, boss2]
    toolsets: [{ type: background_agents }]
  finder: { model: ant/fake-finder, description: Finds things out, instruction: You find things out. }
  boss2:
    model: ant/fake-boss2
    description: Gives tasks itself
    sub_agents: [root, finder]
    toolsets: [{ type: background_agents }]
";

pub(in crate::blackbox) async fn stage(root: Vec<Step>, others: Vec<Step>) -> Fixture {
    scripted(root, others, &cast(TEAM, "oai")).await
}

pub(in crate::blackbox) fn begun(agent: &str, task: &str) -> (String, Value) {
    ("run_background_agent".to_owned(), json!({ "agent": agent, "task": task }))
}

pub(in crate::blackbox) fn view(id: &str) -> (String, Value) {
    ("view_background_agent".to_owned(), json!({ "task_id": id }))
}

pub(in crate::blackbox) fn wait(ids: &[&str], timeout: u64) -> (String, Value) {
    ("wait_background_agents".to_owned(), json!({ "task_ids": ids, "timeout": timeout }))
}

fn one(call: (String, Value)) -> Step {
    calls(vec![call])
}

/// The result of a child: it sees its task and nothing else, and its decisions stand in the run's chain.
#[test]
fn a_childs_result_is_waited_for() {
    run(async {
        for way in WAYS {
            let root = vec![
                one(begun("finder", "When was it built?")),
                one(wait(&["task_1"], 60)),
                says("In 1889."),
            ];
            let fixture = stage(root, vec![says("1889, quietly.")]).await;
            let (answer, said) = ask(&fixture, way, "root", "Tell me of the tower of Paris").await;
            assert_eq!(said.text, "In 1889.", "{way:?} {}", answer.text());
            assert!(!answer.text().contains("quietly"), "it is out of the client's sight");
            let child = asked_of(&fixture, "ant", "finder")[0].to_string();
            assert!(
                child.contains("When was it built?") && child.contains("You find things out."),
                "{child}"
            );
            assert!(!child.contains("Paris") && !child.contains("the boss"), "{child}");
            let last = asked_of(&fixture, "oai", "root")[2].to_string().replace('\\', "");
            assert!(last.contains(r#""output":"1889, quietly.","status":"completed""#), "{last}");
            let all = decisions(&fixture, &answer).await;
            let of = |kind: &str| all.iter().find(|one| one["kind"] == kind).cloned().unwrap_or_default();
            assert_eq!(of("delegate")["handoff"]["to_agent"], "finder");
            assert_eq!(of("delegate")["handoff"]["from_agent"], "root");
            assert_eq!(of("delegate")["outcome"]["status"], "ok");
            assert_eq!(of("return")["handoff"]["to_agent"], "root");
            assert_eq!(of("delegate")["parent"], all[0]["id"], "{all:?}");
            let turns = extra(&answer, way.1, "baton")["turns"].clone();
            let agents: Vec<&str> =
                turns.as_array().unwrap().iter().filter_map(|it| it["agent"].as_str()).collect();
            assert_eq!(agents, ["root", "root", "root", "finder"], "{turns}");
        }
    });
}

/// Whoever still works when the run ends is stopped, and that is recorded.
#[test]
fn a_child_ends_with_the_run() {
    run(async {
        let root = vec![one(begun("finder", "t")), says("Never mind.")];
        let fixture = stage(root, vec![Step::Fault(Fault::HeaderStall)]).await;
        let (answer, said) = ask(&fixture, WAYS[0], "root", "go").await;
        assert_eq!(said.text, "Never mind.", "{}", answer.text());
        let told = plot(&fixture, &answer).await;
        assert_eq!(told.last().unwrap(), "stop ended -->root", "{told:?}");
        let ended = async || {
            let all = decisions(&fixture, &answer).await;
            let mut open = all.iter().filter(|one| one["outcome"]["status"] == "running");
            open.next().is_none().then_some(())
        };
        crate::blackbox::support::until("nothing of the run is open", ended).await;
    });
}

#[test]
fn what_cannot_be_begun_is_told_to_the_model() {
    run(async {
        let root = vec![
            calls(vec![begun("nobody", "t"), begun("finder", ""), view("task_9"), wait(&[], 1)]),
            says("So be it."),
        ];
        let fixture = stage(root, Vec::new()).await;
        let (answer, said) = ask(&fixture, WAYS[0], "root", "go").await;
        assert_eq!(said.text, "So be it.", "{}", answer.text());
        let told = asked_of(&fixture, "oai", "root")[1].to_string();
        for part in [
            "Agent root cannot give that agent a task. Available agent IDs are: finder, boss2",
            "say what is to be done in `task`",
            "there is no such task, nor any other",
            "name 1 to 100 tasks",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    });
}

/// A child gives tasks itself, but none to who waits for it; and no more than so many work at once.
#[test]
fn children_are_bounded() {
    run(async {
        let root = vec![one(begun("boss2", "t")), one(wait(&["task_1"], 60)), says("Done.")];
        let others = vec![
            one(("transfer_task".to_owned(), json!({"agent": "root", "task": "x"}))),
            says("Nobody above me."),
        ];
        let fixture = stage(root, others).await;
        let (answer, said) = ask(&fixture, WAYS[0], "root", "go").await;
        assert_eq!(said.text, "Done.", "{}", answer.text());
        let told = asked_of(&fixture, "ant", "boss2")[1].to_string();
        assert!(told.contains("delegation cycle detected: root -> boss2 -> root"), "{told}");

        let root = vec![calls((0..9).map(|_| begun("finder", "t")).collect()), says("Enough.")];
        let fixture = stage(root, (0..9).map(|_| Step::Fault(Fault::HeaderStall)).collect()).await;
        let (answer, _) = ask(&fixture, WAYS[0], "root", "go").await;
        let told = asked_of(&fixture, "oai", "root")[1].to_string();
        assert_eq!(told.matches("8 agents are at work already").count(), 1, "{told} {}", answer.text());
    });
}

/// The turns of children count as the run's.
#[test]
fn children_take_their_turns_of_the_runs() {
    run(async {
        let root = vec![one(begun("finder", "t")), one(wait(&["task_1"], 60)), says("Not reached.")];
        let fixture = stage(root, vec![says("Found.")]).await;
        let body =
            json!({"model": "agent/root", "messages": crate::blackbox::handoff::user("go"), "max_turns": 3});
        let (answer, said) = crate::blackbox::handoff::asked(&fixture.baton, WAYS[0], body).await;
        assert_eq!(said.finish, "length", "{}", answer.text());
        let (root, finder) =
            (asked_of(&fixture, "oai", "root").len(), asked_of(&fixture, "ant", "finder").len());
        assert_eq!((root, finder), (2, 1));
    });
}
