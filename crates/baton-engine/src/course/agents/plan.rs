//! Makes an agent's request, opens its tools, and plans which of its models it works with.

use std::sync::Arc;
use std::time::Duration;

use baton_policy::{Actions, Candidate, Inputs, Plan, Planned, Policy, plan};
use baton_run::Machine;
use baton_tools::{Filesystem, OfferedTool, ServerRef, ToolSet};
use serde_json::{Map, Value};

use super::background;
use super::{Absent, Arrival, Prepared, Station};
use crate::agents::{Agent, PREFIX};
use crate::consider::Purpose;
use crate::effects::changed;
use crate::run::Run;
use crate::tooling::brought;
use crate::{Ask, Engine, ModelSpec, Pool, Refusal, Settings};

/// How long servers of tools may take to say what they have.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where an agent comes to work.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) settings: &'a Arc<Settings>,
    pub(super) machine: &'a Machine,
    pub(super) context: &'a Map<String, Value>,
}

/// What a plan of an agent is made from.
pub(super) struct Planning<'a> {
    pub(super) pool: Pool,
    pub(super) inputs: Box<Inputs>,
    pub(super) ask: Arc<Ask>,
    pub(super) tools: Vec<OfferedTool>,
    pub(super) agent: Option<&'a Agent>,
}

/// What steps have put into the conversation.
#[derive(Debug, Default)]
pub(super) struct Edits {
    pub(super) prepend: Vec<String>,
    pub(super) append: Vec<String>,
}

impl Edits {
    /// The request with the messages.
    fn made(&self, base: &Ask) -> Result<Option<Ask>, Refusal> {
        let all = |texts: &[String]| (!texts.is_empty()).then(|| texts.join("\n\n"));
        let actions =
            Actions { prepend: all(&self.prepend), append: all(&self.append), ..Actions::default() };
        let made = changed(base, &actions).map_err(baton_dialect::DecodeError::from)?;
        Ok(made.map(|(ask, _wordless)| ask))
    }
}

impl Engine {
    /// Makes an agent's request from a conversation, and opens its tools.
    pub(super) async fn prepare_agent(
        &self,
        place: Place<'_>,
        at: usize,
        base: &Ask,
        edits: &Edits,
        tools: &mut Option<ToolSet>,
    ) -> Result<Prepared, Refusal> {
        let Place { settings, machine, context } = place;
        let crew = settings.catalog.crew();
        let lost = || Refusal::new(crate::RefusalKind::NotEligible, "there is no such agent");
        let agent = crew.agents.get(at).ok_or_else(lost)?;
        let section = machine.terms().team.as_ref().map(|team| team.section(at)).unwrap_or_default();
        let edited = edits.made(base)?;
        let ask = agent
            .request(edited.as_ref().unwrap_or(base), &section, context)
            .map_err(baton_dialect::DecodeError::from)?;
        let mut offered = self.agent_tools(agent, tools).await;
        if agent.background && ask.kept.is_none() {
            let theirs = crate::plot::tool_names(&ask.body);
            let own = background::tools().iter().filter(|tool| !theirs.contains(&tool.name));
            offered.extend(own.cloned());
        }
        let named = Ask {
            models: ModelSpec { names: vec![format!("{PREFIX}{}", agent.name)], list: false, members: 0 },
            ..ask.clone()
        };
        let mut considered = self.outlook.consider(Arc::clone(settings), &named, Purpose::Answer)?;
        let more = u32::try_from(offered.len()).unwrap_or(u32::MAX);
        considered.inputs.features.tools = considered.inputs.features.tools.saturating_add(more);
        Ok(Prepared { ask: Arc::new(ask), considered, tools: offered })
    }

    /// The tools that the gateway runs for an agent, opened.
    async fn agent_tools(&self, agent: &Agent, tools: &mut Option<ToolSet>) -> Vec<OfferedTool> {
        let mut offered: Vec<OfferedTool> =
            agent.folders.iter().flat_map(Filesystem::tools).cloned().collect();
        let names: Vec<&String> = agent.servers.iter().map(|(name, _)| name).collect();
        let Some(set) = self.opened(&names, tools).await else { return offered };
        let may_use = |tool: &&OfferedTool| {
            agent.servers.iter().any(|(name, only)| {
                *name == tool.server && only.as_ref().is_none_or(|only| only.contains(&tool.tool))
            })
        };
        offered.extend(set.tools().iter().filter(may_use).cloned());
        offered
    }

    /// The set of tools with those of these servers; none where none is named.
    async fn opened<'t>(&self, names: &[&String], tools: &'t mut Option<ToolSet>) -> Option<&'t ToolSet> {
        let refs: Vec<ServerRef> = names.iter().map(|name| ServerRef::slug(name.as_str())).collect();
        if refs.is_empty() {
            return None;
        }
        match tools {
            Some(set) => {
                self.tools.open_more(set, &refs, PATIENCE).await;
                Some(set)
            }
            none => Some(none.insert(self.tools.open(&refs, PATIENCE).await)),
        }
    }

    /// Plans which of its models an agent works with.
    pub(super) async fn plan_agent(
        &self,
        run: &mut Run,
        planning: Planning<'_>,
        tools: &mut Option<ToolSet>,
    ) -> Result<Arrival, Absent> {
        let Planning { pool, mut inputs, ask, tools: mut offered, agent } = planning;
        let policy = Arc::clone(&pool.policy);
        let mut planned = loop {
            match plan(&policy, run.settings.catalog.knowledge(), &inputs) {
                Planned::Plan(plan) => break plan,
                Planned::Ask(question) => {
                    inputs.judged = Some(Box::pin(self.ask_judge(run, &inputs, &question)).await);
                }
            }
        };
        let names: Vec<&String> = brought(&policy, &planned).iter().collect();
        if let Some(set) = self.opened(&names, tools).await {
            let known: Vec<OfferedTool> = std::mem::take(&mut offered);
            let more = set.tools().iter().filter(|tool| names.contains(&&tool.server));
            let more = more.filter(|tool| !known.contains(tool)).cloned();
            offered = known.iter().cloned().chain(more).collect();
            let count = u32::try_from(offered.len() - known.len()).unwrap_or(u32::MAX);
            planned = with_more_tools(run, &policy, &mut inputs, planned, count);
        }
        let Plan { order, table, reason, rule, last_resort, .. } = planned;
        let rule = rule.and_then(|at| policy.document.rules.get(usize::try_from(at).ok()?));
        let order: Vec<Candidate> = order
            .iter()
            .filter_map(|at| inputs.candidates.get(usize::try_from(*at).ok()?).cloned())
            .collect();
        let Some(current) = order.first().cloned() else {
            let stops = rule.is_some_and(|rule| rule.then.stop);
            return Err(Absent::NoModel { reason, inputs, table, stops });
        };
        let effects = rule.map(|rule| changed(&ask, &rule.then)).transpose();
        let effects =
            effects.map_err(|error| Refusal::from(baton_dialect::DecodeError::from(error)))?.flatten();
        let ask = match effects {
            Some((ask, wordless)) => {
                run.wordless.extend(wordless);
                Arc::new(ask)
            }
            None => ask,
        };
        run.wordless.extend(agent.into_iter().flat_map(|agent| agent.wordless(&ask)));
        if agent.is_some_and(|agent| agent.background) && ask.kept.is_some() {
            run.wordless.push("toolsets.background_agents".to_owned());
        }
        let settings = agent.map(|agent| agent.settings(&ask, &run.settings.catalog)).unwrap_or_default();
        let retries = if last_resort { 0 } else { policy.document.fallback.retries };
        let basis = inputs.clone();
        let station = Station {
            ask,
            pool,
            basis,
            order,
            current,
            retries,
            tools: offered,
            settings: settings
                .into_iter()
                .map(|(candidate, settings)| (candidate.target, settings))
                .collect(),
        };
        Ok(Arrival { station, reason, inputs, table })
    }
}

/// The plan with so many tools more: a model that calls none is of no use then. Where another rule would match
/// with them, the first plan stands, and they are not counted.
fn with_more_tools(run: &Run, policy: &Policy, inputs: &mut Inputs, planned: Plan, more: u32) -> Plan {
    let counted = inputs.features.tools;
    inputs.features.tools = counted.saturating_add(more);
    match plan(policy, run.settings.catalog.knowledge(), inputs) {
        Planned::Plan(again) if again.rule == planned.rule => again,
        _ => {
            inputs.features.tools = counted;
            planned
        }
    }
}
