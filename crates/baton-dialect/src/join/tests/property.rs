//! Random turns: the joined stream, put together as a client does, says what the joined answer says.

use baton_model::{Answer, Delta, Part, PartKind, PartStart};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::accumulate::accumulate;
use super::*;
use crate::{decode_answer, encode_answer, stream_encoder};

/// What a turn says, piece by piece.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Thinking(String),
    Call { hidden: bool, arguments: usize },
}

/// A turn: its upstream, what it says, how long its deltas are, and which chunks come as one.
#[derive(Clone, Debug)]
struct Draft {
    upstream: Dialect,
    pieces: Vec<Piece>,
    cut: usize,
    merged: Vec<bool>,
}

fn turns_of(dialects: &[Dialect]) -> impl Strategy<Value = Vec<Draft>> + use<> {
    let piece = prop_oneof![
        "[a-z\"\\\\é\n]{0,7}[a-z]".prop_map(Piece::Text),
        "[a-z]{1,8}".prop_map(Piece::Thinking),
        (any::<bool>(), 0..3_usize).prop_map(|(hidden, arguments)| Piece::Call { hidden, arguments }),
    ];
    let draft = (select(dialects.to_vec()), vec(piece, 0..5), 1..6_usize, vec(any::<bool>(), 24)).prop_map(
        |(upstream, mut pieces, cut, merged)| {
            // A whole chat answer has one order only.
            if upstream == Dialect::OpenaiChat {
                pieces.sort_by_key(|piece| match piece {
                    Piece::Thinking(_) => 0,
                    Piece::Text(_) => 1,
                    Piece::Call { .. } => 2,
                });
            }
            Draft { upstream, pieces, cut, merged }
        },
    );
    vec(draft, 1..4)
}

const ARGUMENTS: [&str; 3] = ["{}", r#"{"a":1}"#, r#"{"long":"argument \" text"}"#];

fn answer(at: usize, draft: &Draft) -> Answer {
    let own = draft.upstream == Dialect::AnthropicMessages;
    let parts: Vec<Part> = (0..)
        .zip(&draft.pieces)
        .map(|(i, piece)| match piece {
            Piece::Text(text) => PartKind::Text(text.clone()),
            Piece::Thinking(text) => {
                PartKind::Reasoning { text: text.clone(), signature: own.then(|| format!("sig_{at}_{i}")) }
            }
            Piece::Call { hidden, arguments } => PartKind::ToolCall {
                id: format!("toolu_{at}_{i}"),
                name: if *hidden { "transfer_to_x" } else { "lookup" }.to_owned(),
                arguments: ARGUMENTS[*arguments].to_owned(),
            },
        })
        .map(|kind| Part::new(kind, draft.upstream))
        .collect();
    let calls = parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. }));
    Answer {
        id: format!("msg_{at}"),
        model: "up".to_owned(),
        created: Some(17),
        parts,
        finish: if calls { FinishReason::ToolCalls } else { FinishReason::Stop },
        stop_sequence: None,
        usage: Some(Usage { input_tokens: 10, cached_input_tokens: 4, output_tokens: 3, ..Usage::default() }),
        logprobs: None,
    }
}

/// The stream that an upstream would send for an answer.
fn sse(answer: &Answer, draft: &Draft) -> String {
    let mut events = vec![StreamEvent::Start { id: answer.id.clone(), model: answer.model.clone() }];
    for (index, part) in (0..).zip(&answer.parts) {
        let (part, text, signature) = match &part.kind {
            PartKind::Text(text) => (PartStart::Text, text, None),
            PartKind::Reasoning { text, signature } => (PartStart::Reasoning, text, signature.clone()),
            PartKind::ToolCall { id, name, arguments } => {
                (PartStart::ToolCall { id: id.clone(), name: name.clone() }, arguments, None)
            }
            other => panic!("{other:?}"),
        };
        let is_call = matches!(part, PartStart::ToolCall { .. });
        events.push(StreamEvent::PartStart { index, part });
        let characters: Vec<char> = text.chars().collect();
        let pieces = characters.chunks(draft.cut).map(|piece| piece.iter().collect());
        let deltas = pieces.map(if is_call { Delta::Arguments } else { Delta::Text });
        let deltas = deltas.chain(signature.map(Delta::Signature));
        events.extend(deltas.map(|delta| StreamEvent::Delta { index, delta }));
        events.push(StreamEvent::PartEnd { index });
    }
    events.extend(answer.usage.map(StreamEvent::Usage));
    events.push(StreamEvent::Finish { reason: answer.finish, stop_sequence: None });
    let mut encoder = stream_encoder(draft.upstream, options(true));
    let mut out = Vec::new();
    for event in events {
        encoder.encode(&event, &mut out);
    }
    encoder.end(&mut out);
    let sse = String::from_utf8(out).unwrap();
    if draft.upstream == Dialect::OpenaiChat { merge(&sse, &draft.merged) } else { sse }
}

/// Makes one chunk of neighbours, where the order of what they say stays the same.
fn merge(sse: &str, merged: &[bool]) -> String {
    let mut chunks: Vec<Value> = Vec::new();
    let events = Sse::default().push(sse.as_bytes());
    for (at, (_, data)) in events.iter().enumerate().take(events.len() - 1) {
        let chunk: Value = serde_json::from_slice(data).unwrap();
        let fits = chunks.last().is_some_and(|last| ranks(last).1 <= ranks(&chunk).0);
        if !fits || !merged[at % merged.len()] {
            chunks.push(chunk);
            continue;
        }
        let last = &mut chunks.last_mut().unwrap()["choices"][0];
        last["finish_reason"] = chunk["choices"][0]["finish_reason"].clone();
        for (key, value) in chunk["choices"][0]["delta"].as_object().unwrap() {
            match (&mut last["delta"][key.as_str()], value) {
                (Value::String(known), Value::String(more)) => known.push_str(more),
                (Value::Array(known), Value::Array(more)) => known.extend(more.iter().cloned()),
                (known, value) => *known = value.clone(),
            }
        }
    }
    let chunks: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    chunks.concat() + "data: [DONE]\n\n"
}

/// The first and the last kind of what a chunk says, in the order in which one chunk is read.
fn ranks(chunk: &Value) -> (usize, usize) {
    let choice = &chunk["choices"][0];
    let delta = &choice["delta"];
    if choice.is_null() || !delta["reasoning_details"].is_null() {
        return (0, 9);
    }
    let kinds = ["reasoning_content", "content", "tool_calls"];
    let said = |key: &&str| !delta[*key].is_null() && delta[*key] != "";
    let end = if choice["finish_reason"].is_null() { 0 } else { 8 };
    let (first, last) = (kinds.iter().position(said), kinds.iter().rposition(said));
    (first.unwrap_or(end), last.unwrap_or(0).max(end))
}

/// What is compared.
fn summary(client: Dialect, whole: &Value) -> Value {
    match client {
        Dialect::OpenaiChat => {
            let message = &whole["message"];
            json!({"id": whole["id"], "created": whole["created"], "model": whole["model"],
                "text": message["content"].as_str().unwrap_or_default(),
                "thinking": message["reasoning_content"].as_str().unwrap_or_default(),
                "calls": message["tool_calls"], "reason": whole["finish_reason"], "usage": whole["usage"]})
        }
        Dialect::AnthropicMessages => {
            let usage = &whole["usage"];
            let figures = ["input_tokens", "cache_read_input_tokens", "output_tokens"];
            let mut content = whole["content"].clone();
            content.as_array_mut().unwrap().retain(|block| block["text"] != "");
            json!({"id": whole["id"], "content": content, "reason": whole["stop_reason"],
                "usage": figures.map(|key| usage[key].clone())})
        }
        Dialect::OpenaiResponses => {
            json!({"id": whole["id"], "model": whole["model"], "output": whole["output"],
            "status": whole["status"], "details": whole["incomplete_details"], "usage": whole["usage"]})
        }
    }
}

fn check(client: Dialect, lane: JoinLane, drafts: &[Draft]) {
    let context = AnswerContext { model: "up", created: 1, request: None };
    let mut turns: Vec<Turn> = Vec::new();
    let mut wholes: Vec<(Dialect, Bytes, Answer)> = Vec::new();
    for (at, draft) in drafts.iter().enumerate() {
        let answer = answer(at, draft);
        let raw = Bytes::from(encode_answer(draft.upstream, &answer, &context));
        // What reads back is what an upstream would have meant by it.
        let read = decode_answer(draft.upstream, &raw).unwrap();
        turns.push(turn(draft.upstream, "shown/model", &sse(&answer, draft)));
        wholes.push((draft.upstream, raw, read));
    }
    let calls: Vec<(&str, &str)> = wholes.iter().flat_map(|(_, _, answer)| calls(answer)).collect();
    let shows_call = calls.iter().any(|(_, name)| !is_hidden_name(name));
    let finish = if shows_call { FinishReason::ToolCalls } else { FinishReason::Stop };
    let sum = Usage { input_tokens: 40, cached_input_tokens: 8, output_tokens: 11, ..Usage::default() };
    let end = JoinEnd { usage: Some(sum), ..end(finish) };

    let (out, said) = stream(client, lane, &turns, &end, true);
    assert!(!out.contains("transfer_to_"), "{out}");
    let streamed = accumulate(client, &out);
    let hidden = |answer: &Answer| -> Vec<String> {
        let hidden = self::calls(answer).into_iter().filter(|(_, name)| is_hidden_name(name));
        hidden.map(|(id, _)| id.to_owned()).collect()
    };
    let hidden: Vec<Vec<String>> = wholes.iter().map(|(_, _, answer)| hidden(answer)).collect();
    let turn_answers: Vec<TurnAnswer<'_>> = wholes
        .iter()
        .zip(&hidden)
        .map(|((dialect, raw, answer), hidden)| TurnAnswer { dialect: *dialect, raw, answer, hidden })
        .collect();
    let context = AnswerContext { model: "shown/model", created: 1_700_000_000, request: None };
    let id = streamed["id"].as_str().unwrap();
    let whole = join_answers(client, lane, &turn_answers, &end, &context, id).unwrap();
    let mut whole: Value = serde_json::from_slice(&whole).unwrap();
    if client == Dialect::OpenaiChat {
        let choice = whole["choices"][0].clone();
        whole["message"] = choice["message"].clone();
        whole["finish_reason"] = choice["finish_reason"].clone();
        whole["created"] = streamed["created"].clone();
    }
    assert_eq!(summary(client, &streamed), summary(client, &whole), "{out}");
    let told: Vec<(&str, &str)> = said.iter().flatten().filter_map(call_of).collect();
    assert_eq!(told, calls, "what is hidden is told to the gateway all the same");

    for size in [1, 7] {
        let mut joiner = Joiner::new(client, lane, options(true));
        let pieces = play(&mut joiner, &turns, &end, size);
        assert_eq!((&pieces.0, &pieces.1), (&out, &said), "cut into pieces of {size}");
    }
}

fn calls(answer: &Answer) -> Vec<(&str, &str)> {
    let calls = answer.parts.iter().filter_map(|part| match &part.kind {
        PartKind::ToolCall { id, name, .. } => Some((id.as_str(), name.as_str())),
        _ => None,
    });
    calls.collect()
}

fn call_of(event: &StreamEvent) -> Option<(&str, &str)> {
    match event {
        StreamEvent::PartStart { part: PartStart::ToolCall { id, name }, .. } => Some((id, name)),
        _ => None,
    }
}

proptest! {
    #[test]
    fn chat_turns_patched_say_the_same_streamed_or_whole(turns in turns_of(&[Dialect::OpenaiChat])) {
        check(Dialect::OpenaiChat, JoinLane::Patch, &turns);
    }

    #[test]
    fn messages_turns_patched_say_the_same_streamed_or_whole(turns in turns_of(&[Dialect::AnthropicMessages])) {
        check(Dialect::AnthropicMessages, JoinLane::Patch, &turns);
    }

    #[test]
    fn turns_of_any_dialect_say_the_same_to_a_chat_client(turns in turns_of(&Dialect::ALL)) {
        check(Dialect::OpenaiChat, JoinLane::Model, &turns);
    }

    #[test]
    fn turns_of_any_dialect_say_the_same_to_a_messages_client(turns in turns_of(&Dialect::ALL)) {
        check(Dialect::AnthropicMessages, JoinLane::Model, &turns);
    }

    #[test]
    fn turns_of_any_dialect_say_the_same_to_a_responses_client(turns in turns_of(&Dialect::ALL)) {
        check(Dialect::OpenaiResponses, JoinLane::Model, &turns);
    }
}
