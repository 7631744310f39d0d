//! Reads `mcp_servers` and `mcp_allow_urls`.

use baton_model::Secret;
use baton_tools::{Server, ServerLimits, ServerUrl, ToolSettings, Transport, UrlPattern};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::reader::{At, Named, Reader, Section};
use crate::value::{Wrong, duration};

/// Headers that belong to the connection or to the protocol.
const OWN_HEADERS: [&str; 17] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The longest name of a server.
const MAX_NAME: usize = 256;

/// How much of a result a model may get: at least a kilobyte, at most what is read of one message.
const RESULT: std::ops::RangeInclusive<u64> = 1 << 10..=16 << 20;

/// How many calls a run may make.
const CALLS: std::ops::RangeInclusive<u64> = 1..=100_000;

pub(super) fn tools(reader: &mut Reader<'_>, top: &mut Section<'_>) -> ToolSettings {
    let servers = reader.take(top, "mcp_servers").map(|at| reader.named(&at)).unwrap_or_default();
    let servers = servers.iter().filter_map(|entry| read(reader, entry)).collect();
    let urls = reader.take(top, "mcp_allow_urls").and_then(|at| reader.one_or_more(&at));
    let allow_urls = urls.unwrap_or_default().iter().filter_map(|at| read_pattern(reader, at)).collect();
    ToolSettings { servers, allow_urls }
}

fn read(reader: &mut Reader<'_>, entry: &Named<'_>) -> Option<Server> {
    let is_named = check_name(entry.name).map_err(|wrong| {
        reader.wrong_at(entry.key, &entry.value.path, wrong);
    });
    let mut section = reader.section(&entry.value)?;
    let transport = read_transport(reader, &mut section);
    let tools = reader.take(&mut section, "tools").and_then(|at| read_tools(reader, &at));
    let limits = read_limits(reader, &mut section);
    reader.finish(section);
    is_named.ok()?;
    Some(Server { name: entry.name.to_owned(), transport: transport?, tools, limits })
}

fn check_name(name: &str) -> Result<(), Wrong> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    if !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(allowed) {
        return Ok(());
    }
    let wrong = Wrong::new("this is not a name of an MCP server");
    Err(match name.strip_prefix("docker:") {
        Some(bare) if check_name(bare).is_ok() => {
            wrong.hint(format!("write `{bare}`; a request for `{name}` finds it"))
        }
        _ => wrong.hint("letters, digits, `-`, `_`, `.` and `/`"),
    })
}

fn read_transport(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Option<Transport> {
    let url_at = reader.take(section, "url");
    let command_at = reader.take(section, "command");
    let headers_at = reader.take(section, "headers");
    let env_at = reader.take(section, "env");
    if let (None, Some(at)) = (&url_at, &headers_at)
        && command_at.is_some()
    {
        reader.wrong_secret(at, Wrong::new("a command gets no headers").hint("write `env`"));
    }
    if let (None, Some(at)) = (&command_at, &env_at)
        && url_at.is_some()
    {
        reader.wrong_secret(at, Wrong::new("a URL gets no environment").hint("write `headers`"));
    }
    match (url_at, command_at) {
        (Some(_), Some(at)) => {
            reader
                .wrong_secret(&at, Wrong::new("both `url` and `command` are given").hint("keep one of them"));
            None
        }
        (None, None) => {
            reader.missing(section, "url", "or `command`, for a program of this machine");
            None
        }
        (Some(at), None) => {
            let headers = headers_at.map(|at| read_headers(reader, &at)).unwrap_or_default();
            Some(Transport::Http { url: read_url(reader, &at)?, headers })
        }
        (None, Some(at)) => {
            let env = env_at.map(|at| read_env(reader, &at)).unwrap_or_default();
            Some(Transport::Stdio { command: read_command(reader, &at)?, env })
        }
    }
}

fn read_url(reader: &mut Reader<'_>, at: &At<'_>) -> Option<ServerUrl> {
    reader.read(at, |text| {
        let wrong = match text.parse() {
            Ok(url) => return Ok(url),
            Err(error) => Wrong::new(format!("{error}")),
        };
        let is_bare = !text.contains("://") && !text.contains(char::is_whitespace);
        Err(if is_bare { wrong.hint(format!("did you mean `https://{text}`?")) } else { wrong })
    })
}

fn read_headers(reader: &mut Reader<'_>, at: &At<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for entry in reader.named(at) {
        let Ok(name) = HeaderName::try_from(entry.name) else {
            reader.wrong_at(entry.key, &entry.value.path, Wrong::new("this is not the name of a header"));
            continue;
        };
        if OWN_HEADERS.contains(&name.as_str()) {
            reader.wrong_at(entry.key, &entry.value.path, Wrong::new("Baton sets this header itself"));
            continue;
        }
        let Some(text) = reader.secret(&entry.value) else { continue };
        match HeaderValue::try_from(text.expose().as_str()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.append(name, value);
            }
            Err(_not_shown) => {
                reader.wrong_secret(&entry.value, Wrong::new("no header can carry this value"));
            }
        }
    }
    headers
}

/// The program and its arguments, which may hold secrets.
fn read_command(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<String>> {
    let items = reader.one_or_more(at)?;
    let parts = items.iter().map(|at| reader.secret(at).map(|part| part.expose().clone()));
    let parts: Vec<Option<String>> = parts.collect();
    let parts: Vec<String> = parts.into_iter().collect::<Option<_>>()?;
    if !at.is_list() && parts.iter().any(|part| part.contains(char::is_whitespace)) {
        let wrong = Wrong::new("a command with arguments is a list").hint("write `[program, argument]`");
        reader.wrong_secret(at, wrong);
        return None;
    }
    if parts.iter().any(|part| part.contains('\0')) {
        reader.wrong_secret(at, Wrong::new("a command cannot hold a null character"));
        return None;
    }
    Some(parts)
}

fn read_env(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<(String, Secret<String>)> {
    let mut env = Vec::new();
    for entry in reader.named(at) {
        let is_name = !entry.name.starts_with(|first: char| first.is_ascii_digit())
            && !entry.name.is_empty()
            && entry.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            let wrong = Wrong::new("this is not the name of a variable").hint("letters, digits and `_`");
            reader.wrong_at(entry.key, &entry.value.path, wrong);
        } else if let Some(value) = reader.secret(&entry.value) {
            env.push((entry.name.to_owned(), value));
        }
    }
    env
}

fn read_tools(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Vec<String>> {
    let items = reader.one_or_more(at)?;
    let mut tools: Vec<String> = Vec::with_capacity(items.len());
    for item in &items {
        let Some(name) = reader.read(item, |text| Ok(text.to_owned())) else { continue };
        if tools.contains(&name) {
            reader.wrong(item, Wrong::new(format!("`{name}` is in the list twice")));
        } else {
            tools.push(name);
        }
    }
    Some(tools)
}

fn read_limits(reader: &mut Reader<'_>, section: &mut Section<'_>) -> ServerLimits {
    let mut limits = ServerLimits::default();
    let mut time = |key| reader.take(section, key).and_then(|at| reader.read(&at, duration));
    let (connect, call) = (time("connect_timeout"), time("call_timeout"));
    limits.connect_timeout = connect.unwrap_or(limits.connect_timeout);
    limits.call_timeout = call.unwrap_or(limits.call_timeout);
    if let Some(bytes) =
        reader.take(section, "max_result").and_then(|at| super::read_size(reader, &at, RESULT))
    {
        limits.max_result = usize::try_from(bytes).unwrap_or(limits.max_result);
    }
    if let Some(calls) = reader.take(section, "max_calls").and_then(|at| reader.number(&at, CALLS)) {
        limits.max_calls = u32::try_from(calls).unwrap_or(limits.max_calls);
    }
    limits
}

fn read_pattern(reader: &mut Reader<'_>, at: &At<'_>) -> Option<UrlPattern> {
    reader.read(at, |text| {
        text.parse().map_err(|error| {
            Wrong::new(format!("{error}"))
                .hint("such as `https://mcp.example.com/*` or `https://*.example.com/mcp`")
        })
    })
}

#[cfg(test)]
mod tests;
