//! What the fixtures do not show: edits of passing bodies, observations, properties.

mod properties;
mod shared;
mod signed;

use baton_model::{Dialect, Part, PartKind, RawObject, Role, StreamEvent};

use super::*;
use crate::{
    AnswerContext, EncodeTarget, ErrorBody, Observation, StreamDecoder as _, StreamEncoder as _,
    StreamOptions,
};

#[test]
fn a_status_says_more_than_the_type_of_every_failure() {
    let body = br#"{"error":{"message":"no","type":"server_error","param":null,"code":null}}"#;
    assert_eq!(decode_error(503, body).kind.as_str(), "overloaded");
    assert_eq!(decode_error(500, body).kind.as_str(), "server_error");
}

#[test]
fn an_ordinary_request_needs_no_repair() {
    for body in [
        r#"{"model":"m","messages":[{"role":"user","content":"null and \"tool_calls\""}]}"#,
        r#"{"model":null,"models":null,"messages":[]}"#,
        r#"{"tools":[{}],"tool_choice":"auto","parallel_tool_calls":true,"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"a"}]},{"role":"tool","tool_call_id":"a","content":"x"}]}"#,
        r#"{"tool_choice":"required"}"#,
        "{}",
    ] {
        assert_eq!(repaired(body), "", "{body}");
    }
}

#[test]
fn nulls_and_empty_tool_lists_go() {
    assert_eq!(
        repaired(
            r#"{"model":"m","messages":[],"tools":[ ],"functions":[],"temperature":null,"tool_choice":"auto"}"#
        ),
        "tools: gone\nfunctions: gone\ntemperature: gone\ntool_choice: gone\n"
    );
    assert_eq!(
        repaired(r#"{"tools":null,"parallel_tool_calls":false}"#),
        "tools: gone\nparallel_tool_calls: gone\n"
    );
}

#[test]
fn messages_given_as_text_become_a_list() {
    assert_eq!(
        repaired(r#"{"messages":"say \"hi\""}"#),
        "messages: [{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\"}]\n"
    );
}

#[test]
fn a_result_without_its_call_gets_one() {
    assert_eq!(
        repaired(
            r#"{"messages":[{"role":"user","content": "x"},{"role":"tool","tool_call_id":"c\"1","content":"y"}]}"#
        ),
        concat!(
            r#"messages: [{"role":"user","content": "x"},"#,
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c\"1","type":"function","function":{"name":"unknown_tool","arguments":"{}"}}]},"#,
            r#"{"role":"tool","tool_call_id":"c\"1","content":"y"}]"#,
            "\n"
        )
    );
}

#[test]
fn nulls_inside_messages_go_but_for_content() {
    assert_eq!(
        repaired(
            r#"{"messages":[{"role":"assistant","content":null,"refusal": null,"tool_calls":[ ],"audio":null},{"role":"user","content":"x","name":null}]}"#
        ),
        "messages: [{\"role\":\"assistant\",\"content\":null},{\"role\":\"user\",\"content\":\"x\"}]\n"
    );
}

#[test]
fn messages_of_a_wrong_type_are_refused_with_their_path() {
    assert_eq!(repaired(r#"{"messages":5}"#), "messages: `messages` must be a list of messages or a string");
    assert_eq!(
        repaired(r#"{"messages":[{"role":"tool","tool_call_id":7}]}"#),
        "messages[0].tool_call_id: `messages[0].tool_call_id` must be a string, not a number"
    );
}

#[test]
fn a_wrong_member_is_named_with_its_path() {
    for (body, path) in [
        (r#""messages":[{"content":"x"}]"#, "messages[0].role"),
        (r#""messages":[{"role":"tool","content":"x"}]"#, "messages[0].tool_call_id"),
        (r#""messages":[{"role":"function","content":"x"}]"#, "messages[0].name"),
        (r#""messages":[{"role":"user","content":[{"type":"text"}]}]"#, "messages[0].content[0].text"),
        (
            r#""messages":[{"role":"user","content":[{"type":"image_url"}]}]"#,
            "messages[0].content[0].image_url",
        ),
        (
            r#""messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]"#,
            "messages[0].content[0].image_url.url",
        ),
        (
            r#""messages":[{"role":"assistant","tool_calls":[{"id":"a"}]}]"#,
            "messages[0].tool_calls[0].function",
        ),
        (
            r#""messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]"#,
            "messages[0].tool_calls[0].id",
        ),
        (
            r#""messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":[]}}]}]"#,
            "messages[0].tool_calls[0].function.name",
        ),
        (r#""messages":{}"#, "messages"),
        (r#""messages":[],"tools":{}"#, "tools"),
        (r#""messages":[],"tools":[{"type":"function","function":{}}]"#, "tools[0].function.name"),
        (
            r#""messages":[],"tools":[{"type":"function","function":{"name":"f","strict":"yes"}}]"#,
            "tools[0].function.strict",
        ),
        (r#""messages":[],"tool_choice":"maybe""#, "tool_choice"),
        (r#""messages":[],"tool_choice":{"type":"function"}"#, "tool_choice.function.name"),
        (r#""messages":[],"response_format":{"type":"json_schema"}"#, "response_format.json_schema"),
        (
            r#""messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"n"}}"#,
            "response_format.json_schema.schema",
        ),
        (r#""messages":[],"max_tokens":-1"#, "max_tokens"),
        (r#""messages":[],"stop":[1]"#, "stop[0]"),
        (r#""messages":[],"stream_options":{"include_usage":"yes"}"#, "stream_options.include_usage"),
    ] {
        let error = decode_request(&object(&format!("{{{body}}}"))).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(path), "{error}");
        assert!(error.message.starts_with(&format!("`{path}` ")), "{error}");
    }
}

#[test]
fn usage_is_asked_for_on_streams_only() {
    assert_eq!(usage_edit(r#"{"messages":[]}"#), (false, None));
    assert_eq!(usage_edit(r#"{"stream":false,"stream_options":{"include_usage":true}}"#), (false, None));
    assert_eq!(usage_edit(r#"{"stream":true}"#), (false, Some(r#"{"include_usage":true}"#.to_owned())));
    assert_eq!(usage_edit(r#"{"stream":true,"stream_options":{"include_usage":true,"x":1}}"#), (true, None));
    assert_eq!(
        usage_edit(r#"{"stream":true,"stream_options":{"include_usage":false,"x":1}}"#),
        (false, Some(r#"{"include_usage":true,"x":1}"#.to_owned()))
    );
}

#[test]
fn a_chunk_with_any_kind_of_content_is_content() {
    for delta in [
        r#"{"content":"a"}"#,
        r#"{"content":null,"reasoning_content":"a"}"#,
        r#"{"reasoning":"a"}"#,
        r#"{"tool_calls":[{"index":0}]}"#,
        r#"{"refusal":"no"}"#,
        r#"{"audio":{"id":"a"}}"#,
        r#"{"function_call":{"name":"f"}}"#,
    ] {
        assert!(observed(&format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#)).content, "{delta}");
    }
}

#[test]
fn a_chunk_without_content_is_none() {
    for delta in [
        r#"{"role":"assistant","content":"","refusal":null,"tool_calls":[]}"#,
        "{}",
        r#"{"vendor":{"x":[1]}}"#,
    ] {
        assert!(!observed(&format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]}}"#)).content, "{delta}");
    }
}

#[test]
fn an_observer_borrows_id_and_model() {
    let seen = observed(
        r#"{"id":"x","model":"m","choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a"}]}}]}"#,
    );
    assert!(matches!(seen.id, Some(std::borrow::Cow::Borrowed("x"))));
    assert!(matches!(seen.model, Some(std::borrow::Cow::Borrowed("m"))));
}

#[test]
fn a_chunk_with_nothing_but_usage_is_told_apart() {
    assert!(observed(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#).usage_only);
    assert!(!observed(r#"{"choices":[],"usage":null}"#).usage_only);
    assert!(!observed(r#"{"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":1}}"#).usage_only);
}

#[test]
fn several_choices_are_looked_at_together() {
    let seen = observed(
        r#"{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{"content":"b"}},{"index":2,"delta":{},"finish_reason":"length"}]}"#,
    );
    assert!(seen.content);
    assert_eq!(seen.finish, Some(FinishReason::Length));
}

#[test]
fn the_end_mark_and_empty_data_are_no_chunks() {
    assert_eq!(observe_event("", b" [DONE] ").unwrap(), Observation { end: true, ..Observation::default() });
    assert_eq!(observe_event("", b"").unwrap(), Observation::default());
}

#[test]
fn error_frames_and_rubbish_are_faults_for_an_observer() {
    let kind = |event, data: &str| observe_event(event, data.as_bytes()).unwrap_err().kind;
    assert_eq!(kind("", r#"{"error":{"code":"rate_limit_exceeded"}}"#), FaultKind::RateLimited);
    assert_eq!(kind("error", r#"{"message":"x"}"#), FaultKind::MalformedAnswer);
    assert_eq!(kind("", "<html>"), FaultKind::MalformedAnswer);
    assert_eq!(kind("", r#"{"choices":{}}"#), FaultKind::MalformedAnswer);
    assert_eq!(observe_answer(br#"{"choices":[]}"#).unwrap_err().kind, FaultKind::MalformedAnswer);
}

#[test]
fn an_error_stands_in_its_object_and_at_the_top() {
    let error = ErrorBody {
        kind: "invalid_request_error",
        message: "a \"b\"",
        param: Some("x"),
        code: None,
        request_id: None,
    };
    assert_eq!(
        String::from_utf8(encode_error(&error)).unwrap(),
        r#"{"error":{"message":"a \"b\"","type":"invalid_request_error","param":"x","code":null},"message":"a \"b\"","type":"invalid_request_error","param":"x","code":null}"#
    );
}

#[test]
fn no_key_gets_into_a_message() {
    for said in [
        "Incorrect API key provided: sk-proj-****abcd1234.",
        "invalid 'gsk_0123456789abcdefghij'",
        "(AIzaSyA0123456789)",
    ] {
        let fault = decode_error(401, format!(r#"{{"error":{{"message":"{said}"}}}}"#).as_bytes());
        assert!(fault.message.contains("[key]") && !fault.message.contains("123"), "{}", fault.message);
    }
}

#[test]
fn the_limit_has_the_name_that_the_model_takes() {
    let key = |model: &str| {
        let body = encoded(r#"{"messages":[],"max_tokens":5}"#, model);
        if body.contains(r#""max_completion_tokens":5"#) { "max_completion_tokens" } else { "max_tokens" }
    };
    assert_eq!(key("gpt-4o-mini"), "max_tokens");
    assert_eq!(key("openai/o3-mini"), "max_completion_tokens");
    assert_eq!(key("gpt-5.1"), "max_completion_tokens");
    assert_eq!(key("llama-3"), "max_tokens");
}

#[test]
fn own_keys_reach_no_upstream() {
    let body = crate::OWN_KEYS.iter().map(|key| format!("\"{key}\":1,")).collect::<String>();
    assert_eq!(
        encoded(&format!("{{{body}\"model\":[\"a\"],\"messages\":[]}}"), "up"),
        r#"{"model":"up","messages":[]}"#
    );
}

#[test]
fn a_result_from_elsewhere_is_moved_behind_its_call() {
    let here = Dialect::AnthropicMessages;
    let call = |id: &str| {
        Part::new(PartKind::ToolCall { id: id.into(), name: "f".into(), arguments: String::new() }, here)
    };
    let result = |id: &str| {
        let parts = vec![Part::text(format!("of {id}"), here)];
        Part::new(PartKind::ToolResult { call_id: id.into(), parts, is_error: false }, here)
    };
    let mut request = decoded(r#"{"messages":[]}"#);
    let said = |role, parts| baton_model::Message { role, name: None, parts };
    request.messages = vec![
        said(Role::Assistant, vec![call("a"), call("b")]),
        said(Role::User, vec![Part::text("while you wait", here), result("b")]),
        said(Role::User, vec![result("nobody"), result("a")]),
    ];
    let target = EncodeTarget { model: "up", stream: false, default_max_tokens: 1, shared_members: false };
    let again = encode_request(&request, &target).body;
    let again = decode_request(&RawObject::parse(again.into()).unwrap()).unwrap();
    let order: Vec<String> = again.messages.iter().map(outline).collect();
    assert_eq!(order, ["calls a b", "result a", "result b", "text", "calls nobody", "result nobody"]);
}

fn outline(message: &baton_model::Message) -> String {
    let calls: Vec<&str> = message
        .parts
        .iter()
        .filter_map(|part| match &part.kind {
            PartKind::ToolCall { id, .. } => Some(id.as_str()),
            _ => None,
        })
        .collect();
    match message.parts.first().map(|part| &part.kind) {
        Some(PartKind::ToolResult { call_id, .. }) => format!("result {call_id}"),
        Some(PartKind::ToolCall { .. }) => format!("calls {}", calls.join(" ")),
        _ => "text".to_owned(),
    }
}

#[test]
fn thinking_of_another_vendor_comes_back_to_it_through_a_client() {
    let parts = vec![
        Part::new(
            PartKind::Reasoning { text: "Hm.".into(), signature: Some("sig".into()) },
            Dialect::AnthropicMessages,
        ),
        Part::new(PartKind::RedactedReasoning { data: "xx".into() }, Dialect::AnthropicMessages),
        Part::text("Yes.", Dialect::OpenaiChat),
    ];
    let mut answer = decode_answer(br#"{"id":"x","choices":[{"message":{"content":""}}]}"#).unwrap();
    answer.parts.clone_from(&parts);
    let written = encode_answer(&answer, &AnswerContext { model: "m", created: 1, request: None });
    assert_eq!(decode_answer(&written).unwrap().parts, parts);
    // The client sends the message back as it came.
    let body: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let history = serde_json::json!({"messages": [body["choices"][0]["message"]]}).to_string();
    assert_eq!(decoded(&history).messages[0].parts, parts);
}

#[test]
fn nothing_follows_an_error_or_the_end() {
    let error = ErrorBody { kind: "server_error", message: "m", param: None, code: None, request_id: None };
    let mut encoder = Encoder::new(options());
    let mut out = Vec::new();
    encoder.fail(&error, &mut out);
    let length = out.len();
    encoder.encode(&StreamEvent::Start { id: "x".into(), model: "m".into() }, &mut out);
    encoder.end(&mut out);
    encoder.fail(&error, &mut out);
    assert_eq!(out.len(), length);
    let mut encoder = Encoder::new(options());
    encoder.end(&mut out);
    let length = out.len();
    encoder.fail(&error, &mut out);
    encoder.end(&mut out);
    assert_eq!(out.len(), length);
}

#[test]
fn the_usage_chunk_is_only_for_clients_that_asked() {
    let written = |include_usage| {
        let mut encoder = Encoder::new(StreamOptions { include_usage, ..options() });
        let mut out = Vec::new();
        encoder.encode(
            &StreamEvent::Usage(baton_model::Usage { input_tokens: 3, ..Default::default() }),
            &mut out,
        );
        encoder.end(&mut out);
        String::from_utf8(out).unwrap()
    };
    assert!(written(true).contains(r#""choices":[],"usage":{"prompt_tokens":3"#));
    assert!(!written(false).contains("usage"));
}

#[test]
fn a_decoder_ignores_what_follows_the_end() {
    let mut decoder = Decoder::default();
    let mut events = Vec::new();
    decoder.decode("", b"[DONE]", &mut events).unwrap();
    decoder.decode("", b"rubbish", &mut events).unwrap();
    assert_eq!(events, [StreamEvent::End]);
}

fn options() -> StreamOptions {
    StreamOptions {
        model: Some("m".into()),
        id: "chatcmpl-1".into(),
        created: 1,
        include_usage: false,
        request: None,
    }
}

fn object(body: &str) -> RawObject {
    RawObject::parse(body.to_owned().into()).unwrap()
}

fn decoded(body: &str) -> baton_model::Request {
    decode_request(&object(body)).unwrap()
}

fn encoded(body: &str, model: &str) -> String {
    let target = EncodeTarget { model, stream: false, default_max_tokens: 1, shared_members: false };
    String::from_utf8(encode_request(&decoded(body), &target).body).unwrap()
}

fn observed(data: &str) -> Observation<'_> {
    observe_event("", data.as_bytes()).unwrap()
}

fn usage_edit(body: &str) -> (bool, Option<String>) {
    let usage = stream_usage(&object(body));
    let edit = usage.edit.map(|(key, value)| {
        assert_eq!(key, "stream_options");
        String::from_utf8(value.to_vec()).unwrap()
    });
    (usage.client_asked, edit)
}

/// One line for each edit.
fn repaired(body: &str) -> String {
    match repair_request(&object(body)) {
        Ok(edits) => edits
            .into_iter()
            .map(|(key, value)| {
                let value = value
                    .map_or_else(|| "gone".to_owned(), |value| String::from_utf8(value.to_vec()).unwrap());
                format!("{key}: {value}\n")
            })
            .collect(),
        Err(error) => format!("{}: {error}", error.param.as_deref().unwrap_or_default()),
    }
}
