//! Reads what is asked of a run into what is stored of it, and that into what the engine is asked.
//!
//! An order is complete: whichever process takes the run needs nothing else. The conversation behind
//! `previous_run` is part of it.
//!
//! - Start with [`Order::read`], then [`Order::ask`].
//! - **Invariant:** a member that is not known is refused by its name.

use std::sync::Arc;

use axum::http::HeaderMap;
use baton_access::Principal;
use baton_dialect::follows_schema;
use baton_engine::{Approvals, Ask, Caller, Checkpoint, Engine, HeldNote, Kept, RunTerms};
use baton_model::{NanoUsd, RawJson, RawObject, RequestId, RunId, nearest};
use baton_run::{Flow, Validation};
use baton_state::Subject;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ask::{caller, read_as};
use crate::error::ApiError;
use crate::gate::text;
use crate::surface::RUNS;
use crate::wishes::dollars;

/// The most turns that a run may ask for.
const MOST_TURNS: u64 = 50;
/// The longest that a run may be told to take.
const MOST_SECONDS: u64 = 24 * 60 * 60;

/// Members that mean for a run what they mean for chat.
const AS_IN_CHAT: [&str; 17] = [
    "frequency_penalty",
    "max_completion_tokens",
    "max_tokens",
    "mcp_servers",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "stop",
    "temperature",
    "tool_choice",
    "tools",
    "user",
];

/// Members of a run's own.
const OWN: [&str; 16] = [
    "agent",
    "approvals",
    "background",
    "budget",
    "context",
    "context_schema",
    "follow_handoffs",
    "input",
    "max_handoffs",
    "max_turns",
    "model",
    "policy",
    "previous_run",
    "stream",
    "validation",
    "workflow",
];

/// Whether a member means for a run what it means for chat.
fn is_of_chat(key: &str) -> bool {
    AS_IN_CHAT.contains(&key) || key == "top_p"
}

/// What may be said of an agent that is not configured.
const INLINE: [&str; 11] = [
    "description",
    "instruction",
    "max_tokens",
    "mcp_servers",
    "model",
    "name",
    "reasoning_effort",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
];

/// A run as it is stored: all that is needed to begin it anywhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The request that it came by.
    request: RequestId,
    principal: String,
    /// The models that its key may use; none for all.
    #[serde(default)]
    models: Option<Vec<String>>,
    /// As a request of chat.
    body: RawJson,
    /// By what its conversation is known.
    session: String,
    /// Who has the conversation that it goes on with.
    #[serde(default)]
    held: Option<HeldNote>,
    #[serde(default)]
    max_turns: Option<u32>,
    #[serde(default)]
    max_handoffs: Option<u32>,
    #[serde(default)]
    max_cost: Option<NanoUsd>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    until_ms: Option<u64>,
    follow_handoffs: bool,
    /// The workflow that it carries out, at its beginning.
    #[serde(default)]
    pub(crate) workflow: Option<Box<Flow>>,
    /// What its answer has to be.
    #[serde(default)]
    pub(crate) validation: Option<Validation>,
    /// Which calls need a word of its caller's.
    #[serde(default)]
    approvals: Option<Approvals>,
    /// What its caller is shown of its own request.
    pub(crate) shown: Shown,
}

/// What a caller is shown of its request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shown {
    #[serde(default)]
    pub(crate) model: Option<Value>,
    #[serde(default)]
    pub(crate) agent: Option<String>,
    #[serde(default)]
    pub(crate) workflow: Option<String>,
    #[serde(default)]
    pub(crate) background: bool,
    #[serde(default)]
    pub(crate) context: Map<String, Value>,
    #[serde(default)]
    pub(crate) metadata: Option<Value>,
    #[serde(default)]
    pub(crate) previous_run: Option<RunId>,
}

/// How a caller wants to hear of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) stream: bool,
    pub(crate) background: bool,
}

/// How a request for a run came.
#[derive(Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) request: RequestId,
    pub(crate) run: RunId,
    pub(crate) now_ms: u64,
    pub(crate) wanted: Wanted,
    pub(crate) principal: &'a Principal,
    pub(crate) headers: &'a HeaderMap,
    /// The workflows of the file, as they are written.
    pub(crate) workflows: &'a [(String, Value)],
}

/// A run that another one goes on from.
pub(crate) struct Before {
    pub(crate) id: RunId,
    pub(crate) order: Order,
    pub(crate) checkpoint: Checkpoint,
}

/// The members of a request, each taken once.
pub(crate) struct Reader(Map<String, Value>);

impl Reader {
    /// The members of a body.
    pub(crate) fn of(body: &RawObject) -> Result<Self, ApiError> {
        let mut members = Map::new();
        for member in body.members() {
            let value = serde_json::from_slice(member.value)
                .map_err(|_json| wrong(member.key, "JSON that can be read"))?;
            members.insert(member.key.to_owned(), value);
        }
        for key in members.keys() {
            let key = key.as_str();
            if !OWN.contains(&key) && !is_of_chat(key) {
                let near = nearest(key, OWN.iter().chain(&AS_IN_CHAT).copied());
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                let message = format!("`{key}` is not a member of a run{hint}");
                return Err(ApiError::invalid(message, Some(key)).with_code("unknown_parameter"));
            }
        }
        members.retain(|_, value| !value.is_null());
        Ok(Self(members))
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, ApiError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
            Some(_) => Err(wrong(key, "a text")),
        }
    }

    fn truth(&mut self, key: &str) -> Result<Option<bool>, ApiError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(_) => Err(wrong(key, "`true` or `false`")),
        }
    }

    fn count(&mut self, key: &str, least: u64, most: u64) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let count = value.as_u64().filter(|count| (least..=most).contains(count));
        let count = count.and_then(|count| u32::try_from(count).ok());
        count.map(Some).ok_or_else(|| wrong(key, &format!("a whole number from {least} to {most}")))
    }

    /// The run that this one goes on from, as its caller names it.
    pub(crate) fn previous(&mut self) -> Result<Option<RunId>, ApiError> {
        let named = self.text("previous_run")?;
        named.map(|named| named.parse().map_err(|_id| no_previous(&named))).transpose()
    }

    /// How the caller wants to hear of the run.
    pub(crate) fn wanted(&mut self) -> Result<Wanted, ApiError> {
        let stream = self.truth("stream")?.unwrap_or(false);
        let background = self.truth("background")?.unwrap_or(false);
        Ok(Wanted { stream, background })
    }
}

impl Order {
    /// Reads a request. `reader` has told already what it goes on from, and how it is to be heard of.
    pub(crate) fn read(
        mut reader: Reader,
        before: Option<&Before>,
        arrival: &Arrival<'_>,
    ) -> Result<Self, ApiError> {
        let Arrival { request, run, now_ms, wanted, principal, headers, workflows } = *arrival;
        if headers.contains_key("x-provider-key") {
            let message = "a run is stored, and a provider's key (`x-provider-key`) is not";
            return Err(ApiError::invalid(message, Some("x-provider-key")));
        }
        let mut shown = Shown {
            background: wanted.background,
            metadata: reader.0.get("metadata").cloned(),
            previous_run: before.map(|before| before.id),
            ..Shown::default()
        };
        let mut messages = before.map(Before::messages).transpose()?.unwrap_or_default();
        let asked = input(&mut reader)?;
        let validation = extras::validation(&mut reader)?;
        let approvals = extras::approvals(&mut reader)?;
        let mut members = Map::new();
        let workflow = extras::workflow(&mut reader, before, workflows, validation.as_ref())?;
        if let Some(workflow) = &workflow {
            let first = workflow.names().next().unwrap_or_default();
            members.insert("model".to_owned(), Value::from(first));
            shown.workflow = Some(workflow.name().to_owned());
        }
        let instruction =
            if workflow.is_some() { None } else { speakers(&mut reader, before, &mut shown, &mut members)? };
        if let Some(instruction) = instruction {
            messages.retain(|message| message.get("role") != Some(&Value::from("system")));
            messages.insert(0, json!({ "role": "system", "content": instruction }));
        }
        messages.extend(asked);
        let says_context = reader.0.contains_key("context");
        let mut context = context(&mut reader)?;
        if let Some(before) = before.filter(|_| !says_context) {
            let last = before.checkpoint.progress.context.as_ref();
            context.clone_from(last.unwrap_or(&before.order.shown.context));
        }
        let workflow = workflow.map(|workflow| workflow.begin(&messages, &context)).transpose()?;
        let Budget { max_cost, max_tokens, max_seconds } = budget(&mut reader)?;
        let max_turns = reader.count("max_turns", 1, MOST_TURNS)?;
        let max_handoffs = reader.count("max_handoffs", 0, MOST_TURNS)?;
        let follow_handoffs = reader.truth("follow_handoffs")?.unwrap_or(true);
        let policy =
            reader.text("policy")?.or_else(|| text(headers, "x-baton-policy").map(ToOwned::to_owned));
        let session = text(headers, "x-baton-session").map(ToOwned::to_owned);
        let session = session.or_else(|| before.map(|before| before.order.session.clone()));
        let session = session.unwrap_or_else(|| run.to_string());
        let tags: Vec<&str> =
            text(headers, "x-baton-tags").into_iter().flat_map(|tags| tags.split(',')).collect();
        let mut own = json!({ "session": session, "tags": tags });
        if let Some(own) = own.as_object_mut() {
            own.extend(policy.map(|policy| ("policy".to_owned(), Value::from(policy))));
            if !context.is_empty() {
                own.insert("context".to_owned(), Value::Object(context.clone()));
            }
        }
        shown.context = context;
        members.insert("messages".to_owned(), Value::Array(messages));
        members.insert("baton".to_owned(), own);
        // All others mean what they mean for chat.
        for (key, value) in reader.0 {
            members.entry(key).or_insert(value);
        }
        let body = RawJson::of(&members).map_err(ApiError::from)?;
        let caller = caller(principal);
        Ok(Self {
            request,
            principal: caller.principal,
            models: caller.models,
            body,
            session,
            held: before.and_then(|before| before.checkpoint.progress.held.clone()),
            max_turns,
            max_handoffs,
            max_cost,
            max_tokens,
            until_ms: max_seconds.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1_000))),
            follow_handoffs,
            workflow,
            validation,
            approvals,
            shown,
        })
    }

    /// Whether it can be carried out, as far as that can be known before.
    pub(crate) fn check(&self, engine: &Engine) -> Result<(), ApiError> {
        let ask = self.ask(&Checkpoint::default(), None)?;
        if let Some(validation) = &self.validation {
            let checked = engine.check_validation(&ask, validation);
            checked.map_err(|(within, refusal)| extras::at(format!("validation{within}"), *refusal))?;
        }
        match &self.workflow {
            Some(flow) => {
                let checked = engine.check_workflow(&ask, flow.workflow());
                checked.map_err(|(within, refusal)| extras::at(format!("workflow.{within}"), *refusal))
            }
            None => engine.dry_run(&ask).map(drop).map_err(|refusal| as_sent(ApiError::from(refusal))),
        }
    }

    /// Whose content it is.
    pub(crate) fn subject(&self) -> Subject {
        let named: Named = self.body.read().unwrap_or_default();
        Subject::of(&self.principal, named.safety_identifier.as_deref(), named.user.as_deref())
    }

    /// What bounds it beside the request.
    pub(crate) fn terms(&self) -> RunTerms {
        RunTerms {
            max_tokens: self.max_tokens,
            until_ms: self.until_ms,
            follow_handoffs: self.follow_handoffs,
            approvals: self.approvals.clone().map(Arc::new),
        }
    }

    pub(crate) fn principal(&self) -> &str {
        &self.principal
    }

    /// By what its conversation is known, and who has it.
    pub(crate) fn held<'a>(&'a self, checkpoint: &'a Checkpoint) -> Option<(&'a str, &'a HeldNote)> {
        let held = checkpoint.progress.held.as_ref().or(self.held.as_ref());
        held.map(|held| (self.session.as_str(), held))
    }

    /// What the engine is asked, from where the run has come to.
    pub(crate) fn ask(&self, checkpoint: &Checkpoint, kept: Option<Arc<Kept>>) -> Result<Ask, ApiError> {
        let mut body = RawObject::parse(self.body.get().to_owned().into())?;
        if let Some(conversation) = &checkpoint.conversation {
            let messages = conversation.get().to_owned().into();
            body = RawObject::parse(body.rewritten(&[("messages", Some(messages))]).into())?;
        }
        if let Some(name) = &checkpoint.taken_over {
            let name = Value::from(name.as_str()).to_string().into();
            body = RawObject::parse(body.rewritten(&[("model", Some(name))]).into())?;
        }
        if let Some(context) = &checkpoint.progress.context {
            // Steps may have changed it since the run began.
            let mut own: Map<String, Value> = body.read("baton")?.unwrap_or_default();
            own.insert("context".to_owned(), Value::Object(context.clone()));
            let own = Value::Object(own).to_string().into();
            body = RawObject::parse(body.rewritten(&[("baton", Some(own))]).into())?;
        }
        let caller = Caller { principal: self.principal.clone(), models: self.models.clone() };
        let headers = HeaderMap::new();
        let mut ask = read_as(RUNS, self.request, caller, None, &headers, None, body).map_err(as_sent)?;
        ask.stream = false;
        ask.handoff.max_turns = self.max_turns.or(ask.handoff.max_turns);
        ask.handoff.max_handoffs = self.max_handoffs.or(ask.handoff.max_handoffs);
        ask.handoff.budget = self.max_cost.or(ask.handoff.budget);
        ask.kept = kept;
        Ok(ask)
    }
}

impl Before {
    /// The conversation so far.
    fn messages(&self) -> Result<Vec<Value>, ApiError> {
        let conversation = self.checkpoint.progress.conversation.as_ref();
        let messages = conversation.and_then(|conversation| conversation.read().ok());
        messages.ok_or_else(|| {
            ApiError::invalid("the run before has no conversation to go on with", Some("previous_run"))
                .with_code("previous_run_not_usable")
        })
    }
}

#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    safety_identifier: Option<String>,
    #[serde(default)]
    user: Option<String>,
}

/// What the user says, as messages.
fn input(reader: &mut Reader) -> Result<Vec<Value>, ApiError> {
    match reader.take("input") {
        Some(Value::String(text)) if !text.trim().is_empty() => {
            Ok(vec![json!({ "role": "user", "content": text })])
        }
        Some(Value::Array(messages)) if !messages.is_empty() => {
            for (at, message) in messages.iter().enumerate() {
                let role = message.get("role").and_then(Value::as_str);
                if !role.is_some_and(|role| {
                    matches!(role, "system" | "developer" | "user" | "assistant" | "tool")
                }) {
                    let path = format!("input[{at}].role");
                    return Err(wrong(&path, "`system`, `developer`, `user`, `assistant` or `tool`"));
                }
            }
            Ok(messages)
        }
        None => {
            Err(ApiError::invalid("a run needs an `input`: a text, or a list of messages", Some("input")))
        }
        Some(_) => Err(wrong("input", "a text, or a list of messages")),
    }
}

/// Who answers: a model, several, an agent of the file, or one that the request brings. What the latter is told
/// is given back.
fn speakers(
    reader: &mut Reader,
    before: Option<&Before>,
    shown: &mut Shown,
    members: &mut Map<String, Value>,
) -> Result<Option<String>, ApiError> {
    let (model, agent) = (reader.take("model"), reader.take("agent"));
    if model.is_some() && agent.is_some() {
        return Err(ApiError::invalid("a run has a `model` or an `agent`, not both", Some("agent")));
    }
    match (model, agent) {
        (Some(model), _) => {
            shown.model = Some(model.clone());
            members.insert("model".to_owned(), model);
            Ok(None)
        }
        (None, Some(Value::String(name))) => {
            let name = name.strip_prefix("agent/").unwrap_or(&name).to_owned();
            members.insert("model".to_owned(), Value::from(format!("agent/{name}")));
            shown.agent = Some(name);
            Ok(None)
        }
        (None, Some(Value::Object(agent))) => inline(agent, shown, members),
        (None, Some(_)) => Err(wrong("agent", "a name, or an object with a `model` and an `instruction`")),
        (None, None) => match before {
            Some(before) if before.order.workflow.is_some() => {
                let message = "the run before was a workflow: say with a `model` or an `agent` who goes on";
                Err(ApiError::invalid(message, Some("model")))
            }
            Some(before) => {
                let body: Map<String, Value> = before.order.body.read().unwrap_or_default();
                for (key, value) in body {
                    // The tools and settings of a conversation stay, unless the request brings others.
                    if key != "messages" && key != "baton" && !reader.0.contains_key(&key) {
                        members.insert(key, value);
                    }
                }
                shown.model.clone_from(&before.order.shown.model);
                shown.agent.clone_from(&before.order.shown.agent);
                Ok(None)
            }
            None => Err(ApiError::invalid("a run needs a `model` or an `agent`", Some("model"))),
        },
    }
}

/// An agent that the request brings: a model, what it is told, and servers of the file.
fn inline(
    mut agent: Map<String, Value>,
    shown: &mut Shown,
    members: &mut Map<String, Value>,
) -> Result<Option<String>, ApiError> {
    agent.retain(|_, value| !value.is_null());
    for key in agent.keys() {
        let path = format!("agent.{key}");
        if matches!(key.as_str(), "toolsets" | "command" | "commands" | "args" | "env") {
            let message = format!("`{path}` is for agents of the file alone: a request starts no programs");
            return Err(ApiError::invalid(message, Some(&path)).with_code("not_allowed"));
        }
        if !INLINE.contains(&key.as_str()) {
            let hint = nearest(key, INLINE).map(|near| format!("; did you mean `agent.{near}`?"));
            let message =
                format!("`{path}` is not a member of an agent in a request{}", hint.unwrap_or_default());
            return Err(ApiError::invalid(message, Some(&path)).with_code("unknown_parameter"));
        }
    }
    let text = |value: Option<Value>, key: &str| match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(&format!("agent.{key}"), "a text")),
    };
    let instruction = text(agent.remove("instruction"), "instruction")?;
    shown.agent = Some(text(agent.remove("name"), "name")?.unwrap_or_else(|| "inline".to_owned()));
    let _for_people = text(agent.remove("description"), "description")?;
    let model = agent
        .remove("model")
        .ok_or_else(|| ApiError::invalid("an agent in a request needs a `model`", Some("agent.model")))?;
    shown.model = Some(model.clone());
    members.insert("model".to_owned(), model);
    if let Some(servers) = agent.get("mcp_servers") {
        let only_names = servers.as_array().is_some_and(|all| all.iter().all(is_slug));
        if !only_names {
            return Err(ApiError::invalid(
                "`agent.mcp_servers` must be a list of names of servers that the file has",
                Some("agent.mcp_servers"),
            )
            .with_code("not_allowed"));
        }
    }
    members.extend(agent);
    Ok(instruction)
}

/// Whether it is a name, and not an address.
fn is_slug(server: &Value) -> bool {
    server.as_str().is_some_and(|name| !name.contains("://"))
}

/// The variables of the run, checked against their schema.
fn context(reader: &mut Reader) -> Result<Map<String, Value>, ApiError> {
    let context = match reader.take("context") {
        None => Map::new(),
        Some(Value::Object(context)) => context,
        Some(_) => return Err(wrong("context", "an object")),
    };
    match reader.take("context_schema") {
        None => {}
        Some(schema @ Value::Object(_)) => {
            let text = Value::Object(context.clone()).to_string();
            follows_schema(&schema, &text).map_err(|misfit| {
                let path = match misfit.path.as_str() {
                    "" => "context".to_owned(),
                    inner if inner.starts_with('[') => format!("context{inner}"),
                    inner => format!("context.{}", inner.trim_start_matches(['.', '/'])),
                };
                wrong(&path, &misfit.wanted).with_code("context_against_schema")
            })?;
        }
        Some(_) => return Err(wrong("context_schema", "a JSON Schema")),
    }
    Ok(context)
}

/// What a run may use up.
#[derive(Default)]
struct Budget {
    max_cost: Option<NanoUsd>,
    max_tokens: Option<u64>,
    max_seconds: Option<u64>,
}

/// Money, tokens, seconds.
fn budget(reader: &mut Reader) -> Result<Budget, ApiError> {
    let mut budget = match reader.take("budget") {
        None => return Ok(Budget::default()),
        Some(Value::Object(budget)) => budget,
        Some(_) => return Err(wrong("budget", "an object")),
    };
    budget.retain(|_, value| !value.is_null());
    let cost = budget.remove("max_cost_usd");
    let cost = cost
        .map(|cost| dollars(&cost).ok_or_else(|| wrong("budget.max_cost_usd", "an amount in US dollars")))
        .transpose()?;
    let mut count = |key: &str, most: u64| {
        let path = format!("budget.{key}");
        let wanted = || wrong(&path, &format!("a whole number from 1 to {most}"));
        let value = budget.remove(key);
        value
            .map(|value| value.as_u64().filter(|count| (1..=most).contains(count)).ok_or_else(wanted))
            .transpose()
    };
    let tokens = count("max_tokens", u64::from(u32::MAX))?;
    let seconds = count("max_seconds", MOST_SECONDS)?;
    match budget.keys().next() {
        None => Ok(Budget { max_cost: cost, max_tokens: tokens, max_seconds: seconds }),
        Some(other) => {
            let path = format!("budget.{other}");
            let message = format!(
                "`{path}` is not a member of a budget: `max_cost_usd`, `max_tokens`, `max_seconds` are"
            );
            Err(ApiError::invalid(message, Some(&path)).with_code("unknown_parameter"))
        }
    }
}

/// An error of the request as the engine reads it, with the paths that the caller sent.
pub(crate) fn as_sent(error: ApiError) -> ApiError {
    let path = error.param().map(ToOwned::to_owned);
    let Some(path) = path else { return error };
    if let Some(rest) = path.strip_prefix("baton.") {
        let own = rest.to_owned();
        return error.renamed("baton.", "").with_param(own);
    }
    match path.strip_prefix("messages") {
        Some(rest) => {
            let own = format!("input{rest}");
            error.renamed("messages", "input").with_param(own)
        }
        None => error,
    }
}

pub(crate) fn no_previous(named: &str) -> ApiError {
    let named: String = named.chars().take(64).collect();
    ApiError::invalid(format!("there is no run `{named}` to go on from"), Some("previous_run"))
        .with_code("previous_run_not_found")
}

fn wrong(path: &str, form: &str) -> ApiError {
    ApiError::invalid(format!("`{path}` must be {form}"), Some(path))
}

mod extras;
#[cfg(test)]
mod tests;
