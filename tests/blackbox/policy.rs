//! The routing policy from outside: who is asked, in which order, after which failure, and why.
//!
//! What a test expects is held against the fakes, which are the ground truth, and against the record.

mod breaker;
mod failure_table;
mod judge;
mod orders;
mod replay;
mod route;
mod rules;
mod wishes;

use serde_json::{Value, json};

use super::support::{Answer, Baton, Fixture};
use super::v1::text;

/// Three models that differ in everything that an order looks at.
const MODELS: &str = "
models:
  oai/fake-small:
    price: { input: 0.1, output: 0.4 }
    strengths: { quick_answer: 0.9, code: 0.4, writing: 0.4, tool_use: 0.6 }
    attributes: { speed: 0.9, cost: 0.9, intelligence: 0.3, creativity: 0.2 }
    capabilities: { tools: true, vision: false }
  oai/fake-large:
    price: { input: 5, output: 20 }
    strengths: { quick_answer: 0.4, code: 0.9, writing: 0.5, tool_use: 0.9 }
    attributes: { speed: 0.2, cost: 0.1, intelligence: 0.9, creativity: 0.5 }
    capabilities: { tools: true, vision: true }
  ant/fake-prose:
    price: { input: 3, output: 15 }
    strengths: { quick_answer: 0.3, code: 0.6, writing: 0.9, tool_use: 0.5 }
    attributes: { speed: 0.4, cost: 0.3, intelligence: 0.7, creativity: 0.9 }
    capabilities: { tools: true, vision: true }
";

const SMALL: &str = "oai/fake-small";
const LARGE: &str = "oai/fake-large";
const PROSE: &str = "ant/fake-prose";
/// In no order that a measure would give.
const POOL: [&str; 3] = [PROSE, LARGE, SMALL];

/// A server between the fakes with these models and these policies, written as a YAML map.
async fn start(policies: &str) -> Fixture {
    Fixture::start(&format!("{MODELS}\npolicies:\n{policies}")).await
}

/// A request for the pool under a policy.
fn under(policy: &str) -> Value {
    json!({"model": POOL, "messages": "hi", "baton": {"policy": policy}})
}

/// Asks, and gives the target and the code of the reason that the headers name.
async fn chosen(baton: &Baton, body: &Value) -> (String, String) {
    let answer = baton.chat(body).await.expect(200);
    (answer.header("x-baton-model").to_owned(), answer.header("x-baton-reason").to_owned())
}

/// The decision of a run that carries the table.
async fn decided(baton: &Baton, answer: &Answer) -> Value {
    let run = baton.run_of(answer).await;
    let decisions = run["decisions"].as_array().expect("decisions");
    decisions
        .iter()
        .find(|one| one["candidates"].is_array())
        .cloned()
        .unwrap_or_else(|| panic!("no table in {run}"))
}

/// A table as `target verdict-or-code score`, in the order of the candidates.
fn rows(decision: &Value) -> Vec<String> {
    let candidates = decision["candidates"].as_array().expect("a table");
    let row = |one: &Value| {
        let verdict = match text(&one["verdict"]).as_str() {
            "eligible" => format!("eligible {}", one["rank"]),
            "rejected" => format!("{} {}", text(&one["stage"]), text(&one["code"])),
            verdict => verdict.to_owned(),
        };
        let score = one["score"].as_u64().map_or_else(|| "-".to_owned(), |score| score.to_string());
        format!("{} {verdict} {score}", text(&one["target"]))
    };
    candidates.iter().map(row).collect()
}
