use serde_json::{Value, json};

use super::*;
use crate::echo::answer::Finish;

#[test]
fn text_comes_word_by_word_between_a_role_and_a_reason() {
    let (chunks, end) = parts(text("one two  three"));
    assert_eq!(end, "[DONE]");
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(
        deltas,
        [
            &json!({"role": "assistant", "content": "", "refusal": null}),
            &json!({"content": "one "}),
            &json!({"content": "two  "}),
            &json!({"content": "three"}),
            &json!({}),
        ]
    );
    let reasons: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["finish_reason"]).collect();
    assert_eq!(reasons, [&json!(null), &json!(null), &json!(null), &json!(null), &json!("stop")]);
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none() && chunk["id"] == "chatcmpl-1"));
}

#[test]
fn a_call_is_named_once_and_its_arguments_add_up() {
    let arguments = r#"{"location":"San Francisco"}"#;
    let content = Content::Call { name: "get_weather".to_owned(), arguments: arguments.to_owned() };
    let (chunks, _) = parts(StreamPlan { answer: Answer { content, finish: Finish::ToolCalls }, ..text("") });
    assert_eq!(
        chunks[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": null, "refusal": null})
    );
    assert_eq!(
        chunks[1]["choices"][0]["delta"]["tool_calls"][0],
        json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": ""}})
    );
    let fragments: Vec<&Value> = chunks[2..chunks.len() - 1]
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
        .collect();
    assert!(fragments.len() > 1);
    for fragment in &fragments {
        assert_eq!(fragment["index"], 0);
        assert!(fragment.get("id").is_none() && fragment["function"].get("name").is_none());
    }
    let joined: String =
        fragments.iter().filter_map(|fragment| fragment["function"]["arguments"].as_str()).collect();
    assert_eq!(joined, arguments);
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn usage_is_null_until_the_last_chunk_when_asked_for() {
    let (chunks, _) = parts(StreamPlan { include_usage: true, ..text("a b") });
    let (last, others) = chunks.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!((&last["usage"]["prompt_tokens"], &last["usage"]["total_tokens"]), (&json!(3), &json!(7)));
    assert!(others.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
}

#[test]
fn every_choice_has_its_own_beginning_and_end() {
    let (chunks, _) = parts(StreamPlan { choices: 2, ..text("hi") });
    let indexes: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["index"]).collect();
    assert_eq!(indexes, [0, 0, 0, 1, 1, 1]);
}

#[test]
fn an_empty_answer_has_no_content_chunk() {
    assert_eq!(parts(text("")).0.len(), 2);
}

#[test]
fn no_text_is_lost_or_cut_inside_a_letter() {
    for said in [
        "é",
        "  leading",
        "trailing  ",
        "日本語のとても長いテキストです、区切りの空白はありません。",
        "a\u{a0}b c",
    ] {
        assert_eq!(joined(&parts(text(said)).0), said);
    }
}

#[test]
fn a_long_answer_has_a_bounded_number_of_chunks() {
    let said = "word ".repeat(100_000);
    let (chunks, _) = parts(text(&said));
    assert!(chunks.len() < 2 * MOST_PIECES, "{}", chunks.len());
    assert_eq!(joined(&chunks), said);
}

#[test]
fn a_cut_comes_after_content_and_before_the_end() {
    let plan = StreamPlan { breakage: Some(Breakage::Cut), ..text("one two three four") };
    let steps: Vec<Step> = Chunks::new(plan).collect();
    let (last, before) = steps.split_last().unwrap();
    assert_eq!(last.data.as_ref().unwrap_err().kind, FaultKind::Truncated);
    let sent: String =
        before.iter().map(|step| String::from_utf8_lossy(step.data.as_ref().unwrap()).into_owned()).collect();
    assert!(sent.contains("one ") && !sent.contains("four") && !sent.contains("[DONE]"), "{sent}");
}

#[test]
fn an_error_frame_is_the_last_thing() {
    let (chunks, last) =
        parts(StreamPlan { breakage: Some(Breakage::ErrorFrame), ..text("one two three four") });
    assert!(joined(&chunks).starts_with("one "));
    let error: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(error["error"]["type"], "server_error");
}

#[test]
fn a_pace_is_a_wait_before_the_first_chunk_and_one_for_each_token() {
    let pace = Pace { ttft: Duration::from_millis(300), tokens_per_second: Some(10) };
    let waits: Vec<u128> =
        Chunks::new(StreamPlan { pace, ..text("four fivesix ") }).map(|step| step.wait.as_millis()).collect();
    assert_eq!(waits, [300, 200, 200, 0, 0]);
}

fn text(said: &str) -> StreamPlan {
    StreamPlan {
        id: "chatcmpl-1".to_owned(),
        call_id: "call_1".to_owned(),
        created: 1,
        model: "hello".to_owned(),
        answer: Answer { content: Content::Text(said.to_owned()), finish: Finish::Stop },
        choices: 1,
        usage: Usage::new(3, 4),
        include_usage: false,
        pace: Pace::AT_ONCE,
        breakage: None,
    }
}

/// The chunks of a stream that does not break off, and what its last frame says.
fn parts(plan: StreamPlan) -> (Vec<Value>, String) {
    let mut frames: Vec<String> = Chunks::new(plan)
        .map(|step| {
            let frame = String::from_utf8(step.data.unwrap().to_vec()).unwrap();
            frame.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap().to_owned()
        })
        .collect();
    let last = frames.pop().unwrap();
    (frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect(), last)
}

fn joined(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}
