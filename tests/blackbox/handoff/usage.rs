//! What stands beside the text of an answer that several models gave.

use baton_testkit::fake::{End, Raw, Step};
use serde_json::{Value, json};

use super::{
    POOLS, Surface, WAYS, asked, calls, decisions, extra, says, says_and_calls, talking, transfer, user,
};
use crate::blackbox::support::{chunks, run};

#[test]
fn the_members_beside_the_answer_tell_the_whole_run() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let turns = vec![
                    (0, says_and_calls("One.", vec![transfer(b, "it writes better")])),
                    (1, says_and_calls("Two.", vec![transfer(a, "it counts better")])),
                    (0, says("Three.")),
                ];
                let fixture = talking(pool, turns, "").await;
                let (answer, said) =
                    asked(&fixture.baton, way, json!({"model": pool, "messages": user("go")})).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                let get = |key: &str| extra(&answer, way.1, key);
                assert_eq!(get("agents_used"), json!([a, b, a]), "{case}");
                assert_eq!(get("turns_consumed"), 3, "{case}");
                let all = decisions(&fixture, &answer).await;
                let handoffs = get("handoffs");
                for (at, (from, to, reason)) in
                    [(a, b, "it writes better"), (b, a, "it counts better")].into_iter().enumerate()
                {
                    let one = &handoffs[at];
                    assert_eq!((&one["from"], &one["to"]), (&json!(from), &json!(to)), "{case}");
                    assert_eq!((&one["by"], &one["reason"]), (&json!("model"), &json!(reason)), "{case}");
                    assert_eq!(one["decision"], all[at + 1]["id"], "{case}");
                    assert_eq!(one["turn"], at + 1, "{case}");
                }
                assert_eq!(handoffs.as_array().map(Vec::len), Some(2), "{case}");
                let baton = get("baton");
                assert_eq!(baton["run"], all[0]["run"], "{case}");
                assert_eq!(baton["model"], a, "{case}");
                assert_eq!(baton["handoffs"], 2, "{case}");
                let turns = baton["turns"].as_array().expect("turns").clone();
                assert_eq!(turns.len(), 3, "{case}");
                let (mut input, mut output) = (0, 0);
                for (at, turn) in turns.iter().enumerate() {
                    assert_eq!((&turn["turn"], &turn["hop"]), (&json!(at + 1), &json!(at + 1)), "{case}");
                    assert_eq!(turn["model"], [a, b, a][at], "{case}");
                    assert_eq!(turn["usage"], all[at]["outcome"]["usage"], "{case}");
                    input += turn["usage"]["input_tokens"].as_u64().expect("tokens");
                    output += turn["usage"]["output_tokens"].as_u64().expect("tokens");
                }
                let (top_input, _, top_output) = said.tokens.expect("usage");
                assert_eq!((top_input, top_output), (input, output), "{case}");
            }
        }
    });
}

#[test]
fn a_failed_attempt_costs_the_audit_and_not_the_client() {
    run(async {
        for way in WAYS {
            let pool = ["oai/fake", "ant/fake-b"];
            let turns = vec![
                (0, says_and_calls("Wait.", vec![transfer(pool[1], "r")])),
                (1, Step::Fault(baton_testkit::fake::Fault::ServerError)),
                (0, says("Myself then.")),
            ];
            let fixture = talking(pool, turns, "").await;
            let (answer, said) =
                asked(&fixture.baton, way, json!({"model": pool, "messages": user("go")})).await;
            let turns = extra(&answer, way.1, "baton")["turns"].as_array().cloned().expect("turns");
            assert_eq!(turns.len(), 2, "{way:?}: {turns:?}");
            let input: u64 = turns.iter().filter_map(|turn| turn["usage"]["input_tokens"].as_u64()).sum();
            assert_eq!(said.tokens.map(|(input, ..)| input), Some(input), "{way:?}");
            let handoffs = extra(&answer, way.1, "handoffs");
            assert_eq!(handoffs[0]["undone"], true, "{way:?}: {handoffs}");
            assert_eq!(extra(&answer, way.1, "agents_used"), json!(["oai/fake"]), "{way:?}");
        }
    });
}

#[test]
fn a_streams_extras_stand_on_ordinary_chunks() {
    run(async {
        for pool in POOLS {
            let turns = vec![(0, says_and_calls("One.", vec![transfer(pool[1], "r")])), (1, says("Two."))];
            let fixture = talking(pool, turns, "").await;
            let (answer, _) =
                asked(&fixture.baton, (Surface::Chat, true), json!({"model": pool, "messages": user("go")}))
                    .await;
            for chunk in chunks(answer.text()) {
                for key in ["handoffs", "agents_used", "turns_consumed", "x_dedalus_event", "baton"] {
                    if chunk.get(key).is_some() {
                        assert!(chunk["choices"][0].is_object(), "{pool:?} {key}: {chunk}");
                    }
                }
            }
            let told: Vec<Value> = chunks(answer.text())
                .into_iter()
                .filter_map(|chunk| chunk.get("x_dedalus_event").cloned())
                .collect();
            assert_eq!(
                told,
                [json!({"type": "agent_updated", "agent": pool[1], "model": pool[1]})],
                "{pool:?}"
            );
        }
    });
}

/// A whole chat completion, or its stream, with log probabilities and this finish reason.
fn with_logprobs(text: &str, finish: &str, stream: bool) -> Step {
    let logprobs = json!({"content": [{"token": text, "logprob": -0.5, "bytes": null, "top_logprobs": []}], "refusal": null});
    let head = |object: &str| json!({"id": "chatcmpl-raw", "object": object, "created": 7, "model": "raw"});
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4});
    let (kind, body) = if stream {
        let mut chunk = head("chat.completion.chunk");
        chunk["choices"] = json!([{"index": 0, "delta": {"role": "assistant", "content": text}, "logprobs": logprobs, "finish_reason": null}]);
        let mut last = head("chat.completion.chunk");
        last["choices"] = json!([{"index": 0, "delta": {}, "logprobs": null, "finish_reason": finish}]);
        let mut end = head("chat.completion.chunk");
        end["choices"] = json!([]);
        end["usage"] = usage;
        ("text/event-stream", format!("data: {chunk}\n\ndata: {last}\n\ndata: {end}\n\ndata: [DONE]\n\n"))
    } else {
        let mut whole = head("chat.completion");
        whole["choices"] = json!([{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": logprobs, "finish_reason": finish}]);
        whole["usage"] = usage;
        ("application/json", whole.to_string())
    };
    Step::Raw(Raw {
        status: 200,
        headers: vec![("content-type".to_owned(), kind.to_owned())],
        pieces: vec![body.into_bytes()],
        then: End::Whole,
    })
}

#[test]
fn finish_reason_and_log_probabilities_are_the_last_hops() {
    run(async {
        let pool = ["oai/fake", "oai/fake-b"];
        for stream in [false, true] {
            for finish in ["stop", "length", "content_filter"] {
                let turns = vec![
                    (0, calls(vec![transfer(pool[1], "r")])),
                    (1, with_logprobs("Last", finish, stream)),
                ];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("go"), "logprobs": true});
                let (answer, said) = asked(&fixture.baton, (Surface::Chat, stream), body).await;
                assert_eq!((said.text.as_str(), said.finish.as_str()), ("Last", finish), "{stream}");
                let found = if stream {
                    let all = chunks(answer.text());
                    let with = all.iter().filter(|chunk| chunk["choices"][0]["logprobs"].is_object());
                    with.map(|chunk| chunk["choices"][0]["logprobs"].clone()).collect()
                } else {
                    vec![answer.json()["choices"][0]["logprobs"].clone()]
                };
                assert_eq!(found.len(), 1, "{}", answer.text());
                assert_eq!(found[0]["content"][0]["token"], "Last", "{}", answer.text());
            }
        }
    });
}
