//! The agents of a configuration, and a request as each of them sends it on.
//!
//! - Start with [`Crew`].
//! - **Invariant:** an agent's instruction stands in front of the client's own, and no other agent sees it.
//! - **Invariant:** an agent sees its own tools, and of the client's those that it may.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use baton_model::{Dialect, JsonError, ModelName, NanoUsd, RawJson, RawObject};
use baton_policy::{Actions, Candidate, Context, Inputs, Policy, RuleSet};
use baton_run::{ErrandWay, Task, Team, TeamAgent, ToolForm, Way, fill, names};
use baton_tools::Filesystem;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::effects::{changed, word};
use crate::own::own_ask;
use crate::steps::{Step, looked_up};
use crate::{Ask, Catalog};

/// How clients name an agent: this, and its name.
pub(crate) const PREFIX: &str = "agent/";

/// All agents of a configuration.
#[derive(Debug, Default)]
pub struct Crew {
    /// By their places.
    pub agents: Vec<Agent>,
    /// What every run may use.
    pub budget: AgentBudget,
}

/// A configured role.
#[derive(Debug)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it is told.
    pub instruction: String,
    /// Its models in order, with settings that hold for each.
    pub models: Vec<(ModelName, Vec<(String, Value)>)>,
    /// How one of them is chosen.
    pub policy: Arc<Policy>,
    /// Whom it may hand over to, and when.
    pub ways: Vec<(Way, Option<Arc<RuleSet>>)>,
    /// Whom it may give a task.
    pub errands: Vec<ErrandWay>,
    /// Who has the conversation after its final answer.
    pub forced: Option<usize>,
    /// The form of the tool that it hands over with.
    pub form: ToolForm,
    /// The MCP servers whose tools it has, and which of them.
    pub servers: Vec<(String, Option<Vec<String>>)>,
    /// The folders that it may use.
    pub folders: Vec<Filesystem>,
    /// The client's tools that it sees; none for all. A name may end in `*`.
    pub client_tools: Option<Vec<String>>,
    /// The most turns that it may take in a run.
    pub max_turns: Option<u32>,
    /// What a run may use that begins with it.
    pub budget: AgentBudget,
    /// The form of its answers.
    pub structured_output: Option<StructuredForm>,
    /// What is done before the conversation is handed over to it.
    pub before_handoff: Vec<Step>,
    /// What is done when it has given its last answer.
    pub on_end: Vec<Step>,
    /// Whether it may have those to whom it gives tasks work while it goes on.
    pub background: bool,
    /// Whether its description does not say what it is for.
    pub vague: bool,
}

/// The form that answers have to have.
#[derive(Clone, Debug, PartialEq)]
pub struct StructuredForm {
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// JSON Schema.
    pub schema: Value,
    /// Whether it is kept to the letter.
    pub strict: bool,
}

/// What a run may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentBudget {
    /// Money.
    pub cost: Option<NanoUsd>,
    /// Tokens, in and out.
    pub tokens: Option<u64>,
    /// Time.
    pub time: Option<Duration>,
}

impl AgentBudget {
    /// What both allow.
    pub(crate) fn and(self, other: Self) -> Self {
        fn less<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            }
        }
        Self {
            cost: less(self.cost, other.cost),
            tokens: less(self.tokens, other.tokens),
            time: less(self.time, other.time),
        }
    }
}

impl Crew {
    /// The agent of this name, with its place.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(usize, &Agent)> {
        self.agents.iter().enumerate().find(|(_, agent)| agent.name == name)
    }

    /// The agents as a team in which everybody reaches all whom the file names: what can be known without a
    /// request.
    #[must_use]
    pub fn team(&self) -> Team {
        let agents = self.agents.iter().map(|agent| agent.member(|_condition| true, &[]));
        Team::new(agents.collect(), &[])
    }

    /// The agents as a team for one request.
    pub(crate) fn team_for(
        &self,
        ask: &Ask,
        context: Context,
        values: &Map<String, Value>,
        offered: Offered,
    ) -> Team {
        let tools = crate::plot::tool_names(&ask.body);
        let inputs = about(context);
        let holds = |rule: &RuleSet| rule.first_match(&inputs).is_some();
        let agents = self.agents.iter().map(|agent| {
            let mut member = agent.member(holds, &tools);
            if offered == Offered::Nothing {
                member.ways.clear();
                member.errands.clear();
            }
            for way in &mut member.ways {
                way.instructions = way.instructions.take().map(|text| filled(&text, values));
            }
            member.text_is_final |= crate::plot::demands_json(ask.dialect, &ask.body);
            member
        });
        Team::new(agents.collect(), &tools)
    }
}

/// Whether tools of ours may be put into a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    All,
    Nothing,
}

/// What a condition can look at: what the client said of its request.
fn about(context: Context) -> Inputs {
    Inputs { context: Some(Box::new(context)), ..Inputs::default() }
}

impl Agent {
    fn member(&self, holds: impl Fn(&RuleSet) -> bool, tools: &[String]) -> TeamAgent {
        let enabled = |condition: &Option<Arc<RuleSet>>| condition.as_ref().is_none_or(|rule| holds(rule));
        TeamAgent {
            name: self.name.clone(),
            description: self.description.clone(),
            ways: self
                .ways
                .iter()
                .filter(|(_, condition)| enabled(condition))
                .map(|(way, _)| way.clone())
                .collect(),
            errands: self.errands.clone(),
            forced: self.forced,
            form: self.form,
            client_tools: tools.iter().filter(|tool| self.sees(tool)).cloned().collect(),
            server_tools: Vec::new(),
            text_is_final: self.structured_output.is_some(),
            max_turns: self.max_turns,
            steps_at_end: !self.on_end.is_empty(),
        }
    }

    /// Whether another context makes other texts or targets of it.
    pub(crate) fn looks_at_context(&self) -> bool {
        let has_places = |text: &str| names(text).any(|name| name.starts_with("context."));
        has_places(&self.instruction) || self.ways.iter().any(|(_, condition)| condition.is_some())
    }

    /// Whether it may see a tool of the client's.
    fn sees(&self, tool: &str) -> bool {
        let covers = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => tool.starts_with(start),
            None => pattern == tool,
        };
        self.client_tools.as_ref().is_none_or(|patterns| patterns.iter().any(covers))
    }

    /// The names of its models.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|(name, _)| name.as_str())
    }

    /// What it is told: its instruction, and whom it works with.
    #[must_use]
    pub fn told(&self, section: &str) -> String {
        Told { instruction: &self.instruction, section }.to_string()
    }

    /// A request as this agent sends it on.
    ///
    /// # Errors
    /// When the body, changed, is no request any more.
    pub(crate) fn request(
        &self,
        ask: &Ask,
        section: &str,
        values: &Map<String, Value>,
    ) -> Result<Ask, JsonError> {
        let told = Told { instruction: &filled(&self.instruction, values), section }.to_string();
        let told = (!told.is_empty()).then_some(told);
        let with_instruction = changed(ask, &Actions { prepend: told, ..Actions::default() })?;
        let mut ask = with_instruction.map_or_else(|| ask.clone(), |(ask, _)| ask);
        let mut edits: Vec<(&str, Option<Bytes>)> = Vec::new();
        if self.client_tools.is_some() {
            self.leave_tools_out(&ask.body, &mut edits)?;
        }
        if let Some(form) = &self.structured_output {
            let (key, value) = form.member(ask.dialect);
            edits.push((key, Some(value.to_string().into())));
        }
        if !edits.is_empty() {
            ask.body = RawObject::parse(ask.body.rewrite(&edits).concat().into())?;
        }
        Ok(ask)
    }

    fn leave_tools_out(
        &self,
        body: &RawObject,
        edits: &mut Vec<(&str, Option<Bytes>)>,
    ) -> Result<(), JsonError> {
        #[derive(Deserialize)]
        struct Named {
            #[serde(default)]
            name: Option<String>,
            #[serde(default)]
            function: Option<Box<Self>>,
        }
        for key in ["tools", "functions"] {
            let Some(all) = body.read::<Vec<RawJson>>(key)? else { continue };
            let before = all.len();
            let name = |tool: &RawJson| {
                let named: Named = tool.read().ok()?;
                named.function.and_then(|function| function.name).or(named.name)
            };
            let kept: Vec<RawJson> =
                all.into_iter().filter(|tool| name(tool).is_some_and(|name| self.sees(&name))).collect();
            if kept.len() == before {
                continue;
            }
            let list = RawJson::of(&kept)?;
            let list = (!kept.is_empty()).then(|| Bytes::copy_from_slice(list.get().as_bytes()));
            if list.is_none() {
                edits.push(("tool_choice", None));
            }
            edits.push((key, list));
        }
        Ok(())
    }

    /// The settings for which the request's dialect has no word.
    pub(crate) fn wordless(&self, ask: &Ask) -> impl Iterator<Item = String> {
        let settings = self.models.iter().flat_map(|(_, settings)| settings);
        settings
            .filter(|(key, _)| word(ask, key).is_none())
            .map(|(key, _)| format!("agent.{}.{key}", self.name))
    }

    /// The settings of each of its candidates, in the words of the request's dialect.
    pub(crate) fn settings(&self, ask: &Ask, catalog: &Catalog) -> Vec<(Candidate, Vec<(String, RawJson)>)> {
        self.models
            .iter()
            .filter_map(|(name, settings)| {
                let candidate = catalog.candidate(name.as_str()).ok()?;
                let settings = settings
                    .iter()
                    .filter_map(|(key, value)| Some((word(ask, key)?.to_owned(), RawJson::of(value).ok()?)))
                    .collect();
                Some((candidate, settings))
            })
            .collect()
    }
}

/// An instruction, and behind it whom the agent works with.
struct Told<'a> {
    instruction: &'a str,
    section: &'a str,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.instruction)?;
        if !self.instruction.is_empty() && !self.section.is_empty() {
            f.write_str("\n\n")?;
        }
        f.write_str(self.section)
    }
}

/// A text of the configuration with the context put in.
fn filled(text: &str, values: &Map<String, Value>) -> String {
    fill(text, &|name: &str| looked_up(values, name))
}

impl StructuredForm {
    /// The member of a request that asks for it.
    fn member(&self, dialect: Dialect) -> (&'static str, Value) {
        let mut form = json!({ "name": self.name, "schema": self.schema, "strict": self.strict });
        if let (Some(description), Some(members)) = (&self.description, form.as_object_mut()) {
            members.insert("description".to_owned(), Value::from(description.as_str()));
        }
        match dialect {
            Dialect::OpenaiChat => ("response_format", json!({ "type": "json_schema", "json_schema": form })),
            Dialect::AnthropicMessages => {
                ("output_config", json!({ "format": { "type": "json_schema", "schema": self.schema } }))
            }
            Dialect::OpenaiResponses => {
                if let Some(members) = form.as_object_mut() {
                    members.insert("type".to_owned(), Value::from("json_schema"));
                }
                ("text", json!({ "format": form }))
            }
        }
    }
}

/// A task as a request of its own: all that the agent sees of what was before.
pub(crate) fn request_of(client: &Ask, name: &str, task: &Task) -> Option<Ask> {
    let body = json!({ "model": name, "messages": [{ "role": "user", "content": task.text() }] });
    own_ask(client, name, &body)
}
