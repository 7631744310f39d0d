//! What OpenAI's two APIs have in common reaches OpenAI, and is named as lost elsewhere.

use baton_model::{Dialect, RawObject};
use serde_json::{Value, json};

use crate::{EncodeTarget, decode_request, encode_request};

/// A request for a response as a chat request, and what was left out.
fn check(body: &Value, shared_members: bool) -> (Value, Vec<String>) {
    let body = RawObject::parse(body.to_string().into()).unwrap();
    let request = decode_request(Dialect::OpenaiResponses, &body).unwrap();
    let target = EncodeTarget { model: "up", stream: request.stream, default_max_tokens: 1, shared_members };
    let encoded = encode_request(Dialect::OpenaiChat, &request, &target);
    (serde_json::from_slice(&encoded.body).unwrap(), encoded.dropped)
}

fn shared() -> Value {
    json!({
        "input": "hi",
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "safety_identifier": "s",
        "service_tier": "flex",
        "store": true,
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "none"},
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 3,
    })
}

#[test]
fn openai_itself_gets_all_of_it_under_its_names() {
    let (sent, dropped) = check(&shared(), true);
    assert_eq!(dropped, [""; 0]);
    let expected = json!({
        "model": "up",
        "messages": [{"role": "user", "content": "hi"}],
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "safety_identifier": "s",
        "service_tier": "flex",
        "store": true,
        "verbosity": "low",
        "reasoning_effort": "none",
        "logprobs": true,
        "top_logprobs": 3,
    });
    assert_eq!(sent, expected);
}

#[test]
fn another_server_gets_what_every_one_knows_and_the_rest_is_named() {
    let (sent, dropped) = check(&shared(), false);
    assert_eq!(sent, json!({"model": "up", "messages": [{"role": "user", "content": "hi"}], "user": "s"}));
    for name in
        ["metadata", "prompt_cache_key", "service_tier", "store", "text.verbosity", "include", "top_logprobs"]
    {
        assert!(dropped.iter().any(|dropped| dropped == name), "{name}: {dropped:?}");
    }
}

#[test]
fn what_is_asked_for_beside_log_probabilities_is_lost_to_both() {
    let body =
        json!({"input": "hi", "include": ["message.output_text.logprobs", "reasoning.encrypted_content"]});
    let (sent, dropped) = check(&body, true);
    assert_eq!((&sent["logprobs"], dropped), (&json!(true), vec!["include".to_owned()]));
}

#[test]
fn how_a_stream_is_told_stands_beside_the_usage_that_is_asked_for() {
    let body = json!({"input": "hi", "stream": true, "stream_options": {"include_obfuscation": true}});
    let (sent, _) = check(&body, true);
    assert_eq!(sent["stream_options"], json!({"include_obfuscation": true, "include_usage": true}));
    let (sent, dropped) = check(&body, false);
    assert_eq!(
        (&sent["stream_options"], dropped),
        (&json!({"include_usage": true}), vec!["stream_options".to_owned()])
    );
}
