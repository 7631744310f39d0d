//! A team of agents: who may hand over to whom, who may give whom a task, and the tools for it.
//!
//! - Start with [`Team::new`].
//! - **Invariant:** an agent reaches those it names and nobody else, by their exact names.
//! - **Invariant:** the same team gives the same tools and texts, byte for byte: they are part of a prompt that
//!   vendors cache.

use baton_model::{RawJson, Tool};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::CallKind;
use crate::members::{free_name, slug};
use crate::words::{self, looks_like_transfer};

/// What the tool is called that hands over.
const HANDOFF: &str = "handoff";

/// What the tool is called that gives a task.
const TASK: &str = "transfer_task";

/// An agent of a team.
#[derive(Clone, Debug, Default)]
pub struct TeamAgent {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whom it may hand over to, in order.
    pub ways: Vec<Way>,
    /// Whom it may give a task, in order.
    pub errands: Vec<ErrandWay>,
    /// Who has the conversation after its final answer.
    pub forced: Option<usize>,
    /// The form of the tool that it hands over with.
    pub form: ToolForm,
    /// The names of the client's tools that it sees.
    pub client_tools: Vec<String>,
    /// The names of the tools that the gateway runs for it.
    pub server_tools: Vec<String>,
    /// Whether its text is the answer and ends the choice: a structured answer cannot be continued.
    pub text_is_final: bool,
    /// The most turns that it may take.
    pub max_turns: Option<u32>,
    /// Whether something is to be done when it has given its last answer.
    pub steps_at_end: bool,
}

/// Whom an agent may hand over to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The agent.
    pub to: usize,
    /// What it is for, where that is not its own description.
    pub description: Option<String>,
    /// Whether the conversation comes back with its answer.
    pub returns: bool,
    /// What it is told when it is handed the conversation this way.
    pub instructions: Option<String>,
}

/// Whom an agent may give a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrandWay {
    /// The agent.
    pub to: usize,
    /// The name of a tool of its own.
    pub tool: Option<String>,
    /// What it is for, where that is not its own description.
    pub description: Option<String>,
}

/// The form of the tool that hands over. A call in the other form is honoured too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolForm {
    /// `handoff(agent)`.
    #[default]
    Handoff,
    /// `transfer_to_<agent>`, one for each.
    TransferTo,
}

/// A task that an agent was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What is to be done.
    pub task: String,
    /// The form that the result should have.
    pub expected_output: Option<String>,
}

impl Task {
    /// The task as the agent reads it: all that it sees.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.expected_output {
            Some(expected) => format!("{}\n\nExpected output: {expected}", self.task),
            None => self.task.clone(),
        }
    }
}

/// Who sits where a turn is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) member: usize,
    /// Whether it does a task, out of the client's sight.
    pub(crate) aside: bool,
}

/// Agents, by their places.
#[derive(Clone, Debug, Default)]
pub struct Team {
    agents: Vec<TeamAgent>,
    /// The names of the tools of the other form, by the agent's place.
    slugs: Vec<String>,
    handoff: String,
    task: String,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    agent: Option<String>,
}

#[derive(Deserialize)]
struct Given {
    #[serde(default)]
    task: Option<String>,
    #[serde(default)]
    expected_output: Option<String>,
}

impl Team {
    /// Gives the tools names that none of `taken` has.
    #[must_use]
    pub fn new(agents: Vec<TeamAgent>, taken: &[String]) -> Self {
        let mut slugs: Vec<String> = Vec::with_capacity(agents.len());
        for agent in &agents {
            let name = free_name(&slug(&agent.name), |name| slugs.iter().chain(taken).any(|it| it == name));
            slugs.push(name);
        }
        let own = |name: &str| {
            let is_tool =
                agents.iter().flat_map(|agent| &agent.errands).any(|it| it.tool.as_deref() == Some(name));
            is_tool || taken.iter().any(|taken| taken == name)
        };
        let handoff = free_name(HANDOFF, own);
        let task = free_name(TASK, own);
        Self { agents, slugs, handoff, task }
    }

    /// An agent by its place.
    #[must_use]
    pub fn agent(&self, at: usize) -> Option<&TeamAgent> {
        self.agents.get(at)
    }

    /// The place of an agent.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        self.agents.iter().position(|agent| agent.name == name)
    }

    pub(crate) fn name(&self, at: usize) -> &str {
        self.agents.get(at).map_or("", |agent| agent.name.as_str())
    }

    /// The way from one agent to another, where there is one.
    #[must_use]
    pub fn way(&self, from: usize, to: usize) -> Option<&Way> {
        self.agents.get(from)?.ways.iter().find(|way| way.to == to)
    }

    /// Whether the conversation can come from one agent to another, over however many.
    #[must_use]
    pub fn leads(&self, from: usize, to: usize) -> bool {
        let mut seen = vec![from];
        let mut at = 0;
        while let Some(agent) = seen.get(at).and_then(|place| self.agents.get(*place)) {
            let more: Vec<usize> = agent.ways.iter().map(|way| way.to).chain(agent.forced).collect();
            for next in more {
                if !seen.contains(&next) {
                    seen.push(next);
                }
            }
            at += 1;
        }
        seen.contains(&to)
    }

    pub(crate) fn equip(&mut self, at: usize, tools: Vec<String>) {
        if let Some(agent) = self.agents.get_mut(at) {
            agent.server_tools = tools;
        }
    }

    /// The same agents, as they may reach each other from now on. Each keeps the tools that are run for it.
    pub(crate) fn regroup(&mut self, mut team: Self) {
        for (agent, before) in team.agents.iter_mut().zip(&mut self.agents) {
            agent.server_tools = std::mem::take(&mut before.server_tools);
        }
        *self = team;
    }

    pub(crate) fn is_clients(&self, seat: Seat, name: &str) -> bool {
        let tools = self.agents.get(seat.member).map_or(&[][..], |agent| agent.client_tools.as_slice());
        !seat.aside && tools.iter().any(|tool| tool == name)
    }

    pub(crate) fn kind(&self, seat: Seat, name: &str, arguments: &str) -> CallKind {
        let Some(agent) = self.agents.get(seat.member) else { return CallKind::NoSuchTool };
        if self.is_clients(seat, name) {
            return CallKind::Client;
        }
        if !agent.ways.is_empty() {
            let is_way = |to: usize| agent.ways.iter().any(|way| way.to == to);
            let to = if name == self.handoff {
                Some(asked(arguments).and_then(|name| self.place(&name)))
            } else if let Some(to) = self.slugs.iter().position(|slug| slug == name) {
                Some(Some(to))
            } else {
                looks_like_transfer(name).then_some(None)
            };
            if let Some(to) = to.filter(|_| name != self.task) {
                return to.filter(|to| is_way(*to)).map_or(CallKind::NoSuchTarget, CallKind::Transfer);
            }
        }
        if let Some(errand) = agent.errands.iter().find(|errand| errand.tool.as_deref() == Some(name)) {
            return CallKind::Errand(errand.to);
        }
        let mut by_task = agent.errands.iter().filter(|errand| errand.tool.is_none()).peekable();
        if name == self.task && by_task.peek().is_some() {
            let to = asked(arguments).and_then(|name| self.place(&name));
            return by_task
                .find(|errand| Some(errand.to) == to)
                .map_or(CallKind::NoSuchErrand, |errand| CallKind::Errand(errand.to));
        }
        if agent.server_tools.iter().any(|tool| tool == name) {
            CallKind::Server
        } else {
            CallKind::NoSuchTool
        }
    }

    /// The task that a call gives.
    pub(crate) fn task(arguments: &str) -> Option<Task> {
        let given: Given = serde_json::from_str(arguments).ok()?;
        let text =
            |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Some(Task { task: text(given.task)?, expected_output: text(given.expected_output) })
    }

    /// The names of all tools that there are for this agent, as it sees them.
    pub(crate) fn offered(&self, seat: Seat) -> Vec<&str> {
        let Some(agent) = self.agents.get(seat.member) else { return Vec::new() };
        let client = agent.client_tools.iter().filter(|_| !seat.aside);
        let mut names: Vec<&str> = client.chain(&agent.server_tools).map(String::as_str).collect();
        if !agent.ways.is_empty() {
            match agent.form {
                ToolForm::Handoff => names.push(&self.handoff),
                ToolForm::TransferTo => {
                    names.extend(
                        agent.ways.iter().filter_map(|way| self.slugs.get(way.to)).map(String::as_str),
                    );
                }
            }
        }
        if agent.errands.iter().any(|errand| errand.tool.is_none()) {
            names.push(&self.task);
        }
        names.extend(agent.errands.iter().filter_map(|errand| errand.tool.as_deref()));
        names
    }

    /// The ids of those whom an agent may hand over to.
    pub(crate) fn targets(&self, at: usize) -> String {
        let ways = self.agents.get(at).map_or(&[][..], |agent| agent.ways.as_slice());
        ways.iter().map(|way| self.name(way.to)).collect::<Vec<_>>().join(", ")
    }

    /// The ids of those whom an agent may give a task with the common tool.
    pub(crate) fn helpers(&self, at: usize) -> String {
        let errands = self.agents.get(at).map_or(&[][..], |agent| agent.errands.as_slice());
        let named = errands.iter().filter(|errand| errand.tool.is_none());
        named.map(|errand| self.name(errand.to)).collect::<Vec<_>>().join(", ")
    }

    /// The call that hands over to an agent, as its former one would make it: name and arguments.
    pub(crate) fn call_for(&self, from: usize, to: usize) -> (String, String) {
        let form = self.agents.get(from).map(|agent| agent.form).unwrap_or_default();
        match form {
            ToolForm::Handoff => (self.handoff.clone(), json!({ "agent": self.name(to) }).to_string()),
            ToolForm::TransferTo => (self.slugs.get(to).cloned().unwrap_or_default(), "{}".to_owned()),
        }
    }

    fn about<'a>(&'a self, to: usize, description: Option<&'a String>) -> &'a str {
        let own = || self.agents.get(to).map_or("", |agent| agent.description.as_str());
        description.map_or_else(own, String::as_str)
    }

    fn line(&self, to: usize, description: Option<&String>) -> String {
        match self.about(to, description) {
            "" => format!("- {}", self.name(to)),
            about => format!("- {}: {about}", self.name(to)),
        }
    }

    /// The tools that an agent has beside those of the client and of servers.
    #[must_use]
    pub fn tools(&self, at: usize) -> Vec<Tool> {
        let Some(agent) = self.agents.get(at) else { return Vec::new() };
        let mut tools = Vec::new();
        if !agent.ways.is_empty() {
            match agent.form {
                ToolForm::Handoff => tools.push(self.handoff_tool(agent)),
                ToolForm::TransferTo => tools.extend(agent.ways.iter().map(|way| self.transfer_tool(way))),
            }
        }
        if agent.errands.iter().any(|errand| errand.tool.is_none()) {
            tools.push(self.task_tool(agent));
        }
        let own = agent.errands.iter().filter_map(|errand| Some((errand, errand.tool.as_ref()?)));
        tools.extend(own.map(|(errand, name)| {
            let about = self.about(errand.to, errand.description.as_ref());
            let about = if about.is_empty() { String::new() } else { format!(" {about}") };
            let description =
                format!("Give the agent `{}` a task and get its result.{about}", self.name(errand.to));
            function(name, description, &task_schema(None))
        }));
        tools
    }

    fn handoff_tool(&self, agent: &TeamAgent) -> Tool {
        let lines: Vec<String> =
            agent.ways.iter().map(|way| self.line(way.to, way.description.as_ref())).collect();
        let names: Vec<&str> = agent.ways.iter().map(|way| self.name(way.to)).collect();
        let description = format!(
            "Hand the conversation over to another agent, which then answers in your place.\n{}",
            lines.join("\n")
        );
        let schema = json!({
            "type": "object",
            "properties": {
                "agent": { "type": "string", "enum": names, "description": "The agent." },
                "reason": { "type": "string", "description": words::WHY },
            },
            "required": ["agent", "reason"],
            "additionalProperties": false,
        });
        function(&self.handoff, description, &schema)
    }

    fn transfer_tool(&self, way: &Way) -> Tool {
        let about = self.about(way.to, way.description.as_ref());
        let about = if about.is_empty() { String::new() } else { format!(" {about}") };
        let description = format!(
            "Hand the conversation over to {}, which then answers in your place.{about}",
            self.name(way.to)
        );
        let schema = json!({
            "type": "object",
            "properties": { "reason": { "type": "string", "description": words::WHY } },
            "required": ["reason"],
            "additionalProperties": false,
        });
        function(self.slugs.get(way.to).map_or("", String::as_str), description, &schema)
    }

    fn task_tool(&self, agent: &TeamAgent) -> Tool {
        let by_task = || agent.errands.iter().filter(|errand| errand.tool.is_none());
        let lines: Vec<String> =
            by_task().map(|errand| self.line(errand.to, errand.description.as_ref())).collect();
        let names: Vec<&str> = by_task().map(|errand| self.name(errand.to)).collect();
        let description = format!(
            "Give another agent a task and get its result. It sees the task, and nothing of the conversation.\n{}",
            lines.join("\n")
        );
        function(&self.task, description, &task_schema(Some(&names)))
    }

    /// What an agent is told of the others, behind its own instruction; empty where it reaches nobody.
    #[must_use]
    pub fn section(&self, at: usize) -> String {
        let Some(agent) = self.agents.get(at) else { return String::new() };
        let mut text = String::new();
        if !agent.ways.is_empty() {
            text.push_str("# Team\nThese agents can take the conversation over from you:");
            for way in &agent.ways {
                text.push('\n');
                text.push_str(&self.line(way.to, way.description.as_ref()));
            }
            text.push_str(
                "\nHand over where one of them fits better than you, and do not speak of it to the user.",
            );
        }
        if !agent.errands.is_empty() {
            text.push_str(if text.is_empty() { "# Team\n" } else { "\n\n" });
            text.push_str("These agents can do a task for you and give you the result:");
            for errand in &agent.errands {
                text.push('\n');
                text.push_str(&self.line(errand.to, errand.description.as_ref()));
            }
            text.push_str("\nThey see nothing of the conversation: put all that they need into the task.");
        }
        text
    }
}

/// The agent that a call names.
fn asked(arguments: &str) -> Option<String> {
    serde_json::from_str::<Named>(arguments).ok()?.agent
}

fn task_schema(agents: Option<&[&str]>) -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let task = text("What is to be done, with all that has to be known for it.");
    let expected = text("The form that the result should have.");
    match agents {
        Some(agents) => json!({
            "type": "object",
            "properties": {
                "agent": { "type": "string", "enum": agents, "description": "The agent." },
                "task": task,
                "expected_output": expected,
            },
            "required": ["agent", "task"],
            "additionalProperties": false,
        }),
        None => json!({
            "type": "object",
            "properties": { "task": task, "expected_output": expected },
            "required": ["task"],
            "additionalProperties": false,
        }),
    }
}

fn function(name: &str, description: String, schema: &Value) -> Tool {
    Tool::Function {
        name: name.to_owned(),
        description: Some(description),
        parameters: RawJson::of(schema).ok(),
        strict: None,
        cache: None,
    }
}
