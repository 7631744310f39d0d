//! What a client is told of its run, beside the answer.

use std::collections::BTreeMap;

use baton_audit::{DecisionKind, Receipt};
use baton_model::{DecisionId, Part, PartKind, RawJson, Target, Usage};
use baton_policy::{Candidate, Reason};
use baton_run::{By, CallsTold, Machine, ToolCall};
use baton_tools::{Called, ToolSet};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::Head;
use crate::given::Given;
use crate::ledger::Ended;
use crate::leg::LegTerms;
use crate::run::Run;

/// What was done in a run.
#[derive(Default)]
pub(crate) struct Report {
    turns: Vec<Turn>,
    usage_known: bool,
    /// Why the next turn's target was planned; taken by its decision.
    pub(crate) planned: Option<Reason>,
    /// The member that takes over with the next request.
    pub(crate) later: Option<usize>,
    /// Where the last decision stands in the journal.
    pub(crate) receipt: Option<Receipt>,
    /// The calls that the client was given.
    pub(crate) emitted: Vec<Given>,
    /// What tools of servers were asked, and said.
    results: Vec<ToolResult>,
    /// The servers that could not be used.
    errors: BTreeMap<String, Unavailable>,
    /// Whether the request has tools that the gateway runs.
    has_tools: bool,
    spoke: bool,
    /// What conditions and templates of agents look at; none where it is empty.
    pub(crate) context: Option<Map<String, Value>>,
    /// The turns of agents in the background, and what they used.
    beside: Vec<Turn>,
    elsewhere: Usage,
}

/// A tool's result, for the client.
#[derive(Serialize)]
struct ToolResult {
    tool_name: String,
    server_name: String,
    arguments: Value,
    is_error: bool,
    duration_ms: u128,
    result: Value,
}

/// A server that could not be used, for the client.
#[derive(Serialize)]
struct Unavailable {
    message: String,
    code: &'static str,
    recommendation: String,
}

/// A call that the client is to carry out, told apart from the answer.
#[derive(Serialize)]
struct Pending<'a> {
    id: &'a str,
    name: &'a str,
    arguments: Value,
    dependencies: [&'a str; 0],
}

/// One turn, for the client.
#[derive(Debug, Serialize)]
pub(crate) struct Turn {
    turn: u32,
    hop: u32,
    model: String,
    /// The agent that took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<String>,
}

/// One hand-over, for the client.
#[derive(Serialize)]
struct Handoff<'a> {
    from: String,
    to: String,
    by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    turn: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    undone: bool,
}

/// The `baton` member.
#[derive(Serialize)]
struct Summary<'a> {
    run: String,
    decision: String,
    model: &'a str,
    provider: &'a str,
    policy: &'a str,
    attempts: u32,
    handoffs: usize,
    reason: &'static str,
    turns: Vec<&'a Turn>,
    /// The context of a run of agents, as it is at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a Map<String, Value>>,
}

impl Report {
    /// Nothing so far.
    pub(crate) fn of(tools: Option<&ToolSet>) -> Self {
        let errors = tools.into_iter().flat_map(ToolSet::errors).map(|error| {
            let unavailable = Unavailable {
                message: error.message.clone(),
                code: error.code.as_str(),
                recommendation: error.recommendation.clone(),
            };
            (error.server.clone(), unavailable)
        });
        Self { errors: errors.collect(), has_tools: tools.is_some(), ..Self::default() }
    }

    /// Notes what came of opening servers in the middle of a run.
    pub(crate) fn opened(&mut self, tools: &ToolSet) {
        self.has_tools = true;
        self.errors.extend(Self::of(Some(tools)).errors);
    }

    /// Where the last turn was taken.
    pub(crate) fn last_target(&self) -> Option<Target> {
        self.turns.last().and_then(|turn| turn.model.parse().ok())
    }

    /// Notes what a tool said.
    pub(crate) fn tool(&mut self, call: &ToolCall, called: Called) {
        self.results.push(ToolResult {
            tool_name: called.tool,
            server_name: called.server,
            arguments: serde_json::from_str(&call.arguments).unwrap_or(Value::Null),
            is_error: called.is_error,
            duration_ms: called.took.as_millis(),
            result: called.result,
        });
    }

    /// Notes a turn that ended.
    pub(crate) fn turn(&mut self, machine: &Machine, target: &Target, ended: &Ended, receipt: Receipt) {
        self.usage_known |= ended.usage.is_some();
        self.receipt = Some(receipt);
        self.turns.push(Turn {
            turn: machine.turn(),
            hop: machine.hop(),
            model: target.to_string(),
            agent: machine
                .terms()
                .team
                .as_ref()
                .map(|_| machine.terms().members.name(machine.active()).to_owned()),
            usage: ended.usage,
            cost_usd: ended.cost.map(|cost| cost.to_string().replace('$', "")),
        });
    }

    /// Takes the turns out, for another report.
    pub(crate) fn take_turns(&mut self) -> Vec<Turn> {
        std::mem::take(&mut self.turns)
    }

    /// Notes the turns of an agent in the background.
    pub(crate) fn absorb(&mut self, turns: Vec<Turn>) {
        for usage in turns.iter().filter_map(|turn| turn.usage) {
            self.usage_known = true;
            self.elsewhere += usage;
        }
        self.beside.extend(turns);
    }

    fn all_turns(&self) -> impl Iterator<Item = &Turn> {
        self.turns.iter().chain(&self.beside)
    }

    /// What all turns used together.
    pub(crate) fn usage(&self, machine: &Machine) -> Usage {
        let mut usage = machine.usage();
        usage += self.elsewhere;
        usage
    }

    /// Notes what a turn said.
    pub(crate) fn heard(&mut self, parts: &[Part]) {
        self.spoke |=
            parts.iter().any(|part| matches!(&part.kind, PartKind::Text(text) if !text.trim().is_empty()));
    }

    /// Whether any turn said something that is an answer, as far as it goes.
    pub(crate) const fn spoke(&self) -> bool {
        self.spoke
    }

    /// Notes which calls the client was given.
    pub(crate) fn emitted(&mut self, parts: &[Part], hidden: &[String]) {
        self.emitted = parts.iter().filter_map(Given::of).filter(|call| !hidden.contains(&call.id)).collect();
    }

    /// The same for a turn that was given in pieces.
    pub(crate) fn said(&mut self, machine: &Machine, parts: &[Part]) {
        let mut gate = machine.gate();
        let hidden: Vec<String> = parts
            .iter()
            .filter_map(|part| match &part.kind {
                PartKind::ToolCall { id, name, .. } if !gate.may_see(name) => Some(id.clone()),
                _ => None,
            })
            .collect();
        self.emitted(parts, &hidden);
    }

    /// How much the last turn's target has read, and may have in its prompt cache.
    pub(crate) fn last_input(&self) -> u64 {
        self.turns.last().and_then(|turn| turn.usage).map_or(0, |usage| usage.input_tokens)
    }

    /// How much of it came from its prompt cache, or was put there.
    pub(crate) fn last_cached(&self) -> u64 {
        let usage = self.turns.last().and_then(|turn| turn.usage);
        usage.map_or(0, |usage| usage.cached_input_tokens + usage.cache_write_tokens)
    }

    /// Whether any tool was run.
    pub(crate) fn ran_tools(&self) -> bool {
        !self.results.is_empty()
    }

    /// Whether anybody told what was used.
    pub(crate) const fn knows_usage(&self) -> bool {
        self.usage_known
    }

    /// What a client's stream says when another model begins.
    pub(crate) fn announcement(
        kind: DecisionKind,
        candidate: &Candidate,
        agent: Option<String>,
    ) -> Vec<(&'static str, RawJson)> {
        if kind != DecisionKind::Handoff && agent.is_none() {
            return Vec::new();
        }
        let name = candidate.target.to_string();
        let agent = agent.unwrap_or_else(|| name.clone());
        let event = json!({ "type": "agent_updated", "agent": agent, "model": name });
        RawJson::of(&event).map(|event| vec![("x_dedalus_event", event)]).unwrap_or_default()
    }

    /// The members that stand beside the answer.
    pub(crate) fn extras(
        &self,
        run: &Run,
        machine: &Machine,
        legs: &LegTerms,
        head: &Head,
    ) -> Vec<(&'static str, RawJson)> {
        let is_team = machine.terms().team.is_some();
        let name = |member: usize| {
            if is_team {
                return machine.terms().members.name(member).to_owned();
            }
            legs.members.get(member).map(|it| it.target.to_string()).unwrap_or_default()
        };
        let mut decisions = run.handoffs.iter().map(DecisionId::to_string);
        let handoffs: Vec<Handoff<'_>> = machine
            .moves()
            .iter()
            .map(|moved| Handoff {
                from: name(moved.from),
                to: name(moved.to),
                by: match moved.by {
                    By::Model => "model",
                    By::Rule => "rule",
                    By::Forced => "forced",
                    By::Return => "return",
                },
                reason: moved.reason.as_deref().map(baton_run::shortened),
                turn: moved.turn,
                decision: if moved.by == By::Return { None } else { decisions.next() },
                undone: moved.undone,
            })
            .collect();
        let mut agents: Vec<&str> = Vec::new();
        for turn in self.all_turns() {
            let who = turn.agent.as_deref().unwrap_or(&turn.model);
            if agents.last() != Some(&who) {
                agents.push(who);
            }
        }
        let summary = Summary {
            run: run.id.to_string(),
            decision: head.decision.to_string(),
            model: &head.target,
            provider: &head.provider,
            policy: &head.policy,
            attempts: run.attempts,
            handoffs: run.handoffs.len(),
            reason: head.reason,
            turns: self.all_turns().collect(),
            context: self.context.as_ref(),
        };
        let mut extras = Vec::with_capacity(4);
        let mut add = |key: &'static str, value: Result<RawJson, _>| {
            extras.extend(value.ok().map(|value| (key, value)));
        };
        add("handoffs", RawJson::of(&handoffs));
        add("agents_used", RawJson::of(&agents));
        add("turns_consumed", RawJson::of(&self.all_turns().count()));
        if self.has_tools {
            let executed: Vec<&str> = self.results.iter().map(|it| it.tool_name.as_str()).collect();
            add("tools_executed", RawJson::of(&executed));
            add("mcp_tool_results", RawJson::of(&self.results));
        }
        if !self.errors.is_empty() {
            add("mcp_server_errors", RawJson::of(&self.errors));
        }
        if run.ask.handoff.calls == CallsTold::Apart {
            let pending: Vec<Pending<'_>> = self.emitted.iter().map(Pending::of).collect();
            add("pending_tools", RawJson::of(&pending));
            add("correlation_id", RawJson::of(&correlation(run)));
        }
        add("baton", RawJson::of(&summary));
        extras
    }
}

impl<'a> Pending<'a> {
    fn of(call: &'a Given) -> Self {
        let arguments = if call.arguments.trim().is_empty() { "{}" } else { call.arguments.as_str() };
        let arguments = serde_json::from_str(arguments).unwrap_or(Value::Null);
        Self { id: &call.id, name: &call.name, arguments, dependencies: [] }
    }
}

/// By what the client can go on with the conversation: its own name for it, else the run's.
pub(crate) fn correlation(run: &Run) -> String {
    run.ask.labels.session.clone().unwrap_or_else(|| run.id.to_string())
}
