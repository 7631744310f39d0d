//! A list of models carries one request: the hidden transfers, what each model sees, what the client
//! sees, and what is written down.

mod faults;
mod guards;
mod hostile;
pub(super) mod leaving;
mod observed;
mod offers;
mod payloads;
mod pool;
mod records;
mod repeats;
mod rules;
mod second_hop;
mod signed;
mod sticky;
mod structured;
mod targets;
mod traps;
mod usage;

use baton_testkit::fake::{FakeUpstream, Said as Script1, Script, Seen, Step};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::support::{Answer, Baton, Fixture, baton, events, until};
use super::v1::answers::{Said, chat, message, response};

/// The surfaces that a request can come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Chat,
    Messages,
    Responses,
}

/// Every surface, streamed and not.
pub(super) const WAYS: [(Surface, bool); 6] = [
    (Surface::Chat, false),
    (Surface::Chat, true),
    (Surface::Messages, false),
    (Surface::Messages, true),
    (Surface::Responses, false),
    (Surface::Responses, true),
];

impl Surface {
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
        }
    }

    /// A body of messages as this surface wants it: for a response, what is a message of a chat becomes items.
    pub(super) fn body(self, mut body: Value) -> Value {
        if self == Self::Responses {
            let members = body.as_object_mut().expect("a body");
            let messages = members.remove("messages").expect("messages");
            members.insert("input".to_owned(), messages);
            if let Some(most) = members.remove("max_tokens") {
                members.insert("max_output_tokens".to_owned(), most);
            }
        }
        body
    }
}

/// The pools that the client's dialect and two fakes can make: all of one dialect, and mixed ones.
pub(super) const POOLS: [[&str; 2]; 4] = [
    ["oai/fake", "oai/fake-b"],
    ["ant/fake", "ant/fake-b"],
    ["oai/fake", "ant/fake-b"],
    ["ant/fake", "oai/fake-b"],
];

/// A server whose upstreams say this, each in its own order.
pub(super) async fn scripted(openai: Vec<Step>, anthropic: Vec<Step>, more: &str) -> Fixture {
    let script = |steps: Vec<Step>| steps.into_iter().fold(Script::default(), Script::then);
    let openai = FakeUpstream::start(script(openai)).await.expect("a fake upstream");
    let anthropic = FakeUpstream::start(script(anthropic)).await.expect("a fake upstream");
    let baton = Baton::start(&Fixture::config(&openai, &anthropic, more)).await;
    Fixture { baton, openai, anthropic }
}

/// A server whose first model says the first thing, whose second the second, and so on in turns.
pub(super) async fn talking(pool: [&str; 2], turns: Vec<(usize, Step)>, more: &str) -> Fixture {
    let (mut openai, mut anthropic) = (Vec::new(), Vec::new());
    for (who, step) in turns {
        if is_anthropic(pool[who]) { anthropic.push(step) } else { openai.push(step) }
    }
    scripted(openai, anthropic, more).await
}

/// Which fake a model's upstream is: the other one speaks both formats of OpenAI's.
fn is_anthropic(model: &str) -> bool {
    model.starts_with("ant/")
}

/// What a model's upstream says next.
pub(super) fn says_next(fixture: &Fixture, model: &str, step: Step) {
    let fake = if is_anthropic(model) { &fixture.anthropic } else { &fixture.openai };
    fake.then(step);
}

/// A call of the transfer to this model, as the name of its tool goes.
pub(super) fn transfer(model: &str, reason: &str) -> (String, Value) {
    let slug = model.rsplit('/').next().expect("a name").replace('-', "_");
    (format!("transfer_to_{slug}"), json!({ "reason": reason }))
}

pub(super) fn says(text: &str) -> Step {
    Step::Say(Script1::Text(text.to_owned()))
}

pub(super) fn calls(calls: Vec<(String, Value)>) -> Step {
    Step::Say(Script1::Calls(calls))
}

pub(super) fn says_and_calls(text: &str, calls: Vec<(String, Value)>) -> Step {
    Step::Say(Script1::TextAndCalls(text.to_owned(), calls))
}

pub(super) async fn asked(baton: &Baton, (surface, stream): (Surface, bool), body: Value) -> (Answer, Said) {
    match surface {
        Surface::Chat => chat(baton, body, stream).await,
        Surface::Messages => message(baton, body, stream).await,
        Surface::Responses => response(baton, surface.body(body), stream).await,
    }
}

/// A tool of the client's in the surface's dialect.
pub(super) fn tool(surface: Surface, name: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    match surface {
        Surface::Chat => json!({"type": "function", "function": {"name": name, "parameters": schema}}),
        Surface::Messages => json!({"name": name, "input_schema": schema}),
        Surface::Responses => json!({"type": "function", "name": name, "parameters": schema}),
    }
}

/// The user's message in the form of every surface.
pub(super) fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

/// What a model's upstream was asked.
pub(super) fn saw(fixture: &Fixture, model: &str) -> Vec<Seen> {
    let (_, name) = model.split_once('/').expect("a provider");
    if is_anthropic(model) { fixture.anthropic_saw(name) } else { fixture.openai_saw(name) }
}

/// The names of the tools in an upstream's request.
pub(super) fn tools_of(seen: &Seen) -> Vec<String> {
    let body = seen.json();
    let tools = body["tools"].as_array().cloned().unwrap_or_default();
    let name = |tool: &Value| tool["function"]["name"].as_str().or(tool["name"].as_str()).map(str::to_owned);
    tools.iter().filter_map(name).collect()
}

/// The tools in an upstream's request, byte for byte; nothing where there are none.
pub(super) fn tool_bytes(seen: &Seen) -> String {
    let body: std::collections::HashMap<String, Box<RawValue>> =
        serde_json::from_slice(&seen.body).expect("a request");
    body.get("tools").map(|tools| tools.get().to_owned()).unwrap_or_default()
}

/// A member that stands beside the answer, streamed or not; the last one counts.
pub(super) fn extra(answer: &Answer, stream: bool, key: &str) -> Value {
    if !stream {
        return answer.json()[key].clone();
    }
    let all = events(answer.text()).into_iter().filter(|event| event.data != "[DONE]");
    // A stream of a response tells it in its last event, with the answer.
    let found = |event: Value| event.get(key).or_else(|| event["response"].get(key)).cloned();
    all.rev().find_map(|event| found(event.json())).unwrap_or_default()
}

/// The decisions behind an answer.
pub(super) async fn decisions(fixture: &Fixture, answer: &Answer) -> Vec<Value> {
    fixture.baton.run_of(answer).await["decisions"].as_array().cloned().expect("decisions")
}

/// Derives every plan that the server recorded again, in another process; there are so many.
pub(super) async fn replays(fixture: &Fixture, plans: usize) {
    let replayed = async || {
        let arguments = ["policy", "replay", "--last", "1000", "--json"];
        let said = baton(&fixture.baton.home, &arguments).await.json();
        assert_eq!(said["differs"], json!([]), "{said}");
        (said["same"] == json!(plans)).then_some(())
    };
    until("every plan is in the store and comes out of its record", replayed).await;
}

/// The run behind an answer, a line for each decision.
pub(super) async fn story(fixture: &Fixture, answer: &Answer) -> Vec<String> {
    let run = fixture.baton.run_of(answer).await;
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |one: &Value| {
        format!(
            "{}.{} {} {} {}->{} {}",
            one["turn"],
            one["hop"],
            word(&one["kind"]),
            word(&one["reason"]["code"]),
            word(&one["from"]),
            word(&one["to"]),
            word(&one["outcome"]["status"]),
        )
    };
    run["decisions"].as_array().expect("decisions").iter().map(line).collect()
}
