//! `POST /mcp`: Baton as an MCP server, for a client whose own loop asks which model comes next.
//!
//! Streamable HTTP with neither sessions nor streams: each request has one answer, and nothing is kept between
//! two of them. So both eras of the protocol are spoken by the same lines: those versions that begin with
//! `initialize`, and 2026-07-28, where every request says for itself which version it speaks.
//!
//! - Start with [`endpoint`].
//! - **Invariant:** an answer of a tool names a decision that is in the journal.
//! - **Invariant:** statuses and error bodies of this path are made in `mcp/error.rs`.

mod answer;
mod arguments;
mod error;
mod message;
mod package;
mod tools;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use baton_access::Principal;
use baton_engine::Engine;
use baton_model::RequestId;
use serde_json::{Map, Value, json};

use self::error::{RpcError, body_response};
use self::message::{Era, Incoming, Message, VERSIONS};
use crate::gate::{Gate, text};
use crate::router::request_id;

/// How long a client may keep the list of tools: it changes with Baton's version only.
const LIST_TTL_MS: u64 = 3_600_000;

/// What a client is told of the server as a whole.
const INSTRUCTIONS: &str = "Asks Baton's routing policy which model should do a task, who is the specialist for \
                            a kind of work, and what a hand-over to a model should carry. Nothing is sent to a \
                            model; every answer names its decision, which `GET /v1/decisions/{id}` explains.";

/// An answer, and the headers that tell of the decision behind it.
struct Answered {
    result: Map<String, Value>,
    headers: HeaderMap,
}

impl From<Value> for Answered {
    fn from(result: Value) -> Self {
        let result = if let Value::Object(result) = result { result } else { Map::new() };
        Self { result, headers: HeaderMap::new() }
    }
}

/// Who asks, and what a tool needs to find its answer.
struct Call<'a> {
    engine: &'a Engine,
    principal: &'a Principal,
    request: RequestId,
    headers: &'a HeaderMap,
}

/// Speaks MCP.
///
/// Streamable HTTP with neither sessions nor streams, protocol versions 2024-11-05 to 2026-07-28. The tools
/// `select_optimal_model`, `route_to_specialist` and `prepare_handoff` are answered by the policy; each answer
/// names its decision.
#[utoipa::path(
    post,
    path = "/mcp",
    operation_id = "mcp",
    tag = "decisions",
    request_body(content = serde_json::Value, content_type = "application/json", example = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "select_optimal_model", "arguments": {"task": "What is the capital of France?", "constraints": {"max_cost": 0.005}}}})),
    responses(
        (status = 200, description = "The answer of a request, or its JSON-RPC error", body = serde_json::Value, example = json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "openai/gpt-4o-mini"}], "structuredContent": {"result": "openai/gpt-4o-mini", "target": "openai/gpt-4o-mini", "reason": {"code": "chosen_by_rule", "text": "rule `simple and cheap` names openai/gpt-4o-mini", "source": "rule"}, "policy": "optimal@c4d6f0b17a3e2955", "decision_id": "dec_019356aa00007000800000000000000a", "run_id": "run_019356aa00007000800000000000000b"}}})),
        (status = 202, description = "A notification was taken"),
        (status = 400, description = "This is no message of JSON-RPC, or not of the version that it says", body = serde_json::Value, example = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "the body is not JSON"}})),
        (status = 401, description = "No key, or one that is not valid", body = serde_json::Value, example = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "no key was sent: use `Authorization: Bearer …` or `x-api-key`", "data": {"code": "missing_api_key"}}})),
        (status = 403, description = "The key may not ask, or a web page from elsewhere did", body = serde_json::Value, example = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "the origin `https://evil.example` is not one of `cors.origins`", "data": {"code": "forbidden"}}})),
        (status = 413, description = "The body is larger than `limits.max_body_bytes`", body = serde_json::Value, example = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "the request body is larger than 33554432 bytes", "data": {"code": "request_too_large"}}})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn endpoint(
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    let (parts, body) = request.into_parts();
    match serve(&engine, &gate, id, parts, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(&Value::Null),
    }
}

async fn serve(
    engine: &Engine,
    gate: &Gate,
    request: RequestId,
    parts: Parts,
    body: Body,
) -> Result<Response, RpcError> {
    let refused = |error| RpcError::refused(error, request);
    check_origin(gate, &parts.headers)?;
    let admitted = gate.admit(&parts.headers).map_err(refused)?;
    let body = gate.read(&parts.headers, body).await.map_err(refused)?;
    let call = Call { engine, principal: &admitted.principal, request, headers: &parts.headers };
    match message::read(&body)? {
        Incoming::One(message) => Ok(call.answer_one(message).await),
        Incoming::Many(messages) => {
            message::may_come_together(&parts.headers)?;
            let mut answers = Vec::with_capacity(messages.len());
            for message in messages {
                let Some(id) = message.as_ref().map_or(Some(Value::Null), Message::awaits) else { continue };
                let answered = match message {
                    Ok(message) => call.answer(&message, Era::Handshake).await,
                    Err(error) => Err(error),
                };
                answers.push(match answered {
                    Ok(answered) => success(&id, answered.result),
                    Err(error) => error.body(&id),
                });
            }
            Ok(if answers.is_empty() {
                accepted()
            } else {
                body_response(StatusCode::OK, HeaderMap::new(), &Value::Array(answers))
            })
        }
    }
}

/// A page of elsewhere may not ask, with a key or without: it could be one that rebinds a name.
fn check_origin(gate: &Gate, headers: &HeaderMap) -> Result<(), RpcError> {
    let Some(sent) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = sent.to_str().unwrap_or_default();
    let own = text(headers, HOST.as_str()).is_some_and(|host| {
        let bare = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        bare.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
    });
    if own || gate.allows_origin(origin) { Ok(()) } else { Err(RpcError::foreign_origin(origin)) }
}

fn success(id: &Value, result: Map<String, Value>) -> Value {
    Value::from_iter([("jsonrpc", Value::from("2.0")), ("id", id.clone()), ("result", Value::Object(result))])
}

fn accepted() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

impl Call<'_> {
    async fn answer_one(&self, message: Message) -> Response {
        let Some(id) = message.awaits() else { return accepted() };
        let answered = match message::era(self.headers, &message) {
            Ok(era) => self.answer(&message, era).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(answered) => body_response(StatusCode::OK, answered.headers, &success(&id, answered.result)),
            Err(error) => error.into_response(&id),
        }
    }

    async fn answer(&self, message: &Message, era: Era) -> Result<Answered, RpcError> {
        let method = message.method.as_deref().unwrap_or_default();
        let mut answered = match (method, era) {
            ("initialize", Era::Handshake) => initialized(message).into(),
            ("ping", Era::Handshake) => Answered::from(json!({})),
            ("server/discover", Era::EachRequest) => discovered().into(),
            ("tools/list", _) => Answered::from(json!({ "tools": tools::all() })),
            ("tools/call", _) => self.tool(message).await?,
            _ => return Err(RpcError::unknown_method(method, era)),
        };
        if era == Era::EachRequest {
            answered.result.insert("resultType".to_owned(), Value::from("complete"));
            if method != "tools/call" {
                answered.result.insert("ttlMs".to_owned(), Value::from(LIST_TTL_MS));
                answered.result.insert("cacheScope".to_owned(), Value::from("public"));
            }
        }
        Ok(answered)
    }
}

/// What the server is called.
fn own_name() -> Value {
    json!({ "name": "baton", "title": "Baton", "version": env!("CARGO_PKG_VERSION") })
}

fn initialized(message: &Message) -> Value {
    json!({
        "protocolVersion": message::handshake_version(&message.params),
        "capabilities": { "tools": {} },
        "serverInfo": own_name(),
        "instructions": INSTRUCTIONS,
    })
}

fn discovered() -> Value {
    json!({
        "supportedVersions": VERSIONS,
        "capabilities": { "tools": {} },
        "instructions": INSTRUCTIONS,
        "_meta": { "io.modelcontextprotocol/serverInfo": own_name() },
    })
}
