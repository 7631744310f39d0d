use axum::http::header::CONTENT_TYPE;
use tempfile::TempDir;

use super::*;

#[test]
fn a_key_is_read_strictly() {
    assert_eq!(read(&[]), "none");
    assert_eq!(read(&["k"]), "key");
    assert_eq!(read(&[""]), "`Idempotency-Key` cannot be used: it is empty");
    assert_eq!(read(&["k", "k"]), "`Idempotency-Key` cannot be used: it stands twice in the request");
    assert_eq!(read(&["é"]), "`Idempotency-Key` cannot be used: it may have printable ASCII characters only");
    assert_eq!(
        read(&[&"x".repeat(256)]),
        "`Idempotency-Key` cannot be used: it has 256 characters, and may have 255"
    );
}

#[tokio::test]
async fn whole_answers_are_kept_where_asking_again_would_change_nothing() {
    for (status, kept) in [
        (200, true),
        (400, true),
        (404, true),
        (413, true),
        (422, true),
        (408, false),
        (409, false),
        (429, false),
        (500, false),
        (502, false),
        (503, false),
        (529, false),
    ] {
        assert_eq!(check(Dialect::OpenaiChat, answer(status, Body::from("{}"))).await, kept, "{status}");
    }
}

#[tokio::test]
async fn what_was_refused_before_a_decision_is_not_kept() {
    let mut response = answer(400, Body::from("{}"));
    response.headers_mut().remove(&DECISION_ID);
    assert!(!check(Dialect::OpenaiChat, response).await);
}

#[tokio::test]
async fn a_stream_is_kept_when_it_ended_well() {
    let (chat, messages) = (Dialect::OpenaiChat, Dialect::AnthropicMessages);
    let responses = Dialect::OpenaiResponses;
    let long = format!("data: {}\n\n", "x".repeat(2 * TAIL));
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let error = "event: error\ndata: {\"error\":{\"message\":\"m\"}}\n\n";
    for (dialect, pieces, kept) in [
        (chat, vec!["data: {}\n\n", "data: [DONE]\n\n"], true),
        (chat, vec![&long, "data: [DO", "NE]\n\n"], true),
        (chat, vec!["data: {}\n\n"], false),
        (chat, vec!["data: {}\n\n", error], false),
        (chat, vec!["data: {}\n\n", error, "data: [DONE]\n\n"], false),
        (messages, vec!["data: {}\n\n", stop], true),
        (messages, vec!["data: {}\n\n", error], false),
        (messages, vec!["data: {}\n\n"], false),
        (responses, vec!["event: response.completed\n", &long], true),
        (responses, vec!["event: respon", "se.incomplete\n", &long], true),
        (responses, vec!["data: {\"type\":\"response.completed\",\"x\":1", "}\n\n"], true),
        (responses, vec!["event: response.failed\n", &long], false),
        (responses, vec!["event: error\ndata: {}\n\n", "event: response.failed\n", &long], false),
        (responses, vec!["event: response.in_progress\n", &long], false),
        (
            responses,
            vec!["event: response.output_text.delta\ndata: {\"delta\":\"event: response.completed\"}\n\n"],
            false,
        ),
    ] {
        let shown = format!("{dialect:?} {}", pieces.concat());
        let pieces = pieces.into_iter().map(|piece| Ok(Bytes::copy_from_slice(piece.as_bytes())));
        let pieces: Vec<Result<Bytes, std::io::Error>> = pieces.collect();
        assert_eq!(check(dialect, streamed(pieces)).await, kept, "{shown}");
    }
}

#[tokio::test]
async fn a_stream_that_broke_off_is_not_kept() {
    let pieces = vec![
        Ok(Bytes::from_static(b"data: [DONE]\n\n")),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ];
    assert!(!check(Dialect::OpenaiChat, streamed(pieces)).await);
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_whose_head_went_ahead_is_kept_unless_it_failed() {
    for (status, kept) in [(200, true), (502, false)] {
        let late = async move {
            tokio::time::sleep(std::time::Duration::from_secs(30)).await;
            answer(status, Body::from("{}"))
        };
        let headers = answer(200, Body::empty()).headers().clone();
        let response = crate::ahead::ahead(late, async { || headers }).await;
        assert_eq!(check(Dialect::OpenaiChat, response).await, kept, "{status}");
    }
}

fn read(values: &[&str]) -> String {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(&KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    match key(&headers) {
        Ok(None) => "none".to_owned(),
        Ok(Some(_)) => "key".to_owned(),
        Err(error) => error.message().to_owned(),
    }
}

fn answer(status: u16, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(&DECISION_ID, HeaderValue::from_static("dec_1"));
    response
}

fn streamed(pieces: Vec<Result<Bytes, std::io::Error>>) -> Response {
    let mut response = answer(200, Body::from_stream(stream::iter(pieces)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Whether this answer is given to a repeat, byte for byte; if not, the key must be free.
async fn check(dialect: Dialect, response: Response) -> bool {
    let dir = TempDir::new().unwrap();
    let keys = Idempotency::open(dir.path(), &[7; 32], Box::new(|| 0)).unwrap();
    let key = "k".parse().unwrap();
    let asked = Asked { principal: "anonymous", surface: "/v1/messages", key: &key, body: b"{}" };
    let Ok(Begun::New(recording, mut listener)) = keys.begin(&asked) else { panic!("not new") };
    let ((), (head, heard)) = tokio::join!(write(dialect, response, recording), async {
        let head = listener.head().await.unwrap();
        let mut heard = Vec::new();
        while let Ok(Some(piece)) = listener.next().await {
            heard.extend_from_slice(&piece);
        }
        (head, heard)
    });
    match keys.begin(&asked) {
        Ok(Begun::Answered(answer)) => {
            assert_eq!((answer.head, &*answer.body), (head, &*heard));
            true
        }
        Ok(Begun::New(..)) => false,
        other => panic!("{other:?}"),
    }
}
