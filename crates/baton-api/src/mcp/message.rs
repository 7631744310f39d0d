//! Reads messages of JSON-RPC, and tells which version of MCP they speak.
//!
//! - **Invariant:** what a proxy can read in the headers is what the body says: 2026-07-28 asks for both.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::error::RpcError;
use crate::gate::text;

/// The versions that are spoken, the newest first.
pub(super) const VERSIONS: [&str; 5] = [EACH_REQUEST, "2025-11-25", "2025-06-18", TOGETHER, "2024-11-05"];

/// The first version in which each request says which version it speaks, and none has a handshake.
const EACH_REQUEST: &str = "2026-07-28";
/// The one version in which several messages may come in one body.
const TOGETHER: &str = "2025-03-26";
/// The most messages of one body.
const MOST_TOGETHER: usize = 32;

const VERSION_HEADER: &str = "mcp-protocol-version";
const METHOD_HEADER: &str = "mcp-method";
const NAME_HEADER: &str = "mcp-name";
const VERSION_MEMBER: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_MEMBER: &str = "io.modelcontextprotocol/clientCapabilities";

/// What a body holds.
#[derive(Debug)]
pub(super) enum Incoming {
    One(Message),
    /// Those of one body; each may be wrong for itself.
    Many(Vec<Result<Message, RpcError>>),
}

/// A message: a request where it has both an id and a method.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    pub(super) id: Option<Value>,
    pub(super) method: Option<String>,
    pub(super) params: Map<String, Value>,
}

impl Message {
    /// The id of a request; nothing else is answered.
    pub(super) fn awaits(&self) -> Option<Value> {
        self.method.as_ref().and(self.id.clone())
    }
}

/// How a client says which version it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    /// Once, with `initialize`.
    Handshake,
    /// With each request.
    EachRequest,
}

pub(super) fn read(body: &[u8]) -> Result<Incoming, RpcError> {
    match serde_json::from_slice(body).map_err(|_not_shown| RpcError::not_json())? {
        Value::Array(items) if items.is_empty() => {
            Err(RpcError::invalid_request("the list of messages is empty"))
        }
        Value::Array(items) if items.len() > MOST_TOGETHER => {
            Err(RpcError::invalid_request(format!("at most {MOST_TOGETHER} messages may come together")))
        }
        Value::Array(items) => Ok(Incoming::Many(items.into_iter().map(message).collect())),
        one => message(one).map(Incoming::One),
    }
}

fn message(value: Value) -> Result<Message, RpcError> {
    let Value::Object(mut members) = value else {
        return Err(RpcError::invalid_request("a message must be an object"));
    };
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(RpcError::invalid_request("`jsonrpc` must be `2.0`"));
    }
    let id = match members.remove("id") {
        None => None,
        Some(id @ (Value::String(_) | Value::Number(_))) => Some(id),
        Some(_) => return Err(RpcError::invalid_request("`id` must be a text or a number")),
    };
    let method = match members.remove("method") {
        Some(Value::String(method)) => Some(method),
        None if members.contains_key("result") || members.contains_key("error") => None,
        _ => return Err(RpcError::invalid_request("`method` must be a text")),
    };
    let params = match members.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return Err(RpcError::invalid_request("`params` must be an object")),
    };
    Ok(Message { id, method, params })
}

/// Whether several messages may come in one body.
pub(super) fn may_come_together(headers: &HeaderMap) -> Result<(), RpcError> {
    match text(headers, VERSION_HEADER) {
        // A client of that version need not say so.
        None | Some(TOGETHER) => Ok(()),
        Some(_) => Err(RpcError::invalid_request(format!("only {TOGETHER} takes a list of messages"))),
    }
}

/// How the client of a request says which version it speaks.
pub(super) fn era(headers: &HeaderMap, message: &Message) -> Result<Era, RpcError> {
    let method = message.method.as_deref().unwrap_or_default();
    // The handshake is there in the older versions only, whatever it asks for.
    if method == "initialize" {
        return Ok(Era::Handshake);
    }
    let said = headers.get(VERSION_HEADER).map(|value| value.to_str().unwrap_or_default());
    let meta = message.params.get("_meta").and_then(Value::as_object);
    let inside = meta.and_then(|meta| meta.get(VERSION_MEMBER)).map(|it| it.as_str().unwrap_or_default());
    let version = match (said, inside) {
        (None, None) if method == "server/discover" => {
            return Err(RpcError::malformed_params(&missing_members(meta)));
        }
        (None, None) => return Ok(Era::Handshake),
        (None, Some(_)) => {
            return Err(RpcError::header_mismatch("the header `MCP-Protocol-Version` is missing"));
        }
        (Some(said), None) if said < EACH_REQUEST && VERSIONS.contains(&said) => return Ok(Era::Handshake),
        (Some(said), Some(inside)) if said != inside => {
            return Err(RpcError::header_mismatch(
                "`MCP-Protocol-Version` and `_meta` say different versions",
            ));
        }
        (Some(said), _) => said,
    };
    if version != EACH_REQUEST {
        return Err(RpcError::unsupported_version(version, &VERSIONS));
    }
    if inside.is_none() || !meta.is_some_and(|meta| meta.contains_key(CAPABILITIES_MEMBER)) {
        return Err(RpcError::malformed_params(&missing_members(meta)));
    }
    same(headers, METHOD_HEADER, method)?;
    if method == "tools/call" {
        let name = message.params.get("name").and_then(Value::as_str).unwrap_or_default();
        same(headers, NAME_HEADER, name)?;
    }
    Ok(Era::EachRequest)
}

fn missing_members(meta: Option<&Map<String, Value>>) -> String {
    let missing: Vec<&str> = [VERSION_MEMBER, CAPABILITIES_MEMBER]
        .into_iter()
        .filter(|member| !meta.is_some_and(|meta| meta.contains_key(*member)))
        .collect();
    format!("`params._meta` lacks `{}`", missing.join("` and `"))
}

/// Whether a header says what the body says.
fn same(headers: &HeaderMap, header: &str, body: &str) -> Result<(), RpcError> {
    let mut values = headers.get_all(header).iter();
    let (first, another) = (values.next(), values.next());
    let said = first.filter(|_| another.is_none()).and_then(|value| value.to_str().ok());
    // What no header can carry is sent as base64.
    let wrapped = said.and_then(|said| said.strip_prefix("=?base64?")?.strip_suffix("?="));
    let unwrapped = wrapped.and_then(|text| String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok());
    if unwrapped.as_deref().or(said) == Some(body) {
        return Ok(());
    }
    Err(RpcError::header_mismatch(&format!("the header `{header}` does not say what the body says")))
}

/// The version of a handshake: what the client asks for, else the newest that has one.
pub(super) fn handshake_version(params: &Map<String, Value>) -> &'static str {
    let asked = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
    let mut with_handshake = VERSIONS.into_iter().filter(|version| *version < EACH_REQUEST);
    let newest = with_handshake.next().unwrap_or(EACH_REQUEST);
    if asked == newest { newest } else { with_handshake.find(|known| *known == asked).unwrap_or(newest) }
}

#[cfg(test)]
mod tests;
