//! `POST /v1/responses` over an upstream of every dialect, streamed and not.

mod background;
mod beside;
mod compact;
mod faults;
mod kept;
mod pools;
mod stored;
mod surface;

use serde_json::{Value, json};

use super::answers::{Said, WAYS, greeting, response, text};
use crate::blackbox::support::{Event, Fixture, events, run, unique};

/// Providers that speak each of the dialects.
const ALL: [&str; 3] = ["oai", "ant", "resp"];

/// The members that every Response object has, set or not.
const MEMBERS: [&str; 29] = [
    "background",
    "completed_at",
    "created_at",
    "error",
    "frequency_penalty",
    "id",
    "incomplete_details",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "output",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "status",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "usage",
];

/// The Response object that a stream ends with, once every event was looked at as a strict client would.
#[track_caller]
pub(super) fn final_response(stream: &str) -> Value {
    let mut client = Client::default();
    let all = events(stream);
    for event in &all {
        client.hear(event);
    }
    client.whole.unwrap_or_else(|| panic!("the stream has no end: {stream}"))
}

/// Puts a stream together, and compares it with what it says of itself.
#[derive(Debug, Default)]
struct Client {
    heard: usize,
    id: Value,
    items: Vec<Value>,
    open: Vec<usize>,
    whole: Option<Value>,
}

impl Client {
    #[track_caller]
    fn hear(&mut self, event: &Event) {
        let body = event.json();
        assert!(self.whole.is_none(), "an event behind the last one: {body}");
        assert_eq!(body["type"], event.name, "{body}");
        assert_eq!(body["sequence_number"], self.heard, "a gap in the numbers: {body}");
        self.heard += 1;
        match event.name.as_str() {
            "response.created" | "response.in_progress" => {
                let number = usize::from(event.name != "response.created");
                assert_eq!(body["sequence_number"], number, "{body}");
                has_all_members(&body["response"]);
                assert_eq!(
                    (&body["response"]["status"], &body["response"]["output"]),
                    (&json!("in_progress"), &json!([]))
                );
                self.id = body["response"]["id"].clone();
            }
            "response.output_item.added" => {
                assert_eq!(body["output_index"], self.items.len(), "a gap in the output: {body}");
                self.open.push(self.items.len());
                self.items.push(body["item"].clone());
            }
            "response.output_item.done" => {
                let at = self.place(&body);
                let item = &body["item"];
                assert_eq!(item["id"], self.items[at]["id"], "{body}");
                for key in ["content", "summary", "arguments"] {
                    if self.items[at].get(key).is_some() {
                        assert_eq!(
                            bare(&self.items[at][key]),
                            bare(&item[key]),
                            "what came in pieces: {body}"
                        );
                    }
                }
                self.open.retain(|open| *open != at);
                self.items[at] = item.clone();
            }
            "response.content_part.added" => self.add(&body, "content", "content_index"),
            "response.reasoning_summary_part.added" => self.add(&body, "summary", "summary_index"),
            "response.output_text.delta" => self.grow(&body, "content", "content_index", "text"),
            "response.refusal.delta" => self.grow(&body, "content", "content_index", "refusal"),
            "response.reasoning_summary_text.delta" => self.grow(&body, "summary", "summary_index", "text"),
            "response.function_call_arguments.delta" => {
                let at = self.place(&body);
                let grown = text(&self.items[at]["arguments"]) + &text(&body["delta"]);
                self.items[at]["arguments"] = json!(grown);
            }
            "response.output_text.done"
            | "response.refusal.done"
            | "response.content_part.done"
            | "response.reasoning_summary_text.done"
            | "response.reasoning_summary_part.done"
            | "response.function_call_arguments.done" => {
                self.place(&body);
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                let response = &body["response"];
                has_all_members(response);
                assert_eq!(event.name, format!("response.{}", text(&response["status"])), "{body}");
                assert_eq!(response["id"], self.id, "{body}");
                if event.name != "response.failed" {
                    assert_eq!(response["output"], json!(self.items), "what came in pieces: {body}");
                    assert!(self.open.is_empty(), "an item is not done: {body}");
                }
                self.whole = Some(response.clone());
            }
            "error" => assert!(body["message"].is_string() && body.get("code").is_some(), "{body}"),
            other => panic!("an event that nobody knows: {other}"),
        }
    }

    /// The open item that an event is about.
    #[track_caller]
    fn place(&self, event: &Value) -> usize {
        let at = event["output_index"].as_u64().and_then(|at| usize::try_from(at).ok()).expect("an index");
        assert!(self.open.contains(&at), "an event of an item that is not open: {event}");
        if let Some(id) = event.get("item_id") {
            assert_eq!(id, &self.items[at]["id"], "{event}");
        }
        at
    }

    #[track_caller]
    fn add(&mut self, event: &Value, list: &str, index: &str) {
        let at = self.place(event);
        let parts = self.items[at][list].as_array_mut().expect("a list");
        assert_eq!(event[index], parts.len(), "a gap in the parts: {event}");
        parts.push(event["part"].clone());
    }

    #[track_caller]
    fn grow(&mut self, event: &Value, list: &str, index: &str, key: &str) {
        let at = self.place(event);
        let part = event[index].as_u64().and_then(|at| usize::try_from(at).ok()).expect("an index");
        let grown = text(&self.items[at][list][part][key]) + &text(&event["delta"]);
        self.items[at][list][part][key] = json!(grown);
    }
}

/// Parts without what is only told when they are done.
fn bare(parts: &Value) -> Value {
    let mut parts = parts.clone();
    for part in parts.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        part.remove("annotations");
        part.remove("logprobs");
    }
    parts
}

#[track_caller]
pub(super) fn has_all_members(response: &Value) {
    for member in MEMBERS {
        assert!(response.get(member).is_some(), "no `{member}` in {response}");
    }
}

#[test]
fn a_text_is_answered_alike_over_every_dialect() {
    for input in [
        json!("hi"),
        json!([{"role": "user", "content": "hi"}]),
        json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]),
    ] {
        check(&json!({"input": input, "instructions": "Be brief."}), |said, run| {
            assert_eq!((said.text.as_str(), said.finish.as_str()), (greeting("hi").as_str(), "stop"));
            assert_eq!(run["decisions"][0]["surface"], "/v1/responses");
        });
    }
}

#[test]
fn usage_is_counted_alike_streamed_or_not() {
    check(&json!({"input": "word ".repeat(40)}), |said, run| {
        let (input, cached, output) = said.tokens.expect("usage");
        assert_eq!((input, cached), (50, 12));
        let usage = &run["decisions"][0]["outcome"]["usage"];
        assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(input), &json!(output)));
    });
}

#[test]
fn a_token_limit_makes_a_response_incomplete() {
    check(&json!({"input": "word ".repeat(60), "max_output_tokens": 16}), |said, _| {
        assert_eq!((said.text.split_whitespace().count(), said.finish.as_str()), (16, "length"));
    });
}

#[test]
fn a_schema_is_satisfied() {
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris"]}},
        "required": ["city"],
        "additionalProperties": false,
    });
    let format = json!({"format": {"type": "json_schema", "name": "city", "schema": schema, "strict": true}});
    check(&json!({"input": "a city", "text": format}), |said, _| {
        assert_eq!(serde_json::from_str::<Value>(&said.text).expect("JSON"), json!({"city": "Paris"}));
    });
}

#[test]
fn tools_are_called_and_their_results_are_heard() {
    run(async {
        let fixture = Fixture::shared().await;
        let schema = |value: &str| json!({"type": "object", "properties": {"v": {"type": "string", "enum": [value]}}, "required": ["v"]});
        let tools = json!([
            {"type": "function", "name": "weather", "parameters": schema("Tokyo")},
            {"type": "function", "name": "clock", "parameters": schema("utc")},
        ]);
        for provider in ALL {
            for stream in WAYS {
                let model = format!("{provider}/fake");
                let mut input = vec![json!({"role": "user", "content": "both, in parallel"})];
                let body = json!({"model": model, "input": input, "tools": tools});
                let (answer, said) = response(&fixture.baton, body, stream).await;
                let case = format!("{provider} {stream}");
                assert_eq!(
                    said.calls,
                    [
                        ("weather".to_owned(), json!({"v": "Tokyo"})),
                        ("clock".to_owned(), json!({"v": "utc"}))
                    ],
                    "{case}"
                );
                // As the SDKs do it: the output is the next input.
                let whole = if stream { final_response(answer.text()) } else { answer.json() };
                input.extend(whole["output"].as_array().expect("output").clone());
                for id in &said.call_ids {
                    input.push(json!({"type": "function_call_output", "call_id": id, "output": "mild"}));
                }
                let body = json!({"model": model, "input": input, "tools": tools});
                let (_, said) = response(&fixture.baton, body, stream).await;
                assert!(said.text.starts_with("The tool says"), "{case}: {}", said.text);
            }
        }
    });
}

#[test]
fn a_tool_choice_is_followed() {
    let tools = json!([
        {"type": "function", "name": "weather", "parameters": {"type": "object"}},
        {"type": "function", "name": "clock", "parameters": {"type": "object"}},
    ]);
    let body = |choice: Value| json!({"input": "any, in parallel", "tools": tools, "tool_choice": choice});
    let names = |said: &Said| said.calls.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    check(&body(json!("none")), |said, _| assert_eq!(names(said), [""; 0]));
    check(&body(json!({"type": "function", "name": "clock"})), |said, _| assert_eq!(names(said), ["clock"]));
    let mut one = body(json!("required"));
    one["parallel_tool_calls"] = json!(false);
    check(&one, |said, _| assert_eq!(names(said), ["weather"]));
}

#[test]
fn thinking_comes_as_an_item_and_goes_back_to_who_made_it() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in ["ant", "resp"] {
            for stream in WAYS {
                let test = unique();
                let model = format!("{provider}/{test}/fake");
                let body = json!({
                    "model": model,
                    "input": "hi",
                    "reasoning": {"effort": "low", "summary": "auto"},
                    "include": ["reasoning.encrypted_content"],
                });
                let (answer, said) = response(&fixture.baton, body.clone(), stream).await;
                let case = format!("{provider} {stream} {}", answer.text());
                assert_eq!(said.text, greeting("hi"), "{case}");
                let whole = if stream { final_response(answer.text()) } else { answer.json() };
                let thought = &whole["output"][0];
                assert_eq!(thought["type"], "reasoning", "{case}");
                assert_eq!(
                    thought["summary"][0]["text"], "The request is short, so the answer can be short too.",
                    "{case}"
                );
                assert!(thought["encrypted_content"].is_string(), "{case}");
                let mut next = body;
                let mut input = vec![json!({"role": "user", "content": "hi"})];
                input.extend(whole["output"].as_array().expect("output").clone());
                input.push(json!({"role": "user", "content": "and then?"}));
                next["input"] = json!(input);
                let (_, said) = response(&fixture.baton, next.clone(), stream).await;
                assert_eq!(said.text, greeting("and then?"), "{case}");
                let name = format!("{test}/fake");
                let seen =
                    if provider == "ant" { fixture.anthropic_saw(&name) } else { fixture.openai_saw(&name) };
                let sent = seen[1].json();
                if provider == "ant" {
                    let block = &sent["messages"][1]["content"][0];
                    assert_eq!(block["type"], "thinking", "{case}: {sent}");
                    assert!(block["signature"].is_string(), "{case}: {sent}");
                } else {
                    assert_eq!(&sent["input"][1], thought, "{case}: {sent}");
                }
                // To another vendor it does not go, and nothing fails.
                for other in ALL.iter().filter(|other| **other != provider) {
                    next["model"] = json!(format!("{other}/fake"));
                    let (_, said) = response(&fixture.baton, next.clone(), stream).await;
                    assert_eq!(said.text, greeting("and then?"), "{case} then {other}");
                }
            }
        }
    });
}

#[test]
fn an_image_reaches_the_upstream_in_its_own_form() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let url = "data:image/png;base64,iVBORw0KGgo=";
        let content = json!([{"type": "input_text", "text": "what is it?"}, {"type": "input_image", "image_url": url, "detail": "auto"}]);
        for provider in ALL {
            let body = json!({"model": format!("{provider}/{test}/fake"), "input": [{"role": "user", "content": content}]});
            let (_, said) = response(&fixture.baton, body, false).await;
            assert_eq!(said.text.trim_end(), greeting("what is it?"));
        }
        let model = format!("{test}/fake");
        let seen = fixture.openai_saw(&model);
        assert_eq!(seen[0].json()["messages"][0]["content"][1]["image_url"]["url"], url);
        assert_eq!(seen[1].json()["input"][0]["content"], content);
        let source = &fixture.anthropic_saw(&model)[0].json()["messages"][0]["content"][1]["source"];
        assert_eq!(source["data"], "iVBORw0KGgo=");
    });
}

/// Asks over every dialect, streamed and not, and compares the answers with each other.
fn check(body: &Value, test: impl Fn(&Said, &Value)) {
    run(async {
        let fixture = Fixture::shared().await;
        let mut before: Option<Said> = None;
        for provider in ALL {
            for stream in WAYS {
                let mut body = body.clone();
                body["model"] = json!(format!("{provider}/fake"));
                let (answer, mut said) = response(&fixture.baton, body, stream).await;
                if !stream {
                    has_all_members(&answer.json());
                }
                let run = fixture.baton.run_of(&answer).await;
                test(&said, &run);
                said.call_ids.clear();
                if let Some(before) = &before {
                    assert_eq!(before, &said, "{provider} {stream}");
                }
                before = Some(said);
            }
        }
    });
}
