//! Single rules of joining.

use Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};
use JoinLane::{Model, Patch};
use serde_json::{Value, json};

use super::accumulate::accumulate;
use super::turns::{arguments, call, call_block, chat, messages, responses, role, text, text_block};
use super::*;
use crate::{decode_answer, error_frame, error_word};

const LANES: [JoinLane; 2] = [Patch, Model];

fn transfer(dialect: Dialect) -> Turn {
    match dialect {
        OpenaiChat => {
            chat("a", &[role(), call(0, "call_t", "transfer_to_b"), arguments(0, "{}")], "tool_calls", None)
        }
        AnthropicMessages => {
            messages("a", &[call_block("toolu_t", "transfer_to_b", &["{}"])], "tool_use", (1, 1))
        }
        OpenaiResponses => {
            let call = json!({"type": "function_call", "call_id": "call_t", "name": "transfer_to_b", "arguments": "{}"});
            responses("a", &call, (1, 1))
        }
    }
}

fn hello(dialect: Dialect) -> Turn {
    match dialect {
        OpenaiChat => {
            let usage = json!({"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3, "cost": 0.5});
            chat("b", &[role(), text("Hello")], "stop", Some(&usage))
        }
        AnthropicMessages => messages("b", &[text_block(&["Hello"])], "end_turn", (2, 1)),
        OpenaiResponses => {
            let content = json!([{"type": "output_text", "text": "Hello"}]);
            responses("b", &json!({"type": "message", "role": "assistant", "content": content}), (2, 1))
        }
    }
}

/// Runs for every client and lane.
fn each(run: impl Fn(Dialect, JoinLane)) {
    for client in Dialect::ALL {
        for lane in LANES {
            run(client, lane);
        }
    }
}

fn joined(client: Dialect, lane: JoinLane, turns: &[Turn], end: &JoinEnd<'_>) -> Value {
    accumulate(client, &stream(client, lane, turns, end, true).0)
}

fn reason(client: Dialect, whole: &Value) -> &Value {
    match client {
        OpenaiChat => &whole["finish_reason"],
        AnthropicMessages => &whole["stop_reason"],
        OpenaiResponses if whole["status"] == "incomplete" => &whole["incomplete_details"]["reason"],
        OpenaiResponses => &whole["status"],
    }
}

#[test]
fn a_guard_ends_the_run_for_another_reason_than_the_model_gave() {
    each(|client, lane| {
        let whole = joined(client, lane, &[hello(client)], &end(FinishReason::Length));
        let word = match client {
            OpenaiChat => "length",
            AnthropicMessages => "max_tokens",
            OpenaiResponses => "max_output_tokens",
        };
        assert_eq!(reason(client, &whole), word);
    });
}

#[test]
fn a_run_may_end_with_a_turn_of_hidden_calls() {
    each(|client, lane| {
        let out = stream(client, lane, &[transfer(client)], &end(FinishReason::Stop), true).0;
        let whole = accumulate(client, &out);
        let word = match client {
            OpenaiChat => "stop",
            AnthropicMessages => "end_turn",
            OpenaiResponses => "completed",
        };
        assert_eq!(reason(client, &whole), word, "{out}");
        assert!(!out.contains("transfer_to"), "{out}");
    });
}

#[test]
fn a_run_without_a_frame_still_has_an_end() {
    each(|client, lane| {
        let whole = joined(client, lane, &[], &end(FinishReason::Length));
        assert!(whole["id"].as_str().unwrap().ends_with("made-id"), "{whole}");
    });
}

#[test]
fn only_what_a_client_sees_commits_a_turn() {
    each(|client, lane| {
        let mut joiner = Joiner::new(client, lane, options(false));
        let mut out = Vec::new();
        for (turn, shows) in [(transfer(client), false), (hello(client), true), (transfer(client), false)] {
            play_turn(&mut joiner, &turn, WHOLE, &mut out).unwrap();
            assert_eq!(joiner.showed_content(), shows);
        }
    });
}

#[test]
fn a_failed_attempt_throws_its_copy_away() {
    each(|client, lane| {
        let broken = "data: {\"error\":{\"message\":\"no\"}}\n\n";
        let name = if client == AnthropicMessages { "event: error\n" } else { "" };
        let mut joiner = Joiner::new(client, lane, options(true));
        let mut copy = joiner.clone();
        let mut thrown = Vec::new();
        let failing = turn(client, "shown/x", &format!("{name}{broken}"));
        play_turn(&mut copy, &failing, WHOLE, &mut thrown).unwrap_err();
        assert_eq!((thrown.as_slice(), copy.showed_content()), (b"".as_slice(), false));
        let turns = [hello(client)];
        let after = play(&mut joiner, &turns, &end(FinishReason::Stop), WHOLE).0;
        assert_eq!(after, stream(client, lane, &turns, &end(FinishReason::Stop), true).0);
    });
}

#[test]
fn an_error_is_the_last_thing_a_client_sees() {
    each(|client, lane| {
        let kind = error_word(client, baton_model::FaultKind::Truncated);
        let error = ErrorBody { kind, message: "cut", param: None, code: None, request_id: None };
        let mut out = Vec::new();
        Joiner::new(client, lane, options(true)).fail(&error, &mut out);
        assert_eq!(out, error_frame(client, &error));
    });
}

#[test]
fn extras_are_announced_on_a_chunk_that_says_nothing() {
    let extras = [("x_dedalus_event", RawJson::parse(r#"{"type":"agent_updated"}"#).unwrap())];
    for lane in LANES {
        let mut joiner = Joiner::new(OpenaiChat, lane, options(false));
        let mut out = Vec::new();
        joiner.begin(OpenaiChat, "shown/b");
        assert!(joiner.announce(&extras, &mut out));
        joiner.begin(OpenaiChat, "shown/b");
        let turns = [hello(OpenaiChat)];
        let rest = play(&mut joiner, &turns, &end(FinishReason::Stop), WHOLE).0;
        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out,
            "data: {\"id\":\"made-id\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
             \"model\":\"shown/b\",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\
             \"finish_reason\":null}],\"x_dedalus_event\":{\"type\":\"agent_updated\"}}\n\n"
        );
        // The accumulator checks that the id is still the same.
        assert_eq!(accumulate(OpenaiChat, &(out + &rest))["message"]["content"], "Hello");
        assert!(!Joiner::new(AnthropicMessages, lane, options(false)).announce(&extras, &mut Vec::new()));
    }
}

#[test]
fn usage_is_told_to_a_chat_client_only_if_it_asked() {
    for lane in LANES {
        let end =
            JoinEnd { usage: Some(Usage { input_tokens: 5, ..Usage::default() }), ..end(FinishReason::Stop) };
        let quiet = stream(OpenaiChat, lane, &[hello(OpenaiChat)], &end, false).0;
        assert!(!quiet.contains("prompt_tokens"), "{quiet}");
        assert_eq!(joined(OpenaiChat, lane, &[hello(OpenaiChat)], &end)["usage"]["prompt_tokens"], 5);
    }
}

#[test]
fn figures_that_are_the_sum_anyway_stay_as_they_came() {
    let sum = Usage { input_tokens: 2, output_tokens: 1, ..Usage::default() };
    let end = JoinEnd { usage: Some(sum), ..end(FinishReason::Stop) };
    assert_eq!(joined(OpenaiChat, Patch, &[hello(OpenaiChat)], &end)["usage"]["cost"], 0.5);
    let sum = Usage { input_tokens: 5, cached_input_tokens: 3, output_tokens: 1, ..Usage::default() };
    let end = JoinEnd { usage: Some(sum), ..end };
    let out = stream(AnthropicMessages, Patch, &[hello(AnthropicMessages)], &end, true).0;
    assert!(out.contains(r#""usage":{"output_tokens":1}}"#), "{out}");
}

#[test]
fn one_whole_answer_keeps_its_unknown_members() {
    let raw = Bytes::from_static(
        br#"{"id":"c1","created":17,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":null,"shiny":1,"tool_calls":[{"id":"call_s","type":"function","function":{"name":"server__a","arguments":"{}"}},{"id":"call_c","type":"function","function":{"name":"lookup","arguments":"{}"},"extra":2}]},"finish_reason":"tool_calls","native":"x"}],"usage":{"prompt_tokens":2},"fp":"f"}"#,
    );
    let answer = decode_answer(OpenaiChat, &raw).unwrap();
    let hidden = ["call_s".to_owned()];
    let turns = [TurnAnswer { dialect: OpenaiChat, raw: &raw, answer: &answer, hidden: &hidden }];
    let extras = [("agents_used", RawJson::parse("[1]").unwrap())];
    let end = JoinEnd { usage: answer.usage, extras: &extras, ..end(FinishReason::ToolCalls) };
    let context = AnswerContext { model: "shown/a", created: 1, request: None };
    let joined = join_answers(OpenaiChat, Patch, &turns, &end, &context, "run-1").unwrap();
    insta::assert_snapshot!("one_whole_answer", String::from_utf8(joined).unwrap());
}

#[test]
fn a_legacy_call_of_a_hidden_function_is_hidden() {
    let deltas = [
        json!({"role": "assistant", "content": null, "function_call": {"name": "transfer_to_b", "arguments": ""}}),
        json!({"function_call": {"arguments": "{}"}}),
    ];
    let turns = [chat("a", &deltas, "function_call", None), hello(OpenaiChat)];
    let out = stream(OpenaiChat, Patch, &turns, &end(FinishReason::Stop), true).0;
    assert!(!out.contains("function"), "{out}");
    assert_eq!(accumulate(OpenaiChat, &out)["message"]["content"], "Hello");
}

#[test]
fn calls_without_an_index_get_one() {
    let call = |id: &str, name: &str| json!({"tool_calls": [{"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}]});
    let deltas = [role(), call("call_s", "server__a"), call("call_c", "lookup"), call("call_d", "lookup")];
    let turns = [chat("a", &deltas, "tool_calls", None)];
    let whole = joined(OpenaiChat, Patch, &turns, &end(FinishReason::ToolCalls));
    let ids: Vec<&str> = whole["message"]["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["call_c", "call_d"]);
}

#[test]
fn a_custom_tools_call_is_always_the_clients() {
    let deltas = [
        role(),
        call(0, "call_s", "server__a"),
        arguments(0, "{}"),
        json!({"tool_calls": [{"index": 1, "id": "call_u", "type": "custom", "custom": {"name": "u", "input": ""}}]}),
        json!({"tool_calls": [{"index": 1, "custom": {"input": "abc"}}]}),
    ];
    let turns = [chat("a", &deltas, "tool_calls", None)];
    let whole = joined(OpenaiChat, Patch, &turns, &end(FinishReason::ToolCalls));
    assert_eq!(
        whole["message"]["tool_calls"],
        json!([{"id": "call_u", "type": "custom", "custom": {"name": "u", "input": "abc"}}])
    );
}

#[test]
fn a_block_that_the_upstream_left_open_is_closed() {
    let open = hello(AnthropicMessages);
    let stop = "event: content_block_stop\ndata: {\"index\":0,\"type\":\"content_block_stop\"}\n\n";
    assert!(open.sse.contains(stop));
    let open = Turn { sse: open.sse.replace(stop, ""), ..open };
    let turns = [open, hello(AnthropicMessages)];
    let whole = joined(AnthropicMessages, Patch, &turns, &end(FinishReason::Stop));
    assert_eq!(whole["content"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_event_of_the_dialect_is_a_fault() {
    each(|client, lane| {
        for data in ["<html>", "{\"choices\":1}", "{\"type\":\"content_block_delta\"}"] {
            if client != AnthropicMessages && data.contains("type") {
                continue;
            }
            if client != OpenaiChat && data.contains("choices") {
                continue;
            }
            let mut joiner = Joiner::new(client, lane, options(true));
            joiner.begin(client, "shown/a");
            let mut out = Vec::new();
            let passed = joiner.pass("", &Bytes::from(data), &mut Names, &mut out, &mut Vec::new());
            assert!(passed.is_err() && out.is_empty(), "{data}");
        }
    });
}

#[test]
fn every_fixture_joined_alone_says_what_the_decoder_reads() {
    crate::matrix_tests::each_fixture("stream", |dialect, name, body| {
        let sse = String::from_utf8(body.to_vec()).unwrap();
        for lane in LANES {
            let mut joiner = Joiner::new(dialect, lane, options(true));
            let mut out = Vec::new();
            let turn = turn(dialect, "shown/a", &sse);
            let Ok(events) = play_turn(&mut joiner, &turn, WHOLE, &mut out) else { continue };
            let finish = events.iter().find_map(|event| match event {
                StreamEvent::Finish { reason, .. } => Some(*reason),
                _ => None,
            });
            joiner.finish(&end(finish.unwrap_or(FinishReason::Stop)), &mut out);
            let mut decoder = crate::stream_decoder(dialect);
            let mut again = Vec::new();
            for (event, data) in Sse::default().push(&out) {
                decoder.decode(&event, &data, &mut again).unwrap();
            }
            assert_eq!(said(&again), said(&events), "{name} {lane:?}");
        }
    });
}

fn said(events: &[StreamEvent]) -> crate::matrix_tests::Said {
    crate::matrix_tests::Said::of(events)
}
