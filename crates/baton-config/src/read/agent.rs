//! Reads `agents`, in the shape and the words of Docker Agent.
//!
//! Files of that program load as they are. So each of its keys is known here: it is honoured, or the report says
//! that it is not, with its place. What would start a program is refused.
//!
//! - Start with [`agents`].
//! - **Invariant:** no key is passed over in silence.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use baton_model::{ModelName, NanoUsd};
use baton_policy::{Policy, PolicyRef};

use self::alias::Alias;
use self::edge::{known, read_handoffs, read_sub_agents, tool_name};
use self::note::Notes;
use super::names::Names;
use super::policy;
use super::route;
use crate::agents::{Agent, AgentModel, Agents, Budget, HandoffTool, StructuredOutput};
use crate::config::DEFAULT_POLICY;
use crate::document::policy_version;
use crate::reader::{At, Named, Reader, Section};
use crate::tree::Span;
use crate::value::{Wrong, duration, millis, money};
use crate::{Model, Route};

pub(super) mod alias;
mod edge;
mod keys;
mod lint;
pub(super) mod note;
mod shown;
mod step;
mod toolset;

pub(crate) use self::shown::shown;

/// The most agents of a file.
const MOST_AGENTS: usize = 256;

/// The longest name of an agent.
const LONGEST_NAME: usize = 64;

/// The tools that hand over and give tasks.
const OWN_TOOLS: [&str; 2] = ["handoff", "transfer_task"];

/// What agents are read with.
pub(super) struct Around<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) aliases: &'a [Alias],
    pub(super) models: &'a [Model],
    pub(super) routes: &'a [Route],
    pub(super) policies: &'a [policy::Entry],
}

/// Where the keys of an agent stand that name others.
#[derive(Default)]
struct Places {
    name: Span,
    handoffs: Vec<(String, Span, String)>,
    sub_agents: Vec<(String, Span, String)>,
    force: Option<(String, Span, String)>,
}

/// An agent of the file, and where it names others.
struct Entry {
    agent: Agent,
    path: String,
    places: Places,
}

/// Reads `agents`, and the keys of the top level that are about them.
pub(super) fn agents(
    reader: &mut Reader<'_>,
    top: &mut Section<'_>,
    around: &Around<'_>,
    mut notes: Notes,
) -> Agents {
    keys::note(reader, top, &keys::TOP, &mut notes);
    let budget = notes.take(reader, top, "budget").map(|at| read_budget(reader, &at, &mut notes));
    let entries = reader.take(top, "agents").map(|at| reader.named(&at)).unwrap_or_default();
    if let Some(one_more) = entries.get(MOST_AGENTS) {
        let wrong = Wrong::new(format!("a file has {MOST_AGENTS} agents at most"));
        reader.wrong_at(one_more.key, &one_more.value.path, wrong);
    }
    let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    let read: Vec<Entry> = entries
        .iter()
        .take(MOST_AGENTS)
        .filter_map(|entry| read(reader, entry, &names, around, &mut notes))
        .collect();
    check_forced(reader, &read);
    lint::lint(&read, around, &mut notes);
    let mut report = notes.into_inner();
    report.sort_by(|a, b| (&a.place, &a.path, a.kind).cmp(&(&b.place, &b.path, b.kind)));
    report.dedup();
    Agents {
        agents: read.into_iter().map(|entry| entry.agent).collect(),
        budget: budget.unwrap_or_default(),
        report,
    }
}

fn read(
    reader: &mut Reader<'_>,
    entry: &Named<'_>,
    names: &[&str],
    around: &Around<'_>,
    notes: &mut Notes,
) -> Option<Entry> {
    if !is_agent_name(entry.name) {
        let wrong = Wrong::new("an agent is named with letters, digits, `-`, `_` and `.`, 64 at most");
        reader.wrong_at(entry.key, &entry.value.path, wrong);
    }
    let before = reader.mistake_count();
    let mut section = reader.section(&entry.value)?;
    let mut places = Places { name: entry.key, ..Places::default() };
    let pool = read_pool(reader, &mut section, around, notes);
    let text = |reader: &mut Reader<'_>, section: &mut Section<'_>, notes: &mut Notes, key| {
        let at = notes.take(reader, section, key)?;
        reader.read(&at, |text| Ok(text.trim().to_owned()))
    };
    let description = text(reader, &mut section, notes, "description").unwrap_or_default();
    let instruction = read_instruction(reader, &mut section, notes);
    let policy = read_policy(reader, &mut section, entry.name, pool.as_ref(), around, notes);
    let mut models = pool.map(|pool| pool.models).unwrap_or_default();
    models.extend(policy.stand_ins);
    drop_repeated(&mut models);
    let handoffs = notes
        .take(reader, &mut section, "handoffs")
        .map(|at| read_handoffs(reader, &at, entry.name, names, &mut places, notes));
    let sub_agents = notes
        .take(reader, &mut section, "sub_agents")
        .map(|at| read_sub_agents(reader, &at, entry.name, names, &mut places, notes));
    let force_handoff = notes.take(reader, &mut section, "force_handoff").and_then(|at| {
        let named = reader.read(&at, |text| {
            known(text, entry.name, "force_handoff", names).map_err(|missing| missing.wrong)
        })?;
        places.force = Some((named.clone(), at.node.span, at.path.clone()));
        if named == entry.name {
            reader.wrong(&at, Wrong::new(format!("force_handoff cycle detected involving agent `{named}`")));
        }
        Some(named)
    });
    let forms = [("handoff", HandoffTool::Handoff), ("transfer_to", HandoffTool::TransferTo)];
    let handoff_tool =
        notes.take(reader, &mut section, "handoff_tool").and_then(|at| reader.word(&at, &forms));
    let toolsets = notes
        .take(reader, &mut section, "toolsets")
        .map(|at| toolset::toolsets(reader, &at, around.names, notes))
        .unwrap_or_default();
    let client_tools = notes.take(reader, &mut section, "tools").map(|at| texts(reader, &at));
    let max_iterations = notes
        .take(reader, &mut section, "max_iterations")
        .and_then(|at| reader.number(&at, 0..=1_000))
        // As Docker Agent has it, 0 is no limit.
        .filter(|most| *most > 0)
        .and_then(|most| u32::try_from(most).ok());
    let before_handoff = step::steps(reader, &mut section, step::When::BeforeHandoff, around.names, notes);
    let on_end = step::steps(reader, &mut section, step::When::OnEnd, around.names, notes);
    let budget = notes.take(reader, &mut section, "budget").map(|at| read_budget(reader, &at, notes));
    let structured_output = notes
        .take(reader, &mut section, "structured_output")
        .and_then(|at| read_structured(reader, &at, notes));
    keys::note(reader, &mut section, &keys::AGENT, notes);
    reader.finish(section);
    if models.is_empty() && reader.mistake_count() == before {
        let wrong = Wrong::new("`model` is missing").hint("such as `model: openai/gpt-4o`");
        reader.wrong_at(entry.key, &entry.value.path, wrong);
    }
    let agent = Agent {
        name: entry.name.to_owned(),
        vague: lint::is_vague(&description),
        description,
        instruction,
        models,
        policy: policy.policy,
        handoffs: handoffs.unwrap_or_default(),
        sub_agents: sub_agents.unwrap_or_default(),
        force_handoff,
        handoff_tool: handoff_tool.unwrap_or_default(),
        servers: toolsets.servers,
        folders: toolsets.folders,
        client_tools,
        max_iterations,
        budget: budget.unwrap_or_default(),
        structured_output,
        before_handoff,
        on_end,
        background: toolsets.background,
    };
    Some(Entry { agent, path: entry.value.path.clone(), places })
}

pub(super) fn is_agent_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The models of an agent, and the policy where a route brings one.
struct Pool {
    models: Vec<AgentModel>,
    policy: Option<String>,
}

/// A name, a list of names, or the first of some that is configured.
fn read_pool(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    around: &Around<'_>,
    notes: &mut Notes,
) -> Option<Pool> {
    let at = notes.take(reader, section, "model")?;
    if at.is_map() {
        let mut section = reader.section(&at)?;
        let items = notes.take(reader, &mut section, "first_available").and_then(|at| reader.list(&at));
        if items.is_none() {
            reader.missing(
                &section,
                "first_available",
                "a list of models; the first that can be had is taken",
            );
        }
        reader.finish(section);
        let first = alias::first_available(reader, &items?, around.names)?;
        return Some(Pool { models: vec![AgentModel { name: first, settings: Vec::new() }], policy: None });
    }
    let items = reader.one_or_more(&at)?;
    if let [only] = items.as_slice()
        && let Some(route) =
            reader.read(only, |text| Ok(around.routes.iter().find(|route| route.name.as_str() == text)))?
    {
        let models = route.pool.iter().map(|name| around.model(name.clone())).collect();
        return Some(Pool { models, policy: Some(route.policy.clone()) });
    }
    let models = items.iter().filter_map(|at| reader.read(at, |text| around.model_of(text))).collect();
    Some(Pool { models, policy: None })
}

impl Around<'_> {
    /// A model with the settings of its alias, where it is one.
    fn model(&self, name: ModelName) -> AgentModel {
        let settings = self.aliases.iter().find(|alias| alias.name == name);
        AgentModel { settings: settings.map(|alias| alias.settings.clone()).unwrap_or_default(), name }
    }

    fn model_of(&self, text: &str) -> Result<AgentModel, Wrong> {
        if text.starts_with("agent/") {
            return Err(Wrong::new("an agent is no model of another one").hint("name it in `sub_agents`"));
        }
        self.names.model(text).map(|name| self.model(name))
    }
}

fn drop_repeated(models: &mut Vec<AgentModel>) {
    let mut seen: Vec<ModelName> = Vec::with_capacity(models.len());
    models.retain(|model| {
        let is_new = !seen.contains(&model.name);
        seen.push(model.name.clone());
        is_new
    });
}

/// A text, the content of a file, or purpose and routine as lists.
fn read_instruction(reader: &mut Reader<'_>, section: &mut Section<'_>, notes: &mut Notes) -> String {
    let file = notes.take(reader, section, "instruction_file").and_then(|at| reader.file(&at));
    let Some(at) = notes.take(reader, section, "instruction") else {
        return file.map(|(_, text)| text.trim().to_owned()).unwrap_or_default();
    };
    if !at.is_map() {
        return reader.read(&at, |text| Ok(text.trim().to_owned())).unwrap_or_default();
    }
    let Some(mut parts) = reader.section(&at) else { return String::new() };
    let mut text = String::new();
    for (key, title) in [("purpose", "# Purpose"), ("routine", "# Routine")] {
        let Some(at) = notes.take(reader, &mut parts, key) else { continue };
        let lines = texts(reader, &at);
        if lines.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(title);
        for line in lines {
            text.push_str("\n- ");
            text.push_str(line.trim());
        }
    }
    reader.finish(parts);
    text
}

/// How an agent's model is chosen, and who stands in.
struct PolicyOf {
    policy: Arc<Policy>,
    stand_ins: Vec<AgentModel>,
}

fn read_policy(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    agent: &str,
    pool: Option<&Pool>,
    around: &Around<'_>,
    notes: &mut Notes,
) -> PolicyOf {
    let named = notes
        .take(reader, section, "policy")
        .and_then(|at| reader.read(&at, |text| route::policy_name(text, around.policies)));
    let named = named.or_else(|| pool.and_then(|pool| pool.policy.clone()));
    let named = named.unwrap_or_else(|| DEFAULT_POLICY.to_owned());
    let found = around.policies.iter().find(|entry| entry.name == named);
    let base = found.and_then(|entry| entry.policy.clone()).unwrap_or_else(policy::default_policy);
    let Some(at) = notes.take(reader, section, "fallback") else {
        return PolicyOf { policy: base, stand_ins: Vec::new() };
    };
    let mut document = base.document.clone();
    let Some(mut fallback) = reader.section(&at) else {
        return PolicyOf { policy: base, stand_ins: Vec::new() };
    };
    let items = notes.take(reader, &mut fallback, "models").and_then(|at| reader.one_or_more(&at));
    let stand_ins = items
        .unwrap_or_default()
        .iter()
        .filter_map(|at| reader.read(at, |text| around.model_of(text)))
        .collect();
    if let Some(at) = notes.take(reader, &mut fallback, "retries") {
        let most = i64::from(baton_policy::MAX_RETRIES);
        let wished = reader.read(&at, |text| {
            let number = text.parse::<i64>().ok().filter(|number| (-1..=1_000).contains(number));
            number.ok_or_else(|| Wrong::new("expected a whole number from -1; -1 is none, 0 the default"))
        });
        match wished {
            // As Docker Agent has it: 0 is the default.
            None | Some(0) => {}
            Some(wished) => {
                if wished > most {
                    notes.warn(
                        at.node.span,
                        &at.path,
                        format!("a target is tried again {most} times at most"),
                    );
                }
                document.fallback.retries = u32::try_from(wished.clamp(0, most)).unwrap_or_default();
            }
        }
    }
    if let Some(at) = notes.take(reader, &mut fallback, "cooldown")
        && let Some(time) = reader.read(&at, |text| duration(text).and_then(|_| millis(text)))
    {
        document.fallback.cooldown_ms = time;
    }
    reader.finish(fallback);
    let reference = PolicyRef { name: format!("agent.{agent}"), version: policy_version(&document) };
    let policy = Policy::new(reference, document).map_or(base, Arc::new);
    PolicyOf { policy, stand_ins }
}

/// `max_cost` in US dollars, `max_tokens` in and out, `max_time`.
fn read_budget(reader: &mut Reader<'_>, at: &At<'_>, notes: &mut Notes) -> Budget {
    let Some(mut section) = reader.section(at) else { return Budget::default() };
    let max_cost =
        notes.take(reader, &mut section, "max_cost").and_then(|at| reader.read(&at, money)).map(NanoUsd);
    let max_tokens =
        notes.take(reader, &mut section, "max_tokens").and_then(|at| reader.number(&at, 1..=1_000_000_000));
    let max_time = notes.take(reader, &mut section, "max_time").and_then(|at| reader.read(&at, duration));
    reader.finish(section);
    Budget { max_cost, max_tokens, max_time }
}

fn read_structured(reader: &mut Reader<'_>, at: &At<'_>, notes: &mut Notes) -> Option<StructuredOutput> {
    let mut section = reader.section(at)?;
    let name_at = notes.take(reader, &mut section, "name");
    let schema_at = notes.take(reader, &mut section, "schema");
    for (key, at) in [("name", &name_at), ("schema", &schema_at)] {
        if at.is_none() {
            reader.missing(&section, key, "of the form that answers have");
        }
    }
    let name = name_at.and_then(|at| reader.read(&at, tool_name));
    let schema = schema_at.and_then(|at| {
        reader.section(&at)?;
        policy::setting::json(reader, &at)
    });
    let description = notes
        .take(reader, &mut section, "description")
        .and_then(|at| reader.read(&at, |text| Ok(text.trim().to_owned())));
    let strict = notes.take(reader, &mut section, "strict").and_then(|at| reader.boolean(&at));
    if let Some(at) = reader.take(&mut section, "mode") {
        let modes = [("native", true), ("tool", false)];
        match reader.word(&at, &modes) {
            Some(true) => notes.honoured(at.node.span, &at.path),
            Some(false) => {
                let why = "the schema is given to the model as its answer's form, not as a tool";
                notes.unsupported(at.node.span, &at.path, why);
            }
            None => {}
        }
    }
    reader.finish(section);
    Some(StructuredOutput { name: name?, description, schema: schema?, strict: strict.unwrap_or_default() })
}

/// The texts of a list, or the one that stands in its place. An empty list is one.
fn texts(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<String> {
    let items = if at.is_list() { reader.list(at) } else { reader.one_or_more(at) };
    let items = items.unwrap_or_default();
    items.iter().filter_map(|at| reader.read(at, |text| Ok(text.to_owned()))).collect()
}

/// Notes each chain of forced hand-overs that comes back to itself.
fn check_forced(reader: &mut Reader<'_>, read: &[Entry]) {
    let next: HashMap<&str, &str> = read
        .iter()
        .filter_map(|entry| Some((entry.agent.name.as_str(), entry.agent.force_handoff.as_deref()?)))
        .collect();
    let mut told: BTreeMap<&str, ()> = BTreeMap::new();
    for Entry { agent, places, .. } in read {
        let Some((to, span, path)) = places.force.as_ref().filter(|(to, ..)| *to != agent.name) else {
            continue;
        };
        let mut at = to.as_str();
        for _ in 0..read.len() {
            if at == agent.name && !told.contains_key(at) {
                let wrong =
                    Wrong::new(format!("force_handoff cycle detected involving agent `{}`", agent.name));
                reader.wrong_at(*span, path, wrong);
                // The others of the cycle are the same mistake.
                let mut member = to.as_str();
                while told.insert(member, ()).is_none() {
                    let Some(after) = next.get(member) else { break };
                    member = after;
                }
            }
            let Some(after) = next.get(at) else { break };
            at = after;
        }
    }
}

#[cfg(test)]
mod tests;
