//! Asks by a tool, whole and streamed, and looks at what comes of the answers.

use baton_model::{Dialect, Origin, RawObject};
use insta::assert_snapshot;
use serde_json::json;

use super::*;
use crate::decode_request;

const CITY: &str = r##"{"type":"object","properties":{"city":{"type":"string","minLength":1},"size":{"$ref":"#/$defs/size"}},"required":["city"],"additionalProperties":false,"$defs":{"size":{"enum":["small","big"]}}}"##;

/// A request for an answer of this schema, with more members.
fn request(schema: &str, more: &Value) -> Request {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let mut body = json!({
        "model": "m", "messages": [{"role": "user", "content": "Where?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "the city", "schema": schema}},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = RawObject::parse(body.to_string().into_bytes().into()).unwrap();
    decode_request(Dialect::OpenaiChat, &body).unwrap()
}

/// What is asked of the target.
fn asked(schema: &str, more: &Value) -> String {
    let Some((request, tool)) = by_tool(&request(schema, more)) else { return "as it is".to_owned() };
    let Some(Tool::Function { name, parameters: Some(parameters), .. }) = request.tools.last() else {
        panic!("no tool")
    };
    assert_eq!((name.as_str(), &request.output), (tool.name(), &OutputFormat::Text));
    format!("{name} {} {:?}", parameters.get(), request.tool_choice.unwrap())
}

#[test]
fn the_schema_becomes_the_arguments_of_a_tool_that_must_be_called() {
    assert_snapshot!(asked(r#"{"type":"object"}"#, &json!({})), @r#"the_city {"type":"object"} Tool("the_city")"#);
}

#[test]
fn beside_the_clients_tools_the_model_may_choose_among_all() {
    let tools = json!([{"type": "function", "function": {"name": "the_city"}}]);
    assert_snapshot!(asked(r#"{"type":"object"}"#, &json!({"tools": tools})), @r#"the_city_2 {"type":"object"} Required"#);
    let named = json!({"type": "function", "function": {"name": "the_city"}});
    assert_snapshot!(asked(r#"{"type":"object"}"#, &json!({"tools": tools, "tool_choice": named})), @"as it is");
}

#[test]
fn what_is_no_object_is_wrapped_into_one() {
    let schema = r##"{"type":"array","items":{"$ref":"#/$defs/n"},"$defs":{"n":{"type":"integer"}}}"##;
    assert_snapshot!(asked(schema, &json!({})), @r##"the_city {"$defs":{"n":{"type":"integer"}},"additionalProperties":false,"properties":{"value":{"items":{"$ref":"#/$defs/n"},"type":"array"}},"required":["value"],"type":"object"} Tool("the_city")"##);
}

/// The parts of an answer: a text as it is, a call as `name(arguments)`. Whole and streamed must be the same.
#[track_caller]
fn check(schema: &str, said: &[&str]) -> String {
    let tools = json!([{"type": "function", "function": {"name": "look"}}]);
    let (_, tool) = by_tool(&request(schema, &json!({"tools": tools}))).unwrap();
    let kind = |said: &&str| match said.split_once('(') {
        Some((name, arguments)) => PartKind::ToolCall {
            id: format!("id_{name}"),
            name: name.to_owned(),
            arguments: arguments.strip_suffix(')').unwrap().to_owned(),
        },
        None => PartKind::Text((*said).to_owned()),
    };
    let parts: Vec<Part> = said.iter().map(|said| Part::new(kind(said), Dialect::OpenaiChat)).collect();
    let calls = parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. }));
    let finish = if calls { FinishReason::ToolCalls } else { FinishReason::Stop };
    let mut streamed = Vec::new();
    let mut stream = tool.stream();
    for event in events(&parts, finish) {
        stream.push(event, &mut streamed);
    }
    let answer = tool.answer(Answer {
        id: String::new(),
        model: String::new(),
        created: None,
        parts,
        finish,
        stop_sequence: None,
        usage: None,
        logprobs: None,
    });
    let shown = |parts: &[Part], finish: FinishReason| {
        let parts = parts.iter().map(|part| match &part.kind {
            PartKind::Text(text) => text.clone(),
            PartKind::ToolCall { name, arguments, .. } => format!("{name}({arguments})"),
            other => panic!("{other:?}"),
        });
        format!("{} | {}", parts.collect::<Vec<_>>().join(" | "), finish.as_str())
    };
    let whole = shown(&answer.parts, answer.finish);
    let (parts, finish) = joined(streamed);
    assert_eq!(shown(&parts, finish), whole, "streamed and whole differ");
    whole
}

fn events(parts: &[Part], reason: FinishReason) -> Vec<StreamEvent> {
    let mut events = Vec::new();
    for (index, part) in (0_u32..).zip(parts) {
        let (part, text, arguments) = match &part.kind {
            PartKind::Text(text) => (PartStart::Text, text, false),
            PartKind::ToolCall { id, name, arguments } => {
                (PartStart::ToolCall { id: id.clone(), name: name.clone() }, arguments, true)
            }
            other => panic!("{other:?}"),
        };
        events.push(StreamEvent::PartStart { index, part });
        for piece in text.chars() {
            let piece = piece.to_string();
            let delta = if arguments { Delta::Arguments(piece) } else { Delta::Text(piece) };
            events.push(StreamEvent::Delta { index, delta });
        }
        events.push(StreamEvent::PartEnd { index });
    }
    events.push(StreamEvent::Finish { reason, stop_sequence: None });
    events.push(StreamEvent::End);
    events
}

fn joined(events: Vec<StreamEvent>) -> (Vec<Part>, FinishReason) {
    crate::matrix_tests::assert_grammar(
        &[vec![StreamEvent::Start { id: String::new(), model: String::new() }], events.clone()].concat(),
    );
    let mut parts: Vec<(u32, Part)> = Vec::new();
    let mut finish = None;
    for event in events {
        match event {
            StreamEvent::PartStart { index, part } => {
                let kind = match part {
                    PartStart::Text => PartKind::Text(String::new()),
                    PartStart::ToolCall { id, name } => {
                        PartKind::ToolCall { id, name, arguments: String::new() }
                    }
                    other => panic!("{other:?}"),
                };
                let origin = Origin { dialect: Dialect::OpenaiChat };
                parts.push((index, Part { origin, ..Part::new(kind, origin.dialect) }));
            }
            StreamEvent::Delta { index, delta } => {
                let (_, part) = parts.iter_mut().find(|(known, _)| *known == index).unwrap();
                match (&mut part.kind, delta) {
                    (PartKind::Text(text), Delta::Text(more))
                    | (PartKind::ToolCall { arguments: text, .. }, Delta::Arguments(more)) => {
                        text.push_str(&more);
                    }
                    other => panic!("{other:?}"),
                }
            }
            StreamEvent::Finish { reason, .. } => finish = Some(reason),
            _ => {}
        }
    }
    (parts.into_iter().map(|(_, part)| part).collect(), finish.unwrap())
}

#[test]
fn the_arguments_are_the_answer_and_what_is_said_beside_them_is_not() {
    assert_snapshot!(check(CITY, &["Here:", r#"the_city({"city":"Oslo"})"#]), @r#"{"city":"Oslo"} | stop"#);
}

#[test]
fn a_wrapped_answer_is_unwrapped() {
    assert_snapshot!(check(r#"{"type":"integer"}"#, &[r#"the_city({"value": 7})"#]), @"7 | stop");
}

#[test]
fn a_call_of_the_clients_tools_is_theirs() {
    let said = ["Let me look.", r#"look({"q":1})"#];
    assert_snapshot!(check(CITY, &said), @r#"Let me look. | look({"q":1}) | tool_calls"#);
    let said = [r#"look({"q":1})"#, r#"the_city({"city":"Oslo"})"#];
    assert_snapshot!(check(CITY, &said), @r#"look({"q":1}) | tool_calls"#);
}

#[test]
fn a_model_that_calls_nothing_has_answered() {
    assert_snapshot!(check(CITY, &[r#"{"city":"Oslo"}"#]), @r#"{"city":"Oslo"} | stop"#);
}

/// What is wrong with an answer.
fn fits(text: &str) -> String {
    let (_, tool) = by_tool(&request(CITY, &json!({}))).unwrap();
    tool.check_text(text.to_owned()).map_or_else(|unfit| unfit.misfit.to_string(), |()| "fits".to_owned())
}

#[test]
fn an_answer_is_held_against_the_schema() {
    assert_snapshot!(fits(r#"{"city":"Oslo","size":"big"}"#), @"fits");
    assert_snapshot!(fits("Oslo"), @"it must be JSON and nothing else");
    assert_snapshot!(fits("{}"), @"`city` must be there");
    assert_snapshot!(fits(r#"{"city":7}"#), @"`city` must be of type string");
    assert_snapshot!(fits(r#"{"city":""}"#), @"`city` must be within its `minLength`");
    assert_snapshot!(fits(r#"{"city":"Oslo","size":"huge"}"#), @"`size` must be one of the listed values");
    assert_snapshot!(fits(r#"{"city":"Oslo","x":1}"#), @"it must be without members that the schema does not name");
}

#[test]
fn a_second_try_is_told_what_was_wrong() {
    let (request, tool) = by_tool(&request(CITY, &json!({}))).unwrap();
    let unfit = tool.check_text("{}".to_owned()).unwrap_err();
    let again = tool.repair(&request, &unfit);
    let [.., call, result] = again.messages.as_slice() else { panic!("nothing is added") };
    let PartKind::ToolCall { id, name, arguments } = &call.parts[0].kind else { panic!("no call") };
    let PartKind::ToolResult { call_id, parts, is_error: true } = &result.parts[0].kind else {
        panic!("no result")
    };
    assert_eq!((id, name.as_str(), arguments.as_str()), (call_id, "the_city", "{}"));
    let PartKind::Text(words) = &parts[0].kind else { panic!("no words") };
    assert_snapshot!(words, @"The answer does not fit the schema: `city` must be there. Call the tool `the_city` with one that does.");
}

#[test]
fn what_was_said_and_not_called_is_answered_in_words() {
    let (request, tool) = by_tool(&request(CITY, &json!({}))).unwrap();
    for (text, added) in [("Oslo", 2), (" ", 1)] {
        let unfit = tool.check_text(text.to_owned()).unwrap_err();
        let again = tool.repair(&request, &unfit);
        assert_eq!(again.messages.len(), request.messages.len() + added, "{text:?}");
        let last = again.messages.last().unwrap();
        assert!(last.role == Role::User && matches!(last.parts[0].kind, PartKind::Text(_)), "{last:?}");
    }
}

/// What a stream comes to: whether content was given out, and how it ended.
fn streamed(schema: &str, said: &[PartKind], finish: FinishReason) -> String {
    let (_, tool) = by_tool(&request(schema, &json!({}))).unwrap();
    let parts: Vec<Part> = said.iter().map(|kind| Part::new(kind.clone(), Dialect::OpenaiChat)).collect();
    let mut stream = tool.stream();
    let mut out = Vec::new();
    for event in events(&parts, finish) {
        stream.push(event, &mut out);
    }
    let end = out.iter().find_map(|event| match event {
        StreamEvent::Error(fault) => Some(format!("{}: {}", fault.kind, fault.message)),
        StreamEvent::Finish { reason, .. } => Some(reason.as_str().to_owned()),
        _ => None,
    });
    assert_eq!(stream.unfit().is_some(), out.iter().any(|event| matches!(event, StreamEvent::Error(_))));
    format!("{} | {}", out.iter().any(StreamEvent::is_content), end.unwrap())
}

fn called(arguments: &str) -> PartKind {
    PartKind::ToolCall { id: "c".to_owned(), name: "the_city".to_owned(), arguments: arguments.to_owned() }
}

#[test]
fn a_stream_that_does_not_fit_ends_with_an_error() {
    use FinishReason::{Length, Refusal, Stop, ToolCalls};
    let said = |text: &str| PartKind::Text(text.to_owned());
    assert_snapshot!(streamed(CITY, &[called(r#"{"city":"Oslo"}"#)], ToolCalls), @"true | stop");
    assert_snapshot!(streamed(CITY, &[called("{}")], ToolCalls), @"true | malformed_answer: the model's answer does not follow the schema: `city` must be there");
    // As long as it is not known to be an answer, nothing is given out, and it can be asked for again.
    assert_snapshot!(streamed(CITY, &[said("Oslo")], Stop), @"false | malformed_answer: the model's answer does not follow the schema: it must be JSON and nothing else");
    assert_snapshot!(streamed(r#"{"type":"integer"}"#, &[called(r#"{"value":"x"}"#)], ToolCalls), @"false | malformed_answer: the model's answer does not follow the schema: it must be of type integer");
    // What was cut off says so itself.
    assert_snapshot!(streamed(CITY, &[called(r#"{"ci"#)], Length), @"true | length");
    assert_snapshot!(streamed(CITY, &[said("No.")], Refusal), @"true | refusal");
}
