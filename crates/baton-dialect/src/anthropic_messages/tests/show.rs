//! Shows values of the model in few lines, with everything in them that is not at rest.

use std::fmt::Write as _;

use baton_model::{ImageSource, Message, OutputFormat, Part, PartKind, Request, Tool, Usage};

/// A request, a line for each message and each part.
pub(super) fn show(request: &Request) -> String {
    let mut out = String::new();
    for Message { role, parts, .. } in &request.messages {
        writeln!(out, "{role:?}").unwrap();
        for part in parts {
            writeln!(out, "  {}", show_part(part)).unwrap();
        }
    }
    for tool in &request.tools {
        writeln!(out, "{}", show_tool(tool)).unwrap();
    }
    if let Some(choice) = &request.tool_choice {
        writeln!(out, "choice {choice:?}").unwrap();
    }
    if let Some(parallel) = request.parallel_tool_calls {
        writeln!(out, "parallel {parallel}").unwrap();
    }
    if let OutputFormat::JsonSchema { name, schema, strict, .. } = &request.output {
        writeln!(out, "schema {name} {strict:?} {}", one_line(schema.get())).unwrap();
    }
    writeln!(out, "{}", show_sampling(request)).unwrap();
    if let Some(reasoning) = &request.reasoning {
        write!(out, "effort {:?} budget {:?}", reasoning.effort, reasoning.budget_tokens).unwrap();
        let raw = reasoning.raw.as_ref().map(|raw| format!(" {}", one_line(raw.get())));
        writeln!(out, "{}", raw.unwrap_or_default()).unwrap();
    }
    if let Some(user) = &request.user {
        writeln!(out, "user {user}").unwrap();
    }
    for (key, value) in &request.extra {
        writeln!(out, "extra {key}: {}", one_line(value.get())).unwrap();
    }
    out
}

/// A part in one line.
pub(super) fn show_part(part: &Part) -> String {
    let mut line = match &part.kind {
        PartKind::Text(text) => format!("text {text:?}"),
        PartKind::Image { source: ImageSource::Url(url), .. } => format!("image {url}"),
        PartKind::Image { source: ImageSource::Base64 { media_type, data }, .. } => {
            format!("image {media_type}, {} characters", data.len())
        }
        PartKind::Document { source, name } => format!("document {name:?} {source:?}"),
        PartKind::Reasoning { text, signature } => format!("reasoning {text:?} signed {signature:?}"),
        PartKind::RedactedReasoning { data } => format!("redacted reasoning {data}"),
        PartKind::ToolCall { id, name, arguments } => format!("call {id} {name} {}", one_line(arguments)),
        PartKind::ToolResult { call_id, parts, is_error } => {
            let parts: Vec<String> = parts.iter().map(show_part).collect();
            format!("result {call_id} error {is_error} [{}]", parts.join(", "))
        }
        PartKind::Refusal(text) => format!("refusal {text:?}"),
        PartKind::Other(raw) => format!("other {}", one_line(raw.get())),
    };
    if let Some(cache) = &part.cache {
        write!(line, " cached {}", one_line(cache.0.get())).unwrap();
    }
    line
}

fn show_tool(tool: &Tool) -> String {
    match tool {
        Tool::Vendor { name, raw, .. } => format!("vendor tool {name} {}", one_line(raw.get())),
        Tool::Function { name, description, parameters, strict, cache } => {
            let mut line = format!("tool {name} {description:?} strict {strict:?}");
            for raw in parameters.iter().chain(cache.as_ref().map(|cache| &cache.0)) {
                write!(line, " {}", one_line(raw.get())).unwrap();
            }
            line
        }
    }
}

fn show_sampling(request: &Request) -> String {
    let sampling = &request.sampling;
    let mut line = format!("at most {:?}", sampling.max_output_tokens.unwrap());
    for (name, value) in [("temperature", sampling.temperature), ("top_p", sampling.top_p)] {
        if let Some(value) = value {
            write!(line, ", {name} {value}").unwrap();
        }
    }
    if let Some(top_k) = sampling.top_k {
        write!(line, ", top_k {top_k}").unwrap();
    }
    if !sampling.stop.is_empty() {
        write!(line, ", stop {:?}", sampling.stop).unwrap();
    }
    if request.stream {
        line.push_str(", stream");
    }
    line
}

/// JSON without the white space between its values.
pub(super) fn one_line(json: &str) -> String {
    json.lines().map(str::trim).collect::<Vec<_>>().join("").replace("\": ", "\":")
}

/// Usage in one line.
pub(super) fn show_usage(usage: Option<&Usage>) -> String {
    let Some(usage) = usage else { return "no usage".to_owned() };
    format!(
        "in {} (cached {}, written {}) out {} (reasoning {})",
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.output_tokens,
        usage.reasoning_tokens
    )
}
