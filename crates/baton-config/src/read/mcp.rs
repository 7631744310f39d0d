//! Reads `mcp_servers` and `mcp_allow_urls`, and what the gateway's own MCP endpoint answers from.

use baton_model::Secret;
use baton_tools::{Server, ServerLimits, ServerUrl, ToolSettings, Transport, UrlPattern};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::names::Names;
use super::policy;
use crate::config::{DEFAULT_POLICY, McpEndpoint, Specialist};
use crate::reader::{At, Named, Reader, Section};
use crate::value::{Wrong, did_you_mean, duration};
use crate::{Agents, Route};

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

/// Everything that a specialist can be.
pub(super) struct Nameable<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) routes: &'a [Route],
    pub(super) policies: &'a [policy::Entry],
    pub(super) agents: &'a Agents,
}

/// The specialists that there are without a word in the file: name, model, how it is asked, what it looks at.
const BUILT_IN: [[&str; 4]; 4] = [
    ["code_review", "claude-3-5-sonnet-20241022", "technical", "bugs, performance, best practices"],
    ["creative_expansion", "claude-3-opus-20240229", "creative", "narrative, engagement, originality"],
    ["fact_checking", "openai/gpt-4.1", "analytical", "accuracy, sources, verification"],
    [OTHERWISE, "openai/gpt-4o-mini", "concise", "key points, brevity, clarity"],
];

/// Who does what nobody is for.
const OTHERWISE: &str = "summarization";

/// What chooses where nobody is named, and where nobody serves the model that is.
const ANY_MODEL: &str = "baton/auto";

/// The most specialists.
const MOST_SPECIALISTS: usize = 100;

pub(super) fn endpoint(reader: &mut Reader<'_>, top: &mut Section<'_>, known: &Nameable<'_>) -> McpEndpoint {
    let built_in = || BUILT_IN.iter().map(|row| known.built_in(row)).collect();
    let nothing = McpEndpoint {
        select: vec![ANY_MODEL.to_owned()],
        specialists: Vec::new(),
        otherwise: OTHERWISE.to_owned(),
    };
    let Some(mut section) = reader.take(top, "mcp_endpoint").and_then(|at| reader.section(&at)) else {
        return McpEndpoint { specialists: built_in(), ..nothing };
    };
    let select = reader.take(&mut section, "select").map(|at| known.models(reader, &at));
    let rows = reader.take(&mut section, "specialists").map(|at| (at.clone(), reader.named(&at)));
    let otherwise = reader.take(&mut section, "otherwise");
    let specialists: Vec<Specialist> = match &rows {
        None => built_in(),
        Some((at, rows)) => {
            if rows.is_empty() || rows.len() > MOST_SPECIALISTS {
                let wrong = Wrong::new(format!("expected 1 to {MOST_SPECIALISTS} specialists"));
                reader.wrong_at(at.node.span, &at.path, wrong);
            }
            rows.iter().filter_map(|row| known.specialist(reader, row)).collect()
        }
    };
    let names: Vec<&str> = match &rows {
        None => BUILT_IN.iter().map(|[name, ..]| *name).collect(),
        Some((_, rows)) => rows.iter().map(|row| row.name).collect(),
    };
    let otherwise = match otherwise {
        Some(at) => reader.read(&at, |text| otherwise_name(text, &names)),
        None if names.contains(&OTHERWISE) => None,
        None => {
            reader.missing(&section, "otherwise", format!("which of {} does the rest", names.join(", ")));
            None
        }
    };
    reader.finish(section);
    McpEndpoint {
        select: select.filter(|models| !models.is_empty()).unwrap_or(nothing.select),
        specialists,
        otherwise: otherwise.unwrap_or(nothing.otherwise),
    }
}

fn otherwise_name(text: &str, names: &[&str]) -> Result<String, Wrong> {
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("there is no specialist `{text}`"));
    Err(match did_you_mean(text, names.iter().copied()) {
        Some(hint) => wrong.hint(hint),
        None => wrong.hint("add it to `specialists`"),
    })
}

impl Nameable<'_> {
    /// A row of the built-in table, for whom another chooses where nobody serves its model.
    fn built_in(&self, [name, model, prompt_style, focus]: &[&str; 4]) -> Specialist {
        let model = if self.names.model(model).is_ok() { model } else { ANY_MODEL };
        Specialist {
            name: (*name).to_owned(),
            models: vec![model.to_owned()],
            prompt_style: (*prompt_style).to_owned(),
            focus: (*focus).to_owned(),
        }
    }

    fn specialist(&self, reader: &mut Reader<'_>, row: &Named<'_>) -> Option<Specialist> {
        let mut section = reader.section(&row.value)?;
        let model = reader.take(&mut section, "model");
        if model.is_none() {
            reader.missing(&section, "model", "a model, several, a route, `policy/<name>` or `agent/<name>`");
        }
        let models = model.map(|at| self.models(reader, &at)).unwrap_or_default();
        let mut text =
            |key| reader.take(&mut section, key).and_then(|at| reader.read(&at, |it| Ok(it.to_owned())));
        let (prompt_style, focus) = (text("prompt_style"), text("focus"));
        reader.finish(section);
        Some(Specialist {
            name: row.name.to_owned(),
            models,
            prompt_style: prompt_style.unwrap_or_default(),
            focus: focus.unwrap_or_default(),
        })
    }

    /// One name that a request may have for its `model`, or several models.
    pub(super) fn models(&self, reader: &mut Reader<'_>, at: &At<'_>) -> Vec<String> {
        let items = reader.one_or_more(at).unwrap_or_default();
        match items.as_slice() {
            [one] => reader.read(one, |text| self.named(text)).into_iter().collect(),
            several => {
                let models = self.names.models(reader, several, "list");
                models.iter().map(ToString::to_string).collect()
            }
        }
    }

    /// What a request may have for its `model`.
    pub(super) fn named(&self, text: &str) -> Result<String, Wrong> {
        let known = if let Some(name) = text.strip_prefix("policy/") {
            return super::route::policy_name(name, self.policies).map(|_| text.to_owned());
        } else if let Some(name) = text.strip_prefix("agent/") {
            if self.agents.named(name).is_none() {
                let wrong = Wrong::new(format!("there is no agent `{name}`"));
                let names = self.agents.agents.iter().map(|agent| agent.name.as_str());
                return Err(match did_you_mean(name, names) {
                    Some(hint) => wrong.hint(hint),
                    None => wrong.hint("add it to `agents`"),
                });
            }
            true
        } else {
            text == ANY_MODEL || self.routes.iter().any(|route| route.name.as_str() == text)
        };
        if known { Ok(text.to_owned()) } else { self.names.model(text).map(|name| name.to_string()) }
    }

    /// What clients ask for, with the nearest one of all that can be asked for.
    pub(super) fn asked(&self, text: &str) -> Result<String, Wrong> {
        self.named(text).map_err(|wrong| {
            let routes = self.routes.iter().map(|route| route.name.as_str());
            match did_you_mean(text, routes.chain([ANY_MODEL])) {
                Some(hint) => Wrong::new(format!("there is no route `{text}`")).hint(hint),
                None => wrong,
            }
        })
    }

    /// A policy that may decide where requests go. The store may have others than the file: only what is nearly one
    /// of the file's is taken for a slip.
    pub(super) fn deciding(&self, text: &str) -> Result<String, Wrong> {
        let own = self.agents.agents.iter().map(|agent| agent.policy.reference.name.as_str());
        let names = self.policies.iter().map(|entry| entry.name.as_str()).chain([DEFAULT_POLICY]).chain(own);
        let names: Vec<&str> = names.collect();
        if names.contains(&text) {
            return Ok(text.to_owned());
        }
        match did_you_mean(text, names) {
            Some(hint) => Err(Wrong::new(format!("there is no policy `{text}`")).hint(hint)),
            None => Ok(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
