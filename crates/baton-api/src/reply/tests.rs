use std::time::Duration;

use baton_engine::{ComingAnswer, Refusal, RefusalKind};
use baton_model::{DecisionId, FaultKind, RunId};
use http_body_util::BodyExt;

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_in_time_has_its_own_head() {
    assert_eq!(check(Dialect::OpenaiChat, 9, Ok(())).await, r#"200 second hop, length 11: {"whole":1}"#);
    assert_eq!(check(Dialect::OpenaiChat, 9, Err(())).await.split(", length").next(), Some("504 no hop"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_stands_behind_blanks_and_the_first_head() {
    assert_eq!(check(Dialect::OpenaiChat, 25, Ok(())).await, r#"200 first hop:   {"whole":1}"#);
}

#[tokio::test(start_paused = true)]
async fn what_fails_late_is_an_error_of_the_dialect() {
    for (dialect, begin) in [
        (Dialect::OpenaiChat, r#"200 first hop:  {"error":{"message":"too late","#),
        (Dialect::AnthropicMessages, r#"200 first hop:  {"type":"error","error":{"#),
    ] {
        let said = check(dialect, 12, Err(())).await;
        assert!(said.starts_with(begin) && said.contains("too late"), "{said}");
    }
}

/// What a client gets of an answer that is certain at once, and there or failed after so many seconds.
async fn check(dialect: Dialect, seconds: u64, end: Result<(), ()>) -> String {
    let coming = ComingAnswer::new(async move {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        match end {
            Ok(()) => Ok((head("second"), Bytes::from_static(br#"{"whole":1}"#))),
            Err(()) => Err(Box::new(Refusal::new(RefusalKind::Failed(FaultKind::Timeout), "too late"))),
        }
    });
    let reply = Reply { head: head("first"), body: ReplyBody::Coming(coming) };
    let response = respond(dialect, RequestId::from_parts(7, [1; 10]), reply, ()).await;
    let (parts, body) = response.into_parts();
    let hop = parts.headers.get(&MODEL).map_or("no", |model| model.to_str().unwrap()).to_owned();
    let length = http_body::Body::size_hint(&body).exact().map(|length| format!(", length {length}"));
    let body = body.collect().await.unwrap().to_bytes();
    let body = std::str::from_utf8(&body).unwrap();
    format!("{} {hop} hop{}: {body}", parts.status.as_u16(), length.unwrap_or_default())
}

fn head(target: &str) -> Head {
    Head {
        run: RunId::from_parts(7, [1; 10]),
        decision: DecisionId::from_parts(7, [1; 10]),
        target: target.to_owned(),
        provider: "p".to_owned(),
        policy: "default@1".to_owned(),
        attempts: 1,
        handoffs: 0,
        reason: "first_in_order",
        status: 200,
        upstream: HeaderMap::new(),
        table: Vec::new(),
    }
}
