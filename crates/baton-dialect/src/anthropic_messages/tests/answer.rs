use baton_model::{Answer, Dialect, FinishReason, Part, PartKind, Usage};
use insta::assert_snapshot;

use super::*;
use crate::AnswerContext;

#[test]
fn a_text() {
    assert_snapshot!(check_decode(fixture!("answer/text.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    text "Hello! How can I help?"
    Stop None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
}

#[test]
fn parallel_calls() {
    assert_snapshot!(check_decode(fixture!("answer/parallel_tools.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    text "I look both up."
    call toolu_01A get_weather {"city":"Paris"}
    call toolu_01B get_weather {"city":"Rome"}
    ToolCalls None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
}

#[test]
fn thinking_counts_as_reasoning() {
    assert_snapshot!(check_decode(fixture!("answer/thinking.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    reasoning "15 * 37 = 555." signed Some("EqQBCgIYAhIM1gbcDa9GJwZA")
    text "555"
    Stop None
    in 20 (cached 0, written 0) out 40 (reasoning 31)
    "#);
    assert_snapshot!(check_decode(fixture!("answer/redacted_thinking.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    redacted reasoning EmwKAhgBEgy3va3pzix
    text "Done."
    Stop None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
}

#[test]
fn a_refusal_says_why() {
    assert_snapshot!(check_decode(fixture!("answer/refusal.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    refusal "This request was declined."
    Refusal None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
}

#[test]
fn every_reason_for_stopping_has_a_word() {
    assert_snapshot!(check_decode(fixture!("answer/max_tokens.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    text "Once upon a"
    Length None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
    assert_snapshot!(check_decode(fixture!("answer/stop_sequence.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    text "1, 2, 3, "
    StopSequence Some("END")
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
    assert_snapshot!(check_decode(fixture!("answer/pause_turn.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    other {"type":"server_tool_use","id":"srvtoolu_02","name":"web_search","input":{"query":"more"},"caller":{"type":"direct"}}
    Pause None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
    assert_snapshot!(check_decode(fixture!("answer/window_exceeded.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    text "And so"
    Length None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
    assert_snapshot!(check_decode(fixture!("answer/unknown_stop_reason.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    text "Well."
    Stop None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
}

#[test]
fn cached_tokens_are_part_of_the_input() {
    assert_snapshot!(check_decode(fixture!("answer/cached_usage.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    text "From the handbook: yes."
    Stop None
    in 1251 (cached 1042, written 188) out 12 (reasoning 0)
    "#);
}

#[test]
fn blocks_of_server_tools_stay_raw() {
    assert_snapshot!(check_decode(fixture!("answer/server_tool.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    other {"type":"server_tool_use","id":"srvtoolu_01","name":"web_search","input":{"query":"news"},"caller":{"type":"direct"}}
    other {"type":"web_search_tool_result","tool_use_id":"srvtoolu_01","content":[],"caller":{"type":"direct"}}
    text "Nothing happened."
    Stop None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
}

#[test]
fn an_answer_may_be_empty_or_lack_what_is_newer() {
    assert_snapshot!(check_decode(fixture!("answer/empty.json")), @r"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    Stop None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    ");
    assert_snapshot!(check_decode(fixture!("answer/old_and_short.json")), @r#"
    msg_1 claude-3-haiku
    text "Hi."
    Stop None
    in 3 (cached 0, written 0) out 2 (reasoning 0)
    "#);
}

#[test]
fn citations_leave_their_text() {
    assert_snapshot!(check_decode(fixture!("answer/cited_text.json")), @r#"
    msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    text "The grass is green."
    Stop None
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    "#);
}

#[test]
fn what_is_no_answer_is_a_fault() {
    assert_snapshot!(check_fault("<html>Bad gateway</html>"), @"malformed_answer: the provider's answer is not a message");
    assert_snapshot!(check_fault(""), @"malformed_answer: the provider's answer is not a message");
    assert_snapshot!(check_fault(r#"{"choices":[]}"#), @"malformed_answer: the provider's answer is not a message");
    assert_snapshot!(check_fault(r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#), @"overloaded: Overloaded");
    assert_snapshot!(check_fault(r#"{"content":[{"type":"text","text":5}]}"#), @"malformed_answer: the provider's answer is not valid: `content[0].text` must be a string, not a number");
    assert_snapshot!(check_fault(r#"{"content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text"}]}]}"#), @"malformed_answer: the provider's answer is not valid: `content[0].content[0].text` is required");
    assert_snapshot!(check_fault(r#"{"content":[{"type":"text","text":"cut"#), @"malformed_answer: the provider's answer is not a message");
}

#[test]
fn results_within_results_are_not_followed() {
    let deep = r#"[{"type":"tool_result","tool_use_id":"a","content":"#.repeat(50_000)
        + "\"x\""
        + &"}]".repeat(50_000);
    let body = format!(r#"{{"content":{deep}}}"#);
    let answer = decode_answer(body.as_bytes()).unwrap();
    let PartKind::ToolResult { parts, .. } = &answer.parts[0].kind else { panic!("no result") };
    assert!(matches!(parts[0].kind, PartKind::Other(_)));
}

#[test]
fn our_own_answers_are_written_whole() {
    assert_snapshot!(check_round(fixture!("answer/text.json")), @r#"
    id: "msg_01XFDUDYJgAACzvnptvVoYEL"
    content: [{"type":"text","citations":[],"text":"Hello! How can I help?"}]
    stop_reason: "end_turn"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":7,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
    assert_snapshot!(check_round(fixture!("answer/parallel_tools.json")), @r#"
    id: "msg_01XFDUDYJgAACzvnptvVoYEL"
    content: [{"type":"text","citations":[],"text":"I look both up."},{"type":"tool_use","caller":{"type":"direct"},"id":"toolu_01A","input":{
            "city": "Paris"
          },"name":"get_weather"},{"type":"tool_use","caller":{"type":"direct"},"id":"toolu_01B","input":{
            "city": "Rome"
          },"name":"get_weather"}]
    stop_reason: "tool_use"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":7,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
    assert_snapshot!(check_round(fixture!("answer/thinking.json")), @r#"
    id: "msg_01XFDUDYJgAACzvnptvVoYEL"
    content: [{"type":"thinking","signature":"EqQBCgIYAhIM1gbcDa9GJwZA","thinking":"15 * 37 = 555."},{"type":"text","citations":[],"text":"555"}]
    stop_reason: "end_turn"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":40,"output_tokens_details":{"thinking_tokens":31},"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
    assert_snapshot!(check_round(fixture!("answer/redacted_thinking.json")), @r#"
    id: "msg_01XFDUDYJgAACzvnptvVoYEL"
    content: [{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix"},{"type":"text","citations":[],"text":"Done."}]
    stop_reason: "end_turn"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":7,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
    assert_snapshot!(check_round(fixture!("answer/refusal.json")), @r#"
    id: "msg_01XFDUDYJgAACzvnptvVoYEL"
    content: []
    stop_reason: "refusal"
    stop_sequence: null
    stop_details: {
        "type": "refusal",
        "category": "cyber",
        "explanation": "This request was declined."
      }
    usage: {"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":7,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
    assert_snapshot!(check_round(fixture!("answer/cached_usage.json")), @r#"
    id: "msg_01XFDUDYJgAACzvnptvVoYEL"
    content: [{"type":"text","citations":[],"text":"From the handbook: yes."}]
    stop_reason: "end_turn"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":21,"cache_creation_input_tokens":188,"cache_read_input_tokens":1042,"cache_creation":null,"output_tokens":12,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
    assert_snapshot!(check_round(fixture!("answer/server_tool.json")), @r#"
    id: "msg_01XFDUDYJgAACzvnptvVoYEL"
    content: [{
          "type": "server_tool_use",
          "id": "srvtoolu_01",
          "name": "web_search",
          "input": {
            "query": "news"
          },
          "caller": {
            "type": "direct"
          }
        },{
          "type": "web_search_tool_result",
          "tool_use_id": "srvtoolu_01",
          "content": [],
          "caller": {
            "type": "direct"
          }
        },{"type":"text","citations":[],"text":"Nothing happened."}]
    stop_reason: "end_turn"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":20,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":7,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
}

#[test]
fn an_id_from_elsewhere_is_marked_as_a_message() {
    assert_snapshot!(check_encode(&foreign("chatcmpl-9x", [text("Hi.")], FinishReason::Stop)), @r#"
    id: "msg_chatcmpl-9x"
    content: [{"type":"text","citations":[],"text":"Hi."}]
    stop_reason: "end_turn"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"cache_creation":null,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2},"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
    assert_snapshot!(check_encode(&foreign("resp:1", [], FinishReason::Stop)), @r#"
    id: "msg_b760e3a9b83c64bf6f51e499409d707e"
    content: []
    stop_reason: "end_turn"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"cache_creation":null,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2},"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
}

#[test]
fn thinking_from_elsewhere_has_no_signature() {
    let thinking = part(PartKind::Reasoning { text: "Hm.".to_owned(), signature: Some("theirs".to_owned()) });
    let sealed = part(PartKind::RedactedReasoning { data: "theirs".to_owned() });
    assert_snapshot!(check_encode(&foreign("x", [thinking, sealed, text("Hi.")], FinishReason::Stop)), @r#"
    id: "msg_x"
    content: [{"type":"thinking","signature":"","thinking":"Hm."},{"type":"text","citations":[],"text":"Hi."}]
    stop_reason: "end_turn"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"cache_creation":null,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2},"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
}

#[test]
fn a_refusal_from_elsewhere_is_text_and_a_reason() {
    let refusal = part(PartKind::Refusal("I cannot.".to_owned()));
    assert_snapshot!(check_encode(&foreign("x", [refusal], FinishReason::Stop)), @r#"
    id: "msg_x"
    content: [{"type":"text","citations":[],"text":"I cannot."}]
    stop_reason: "refusal"
    stop_sequence: null
    stop_details: {"type":"refusal","category":null,"explanation":null}
    usage: {"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"cache_creation":null,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2},"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
    assert_snapshot!(check_encode(&foreign("x", [text("")], FinishReason::ContentFilter)), @r#"
    id: "msg_x"
    content: [{"type":"text","citations":[],"text":""}]
    stop_reason: "refusal"
    stop_sequence: null
    stop_details: {"type":"refusal","category":null,"explanation":null}
    usage: {"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"cache_creation":null,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2},"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
}

#[test]
fn calls_from_elsewhere_keep_plain_ids_and_stop_the_answer() {
    let call = |id: &str, arguments: &str| {
        let (id, name) = (id.to_owned(), "run".to_owned());
        part(PartKind::ToolCall { id, name, arguments: arguments.to_owned() })
    };
    let calls = [text(""), call("call_1", r#"{"a": 1}"#), call("functions.run:0", "oops"), call("", "")];
    assert_snapshot!(check_encode(&foreign("x", calls, FinishReason::Stop)), @r#"
    id: "msg_x"
    content: [{"type":"tool_use","caller":{"type":"direct"},"id":"call_1","input":{"a": 1},"name":"run"},{"type":"tool_use","caller":{"type":"direct"},"id":"toolu_a383f7c36da7d56f00c88141b1ce3277","input":{"arguments":"oops"},"name":"run"},{"type":"tool_use","caller":{"type":"direct"},"id":"toolu_3","input":{},"name":"run"}]
    stop_reason: "tool_use"
    stop_sequence: null
    stop_details: null
    usage: {"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"cache_creation":null,"output_tokens":5,"output_tokens_details":{"thinking_tokens":2},"server_tool_use":null,"service_tier":null,"inference_geo":null}
    "#);
}

/// Reads an answer and shows what the model makes of it.
#[track_caller]
fn check_decode(json: &str) -> String {
    let answer = decode_answer(json.as_bytes()).unwrap();
    let mut lines = vec![format!("{} {}", answer.id, answer.model)];
    lines.extend(answer.parts.iter().map(show_part));
    lines.push(format!("{:?} {:?}", answer.finish, answer.stop_sequence));
    lines.push(show_usage(answer.usage.as_ref()));
    lines.join("\n")
}

/// Reads what is no answer and shows the fault.
#[track_caller]
fn check_fault(body: &str) -> String {
    let fault = decode_answer(body.as_bytes()).unwrap_err();
    format!("{}: {}", fault.kind, fault.message)
}

/// Writes an answer and shows the members that can differ.
#[track_caller]
fn check_encode(answer: &Answer) -> String {
    let body = encode_answer(answer, &AnswerContext { model: "shown/model", created: 0, request: None });
    let body = object(std::str::from_utf8(&body).unwrap());
    let shown = body.members().filter(|member| !["type", "role", "model", "container"].contains(&member.key));
    let shown = shown.map(|member| format!("{}: {}", member.key, std::str::from_utf8(member.value).unwrap()));
    shown.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check_round(json: &str) -> String {
    check_encode(&decode_answer(json.as_bytes()).unwrap())
}

#[test]
fn every_member_that_strict_readers_want_is_there() {
    let answer = Answer { usage: None, ..foreign("x", [], FinishReason::Stop) };
    let body = encode_answer(&answer, &AnswerContext { model: "shown/model", created: 0, request: None });
    assert_snapshot!(String::from_utf8(body).unwrap(), @r#"{"id":"msg_x","type":"message","role":"assistant","model":"shown/model","content":[],"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}"#);
}

fn foreign(id: &str, parts: impl Into<Vec<Part>>, finish: FinishReason) -> Answer {
    Answer {
        id: id.to_owned(),
        model: "gpt-5".to_owned(),
        created: Some(1),
        parts: parts.into(),
        finish,
        stop_sequence: None,
        usage: Some(Usage {
            input_tokens: 9,
            cached_input_tokens: 4,
            output_tokens: 5,
            reasoning_tokens: 2,
            ..Usage::default()
        }),
        logprobs: None,
    }
}

fn part(kind: PartKind) -> Part {
    Part::new(kind, Dialect::OpenaiChat)
}

fn text(words: &str) -> Part {
    Part::text(words, Dialect::OpenaiChat)
}
