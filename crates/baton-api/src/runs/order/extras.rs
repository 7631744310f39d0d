//! Reads what a run has beside its conversation: a workflow, what its answer has to be, which calls need a word.
//!
//! - **Invariant:** a workflow that is read here ends, and asks nobody but those whom its caller named.

use baton_engine::{Approvals, Refusal};
use baton_run::{Around, Flow, OnInvalid, Validation, Workflow, WorkflowMistake};
use serde_json::{Map, Value};

use super::{Before, Reader, is_slug, wrong};
use crate::error::ApiError;

/// Members of chat that say whose request it is, and nothing of how an answer is made.
const OF_EVERY_STEP: [&str; 4] = ["metadata", "prompt_cache_key", "safety_identifier", "user"];
/// Members of a run that mean nothing where a workflow is carried out.
const NOT_OF_WORKFLOWS: [&str; 4] = ["agent", "follow_handoffs", "model", "previous_run"];
/// The most patterns of tools.
const MOST_PATTERNS: usize = 100;

/// A workflow that was read, until it is known what it begins with.
pub(super) struct Wanted(Workflow);

impl Wanted {
    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    /// Everybody who is asked.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.0.everybody().flat_map(|inquiry| inquiry.asks.names())
    }

    /// The workflow at its beginning.
    pub(super) fn begin(
        self,
        messages: &[Value],
        context: &Map<String, Value>,
    ) -> Result<Box<Flow>, ApiError> {
        let input = match messages {
            [message] if message.get("role").and_then(Value::as_str) == Some("user") => {
                message.get("content").and_then(Value::as_str)
            }
            _ => None,
        };
        let input = input.ok_or_else(|| wrong("input", "a text, where a workflow begins with it"))?;
        let flow = Flow::begin(self.0, input, context.clone());
        flow.map(Box::new).map_err(|mistake| told(&mistake, ToOwned::to_owned))
    }
}

/// The workflow that is asked for: one of the file by its name, or one that the request brings.
pub(super) fn workflow(
    reader: &mut Reader,
    before: Option<&Before>,
    known: &[(String, Value)],
    validation: Option<&Validation>,
) -> Result<Option<Wanted>, ApiError> {
    let Some(asked) = reader.take("workflow") else { return Ok(None) };
    for key in reader.0.keys().map(String::as_str).chain(before.map(|_| "previous_run")) {
        if NOT_OF_WORKFLOWS.contains(&key) {
            let message = format!("a run with a `workflow` has no `{key}`: its steps say whom they ask");
            return Err(ApiError::invalid(message, Some(key)));
        }
        if super::is_of_chat(key) && !OF_EVERY_STEP.contains(&key) {
            let message =
                format!("`{key}` belongs to the steps of the workflow: `settings`, or `mcp_servers`");
            return Err(ApiError::invalid(message, Some(key)));
        }
    }
    if validation.is_some_and(|validation| validation.on_failure != OnInvalid::Fail) {
        let message =
            "the answer of a workflow cannot be asked for again: give the step a `validation` of its own";
        return Err(ApiError::invalid(message, Some("validation.on_failure")));
    }
    // Unknown variables are told once it is known which there are.
    let variables = match reader.0.get("context") {
        Some(Value::Object(variables)) => Some(variables),
        _ => None,
    };
    let (name, document, is_own) = match asked {
        Value::String(name) => {
            let found = known.iter().find(|(known, _)| *known == name);
            let Some((_, document)) = found else {
                let near = baton_model::nearest(&name, known.iter().map(|(known, _)| known.as_str()));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                let shown: String = name.chars().take(64).collect();
                let message = format!("there is no workflow `{shown}`{hint}");
                return Err(ApiError::invalid(message, Some("workflow")).with_code("workflow_not_found"));
            };
            (name, document.clone(), false)
        }
        Value::Object(mut members) => {
            let name = match members.remove("name") {
                None => "inline".to_owned(),
                Some(Value::String(name)) if !name.trim().is_empty() && name.len() <= 64 => name,
                Some(_) => return Err(wrong("workflow.name", "a name of at most 64 bytes")),
            };
            (name, Value::Object(members), true)
        }
        _ => return Err(wrong("workflow", "the name of a workflow, or an object with its steps")),
    };
    let read = Workflow::read(&name, &document, Around { others: known, context: variables });
    let within = |path: &str| match path {
        "" => "workflow".to_owned(),
        path if is_own => format!("workflow.{path}"),
        // It is written in the file.
        _ => "workflow".to_owned(),
    };
    let workflow = read.map_err(|mistakes| match mistakes.first() {
        Some(mistake) => told(mistake, within),
        None => wrong("workflow", "a workflow"),
    })?;
    if is_own {
        for (path, inquiry) in workflow.inquiries() {
            let servers = inquiry.mcp_servers.as_ref();
            let only_names = |servers: &Value| match servers {
                Value::Array(all) => all.iter().all(is_slug),
                one => is_slug(one),
            };
            if !servers.is_none_or(only_names) {
                let path = format!("workflow.{path}.mcp_servers");
                let message = format!("`{path}` must be a list of names of servers that the file has");
                return Err(ApiError::invalid(message, Some(&path)).with_code("not_allowed"));
            }
        }
    }
    Ok(Some(Wanted(workflow)))
}

fn told(mistake: &WorkflowMistake, path: impl Fn(&str) -> String) -> ApiError {
    let path = path(&mistake.path);
    let hint = mistake.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    ApiError::invalid(format!("`{path}`: {}{hint}", mistake.message), Some(&path))
}

/// What the answer has to be.
pub(super) fn validation(reader: &mut Reader) -> Result<Option<Validation>, ApiError> {
    let Some(value) = reader.take("validation") else { return Ok(None) };
    Validation::read(&value).map(Some).map_err(|mistake| {
        let path = if mistake.path.is_empty() {
            "validation".to_owned()
        } else {
            format!("validation.{}", mistake.path)
        };
        let hint = mistake.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        ApiError::invalid(format!("`{path}`: {}{hint}", mistake.message), Some(&path))
    })
}

/// Which calls need a word of the caller's.
pub(super) fn approvals(reader: &mut Reader) -> Result<Option<Approvals>, ApiError> {
    let mut members = match reader.take("approvals") {
        None => return Ok(None),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(wrong("approvals", "an object with `tools`")),
    };
    let tools = match members.remove("tools") {
        Some(Value::String(word)) if word == "all" => None,
        Some(Value::Array(names)) => Some(patterns("approvals.tools", &names)?),
        _ => return Err(wrong("approvals.tools", "`all`, or a list of names of tools")),
    };
    let idempotent = match members.remove("idempotent") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(names)) => patterns("approvals.idempotent", &names)?,
        Some(_) => return Err(wrong("approvals.idempotent", "a list of names of tools")),
    };
    match members.keys().next() {
        None => Ok(Some(Approvals { tools, idempotent })),
        Some(other) => {
            let path = format!("approvals.{other}");
            let message = format!("`{path}` is not a member of approvals: `tools` and `idempotent` are");
            Err(ApiError::invalid(message, Some(&path)).with_code("unknown_parameter"))
        }
    }
}

fn patterns(path: &str, names: &[Value]) -> Result<Vec<String>, ApiError> {
    let form = || wrong(path, &format!("a list of at most {MOST_PATTERNS} names of tools"));
    if names.len() > MOST_PATTERNS {
        return Err(form());
    }
    let name = |name: &Value| {
        name.as_str().filter(|name| !name.is_empty() && name.len() <= 128).map(ToOwned::to_owned)
    };
    names.iter().map(name).collect::<Option<_>>().ok_or_else(form)
}

/// Why somebody cannot be asked, at the place where the caller named them.
pub(super) fn at(path: String, refusal: Refusal) -> ApiError {
    let error = ApiError::from(refusal);
    let message = format!("`{path}`: {}", error.message());
    error.with_message(message).with_param(path)
}
