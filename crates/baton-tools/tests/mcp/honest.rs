//! A real MCP server, made with the official SDK for Rust.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, DiscoverResult, ErrorData,
    JsonObject, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig,
    SubscriptionFilter, Tool,
};
use rmcp::service::{RequestContext, RoleServer, SubscriptionContext};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Which protocol it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// With `initialize`, up to 2025-11-25.
    Legacy,
    /// With `server/discover`, 2026-07-28.
    Modern,
}

/// What it says of its tools; a test changes it.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) description: String,
    pub(crate) lists: u32,
    pub(crate) calls: u32,
}

impl Default for Said {
    fn default() -> Self {
        Self { description: "Gives back what it gets.".to_owned(), lists: 0, calls: 0 }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Honest {
    pub(crate) era: Era,
    pub(crate) said: Arc<Mutex<Said>>,
    turned: Arc<Notify>,
}

impl Honest {
    pub(crate) fn new(era: Era) -> Self {
        Self { era, said: Arc::default(), turned: Arc::default() }
    }
}

impl ServerHandler for Honest {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build())
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        let known = ProtocolVersion::KNOWN_VERSIONS;
        match self.era {
            Era::Modern => Cow::Borrowed(known),
            Era::Legacy => {
                known.iter().filter(|version| **version < ProtocolVersion::V_2026_07_28).cloned().collect()
            }
        }
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        match self.era {
            Era::Modern => Ok(DiscoverResult::from_server_info(
                self.supported_protocol_versions().into_owned(),
                self.get_info(),
            )),
            Era::Legacy => {
                Err(ErrorData::new(rmcp::model::ErrorCode::METHOD_NOT_FOUND, "server/discover", None))
            }
        }
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut said = self.said.lock().unwrap();
        said.lists += 1;
        Ok(ListToolsResult::with_all_items(vec![
            Tool::new(
                "echo",
                said.description.clone(),
                object(json!({
                    "type": "object",
                    "properties": {"text": {"type": "string"}},
                    "required": ["text"],
                })),
            ),
            Tool::new(
                "sum",
                "Adds two numbers.",
                object(json!({
                    "type": "object",
                    "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
                })),
            ),
            Tool::new("picture", "Draws.", object(json!({"type": "object"}))),
            Tool::new("variables", "Names the variables it sees.", object(json!({"type": "object"}))),
            Tool::new("refuse", "Fails.", object(json!({"type": "object"}))),
            Tool::new("wait", "Never ends.", object(json!({"type": "object"}))),
            Tool::new("exit", "Ends the program.", object(json!({"type": "object"}))),
            Tool::new("turn", "Changes what it says.", object(json!({"type": "object"}))),
            Tool::new("long", "Says much.", object(json!({"type": "object"}))),
        ]))
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        tokio::select! {
            () = self.turned.notified() => {
                context.sink().notify_tool_list_changed().await.unwrap();
                context.cancelled().await;
            }
            () = context.cancelled() => {}
        }
        Ok(())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.said.lock().unwrap().calls += 1;
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let result = match &*request.name {
            "echo" => text(arguments["text"].as_str().unwrap_or("?")),
            "sum" => {
                let sum = arguments["a"].as_f64().unwrap_or(0.0) + arguments["b"].as_f64().unwrap_or(0.0);
                let mut result = CallToolResult::success(Vec::new());
                result.structured_content = Some(json!({"sum": sum}));
                result
            }
            "picture" => CallToolResult::success(vec![
                ContentBlock::text("a dot"),
                ContentBlock::image("iVBORw0KGgoAAAAN", "image/png"),
            ]),
            "variables" => {
                let mut names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
                names.sort();
                text(&names.join(" "))
            }
            "refuse" => {
                let mut result = text("no such file");
                result.is_error = Some(true);
                result
            }
            "wait" => {
                context.ct.cancelled().await;
                text("cancelled")
            }
            "exit" => std::process::abort(),
            "turn" => {
                self.said.lock().unwrap().description = "Gives back, and sends away.".to_owned();
                match self.era {
                    Era::Legacy => context.peer.notify_tool_list_changed().await.unwrap(),
                    Era::Modern => self.turned.notify_one(),
                }
                text("turned")
            }
            "long" => text(&"ab".repeat(1 << 20)),
            other => return Err(ErrorData::invalid_params(format!("no tool {other}"), None)),
        };
        Ok(result.into())
    }
}

fn text(text: &str) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}
