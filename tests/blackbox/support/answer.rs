//! A whole response, with the checks that hold for every response.

use bytes::Bytes;
use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A response that was read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Sends a request and reads the whole response.
pub(crate) async fn sent(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("a response");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("a whole body");
    let answer = Answer { status, headers, body };
    assert!(answer.header("x-request-id").starts_with("req_"), "no request id: {answer:?}");
    assert_eq!(answer.header("x-request-id"), answer.header("request-id"));
    answer
}

impl Answer {
    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The same answer, which must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// The message of an error in OpenAI's form; its keys stand at the top level too.
    #[track_caller]
    pub(crate) fn openai_error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        let error = body.get("error").cloned().unwrap_or_default();
        for key in ["message", "type", "param", "code"] {
            assert!(error.get(key).is_some(), "no `{key}` in {body}");
            assert_eq!(error.get(key), body.get(key), "`{key}` differs in {body}");
        }
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        error
    }

    /// The message of an error in Anthropic's form.
    #[track_caller]
    pub(crate) fn anthropic_error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        assert_eq!(body["type"], "error", "{body}");
        assert_eq!(body["request_id"], self.header("request-id"), "{body}");
        assert!(body["error"]["type"].is_string(), "{body}");
        assert!(body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        body["error"].clone()
    }
}
