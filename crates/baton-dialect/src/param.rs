//! Says where in the client's body the member stands that a provider of another dialect refused.
//!
//! A provider names places of the body that it got. Tools keep their order on the way there, and settings have one
//! name in each dialect; messages are put together anew, so of those only the list is named.
//!
//! - Start with [`param_for_client`].

use baton_model::{Dialect, Fault, RawObject};

/// Where the client's body has what a provider says is wrong.
///
/// `tools` is how many tools the client itself offers: those behind them are the gateway's own. `schema_by_tool` says
/// that one of these is the client's schema. `None` where the client has no such member.
#[must_use]
pub fn param_for_client(
    client: Dialect,
    body: &RawObject,
    fault: &Fault,
    tools: usize,
    schema_by_tool: bool,
) -> Option<String> {
    let path = fault.param.as_deref().or_else(|| path_in_message(&fault.message))?;
    let plain = path.replace('[', ".").replace(']', "");
    let segments: Vec<&str> = plain.split('.').filter(|segment| !segment.is_empty()).collect();
    let (first, rest) = segments.split_first()?;
    match *first {
        "tools" => {
            let at = rest.first().and_then(|at| at.parse::<usize>().ok());
            match at {
                Some(at) if at < tools => Some(tool_path(client, at, rest)),
                Some(_) => schema_by_tool.then(|| schema_path(client).to_owned()),
                None => Some("tools".to_owned()),
            }
        }
        "response_format" | "output_format" => Some(schema_path(client).to_owned()),
        "output_config" | "text" if rest.first().is_none_or(|next| *next == "format") => {
            Some(schema_path(client).to_owned())
        }
        "messages" | "input" | "system" | "instructions" => {
            Some(if client == Dialect::OpenaiResponses { "input" } else { "messages" }.to_owned())
        }
        other => {
            setting(client, other).iter().find(|key| body.get(key).is_some()).map(|key| (*key).to_owned())
        }
    }
}

/// A path at the beginning of a message, as Anthropic's API has it: `tools.0.input_schema: ...`.
fn path_in_message(message: &str) -> Option<&str> {
    let (path, _) = message.split_once(": ")?;
    let is_path =
        path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'[' | b']'));
    (is_path && path.starts_with(|first: char| first.is_ascii_lowercase())).then_some(path)
}

/// Where a client of a dialect says of which schema the answer should be.
#[must_use]
pub const fn schema_path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat => "response_format",
        Dialect::OpenaiResponses => "text.format",
        Dialect::AnthropicMessages => "output_config.format",
    }
}

fn tool_path(client: Dialect, at: usize, rest: &[&str]) -> String {
    let of_schema = rest.iter().any(|segment| matches!(*segment, "parameters" | "input_schema"));
    let member = match client {
        _ if of_schema && client == Dialect::AnthropicMessages => ".input_schema",
        Dialect::OpenaiChat if of_schema => ".function.parameters",
        Dialect::OpenaiResponses if of_schema => ".parameters",
        Dialect::OpenaiChat if rest.last() == Some(&"name") => ".function.name",
        _ if rest.last() == Some(&"name") => ".name",
        _ => "",
    };
    format!("tools[{at}]{member}")
}

/// The names that a client of a dialect has for a setting of any.
fn setting(client: Dialect, name: &str) -> &'static [&'static str] {
    const SAME: [&[&str]; 8] = [
        &["model"],
        &["temperature"],
        &["top_p"],
        &["top_k"],
        &["tool_choice"],
        &["seed"],
        &["parallel_tool_calls"],
        &["service_tier"],
    ];
    match (name, client) {
        ("max_tokens" | "max_completion_tokens" | "max_output_tokens", _) => {
            &["max_completion_tokens", "max_output_tokens", "max_tokens"]
        }
        ("stop" | "stop_sequences", _) => &["stop", "stop_sequences"],
        ("reasoning_effort" | "reasoning" | "thinking", _) => &["reasoning_effort", "reasoning", "thinking"],
        ("user" | "safety_identifier" | "metadata", Dialect::AnthropicMessages) => &["metadata"],
        ("user" | "safety_identifier" | "metadata", _) => &["safety_identifier", "user"],
        (name, _) => SAME.iter().find(|same| same.contains(&name)).copied().unwrap_or(&[]),
    }
}

#[cfg(test)]
mod tests;
