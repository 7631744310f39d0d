//! Runs one part of translating often enough for an instruction counter, and says what CPU time it takes.
//!
//! `translate_cost MODE ROUNDS` runs it so often; two runs under `valgrind --tool=callgrind` with different rounds
//! tell what one round costs. `translate_cost MODE ROUNDS time` prints the least CPU time of a round in nanoseconds,
//! over several batches. `cargo xtask bench claude` does both.
//!
//! - A round of `stream-…` is one event of text, from an upstream's to a client's; its framing is not in it.

#![expect(clippy::print_stdout, reason = "a command-line program talks to its terminal")]
#![expect(clippy::disallowed_methods, reason = "the CPU time is read from the system, not by the crate")]

use std::error::Error;
use std::hint::black_box;

use baton_dialect::{
    AnswerContext, EncodeTarget, StreamOptions, decode_answer, decode_request, encode_answer, encode_request,
    stream_decoder, stream_encoder,
};
use baton_model::{Dialect, RawObject};

const USAGE: &str = "usage: translate_cost stream-UPSTREAM-CLIENT|request-CLIENT-UPSTREAM|answer-UPSTREAM-CLIENT ROUNDS [time], \
     where dialects are `chat`, `messages` and `responses`";

/// So many batches are timed; the quickest counts.
const BATCHES: u32 = 15;

/// What a paragraph of a prompt says.
const TEXT: &str = "Please summarise the following paragraph for a busy reader, keep the names and the numbers, and say \\\"unclear\\\" where it is. ";

type Round = Box<dyn FnMut() -> usize>;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mode, rounds, timed) = match arguments.as_slice() {
        [mode, rounds] => (mode.as_str(), rounds.parse::<u32>()?, false),
        [mode, rounds, time] if time == "time" => (mode.as_str(), rounds.parse::<u32>()?, true),
        _ => return Err(USAGE.into()),
    };
    let mut round = round(mode)?;
    let mut sum = round();
    let mut run = || (0..rounds).for_each(|_| sum = sum.wrapping_add(round()));
    if timed {
        let mut least = u64::MAX;
        for _ in 0..BATCHES {
            let before = cpu_nanos()?;
            run();
            least = least.min(cpu_nanos()?.saturating_sub(before) / u64::from(rounds.max(1)));
        }
        println!("{least}");
    } else {
        run();
        println!("sum {sum}");
    }
    Ok(())
}

fn round(mode: &str) -> Result<Round, Box<dyn Error>> {
    let words: Vec<&str> = mode.split('-').collect();
    let [what, from, to] = words.as_slice() else { return Err(USAGE.into()) };
    let (from, to) = (dialect(from)?, dialect(to)?);
    match *what {
        "stream" => streamed(from, to),
        "request" => requested(from, to),
        "answer" => answered(from, to),
        _ => Err(USAGE.into()),
    }
}

fn dialect(word: &str) -> Result<Dialect, Box<dyn Error>> {
    match word {
        "chat" => Ok(Dialect::OpenaiChat),
        "messages" => Ok(Dialect::AnthropicMessages),
        "responses" => Ok(Dialect::OpenaiResponses),
        _ => Err(USAGE.into()),
    }
}

fn streamed(upstream: Dialect, client: Dialect) -> Result<Round, Box<dyn Error>> {
    let mut decoder = stream_decoder(upstream);
    let options = StreamOptions {
        model: Some("provider/model".to_owned()),
        id: "answer_1".to_owned(),
        created: 1_700_000_000,
        include_usage: true,
        request: None,
    };
    let mut encoder = stream_encoder(client, options);
    let (mut events, mut out) = (Vec::new(), Vec::new());
    let mut pass = move |(name, data): (&str, &str)| {
        events.clear();
        out.clear();
        if decoder.decode(name, data.as_bytes(), &mut events).is_err() {
            return 0;
        }
        events.iter().for_each(|event| encoder.encode(event, &mut out));
        black_box(&out).len()
    };
    let (opening, piece) = stream_of(upstream);
    opening.iter().for_each(|event| {
        black_box(pass(*event));
    });
    if pass(piece) == 0 {
        return Err("a piece of text that says nothing".into());
    }
    Ok(Box::new(move || pass(black_box(piece))))
}

type Event = (&'static str, &'static str);

/// What opens a stream of a dialect, and a piece of its text.
fn stream_of(upstream: Dialect) -> (&'static [Event], Event) {
    match upstream {
        Dialect::OpenaiChat => (
            &[(
                "",
                r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            )],
            (
                "",
                r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":{"content":" and so it goes on"},"finish_reason":null}]}"#,
            ),
        ),
        Dialect::AnthropicMessages => (
            &[
                (
                    "message_start",
                    r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}"#,
                ),
                (
                    "content_block_start",
                    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                ),
            ],
            (
                "content_block_delta",
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" and so it goes on"}}"#,
            ),
        ),
        Dialect::OpenaiResponses => (
            &[
                (
                    "response.created",
                    r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1700000000,"status":"in_progress","model":"m","output":[]}}"#,
                ),
                (
                    "response.output_item.added",
                    r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}"#,
                ),
                (
                    "response.content_part.added",
                    r#"{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}"#,
                ),
            ],
            (
                "response.output_text.delta",
                r#"{"type":"response.output_text.delta","sequence_number":3,"item_id":"msg_1","output_index":0,"content_index":0,"delta":" and so it goes on","logprobs":[]}"#,
            ),
        ),
    }
}

/// A request of about 1 KB.
fn requested(client: Dialect, upstream: Dialect) -> Result<Round, Box<dyn Error>> {
    let text = TEXT.repeat(7);
    let body = match client {
        Dialect::OpenaiChat => format!(
            r#"{{"model":"m","messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{text}"}}],"temperature":0.7,"max_tokens":256}}"#
        ),
        Dialect::AnthropicMessages => format!(
            r#"{{"model":"m","system":"You are a helpful assistant.","messages":[{{"role":"user","content":"{text}"}}],"temperature":0.7,"max_tokens":256}}"#
        ),
        Dialect::OpenaiResponses => format!(
            r#"{{"model":"m","instructions":"You are a helpful assistant.","input":"{text}","temperature":0.7,"max_output_tokens":256}}"#
        ),
    };
    let body = RawObject::parse(body.into_bytes().into())?;
    decode_request(client, &body)?;
    let target = EncodeTarget { model: "m", stream: false, default_max_tokens: 4_096, shared_members: false };
    Ok(Box::new(move || {
        let request = decode_request(client, black_box(&body));
        request.map_or(0, |request| encode_request(upstream, &request, &target).body.len())
    }))
}

/// An answer of about 500 bytes.
fn answered(upstream: Dialect, client: Dialect) -> Result<Round, Box<dyn Error>> {
    let text = "It is unclear. ".repeat(12);
    let body = match upstream {
        Dialect::OpenaiChat => format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":25,"completion_tokens":40,"total_tokens":65}}}}"#
        ),
        Dialect::AnthropicMessages => format!(
            r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":25,"output_tokens":40}}}}"#
        ),
        Dialect::OpenaiResponses => format!(
            r#"{{"id":"resp_1","object":"response","created_at":1700000000,"status":"completed","model":"m","output":[{{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{{"type":"output_text","text":"{text}","annotations":[]}}]}}],"usage":{{"input_tokens":25,"output_tokens":40,"total_tokens":65}}}}"#
        ),
    };
    decode_answer(upstream, body.as_bytes()).map_err(|fault| fault.message)?;
    Ok(Box::new(move || {
        let context = AnswerContext { model: "provider/model", created: 1_700_000_000, request: None };
        let answer = decode_answer(upstream, black_box(body.as_bytes()));
        answer.map_or(0, |answer| encode_answer(client, &answer, &context).len())
    }))
}

/// The CPU time of this thread so far.
fn cpu_nanos() -> Result<u64, Box<dyn Error>> {
    // The system counts up to the last switch: this makes one.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_ascii_whitespace().next().ok_or("no CPU time in schedstat")?;
    Ok(nanos.parse()?)
}
