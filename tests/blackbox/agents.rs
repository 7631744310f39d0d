//! Agents: the cases of the seeds, played through the program against scripted models. Each agent's model is named
//! after it, so that what an upstream saw tells which agent asked.

mod configured;
mod delegated;
mod handed;
mod returned;

use baton_testkit::fake::{Seen, Step};
use serde_json::{Value, json};

use super::handoff::{Surface, asked, calls, decisions, saw, scripted, tools_of, user};
use super::support::{Answer, Fixture};
use super::v1::answers::Said;

/// What a surface can be asked by, streamed and not.
const WAYS: [(Surface, bool); 4] =
    [(Surface::Chat, false), (Surface::Chat, true), (Surface::Messages, false), (Surface::Messages, true)];

/// The agents of a file, each with a model of this provider: `{p}` stands for it.
fn cast(agents: &str, provider: &str) -> String {
    agents.replace("{p}", provider)
}

/// A server with these agents whose upstream says this, turn by turn.
async fn stage(agents: &str, provider: &str, turns: Vec<Step>) -> Fixture {
    let config = cast(agents, provider);
    if provider == "oai" {
        scripted(turns, Vec::new(), &config).await
    } else {
        scripted(Vec::new(), turns, &config).await
    }
}

/// The requests that an agent's model got.
fn asked_of(fixture: &Fixture, provider: &str, agent: &str) -> Vec<Value> {
    saw(fixture, &format!("{provider}/fake-{agent}")).iter().map(Seen::json).collect()
}

/// The names of the tools that an agent was offered, in its first turn.
fn offered_to(fixture: &Fixture, provider: &str, agent: &str) -> Vec<String> {
    tools_of(&saw(fixture, &format!("{provider}/fake-{agent}"))[0])
}

/// A call of the tool that hands over.
fn handoff(agent: &str, reason: &str) -> (String, Value) {
    ("handoff".to_owned(), json!({ "agent": agent, "reason": reason }))
}

/// A call of the tool that gives a task.
fn task(agent: &str, task: &str) -> (String, Value) {
    ("transfer_task".to_owned(), json!({ "agent": agent, "task": task, "expected_output": "a line" }))
}

fn one(call: (String, Value)) -> Step {
    calls(vec![call])
}

async fn ask(fixture: &Fixture, way: (Surface, bool), agent: &str, text: &str) -> (Answer, Said) {
    asked(&fixture.baton, way, json!({ "model": format!("agent/{agent}"), "messages": user(text) })).await
}

/// The run behind an answer, a line for each decision: kind, code, agents.
async fn plot(fixture: &Fixture, answer: &Answer) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let all = decisions(fixture, answer).await;
    all.iter()
        .map(|one| {
            let note = &one["handoff"];
            let (from, to) = (word(&note["from_agent"]), word(&note["to_agent"]));
            format!("{} {} {from}->{to}", word(&one["kind"]), word(&one["reason"]["code"]))
        })
        .collect()
}

/// The text of an answer, without the blank lines between hops.
fn text_of(said: &Said) -> String {
    said.text.replace("\n\n", "")
}
