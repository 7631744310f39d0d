use baton_model::{Delta, FinishReason, PartStart, RawJson, Usage};
use insta::assert_snapshot;
use serde_json::Value;

use super::*;
use crate::{ErrorBody, StreamEncoder, StreamOptions};

#[test]
fn a_text_comes_in_deltas() {
    assert_snapshot!(check_decode(fixture!("stream/text.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("Hello")
    0 + Text(", wörld 🌍!")
    0 end
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    finish stop None
    end
    "#);
}

#[test]
fn arguments_come_in_fragments() {
    assert_snapshot!(check_decode(fixture!("stream/tool.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("I look it up.")
    0 end
    1 ToolCall { id: "toolu_01A", name: "get_weather" }
    1 + Arguments("{\"ci")
    1 + Arguments("ty\":\"Par")
    1 + Arguments("is\"}")
    1 end
    in 20 (cached 0, written 0) out 33 (reasoning 0)
    finish tool_calls None
    end
    "#);
}

#[test]
fn calls_follow_one_another() {
    assert_snapshot!(check_decode(fixture!("stream/parallel_tools.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 ToolCall { id: "toolu_01A", name: "get_weather" }
    0 + Arguments("{\"city\":\"Paris\"}")
    0 end
    1 ToolCall { id: "toolu_01B", name: "get_weather" }
    1 + Arguments("{\"city\":\"Rome\"}")
    1 end
    2 ToolCall { id: "toolu_01C", name: "now" }
    2 end
    in 20 (cached 0, written 0) out 60 (reasoning 0)
    finish tool_calls None
    end
    "#);
}

#[test]
fn thinking_ends_with_its_signature() {
    assert_snapshot!(check_decode(fixture!("stream/thinking.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Reasoning
    0 + Text("15 * 37")
    0 + Text(" = 555.")
    0 + Signature("EqQBCgIYAhIM1gbcDa9GJwZA")
    0 end
    1 Text
    1 + Text("555")
    1 end
    in 20 (cached 0, written 0) out 40 (reasoning 31)
    finish stop None
    end
    "#);
    assert_snapshot!(check_decode(fixture!("stream/redacted_thinking.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 RedactedReasoning { data: "EmwKAhgBEgy3va3pzix" }
    0 end
    1 Text
    1 + Text("Done.")
    1 end
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    finish stop None
    end
    "#);
}

#[test]
fn citations_stand_beside_their_text() {
    assert_snapshot!(check_decode(fixture!("stream/citations.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Attached([("citations", [{"type":"char_location","cited_text":"x","document_index":0,"document_title":null,"start_char_index":0,"end_char_index":1}])])
    0 + Text("The grass is green.")
    0 end
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    finish stop None
    end
    "#);
}

#[test]
fn a_server_tool_is_given_on_whole() {
    assert_snapshot!(check_decode(fixture!("stream/server_tool.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 other {"type":"server_tool_use","id":"srvtoolu_01","name":"web_search","input":{"query":"news"},"caller":{"type":"direct"}}
    0 end
    1 other {"type":"web_search_tool_result","tool_use_id":"srvtoolu_01","content":[],"caller":{"type":"direct"}}
    1 end
    2 Text
    2 + Text("Nothing happened.")
    2 end
    in 20 (cached 0, written 0) out 50 (reasoning 0)
    finish stop None
    end
    "#);
}

#[test]
fn a_refusal_says_why_at_the_end() {
    assert_snapshot!(check_decode(fixture!("stream/refusal.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("Well, ")
    0 end
    1 Refusal
    1 + Attached([("stop_details", {"type":"refusal","category":null,"explanation":"This request was declined."})])
    1 + Text("This request was declined.")
    1 end
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    finish refusal None
    end
    "#);
}

#[test]
fn usage_adds_up_over_the_stream() {
    assert_snapshot!(check_decode(fixture!("stream/cached_usage.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 1251 (cached 1042, written 188) out 1 (reasoning 0)
    0 Text
    0 + Text("Yes.")
    0 end
    in 1251 (cached 1042, written 188) out 12 (reasoning 0)
    finish stop None
    end
    "#);
}

#[test]
fn the_reason_for_stopping_comes_with_its_sequence() {
    assert_snapshot!(check_decode(fixture!("stream/stop_sequence.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("1, 2, ")
    0 end
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    finish stop_sequence Some("END")
    end
    "#);
    assert_snapshot!(check_decode(fixture!("stream/max_tokens.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("Once upon")
    0 end
    in 20 (cached 0, written 0) out 2 (reasoning 0)
    finish length None
    end
    "#);
}

#[test]
fn a_stream_may_have_no_blocks() {
    assert_snapshot!(check_decode(fixture!("stream/empty.sse")), @r"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    finish stop None
    end
    ");
}

#[test]
fn an_error_may_come_at_any_time() {
    assert_snapshot!(check_decode(fixture!("stream/error_first.sse")), @"error overloaded: Overloaded");
    assert_snapshot!(check_decode(fixture!("stream/error_after_start.sse")), @r"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    error server_error: Internal server error
    ");
    assert_snapshot!(check_decode(fixture!("stream/error_after_content.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("Once upon")
    error overloaded: Overloaded
    "#);
    assert_snapshot!(check_decode("event: error\ndata: boom\n\n"), @"error malformed_answer: the provider's answer is not a message");
}

#[test]
fn unknown_events_and_missing_names_do_not_matter() {
    assert_snapshot!(check_decode(fixture!("stream/unknown_events.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("Hi")
    0 end
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    finish stop None
    end
    "#);
    assert_snapshot!(check_decode(fixture!("stream/without_event_names.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("Hi")
    0 end
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    finish stop None
    end
    "#);
}

#[test]
fn what_is_in_an_unknown_event_does_not_matter() {
    assert_snapshot!(check_decode("data: {\"type\":\"log\",\"message\":\"a text\",\"index\":\"x\"}\n\n"), @"");
    assert_snapshot!(check_decode("event: log\ndata: no JSON at all\n\n"), @"");
    assert_snapshot!(check_decode("data: {\"type\":\"error\",\"message\":\"a text\"}\n\n"), @"error malformed_answer: the provider's answer is not a message");
}

#[test]
fn a_block_may_bring_its_content_when_it_begins() {
    assert_snapshot!(check_decode(fixture!("stream/text_in_block_start.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("Hi")
    0 + Text(" there")
    0 end
    1 ToolCall { id: "toolu_01A", name: "get_weather" }
    1 + Arguments("{\"city\":\"Paris\"}")
    1 end
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    finish tool_calls None
    end
    "#);
}

#[test]
fn blocks_that_were_not_closed_end_with_the_stream() {
    assert_snapshot!(check_decode(fixture!("stream/blocks_not_closed.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("Hi")
    0 end
    in 20 (cached 0, written 0) out 7 (reasoning 0)
    finish stop None
    end
    "#);
    assert_snapshot!(check_decode(fixture!("stream/cut_before_end.sse")), @r#"
    start msg_01XFDUDYJgAACzvnptvVoYEL claude-sonnet-4-5-20250929
    in 20 (cached 0, written 0) out 1 (reasoning 0)
    0 Text
    0 + Text("Once upon")
    "#);
}

#[test]
fn what_is_no_event_is_a_fault() {
    assert_snapshot!(check_fault("", "<html>"), @"malformed_answer: the provider's answer is not valid: an event is no JSON");
    assert_snapshot!(check_fault("content_block_delta", r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"x"}}"#), @"malformed_answer: the provider's answer is not valid: `content_block_delta` is of no block that began");
    assert_snapshot!(check_fault("", r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":7}}"#), @"malformed_answer: the provider's answer is not valid: `content_block.id` must be a string, not a number");
    assert_snapshot!(check_fault("", r#"{"type":"message_start","message":"Hi"}"#), @"malformed_answer: the provider's answer is not valid: an event does not have the form of its kind");
    assert_snapshot!(check_fault("", r#"{"type":"content_block_start"}"#), @"malformed_answer: the provider's answer is not valid: `content_block_start` has no `index` or no `content_block`");
}

#[test]
fn what_was_decoded_is_written_as_it_came() {
    for stream in [
        fixture!("stream/text.sse"),
        fixture!("stream/tool.sse"),
        fixture!("stream/parallel_tools.sse"),
        fixture!("stream/thinking.sse"),
        fixture!("stream/redacted_thinking.sse"),
        fixture!("stream/server_tool.sse"),
        fixture!("stream/cached_usage.sse"),
        fixture!("stream/stop_sequence.sse"),
        fixture!("stream/max_tokens.sse"),
        fixture!("stream/empty.sse"),
        fixture!("stream/blocks_not_closed.sse"),
    ] {
        let decoded = decode_stream(stream);
        let written = encode_stream(&decoded);
        let rest = |events: &[StreamEvent]| {
            // A report of usage more or less does not matter, the last one does.
            let last = events.iter().rfind(|event| matches!(event, StreamEvent::Usage(_))).cloned();
            let others = events.iter().filter(|event| !matches!(event, StreamEvent::Usage(_))).cloned();
            (others.collect::<Vec<_>>(), last)
        };
        let (again, usage_again) = rest(&merged(decode_stream(&written)));
        let (once, usage_once) = rest(&merged(decoded));
        assert_eq!((renamed(again), usage_again), (renamed(once), usage_once), "{stream}");
    }
}

#[test]
fn a_stream_is_written_in_order() {
    assert_snapshot!(check_encode(&[
        start("chatcmpl-1"),
        begin(0, PartStart::Text),
        more(0, Delta::Text("Hi \"there\"\n".to_owned())),
        StreamEvent::PartEnd { index: 0 },
        StreamEvent::Usage(Usage { input_tokens: 9, cached_input_tokens: 4, output_tokens: 5, ..Usage::default() }),
        StreamEvent::Finish { reason: FinishReason::Stop, stop_sequence: None },
        StreamEvent::End,
    ]), @r#"
    message_start {"type":"message_start","message":{"id":"msg_chatcmpl-1","type":"message","role":"assistant","model":"shown/model","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}}
    content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"text","citations":[],"text":""}}
    content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi \"there\"\n"}}
    content_block_stop {"type":"content_block_stop","index":0}
    message_delta {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null},"usage":{"input_tokens":5,"cache_creation_input_tokens":0,"cache_read_input_tokens":4,"cache_creation":null,"output_tokens":5,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}
    message_stop {"type":"message_stop"}
    "#);
}

#[test]
fn parts_that_overlap_are_written_one_after_the_other() {
    assert_snapshot!(check_encode(&[
        start("x"),
        begin(0, PartStart::Text),
        more(0, Delta::Text("I look.".to_owned())),
        begin(1, call("call_a")),
        begin(2, call("call_b")),
        more(1, Delta::Arguments("{\"a\"".to_owned())),
        more(2, Delta::Arguments("{\"b\"".to_owned())),
        StreamEvent::PartEnd { index: 0 },
        more(1, Delta::Arguments(":1}".to_owned())),
        more(2, Delta::Arguments(":2}".to_owned())),
        StreamEvent::PartEnd { index: 2 },
        StreamEvent::PartEnd { index: 1 },
        StreamEvent::Finish { reason: FinishReason::ToolCalls, stop_sequence: None },
    ]), @r#"
    message_start {"type":"message_start","message":{"id":"msg_x","type":"message","role":"assistant","model":"shown/model","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}}
    content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"text","citations":[],"text":""}}
    content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"I look."}}
    content_block_stop {"type":"content_block_stop","index":0}
    content_block_start {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","caller":{"type":"direct"},"id":"call_a","input":{},"name":"run"}}
    content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\""}}
    content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":":1}"}}
    content_block_stop {"type":"content_block_stop","index":1}
    content_block_start {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","caller":{"type":"direct"},"id":"call_b","input":{},"name":"run"}}
    content_block_delta {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"b\":2}"}}
    content_block_stop {"type":"content_block_stop","index":2}
    message_delta {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null,"stop_details":null,"container":null},"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}
    message_stop {"type":"message_stop"}
    "#);
}

#[test]
fn the_end_closes_what_is_open_and_what_waits() {
    assert_snapshot!(check_encode(&[
        start("x"),
        begin(0, call("")),
        begin(1, PartStart::Reasoning),
        more(1, Delta::Signature("a".to_owned())),
        more(1, Delta::Text("Hm.".to_owned())),
        more(1, Delta::Signature("b".to_owned())),
        begin(2, PartStart::RedactedReasoning { data: "sealed".to_owned() }),
        StreamEvent::Finish { reason: FinishReason::Stop, stop_sequence: None },
    ]), @r#"
    message_start {"type":"message_start","message":{"id":"msg_x","type":"message","role":"assistant","model":"shown/model","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}}
    content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","caller":{"type":"direct"},"id":"toolu_0","input":{},"name":"run"}}
    content_block_stop {"type":"content_block_stop","index":0}
    content_block_start {"type":"content_block_start","index":1,"content_block":{"type":"thinking","signature":"","thinking":""}}
    content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":"Hm."}}
    content_block_delta {"type":"content_block_delta","index":1,"delta":{"type":"signature_delta","signature":"ab"}}
    content_block_stop {"type":"content_block_stop","index":1}
    content_block_start {"type":"content_block_start","index":2,"content_block":{"type":"redacted_thinking","data":"sealed"}}
    content_block_stop {"type":"content_block_stop","index":2}
    message_delta {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null,"stop_details":null,"container":null},"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}
    message_stop {"type":"message_stop"}
    "#);
}

#[test]
fn a_stream_without_parts_or_without_a_start_is_still_whole() {
    assert_snapshot!(check_encode(&[start("x")]), @r#"
    message_start {"type":"message_start","message":{"id":"msg_x","type":"message","role":"assistant","model":"shown/model","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}}
    message_delta {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null},"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}
    message_stop {"type":"message_stop"}
    "#);
    assert_snapshot!(check_encode(&[begin(4, PartStart::Refusal), more(4, Delta::Text("No.".to_owned()))]), @r#"
    message_start {"type":"message_start","message":{"id":"msg_fallback","type":"message","role":"assistant","model":"shown/model","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}}
    content_block_start {"type":"content_block_start","index":0,"content_block":{"type":"text","citations":[],"text":""}}
    content_block_delta {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"No."}}
    content_block_stop {"type":"content_block_stop","index":0}
    message_delta {"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal","category":null,"explanation":null},"container":null},"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}
    message_stop {"type":"message_stop"}
    "#);
    assert_snapshot!(check_encode(&[]), @r#"
    message_start {"type":"message_start","message":{"id":"msg_fallback","type":"message","role":"assistant","model":"shown/model","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}}
    message_delta {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null},"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}
    message_stop {"type":"message_stop"}
    "#);
}

#[test]
fn raw_blocks_of_this_dialect_only() {
    let raw = |json: &str| PartStart::Other(RawJson::parse(json).unwrap());
    assert_snapshot!(check_encode(&[
        start("x"),
        begin(0, raw(r#"{"type":"audio"}"#)),
        more(0, Delta::Text("ignored".to_owned())),
        StreamEvent::PartEnd { index: 0 },
        begin(1, raw("{\"type\":\n\"server_tool_use\",\r\n\"id\":\"srvtoolu_1\"}")),
        StreamEvent::PartEnd { index: 1 },
    ]), @r#"
    message_start {"type":"message_start","message":{"id":"msg_x","type":"message","role":"assistant","model":"shown/model","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}}
    content_block_start {"type":"content_block_start","index":0,"content_block":{"type": "server_tool_use",  "id":"srvtoolu_1"}}
    content_block_stop {"type":"content_block_stop","index":0}
    message_delta {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null},"usage":{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":null,"output_tokens":0,"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null}}
    message_stop {"type":"message_stop"}
    "#);
}

#[test]
fn a_failure_is_the_last_thing_written() {
    let mut encoder = Encoder::new(options());
    let mut out = Vec::new();
    encoder.encode(&start("x"), &mut out);
    out.clear();
    let error = ErrorBody {
        kind: "api_error",
        message: "the answer was cut off",
        param: None,
        code: None,
        request_id: None,
    };
    encoder.fail(&error, &mut out);
    encoder.encode(&begin(0, PartStart::Text), &mut out);
    encoder.end(&mut out);
    assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
    event: error
    data: {"type":"error","error":{"type":"api_error","message":"the answer was cut off"},"request_id":null,"message":"the answer was cut off"}
    "#);
}

/// Decodes a stream and shows an event in each line.
#[track_caller]
fn check_decode(stream: &str) -> String {
    let shown = decode_stream(stream).into_iter().map(|event| match event {
        StreamEvent::Start { id, model } => format!("start {id} {model}"),
        StreamEvent::PartStart { index, part: PartStart::Other(raw) } => {
            format!("{index} other {}", raw.get())
        }
        StreamEvent::PartStart { index, part } => format!("{index} {part:?}"),
        StreamEvent::Delta { index, delta } => format!("{index} + {delta:?}"),
        StreamEvent::PartEnd { index } => format!("{index} end"),
        StreamEvent::Usage(usage) => show_usage(Some(&usage)),
        StreamEvent::Finish { reason, stop_sequence } => {
            format!("finish {} {stop_sequence:?}", reason.as_str())
        }
        StreamEvent::Error(fault) => format!("error {}: {}", fault.kind, fault.message),
        StreamEvent::End => "end".to_owned(),
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// Decodes one event that is none and shows the fault.
#[track_caller]
fn check_fault(event: &str, data: &str) -> String {
    let fault = Decoder::default().decode(event, data.as_bytes(), &mut Vec::new()).unwrap_err();
    format!("{}: {}", fault.kind, fault.message)
}

/// Encodes a stream, checks that it keeps the rules of the wire, and shows it.
#[track_caller]
fn check_encode(events: &[StreamEvent]) -> String {
    let written = encode_stream(events);
    read_strictly(&written);
    written.replace("event: ", "").replace("\ndata: ", " ").replace("\n\n", "\n")
}

#[track_caller]
pub(super) fn encode_stream(events: &[StreamEvent]) -> String {
    let mut encoder = Encoder::new(options());
    let mut out = Vec::new();
    for event in events {
        encoder.encode(event, &mut out);
    }
    encoder.end(&mut out);
    encoder.end(&mut out);
    String::from_utf8(out).unwrap()
}

fn options() -> StreamOptions {
    StreamOptions {
        model: Some("shown/model".to_owned()),
        id: "msg_fallback".to_owned(),
        created: 0,
        include_usage: false,
        request: None,
    }
}

fn start(id: &str) -> StreamEvent {
    StreamEvent::Start { id: id.to_owned(), model: "gpt-5".to_owned() }
}

pub(super) const fn begin(index: u32, part: PartStart) -> StreamEvent {
    StreamEvent::PartStart { index, part }
}

pub(super) const fn more(index: u32, delta: Delta) -> StreamEvent {
    StreamEvent::Delta { index, delta }
}

pub(super) fn call(id: &str) -> PartStart {
    PartStart::ToolCall { id: id.to_owned(), name: "run".to_owned() }
}

/// The model of an answer is not written: the client sees another name.
fn renamed(events: Vec<StreamEvent>) -> Vec<StreamEvent> {
    let rename = |event| match event {
        StreamEvent::Start { id, .. } => StreamEvent::Start { id, model: String::new() },
        event => event,
    };
    events.into_iter().map(rename).collect()
}

/// Neighbouring deltas of one part made one.
fn merged(events: Vec<StreamEvent>) -> Vec<StreamEvent> {
    let mut out: Vec<StreamEvent> = Vec::new();
    for event in events {
        match (out.last_mut(), &event) {
            (
                Some(StreamEvent::Delta { index, delta: Delta::Text(text) | Delta::Arguments(text) }),
                StreamEvent::Delta { index: same, delta: Delta::Text(added) | Delta::Arguments(added) },
            ) if index == same => text.push_str(added),
            _ => out.push(event),
        }
    }
    out
}

/// Reads a stream as a strict client does: every rule of the wire is an assertion. Gives back the
/// content of each block.
#[track_caller]
pub(super) fn read_strictly(stream: &str) -> Vec<String> {
    assert!(stream.ends_with("\n\n"));
    let mut blocks: Vec<String> = Vec::new();
    let mut open = false;
    let mut names = Vec::new();
    for (name, data) in events(stream) {
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["type"], name);
        names.push(name);
        match name {
            "message_start" => {
                assert!(event["message"]["id"].as_str().unwrap().starts_with("msg_"));
                assert!(event["message"]["usage"]["input_tokens"].is_u64());
            }
            "content_block_start" => {
                assert!(!open, "a block begins in another");
                assert_eq!(event["index"], blocks.len());
                open = true;
                blocks.push(String::new());
            }
            "content_block_delta" => {
                assert!(open, "a delta outside a block");
                assert_eq!(event["index"], blocks.len() - 1);
                let delta = event["delta"].as_object().unwrap();
                let (_, added) = delta.iter().find(|(key, _)| *key != "type").unwrap();
                if delta["type"] != "signature_delta" {
                    blocks.last_mut().unwrap().push_str(added.as_str().unwrap());
                }
            }
            "content_block_stop" => {
                assert!(open, "a block ends twice");
                assert_eq!(event["index"], blocks.len() - 1);
                open = false;
            }
            "message_delta" => {
                assert!(event["delta"]["stop_reason"].is_string());
                assert!(event["usage"]["output_tokens"].is_u64());
            }
            "message_stop" => {}
            other => panic!("an unknown event {other}"),
        }
    }
    assert!(!open);
    assert_eq!(names.first(), Some(&"message_start"));
    assert_eq!(names.last_chunk(), Some(&["message_delta", "message_stop"]));
    assert_eq!(names.iter().filter(|name| name.starts_with("message_")).count(), 3);
    blocks
}
