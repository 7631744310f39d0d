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
use std::time::Duration;

use baton_audit::{DecisionKind, HandoffNote, Record};
use baton_dialect::{JoinLane, conversation_marks};
use baton_model::{Dialect, RawJson, Target};
use baton_policy::{
    AgentMove, AgentMoveBy, Candidate, Inputs, Plan, Planned, Reason, ReasonCode, ReasonSource, Row,
    RunEvent, plan,
};
use baton_run::{
    By, Cause, Event, History, Limits, Machine, Member, Members, Task, Terms, ToolCall, TurnEnd,
};
use baton_tools::{Called, Filesystem, OfferedTool, ServerRef, ToolSet};
use tokio::time::Instant;

use super::{Course, Way, internal, kept_by, made_by};
use crate::agents::{Agent, Crew, Offered, PREFIX, request_of};
use crate::attempt::{Body, Opened};
use crate::consider::{Considered, Purpose, keys};
use crate::effects::changed;
use crate::engine::not_recordable;
use crate::leg::{AgentLeg, LegTerms};
use crate::plot::{MOST_TURNS, disabled};
use crate::prepare::Converted;
use crate::run::{Choice, Run};
use crate::sticky::{Held, WithAgent};
use crate::{Ask, Engine, ModelSpec, Pool, Refusal, Reply, Settings};

/// How long servers of tools may take to say what they have.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a run of agents has beside what every run has.
pub(super) struct Agents {
    crew: Arc<Crew>,
    /// The agent that the client named.
    entry: usize,
    /// The conversations that are open within each other, the client's first.
    scenes: Vec<Scene>,
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

impl From<Refusal> for Absent {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl Agents {
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
        let team = crew.team_for(&ask, self.outlook.context(&ask), offered);
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
        let prepared = self.prepare_agent(&settings, &machine, active, &ask, &mut tools).await?;
        let mut run = Run::new(self, Arc::clone(&ask), prepared.considered);
        run.marks = Some(marks);
        run.wordless.extend(not_followed(&ask));
        run.disabled = why_not;
        if let Some(time) = budget.time {
            run.deadline = run.deadline.min(Instant::now() + time);
        }
        let (inputs, _) = run.plan.take().unwrap_or_default();
        let pool = run.pool.clone();
        let name = crew.agents.get(active);
        let arrival = self.plan_agent(&mut run, pool, inputs, prepared.ask, prepared.tools, name).await;
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
        let scene = Scene { base: Arc::clone(&ask), stations: HashMap::from([(active, station)]) };
        let agents = Some(Box::new(Agents { crew, entry, scenes: vec![scene] }));
        let course = Box::new(Course { machine, legs: Arc::new(legs), basis, tools, agents });
        Box::pin(course.begin(self, ask, run, choice, others, retries)).await
    }

    /// Makes an agent's request from a conversation, and opens its tools.
    async fn prepare_agent(
        &self,
        settings: &Arc<Settings>,
        machine: &Machine,
        at: usize,
        base: &Ask,
        tools: &mut Option<ToolSet>,
    ) -> Result<Prepared, Refusal> {
        let crew = settings.catalog.crew();
        let lost = || Refusal::new(crate::RefusalKind::NotEligible, "there is no such agent");
        let agent = crew.agents.get(at).ok_or_else(lost)?;
        let section = machine.terms().team.as_ref().map(|team| team.section(at)).unwrap_or_default();
        let ask = agent.request(base, &section).map_err(baton_dialect::DecodeError::from)?;
        let offered = self.agent_tools(agent, tools).await;
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
        let refs: Vec<ServerRef> = agent.servers.iter().map(|(name, _)| ServerRef::slug(name)).collect();
        if refs.is_empty() {
            return offered;
        }
        let set = match tools {
            Some(set) => {
                self.tools.open_more(set, &refs, PATIENCE).await;
                set
            }
            None => tools.insert(self.tools.open(&refs, PATIENCE).await),
        };
        let may_use = |tool: &&OfferedTool| {
            agent.servers.iter().any(|(name, only)| {
                *name == tool.server && only.as_ref().is_none_or(|only| only.contains(&tool.tool))
            })
        };
        offered.extend(set.tools().iter().filter(may_use).cloned());
        offered
    }

    /// Plans which of its models an agent works with.
    async fn plan_agent(
        &self,
        run: &mut Run,
        pool: Pool,
        mut inputs: Box<Inputs>,
        ask: Arc<Ask>,
        tools: Vec<OfferedTool>,
        agent: Option<&Agent>,
    ) -> Result<Arrival, Absent> {
        let policy = Arc::clone(&pool.policy);
        let planned = loop {
            match plan(&policy, run.settings.catalog.knowledge(), &inputs) {
                Planned::Plan(plan) => break plan,
                Planned::Ask(question) => {
                    inputs.judged = Some(Box::pin(self.ask_judge(run, &inputs, &question)).await);
                }
            }
        };
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
        let ask = effects.map_or(ask, |(ask, _wordless)| Arc::new(ask));
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
            tools,
            settings: settings
                .into_iter()
                .map(|(candidate, settings)| (candidate.target, settings))
                .collect(),
        };
        Ok(Arrival { station, reason, inputs, table })
    }
}

impl Way {
    /// Has an agent come to work: plans it, and has the next decision say so.
    pub(super) async fn arrive(&mut self, to: usize, by: AgentMoveBy, task: Option<&Task>) -> Event {
        match self.arrival(to, by, task).await {
            Ok(()) => Event::Granted,
            Err(Absent::NoModel { stops: true, reason, inputs, table }) => {
                self.report.planned = Some(reason);
                self.run.plan = Some((inputs, table));
                Event::Ruled(baton_run::Ruling::Stop)
            }
            Err(Absent::NoModel { reason, .. }) => {
                let name = self.machine.terms().members.name(to);
                Event::Denied(format!(
                    "not done: agent `{name}` cannot work now ({}). Answer yourself, or turn to another.",
                    reason.code.as_str()
                ))
            }
            Err(Absent::Refused(refusal)) => {
                let name = self.machine.terms().members.name(to);
                let why = refusal.code.as_deref().unwrap_or("its request cannot be made");
                Event::Denied(format!("not done: agent `{name}` cannot work now ({why}). Answer yourself."))
            }
        }
    }

    async fn arrival(&mut self, to: usize, by: AgentMoveBy, task: Option<&Task>) -> Result<(), Absent> {
        self.close_scenes();
        let active = self.machine.active();
        let from = match by {
            AgentMoveBy::Return => self.machine.back_from().unwrap_or(active),
            AgentMoveBy::Handoff | AgentMoveBy::Forced | AgentMoveBy::Task => active,
        };
        let lost = || Absent::from(Refusal::failed(internal("an agent that is not there"), self.no_head()));
        let agents = self.agents.as_ref().ok_or_else(lost)?;
        let crew = Arc::clone(&agents.crew);
        let agent = crew.agents.get(to).ok_or_else(lost)?;
        let base = match task {
            Some(task) => request_of(&self.client, &format!("{PREFIX}{}", agent.name), task)
                .map(Arc::new)
                .ok_or_else(lost)?,
            None => Arc::clone(&agents.scene().ok_or_else(lost)?.base),
        };
        let moved = AgentMove { from: agents.name(from).to_owned(), to: agent.name.clone(), by };
        let engine = Arc::clone(&self.engine);
        let settings = Arc::clone(&self.run.settings);
        let prepared = engine.prepare_agent(&settings, &self.machine, to, &base, &mut self.tools).await?;
        if let Some(tools) = &self.tools {
            self.report.opened(tools);
        }
        let Considered { pool, mut inputs, probes, .. } = prepared.considered;
        self.run.probes.extend(probes);
        if task.is_none() {
            let said: usize = self.machine.added(active).iter().map(baton_run::size).sum();
            inputs.features.input_tokens += u64::try_from(said).unwrap_or(u64::MAX).div_ceil(4);
        }
        if let Some(context) = &mut inputs.context {
            context.turn = self.machine.turn() + 1;
        }
        inputs.agent = Some(Box::new(moved));
        let arrival =
            engine.plan_agent(&mut self.run, pool, inputs, prepared.ask, prepared.tools, Some(agent)).await?;
        let Arrival { station, reason, inputs, table } = arrival;
        let kind = match by {
            AgentMoveBy::Handoff | AgentMoveBy::Forced => DecisionKind::Handoff,
            AgentMoveBy::Task => DecisionKind::Delegate,
            AgentMoveBy::Return => DecisionKind::Return,
        };
        let candidate = station.current.clone();
        let choice = Choice {
            kind,
            from: self.target(from),
            reason,
            credential: engine.first_credential(&self.run, &candidate.target),
            candidate,
        };
        self.retries = station.retries;
        self.next = Some((choice, station.order.iter().skip(1).cloned().collect()));
        self.run.plan = Some((inputs, table));
        self.machine.equip(to, station.tools.iter().map(|tool| tool.name.clone()).collect());
        let Some(agents) = &mut self.agents else { return Ok(()) };
        if task.is_some() {
            agents.scenes.push(Scene { base, stations: HashMap::from([(to, station)]) });
        } else if let Some(scene) = agents.scenes.last_mut() {
            scene.stations.insert(to, station);
        }
        Ok(())
    }

    /// Has the active agent come to work that waited since an earlier request; one that works already stays as it
    /// is.
    pub(super) async fn come_back(&mut self) -> Result<(), Refusal> {
        let active = self.machine.active();
        if self.agents.as_ref().is_none_or(|agents| agents.station(active).is_some()) {
            return Ok(());
        }
        match self.arrival(active, AgentMoveBy::Return, None).await {
            Ok(()) => {
                self.take_station();
                Ok(())
            }
            Err(Absent::Refused(refusal)) => Err(*refusal),
            Err(Absent::NoModel { reason, .. }) => {
                Err(Refusal::new(crate::RefusalKind::NotEligible, reason.text))
            }
        }
    }

    /// Closes the scenes whose tasks are done.
    fn close_scenes(&mut self) {
        let open = self.machine.errands() + 1;
        if let Some(agents) = &mut self.agents {
            agents.scenes.truncate(open);
        }
    }

    /// Sets the run up as the active agent works.
    pub(super) fn take_station(&mut self) {
        let active = self.machine.active();
        self.close_scenes();
        let Some(agents) = &self.agents else { return };
        let Some(station) = agents.station(active) else { return };
        self.run.ask = Arc::clone(&station.ask);
        self.run.pool = station.pool.clone();
        self.run.input_tokens = station.basis.features.input_tokens;
        self.run.converted = Converted::default();
    }

    /// What of a turn is its agent's; none in a pool of models.
    pub(super) fn agent_leg(&self) -> Option<Box<AgentLeg>> {
        let member = self.machine.active();
        let station = self.agents.as_ref()?.station(member)?;
        let tools = station.tools.iter().map(OfferedTool::to_tool).collect();
        Some(Box::new(AgentLeg { member, tools, settings: station.settings.clone() }))
    }

    /// Notes which model an agent's answer came from.
    pub(super) fn answered_by(&mut self, target: &Target) {
        let active = self.machine.active();
        let station = self.agents.as_mut().and_then(|it| it.scenes.last_mut()?.stations.get_mut(&active));
        if let Some(station) = station
            && let Some(candidate) = station.order.iter().find(|candidate| candidate.target == *target)
        {
            station.current = candidate.clone();
        }
    }

    /// The model that an agent works with, or would first.
    pub(super) fn agents_candidate(&self, member: usize) -> Option<Candidate> {
        let agents = self.agents.as_ref()?;
        if let Some(station) = agents.scenes.iter().rev().find_map(|scene| scene.stations.get(&member)) {
            return Some(station.current.clone());
        }
        let first = agents.agent(member)?.models.first().map(|(name, _)| name.clone())?;
        self.run.settings.catalog.candidate(first.as_str()).ok()
    }

    /// Who stands in for an agent's model in the middle of its hop.
    pub(super) fn agents_others(&self, member: usize) -> Vec<Candidate> {
        let Some(station) = self.agents.as_ref().and_then(|agents| agents.station(member)) else {
            return Vec::new();
        };
        let failed = self.failure.as_ref().map(|(target, _)| target);
        let is_other = |it: &&Candidate| it.target != station.current.target && Some(&it.target) != failed;
        station.order.iter().filter(is_other).cloned().collect()
    }

    /// What the most costly turn of the active agent is counted from: its request, and how much it may say.
    pub(super) fn agents_worst(&self) -> Option<(usize, Option<u64>)> {
        let station = self.agents.as_ref()?.station(self.machine.active())?;
        Some((station.ask.body.body().len(), station.basis.features.max_output_tokens))
    }

    /// The choice for a turn of an agent that works already.
    pub(super) fn choose_again(&mut self) -> Result<(Choice, Vec<Candidate>), Refusal> {
        if let Some(planned) = self.next.take() {
            return Ok(planned);
        }
        let active = self.machine.active();
        let lost = || Refusal::failed(internal("an agent that is not there"), self.no_head());
        let agents = self.agents.as_ref().ok_or_else(lost)?;
        let station = agents.station(active).ok_or_else(lost)?;
        self.retries = station.retries;
        let candidate = station.current.clone();
        let name = format!("agent `{}`", agents.name(active));
        let back_from = self.machine.back_from();
        let other = back_from.map(|from| format!("agent `{}`", agents.name(from))).unwrap_or_default();
        let said = |code, text: String, source| Reason { code, text, source };
        let (kind, reason) = match self.machine.cause() {
            Cause::Returned => {
                let text = format!("{name} goes on with the answer of {other}");
                (DecisionKind::Return, said(ReasonCode::Returned, text, ReasonSource::Policy))
            }
            Cause::GaveUp => {
                let text = format!("{name} goes on without an answer of {other}, which could not finish");
                (DecisionKind::Return, said(ReasonCode::TargetUnavailable, text, ReasonSource::Fault))
            }
            Cause::Unavailable => {
                let to = self.machine.moves().last().map_or("", |last| agents.name(last.to));
                let event = RunEvent::Unavailable { from: &name, to: &format!("agent `{to}`") };
                (DecisionKind::Fallback, Reason::in_run(event))
            }
            Cause::Guarded(guard) => (DecisionKind::Stay, kept_by(guard, &name)),
            Cause::NoSuchTarget => {
                let why = "it asked for an agent that it does not reach";
                (DecisionKind::Stay, Reason::in_run(RunEvent::Denied { from: &name, why }))
            }
            Cause::NoSuchTool => {
                let text =
                    format!("{name} goes on: it called a tool that does not exist, and was told which do");
                (DecisionKind::Stay, said(ReasonCode::ToolsAnswered, text, ReasonSource::Policy))
            }
            Cause::NotAccepted | Cause::Denied => {
                let why = "what it asked of another agent was not accepted";
                (DecisionKind::Stay, Reason::in_run(RunEvent::Denied { from: &name, why }))
            }
            Cause::Begins | Cause::HandedOver | Cause::Ruled | Cause::Tools | Cause::Delegated => {
                (DecisionKind::Stay, Reason::in_run(RunEvent::ToolsAnswered { by: &name }))
            }
        };
        let from = match kind {
            DecisionKind::Return => self.report.last_target(),
            DecisionKind::Fallback => self.machine.moves().last().and_then(|last| self.target(last.to)),
            _ => None,
        };
        let others = self.agents_others(active);
        let credential = self.engine.first_credential(&self.run, &candidate.target);
        Ok((Choice { kind, candidate, from, reason, credential }, others))
    }

    /// Who worked before the next turn, and who takes it, as its record says.
    pub(super) fn agents_note(&self, kind: DecisionKind, note: HandoffNote) -> HandoffNote {
        let Some(agents) = &self.agents else { return note };
        let active = self.machine.active();
        let from = match kind {
            DecisionKind::Handoff | DecisionKind::Fallback => {
                self.machine.moves().last().map(|last| if last.undone { last.to } else { last.from })
            }
            DecisionKind::Return => self.machine.back_from(),
            DecisionKind::Delegate => self.machine.tasked_by(),
            _ => None,
        };
        let depth = u64::try_from(self.machine.depth()).unwrap_or(u64::MAX);
        HandoffNote {
            from_agent: from.map(|from| agents.name(from).to_owned()),
            to_agent: Some(agents.name(active).to_owned()),
            depth: if depth > 1 { depth } else { 0 },
            ..note
        }
    }

    /// Records that a task is done while another of the same turn is still to be given.
    pub(super) fn returned(&mut self, from: usize) -> Result<Event, Refusal> {
        self.close_scenes();
        let to = self.machine.active();
        let name = |at: usize| self.machine.terms().members.name(at);
        let text = format!("agent `{}` has the answer of agent `{}`", name(to), name(from));
        let reason = Reason { code: ReasonCode::Returned, text, source: ReasonSource::Policy };
        let (target, candidate) = (self.report.last_target(), self.candidate(to));
        self.run.turn = self.machine.turn().max(1);
        self.run.hop = self.machine.hop();
        let engine = Arc::clone(&self.engine);
        let mut decision =
            self.run.decision(&engine, DecisionKind::Return, candidate.as_ref(), target, reason);
        decision.attempt = false;
        let note = HandoffNote {
            from_agent: Some(name(from).to_owned()),
            to_agent: Some(name(to).to_owned()),
            ..HandoffNote::default()
        };
        decision.handoff = Some(Box::new(note));
        let receipt = engine.journal.append(&Record::Decision(Box::new(decision)));
        self.report.receipt = Some(receipt.map_err(|error| not_recordable(&error))?);
        Ok(Event::Noted)
    }

    /// A turn of a task ended. The client sees nothing of it.
    pub(super) fn aside_ended(&mut self, opened: Opened) -> Result<Event, Refusal> {
        let Opened { target, body: Body::Turn(turn), receipt, .. } = opened else {
            return Err(Refusal::failed(internal("a task's turn in pieces"), self.no_head()));
        };
        self.report.turn(&self.machine, &target, &turn.ended, receipt);
        Ok(Event::Ended(TurnEnd {
            dialect: turn.dialect,
            parts: made_by(&target.provider, turn.answer.parts),
            finish: turn.answer.finish,
            usage: turn.ended.usage,
            cost: turn.ended.cost,
        }))
    }

    /// Calls a tool of the active agent's folders, if it is one of theirs.
    pub(super) async fn call_folder(&self, call: &ToolCall, patience: Duration) -> Option<Called> {
        let agent = self.agents.as_ref()?.agent(self.machine.active())?;
        let folder = agent.folders.iter().find(|folder| folder.has(&call.name))?;
        Some(folder.call(&call.name, &call.arguments, patience).await)
    }

    /// Which agent has the conversation from now on, and who waits for it.
    pub(super) fn with_agent(&self) -> Option<Box<WithAgent>> {
        let agents = self.agents.as_ref()?;
        let holder = self.machine.holder();
        let mut waiting: Vec<usize> = self.machine.waiting().collect();
        let mut active = holder;
        if let Some(later) = self.report.later {
            let way = self.machine.terms().team.as_ref().and_then(|team| team.way(holder, later));
            if way.is_some_and(|way| way.returns) {
                waiting.push(holder);
            }
            active = later;
        }
        let names = |members: Vec<usize>| members.into_iter().map(|at| agents.name(at).to_owned()).collect();
        Some(Box::new(WithAgent {
            entry: agents.name(agents.entry).to_owned(),
            active: agents.name(active).to_owned(),
            waiting: names(waiting),
        }))
    }

    /// What is remembered of a conversation of agents, and of any other.
    pub(super) fn held(&self, current: baton_policy::Current, handed: bool) -> Held {
        match self.with_agent() {
            // Another agent is another request: no plan is to stay with a target for it.
            Some(agent) => Held { current, handed: false, agent: Some(agent) },
            None => Held { current, handed, agent: None },
        }
    }

    /// Whether the last turn's conversation goes back, or on, to another agent: the client's stream says so.
    pub(super) fn announces(&self) -> Option<String> {
        let agents = self.agents.as_ref().filter(|_| !self.machine.is_aside())?;
        let moved = matches!(self.machine.cause(), Cause::HandedOver | Cause::Unavailable)
            || self.machine.cause() == Cause::Returned
                && self.machine.moves().last().is_some_and(|last| last.by == By::Return);
        moved.then(|| agents.name(self.machine.active()).to_owned())
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

/// Whether every model of every agent speaks the client's dialect.
fn speaks_one_dialect(settings: &Settings, crew: &Crew, dialect: Dialect) -> bool {
    let mut names = crew.agents.iter().flat_map(Agent::names);
    names.all(|name| {
        settings.catalog.candidate(name).ok().is_some_and(|candidate| {
            let upstream = settings.catalog.upstream(&candidate.target.provider);
            upstream.is_some_and(|upstream| upstream.dialect() == dialect)
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
