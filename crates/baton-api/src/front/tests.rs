use axum::http::StatusCode;
use futures_util::FutureExt;
use http_body_util::BodyExt;

use super::*;

#[test]
fn a_panic_is_a_500_in_the_callers_dialect_with_the_requests_id() {
    let id = RequestId::from_parts(7, [1; 10]);
    for (dialect, word) in [(Dialect::OpenaiChat, "server_error"), (Dialect::AnthropicMessages, "api_error")]
    {
        let answer = guarded(dialect, id, async { panic!("on purpose") }).now_or_never();
        let (status, body) = answer.map(read).unwrap_or_default();
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains(word) && !body.contains("on purpose"), "{body}");
        if dialect == Dialect::AnthropicMessages {
            assert!(body.contains(&id.to_string()), "{body}");
        }
    }
}

#[test]
fn an_answer_passes_as_it_is() {
    let answer = guarded(Dialect::OpenaiChat, RequestId::from_parts(7, [1; 10]), async {
        Response::new(Body::from("whole"))
    });
    assert_eq!(answer.now_or_never().map(read), Some((StatusCode::OK, "whole".to_owned())));
}

#[test]
fn a_path_is_counted_under_one_of_few_names() {
    for (path, name) in [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/*"),
        ("/messages/count_tokens", "/v1/messages/count_tokens"),
        ("/v1/responses", "/v1/responses"),
        ("/responses", "/v1/responses"),
        ("/v1/models/a/b", "/v1/models"),
        ("/readyz", "status"),
        ("/v1/anything", "/v1/*"),
        ("/anything", "other"),
    ] {
        assert_eq!(surface_of(path), name, "{path}");
    }
}

/// Status and body.
fn read(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().now_or_never().and_then(Result::ok);
    (status, String::from_utf8_lossy(&body.unwrap_or_default().to_bytes()).into_owned())
}
