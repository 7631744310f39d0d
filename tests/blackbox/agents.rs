//! Agents, played through the program against scripted models. Each agent's model is named after it, so that what an
//! upstream saw tells which agent asked. The cases of the seeds stand in `tests/seeds`.

pub(super) mod background;
mod configured;
pub(super) mod handed;
mod hook;
pub(super) mod returned;
pub(super) mod stepped;

use baton_testkit::fake::{Seen, Step};
use serde_json::{Value, json};

pub(super) use super::handoff::WAYS;
use super::handoff::{Surface, asked, calls, decisions, saw, scripted, tools_of, user};
use super::support::{Answer, Fixture};
use super::v1::answers::Said;

/// The agents of a file, each with a model of this provider: `{p}` stands for it.
fn cast(agents: &str, provider: &str) -> String {
    agents.replace("{p}", provider)
}

/// A server with these agents whose upstream says this, turn by turn.
pub(super) async fn stage(agents: &str, provider: &str, turns: Vec<Step>) -> Fixture {
    let config = cast(agents, provider);
    if provider == "oai" {
        scripted(turns, Vec::new(), &config).await
    } else {
        scripted(Vec::new(), turns, &config).await
    }
}

/// The requests that an agent's model got.
pub(super) fn asked_of(fixture: &Fixture, provider: &str, agent: &str) -> Vec<Value> {
    saw(fixture, &format!("{provider}/fake-{agent}")).iter().map(Seen::json).collect()
}

/// The names of the tools that an agent was offered, in its first turn.
pub(super) fn offered_to(fixture: &Fixture, provider: &str, agent: &str) -> Vec<String> {
    tools_of(&saw(fixture, &format!("{provider}/fake-{agent}"))[0])
}

/// A call of the tool that hands over.
pub(super) fn handoff(agent: &str, reason: &str) -> (String, Value) {
    ("handoff".to_owned(), json!({ "agent": agent, "reason": reason }))
}

/// A call of the tool that gives a task.
pub(super) fn task(agent: &str, task: &str) -> (String, Value) {
    ("transfer_task".to_owned(), json!({ "agent": agent, "task": task, "expected_output": "a line" }))
}

pub(super) fn one(call: (String, Value)) -> Step {
    calls(vec![call])
}

pub(super) async fn ask(fixture: &Fixture, way: (Surface, bool), agent: &str, text: &str) -> (Answer, Said) {
    asked(&fixture.baton, way, json!({ "model": format!("agent/{agent}"), "messages": user(text) })).await
}

/// The run behind an answer, a line for each decision: kind, code, agents.
pub(super) async fn plot(fixture: &Fixture, answer: &Answer) -> Vec<String> {
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
pub(super) fn text_of(said: &Said) -> String {
    said.text.replace("\n\n", "")
}

/// Waits until the server has counted a pattern so often.
pub(super) async fn counted(fixture: &Fixture, pattern: &str, agent: &str, count: u32) {
    let line = format!("baton_agent_patterns_total{{pattern=\"{pattern}\",agent=\"{agent}\"}} {count}\n");
    let metrics = fixture.baton.get("/metrics").await.expect(200);
    assert!(metrics.text().contains(&line), "no {line} in {}", metrics.text());
}
