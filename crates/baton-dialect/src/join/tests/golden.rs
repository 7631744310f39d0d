//! What a client gets, frame by frame.

use Dialect::{AnthropicMessages, OpenaiChat};
use JoinLane::{Model, Patch};
use insta::assert_snapshot;
use serde_json::json;

use super::turns::{arguments, call, call_block, chat, messages, role, text, text_block, thinking_block};
use super::*;

const SUM: Usage = Usage {
    input_tokens: 30,
    cached_input_tokens: 12,
    cache_write_tokens: 0,
    cache_write_1h_tokens: 0,
    output_tokens: 9,
    reasoning_tokens: 0,
};

/// What a chat client gets of turns that end with this reason.
fn to_chat(lane: JoinLane, turns: &[Turn], finish: FinishReason) -> String {
    stream(OpenaiChat, lane, turns, &JoinEnd { usage: Some(SUM), ..end(finish) }, true).0
}

/// What a Messages client gets of turns that end with this reason.
fn to_messages(lane: JoinLane, turns: &[Turn], finish: FinishReason) -> String {
    stream(AnthropicMessages, lane, turns, &JoinEnd { usage: Some(SUM), ..end(finish) }, true).0
}

fn chat_text(model: &str) -> Turn {
    let usage = json!({"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 12}, "cost": 0.01});
    chat(model, &[role(), text("Hello"), text(" you")], "stop", Some(&usage))
}

fn messages_text(model: &str) -> Turn {
    messages(model, &[text_block(&["Hello", " you"])], "end_turn", (20, 5))
}

#[test]
fn a_transfer_before_anything_else_leaves_no_trace() {
    let first = json!({"role": "assistant", "content": null, "tool_calls": [{"index": 0, "id": "call_t",
        "type": "function", "function": {"name": "transfer_to_b", "arguments": ""}}]});
    let deltas = [
        first,
        arguments(0, "{\"reason\":"),
        arguments(0, "\"x\"}"),
        call(1, "call_x", "server__search"),
        arguments(1, "{}"),
    ];
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 4});
    let turns = [chat("a", &deltas, "tool_calls", Some(&usage)), chat_text("b")];
    assert_snapshot!("chat_transfer_first", to_chat(Patch, &turns, FinishReason::Stop));
    assert_snapshot!("chat_transfer_first_model", to_chat(Model, &turns, FinishReason::Stop));

    let blocks = [
        call_block("toolu_t", "transfer_to_b", &["{\"reason\":", "\"x\"}"]),
        call_block("toolu_x", "server__search", &["{}"]),
    ];
    let turns = [messages("a", &blocks, "tool_use", (10, 4)), messages_text("b")];
    assert_snapshot!("messages_transfer_first", to_messages(Patch, &turns, FinishReason::Stop));
    assert_snapshot!("messages_transfer_first_model", to_messages(Model, &turns, FinishReason::Stop));
}

#[test]
fn text_before_a_transfer_is_followed_by_a_blank_line() {
    let first = [role(), text("One moment."), call(0, "call_t", "transfer_to_b"), arguments(0, "{}")];
    let turns = [chat("a", &first, "tool_calls", None), chat_text("b")];
    assert_snapshot!("chat_text_transfer_text", to_chat(Patch, &turns, FinishReason::Stop));
}

#[test]
fn text_before_a_transfer_has_a_block_of_its_own() {
    let blocks = [text_block(&["One moment."]), call_block("toolu_t", "transfer_to_b", &[])];
    let turns = [messages("a", &blocks, "tool_use", (10, 4)), messages_text("b")];
    assert_snapshot!("messages_text_transfer_text", to_messages(Patch, &turns, FinishReason::Stop));
}

#[test]
fn turns_of_two_dialects_are_one_stream() {
    let blocks = [text_block(&["One moment."]), call_block("toolu_t", "transfer_to_b", &[])];
    let turns = [messages("a", &blocks, "tool_use", (10, 4)), chat_text("b")];
    assert_snapshot!("chat_of_two_dialects", to_chat(Model, &turns, FinishReason::Stop));
    assert_snapshot!("messages_of_two_dialects", to_messages(Model, &turns, FinishReason::Stop));
}

#[test]
fn a_transfer_behind_a_client_call_is_hidden_and_the_call_goes_out() {
    let deltas = [
        role(),
        call(0, "call_c", "lookup"),
        arguments(0, "{\"a\":1}"),
        call(1, "call_t", "transfer_to_b"),
        arguments(1, "{}"),
    ];
    let turns = [chat("a", &deltas, "tool_calls", None)];
    assert_snapshot!("chat_client_call_then_transfer", to_chat(Patch, &turns, FinishReason::ToolCalls));
    let blocks =
        [call_block("toolu_c", "lookup", &["{\"a\":1}"]), call_block("toolu_t", "transfer_to_b", &["{}"])];
    let turns = [messages("a", &blocks, "tool_use", (10, 4))];
    assert_snapshot!(
        "messages_client_call_then_transfer",
        to_messages(Patch, &turns, FinishReason::ToolCalls)
    );
}

#[test]
fn of_server_and_client_calls_the_client_sees_its_own_without_gaps() {
    let deltas = [
        role(),
        call(0, "call_s", "server__search"),
        call(1, "call_c", "lookup"),
        arguments(0, "{\"q\":"),
        arguments(1, "{\"a\":"),
        arguments(0, "1}"),
        arguments(1, "2}"),
        call(2, "call_d", "lookup"),
        json!([{"tool_calls": [{"index": 2, "function": {"arguments": "{}"}}]}]),
    ];
    let turns = [chat("a", &deltas, "tool_calls", None)];
    assert_snapshot!("chat_mixed_calls", to_chat(Patch, &turns, FinishReason::ToolCalls));
    assert_snapshot!("chat_mixed_calls_model", to_chat(Model, &turns, FinishReason::ToolCalls));
    let blocks = [
        text_block(&["I look."]),
        call_block("toolu_s", "server__search", &["{\"q\":1}"]),
        call_block("toolu_c", "lookup", &["{\"a\":2}"]),
    ];
    let turns = [messages("a", &blocks, "tool_use", (10, 4))];
    assert_snapshot!("messages_mixed_calls", to_messages(Patch, &turns, FinishReason::ToolCalls));
}

#[test]
fn one_chunk_with_text_calls_and_the_end_is_split() {
    let call = |index: u32, id: &str, name: &str| {
        json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": id}}})
    };
    let calls =
        [call(0, "call_s", "server__a"), call(1, "call_c", "lookup"), call(2, "call_t", "transfer_to_b")];
    let all = json!([{"role": "assistant", "content": "I look.", "tool_calls": calls}]);
    let turns = [chat("a", &[all], "tool_calls", None)];
    assert_snapshot!("chat_all_in_one_chunk", to_chat(Patch, &turns, FinishReason::ToolCalls));
}

#[test]
fn thinking_with_its_signature_stays_when_the_turn_ends_in_a_transfer() {
    let blocks = [thinking_block("Let me see.", "sig-1"), call_block("toolu_t", "transfer_to_b", &["{}"])];
    let first = messages("a", &blocks, "tool_use", (10, 4));
    let blocks = [thinking_block("I know.", "sig-2"), text_block(&["Hello"])];
    let turns = [first, messages("b", &blocks, "end_turn", (20, 5))];
    assert_snapshot!("messages_thinking", to_messages(Patch, &turns, FinishReason::Stop));
    assert_snapshot!("messages_thinking_model", to_messages(Model, &turns, FinishReason::Stop));
    assert_snapshot!("chat_thinking_model", to_chat(Model, &turns, FinishReason::Stop));
    let thinks = |text: &str, signature: &str| {
        json!({"reasoning": text, "reasoning_details": [{"type": "reasoning.text", "text": text,
            "signature": signature, "format": "anthropic-claude-v1", "index": 0}]})
    };
    let first =
        [role(), thinks("Let me see.", "sig-1"), call(0, "call_t", "transfer_to_b"), arguments(0, "{}")];
    let second = [role(), thinks("I know.", "sig-2"), text("Hello")];
    let turns = [chat("a", &first, "tool_calls", None), chat("b", &second, "stop", None)];
    assert_snapshot!("chat_thinking", to_chat(Patch, &turns, FinishReason::Stop));
}

#[test]
fn members_that_nobody_knows_survive() {
    let sse = concat!(
        "data: {\"id\":\"\",\"choices\":[],\"created\":0,\"model\":\"\",\"prompt_filter_results\":[1]}\n\n",
        "data: {\"id\":\"c1\",\"created\":17,\"model\":\"up\",\"new\":[1, 2],\"choices\":[{\"index\":0,\"delta\":",
        "{\"role\":\"assistant\",\"content\":\"Hi\",\"shiny\":true},\"logprobs\":{\"content\":[{\"token\":\"Hi\"}]},",
        "\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"c1\",\"created\":17,\"model\":\"up\",\"choices\":[{\"index\":0,\"delta\":{},",
        "\"logprobs\":{\"content\":[]},\"finish_reason\":\"eos\",\"native_finish_reason\":\"eos_token\"}],",
        "\"system_fingerprint\":\"fp\",\"x_groq\":{\"id\":\"r\",\"usage\":{\"prompt_tokens\":1}}}\n\n",
        "data: [DONE]\n\n",
    );
    let extras = [("agents_used", RawJson::parse("[\n\"a\"]").unwrap())];
    let end = JoinEnd { extras: &extras, usage: Some(SUM), ..end(FinishReason::Stop) };
    let turns = [turn(OpenaiChat, "shown/a", sse)];
    assert_snapshot!("chat_unknown_members", stream(OpenaiChat, Patch, &turns, &end, true).0);
    let mut turns = [messages("a", &[text_block(&["Hi"])], "end_turn", (10, 4))];
    let known = "\"stop_sequence\":null}";
    assert!(turns[0].sse.contains(known));
    turns[0].sse = turns[0].sse.replace(known, "\"stop_sequence\":null,\"new\":1}").replace("ping", "pong");
    assert_snapshot!("messages_unknown_members", stream(AnthropicMessages, Patch, &turns, &end, true).0);
}
