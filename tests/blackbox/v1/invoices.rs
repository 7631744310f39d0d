//! What an answer costs, to the nano-dollar, in each provider's own way of counting.
//!
//! The costs are worked out by hand from the figures beside them; what is counted here is written down
//! nowhere in the code.

use baton_testkit::fake::{End, Raw, Step};
use serde_json::{Value, json};

use crate::blackbox::support::{Fixture, run};
use crate::blackbox::v1::answers::nano_usd;

/// US dollars per million tokens, which is a thousand nano-dollars for each token.
const MODELS: &str = "
models:
  oai/fake-gpt: { price: { input: 2.5, output: 10, cached_input: 1.25 } }
  oai/fake-gpt-writes: { price: { input: 2, output: 10, cached_input: 0.2, cache_write: 2.5 } }
  oai/fake-grok: { price: { input: 3, output: 15 } }
  oai/fake-deepseek: { price: { input: 0.27, output: 1.1, cached_input: 0.07 } }
  oai/fake-gemini: { price: { input: 0.3, output: 2.5 } }
  oai/fake-dust: { price: { input: 0.0001, output: 0.0004 } }
  ant/fake-claude: { price: { input: 3, output: 15, cached_input: 0.3, cache_write: 3.75, cache_write_1h: 6 } }
";

/// One line of an invoice: what the provider counted, and what that is.
struct Line {
    model: &'static str,
    usage: Value,
    /// Input, of it cached and written, and output, of it reasoning.
    tokens: [u64; 5],
    nano: u64,
}

fn lines() -> Vec<Line> {
    let line = |model, usage, tokens, nano| Line { model, usage, tokens, nano };
    vec![
        // OpenAI: cached input is a part of the prompt, reasoning a part of the completion.
        line(
            "oai/fake-gpt",
            json!({"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306,
                   "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
                   "completion_tokens_details": {"reasoning_tokens": 128, "accepted_prediction_tokens": 0}}),
            [2006, 1920, 0, 300, 128],
            86 * 2_500 + 1_920 * 1_250 + 300 * 10_000,
        ),
        // A prompt that was written to the cache costs more than one that was not.
        line(
            "oai/fake-gpt-writes",
            json!({"prompt_tokens": 4100, "completion_tokens": 7, "total_tokens": 4107,
                   "prompt_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 3000}}),
            [4100, 1000, 3000, 7, 0],
            100 * 2_000 + 1_000 * 200 + 3_000 * 2_500 + 7 * 10_000,
        ),
        // xAI: reasoning stands beside the completion, and is paid for.
        line(
            "oai/fake-grok",
            json!({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
                   "prompt_tokens_details": {"cached_tokens": 0},
                   "completion_tokens_details": {"reasoning_tokens": 94}}),
            [32, 0, 0, 103, 94],
            32 * 3_000 + 103 * 15_000,
        ),
        // DeepSeek: hits and misses of the cache under names of its own.
        line(
            "oai/fake-deepseek",
            json!({"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
                   "prompt_cache_hit_tokens": 640, "prompt_cache_miss_tokens": 360}),
            [1000, 640, 0, 50, 0],
            360 * 270 + 640 * 70 + 50 * 1_100,
        ),
        // Google: thoughts are in the total alone, and are paid for as output.
        line(
            "oai/fake-gemini",
            json!({"prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 86}),
            [21, 0, 0, 65, 60],
            21 * 300 + 65 * 2_500,
        ),
        // A cost that is no whole number of nano-dollars is rounded up, once: 0.7 + 1.2.
        line(
            "oai/fake-dust",
            json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}),
            [7, 0, 0, 3, 0],
            2,
        ),
        // Anthropic: what was read from and written to the cache stands beside the input, and what is
        // kept for an hour costs twice the input.
        line(
            "ant/fake-claude",
            json!({"input_tokens": 50, "cache_read_input_tokens": 100_000, "cache_creation_input_tokens": 556,
                   "cache_creation": {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100},
                   "output_tokens": 503, "service_tier": "standard"}),
            [100_606, 100_000, 556, 503, 0],
            50 * 3_000 + 100_000 * 300 + 456 * 3_750 + 100 * 6_000 + 503 * 15_000,
        ),
    ]
}

#[test]
fn every_line_is_what_the_provider_charges_whole_and_streamed() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        for line in lines() {
            for stream in [false, true] {
                let said = outcome(&fixture, &line, stream).await;
                assert_eq!(nano_usd(&said["cost_usd"]), line.nano, "{} {stream}: {said}", line.model);
                let usage = &said["usage"];
                let tokens = ["input", "cached_input", "cache_write", "output", "reasoning"]
                    .map(|kind| usage[format!("{kind}_tokens")].as_u64().unwrap_or_default());
                assert_eq!(tokens, line.tokens, "{} {stream}: {said}", line.model);
                assert_eq!(said["usage_source"], "provider", "{said}");
            }
        }
    });
}

/// What is recorded of an answer with this usage.
async fn outcome(fixture: &Fixture, line: &Line, stream: bool) -> Value {
    let anthropic = line.model.starts_with("ant/");
    let body = if anthropic { messages(&line.usage, stream) } else { chat(&line.usage, stream) };
    let kind = if stream { "text/event-stream" } else { "application/json" };
    let upstream = if anthropic { &fixture.anthropic } else { &fixture.openai };
    upstream.then(Step::Raw(Raw {
        status: 200,
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        pieces: vec![body.into_bytes()],
        then: End::Whole,
    }));
    let body =
        json!({"model": line.model, "messages": [{"role": "user", "content": "hi"}], "stream": stream});
    let answer = fixture.baton.chat(&body).await.expect(200);
    fixture.baton.run_of(&answer).await["decisions"][0]["outcome"].clone()
}

fn chat(usage: &Value, stream: bool) -> String {
    let head = json!({"id": "chatcmpl-1", "created": 1_790_000_000, "model": "m"});
    let with = |more: Value| {
        let mut object = head.clone();
        for (key, value) in more.as_object().expect("members") {
            object[key] = value.clone();
        }
        object
    };
    if !stream {
        let message = json!({"role": "assistant", "content": "ok", "refusal": null});
        let choice = json!({"index": 0, "finish_reason": "stop", "logprobs": null, "message": message});
        return with(json!({"object": "chat.completion", "choices": [choice], "usage": usage})).to_string();
    }
    let chunk = |choices: Value, usage: &Value| {
        with(json!({"object": "chat.completion.chunk", "choices": choices, "usage": usage}))
    };
    [
        chunk(
            json!([{"index": 0, "delta": {"role": "assistant", "content": "ok"}, "finish_reason": null}]),
            &Value::Null,
        ),
        chunk(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), &Value::Null),
        chunk(json!([]), usage),
    ]
    .map(|chunk| format!("data: {chunk}\n\n"))
    .concat()
        + "data: [DONE]\n\n"
}

fn messages(usage: &Value, stream: bool) -> String {
    let mut message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
                             "stop_reason": null, "stop_sequence": null, "usage": usage});
    if !stream {
        message["content"] = json!([{"type": "text", "text": "ok"}]);
        message["stop_reason"] = json!("end_turn");
        return message.to_string();
    }
    // Input is told at the start, output at the end.
    message["usage"]["output_tokens"] = json!(1);
    let output = json!({"output_tokens": usage["output_tokens"]});
    [
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": output}),
        json!({"type": "message_stop"}),
    ]
    .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a type")))
    .concat()
}
