use serde_json::{Value, json};

use super::*;
use crate::fake::model::answer;
use crate::fake::script::Turns;

#[test]
fn a_plain_request_is_read() {
    accepts(&json!({}));
}

#[test]
fn an_unknown_member_is_refused() {
    refuses(&json!({"frequency_penalty": 1}), "frequency_penalty: Extra inputs are not permitted");
}

#[test]
fn null_is_not_absent() {
    refuses(&json!({"temperature": null}), "temperature: Input should be a number");
    refuses(&json!({"system": null}), "system: Input should be an array");
}

#[test]
fn the_limit_of_tokens_is_required() {
    assert_eq!(told(&json!({"model": "fake", "messages": []})), "max_tokens: Field required");
}

#[test]
fn system_is_no_role() {
    refuses(
        &json!({"messages": [{"role": "system", "content": "x"}]}),
        "messages.0.role: `system` is not one of user, assistant",
    );
}

#[test]
fn the_user_begins_and_roles_alternate() {
    refuses(
        &json!({"messages": [said("assistant")]}),
        "messages.0: first message must use the \"user\" role",
    );
    refuses(
        &json!({"messages": [said("user"), said("user")]}),
        "messages.1: roles must alternate, but two messages in a row are \"user\"",
    );
}

#[test]
fn neighbours_of_one_role_are_taken_where_the_script_says_so() {
    let body = request(&json!({"messages": [said("user"), said("user"), said("assistant")]}));
    assert!(read(&body, Turns::Joined).is_ok());
    assert!(read(&body, Turns::Alternate).is_err());
}

#[test]
fn a_thread_is_refused_in_the_words_of_the_vendor() {
    let misfit = read(&request(&json!({"thread": {"type": "create"}})), Turns::Joined).unwrap_err();
    let told = refusal(&misfit, 1);
    assert_eq!(told["error"]["details"]["error_code"], "thread_unsupported_request");
    assert_eq!(told["error"]["type"], "invalid_request_error");
}

#[test]
fn a_tool_round_is_read() {
    let results = json!([result("t1"), {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "b"}]}, {"type": "text", "text": "And?"}]);
    accepts(&talk(&json!([tool_use("t1"), tool_use("t2")]), &results));
}

#[test]
fn results_come_first_and_all_of_them() {
    let rule = "`tool_use` ids were found without `tool_result` blocks immediately after: t1. Each `tool_use` block must have a corresponding `tool_result` block in the next message.";
    refuses(
        &talk(&json!([tool_use("t1")]), &json!([{"type": "text", "text": "And?"}, result("t1")])),
        &format!("messages.2.content.0: {rule}"),
    );
    refuses(&talk(&json!([tool_use("t1")]), &json!("And?")), &format!("messages.2.content: {rule}"));
}

#[test]
fn a_result_without_its_use_is_refused() {
    refuses(
        &talk(&json!("x"), &json!([result("t1")])),
        "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t1. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
    );
}

#[test]
fn ids_have_a_pattern() {
    refuses(
        &talk(&json!([tool_use("call.1")]), &json!([result("call.1")])),
        "messages.1.content.0.id: the string does not match the pattern '^[a-zA-Z0-9_-]{1,64}$'",
    );
}

#[test]
fn tool_rounds_need_the_tools() {
    let mut body = talk(&json!([tool_use("t1")]), &json!([result("t1")]));
    body.as_object_mut().unwrap().insert("tools".to_owned(), json!([]));
    refuses(&body, "tools: must be given when messages contain tool_use or tool_result blocks");
}

#[test]
fn empty_text_is_refused() {
    refuses(
        &json!({"messages": [{"role": "user", "content": [{"type": "text", "text": " "}]}]}),
        "messages.0.content.0: text content blocks must contain non-whitespace text",
    );
    refuses(
        &json!({"messages": [{"role": "user", "content": ""}]}),
        "messages.0.content: all messages must have non-empty content",
    );
}

#[test]
fn a_prefill_does_not_end_in_space() {
    accepts(&json!({"messages": [said("user"), {"role": "assistant", "content": "The"}]}));
    refuses(
        &json!({"messages": [said("user"), {"role": "assistant", "content": "The "}]}),
        "messages.1.content: final assistant content cannot end with trailing whitespace",
    );
}

#[test]
fn thinking_keeps_its_rules() {
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    accepts(&json!({"max_tokens": 2048, "thinking": thinking}));
    refuses(
        &json!({"max_tokens": 1024, "thinking": thinking}),
        "max_tokens: must be greater than `thinking.budget_tokens`",
    );
    refuses(
        &json!({"max_tokens": 2048, "thinking": thinking, "temperature": 0.5}),
        "temperature: may only be set to 1 when thinking is enabled",
    );
}

#[test]
fn temperature_ends_at_one() {
    refuses(&json!({"temperature": 1.5}), "temperature: 1.5 is not between 0 and 1");
}

#[test]
fn structured_output_closes_its_objects() {
    refuses(
        &json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}}),
        "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
    );
}

#[test]
fn a_stream_says_what_the_whole_says() {
    let ask = Ask { last_text: "hello".to_owned(), reasoning: true, ..Ask::default() };
    let reply = answer(&ask, None);
    let whole = whole(&ask, &reply, 7);
    for chunks in 1..9 {
        let events = events(&stream(&ask, &reply, 7, chunks));
        let joined = |member: &str| {
            events.iter().filter_map(|event| event["delta"][member].as_str()).collect::<String>()
        };
        assert_eq!(joined("thinking"), whole["content"][0]["thinking"].as_str().unwrap());
        assert_eq!(joined("signature"), whole["content"][0]["signature"].as_str().unwrap());
        assert_eq!(joined("text"), whole["content"][1]["text"].as_str().unwrap());
        let last = events.iter().find(|event| event["type"] == "message_delta").unwrap();
        assert_eq!(last["usage"]["output_tokens"], whole["usage"]["output_tokens"]);
    }
}

fn said(role: &str) -> Value {
    json!({"role": role, "content": "x"})
}

fn tool_use(id: &str) -> Value {
    json!({"type": "tool_use", "id": id, "name": "f", "input": {}})
}

fn result(id: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": "a"})
}

/// A question, what the assistant did, and what the user answered.
fn talk(assistant: &Value, user: &Value) -> Value {
    let tool = json!({"name": "f", "input_schema": {"type": "object"}});
    json!({"tools": [tool], "messages": [
        said("user"),
        {"role": "assistant", "content": assistant},
        {"role": "user", "content": user},
    ]})
}

fn events(frames: &[Frame]) -> Vec<Value> {
    let text =
        frames.iter().map(|frame| String::from_utf8(frame.bytes.to_vec()).unwrap()).collect::<String>();
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn told(body: &Value) -> String {
    match read(body, Turns::Alternate) {
        Ok(_) => "accepted".to_owned(),
        Err(misfit) => refusal(&misfit, 1)["error"]["message"].as_str().unwrap().to_owned(),
    }
}

fn request(change: &Value) -> Value {
    let mut body = json!({"model": "fake", "max_tokens": 64, "messages": [said("user")]});
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

#[track_caller]
fn accepts(change: &Value) {
    assert_eq!(told(&request(change)), "accepted");
}

#[track_caller]
fn refuses(change: &Value, message: &str) {
    assert_eq!(told(&request(change)), message);
}
