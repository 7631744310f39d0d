//! Which dialect a path speaks, and whose error bodies it answers with.

use axum::http::HeaderMap;
use baton_model::Dialect;

/// A path that answers in a dialect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surface {
    /// The path as recorded.
    pub(crate) path: &'static str,
    /// Its dialect.
    pub(crate) dialect: Dialect,
}

pub(crate) const CHAT: Surface = Surface { path: "/v1/chat/completions", dialect: Dialect::OpenaiChat };
pub(crate) const MESSAGES: Surface = Surface { path: "/v1/messages", dialect: Dialect::AnthropicMessages };
pub(crate) const RESPONSES: Surface = Surface { path: "/v1/responses", dialect: Dialect::OpenaiResponses };
pub(crate) const COMPACT: Surface =
    Surface { path: "/v1/responses/compact", dialect: Dialect::OpenaiResponses };
/// A run is told as a conversation of chat.
pub(crate) const RUNS: Surface = Surface { path: "/v1/runs", dialect: Dialect::OpenaiChat };
pub(crate) const COUNT_TOKENS: Surface =
    Surface { path: "/v1/messages/count_tokens", dialect: Dialect::AnthropicMessages };

/// The dialect of a path that speaks none of its own: Anthropic's where its header is there.
pub(crate) fn by_headers(headers: &HeaderMap) -> Dialect {
    if headers.contains_key("anthropic-version") { Dialect::AnthropicMessages } else { Dialect::OpenaiChat }
}
