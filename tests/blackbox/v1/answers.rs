//! An answer in one form, however it came: in either dialect, streamed or not.

use serde_json::{Value, json};

use crate::blackbox::support::{Answer, Baton, chunks, events};

use super::responses::final_response;

/// What a model answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) text: String,
    /// Name and arguments of each call.
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) call_ids: Vec<String>,
    pub(crate) finish: String,
    /// Input tokens with cached ones, of those cached, output tokens.
    pub(crate) tokens: Option<(u64, u64, u64)>,
    pub(crate) model: String,
}

/// The two ways to ask.
pub(crate) const WAYS: [bool; 2] = [false, true];

/// What the fakes answer to a text.
pub(crate) fn greeting(heard: &str) -> String {
    format!("Hello from the fake model, café and 🦀 included. You said: {heard}")
}

/// Asks for a chat completion; a stream is asked for its usage.
pub(crate) async fn chat(baton: &Baton, mut body: Value, stream: bool) -> (Answer, Said) {
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
    }
    let answer = baton.chat(&body).await.expect(200);
    let said = if stream { streamed_chat(&answer) } else { whole_chat(&answer) };
    (answer, said)
}

/// Asks for a message.
pub(crate) async fn message(baton: &Baton, mut body: Value, stream: bool) -> (Answer, Said) {
    if body.get("max_tokens").is_none() {
        body["max_tokens"] = json!(200);
    }
    body["stream"] = json!(stream);
    let answer = baton.messages(&body).await.expect(200);
    let said = if stream { streamed_message(&answer) } else { whole_message(&answer) };
    (answer, said)
}

/// Asks for a response.
pub(crate) async fn response(baton: &Baton, mut body: Value, stream: bool) -> (Answer, Said) {
    body["stream"] = json!(stream);
    let answer = baton.responses(&body).await.expect(200);
    let said = said_in_response(&if stream { final_response(answer.text()) } else { answer.json() });
    if !stream {
        assert_eq!(answer.header("content-type"), "application/json");
    }
    (answer, said)
}

/// What a Response object says; its end in the words of a chat.
fn said_in_response(body: &Value) -> Said {
    assert_eq!(body["object"], "response", "{body}");
    let mut said = Said {
        tokens: responses_tokens(&body["usage"]),
        model: text(&body["model"]),
        finish: match (text(&body["status"]).as_str(), text(&body["incomplete_details"]["reason"]).as_str()) {
            ("completed", "") => "stop".to_owned(),
            ("incomplete", "max_output_tokens") => "length".to_owned(),
            (status, reason) => format!("{status} {reason}"),
        },
        ..Said::default()
    };
    for item in body["output"].as_array().expect("output") {
        if item["type"] == "function_call" {
            let arguments = serde_json::from_str(&text(&item["arguments"])).expect("arguments in JSON");
            said.calls.push((text(&item["name"]), arguments));
            said.call_ids.push(text(&item["call_id"]));
        }
        for part in item["content"].as_array().into_iter().flatten().filter(|_| item["type"] == "message") {
            said.text += &text(&part["text"]);
        }
    }
    said
}

fn whole_chat(answer: &Answer) -> Said {
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion", "{body}");
    assert!(body["created"].is_u64() && body["id"].is_string(), "{body}");
    let choice = &body["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant", "{body}");
    let calls = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
    Said {
        text: text(&choice["message"]["content"]),
        call_ids: calls.iter().map(|call| text(&call["id"])).collect(),
        calls: calls
            .iter()
            .map(|call| {
                let arguments = serde_json::from_str(&text(&call["function"]["arguments"]));
                (text(&call["function"]["name"]), arguments.expect("arguments in JSON"))
            })
            .collect(),
        finish: text(&choice["finish_reason"]),
        tokens: openai_tokens(&body["usage"]),
        model: text(&body["model"]),
    }
}

fn streamed_chat(answer: &Answer) -> Said {
    assert!(answer.header("content-type").starts_with("text/event-stream"), "{answer:?}");
    let mut said = Said::default();
    let mut arguments: Vec<String> = Vec::new();
    let mut roles = 0;
    for chunk in chunks(answer.text()) {
        assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
        said.model = text(&chunk["model"]);
        said.tokens = openai_tokens(&chunk["usage"]).or(said.tokens);
        let Some(choice) = chunk["choices"].get(0) else { continue };
        roles += usize::from(choice["delta"]["role"].is_string());
        said.text += &text(&choice["delta"]["content"]);
        for call in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(call["index"].as_u64().expect("an index")).expect("a small index");
            if at == said.calls.len() {
                said.call_ids.push(text(&call["id"]));
                said.calls.push((text(&call["function"]["name"]), Value::Null));
                arguments.push(String::new());
            } else {
                assert!(call.get("id").is_none_or(Value::is_null), "an id in a later fragment: {call}");
            }
            arguments[at] += &text(&call["function"]["arguments"]);
        }
        if choice["finish_reason"].is_string() {
            assert_eq!(said.finish, "", "two finish reasons");
            said.finish = text(&choice["finish_reason"]);
        }
    }
    assert_eq!(roles, 1, "the role stands once in a stream");
    for (call, arguments) in said.calls.iter_mut().zip(arguments) {
        call.1 = serde_json::from_str(&arguments).expect("arguments in JSON");
    }
    said
}

fn whole_message(answer: &Answer) -> Said {
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    assert_eq!((&body["type"], &body["role"]), (&json!("message"), &json!("assistant")), "{body}");
    let mut said = Said {
        finish: text(&body["stop_reason"]),
        tokens: anthropic_tokens(&body["usage"]),
        model: text(&body["model"]),
        ..Said::default()
    };
    for block in body["content"].as_array().expect("content") {
        said.text += &text(&block["text"]);
        if block["type"] == "tool_use" {
            said.calls.push((text(&block["name"]), block["input"].clone()));
            said.call_ids.push(text(&block["id"]));
        }
    }
    said
}

fn streamed_message(answer: &Answer) -> Said {
    assert!(answer.header("content-type").starts_with("text/event-stream"), "{answer:?}");
    let mut said = Said::default();
    let mut arguments = String::new();
    let mut open = None;
    let all = events(answer.text());
    assert_eq!(all.first().map(|event| event.name.as_str()), Some("message_start"), "{answer:?}");
    assert_eq!(all.last().map(|event| event.name.as_str()), Some("message_stop"), "{answer:?}");
    for event in all {
        let body = event.json();
        assert_eq!(body["type"], event.name, "{body}");
        match event.name.as_str() {
            "message_start" => said.model = text(&body["message"]["model"]),
            "content_block_start" => {
                assert_eq!(open.replace(body["index"].clone()), None, "a block in a block");
                arguments.clear();
                if body["content_block"]["type"] == "tool_use" {
                    said.calls.push((text(&body["content_block"]["name"]), Value::Null));
                    said.call_ids.push(text(&body["content_block"]["id"]));
                }
            }
            "content_block_delta" => {
                assert_eq!(open.as_ref(), Some(&body["index"]), "a delta outside of its block");
                said.text += &text(&body["delta"]["text"]);
                arguments += &text(&body["delta"]["partial_json"]);
            }
            "content_block_stop" => {
                assert_eq!(open.take(), Some(body["index"].clone()), "the end of another block");
                if let Some(call) = said.calls.last_mut().filter(|call| call.1.is_null()) {
                    call.1 = serde_json::from_str(&arguments).expect("arguments in JSON");
                }
            }
            "message_delta" => {
                said.finish = text(&body["delta"]["stop_reason"]);
                said.tokens = anthropic_tokens(&body["usage"]);
            }
            _ => {}
        }
    }
    said
}

fn openai_tokens(usage: &Value) -> Option<(u64, u64, u64)> {
    let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap_or(0);
    let (input, output) = (usage["prompt_tokens"].as_u64()?, usage["completion_tokens"].as_u64()?);
    assert_eq!(usage["total_tokens"], input + output, "{usage}");
    Some((input, cached, output))
}

fn responses_tokens(usage: &Value) -> Option<(u64, u64, u64)> {
    let cached = usage["input_tokens_details"]["cached_tokens"].as_u64()?;
    let (input, output) = (usage["input_tokens"].as_u64()?, usage["output_tokens"].as_u64()?);
    assert_eq!(usage["total_tokens"], input + output, "{usage}");
    Some((input, cached, output))
}

fn anthropic_tokens(usage: &Value) -> Option<(u64, u64, u64)> {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let cached = count("cache_read_input_tokens");
    let input = usage["input_tokens"].as_u64()? + cached + count("cache_creation_input_tokens");
    Some((input, cached, count("output_tokens")))
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A decimal number of dollars in billionths.
pub(crate) fn nano_usd(value: &Value) -> u64 {
    let text = text(value);
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{part:0<9}").parse().unwrap_or_else(|_| panic!("no amount: {value}"))
}
