//! Turns the agents of a checked configuration into those that the engine runs, and shows them.
//!
//! - Start with [`crew`] and [`explain`].

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use baton_config::{Agents, Budget, Config, HandoffTool, NoteKind, StepAction};
use baton_engine::{Action, Agent, AgentBudget, Crew, OnError, Step, StructuredForm};
use baton_model::Tool;
use baton_net::client::{ClientOptions, HttpClient};
use baton_net::egress::Trust;
use baton_net::webhook::Webhook;
use baton_run::{ErrandWay, ToolForm, Way};
use baton_tools::{FileAccess, Filesystem};
use serde_json::{Value, json};

use crate::output::{json as print_json, line, problem};

/// The agents as the engine runs them.
pub(crate) fn crew(agents: &Agents) -> anyhow::Result<Crew> {
    let webhooks = Webhooks::new(agents)?;
    let steps = |name: &str, steps: &[baton_config::Step]| -> anyhow::Result<Vec<Step>> {
        let made = steps.iter().map(|step| webhooks.step(step)).collect::<anyhow::Result<_>>();
        made.with_context(|| format!("a step of agent `{name}`"))
    };
    let place = |name: &str| agents.agents.iter().position(|agent| agent.name == name);
    let agent = |agent: &baton_config::Agent| -> anyhow::Result<Agent> {
        Ok(Agent {
            name: agent.name.clone(),
            description: agent.description.clone(),
            instruction: agent.instruction.clone(),
            models: agent.models.iter().map(|model| (model.name.clone(), model.settings.clone())).collect(),
            policy: Arc::clone(&agent.policy),
            ways: agent
                .handoffs
                .iter()
                .filter_map(|edge| {
                    let way = Way {
                        to: place(&edge.agent)?,
                        description: edge.description.clone(),
                        returns: edge.returns,
                        instructions: edge.additional_instructions.clone(),
                    };
                    Some((way, edge.enabled_if.as_ref().map(|condition| Arc::clone(&condition.rule))))
                })
                .collect(),
            errands: agent
                .sub_agents
                .iter()
                .filter_map(|edge| {
                    let (tool, description) = (edge.tool.clone(), edge.description.clone());
                    Some(ErrandWay { to: place(&edge.agent)?, tool, description })
                })
                .collect(),
            forced: agent.force_handoff.as_deref().and_then(place),
            form: match agent.handoff_tool {
                HandoffTool::Handoff => ToolForm::Handoff,
                HandoffTool::TransferTo => ToolForm::TransferTo,
            },
            servers: agent.servers.iter().map(|server| (server.name.clone(), server.tools.clone())).collect(),
            folders: agent
                .folders
                .iter()
                .map(|folder| {
                    let access = if folder.write { FileAccess::Write } else { FileAccess::Read };
                    Filesystem::new(folder.roots.clone(), access, folder.tools.as_deref())
                })
                .collect(),
            client_tools: agent.client_tools.clone(),
            max_turns: agent.max_iterations,
            budget: budget(agent.budget),
            structured_output: agent.structured_output.as_ref().map(|form| StructuredForm {
                name: form.name.clone(),
                description: form.description.clone(),
                schema: form.schema.clone(),
                strict: form.strict,
            }),
            before_handoff: steps(&agent.name, &agent.before_handoff)?,
            on_end: steps(&agent.name, &agent.on_end)?,
            background: agent.background,
            vague: agent.vague,
        })
    };
    let all = agents.agents.iter().map(agent).collect::<anyhow::Result<_>>()?;
    Ok(Crew { agents: all, budget: budget(agents.budget) })
}

/// The client that the webhooks of all steps share; none where no step asks one.
struct Webhooks(Option<HttpClient>);

impl Webhooks {
    fn new(agents: &Agents) -> anyhow::Result<Self> {
        let mut steps =
            agents.agents.iter().flat_map(|agent| agent.before_handoff.iter().chain(&agent.on_end));
        let asks = steps.any(|step| matches!(step.action, StepAction::Webhook { .. }));
        // Their URLs are the operator's and may be private ones.
        Ok(Self(asks.then(|| HttpClient::new(ClientOptions::new(Trust::Operator))).transpose()?))
    }

    fn step(&self, step: &baton_config::Step) -> anyhow::Result<Step> {
        let action = match &step.action {
            StepAction::Set(members) => Action::Set(members.clone()),
            StepAction::Push(members) => Action::Push(members.clone()),
            StepAction::Prepend(text) => Action::Prepend(text.clone()),
            StepAction::Append(text) => Action::Append(text.clone()),
            StepAction::Instructions(text) => Action::Instructions(text.clone()),
            StepAction::VetoIf { when, why } => {
                Action::VetoIf { when: Arc::clone(&when.rule), why: why.clone() }
            }
            StepAction::Tool { server, tool, arguments, into } => Action::Tool {
                server: server.clone(),
                tool: tool.clone(),
                arguments: arguments.clone(),
                into: into.clone(),
            },
            StepAction::Webhook { webhook, conversation } => {
                let client = self.0.clone().context("there is no client for webhooks")?;
                let webhook = Webhook::new(&webhook.url, webhook.secret.expose(), client)?;
                Action::Webhook { webhook, conversation: *conversation }
            }
        };
        let on_error = match step.on_error {
            baton_config::OnError::Veto => OnError::Veto,
            baton_config::OnError::GoOn => OnError::GoOn,
        };
        Ok(Step { action, deadline: step.deadline, on_error })
    }
}

const fn budget(budget: Budget) -> AgentBudget {
    AgentBudget { cost: budget.max_cost, tokens: budget.max_tokens, time: budget.max_time }
}

/// `baton explain --agent`: what an agent is told, and which tools it is offered beside the client's.
pub(crate) fn explain(config: &Config, name: &str, json: bool) -> ExitCode {
    let crew = match crew(&config.agents) {
        Ok(crew) => crew,
        Err(error) => {
            problem(&format!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let Some((place, agent)) = crew.named(name.strip_prefix("agent/").unwrap_or(name)) else {
        let names: Vec<&str> = crew.agents.iter().map(|agent| agent.name.as_str()).collect();
        let there = if names.is_empty() { "the file has none".to_owned() } else { names.join(", ") };
        problem(&format!("there is no agent `{name}`; {there}"));
        return ExitCode::FAILURE;
    };
    let team = crew.team();
    let told = agent.told(&team.section(place));
    let tools: Vec<(String, String)> = team
        .tools(place)
        .into_iter()
        .map(|tool| match tool {
            Tool::Function { name, description, .. } => (name, description.unwrap_or_default()),
            Tool::Vendor { name, .. } => (name, String::new()),
        })
        .chain(
            agent
                .folders
                .iter()
                .flat_map(Filesystem::tools)
                .map(|tool| (tool.name.clone(), tool.description.clone().unwrap_or_default())),
        )
        .collect();
    let models: Vec<&str> = agent.models.iter().map(|(name, _)| name.as_str()).collect();
    let servers: Vec<String> = agent
        .servers
        .iter()
        .map(|(name, only)| {
            only.as_ref().map_or_else(|| name.clone(), |only| format!("{name} ({})", only.join(", ")))
        })
        .collect();
    if json {
        print_json(&json!({
            "agent": agent.name,
            "models": models,
            "policy": agent.policy.reference.name,
            "instruction": told,
            "tools": tools.iter().map(|(name, about)| json!({ "name": name, "description": about })).collect::<Vec<_>>(),
            "mcp_servers": servers,
        }));
        return ExitCode::SUCCESS;
    }
    line(&format!("agent/{}", agent.name));
    line(&format!("  models       {}", models.join(", ")));
    line(&format!("  policy       {}", agent.policy.reference.name));
    line("  instruction");
    told.lines().for_each(|text| line(format!("    {text}").trim_end()));
    line("  tools, beside the client's");
    for (name, about) in &tools {
        let mut lines = about.lines();
        line(format!("    {name}: {}", lines.next().unwrap_or_default()).trim_end());
        lines.for_each(|text| line(&format!("      {text}")));
    }
    for server in servers {
        line(&format!("    those of the server {server}"));
    }
    ExitCode::SUCCESS
}

/// The load report, without what is as it should be.
pub(crate) fn remarks(config: &Config) -> impl Iterator<Item = String> {
    let notes = config.agents.report.iter().filter(|note| note.kind != NoteKind::Honoured);
    notes.map(ToString::to_string)
}

/// The whole load report.
pub(crate) fn report(config: &Config) -> Vec<Value> {
    let row = |note: &baton_config::LoadNote| {
        let (line, column) = match note.place {
            baton_config::Place::Line { line, column } => (Some(line), Some(column)),
            _ => (None, None),
        };
        json!({
            "line": line, "column": column, "path": note.path, "kind": note.kind.as_str(), "message": note.message,
        })
    };
    config.agents.report.iter().map(row).collect()
}
