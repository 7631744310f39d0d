//! `baton mcp`: which tools of MCP servers are pinned, and which of them changed since.

use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use baton_tools::{PinnedServer, Registry, ServerRef};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::control::{Actor, Client, Control, Refused, record};
use crate::output::{json as print_json, line, note};
use crate::plans::text;

/// How long a server may take to list its tools.
const PATIENCE: Duration = Duration::from_secs(10);

/// The routes of the control socket alone: to take a stranger's changed tools is for whoever has the data directory.
pub(crate) fn router() -> Router<Control> {
    Router::new().route("/mcp/approve", post(approve))
}

/// The routes that administrators have over the network too.
pub(crate) fn remote_router() -> Router<Control> {
    Router::new().route("/mcp", get(list))
}

/// The servers whose tools are pinned.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PinnedList {
    #[schema(example = "list")]
    object: &'static str,
    #[schema(value_type = Vec<Object>)]
    data: Vec<PinnedServer>,
    has_more: bool,
}

/// Lists the tools of MCP servers that are pinned, and which of them changed since they were first seen.
#[utoipa::path(
    get,
    path = "/admin/v1/mcp",
    operation_id = "admin.mcp.list",
    tag = "admin",
    responses((status = 200, description = "The servers with their tools", body = PinnedList, example = json!({"object": "list", "data": [{"server": "acme/search", "tools": [{"tool": "search", "hash": "9b2f0c77", "changed_to": null}]}], "has_more": false}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn list(State(control): State<Control>) -> Json<PinnedList> {
    Json(PinnedList { object: "list", data: control.tools.pins(), has_more: false })
}

/// Which server's tools are taken as they are now.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    server: String,
}

async fn approve(
    State(control): State<Control>,
    actor: Actor,
    Json(approval): Json<Approval>,
) -> Result<Json<Value>, Refused> {
    let tools: &Registry = &control.tools;
    // What is approved is what the server shows now.
    drop(tools.open(&[ServerRef::slug(&approval.server)], PATIENCE).await);
    let changes: Vec<String> = tools
        .pins()
        .into_iter()
        .filter(|pinned| pinned.server == approval.server)
        .flat_map(|pinned| pinned.tools)
        .filter_map(|tool| Some(format!("{} {}", tool.tool, tool.changed_to?)))
        .collect();
    record(&control, &actor, "mcp.approve", &approval.server, json!({ "tools": changes })).await?;
    let tools = tools
        .approve(&approval.server)
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(Json(json!({ "server": approval.server, "tools": tools })))
}

/// `baton mcp list`.
pub(crate) async fn show(client: &Client, json: bool) -> anyhow::Result<()> {
    let answer = client.call(Method::GET, "/mcp", &Value::Null).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let servers = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    if servers.is_empty() {
        note("no tool was seen yet: a server's tools are pinned when a request first names it");
    }
    for server in servers {
        for tool in server.get("tools").and_then(Value::as_array).into_iter().flatten() {
            let changed = tool.get("changed_to").is_some_and(|hash| !hash.is_null());
            let state = if changed { "changed, disabled" } else { "pinned" };
            line(&format!("{state:18}  {}  {}", text(&server, "server"), text(tool, "tool")));
        }
    }
    Ok(())
}

/// `baton mcp approve SERVER`.
pub(crate) async fn take(client: &Client, server: String, json: bool) -> anyhow::Result<()> {
    let wanted = serde_json::to_value(Approval { server })?;
    let answer = client.call(Method::POST, "/mcp/approve", &wanted).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let tools: Vec<&str> = answer
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if tools.is_empty() {
        note("nothing had changed");
    } else {
        note(&format!("taken as they are now: {}", tools.join(", ")));
    }
    Ok(())
}
