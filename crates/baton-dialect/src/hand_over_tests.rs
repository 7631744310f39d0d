//! A conversation goes from a model of one dialect to one of another, with all that was said.

use Dialect::{AnthropicMessages, OpenaiChat};
use baton_model::{Dialect, Message, Part, PartKind, RawObject, Request, Role};
use insta::assert_snapshot;
use serde_json::Value;

use crate::{EncodeTarget, Encoded, decode_request, encode_request};

const TARGET: EncodeTarget<'_> =
    EncodeTarget { model: "target", stream: false, default_max_tokens: 64, shared_members: false };

fn request(dialect: Dialect, body: &str, added: Vec<Message>) -> Request {
    let body = RawObject::parse(body.to_owned().into()).unwrap();
    let mut request = decode_request(dialect, &body).unwrap();
    request.messages.extend(added);
    request
}

fn encoded(target: Dialect, request: &Request) -> (Encoded, Value) {
    let encoded = encode_request(target, request, &TARGET);
    let body = serde_json::from_slice(&encoded.body).unwrap();
    (encoded, body)
}

/// The messages and what else depends on them, a line each.
fn show(target: Dialect, request: &Request) -> String {
    let (encoded, body) = encoded(target, request);
    let lines = body["messages"].as_array().unwrap().iter().map(|message| format!("{message}\n"));
    let mut text: String = lines.collect();
    for key in ["system", "tools", "tool_choice"] {
        if !body[key].is_null() {
            text.push_str(&format!("{key}: {}\n", body[key]));
        }
    }
    text + &format!("dropped {:?}, thinking left out: {}\n", encoded.dropped, encoded.left_out)
}

/// A turn of a model of this dialect that thinks, speaks and hands over, and the result of that.
fn hand_over(from: Dialect, id: &str) -> Vec<Message> {
    let thinking = PartKind::Reasoning { text: "Let me see.".to_owned(), signature: Some("sig".to_owned()) };
    let call = PartKind::ToolCall {
        id: id.to_owned(),
        name: "transfer_to_b".to_owned(),
        arguments: r#"{"reason":"arithmetic"}"#.to_owned(),
    };
    let parts = vec![Part::text("You have the conversation now.", from)];
    let result = PartKind::ToolResult { call_id: id.to_owned(), parts, is_error: false };
    let said = vec![Part::new(thinking, from), Part::text("One moment.", from), Part::new(call, from)];
    vec![
        Message { role: Role::Assistant, name: None, parts: said },
        Message { role: Role::Tool, name: None, parts: vec![Part::new(result, from)] },
    ]
}

const QUESTION: &str = r#"{"model":"m","max_tokens":64,"messages":[{"role":"user","content":"2 + 2?"}]}"#;

#[test]
fn a_conversation_ends_with_the_result_of_the_transfer_wherever_it_goes() {
    let request = request(OpenaiChat, QUESTION, hand_over(AnthropicMessages, "toolu_1"));
    assert_snapshot!("from_messages_to_chat", show(OpenaiChat, &request));
    assert_snapshot!("from_messages_to_messages", show(AnthropicMessages, &request));
    let request = self::request(OpenaiChat, QUESTION, hand_over(OpenaiChat, "call_1"));
    assert_snapshot!("from_chat_to_chat", show(OpenaiChat, &request));
    assert_snapshot!("from_chat_to_messages", show(AnthropicMessages, &request));
}

#[test]
fn thinking_is_kept_for_its_origin_and_counted_elsewhere() {
    for (from, to, left_out) in [
        (AnthropicMessages, AnthropicMessages, 0),
        (AnthropicMessages, OpenaiChat, 1),
        (OpenaiChat, AnthropicMessages, 1),
        (OpenaiChat, OpenaiChat, 0),
    ] {
        let request = request(OpenaiChat, QUESTION, hand_over(from, "call_1"));
        assert_eq!(encoded(to, &request).0.left_out, left_out, "{from} to {to}");
    }
}

#[test]
fn ids_from_elsewhere_fit_the_target_and_stay_together() {
    let long = "x".repeat(100);
    for id in [long.as_str(), "call.with.dots", "functions.search:0", "öäü", " ", "call_plain-1"] {
        let request = request(OpenaiChat, QUESTION, hand_over(OpenaiChat, id));
        let (_, chat) = encoded(OpenaiChat, &request);
        let (_, messages) = encoded(AnthropicMessages, &request);
        let in_chat = [&chat["messages"][1]["tool_calls"][0]["id"], &chat["messages"][2]["tool_call_id"]];
        let blocks = messages["messages"][1]["content"].as_array().unwrap();
        let in_messages =
            [&blocks.last().unwrap()["id"], &messages["messages"][2]["content"][0]["tool_use_id"]];
        for [call, result] in [in_chat, in_messages] {
            assert_eq!(call, result);
            let call = call.as_str().unwrap();
            assert!(call.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{call}");
            assert!(!call.is_empty());
        }
        assert!(in_chat[0].as_str().unwrap().len() <= 40);
        assert_eq!(in_chat[0] == id, id == "call_plain-1");
    }
}

#[test]
fn different_ids_stay_different() {
    let mut added = hand_over(OpenaiChat, "call.1");
    added.extend(hand_over(OpenaiChat, "call:1"));
    let request = request(OpenaiChat, QUESTION, added);
    for target in Dialect::ALL {
        let body = String::from_utf8(encode_request(target, &request, &TARGET).body).unwrap();
        let prefix = if target == AnthropicMessages { "toolu_" } else { "call_" };
        let made: std::collections::HashSet<&str> =
            body.split('"').filter(|word| word.starts_with(prefix) && word.len() > 32).collect();
        assert_eq!(made.len(), 2, "{body}");
    }
}

#[test]
fn a_history_with_calls_needs_no_tools() {
    let without_tools = QUESTION.replace("}]}", "}],\"tools\":[]}");
    let request = request(OpenaiChat, &without_tools, hand_over(OpenaiChat, "call_1"));
    let (_, chat) = encoded(OpenaiChat, &request);
    assert!(chat["tools"].is_null() && chat["tool_choice"].is_null(), "OpenAI refuses an empty list");
    let (_, messages) = encoded(AnthropicMessages, &request);
    assert_eq!(messages["tools"][0]["name"], "transfer_to_b");
    assert_eq!(messages["tool_choice"]["type"], "none");
}

#[test]
fn tools_on_offer_need_not_be_those_of_the_history() {
    let others = QUESTION.replace(
        "}]}",
        r#"}],"tools":[{"type":"function","function":{"name":"lookup","parameters":{"type":"object"}}}]}"#,
    );
    let request = request(OpenaiChat, &others, hand_over(OpenaiChat, "call_1"));
    let (_, messages) = encoded(AnthropicMessages, &request);
    assert_eq!(messages["tools"].as_array().unwrap().len(), 1);
    assert_eq!(messages["messages"][1]["content"][1]["name"], "transfer_to_b");
}

#[test]
fn a_conversation_without_a_user_gets_a_user_turn() {
    let nested = r#"{"model":"m","messages":[{"role":"system","content":"You bill."},
        {"role":"assistant","content":"For context, here is the conversation so far."}]}"#;
    assert_snapshot!("without_a_user", show(AnthropicMessages, &request(OpenaiChat, nested, Vec::new())));
    let handed_over = request(OpenaiChat, nested, hand_over(OpenaiChat, "call_1"));
    assert_snapshot!("without_a_user_handed_over", show(AnthropicMessages, &handed_over));
}
