//! A small MCP server over streamable HTTP, without a crate of the gateway's, that keeps what it saw.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A server that listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Mcp {
    address: std::net::SocketAddr,
    state: Shared,
    _serving: JoinSet<()>,
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    description: String,
    hangs: bool,
    holds_calls: bool,
    /// Calls that wait for their answer, which never comes.
    held: usize,
    seen: Vec<(HeaderMap, Value)>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mcp {
    pub(crate) async fn start() -> Self {
        let state = Shared::default();
        "Searches the web.".clone_into(&mut state.lock().description);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().route("/mcp", post(answer)).with_state(state.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { drop(axum::serve(listener, app).await) });
        Self { address, state, _serving: serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Another description of the same tool, from now on.
    pub(super) fn describe(&self, description: &str) {
        description.clone_into(&mut self.state.lock().description);
    }

    /// No request gets an answer any more.
    pub(super) fn hang(&self) {
        self.state.lock().hangs = true;
    }

    /// No call of a tool gets an answer any more.
    pub(crate) fn hold_calls(&self) {
        self.state.lock().holds_calls = true;
    }

    /// Calls of tools get answers again.
    pub(crate) fn answer_calls(&self) {
        self.state.lock().holds_calls = false;
    }

    /// How many calls wait for an answer.
    pub(crate) fn held(&self) -> usize {
        self.state.lock().held
    }

    /// The arguments of every call of a tool.
    pub(crate) fn calls(&self) -> Vec<Value> {
        let inner = self.state.lock();
        let calls = inner.seen.iter().filter(|(_, body)| body["method"] == "tools/call");
        calls.map(|(_, body)| body["params"]["arguments"].clone()).collect()
    }

    /// Everything that came, headers and bodies, as one text.
    pub(super) fn all(&self) -> String {
        format!("{:?}", self.state.lock().seen)
    }
}

/// A call that waits, until its connection is closed.
struct Waiting(Shared);

impl Waiting {
    fn new(state: &Shared) -> Self {
        state.lock().held += 1;
        Self(state.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.lock().held -= 1;
    }
}

async fn answer(State(state): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (hangs, holds_calls, description) = {
        let mut inner = state.lock();
        inner.seen.push((headers, body.clone()));
        (inner.hangs, inner.holds_calls, inner.description.clone())
    };
    if holds_calls && body["method"] == "tools/call" {
        let _waiting = Waiting::new(&state);
        std::future::pending::<()>().await;
    }
    if hangs {
        std::future::pending::<()>().await;
    }
    let Some(id) = body.get("id").cloned() else { return StatusCode::ACCEPTED.into_response() };
    let result = match body["method"].as_str().unwrap_or_default() {
        "initialize" => json!({
            "protocolVersion": body["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "acme", "version": "1"},
        }),
        "tools/list" => json!({"tools": [
            {"name": "query", "description": description, "inputSchema": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}},
        ]}),
        "tools/call" if body["params"]["arguments"]["q"] == "fail" => {
            json!({"content": [{"type": "text", "text": "the index is broken"}], "isError": true})
        }
        "tools/call" => {
            let text = format!("found: {}", body["params"]["arguments"]["q"].as_str().unwrap_or_default());
            json!({"content": [{"type": "text", "text": text}], "isError": false})
        }
        "ping" => json!({}),
        _ => {
            let error =
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}});
            return ([(header::CONTENT_TYPE, "application/json")], error.to_string()).into_response();
        }
    };
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": result});
    ([(header::CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}
