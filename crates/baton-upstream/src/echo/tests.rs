use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::*;

const HI: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

#[tokio::test]
async fn a_whole_answer_has_every_member_that_clients_read() {
    let (status, headers, body) = ask("parrot", HI).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_TYPE], "application/json");
    assert_eq!(headers[header::CONTENT_LENGTH], body.len().to_string().as_str());
    assert!(headers.contains_key("x-request-id"));
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    assert!(answer["id"].take().as_str().unwrap().starts_with("chatcmpl-"));
    assert!(answer["created"].take().as_u64().unwrap() > 1_700_000_000);
    answer["usage"].as_object_mut().unwrap().retain(|key, _| !key.ends_with("_details"));
    assert_eq!(
        answer,
        json!({
            "id": null, "object": "chat.completion", "created": null, "model": "parrot",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "refusal": null, "annotations": []},
                         "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
            "system_fingerprint": "fp_echo",
        })
    );
}

#[tokio::test]
async fn a_tool_call_stands_in_the_message() {
    let tools = r#""tools":[{"type":"function","function":{"name":"now"}}]"#;
    let (_, _, body) = ask("tool", &format!("{HI},{tools}")).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    let message = &answer["choices"][0]["message"];
    assert_eq!(
        (&message["content"], &answer["choices"][0]["finish_reason"]),
        (&Value::Null, &json!("tool_calls"))
    );
    assert_eq!(message["tool_calls"][0]["function"], json!({"name": "now", "arguments": "{}"}));
    assert_eq!(message["tool_calls"][0]["type"], "function");
    assert!(message["tool_calls"][0].get("index").is_none());
}

#[tokio::test]
async fn several_choices_are_several() {
    let (_, _, body) = ask("parrot", &format!(r#"{HI},"n":3"#)).await;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    assert_eq!(answer["choices"][2]["index"], 2);
    assert_eq!(answer["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn no_two_answers_have_the_same_id() {
    let id = async || {
        let body = ask("hello", HI).await.2;
        serde_json::from_str::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned()
    };
    assert_ne!(id().await, id().await);
}

#[tokio::test]
async fn a_stream_is_server_sent_events() {
    let (status, headers, body) = ask("hello", &format!(r#"{HI},"stream":true"#)).await;
    assert_eq!(
        (status, &headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &HeaderValue::from_static("text/event-stream; charset=utf-8"))
    );
    assert!(body.starts_with("data: {") && body.ends_with("data: [DONE]\n\n"));
    assert!(body.matches("\n\n").count() > 5);
}

#[tokio::test]
async fn too_many_requests_says_when_to_come_again() {
    let (status, headers, body) = ask("fail-429?retry_after=30", HI).await;
    assert_eq!((status.as_u16(), &headers[header::RETRY_AFTER]), (429, &HeaderValue::from_static("30")));
    assert_eq!(error_of(&body)["code"], "rate_limit_exceeded");
}

#[tokio::test]
async fn a_server_error_is_one() {
    let (status, _, body) = ask("fail-500", HI).await;
    assert_eq!((status.as_u16(), &error_of(&body)["type"]), (500, &json!("server_error")));
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let (status, _, body) = ask("gpt-4o", HI).await;
    assert_eq!((status.as_u16(), &error_of(&body)["code"]), (404, &json!("model_not_found")));
}

#[tokio::test]
async fn a_bad_request_is_refused_before_a_model_fails() {
    let (status, _, body) = ask("fail-500", r#""messages":7"#).await;
    assert_eq!((status.as_u16(), &error_of(&body)["param"]), (400, &json!("messages")));
    let (status, _, _) = ask("hello", "oops").await;
    assert_eq!(status.as_u16(), 400);
}

#[tokio::test]
async fn a_whole_answer_that_breaks_is_half_an_answer() {
    let response = send(body_of("fail-midstream", HI)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"{\"id\"") && serde_json::from_slice::<Value>(&first).is_err());
    assert_eq!(body.frame().await.unwrap().unwrap_err().kind, baton_model::FaultKind::Truncated);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_never_ends() {
    assert!(timeout(Duration::from_secs(86_400), send(body_of("fail-timeout", HI))).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_begins_at_once_and_waits_inside() {
    let begin = Instant::now();
    let response = send(body_of("slow?ttft=700&tps=4", &format!(r#"{HI},"stream":true"#))).await;
    assert_eq!(begin.elapsed(), Duration::ZERO);
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    let first = begin.elapsed();
    body.frame().await.unwrap().unwrap();
    // Timers fire on whole milliseconds, up to one late.
    assert!((700..=702).contains(&first.as_millis()), "{first:?}");
    let second = begin.elapsed() - first;
    assert!((500..=502).contains(&second.as_millis()), "`This ` is two tokens: {second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_whole_answer_takes_as_long_as_its_stream() {
    let begin = Instant::now();
    let body = ask("slow?ttft=700&tps=10", HI).await.2;
    let tokens =
        serde_json::from_str::<Value>(&body).unwrap()["usage"]["completion_tokens"].as_u64().unwrap();
    let expected = Duration::from_millis(700 + 100 * tokens);
    assert!(begin.elapsed() >= expected && begin.elapsed() <= expected + Duration::from_millis(2));
}

async fn ask(model: &str, members: &str) -> (StatusCode, HeaderMap, String) {
    let (head, body) = send(body_of(model, members)).await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn body_of(model: &str, members: &str) -> Bytes {
    format!(r#"{{"model":"{model}",{members}}}"#).into()
}

/// The error object, which has exactly the four members that clients read.
fn error_of(body: &str) -> Value {
    let mut body: Value = serde_json::from_str(body).unwrap();
    let error = body["error"].take();
    let keys: Vec<&str> = error.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["code", "message", "param", "type"]);
    error
}
