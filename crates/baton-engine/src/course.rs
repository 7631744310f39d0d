//! Carries a request over several turns: from model to model, and through tools.
//!
//! What may happen and what comes next is the machine's to say (`baton-run`); who may go where is the
//! policy's; this carries it out.
//!
//! - Start with [`Course::of`].
//! - **Invariant:** the decision of every hand-over is written before the target is called, and the
//!   decisions of every turn are synced before the client is given any of what follows from them.

use std::sync::Arc;

use baton_audit::{DecisionKind, HandoffNote, Hash, PackageNote, Receipt, ToolNote};
use baton_dialect::{
    AnswerContext, JoinEnd, Joiner, StreamOptions, TurnAnswer, join_answers, repeated, stream_usage,
};
use baton_model::{Fault, FinishReason, NanoUsd, Part, ProviderName, Target, Tool, Usage};
use baton_policy::{
    Actions, AgentMoveBy, Candidate, Current, Inputs, Reason, ReasonCode, ReasonSource, Row, RunEvent,
};
use baton_run::{
    CallResult, CallsTold, Cause, Effect, Event, Finish, Guard, History, Machine, Task, ToolCall, TurnEnd,
};
use baton_tools::{Called, ToolSet};
use bytes::Bytes;
use futures_util::{StreamExt, stream};

use self::agents::Agents;
use self::kept::Keeping;
pub(crate) use self::purse::Purse;
use crate::attempt::{Body, Failed, NoAnswer, Opened, WholeTurn, answer_id, created};
use crate::engine::{internal, not_recordable};
use crate::flow::Flow;
use crate::leg::{Leg, LegTerms};
use crate::plot::plot;
use crate::report::{Report, correlation};
use crate::run::{Choice, Run};
use crate::sticky::Key;
use crate::{Ask, Engine, Head, Kept, Refusal, RefusalKind, Reply, ReplyBody};

/// How many tools of one turn run at the same time.
const TOOLS_AT_ONCE: usize = 8;

/// What may stand around a message or a tool, in bytes, where it is reckoned what it costs.
const FRAME: usize = 64;

/// A request that takes more than one answer, as far as its plan shows.
pub(crate) struct Course {
    machine: Machine,
    legs: Arc<LegTerms>,
    /// What the request was planned from.
    basis: Box<Inputs>,
    /// The tools that the gateway runs.
    tools: Option<ToolSet>,
    /// The agents, where they take the turns.
    agents: Option<Box<Agents>>,
}

impl Course {
    /// The course of a request, if its models may hand it on or tools are run for it. Else one answer is all,
    /// and why, where there could have been more.
    pub(crate) fn of(
        run: &Run,
        inputs: &Inputs,
        table: &[Row],
        order: &[u32],
        rule: Option<&Actions>,
        moved: bool,
        tools: Option<ToolSet>,
    ) -> Result<Box<Self>, Option<&'static str>> {
        let (machine, legs) = plot(run, inputs, table, order, rule, moved, tools.as_ref())?;
        Ok(Box::new(Self {
            machine,
            legs: Arc::new(legs),
            basis: Box::new(inputs.clone()),
            tools,
            agents: None,
        }))
    }

    /// Answers. `client` is the request as it was sent, `run` has it as the rules want it at its start.
    pub(crate) async fn begin(
        mut self: Box<Self>,
        engine: &Arc<Engine>,
        client: Arc<Ask>,
        run: Run,
        choice: Choice,
        others: Vec<Candidate>,
        retries: u32,
    ) -> Result<Reply, Refusal> {
        let stream = run.ask.stream;
        let client_kept = client.kept.clone();
        if choice.kind == DecisionKind::Handoff
            && let Some(from) = choice.from.as_ref().and_then(|from| self.legs.member(from))
        {
            self.machine.came_from(from);
        }
        let joiner = stream.then(|| {
            let options = StreamOptions {
                model: None,
                id: answer_id(run.ask.dialect, run.ask.request),
                created: created(run.ask.request),
                include_usage: stream_usage(run.ask.dialect, &run.ask.body).client_asked,
                request: repeated(client.dialect, &client.body).cloned(),
            };
            Joiner::new(run.ask.dialect, self.legs.lane, options)
        });
        let way = Way {
            engine: Arc::clone(engine),
            client,
            run,
            machine: self.machine,
            legs: self.legs,
            basis: self.basis,
            joiner,
            next: Some((choice, others)),
            retries,
            failure: None,
            report: Report::of(self.tools.as_ref()),
            tools: self.tools,
            agents: self.agents,
            summary: None,
            kept: client_kept,
            keeping: Keeping::default(),
        };
        if let Some(kept) = way.kept.clone() {
            return Box::pin(way.kept(kept)).await;
        }
        if stream { Box::pin(way.streamed()).await } else { way.whole().await }
    }
}

/// A course under way.
struct Way {
    engine: Arc<Engine>,
    /// The request as the client sent it; rules change copies of it.
    client: Arc<Ask>,
    run: Run,
    machine: Machine,
    legs: Arc<LegTerms>,
    basis: Box<Inputs>,
    /// The client's stream so far; with a flow while one is open.
    joiner: Option<Joiner>,
    /// The next turn's choice and who stands in, where a plan has said so already.
    next: Option<(Choice, Vec<Candidate>)>,
    retries: u32,
    /// Why the last turn could not be had.
    failure: Option<(Target, Box<Failed>)>,
    report: Report,
    tools: Option<ToolSet>,
    /// The agents, where they take the turns.
    agents: Option<Box<Agents>>,
    /// What the conversation came to, where the target of a hand-over is told that instead.
    summary: Option<Arc<str>>,
    /// Where it is written down, if it is a run of its own.
    kept: Option<Arc<Kept>>,
    keeping: Keeping,
}

/// Where a course has come to.
enum Stage {
    /// A turn is open.
    Turn(Box<Opened>),
    /// The last turn is the answer, or the run ends with what there is.
    End(FinishReason),
    /// It failed.
    Failed(Box<Refusal>),
}

impl Way {
    /// Goes on until a turn is open or the run is over.
    async fn advance(&mut self, event: Event) -> Stage {
        match self.step(event).await {
            Ok(effect) => self.follow(effect).await,
            Err(refusal) => Stage::Failed(Box::new(refusal)),
        }
    }

    /// Tells the machine what happened. Of a run that is kept, it is written down.
    async fn step(&mut self, event: Event) -> Result<Effect, Refusal> {
        match self.kept.clone() {
            Some(kept) => Box::pin(self.tell(&kept, event)).await,
            None => Ok(self.machine.step(event)),
        }
    }

    /// Carries an effect out, and all that follow from it until a turn is open or the run is over.
    async fn follow(&mut self, mut effect: Effect) -> Stage {
        loop {
            self.settle();
            if self.leaves() {
                return self.leave();
            }
            let event = match effect {
                Effect::Price => Event::Priced(self.worst_case()),
                Effect::Turn if let Some(ended) = self.too_late() => return ended,
                Effect::Turn if let Some(spent) = self.take_of_all() => spent,
                Effect::Turn => match self.take_turn().await {
                    Ok(opened) if self.machine.is_aside() => match self.aside_ended(opened) {
                        Ok(event) => event,
                        Err(refusal) => return Stage::Failed(Box::new(refusal)),
                    },
                    Ok(opened) => return Stage::Turn(Box::new(opened)),
                    Err(NoAnswer::Refused(refusal)) => return self.refused(refusal),
                    Err(NoAnswer::Failed { target, failed }) => {
                        self.failure = Some((target, failed));
                        Event::Failed
                    }
                },
                Effect::Decide { to } if self.agents.is_some() => {
                    Box::pin(self.have_arrive(to, AgentMoveBy::Handoff, None)).await
                }
                Effect::Decide { to } => self.decide(to),
                Effect::Force { to } => Box::pin(self.have_arrive(to, AgentMoveBy::Forced, None)).await,
                Effect::Delegate { to, task } => {
                    Box::pin(self.have_arrive(to, AgentMoveBy::Task, Some(&task))).await
                }
                Effect::Returned { from } => match self.returned(from) {
                    Ok(event) => event,
                    Err(refusal) => return Stage::Failed(Box::new(refusal)),
                },
                Effect::Tools(calls) => match self.kept.clone() {
                    None => self.run_tools(calls).await,
                    Some(kept) => match Box::pin(self.run_kept_tools(&kept, calls)).await {
                        Ok(Some(event)) => event,
                        // The caller has to say a word first.
                        Ok(None) => return Stage::End(FinishReason::ToolCalls),
                        Err(refusal) => return Stage::Failed(Box::new(refusal)),
                    },
                },
                Effect::Ended { member, text } => Box::pin(self.at_end(member, &text)).await,
                Effect::Rules => match self.ask_rules() {
                    Ok(ruling) => Event::Ruled(ruling),
                    Err(refusal) => return Stage::Failed(Box::new(refusal)),
                },
                Effect::Finish(Finish { finish, aside }) => {
                    let noted = aside.map_or(Ok(()), |aside| self.set_aside(&aside));
                    return match noted.and_then(|()| self.note_end()) {
                        Ok(()) => Stage::End(finish),
                        Err(refusal) => Stage::Failed(Box::new(refusal)),
                    };
                }
                Effect::Stop(guard) => {
                    self.stops(guard.as_str());
                    return match self.stop(guard).and_then(|()| self.note_end()) {
                        Ok(()) => Stage::End(FinishReason::Length),
                        Err(refusal) => Stage::Failed(Box::new(refusal)),
                    };
                }
                Effect::Fail => return self.fail().await,
            };
            effect = match self.step(event).await {
                Ok(effect) => effect,
                Err(refusal) => return Stage::Failed(Box::new(refusal)),
            };
        }
    }

    /// Has an agent come to work. Which tools it has is written down with a run that is kept.
    async fn have_arrive(&mut self, to: usize, by: AgentMoveBy, task: Option<&Task>) -> Event {
        let event = self.arrive(to, by, task).await;
        if let Some(kept) = self.kept.clone() {
            self.equipped(&kept, to).await;
        }
        event
    }

    /// Ends a run whose time is over.
    fn too_late(&mut self) -> Option<Stage> {
        let kept = self.kept.clone()?;
        self.late(&kept)
    }

    /// Asks for a turn. A run that is kept may be stopped meanwhile.
    async fn take_turn(&mut self) -> Result<Opened, NoAnswer> {
        match self.kept.clone() {
            Some(kept) => Box::pin(self.turn_of(&kept)).await,
            None => self.turn().await,
        }
    }

    /// Asks the active member for a turn, or who stands in for it.
    async fn turn(&mut self) -> Result<Opened, NoAnswer> {
        self.take_station();
        let (choice, others) = match self.next.take() {
            Some(next) => next,
            None if self.agents.is_some() => {
                Box::pin(self.come_back()).await.map_err(|refusal| NoAnswer::Refused(Box::new(refusal)))?;
                self.choose_again().map_err(|refusal| NoAnswer::Refused(Box::new(refusal)))?
            }
            None => self.choose().map_err(|refusal| NoAnswer::Refused(Box::new(refusal)))?,
        };
        let others: Vec<Candidate> = others.into_iter().filter(|candidate| self.can_pay(candidate)).collect();
        self.run.turn = self.machine.turn();
        self.run.hop = self.machine.hop();
        self.run.tried.clear();
        if choice.kind == DecisionKind::Handoff && self.legs.history == History::Summary {
            self.summary = self.summarised(&choice).await;
        }
        let announcement = match &self.joiner {
            Some(_) if !self.machine.is_aside() => {
                Report::announcement(choice.kind, &choice.candidate, self.announces())
            }
            // A whole answer announces nothing, and nobody sees a task.
            _ => Vec::new(),
        };
        let note =
            if choice.kind == DecisionKind::Handoff { self.note(&choice) } else { HandoffNote::default() };
        let is_noted = choice.kind == DecisionKind::Handoff || self.agents.is_some();
        let note = is_noted.then(|| Box::new(self.agents_note(choice.kind, note)));
        self.run.leg = Some(Box::new(Leg {
            machine: self.machine.clone(),
            terms: Arc::clone(&self.legs),
            joiner: if self.machine.is_aside() { None } else { self.joiner.clone() },
            agent: self.agent_leg(),
            announcement,
            called: self.report.ran_tools(),
            summary: self.summary.clone(),
            note,
        }));
        let opened = self.engine.drive(&mut self.run, choice, others.into_iter(), self.retries).await?;
        if self.agents.is_some() {
            self.answered_by(&opened.target);
        } else if let Some(member) = self.legs.member(&opened.target) {
            self.machine.took_over(member);
        }
        Ok(opened)
    }

    /// What goes with a hand-over, as its record tells it.
    fn note(&self, choice: &Choice) -> HandoffNote {
        let added = self.machine.added(self.machine.active());
        let last = self.machine.moves().last();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        // A provider may answer in two: a client is answered in its own where there is a choice.
        let dialect = |target: &Target| {
            let upstream = self.run.settings.catalog.upstream(&target.provider);
            upstream.map(|upstream| upstream.dialect_for(self.run.ask.dialect))
        };
        let from = choice.from.as_ref().and_then(dialect);
        let to = dialect(&choice.candidate.target);
        HandoffNote {
            said: last.and_then(|last| last.reason.clone()),
            history: Some(self.legs.history_word()),
            messages: count(added.len()),
            bytes: count(added.iter().map(baton_run::size).sum()),
            package: last.and_then(|last| last.package.as_ref()).map(|package| PackageNote {
                bytes: count(package.len()),
                hash: Hash::of(package.as_bytes()).to_string(),
            }),
            translated: from
                .zip(to)
                .filter(|(from, to)| from != to)
                .map(|(from, to)| format!("{from}->{to}")),
            cache_lost_tokens: self.report.last_cached(),
            ..HandoffNote::default()
        }
    }

    /// The choice for a turn that no plan has made yet: why it is asked for says what kind it is.
    fn choose(&mut self) -> Result<(Choice, Vec<Candidate>), Refusal> {
        let active = self.machine.active();
        let candidate = self
            .candidate(active)
            .ok_or_else(|| Refusal::failed(internal("a member that is not there"), self.no_head()))?;
        let last = self.machine.moves().last();
        let from = last.map(|last| if last.undone { last.to } else { last.from });
        let from = from.and_then(|member| self.target(member));
        let name = candidate.target.to_string();
        let other = from.as_ref().map(ToString::to_string).unwrap_or_default();
        let (kind, event) = match self.machine.cause() {
            Cause::HandedOver | Cause::Ruled => {
                (DecisionKind::Handoff, RunEvent::ToolsAnswered { by: &name })
            }
            Cause::Unavailable => (DecisionKind::Fallback, RunEvent::Unavailable { from: &name, to: &other }),
            Cause::Guarded(guard) => {
                self.report.planned = Some(kept_by(guard, &name));
                (DecisionKind::Stay, RunEvent::ToolsAnswered { by: &name })
            }
            Cause::NoSuchTool => {
                let text =
                    format!("{name} goes on: it called a tool that does not exist, and was told which do");
                let reason = Reason { code: ReasonCode::ToolsAnswered, text, source: ReasonSource::Policy };
                self.report.planned = Some(reason);
                (DecisionKind::Stay, RunEvent::ToolsAnswered { by: &name })
            }
            Cause::NoSuchTarget => (
                DecisionKind::Stay,
                RunEvent::Denied { from: &name, why: "it asked for a target that does not exist" },
            ),
            Cause::NotAccepted | Cause::Denied => {
                (DecisionKind::Stay, RunEvent::Denied { from: &name, why: "its hand-over was not accepted" })
            }
            Cause::Begins | Cause::Tools | Cause::Delegated | Cause::Returned | Cause::GaveUp => {
                (DecisionKind::Stay, RunEvent::ToolsAnswered { by: &name })
            }
        };
        let reason = self.report.planned.take().unwrap_or_else(|| Reason::in_run(event));
        let handed = kind == DecisionKind::Handoff;
        // The target of a hand-over has nobody who stands in: who handed over is told instead.
        let others = if handed { Vec::new() } else { self.others(active) };
        let credential = self.engine.first_credential(&self.run, &candidate.target);
        let from = if kind == DecisionKind::Stay { None } else { from };
        Ok((Choice { kind, candidate, from, reason, credential }, others))
    }

    /// Runs the tools that a turn called, a few at a time.
    async fn run_tools(&mut self, calls: Vec<ToolCall>) -> Event {
        let dialect = self.client.dialect;
        let patience = self.run.time_left();
        let (apart, calls): (Vec<ToolCall>, Vec<ToolCall>) =
            calls.into_iter().partition(|call| self.is_background(&call.name));
        let way = &*self;
        let running = calls.into_iter().map(|call| async move {
            if let Some(called) = way.call_folder(&call, patience).await {
                return Some((call, called));
            }
            let called = way.tools.as_ref()?.call(&call.name, &call.arguments, patience).await;
            Some((call, called))
        });
        let done: Vec<Option<(ToolCall, Called)>> =
            stream::iter(running).buffered(TOOLS_AT_ONCE).collect().await;
        let mut done: Vec<(ToolCall, Called)> = done.into_iter().flatten().collect();
        for call in apart {
            let called = Box::pin(self.call_background(&call)).await;
            done.push((call, called));
        }
        let mut results = Vec::with_capacity(done.len());
        for (call, called) in done {
            self.run.tools_run.push(tool_note(&called));
            let result = CallResult {
                parts: vec![Part::text(called.text.clone(), dialect)],
                is_error: called.is_error,
            };
            results.push((call.id.clone(), result));
            self.report.tool(&call, called);
        }
        Event::ToolsDone(results)
    }

    /// Nothing is left to try for a turn. What earlier turns said is the answer then, as far as it goes.
    async fn fail(&mut self) -> Stage {
        let Some((target, failed)) = self.failure.take() else {
            return Stage::Failed(Box::new(Refusal::failed(
                internal("the run lost its way"),
                self.no_head(),
            )));
        };
        let refusal = self.engine.stop(&mut self.run, &target, *failed);
        if !self.report.spoke() {
            return Stage::Failed(Box::new(refusal));
        }
        if let Some(kept) = self.kept.clone() {
            self.stops("upstream_failed");
            self.tell_fault(&kept, &refusal).await;
        }
        Stage::End(FinishReason::Length)
    }

    /// The most that the next turn can cost: all of the input anew, and all of the output it may give.
    fn worst_case(&self) -> Option<NanoUsd> {
        self.worst_case_at(&self.candidate(self.machine.active())?)
    }

    /// The same where this one is asked.
    fn worst_case_at(&self, candidate: &Candidate) -> Option<NanoUsd> {
        let price = candidate.facts.price?;
        let active = self.machine.active();
        let added = self.machine.added(active);
        let said = added.iter().map(|message| FRAME + baton_run::size(message)).sum::<usize>();
        let own = || (self.run.ask.body.body().len(), self.basis.features.max_output_tokens);
        let (request, most) = self.agents_worst().unwrap_or_else(own);
        let servers = self.agent_leg().map_or_else(|| self.legs.tools.clone(), |agent| agent.tools);
        let transfers = self.machine.terms().tools(active);
        let tools = servers.iter().chain(&transfers).map(tool_size).sum::<usize>();
        let bytes = request + said + tools;
        let output = most.or(candidate.facts.capabilities.max_output_tokens)?;
        // No tokenizer gives more tokens than bytes.
        let input = u64::try_from(bytes).unwrap_or(u64::MAX);
        Some(price.cost(&Usage { input_tokens: input, output_tokens: output, ..Usage::default() }))
    }

    /// Notes who has the conversation from now on.
    fn remember(&self) {
        let Some(marks) = &self.run.marks else { return };
        let Some(target) = self.target(self.report.later.unwrap_or(self.machine.holder())) else { return };
        let ask = &self.client;
        let named = self.run.keys_from_now_on(marks);
        let calls = self.report.emitted.iter().map(|call| Key::Call(call.id.clone()));
        let told = (ask.handoff.calls == CallsTold::Apart).then(|| Key::Session(correlation(&self.run)));
        let handed = self.report.later.is_some()
            || self.machine.moves().iter().any(|moved| !moved.undone)
            || self.basis.run.is_some();
        let current = Current { target, cached_tokens: self.report.last_input() };
        let keys = named.into_iter().chain(calls).chain(told);
        self.engine.outlook.given.put(&ask.caller.principal, &self.report.emitted);
        self.engine.outlook.sticky.put(&ask.caller.principal, keys, &self.held(current, handed));
    }

    fn candidate(&self, member: usize) -> Option<Candidate> {
        if self.agents.is_some() {
            return self.agents_candidate(member);
        }
        self.basis.candidates.get(self.legs.members.get(member)?.candidate).cloned()
    }

    fn target(&self, member: usize) -> Option<Target> {
        if self.agents.is_some() {
            return self.agents_candidate(member).map(|candidate| candidate.target);
        }
        Some(self.legs.members.get(member)?.target.clone())
    }

    fn place(&self, member: usize) -> Option<u32> {
        u32::try_from(self.legs.members.get(member)?.candidate).ok()
    }

    /// Who stands in for a member that fails in the middle of its hop.
    /// Whether the budget has room for a turn of who stands in, in the place of the one who was to be asked.
    fn can_pay(&self, candidate: &Candidate) -> bool {
        let Some(budget) = self.machine.terms().limits.budget else { return true };
        let Some(cost) = self.worst_case_at(candidate) else { return false };
        let of_all = self.agents.as_ref().map(|agents| &agents.purse).or(self.keeping.purse.as_ref());
        let is_left = self.agents.is_some() || self.machine.spent().0.saturating_add(cost.0) <= budget.0;
        is_left && of_all.is_none_or(|purse| purse.can_pay(cost))
    }

    fn others(&self, active: usize) -> Vec<Candidate> {
        let failed = self.failure.as_ref().map(|(target, _)| target);
        self.machine
            .terms()
            .members
            .others(active)
            .filter_map(|member| self.candidate(member))
            .filter(|candidate| Some(&candidate.target) != failed)
            .collect()
    }

    /// The answer to a request whose run was stopped before anybody was asked.
    fn without_a_turn(&self) -> Refusal {
        let mut refusal = Refusal::new(
            RefusalKind::Unmet,
            "the first answer alone could cost more than the budget of the run allows",
        );
        refusal.code = Some(Guard::Budget.as_str().to_owned());
        refusal.head = Some(Box::new(Head { reason: Guard::Budget.as_str(), ..self.no_head() }));
        refusal
    }

    fn no_head(&self) -> Head {
        Head {
            run: self.run.id,
            decision: self.run.parent.unwrap_or_else(|| self.engine.ids.decision()),
            target: String::new(),
            provider: String::new(),
            policy: String::new(),
            attempts: self.run.attempts,
            handoffs: self.run.handoffs.len(),
            reason: "internal",
            status: 500,
            upstream: http::HeaderMap::new(),
            table: Vec::new(),
        }
    }
}

/// How a whole turn ended, for the machine.
fn turn_end(target: &Target, turn: &WholeTurn, parts: Vec<Part>) -> TurnEnd {
    TurnEnd {
        dialect: turn.dialect,
        parts: made_by(&target.provider, parts),
        finish: turn.answer.finish,
        usage: turn.ended.usage,
        cost: turn.ended.cost,
    }
}

/// A call that the gateway ran, for the record.
fn tool_note(called: &Called) -> ToolNote {
    ToolNote {
        server: called.server.clone(),
        tool: called.tool.clone(),
        is_error: called.is_error,
        took_us: u64::try_from(called.took.as_micros()).unwrap_or(u64::MAX),
        bytes: u64::try_from(called.bytes).unwrap_or(u64::MAX),
        hash: Hash::of(called.text.as_bytes()).to_string(),
    }
}

/// The parts of a turn, each knowing who put what beside it: only there it may go back.
fn made_by(maker: &ProviderName, mut parts: Vec<Part>) -> Vec<Part> {
    for attached in parts.iter_mut().filter_map(|part| part.attached.as_mut()) {
        attached.maker = Some(maker.clone());
    }
    parts
}

/// Why a conversation stays where it is, as a guard has it: the model is told, and may still answer.
/// The bytes of a tool as a model is told of it.
fn tool_size(tool: &Tool) -> usize {
    match tool {
        Tool::Function { name, description, parameters, .. } => {
            let [about, schema] = [
                description.as_ref().map_or(0, String::len),
                parameters.as_ref().map_or(0, |it| it.get().len()),
            ];
            FRAME + name.len() + about + schema
        }
        Tool::Vendor { raw, .. } => raw.get().len(),
    }
}

fn kept_by(guard: Guard, name: &str) -> Reason {
    let (code, why) = match guard {
        Guard::MaxTurns => (ReasonCode::MaxTurns, "it has had as many turns as it may"),
        Guard::MaxHandoffs => {
            (ReasonCode::MaxHandoffs, "the conversation has changed hands as often as it may")
        }
        Guard::PingPong => {
            (ReasonCode::PingPong, "the conversation goes to and fro, and the user has said nothing new")
        }
        Guard::Depth => (ReasonCode::MaxDepth, "too many agents wait for each other already"),
        Guard::Budget | Guard::Tokens => {
            (ReasonCode::BudgetReached, "another turn could cost more than is left of its budget")
        }
        Guard::Rule => (ReasonCode::HandoffDenied, "a rule ends it"),
    };
    Reason { code, text: format!("{name} keeps the conversation: {why}"), source: ReasonSource::Policy }
}

mod agents;
mod decide;
mod kept;
mod purse;
mod streamed;
mod summary;
mod whole;
