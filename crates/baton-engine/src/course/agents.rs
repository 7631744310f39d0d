//! A run of agents: each with its own models, instruction and tools.
//!
//! The machine says who works next and why. Here the agent's request is made, its tools are opened and its model is
//! planned, before it is asked for its first turn.
//!
//! - Start with [`Engine::answer_as_agent`].
//! - **Invariant:** an agent is asked only under a plan of its own models, and the decision that brings it in is
//!   written before.

use std::collections::HashMap;
use std::sync::Arc;

use baton_audit::DecisionKind;
use baton_dialect::{JoinLane, conversation_marks};
use baton_model::{Dialect, RawJson, Target};
use baton_policy::{Candidate, Inputs, Reason, Row};
use baton_run::{History, Limits, Machine, Member, Members, Terms};
use baton_tools::{OfferedTool, ToolSet};
use serde_json::{Map, Value};
use tokio::time::Instant;

use self::background::Background;
use self::plan::Edits;
use super::purse::Purse;
use super::{Course, Way, internal, kept_by, turn_end};
use crate::agents::{Agent, Crew, Offered, PREFIX, request_of};
use crate::consider::{Considered, keys};
use crate::leg::LegTerms;
use crate::plot::{MOST_TURNS, disabled};
use crate::run::{Choice, Run};
use crate::{Ask, Engine, Pool, Refusal, Reply, Settings};

mod arrive;
mod background;
mod choose;
mod kept;
mod patterns;
mod plan;
mod station;
mod steps;

/// What a run of agents has beside what every run has.
pub(super) struct Agents {
    crew: Arc<Crew>,
    /// The agent that the client named.
    entry: usize,
    /// The conversations that are open within each other, the client's first.
    scenes: Vec<Scene>,
    /// What conditions and templates look at.
    context: Map<String, Value>,
    /// Whether tools of ours may be put into the request.
    offered: Offered,
    /// The servers that steps have asked.
    step_tools: Option<ToolSet>,
    /// Why the last hand-over was forbidden by a step.
    vetoed: Option<String>,
    /// What the run may still use, in all of its parts.
    pub(super) purse: Purse,
    /// Those who work while others go on.
    background: Background,
    /// Who gave the task, where the whole run does one of another's.
    pub(super) tasked_by: Option<usize>,
    /// The text of the last turn that nobody sees.
    said: String,
    /// Whether whoever waited for an answer cannot go on with it.
    is_stranded: bool,
}

/// A conversation, and who has worked in it.
struct Scene {
    /// What it began with, without anybody's instruction.
    base: Arc<Ask>,
    stations: HashMap<usize, Station>,
}

/// An agent at work.
struct Station {
    /// The request as it sends it on.
    ask: Arc<Ask>,
    pool: Pool,
    basis: Box<Inputs>,
    /// Its models in the order of the plan.
    order: Vec<Candidate>,
    /// The one that answered last.
    current: Candidate,
    retries: u32,
    tools: Vec<OfferedTool>,
    settings: Vec<(Target, Vec<(String, RawJson)>)>,
}

/// A request as an agent sends it on, and what its plan is made from.
struct Prepared {
    ask: Arc<Ask>,
    considered: Considered,
    tools: Vec<OfferedTool>,
}

/// An agent that is about to work.
struct Arrival {
    station: Station,
    reason: Reason,
    inputs: Box<Inputs>,
    table: Vec<Row>,
}

/// Why an agent cannot work.
enum Absent {
    /// None of its models can take the request.
    NoModel { reason: Reason, inputs: Box<Inputs>, table: Vec<Row>, stops: bool },
    /// Its request cannot be made.
    Refused(Box<Refusal>),
}

/// What agents go on with, beside what everybody has.
struct Prospects {
    context: Map<String, Value>,
    offered: Offered,
    purse: Purse,
}

impl From<Refusal> for Absent {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl Agents {
    fn new(crew: Arc<Crew>, entry: usize, prospects: Prospects) -> Self {
        let Prospects { context, offered, purse } = prospects;
        Self {
            crew,
            entry,
            scenes: Vec::new(),
            context,
            offered,
            step_tools: None,
            vetoed: None,
            purse,
            background: Background::default(),
            tasked_by: None,
            said: String::new(),
            is_stranded: false,
        }
    }

    fn agent(&self, at: usize) -> Option<&Agent> {
        self.crew.agents.get(at)
    }

    fn name(&self, at: usize) -> &str {
        self.agent(at).map_or("", |agent| agent.name.as_str())
    }

    fn scene(&self) -> Option<&Scene> {
        self.scenes.last()
    }

    fn station(&self, at: usize) -> Option<&Station> {
        self.scene()?.stations.get(&at)
    }
}

impl Engine {
    /// Answers a request that names an agent.
    pub(crate) async fn answer_as_agent(
        self: &Arc<Self>,
        settings: Arc<Settings>,
        ask: Arc<Ask>,
        entry: usize,
    ) -> Result<Reply, Refusal> {
        let crew = Arc::clone(settings.catalog.crew());
        let marks = conversation_marks(ask.dialect, &ask.body)?;
        let ask = self.outlook.given.restored(ask)?;
        let why_not = disabled(ask.dialect, &ask.body);
        let offered = if why_not.is_none() { Offered::All } else { Offered::Nothing };
        let context = ask.context.clone();
        let team = crew.team_for(&ask, self.outlook.context(&ask), &context, offered);
        let entry_name = crew.agents.get(entry).map(|agent| agent.name.clone()).unwrap_or_default();
        let held = self.outlook.sticky.find(&ask.caller.principal, keys(&ask, &marks));
        let held = held.and_then(|held| held.agent).filter(|held| held.entry == entry_name);
        // The configuration or the context may be another one by now.
        let place = |name: &String| team.place(name).filter(|place| team.leads(entry, *place));
        let active = held.as_ref().and_then(|held| place(&held.active)).unwrap_or(entry);
        let waiting: Vec<usize> = held
            .filter(|held| place(&held.active).is_some())
            .map(|held| held.waiting.iter().filter_map(place).filter(|member| *member != active).collect())
            .unwrap_or_default();
        let budget = crew.budget.and(crew.agents.get(entry).map(|agent| agent.budget).unwrap_or_default());
        let members = crew.agents.iter().map(|agent| Member {
            name: agent.name.clone(),
            description: agent.description.clone(),
            instructions: None,
        });
        let mut machine = Machine::new(
            Terms {
                limits: limits(&ask, &crew, entry),
                members: Members::new(members.collect(), &[], false, false),
                team: Some(team),
                client_tools: Vec::new(),
                server_tools: Vec::new(),
                own_tools: true,
                rules: false,
                text_is_final: false,
                dialect: ask.dialect,
            },
            active,
        );
        machine.resume(waiting);
        let is_one = speaks_one_dialect(&settings, &crew, ask.dialect);
        let history = ask.handoff.history.filter(|history| *history != History::Summary);
        let legs = LegTerms {
            lane: if is_one { JoinLane::Patch } else { JoinLane::Model },
            members: Vec::new(),
            tools: Vec::new(),
            history: history.unwrap_or_default(),
        };
        let mut tools = None;
        let place = plan::Place { settings: &settings, machine: &machine, context: &context };
        let prepared = self.prepare_agent(place, active, &ask, &Edits::default(), &mut tools).await?;
        let mut run = Run::new(self, Arc::clone(&ask), prepared.considered);
        run.marks = Some(marks);
        run.wordless.extend(not_followed(&ask));
        run.disabled = why_not;
        if let Some(time) = budget.time {
            run.deadline = run.deadline.min(Instant::now() + time);
        }
        let (inputs, _) = run.plan.take().unwrap_or_default();
        let pool = run.pool.clone();
        let agent = crew.agents.get(active);
        let planned = plan::Planning { pool, inputs, ask: prepared.ask, tools: prepared.tools, agent };
        let arrival = self.plan_agent(&mut run, planned, &mut tools).await;
        let arrival = match arrival {
            Ok(arrival) => arrival,
            Err(Absent::Refused(refusal)) => return Err(*refusal),
            Err(Absent::NoModel { reason, inputs, table, .. }) => {
                run.plan = Some((inputs, table));
                return Err(Box::pin(self.refuse(&mut run, reason)).await);
            }
        };
        self.observe(&mut run, Some(&arrival.station.current))?;
        run.plan = Some((arrival.inputs, arrival.table));
        let station = arrival.station;
        machine.equip(active, station.tools.iter().map(|tool| tool.name.clone()).collect());
        let candidate = station.current.clone();
        run.probes.retain(|(target, _)| *target == candidate.target);
        let credential = self.first_credential(&run, &candidate.target);
        let others = station.order.iter().skip(1).cloned().collect();
        let kind = if active == entry { DecisionKind::Select } else { DecisionKind::Stay };
        let choice = Choice { kind, candidate, from: None, reason: arrival.reason, credential };
        let (basis, retries) = (station.basis.clone(), station.retries);
        let limits = &machine.terms().limits;
        let shared = ask.kept.as_ref().and_then(|kept| kept.purse());
        let prospects = Prospects { context, offered, purse: Purse::new(limits).within(shared) };
        let mut agents = Agents::new(crew, entry, prospects);
        agents.scenes.push(Scene { base: Arc::clone(&ask), stations: HashMap::from([(active, station)]) });
        agents.count_first(&machine, active);
        let agents = Some(Box::new(agents));
        let course = Box::new(Course { machine, legs: Arc::new(legs), basis, tools, agents });
        Box::pin(course.begin(self, ask, run, choice, others, retries)).await
    }
}

/// What bounds a run: the client's wishes within the configuration's.
fn limits(ask: &Ask, crew: &Crew, entry: usize) -> Limits {
    let wishes = &ask.handoff;
    let standard = Limits::default();
    let agent = crew.agents.get(entry);
    let own = agent.and_then(|agent| agent.max_turns).unwrap_or_default();
    let turns = wishes.max_turns.unwrap_or_else(|| standard.max_turns.max(own));
    let budget = crew.budget.and(agent.map(|agent| agent.budget).unwrap_or_default());
    let budget = budget.and(crate::AgentBudget { cost: wishes.budget, ..crate::AgentBudget::default() });
    Limits {
        max_turns: turns.clamp(1, MOST_TURNS),
        max_handoffs: wishes.max_handoffs.unwrap_or(standard.max_handoffs).min(MOST_TURNS),
        budget: budget.cost,
        max_tokens: budget.tokens,
        no_return: wishes.no_return,
        require_reason: wishes.require_reason,
        ..standard
    }
}

/// Whether every model of every agent speaks the client's dialect, whatever may be asked of it.
fn speaks_one_dialect(settings: &Settings, crew: &Crew, dialect: Dialect) -> bool {
    let mut names = crew.agents.iter().flat_map(Agent::names);
    names.all(|name| {
        settings.catalog.candidate(name).ok().is_some_and(|candidate| {
            let upstream = settings.catalog.upstream(&candidate.target.provider);
            // A schema that goes by a tool is shown through the model's events.
            let takes_schemas = candidate.facts.capabilities.structured_output != Some(false);
            upstream.is_some_and(|upstream| upstream.dialect() == dialect) && takes_schemas
        })
    })
}

/// What a client wishes of hand-offs and agents do not follow: their file says it.
fn not_followed(ask: &Ask) -> impl Iterator<Item = String> {
    let wishes = &ask.handoff;
    let servers = ask.mcp_servers.as_ref().map(|_| "mcp_servers");
    let targets = (!wishes.targets.is_empty()).then_some("handoff_config.targets");
    let package = wishes.package.then_some("handoff_config.package");
    let summary = (wishes.history == Some(History::Summary)).then_some("handoff_config.history");
    let mode = wishes.mode.map(|_| "handoff_config.strategy");
    [servers, targets, package, summary, mode].into_iter().flatten().map(ToOwned::to_owned)
}
