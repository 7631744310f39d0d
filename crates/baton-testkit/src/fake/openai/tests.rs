use serde_json::{Value, json};

use super::*;
use crate::fake::model::answer;

#[test]
fn a_plain_request_is_read() {
    accepts(&json!({}));
}

#[test]
fn what_may_be_null_may_be_null() {
    accepts(
        &json!({"temperature": null, "stop": null, "stream": null, "max_tokens": null, "metadata": null}),
    );
}

#[test]
fn an_unknown_member_is_refused() {
    refuses(&json!({"top_k": 5}), "Unknown parameter: 'top_k'.");
}

#[test]
fn members_of_the_gateway_are_refused() {
    refuses(&json!({"models": ["a"]}), "Unknown parameter: 'models'.");
}

#[test]
fn what_must_be_there_is_missed() {
    refuses(&json!({"model": null}), "Invalid type for 'model': expected a string.");
    assert_eq!(told(&json!({"messages": []})), "Missing required parameter: 'model'.");
}

#[test]
fn an_empty_tool_list_is_refused() {
    refuses(&json!({"tools": []}), "Invalid 'tools': the array is too short: at least 1 item is needed.");
    refuses(&json!({"tools": null}), "Invalid type for 'tools': expected an array.");
}

#[test]
fn a_tool_choice_needs_tools() {
    refuses(
        &json!({"tool_choice": "auto"}),
        "Invalid 'tool_choice': only allowed when 'tools' are specified.",
    );
}

#[test]
fn stream_options_need_a_stream() {
    accepts(&json!({"stream": true, "stream_options": {"include_usage": true}}));
    refuses(
        &json!({"stream_options": {"include_usage": true}}),
        "Invalid 'stream_options': only allowed when 'stream' is enabled.",
    );
}

#[test]
fn one_limit_of_tokens_is_enough() {
    refuses(
        &json!({"max_tokens": 5, "max_completion_tokens": 5}),
        "Invalid 'max_tokens': not allowed together with 'max_completion_tokens'.",
    );
}

#[test]
fn numbers_stay_in_their_range() {
    refuses(&json!({"temperature": 2.5}), "Invalid 'temperature': 2.5 is not between 0 and 2.");
    refuses(&json!({"max_tokens": 0}), "Invalid 'max_tokens': 0 is not between 1 and 9223372036854775807.");
}

#[test]
fn a_tool_round_is_read() {
    accepts(&json!({"messages": [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": null, "tool_calls": [call("c1"), call("c2")]},
        {"role": "tool", "tool_call_id": "c2", "name": "f", "content": "b"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "a"}]},
    ]}));
}

#[test]
fn a_tool_message_without_its_call_is_refused() {
    refuses(
        &json!({"messages": [{"role": "user", "content": "?"}, {"role": "tool", "tool_call_id": "c1", "content": "a"}]}),
        "Invalid 'messages[1]': messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
    );
}

#[test]
fn a_call_without_its_result_is_refused() {
    let asked = json!({"role": "assistant", "tool_calls": [call("c1")]});
    let rule = "an assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: c1.";
    refuses(
        &json!({"messages": [asked, {"role": "user", "content": "?"}]}),
        &format!("Invalid 'messages[1]': {rule}"),
    );
    refuses(&json!({"messages": [asked]}), &format!("Invalid 'messages': {rule}"));
}

#[test]
fn a_long_call_id_is_refused() {
    refuses(
        &json!({"messages": [{"role": "assistant", "tool_calls": [call(&"x".repeat(41))]}]}),
        "Invalid 'messages[0].tool_calls[0].id': the string is too long: at most 40 bytes are allowed.",
    );
}

#[test]
fn an_assistant_says_something_or_calls() {
    refuses(
        &json!({"messages": [{"role": "assistant"}]}),
        "Invalid 'messages[0].content': expected a string, as there are no 'tool_calls'.",
    );
    refuses(
        &json!({"messages": [{"role": "assistant", "content": "x", "tool_calls": []}]}),
        "Invalid 'messages[0].tool_calls': the array is too short: at least 1 item is needed.",
    );
}

#[test]
fn arguments_are_text() {
    let mut wrong = call("c1");
    wrong["function"]["arguments"] = json!({});
    refuses(
        &json!({"messages": [{"role": "assistant", "tool_calls": [wrong]}]}),
        "Invalid type for 'messages[0].tool_calls[0].function.arguments': expected a string.",
    );
}

#[test]
fn images_belong_to_the_user() {
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}});
    accepts(&json!({"messages": [{"role": "user", "content": [image]}]}));
    refuses(
        &json!({"messages": [{"role": "system", "content": [image]}]}),
        "Invalid 'messages[0].content[0].type': `image_url` is not one of text.",
    );
}

#[test]
fn a_strict_schema_closes_its_objects() {
    let form = |schema: &Value| json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}}});
    accepts(&form(
        &json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}),
    ));
    refuses(
        &form(&json!({"type": "object", "properties": {}})),
        "Invalid 'response_format.json_schema.schema': 'additionalProperties' is required to be supplied and to be false.",
    );
    refuses(
        &form(&json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false})),
        "Invalid 'response_format.json_schema.schema': 'required' must include every property; 'a' is missing.",
    );
}

#[test]
fn json_mode_wants_the_word() {
    refuses(
        &json!({"response_format": {"type": "json_object"}}),
        "Invalid 'messages': 'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
    );
}

#[test]
fn a_stream_says_what_the_whole_says() {
    let ask = Ask { last_text: "hello".to_owned(), include_usage: true, ..Ask::default() };
    let reply = answer(&ask, None);
    let whole = whole(&ask, &reply, 7);
    for chunks in 1..9 {
        let events = events(&stream(&ask, &reply, 7, chunks));
        let text = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str());
        assert_eq!(text.collect::<String>(), whole["choices"][0]["message"]["content"].as_str().unwrap());
        assert_eq!(events.last().unwrap()["usage"], whole["usage"]);
    }
}

#[test]
fn both_encodings_of_an_embedding_are_the_same_numbers() {
    let embed = |base64| Embed { model: "e".to_owned(), inputs: vec![3], base64, dimensions: 4 };
    let plain = embeddings(&embed(false));
    let packed = embeddings(&embed(true));
    let bytes = STANDARD.decode(packed["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let numbers =
        bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect::<Vec<_>>();
    assert_eq!(json!(numbers), plain["data"][0]["embedding"]);
}

fn call(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})
}

fn events(frames: &[Frame]) -> Vec<Value> {
    let lines = frames.iter().map(|frame| String::from_utf8(frame.bytes.to_vec()).unwrap());
    lines.filter_map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap().trim()).ok()).collect()
}

fn request(change: &Value) -> Value {
    let mut body = json!({"model": "fake", "messages": [{"role": "user", "content": "Hello."}]});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

fn told(body: &Value) -> String {
    match read(body) {
        Ok(_) => "accepted".to_owned(),
        Err(misfit) => refusal(&misfit)["error"]["message"].as_str().unwrap().to_owned(),
    }
}

#[track_caller]
fn accepts(change: &Value) {
    assert_eq!(told(&request(change)), "accepted");
}

#[track_caller]
fn refuses(change: &Value, message: &str) {
    assert_eq!(told(&request(change)), message);
}
