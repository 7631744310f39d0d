//! A whole response, with the checks that hold for every response.
//!
//! Where a variable names a folder, every answer on a surface that a vendor publishes schemas of is written down there,
//! a line for each. `cargo xtask test` compares them with the schemas.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// The folder for answers. Read here and nowhere else.
const FOLDER: &str = "BATON_KEEP_ANSWERS";

/// The surfaces whose answers are written down, with `/v1` in front and without.
const SURFACES: [&str; 4] = ["/chat/completions", "/responses", "/messages", "/models"];

/// Where the answers to this process go; nowhere where nobody wants them.
static KEPT: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| {
    let folder = std::env::var_os(FOLDER)?;
    let name = format!("answers-{}.ndjson", std::process::id());
    let file = OpenOptions::new().create(true).append(true).open(Path::new(&folder).join(name));
    Some(Mutex::new(file.expect("a file for answers")))
});

/// Writes an answer down, if somebody wants it.
fn write_down(method: &Method, path: &str, answer: &Answer) {
    let Some(file) = KEPT.as_ref() else { return };
    let path = path.strip_prefix("/v1").unwrap_or(path);
    if !SURFACES.iter().any(|surface| path.starts_with(surface)) {
        return;
    }
    let record = json!({
        "test": std::thread::current().name(),
        "method": method.as_str(),
        "path": format!("/v1{path}"),
        "status": answer.status,
        "type": answer.header("content-type"),
        "body": String::from_utf8_lossy(&answer.body),
    });
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    file.write_all(format!("{record}\n").as_bytes()).expect("a written answer");
}

/// A response that was read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Sends a request and reads the whole response.
pub(crate) async fn sent(request: RequestBuilder) -> Answer {
    let (client, request) = request.build_split();
    let request = request.expect("a request");
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await.expect("a response");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("a whole body");
    let answer = Answer { status, headers, body };
    write_down(&method, &path, &answer);
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
