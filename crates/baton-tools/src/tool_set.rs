//! The tools that one run may use.
//!
//! - Start with [`ToolSet::tools`] and [`ToolSet::call`].
//! - **Invariant:** the same servers with the same tools give the same names in the same order, byte for
//!   byte: they are part of a prompt that vendors cache.
//! - **Invariant:** a call goes to the server and tool that the name was given for, and only while the
//!   tool's definition is the one that was offered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use baton_model::{RawJson, Tool};
use serde_json::Value;

use crate::definition::Definition;
use crate::fault::ErrorCode;
use crate::outcome::Outcome;
use crate::pins::Judged;
use crate::registry::Line;
use crate::{Called, Registry, names};

/// The most tools of all servers of one run.
const MAX_OFFERED: usize = 512;

/// A tool as it may be offered to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct OfferedTool {
    /// What models call it: `<server>__<tool>`, at most 64 of `a-z A-Z 0-9 _ -`.
    pub name: String,
    /// The server, as errors and records name it.
    pub server: String,
    /// The tool, as its server names it.
    pub tool: String,
    /// Its description, with hidden characters written out.
    pub description: Option<String>,
    /// JSON schema of its arguments.
    pub schema: RawJson,
    /// SHA-256 of the definition.
    pub hash: String,
}

impl OfferedTool {
    /// As a tool of the conversation.
    #[must_use]
    pub fn to_tool(&self) -> Tool {
        Tool::Function {
            name: self.name.clone(),
            description: self.description.clone(),
            parameters: Some(self.schema.clone()),
            strict: None,
            cache: None,
        }
    }
}

/// Why a server, or some of its tools, are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// The server, as the request names it.
    pub server: String,
    /// What happened.
    pub message: String,
    /// The same as a word.
    pub code: ErrorCode,
    /// What can be done.
    pub recommendation: String,
}

impl ServerError {
    pub(crate) fn new(server: String, code: ErrorCode, message: String) -> Self {
        Self { server, message, code, recommendation: code.recommendation().to_owned() }
    }
}

/// The tools of the servers that a request named.
#[derive(Debug)]
pub struct ToolSet {
    registry: Registry,
    tools: Vec<OfferedTool>,
    bound: HashMap<String, Bound>,
    errors: Vec<ServerError>,
    /// The servers that are open.
    lines: Vec<Arc<Line>>,
}

/// What the name of an offered tool stands for.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) line: Arc<Line>,
    pub(crate) label: String,
    pub(crate) tool: String,
    pub(crate) hash: String,
    /// The calls of this run to this server.
    calls: Arc<AtomicU32>,
}

/// A server that answered, with its list.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) label: String,
    pub(crate) line: Arc<Line>,
    pub(crate) tools: Arc<[Definition]>,
    pub(crate) judged: Judged,
}

impl ToolSet {
    pub(crate) fn new(registry: Registry, opened: Vec<Opened>, errors: Vec<ServerError>) -> Self {
        let mut set = Self { registry, tools: Vec::new(), bound: HashMap::new(), errors, lines: Vec::new() };
        set.extend(opened, Vec::new());
        set
    }

    /// Adds servers behind those that are there.
    pub(crate) fn extend(&mut self, opened: Vec<Opened>, errors: Vec<ServerError>) {
        for error in errors {
            if !self.errors.iter().any(|known| known.server == error.server) {
                self.errors.push(error);
            }
        }
        for server in opened {
            self.add(&server);
            self.lines.push(server.line);
        }
    }

    pub(crate) fn lines(&self) -> &[Arc<Line>] {
        &self.lines
    }

    /// The tools, in the order of the servers and of their lists.
    #[must_use]
    pub fn tools(&self) -> &[OfferedTool] {
        &self.tools
    }

    /// What is not there, and why. At most one for each server.
    #[must_use]
    pub fn errors(&self) -> &[ServerError] {
        &self.errors
    }

    /// Whether a model's call of this name is one of these tools.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.bound.contains_key(name)
    }

    /// Calls a tool by its offered name, with the arguments as the model wrote them.
    ///
    /// Never fails and never takes longer than `patience` and the server's limit: what goes wrong is a
    /// result that says so.
    pub async fn call(&self, name: &str, arguments: &str, patience: Duration) -> Called {
        let started = Instant::now();
        let Some(bound) = self.bound.get(name) else {
            let shown: String = crate::shown::visible(name).chars().take(100).collect();
            let why = format!("there is no tool `{shown}`");
            let outcome = Outcome::refused(ErrorCode::UnknownTool, &why);
            return called(String::new(), shown, outcome, started);
        };
        let outcome = self.call_bound(bound, arguments, patience).await;
        called(bound.label.clone(), bound.tool.clone(), outcome, started)
    }

    async fn call_bound(&self, bound: &Bound, arguments: &str, patience: Duration) -> Outcome {
        let text = arguments.trim();
        let arguments = match serde_json::from_str(if text.is_empty() { "{}" } else { text }) {
            Ok(Value::Object(arguments)) => arguments,
            Ok(_) => return Outcome::refused(ErrorCode::BadArguments, "the arguments are no JSON object"),
            Err(error) => {
                let why = format!(
                    "the arguments are not valid JSON, at line {} column {}",
                    error.line(),
                    error.column()
                );
                return Outcome::refused(ErrorCode::BadArguments, &why);
            }
        };
        let limit = bound.line.server.limits.max_calls;
        if bound.calls.fetch_add(1, Ordering::Relaxed) >= limit {
            let why = format!("a run may call this server {limit} times, and did");
            return Outcome::refused(ErrorCode::LimitReached, &why);
        }
        self.registry.call(bound, arguments, patience).await
    }

    fn add(&mut self, server: &Opened) {
        let Opened { label, line, tools, judged } = server;
        let calls = Arc::new(AtomicU32::new(0));
        let allowed = |name: &str| {
            line.server.tools.as_ref().is_none_or(|allowed| allowed.iter().any(|allowed| allowed == name))
        };
        let mut changed = Vec::new();
        let mut left_out = Vec::new();
        for (tool, fits) in tools.iter().zip(&judged.fits) {
            if !allowed(&tool.name) {
                continue;
            }
            if let Some(why) = tool.unfit {
                left_out.push((tool.name.as_str(), why));
                continue;
            }
            if !fits {
                changed.push(tool.name.as_str());
                continue;
            }
            let name = names::offered(label, &tool.name, |name| self.bound.contains_key(name));
            let Some(name) = name.filter(|_| self.tools.len() < MAX_OFFERED) else {
                left_out.push((tool.name.as_str(), "too many tools"));
                continue;
            };
            let bound = Bound {
                line: Arc::clone(line),
                label: label.clone(),
                tool: tool.name.clone(),
                hash: tool.hash.clone(),
                calls: Arc::clone(&calls),
            };
            self.bound.insert(name.clone(), bound);
            self.tools.push(OfferedTool {
                name,
                server: label.clone(),
                tool: tool.name.clone(),
                description: tool.description.clone(),
                schema: tool.schema.clone(),
                hash: tool.hash.clone(),
            });
        }
        self.errors.extend(gap(server, &changed, &left_out));
    }
}

/// What a server's error says of tools that are not offered.
fn gap(server: &Opened, changed: &[&str], left_out: &[(&str, &'static str)]) -> Option<ServerError> {
    let label = &server.label;
    if server.judged.full {
        let message = "too many servers are remembered; its tools cannot be pinned".to_owned();
        return Some(ServerError::new(label.clone(), ErrorCode::LimitReached, message));
    }
    if !changed.is_empty() {
        let message =
            format!("changed since they were pinned, and disabled: {}", listed(changed.iter().copied()));
        let mut error = ServerError::new(label.clone(), ErrorCode::DefinitionChanged, message);
        error.recommendation =
            format!("the operator can approve the change: `baton mcp approve {}`", server.line.pinned_as());
        return Some(error);
    }
    let (_, why) = left_out.first()?;
    let message = format!("left out, {why}: {}", listed(left_out.iter().map(|(name, _)| *name)));
    Some(ServerError::new(label.clone(), ErrorCode::ProtocolError, message))
}

/// A few names, as they can be shown.
fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<String> = names
        .map(|name| format!("`{}`", crate::shown::visible(name).chars().take(64).collect::<String>()))
        .collect();
    let more = names.len().saturating_sub(10);
    names.truncate(10);
    let shown = names.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn called(server: String, tool: String, outcome: Outcome, started: Instant) -> Called {
    let Outcome { is_error, code, text, result, bytes } = outcome;
    Called { server, tool, is_error, code, text, result, took: started.elapsed(), bytes }
}
