//! Whole answers, looks at what passes, and repairs.

use baton_model::{Answer, Dialect, FinishReason, Message, Part, PartKind, RawJson, Role, Tool};
use serde_json::{Value, json};

use super::super::{encode_answer, observe_answer, observe_event, repair_request};
use super::{object, value};
use crate::{
    Additions, AnswerContext, answer_of_item, conversation_marks, extend_request, observed_transfers,
};

const HERE: Dialect = Dialect::OpenaiResponses;

fn answer(parts: Vec<Part>) -> Answer {
    Answer {
        id: "chatcmpl-1".to_owned(),
        model: "gpt".to_owned(),
        created: None,
        parts,
        finish: FinishReason::Stop,
        stop_sequence: None,
        usage: None,
        logprobs: None,
    }
}

/// The answer to a request, written whole.
fn response(request: &str, parts: Vec<Part>) -> Value {
    let request = object(request);
    let context = AnswerContext { model: "m", created: 7, request: Some(&request) };
    value(&encode_answer(&answer(parts), &context))
}

#[test]
fn an_item_tells_the_answer_that_can_be_asked_for_again() {
    let id = "resp_01a20186cac374a7988d9d1f36e752da";
    let call = Part::new(
        PartKind::ToolCall { id: "call_1".to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() },
        HERE,
    );
    let answer = Answer { id: id.to_owned(), ..answer(vec![Part::text("a".to_owned(), HERE), call]) };
    let context = AnswerContext { model: "m", created: 7, request: None };
    let written = value(&encode_answer(&answer, &context));
    let ids: Vec<_> = [0, 1].map(|place| written["output"][place]["id"].as_str().unwrap()).into();
    assert_eq!(ids, ["msg_01a20186cac374a7988d9d1f36e752da0000", "fc_01a20186cac374a7988d9d1f36e752da0001"]);
    for item in ids {
        assert_eq!(answer_of_item(item).as_deref(), Some(id));
    }
}

#[test]
fn an_item_of_another_answer_tells_nothing() {
    for item in [
        "msg_67ccd2bf17f0819081ff3bb2cf6508e60bb6a6b452d3795b",
        "msg_1",
        "msg_",
        "",
        "item_01a20186cac374a7988d9d1f36e752da0000",
        "msg_01a20186cac374a7988d9d1f36e752daé00",
        "msg_01a20186cac374a7988d9d1f36e752dazzzz",
    ] {
        assert_eq!(answer_of_item(item), None, "{item}");
    }
}

/// What OpenAI's schema and that of Open Responses call required, together.
const REQUIRED: [&str; 31] = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "incomplete_details",
    "model",
    "previous_response_id",
    "instructions",
    "output",
    "error",
    "tools",
    "tool_choice",
    "truncation",
    "parallel_tool_calls",
    "text",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "temperature",
    "reasoning",
    "usage",
    "max_output_tokens",
    "max_tool_calls",
    "store",
    "background",
    "service_tier",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
];

#[test]
fn an_answer_has_every_member() {
    let whole = response("{}", Vec::new());
    for key in REQUIRED {
        assert!(whole.get(key).is_some(), "{key}");
    }
    assert_eq!(whole["created_at"], 7);
    assert!(whole["id"].as_str().unwrap().starts_with("resp_"));
}

#[test]
fn an_answer_repeats_what_was_asked_for() {
    let whole = response(
        r#"{"model":"x","input":"secret","instructions":"Be brief.","tools":[{"type":"web_search"},{"type":"function","name":"f","strict":true}],
            "tool_choice":{"type":"function","name":"f"},"text":{"verbosity":"low","format":{"type":"json_schema","name":"n","schema":{}}},
            "reasoning":{"effort":"low"},"metadata":{"a":"b"},"temperature":0.5,"user":"u","parallel_tool_calls":false,"max_output_tokens":99,"top_p":null}"#,
        Vec::new(),
    );
    assert_eq!(whole["instructions"], "Be brief.");
    assert_eq!(whole["tool_choice"], json!({"type": "function", "name": "f"}));
    assert_eq!(whole["tools"][0], json!({"type": "web_search"}));
    assert_eq!(
        whole["tools"][1],
        json!({"type": "function", "name": "f", "strict": true, "description": null, "parameters": null})
    );
    assert_eq!(
        whole["text"],
        json!({"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {}, "description": null, "strict": false}})
    );
    assert_eq!(whole["reasoning"], json!({"effort": "low", "summary": null}));
    assert_eq!((&whole["metadata"], &whole["user"]), (&json!({"a": "b"}), &json!("u")));
    assert_eq!((&whole["temperature"], &whole["top_p"]), (&json!(0.5), &json!(1.0)));
    assert_eq!((&whole["parallel_tool_calls"], &whole["max_output_tokens"]), (&json!(false), &json!(99)));
    assert!(whole.get("input").is_none());
}

#[test]
fn ids_of_items_are_the_same_each_time() {
    let parts = || vec![Part::text("a", HERE)];
    assert_eq!(response("{}", parts())["output"], response("{}", parts())["output"]);
    assert!(response("{}", parts())["output"][0]["id"].as_str().unwrap().starts_with("msg_"));
}

#[test]
fn anthropics_proofs_travel_with_a_client_and_come_back() {
    let theirs = Dialect::AnthropicMessages;
    let thought = PartKind::Reasoning { text: "Hm.".to_owned(), signature: Some("sig==".to_owned()) };
    let sealed = PartKind::RedactedReasoning { data: "data".to_owned() };
    let parts = vec![Part::new(thought, theirs), Part::new(sealed, theirs), Part::text("Hi", theirs)];
    let whole = response("{}", parts.clone());
    let body = json!({"input": whole["output"]}).to_string();
    let request = crate::decode_request(HERE, &object(&body)).unwrap();
    let back = &request.messages[0].parts;
    assert_eq!(back[..2], parts[..2]);
    // OpenAI could not check them, so they do not go there.
    let body = object(&body);
    let (_, input) = repair_request(&body).unwrap().remove(0);
    assert_eq!(value(&input.unwrap()).as_array().unwrap().len(), 1);
}

#[test]
fn a_signature_of_nobody_known_is_left_out() {
    let thought = PartKind::Reasoning { text: "Hm.".to_owned(), signature: Some("sig".to_owned()) };
    let item = response("{}", vec![Part::new(thought, Dialect::OpenaiChat)])["output"][0].clone();
    assert_eq!(item["summary"][0]["text"], "Hm.");
    assert!(item.get("encrypted_content").is_none());
}

/// The edits of a body, as text.
fn repaired(body: &str) -> String {
    let body = object(body);
    let edits = match repair_request(&body) {
        Ok(edits) => edits,
        Err(error) => return format!("{}: {error}", error.param.as_deref().unwrap_or_default()),
    };
    let line = |(key, value): (&str, Option<bytes::Bytes>)| match value {
        Some(value) => format!("{key}: {}\n", String::from_utf8_lossy(&value)),
        None => format!("{key}: gone\n"),
    };
    edits.into_iter().map(line).collect()
}

#[test]
fn an_ordinary_request_needs_no_repair() {
    for body in [
        r#"{"model":"m","input":"null"}"#,
        r#"{"model":null,"models":null,"input":[{"type":"item_reference","id":"a"}],"previous_response_id":"resp_1"}"#,
        r#"{"input":[],"tools":[{"type":"function","name":"f"}],"tool_choice":"auto"}"#,
        r#"{"input":"rs_baton_"}"#,
    ] {
        assert_eq!(repaired(body), "", "{body}");
    }
}

#[test]
fn nulls_and_choices_among_no_tools_go() {
    assert_eq!(
        repaired(r#"{"input":"a","temperature":null,"tools":[],"tool_choice":"auto"}"#),
        "temperature: gone\ntool_choice: gone\n"
    );
    assert_eq!(repaired(r#"{"input":"a","tool_choice":"required"}"#), "");
}

#[test]
fn mangled_keywords_of_schemas_are_mended() {
    assert_eq!(
        repaired(
            r#"{"input":"a","tools":[{"type":"function","name":"f","parameters":{"additional_properties":false}}]}"#
        ),
        "tools: [{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"additionalProperties\":false}}]\n"
    );
    assert_eq!(
        repaired(r#"{"input":"a","text":{"format":{"type":"json_schema","schema":{"any_of":[]}}}}"#),
        "text: {\"format\":{\"type\":\"json_schema\",\"schema\":{\"anyOf\":[]}}}\n"
    );
}

#[test]
fn input_of_a_wrong_type_is_refused_with_its_path() {
    assert_eq!(repaired(r#"{"input":5}"#), "input: `input` must be a string or a list of items");
}

#[test]
fn additions_stand_behind_what_is_there() {
    let tools = [Tool::Function {
        name: "transfer_to_b".to_owned(),
        description: Some("To b.".to_owned()),
        parameters: Some(RawJson::parse("{}").unwrap()),
        strict: Some(true),
        cache: None,
    }];
    let call = PartKind::ToolCall {
        id: "c1".to_owned(),
        name: "transfer_to_b".to_owned(),
        arguments: "{}".to_owned(),
    };
    let parts = vec![Part::text("ok", HERE)];
    let result = PartKind::ToolResult { call_id: "c1".to_owned(), parts, is_error: false };
    let said = |role, kind| Message { role, name: None, parts: vec![Part::new(kind, HERE)] };
    let messages = [said(Role::Assistant, call), said(Role::Tool, result)];
    let settings = [("temperature".to_owned(), RawJson::parse("0").unwrap())];
    let additions =
        Additions { tools: &tools, messages: &messages, settings: &settings, ..Additions::default() };
    let body = object(r#"{"model":"m","input":"Hi","tool_choice":"auto"}"#);
    let edits = extend_request(HERE, &body, &additions).unwrap();
    assert_eq!(
        value(&body.rewrite(&edits).concat()),
        json!({"model": "m", "input": [{"role": "user", "content": "Hi"},
                {"type": "function_call", "call_id": "c1", "name": "transfer_to_b", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "ok"}],
            "tool_choice": "auto",
            "tools": [{"type": "function", "name": "transfer_to_b", "description": "To b.", "parameters": {}, "strict": true}],
            "temperature": 0})
    );
}

#[test]
fn an_observer_sees_content_usage_and_the_end() {
    let see = |event: Value| {
        let text = event.to_string();
        let seen = observe_event("", text.as_bytes()).unwrap();
        (seen.content, seen.usage.map(|usage| usage.output_tokens), seen.finish, seen.end)
    };
    let none = (false, None, None, false);
    let content = (true, None, None, false);
    assert_eq!(
        see(
            json!({"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}})
        ),
        none
    );
    assert_eq!(see(json!({"type": "response.output_item.added", "item": {"type": "message"}})), none);
    assert_eq!(see(json!({"type": "response.output_item.added", "item": {"type": "reasoning"}})), none);
    assert_eq!(
        see(json!({"type": "response.output_item.added", "item": {"type": "function_call"}})),
        content
    );
    assert_eq!(
        see(json!({"type": "response.output_item.added", "item": {"type": "web_search_call"}})),
        content
    );
    assert_eq!(see(json!({"type": "response.output_text.delta", "delta": ""})), none);
    assert_eq!(see(json!({"type": "response.output_text.delta", "delta": "a"})), content);
    assert_eq!(see(json!({"type": "response.something", "delta": "a"})), none);
    let usage = json!({"input_tokens": 1, "output_tokens": 2});
    let over = |status: &str, output: Value| {
        json!({"type": format!("response.{status}"), "response": {"status": status, "output": output, "usage": usage,
            "incomplete_details": {"reason": "max_output_tokens"}}})
    };
    assert_eq!(see(over("completed", json!([]))), (false, Some(2), Some(FinishReason::Stop), true));
    assert_eq!(see(over("incomplete", json!([]))), (false, Some(2), Some(FinishReason::Length), true));
    let calls = json!([{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}]);
    assert_eq!(see(over("completed", calls)), (true, Some(2), Some(FinishReason::ToolCalls), true));
    let text =
        json!([{"type": "message", "content": [{"type": "output_text", "text": "\"function_call\""}]}]);
    assert_eq!(see(over("completed", text)), (true, Some(2), Some(FinishReason::Stop), true));
}

#[test]
fn an_observer_borrows_id_and_model() {
    let body = br#"{"id":"resp_1","model":"m","status":"completed","output":[]}"#;
    let seen = observe_answer(body).unwrap();
    assert!(matches!(seen.id, Some(std::borrow::Cow::Borrowed("resp_1"))));
    assert!(matches!(seen.model, Some(std::borrow::Cow::Borrowed("m"))));
}

#[test]
fn a_clients_own_hand_off_is_seen_and_marked() {
    let body = object(
        r#"{"instructions":"You bill.","input":[{"role":"user","content":"card"},
            {"type":"function_call","call_id":"call_1","name":"transfer_to_billing","arguments":"{}"},
            {"type":"function_call_output","call_id":"call_1","output":"{}"}]}"#,
    );
    let seen = observed_transfers(HERE, &body).unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].to.as_deref(), Some("billing"));
    let marks = conversation_marks(HERE, &body).unwrap();
    assert_eq!(marks.answered, ["call_1"]);
    assert!(marks.before.is_some());
    // What is kept elsewhere does not keep the rest from being found again.
    let named =
        object(r#"{"input":[{"type":"item_reference","id":"msg_1"},{"role":"user","content":"card"}]}"#);
    assert!(conversation_marks(HERE, &named).unwrap().now.is_some());
}
