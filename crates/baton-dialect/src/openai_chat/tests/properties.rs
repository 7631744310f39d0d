//! Properties that hold for whatever a client or an upstream sends.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::matrix_tests::assert_grammar;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Written and read again, a request means the same.
    #[test]
    fn a_request_survives_its_own_dialect(body in request()) {
        let first = decoded(&body.to_string());
        let target = EncodeTarget { model: "m", stream: first.stream, default_max_tokens: 1, shared_members: false };
        let encoded = encode_request(&first, &target);
        prop_assert_eq!(encoded.dropped, Vec::<String>::new());
        let mut second = decode_request(&RawObject::parse(encoded.body.into()).unwrap()).unwrap();
        // On streams usage is always asked for.
        second.stream_usage = first.stream_usage;
        prop_assert_eq!(second, first);
    }

    /// However arguments are cut into fragments, they come out whole and in their call.
    #[test]
    fn arguments_in_any_pieces_come_out_whole(
        calls in prop::collection::vec(prop::collection::vec("[a-z\"\\\\{}: \u{1f600}]{1,5}", 1..5), 1..4),
        by_index in any::<bool>(),
    ) {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        let mut feed = |call: Value| {
            let chunk = json!({"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
            decoder.decode("", chunk.to_string().as_bytes(), &mut events).unwrap();
        };
        let index = |i: usize| if by_index { json!(i) } else { Value::Null };
        for i in 0..calls.len() {
            feed(json!({"index": index(i), "id": format!("call_{i}"), "type": "function", "function": {"name": format!("f{i}"), "arguments": ""}}));
        }
        // One fragment of each call in turn.
        for turn in 0..5 {
            for (i, pieces) in calls.iter().enumerate() {
                if let Some(piece) = pieces.get(turn) {
                    feed(json!({"index": index(i), "id": format!("call_{i}"), "function": {"arguments": piece}}));
                }
            }
        }
        decoder.decode("", b"[DONE]", &mut events).unwrap();
        let whole: Vec<String> = calls.iter().map(|pieces| pieces.concat()).collect();
        prop_assert_eq!(arguments(&events), whole);
    }

    /// A damaged answer or chunk is a fault or another answer, and never a panic.
    #[test]
    fn damage_is_survived(at in 0_usize..600, byte in any::<u8>()) {
        const CHUNK: &str = r#"{"id":"x","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":[{"type":"text","text":"a"}],"reasoning_details":[{"type":"reasoning.text","text":"t","signature":"s","format":"anthropic-claude-v1"}],"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"message":{"content":"x","function_call":{"name":"f","arguments":{"a":[1,2]}}},"finish_reason":"stop","logprobs":null}],"usage":{"prompt_tokens":1,"completion_tokens":1.5,"prompt_tokens_details":{"cached_tokens":"7"}},"error":null}"#;
        let mut damaged = CHUNK.as_bytes().to_vec();
        if let Some(place) = damaged.get_mut(at) {
            *place = byte;
        }
        let mut events = Vec::new();
        let read = Decoder::default().decode("", &damaged, &mut events);
        assert_grammar(&events);
        for kind in [read.err(), decode_answer(&damaged).err(), observe_event("", &damaged).err()].into_iter().flatten() {
            prop_assert_eq!(kind.kind, FaultKind::MalformedAnswer);
        }
        prop_assert!(decode_error(500, &damaged).message.chars().count() <= 500);
    }
}

fn arguments(events: &[StreamEvent]) -> Vec<String> {
    let mut all: Vec<(u32, String)> = Vec::new();
    for event in events {
        match event {
            StreamEvent::PartStart { index, .. } => all.push((*index, String::new())),
            StreamEvent::Delta { index, delta: baton_model::Delta::Arguments(piece) } => {
                all.iter_mut().find(|(part, _)| part == index).unwrap().1.push_str(piece);
            }
            _ => {}
        }
    }
    all.into_iter().map(|(_, text)| text).collect()
}

fn request() -> impl Strategy<Value = Value> {
    let members = (tools(), sampling(), output(), any::<bool>(), prop::option::of("[a-z]{1,4}"));
    (prop::collection::vec(turn(), 0..5), members).prop_map(|(turns, (tools, sampling, output, stream, user))| {
        let mut messages = Vec::new();
        for (i, mut turn) in turns.into_iter().enumerate() {
            name_calls(i, &mut turn);
            messages.extend(turn);
        }
        let mut body = json!({"model": "m", "messages": messages, "tools": tools, "response_format": output, "user": user, "metadata": {"a": 1.50}, "n": 2});
        if !tools.is_empty() {
            body["tool_choice"] = json!({"type": "function", "function": {"name": tools[0]["function"]["name"]}});
            body["parallel_tool_calls"] = json!(false);
        }
        if stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        body.as_object_mut().unwrap().extend(sampling.as_object().unwrap().clone());
        body
    })
}

/// Ids are unique in a conversation.
fn name_calls(i: usize, turn: &mut [Value]) {
    for message in turn {
        for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            call["id"] = json!(format!("call_{i}_{}", call["id"]));
        }
        if let Some(id) = message.get("tool_call_id") {
            message["tool_call_id"] = json!(format!("call_{i}_{id}"));
        }
    }
}

/// One message, or calls with their results.
fn turn() -> impl Strategy<Value = Vec<Value>> {
    let plain = (
        prop::sample::select(vec!["system", "developer", "user"]),
        content(true),
        prop::option::of("[a-z]{1,5}"),
    )
        .prop_map(|(role, content, name)| vec![json!({"role": role, "content": content, "name": name})]);
    let assistant = (content(false), prop::option::of(text()), prop::option::of(text()))
        .prop_map(|(content, refusal, thinking)| {
            vec![json!({"role": "assistant", "content": content, "refusal": refusal, "reasoning_content": thinking})]
        });
    let round = (content(false), prop::collection::vec(("[a-z_]{1,8}", text(), content(false)), 1..4)).prop_map(
        |(said, calls)| {
            let function = |(i, (name, arguments, _)): (usize, &(String, String, Value))| {
                json!({"id": i, "type": "function", "function": {"name": name, "arguments": arguments}})
            };
            let asked: Vec<Value> = calls.iter().enumerate().map(function).collect();
            let mut messages = vec![json!({"role": "assistant", "content": said, "tool_calls": asked})];
            for (i, (_, _, content)) in calls.into_iter().enumerate() {
                messages.push(json!({"role": "tool", "tool_call_id": i, "content": content}));
            }
            messages
        },
    );
    prop_oneof![plain, assistant, round]
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{1,8}"
}

fn content(with_images: bool) -> impl Strategy<Value = Value> {
    let part = if with_images {
        prop_oneof![
            text().prop_map(|text| json!({"type": "text", "text": text})),
            Just(json!({"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}})),
            Just(json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}})),
            Just(json!({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}})),
        ]
        .boxed()
    } else {
        text().prop_map(|text| json!({"type": "text", "text": text})).boxed()
    };
    prop_oneof![
        Just(Value::Null),
        "\\PC{0,8}".prop_map(Value::String),
        prop::collection::vec(part, 0..4).prop_map(Value::Array)
    ]
}

fn tools() -> impl Strategy<Value = Vec<Value>> {
    let tool = ("[a-z]{1,8}", prop::option::of(text()), prop::option::of(any::<bool>())).prop_map(
        |(name, description, strict)| {
            json!({"type": "function", "function": {"name": name, "description": description, "strict": strict, "parameters": {"type": "object", "properties": {}}}})
        },
    );
    prop::collection::vec(tool, 0..3)
}

fn sampling() -> impl Strategy<Value = Value> {
    let number = || prop::option::of((0_u32..20).prop_map(|tenths| f64::from(tenths) / 10.0));
    let whole = || prop::option::of(0_u32..1000);
    (number(), number(), whole(), whole(), prop::collection::vec(text(), 0..3)).prop_map(
        |(temperature, top_p, top_k, limit, stop)| {
            json!({"temperature": temperature, "top_p": top_p, "top_k": top_k, "max_tokens": limit, "stop": stop, "seed": limit, "presence_penalty": top_p})
        },
    )
}

fn output() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!({"type": "text"})),
        Just(json!({"type": "json_object"})),
        Just(
            json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}})
        ),
    ]
}
