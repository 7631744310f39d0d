//! An upstream that says whatever a function of the request says.

use std::future::Future;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Mind = Arc<dyn Fn(Value) -> BoxFuture<'static, Option<Said>> + Send + Sync>;

/// What it says.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) text: String,
    /// Calls, by name and arguments.
    pub(super) calls: Vec<(String, Value)>,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
}

impl Said {
    pub(super) fn text(text: &str) -> Self {
        Self { text: text.to_owned(), calls: Vec::new(), input_tokens: 10, output_tokens: 5 }
    }

    pub(super) fn calls(calls: Vec<(String, Value)>) -> Self {
        Self { calls, ..Self::text("") }
    }
}

/// It listens until it is dropped.
pub(super) struct Puppet {
    address: std::net::SocketAddr,
    _serving: JoinSet<()>,
}

impl Puppet {
    /// Asks `mind` each time; where it says nothing, the answer is an error.
    pub(super) async fn start<F, Speaking>(mind: F) -> Self
    where
        F: Fn(Value) -> Speaking + Send + Sync + 'static,
        Speaking: Future<Output = Option<Said>> + Send + 'static,
    {
        let mind: Mind = Arc::new(move |asked| Box::pin(mind(asked)));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/v1/chat/completions", post(answer)).with_state(mind);
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, app).await) });
        Self { address, _serving: serving }
    }

    /// As the file names it.
    pub(super) fn provider(&self) -> String {
        format!("{{ dialect: openai_chat, base_url: \"http://{}/v1\", api_key: k }}", self.address)
    }
}

async fn answer(State(mind): State<Mind>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).expect("JSON");
    assert_ne!(asked["stream"], true, "a run asks for whole answers");
    let model = asked["model"].clone();
    let Some(said) = mind(asked).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let listed = said.calls.iter().enumerate().map(|(at, (name, arguments))| {
        json!({"id": format!("call_{at}"), "type": "function", "function": {"name": name, "arguments": arguments.to_string()}})
    });
    let listed: Vec<Value> = listed.collect();
    let mut message = json!({"role": "assistant", "content": said.text});
    let finish = if listed.is_empty() { "stop" } else { "tool_calls" };
    if !listed.is_empty() {
        message["tool_calls"] = Value::Array(listed);
    }
    let total = said.input_tokens + said.output_tokens;
    Json(json!({
        "id": "chatcmpl-puppet", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": null}],
        "usage": {"prompt_tokens": said.input_tokens, "completion_tokens": said.output_tokens, "total_tokens": total},
    }))
    .into_response()
}

/// Numbers that look random and can be had again.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of so many numbers, from 0 on (`SplitMix64`).
    pub(super) fn below(&mut self, many: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % many
    }
}

/// A number of the environment, or the usual one.
pub(super) fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"))
}
