//! Random conversations and streams: what is written keeps the rules, and the meaning.

use baton_model::{
    CacheControl, Delta, Dialect, FinishReason, ImageSource, Message, OutputFormat, Part, PartKind,
    PartStart, RawJson, Reasoning, Role, Sampling, Tool, ToolChoice,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::stream::{begin, call, encode_stream, more, read_strictly};
use super::*;
use crate::Additions;

proptest! {
    #[test]
    fn any_conversation_becomes_one_that_a_strict_server_takes(request in any_request()) {
        let encoded = encode_request(&request, &TARGET);
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        assert_accepted(&body);
        assert_nothing_lost(&request, &encoded.body);
    }

    #[test]
    fn any_conversation_goes_on_as_one_that_a_strict_server_takes(
        request in any_request(),
        more in any_request(),
    ) {
        let body = RawObject::parse(encode_request(&request, &TARGET).body.into()).unwrap();
        let additions = Additions { messages: &more.messages, tools: &more.tools, ..Additions::default() };
        let edits = extend_request(&body, &additions).unwrap();
        let extended: Value = serde_json::from_slice(&body.rewrite(&edits).concat()).unwrap();
        assert_accepted(&extended);
    }

    #[test]
    fn what_was_written_is_written_again_the_same(request in any_request()) {
        let once = encode_request(&request, &TARGET).body;
        let again = encode_request(&decode(std::str::from_utf8(&once).unwrap()), &TARGET).body;
        prop_assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(once).unwrap());
    }

    #[test]
    fn a_tidy_request_keeps_its_meaning(request in tidy_request()) {
        let encoded = encode_request(&request, &TARGET);
        prop_assert_eq!(&encoded.dropped, &Vec::<String>::new());
        prop_assert_eq!(decode(std::str::from_utf8(&encoded.body).unwrap()), request);
    }

    #[test]
    fn no_damage_makes_a_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        for text in [
            fixture!("request/tool_round_parallel.json"),
            fixture!("request/thinking_adaptive_effort_max.json"),
            fixture!("answer/thinking.json"),
            fixture!("error/429_spend.json"),
            fixture!("stream/tool.sse"),
            fixture!("stream/server_tool.sse"),
        ] {
            let mut bytes = text.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(if cut { at } else { bytes.len() });
            feed(&bytes);
        }
    }

    #[test]
    fn any_interleaving_is_written_block_by_block(steps in vec((0..4_u32, 0..4_u8), 0..40)) {
        let (events, expected) = interleave(&steps);
        prop_assert_eq!(read_strictly(&encode_stream(&events)), expected);
    }
}

/// Gives bytes to everything that reads. What comes of it does not matter.
fn feed(bytes: &[u8]) {
    if let Ok(body) = RawObject::parse(bytes.to_vec().into()) {
        let repaired = repair_request(&body).is_ok();
        let decoded = decode_request(&body).map(|request| encode_request(&request, &TARGET));
        assert!(repaired || decoded.is_err(), "what is refused is not decoded either");
    }
    let seen = observe_answer(bytes).is_ok();
    assert!(seen || decode_answer(bytes).is_err(), "what is decoded is also seen");
    decode_error(500, bytes);
    let mut decoder = Decoder::default();
    let mut decoded = Vec::new();
    for (event, data) in events(&String::from_utf8_lossy(bytes)) {
        if decoder.decode(event, data.as_bytes(), &mut decoded).is_err() {
            break;
        }
    }
    // What was decoded of a damaged stream can still be written whole.
    read_strictly(&encode_stream(&decoded));
}

/// Turns steps (which part, what to do) into a stream, and says what each block must hold.
fn interleave(steps: &[(u32, u8)]) -> (Vec<StreamEvent>, Vec<String>) {
    let mut events = Vec::new();
    let mut parts: Vec<(u32, bool, String)> = Vec::new();
    for (at, (slot, action)) in steps.iter().enumerate() {
        let open = parts.iter_mut().find(|(part, ended, _)| part % 4 == *slot && !ended);
        match (open, action) {
            (None, _) => {
                let part = u32::try_from(parts.len()).unwrap() * 4 + slot;
                let kind = if slot % 2 == 0 { PartStart::Text } else { call(&format!("call_{part}")) };
                events.push(begin(part, kind));
                parts.push((part, false, String::new()));
            }
            (Some((part, ended, _)), 0) => {
                *ended = true;
                events.push(StreamEvent::PartEnd { index: *part });
            }
            (Some((part, _, content)), _) => {
                let added = format!("<{at}>");
                content.push_str(&added);
                let delta = if slot % 2 == 0 { Delta::Text(added) } else { Delta::Arguments(added) };
                events.push(more(*part, delta));
            }
        }
    }
    events.push(StreamEvent::Finish { reason: FinishReason::Stop, stop_sequence: None });
    (events, parts.into_iter().map(|(_, _, content)| content).collect())
}

/// The rules of a Messages server that are not in its schema.
#[track_caller]
fn assert_accepted(body: &Value) {
    let messages = body["messages"].as_array().unwrap();
    assert_eq!(messages[0]["role"], "user");
    let mut pending: Vec<&str> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut previous = "";
    for message in messages {
        let role = message["role"].as_str().unwrap();
        assert!(role != previous, "two turns of {role}");
        previous = role;
        let content = message["content"].as_array().unwrap();
        assert!(!content.is_empty());
        let answered: Vec<&str> = content.iter().filter_map(|block| block["tool_use_id"].as_str()).collect();
        assert_eq!(answered, pending, "calls and results do not fit");
        assert!(content.iter().take(answered.len()).all(|block| block["type"] == "tool_result"));
        pending = content
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .map(|block| block["id"].as_str().unwrap())
            .collect();
        for id in &pending {
            assert!(
                !id.is_empty()
                    && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            );
            assert!(!seen.contains(id), "{id} stands twice");
        }
        seen.extend(&pending);
        content.iter().for_each(assert_block);
    }
    assert!(pending.is_empty(), "calls at the end without results");
    assert!(seen.is_empty() || !body["tools"].as_array().unwrap().is_empty());
    assert!(body["tool_choice"].is_null() || body["tools"].is_array());
}

#[track_caller]
fn assert_block(block: &Value) {
    match block["type"].as_str().unwrap() {
        "text" => assert!(!block["text"].as_str().unwrap().trim().is_empty()),
        "tool_use" => assert!(block["input"].is_object()),
        "tool_result" => {
            let content = block["content"].as_array();
            assert!(!block["is_error"].as_bool().unwrap_or(false) || content.is_some());
            content.into_iter().flatten().for_each(assert_block);
        }
        _ => {}
    }
}

#[track_caller]
fn assert_nothing_lost(request: &Request, body: &[u8]) {
    let body: Value = serde_json::from_slice(body).unwrap();
    let written = body["messages"].to_string() + &body["system"].to_string();
    let mut calls = 0;
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        match &part.kind {
            PartKind::Text(text) => assert!(written.contains(text.trim()), "{text} is lost"),
            PartKind::ToolCall { .. } => calls += 1,
            PartKind::ToolResult { parts, .. } => {
                for part in parts {
                    let PartKind::Text(text) = &part.kind else { continue };
                    assert!(written.contains(text.trim()), "result {text} is lost");
                }
            }
            _ => {}
        }
    }
    assert_eq!(written.matches("\"type\":\"tool_use\"").count(), calls);
}

fn dialect() -> impl Strategy<Value = Dialect> {
    select(&Dialect::ALL[..])
}

fn words() -> impl Strategy<Value = String> {
    select(vec!["", " \n", "Hello.", "Well… ", " two words", "ends here\n"]).prop_map(str::to_owned)
}

/// Any part, in any place.
fn any_part() -> impl Strategy<Value = Part> {
    let ids = || select(vec!["call_1", "call_2", "functions.run:0", ""]).prop_map(str::to_owned);
    let arguments = select(vec!["{}", "", r#"{"a":1}"#, "[1]", "{cut"]).prop_map(str::to_owned);
    let kind = prop_oneof![
        4 => words().prop_map(PartKind::Text),
        1 => words().prop_map(PartKind::Refusal),
        2 => (ids(), arguments)
            .prop_map(|(id, arguments)| PartKind::ToolCall { id, name: "run".to_owned(), arguments }),
        2 => (ids(), words(), any::<bool>(), dialect()).prop_map(|(call_id, words, is_error, dialect)| {
            PartKind::ToolResult { call_id, parts: vec![Part::text(words, dialect)], is_error }
        }),
        1 => (words(), option::of(words()))
            .prop_map(|(text, signature)| PartKind::Reasoning { text, signature }),
        1 => Just(PartKind::Image { source: ImageSource::Url("https://example.com/a".to_owned()), detail: None }),
    ];
    (kind, dialect()).prop_map(|(kind, dialect)| Part::new(kind, dialect))
}

fn any_request() -> impl Strategy<Value = Request> {
    let role = select(vec![Role::System, Role::Developer, Role::User, Role::Assistant, Role::Tool]);
    let message = (role, vec(any_part(), 0..4)).prop_map(|(role, parts)| Message { role, name: None, parts });
    let choice = option::of(select(vec![ToolChoice::Auto, ToolChoice::None, ToolChoice::Required]));
    let effort = option::of(select(vec!["none", "low", "high"]));
    (vec(message, 0..8), vec(tool(), 0..2), choice, option::of(any::<bool>()), effort, dialect()).prop_map(
        |(messages, tools, tool_choice, parallel_tool_calls, effort, origin)| Request {
            origin,
            messages,
            tools,
            tool_choice,
            parallel_tool_calls,
            reasoning: effort
                .map(|effort| Reasoning { effort: Some(effort.to_owned()), ..Reasoning::default() }),
            ..empty()
        },
    )
}

fn empty() -> Request {
    Request {
        origin: DIALECT,
        messages: Vec::new(),
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        output: OutputFormat::Text,
        sampling: Sampling::default(),
        reasoning: None,
        stream: false,
        stream_usage: false,
        user: None,
        extra: Vec::new(),
    }
}

fn raw(json: &str) -> RawJson {
    RawJson::parse(json).unwrap()
}

fn tool() -> impl Strategy<Value = Tool> {
    (option::of("[a-z ]{1,9}"), option::of(Just(true)), cache()).prop_map(|(description, strict, cache)| {
        let parameters = Some(raw(r#"{"type":"object","properties":{"a":{"type":"number"}}}"#));
        Tool::Function { name: "run".to_owned(), description, parameters, strict, cache }
    })
}

fn cache() -> impl Strategy<Value = Option<CacheControl>> {
    option::of(Just(CacheControl(raw(r#"{"type":"ephemeral"}"#))))
}

fn tidy_part() -> impl Strategy<Value = Part> {
    let image = prop_oneof![
        Just(ImageSource::Url("https://example.com/a".to_owned())),
        Just(ImageSource::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() }),
    ];
    let kind = prop_oneof![
        3 => "[a-z\\PC]{0,8}x".prop_map(PartKind::Text),
        1 => image.prop_map(|source| PartKind::Image { source, detail: None }),
        1 => Just(PartKind::Other(raw(r#"{"type":"document","title":null}"#))),
    ];
    (kind, cache()).prop_map(|(kind, cache)| {
        let cache = cache.filter(|_| !matches!(kind, PartKind::Other(_)));
        Part { cache, ..Part::new(kind, DIALECT) }
    })
}

fn share() -> impl Strategy<Value = f64> {
    (0..=100_u8).prop_map(|hundredths| f64::from(hundredths) / 100.0)
}

/// A user's words, the model's thinking and calls, and their results.
fn tidy_round(number: usize) -> impl Strategy<Value = Vec<Message>> {
    let thinking = option::of(("[a-z]{0,5}", "[a-zA-Z0-9+/=]{4,9}"));
    let calls = vec((r#"\{"a":[1-9][0-9]{0,2}\}"#, vec(tidy_part(), 0..3), any::<bool>()), 0..3);
    (vec(tidy_part(), 1..3), thinking, "[a-z]{1,9}", calls).prop_map(move |(asked, thinking, said, calls)| {
        let mut answer: Vec<Part> = thinking
            .map(|(text, signature)| PartKind::Reasoning { text, signature: Some(signature) })
            .into_iter()
            .chain([PartKind::Text(said)])
            .map(|kind| Part::new(kind, DIALECT))
            .collect();
        let mut results = Vec::new();
        for (at, (arguments, parts, fails)) in calls.into_iter().enumerate() {
            let id = format!("toolu_{number}_{at}");
            let is_error = fails && !parts.is_empty();
            results.push(Part::new(PartKind::ToolResult { call_id: id.clone(), parts, is_error }, DIALECT));
            answer.push(Part::new(PartKind::ToolCall { id, name: "run".to_owned(), arguments }, DIALECT));
        }
        // The results of a round stand at the head of the user's next message.
        results.push(Part::text("go on", DIALECT));
        vec![
            Message { role: Role::User, name: None, parts: asked },
            Message { role: Role::Assistant, name: None, parts: answer },
            Message { role: Role::User, name: None, parts: results },
            Message { role: Role::Assistant, name: None, parts: vec![Part::text("done", DIALECT)] },
        ]
    })
}

/// A request that says everything in this dialect's own way, so that nothing needs to be moved.
fn tidy_request() -> impl Strategy<Value = Request> {
    let system = vec("[a-z]{1,9}".prop_map(|text| Part::text(text, DIALECT)), 0..3);
    let output = prop_oneof![
        Just(OutputFormat::Text),
        Just(OutputFormat::JsonSchema {
            name: "output".to_owned(),
            description: None,
            schema: raw(r#"{"type":"object"}"#),
            strict: Some(true)
        }),
    ];
    let sampling = (option::of(share()), option::of(share()), option::of(1..99_u64), vec("[a-z]{1,3}", 0..2));
    let sampling = sampling.prop_map(|(temperature, top_p, top_k, stop)| Sampling {
        temperature,
        top_p,
        top_k,
        stop,
        max_output_tokens: Some(2_048),
        ..Sampling::default()
    });
    let reasoning = option::of(prop_oneof![
        (1_024..99_999_u64)
            .prop_map(|budget| Reasoning { budget_tokens: Some(budget), ..Reasoning::default() }),
        select(vec!["none", "low", "xhigh"])
            .prop_map(|effort| Reasoning { effort: Some(effort.to_owned()), ..Reasoning::default() }),
    ]);
    let choice = select(vec![
        (None, None),
        (Some(ToolChoice::Auto), Some(false)),
        (Some(ToolChoice::Required), None),
        (Some(ToolChoice::Tool("run".to_owned())), Some(false)),
        (Some(ToolChoice::None), None),
    ]);
    let rounds = (tidy_round(0), tidy_round(1));
    (system, rounds, tool(), choice, output, sampling, reasoning, option::of("[a-z]{1,9}")).prop_map(
        |(
            system,
            (first, second),
            tool,
            (tool_choice, parallel_tool_calls),
            output,
            sampling,
            reasoning,
            user,
        )| {
            let system = Message { role: Role::System, name: None, parts: system };
            let system = Some(system).filter(|system| !system.parts.is_empty());
            Request {
                messages: system.into_iter().chain(first).chain(second).collect(),
                tools: vec![tool],
                tool_choice,
                parallel_tool_calls,
                output,
                sampling,
                reasoning,
                user,
                extra: vec![("service_tier".to_owned(), raw("\"auto\""))],
                ..empty()
            }
        },
    )
}
