//! A run that is written down as it goes: after a crash, another process goes on with it.
//!
//! What happened is told to the machine, and then written with what follows from it for the caller, before the
//! next effect begins. A run that was begun elsewhere is played to where it was; the first effect without an
//! event is carried out, a model's answer that was not written is asked for again.
//!
//! - Start with [`Way::kept`].
//! - **Invariant:** of what a caller is told, the decisions are synced.
//! - **Never here:** leases, and what becomes of a run at its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_audit::DecisionKind;
use baton_dialect::{Additions, extend_request};
use baton_model::{FinishReason, Message, NanoUsd, Part, PartKind, RawJson, Role};
use baton_policy::{Reason, ReasonCode, ReasonSource};
use baton_run::{By, CallResult, Cause, Effect, Entry, Event, Limits, Move, Start, Tape, ToolCall, TurnEnd};
use baton_state::runs::{CallState, StepError};
use baton_tools::Called;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Body, Stage, TOOLS_AT_ONCE, Way, tool_note, turn_end};
use crate::attempt::{NoAnswer, Opened};
use crate::engine::{internal, not_recordable};
use crate::run::Choice;
use crate::runs::{
    Ending, HandoffTold, HeldNote, Kept, Pad, PendingCall, RunFault, Spent, ToolTold, TurnTold,
};
use crate::{Refusal, RefusalKind, Reply, ReplyBody};

/// What a model is told of a call that was begun by a process that died.
const OUTCOME_UNKNOWN: &str = "error: it is not known whether this call was carried out: what made it ended before \
    the result was written. It was not made again. Find out before you call it again, or tell the user.";

/// What a kept run has beside what every run has.
#[derive(Default)]
pub(super) struct Keeping {
    /// The decision that the present turn was answered under.
    decision: Option<baton_model::DecisionId>,
    /// The last turn, until it is in the history.
    last: Option<TurnEnd>,
    /// Whether what it says is the caller's to see.
    is_shown: bool,
    /// Why the run ends early.
    stopped: Option<String>,
    /// Who it was handed over to, where that is not followed.
    handed_to: Option<String>,
    /// Who answered the present turn in the place of the one who was asked.
    took: Option<String>,
    /// The most turns, as far as it is written.
    max_turns: u32,
    /// The variables, as far as they are written.
    context: Option<serde_json::Map<String, Value>>,
}

/// Where a turn stands in its run.
struct Seen {
    turn: u32,
    hop: u32,
    agent: Option<String>,
    aside: bool,
}

/// What a tool said, as it is kept until the run's end.
#[derive(Serialize, Deserialize)]
struct Said {
    server: String,
    tool: String,
    is_error: bool,
    text: String,
    took_ms: u64,
    bytes: usize,
}

impl Way {
    /// Carries a run out until it ends, or waits for its caller. What it came to is in its checkpoint then.
    pub(super) async fn kept(mut self, kept: Arc<Kept>) -> Result<Reply, Refusal> {
        let mut stage = match self.pick_up(&kept).await {
            Ok(effect) => self.follow(effect).await,
            Err(refusal) => return Err(refusal),
        };
        loop {
            match stage {
                Stage::Turn(opened) => {
                    let event = self.turn_ended(*opened)?;
                    stage = self.advance(event).await;
                }
                Stage::End(finish) => {
                    self.conclude(&kept, finish).await?;
                    return Ok(Reply { head: self.no_head(), body: ReplyBody::Whole(Bytes::new()) });
                }
                Stage::Failed(refusal) => return Err(*refusal),
            }
        }
    }

    /// Brings the run to where it was, or to its beginning, and says what comes next.
    async fn pick_up(&mut self, kept: &Arc<Kept>) -> Result<Effect, Refusal> {
        let mut pad = kept.pad().await;
        let checkpoint = &mut pad.checkpoint;
        self.machine.bound(left_of(self.machine.terms().limits, &checkpoint.before, kept.terms().max_tokens));
        self.keeping.max_turns = self.machine.max_turns();
        if checkpoint.tape.start.is_none() {
            checkpoint.tape.start = Some(Start::of(&self.machine));
            let equipped = self.equipment(self.machine.active());
            checkpoint.tape.entries.extend(equipped);
            let who = self.who(self.machine.active());
            let begins = checkpoint.segment == 0;
            if begins {
                pad.tell(&json!({ "type": "run_start", "run": self.run.id, "at": who }));
            }
            pad.touch();
            return Ok(self.machine.step(Event::Begin));
        }
        let tape = checkpoint.tape.clone();
        let handoffs = checkpoint.progress.handoffs.iter().skip(checkpoint.before.moves);
        let handoffs = handoffs.filter_map(|told| told.decision).collect();
        self.run.go_on(checkpoint.progress.decision, checkpoint.progress.attempts, handoffs);
        let ran: Vec<ToolTold> = checkpoint.progress.tools.clone();
        drop(pad);
        let was_planned = self.machine.active();
        let effect = self.play(&tape)?;
        self.keeping.max_turns = self.machine.max_turns();
        self.tell_again(&tape, &ran);
        let is_new = tape.entries.iter().all(|entry| matches!(entry, Entry::Equipped { .. }));
        if is_new && self.machine.active() == was_planned {
            return Ok(effect);
        }
        // What was planned is another turn's.
        self.next = None;
        self.run.plan = None;
        if matches!(effect, Effect::Finish(_) | Effect::Stop(_) | Effect::Fail) {
            return Ok(effect);
        }
        if self.agents.is_some() {
            Box::pin(self.come_back()).await?;
            self.run.plan = None;
            self.next = None;
        }
        if matches!(effect, Effect::Price | Effect::Turn) {
            self.next = Some(self.once_more()?);
        }
        Ok(effect)
    }

    /// Tells the machine what it was told elsewhere.
    fn play(&mut self, tape: &Tape) -> Result<Effect, Refusal> {
        let cannot = |error: baton_run::TapeError| {
            let mut refusal = Refusal::new(RefusalKind::Unmet, format!("the run cannot go on: {error}"));
            refusal.code = Some("not_resumable".to_owned());
            refusal
        };
        let mut effect = tape.begin(&mut self.machine).map_err(cannot)?;
        for entry in &tape.entries {
            if let Entry::Event(Event::Ended(end)) = entry {
                self.report.heard(&end.parts);
            }
            if let (Effect::Delegate { to, task }, Entry::Event(Event::Granted | Event::Briefed(_))) =
                (&effect, entry)
            {
                self.open_scene(*to, task);
            }
            if let Entry::Context(context) = entry {
                self.set_context(context);
                self.keeping.context = Some(context.clone());
            }
            if let Some(next) = entry.play(&mut self.machine).map_err(cannot)? {
                effect = next;
                self.close_scenes();
            }
        }
        Ok(effect)
    }

    /// Has the report, and the next decision, know what tools were run elsewhere.
    fn tell_again(&mut self, tape: &Tape, ran: &[ToolTold]) {
        let last = tape.entries.iter().rev().find_map(|entry| match entry {
            Entry::Event(event) => Some(event),
            _ => None,
        });
        let answered: Vec<&str> = match last {
            Some(Event::ToolsDone(results)) => results.iter().map(|(id, _)| id.as_str()).collect(),
            _ => Vec::new(),
        };
        for told in ran {
            let call = ToolCall { id: told.id.clone(), name: told.name.clone(), arguments: String::new() };
            let called = told_called(told);
            if answered.contains(&told.id.as_str()) {
                self.run.tools_run.push(tool_note(&called));
            }
            self.report.tool(&call, called);
        }
    }

    /// The choice for a turn that was begun elsewhere, and whose answer nobody has.
    fn once_more(&mut self) -> Result<(Choice, Vec<baton_policy::Candidate>), Refusal> {
        let active = self.machine.active();
        let candidate = self
            .candidate(active)
            .ok_or_else(|| Refusal::failed(internal("a member that is not there"), self.no_head()))?;
        let kind = match self.machine.cause() {
            Cause::HandedOver | Cause::Ruled => DecisionKind::Handoff,
            Cause::Delegated => DecisionKind::Delegate,
            _ => DecisionKind::Retry,
        };
        let target = candidate.target.clone();
        let text =
            format!("{target} is asked again: the process that asked it ended before its answer was written");
        let reason = Reason { code: ReasonCode::RetryAfterFault, text, source: ReasonSource::Fault };
        let from = match kind {
            DecisionKind::Retry => Some(target.clone()),
            _ => self.machine.moves().last().and_then(|last| self.target(last.from)),
        };
        let others = if kind == DecisionKind::Handoff {
            Vec::new()
        } else if self.agents.is_some() {
            self.agents_others(active)
        } else {
            self.others(active)
        };
        let credential = self.engine.first_credential(&self.run, &target);
        Ok((Choice { kind, candidate, from, reason, credential }, others))
    }

    /// A turn of the caller's conversation ended.
    fn turn_ended(&mut self, opened: Opened) -> Result<Event, Refusal> {
        let Opened { target, body: Body::Turn(mut turn), receipt, .. } = opened else {
            return Err(Refusal::failed(internal("a kept turn in pieces"), self.no_head()));
        };
        self.report.turn(&self.machine, &target, &turn.ended, receipt);
        self.report.heard(&turn.answer.parts);
        let parts = std::mem::take(&mut turn.answer.parts);
        Ok(Event::Ended(turn_end(&target, &turn, parts)))
    }

    /// Asks for a turn, unless the run is to stop.
    pub(super) async fn turn_of(&mut self, kept: &Arc<Kept>) -> Result<Opened, NoAnswer> {
        let refused = |refusal: Refusal| NoAnswer::Refused(Box::new(refusal));
        kept.flush().await.map_err(|error| refused(not_written(&error)))?;
        if kept.is_halted() {
            return Err(refused(halted()));
        }
        let most = self.run.pool.policy.timeouts().total;
        self.run.deadline = Instant::now() + self.left_of_time(kept).map_or(most, |left| left.min(most));
        let asked = self.machine.active();
        let opened = tokio::select! {
            biased;
            () = kept.halted() => return Err(refused(halted())),
            opened = self.turn() => opened?,
        };
        let answered = self.machine.active();
        self.keeping.took = (self.agents.is_none() && answered != asked).then(|| self.who(answered));
        self.keeping.decision = Some(opened.head.decision);
        Ok(opened)
    }

    /// What is left of the time that the run may take; none where it may take any.
    fn left_of_time(&self, kept: &Kept) -> Option<Duration> {
        let until = kept.terms().until_ms?;
        Some(Duration::from_millis(until.saturating_sub(self.engine.ids.now_ms())))
    }

    /// Ends the run where its time is over.
    pub(super) fn late(&mut self, kept: &Kept) -> Option<Stage> {
        self.left_of_time(kept).filter(Duration::is_zero)?;
        self.keeping.stopped = Some("max_seconds".to_owned());
        let from = self.target(self.machine.active());
        let text = "the run ends because it has taken all of its time".to_owned();
        let reason = Reason { code: ReasonCode::BudgetReached, text, source: ReasonSource::Policy };
        self.run.plan = None;
        Some(match self.record(DecisionKind::Stop, None, from, reason) {
            Ok(()) => Stage::End(FinishReason::Length),
            Err(refusal) => Stage::Failed(Box::new(refusal)),
        })
    }

    /// Notes why the run ends early.
    pub(super) fn stops(&mut self, why: &str) {
        self.keeping.stopped = Some(why.to_owned());
    }

    /// Tells the machine what happened, and writes it with what follows from it.
    pub(super) async fn tell(&mut self, kept: &Arc<Kept>, event: Event) -> Result<Effect, Refusal> {
        let seen = self.seen();
        let ended = match &event {
            Event::Ended(end) => Some(end.clone()),
            _ => None,
        };
        let mut pad = kept.pad().await;
        let tape = &mut pad.checkpoint.tape.entries;
        if ended.is_some() {
            tape.extend(self.keeping.took.take().map(Entry::Took));
            let equipped = self.equipment(self.machine.active());
            let news = equipped.filter(|equipped| !tape.contains(equipped));
            tape.extend(news);
        }
        let changed = self.context_now().filter(|now| Some(*now) != self.keeping.context.as_ref()).cloned();
        if let Some(context) = changed {
            if self.keeping.context.is_some() || context != self.client.context {
                tape.push(Entry::Context(context.clone()));
            }
            self.keeping.context = Some(context);
        }
        if self.machine.max_turns() < self.keeping.max_turns {
            self.keeping.max_turns = self.machine.max_turns();
            tape.push(Entry::Limited(self.keeping.max_turns));
        }
        tape.push(Entry::of(&event, &self.machine));
        let before = self.machine.conversation().len();
        let effect = self.machine.step(event);
        pad.touch();
        if let Some(end) = ended {
            self.tell_turn(&mut pad, &seen, &end, &effect);
            // What is in the history already is told from there.
            let is_open = before == self.machine.conversation().len();
            self.keeping.is_shown = is_open && !seen.aside && !matches!(effect, Effect::Turn | Effect::Price);
            self.keeping.last = Some(end);
        } else if !matches!(effect, Effect::Finish(_) | Effect::Ended { .. }) {
            self.keeping.last = None;
        }
        self.tell_moves(&mut pad);
        let hands_over = !kept.terms().follow_handoffs && self.has_moved(&pad);
        if hands_over {
            self.keeping.handed_to = pad.checkpoint.progress.handoffs.last().map(|told| told.to.clone());
        }
        if matches!(effect, Effect::Turn | Effect::Tools(_) | Effect::Delegate { .. } | Effect::Force { .. })
        {
            self.sync().await?;
            kept.write(&mut pad).await.map_err(|error| not_written(&error))?;
        }
        Ok(effect)
    }

    /// Whether the run ends here, because it was handed over and that is not followed.
    pub(super) const fn leaves(&self) -> bool {
        self.keeping.handed_to.is_some()
    }

    /// Records a hand-over that is not followed in this run.
    pub(super) fn leave(&mut self) -> Stage {
        let choice = match self.next.take() {
            Some((choice, _)) => Ok(choice),
            None if self.agents.is_some() => self.choose_again().map(|(choice, _)| choice),
            None => self.choose().map(|(choice, _)| choice),
        };
        let recorded = choice.and_then(|choice| {
            let Choice { candidate, from, reason, .. } = choice;
            self.record(DecisionKind::Handoff, Some(&candidate), from, reason)
        });
        match recorded {
            Ok(()) => Stage::End(FinishReason::Stop),
            Err(refusal) => Stage::Failed(Box::new(refusal)),
        }
    }

    /// Whether a hand-over was told that no turn has followed.
    fn has_moved(&self, pad: &Pad) -> bool {
        let told = &pad.checkpoint.progress.handoffs;
        let moved = self.machine.cause() == Cause::HandedOver || self.machine.cause() == Cause::Ruled;
        moved
            && told.len() > pad.checkpoint.before.moves
            && told.last().is_some_and(|last| last.decision.is_none())
    }

    /// What is told of an agent that came to work: the tools that are run for it.
    pub(super) async fn equipped(&mut self, kept: &Kept, member: usize) {
        if let Some(entry) = self.equipment(member) {
            let mut pad = kept.pad().await;
            pad.checkpoint.tape.entries.push(entry);
            pad.touch();
        }
    }

    fn equipment(&self, member: usize) -> Option<Entry> {
        let tools = self.station_tools(member)?;
        Some(Entry::Equipped { member: self.machine.terms().members.name(member).to_owned(), tools })
    }

    fn seen(&self) -> Seen {
        let agent = self.machine.terms().team.as_ref().map(|_| self.who(self.machine.active()));
        Seen { turn: self.machine.turn(), hop: self.machine.hop(), agent, aside: self.machine.is_aside() }
    }

    fn who(&self, member: usize) -> String {
        let members = &self.machine.terms().members;
        members.name(member).to_owned()
    }

    /// Tells of a turn: who took it, what was said, what was called, what it cost.
    fn tell_turn(&self, pad: &mut Pad, seen: &Seen, end: &TurnEnd, effect: &Effect) {
        let Some(decision) = self.keeping.decision else { return };
        let model = self.report.last_target().map(|target| target.to_string()).unwrap_or_default();
        let turn = pad.checkpoint.before.turns + seen.turn;
        let told = TurnTold {
            turn,
            hop: seen.hop,
            agent: seen.agent.clone(),
            model: model.clone(),
            decision,
            task: seen.aside,
            finish_reason: end.finish,
            usage: end.usage,
            cost_usd: end.cost.map(|cost| cost.to_string().replace('$', "")),
        };
        let who = seen.agent.clone().unwrap_or_else(|| model.clone());
        if pad.checkpoint.progress.speaker.as_ref() != Some(&who) {
            if let Some(before) = pad.checkpoint.progress.speaker.take() {
                pad.tell(&json!({ "type": "agent_end", "agent": before }));
            }
            pad.tell(&json!({ "type": "agent_start", "agent": who }));
            pad.checkpoint.progress.speaker = Some(who);
        }
        let mut start = json!({ "type": "turn_start", "turn": turn, "hop": seen.hop, "model": model, "decision": decision });
        if let Some(members) = start.as_object_mut() {
            members.extend(seen.agent.clone().map(|agent| ("agent".to_owned(), Value::from(agent))));
            members.extend(seen.aside.then(|| ("task".to_owned(), Value::Bool(true))));
        }
        pad.tell(&start);
        let text = text_of(&end.parts);
        if !seen.aside && !text.is_empty() {
            pad.tell(&json!({ "type": "text_delta", "turn": turn, "text": text }));
            pad.tell(&json!({ "type": "text_done", "turn": turn, "text": text }));
            let mut message =
                json!({ "role": "assistant", "content": text, "model": told.model, "turn": turn });
            if let (Some(members), Some(agent)) = (message.as_object_mut(), &seen.agent) {
                members.insert("agent".to_owned(), Value::from(agent.as_str()));
            }
            pad.checkpoint.progress.messages.push(message);
        }
        if let Effect::Tools(calls) = effect {
            for call in calls {
                tell_call(pad, turn, &call.id, &call.name, &call.arguments);
            }
        }
        pad.tell(&json!({
            "type": "turn_end", "turn": turn, "finish_reason": end.finish,
            "usage": end.usage, "cost_usd": told.cost_usd,
        }));
        let progress = &mut pad.checkpoint.progress;
        progress.is_priced = end.cost.is_some() && (progress.turns.is_empty() || progress.is_priced);
        if let Some(usage) = end.usage {
            progress.usage += usage;
        }
        progress.cost = NanoUsd(progress.cost.0.saturating_add(end.cost.map_or(0, |cost| cost.0)));
        progress.attempts = self.run.attempts;
        progress.decision = Some(decision);
        progress.turns.push(told);
        self.name_decisions(pad);
    }

    /// Gives the hand-overs the decisions that were made of them.
    fn name_decisions(&self, pad: &mut Pad) {
        let first = pad.checkpoint.before.moves;
        let told = pad.checkpoint.progress.handoffs.iter_mut().skip(first);
        for (told, decision) in told.filter(|told| told.by != "return").zip(&self.run.handoffs) {
            told.decision = Some(*decision);
        }
    }

    /// Tells of the hand-overs since it was last done.
    fn tell_moves(&self, pad: &mut Pad) {
        let moves = self.machine.moves();
        let first = pad.checkpoint.before.moves;
        let turns = pad.checkpoint.before.turns;
        let known = pad.checkpoint.progress.handoffs.len().saturating_sub(first);
        if moves.len() < known {
            // The last one came to nothing, for want of a turn.
            pad.checkpoint.progress.handoffs.truncate(first + moves.len());
        }
        for (at, moved) in moves.iter().enumerate() {
            let told = told_move(moved, turns, |member| self.who(member));
            match pad.checkpoint.progress.handoffs.get_mut(first + at) {
                None => {
                    pad.tell(&json!({
                        "type": "handoff", "from": told.from, "to": told.to, "reason": told.reason,
                        "by": told.by, "turn": told.turn,
                    }));
                    pad.checkpoint.progress.handoffs.push(told);
                }
                Some(before) if told.undone && !before.undone => {
                    before.undone = true;
                    pad.tell(&json!({
                        "type": "handoff", "from": told.to, "to": told.from, "reason": "target unavailable",
                        "by": "unavailable", "turn": told.turn,
                    }));
                }
                Some(_) => {}
            }
        }
    }

    /// Waits until the decisions are safe that stand behind what is told.
    async fn sync(&self) -> Result<(), Refusal> {
        match &self.report.receipt {
            Some(receipt) => {
                self.engine.journal.synced(receipt).await.map_err(|error| not_recordable(&error))
            }
            None => Ok(()),
        }
    }

    /// Runs the tools that a turn called. Each is marked before it is called and once it is done, so that after a
    /// crash it is known which were carried out, and which may have been.
    pub(super) async fn run_kept_tools(
        &mut self,
        kept: &Arc<Kept>,
        calls: Vec<ToolCall>,
    ) -> Result<Event, Refusal> {
        let mut done: BTreeMap<usize, (Called, bool)> = BTreeMap::new();
        let mut open = Vec::new();
        let (turn, segment) = {
            let mut pad = kept.pad().await;
            let (turn, segment) = (self.machine.turn(), pad.checkpoint.segment);
            for (at, call) in calls.iter().enumerate().filter(|(_, call)| !self.is_background(&call.name)) {
                let mark = mark_of(segment, turn, at, call);
                let known = pad.calls.get(&mark).map(|known| match known {
                    CallState::Ended(said) => said.read::<Said>().ok().map(Said::called),
                    CallState::Unknown => None,
                });
                match known {
                    Some(Some(called)) => {
                        done.insert(at, (called, false));
                    }
                    Some(None) => {
                        done.insert(at, (unknown(call), true));
                    }
                    None => {
                        pad.begins(mark);
                        open.push((at, call.clone()));
                    }
                }
            }
            pad.touch();
            kept.write(&mut pad).await.map_err(|error| not_written(&error))?;
            (turn, segment)
        };
        let most = self.run.pool.policy.timeouts().total;
        let patience = self.left_of_time(kept).map_or(most, |left| left.min(most));
        {
            let way = &*self;
            let running = open.into_iter().map(|(at, call)| async move {
                if let Some(called) = way.call_folder(&call, patience).await {
                    return (at, Some(called));
                }
                let called = match &way.tools {
                    Some(tools) => Some(tools.call(&call.name, &call.arguments, patience).await),
                    None => None,
                };
                (at, called)
            });
            let mut running = stream::iter(running).buffer_unordered(TOOLS_AT_ONCE);
            loop {
                let next = tokio::select! {
                    biased;
                    () = kept.cancel.cancelled() => return Err(halted()),
                    next = running.next() => next,
                };
                let Some((at, called)) = next else { break };
                let (Some(called), Some(call)) = (called, calls.get(at)) else { continue };
                let mut pad = kept.pad().await;
                let said = RawJson::of(&Said::of(&called)).map_err(|_no_json| halted())?;
                pad.ends(mark_of(segment, turn, at, call), said);
                kept.write(&mut pad).await.map_err(|error| not_written(&error))?;
                done.insert(at, (called, false));
            }
        }
        for (at, call) in calls.iter().enumerate() {
            // What agents do beside is not written down: who goes on with the run has none of it.
            if self.is_background(&call.name) {
                let called = Box::pin(self.call_background(call)).await;
                done.insert(at, (called, false));
            }
        }
        let dialect = self.client.dialect;
        let mut pad = kept.pad().await;
        let mut results = Vec::with_capacity(done.len());
        let turn = pad.checkpoint.before.turns + turn;
        for (at, (called, outcome_unknown)) in done {
            let Some(call) = calls.get(at) else { continue };
            let told = ToolTold {
                id: call.id.clone(),
                turn,
                name: call.name.clone(),
                server: called.server.clone(),
                tool: called.tool.clone(),
                arguments: serde_json::from_str(&call.arguments).unwrap_or(Value::Null),
                is_error: called.is_error,
                outcome_unknown,
                result: called.text.clone(),
                duration_ms: milliseconds(called.took),
            };
            let mut event = serde_json::to_value(&told).unwrap_or_default();
            if let Some(members) = event.as_object_mut() {
                members.insert("type".to_owned(), Value::from("tool_result"));
            }
            pad.tell(&event);
            pad.checkpoint.progress.tools.push(told);
            self.run.tools_run.push(tool_note(&called));
            let parts = vec![Part::text(called.text.clone(), dialect)];
            results.push((call.id.clone(), CallResult { parts, is_error: called.is_error }));
            self.report.tool(call, called);
        }
        Ok(Event::ToolsDone(results))
    }

    /// Notes how the run ended, for its caller and for who goes on with the conversation.
    async fn conclude(&mut self, kept: &Arc<Kept>, finish: FinishReason) -> Result<(), Refusal> {
        self.sync().await?;
        let mut pad = kept.pad().await;
        let mut calls = Vec::new();
        let last = self.keeping.last.take().filter(|_| self.keeping.is_shown);
        let mut messages: Vec<Message> = self.machine.conversation().to_vec();
        if let Some(last) = last {
            let mut gate = self.machine.gate();
            let is_stopped = self.keeping.stopped.is_some();
            let parts: Vec<Part> = last
                .parts
                .into_iter()
                .filter(|part| match &part.kind {
                    PartKind::ToolCall { name, .. } => gate.may_see(name) && !is_stopped,
                    _ => true,
                })
                .collect();
            calls.extend(parts.iter().filter_map(|part| match &part.kind {
                PartKind::ToolCall { id, name, arguments } => {
                    Some(PendingCall { id: id.clone(), name: name.clone(), arguments: arguments.clone() })
                }
                _ => None,
            }));
            messages.push(Message { role: Role::Assistant, name: None, parts });
        }
        let turn = pad.checkpoint.before.turns + self.machine.turn();
        for call in &calls {
            tell_call(&mut pad, turn, &call.id, &call.name, &call.arguments);
        }
        let ending = if let Some(to) = self.keeping.handed_to.take() {
            Ending::Handoff(to)
        } else if !calls.is_empty() {
            Ending::RequiresAction
        } else if let Some(why) = self.keeping.stopped.take() {
            Ending::Incomplete(why)
        } else {
            match finish {
                FinishReason::Length => Ending::Incomplete("max_output_tokens".to_owned()),
                FinishReason::ContentFilter => Ending::Incomplete("content_filter".to_owned()),
                _ => Ending::Completed,
            }
        };
        if !calls.is_empty() {
            let spoken = pad.checkpoint.progress.messages.last_mut();
            let spoken = spoken.filter(|message| message.get("turn") == Some(&Value::from(turn)));
            let listed = Value::from(calls.iter().map(as_chat).collect::<Vec<_>>());
            match spoken.and_then(Value::as_object_mut) {
                Some(message) => {
                    message.insert("tool_calls".to_owned(), listed);
                }
                None => pad.checkpoint.progress.messages.push(
                    json!({ "role": "assistant", "content": null, "turn": turn, "tool_calls": listed }),
                ),
            }
        }
        self.name_decisions(&mut pad);
        let held = self.held_now();
        let conversation = self.conversation(&messages)?;
        let context = self.context_now().cloned();
        let progress = &mut pad.checkpoint.progress;
        progress.context = context.or_else(|| progress.context.take());
        progress.calls = calls;
        progress.ending = Some(ending);
        progress.held = held.or_else(|| progress.held.take());
        progress.conversation = Some(conversation);
        pad.touch();
        Ok(())
    }

    /// The request's messages with what the run added, as a client of chat would send them.
    fn conversation(&self, added: &[Message]) -> Result<RawJson, Refusal> {
        let body = &self.client.body;
        let additions = Additions { messages: added, ..Additions::default() };
        let edits = extend_request(self.client.dialect, body, &additions)?;
        let edited = edits.into_iter().find(|(key, _)| *key == "messages").and_then(|(_, value)| value);
        let bytes =
            edited.or_else(|| body.get_bytes("messages")).unwrap_or_else(|| Bytes::from_static(b"[]"));
        let text = String::from_utf8(bytes.to_vec()).ok();
        let unreadable =
            || Refusal::failed(internal("the run's conversation cannot be written"), self.no_head());
        text.and_then(|text| RawJson::parse(text).ok()).ok_or_else(unreadable)
    }

    /// Who has the conversation when its user speaks next.
    fn held_now(&self) -> Option<HeldNote> {
        let target = self.target(self.report.later.unwrap_or_else(|| self.machine.holder()))?;
        let handed = self.report.later.is_some()
            || self.machine.moves().iter().any(|moved| !moved.undone)
            || self.basis.run.is_some();
        let agent = self.with_agent();
        let (entry, active, waiting) = match agent {
            Some(agent) => (Some(agent.entry), Some(agent.active), agent.waiting),
            None => (None, None, Vec::new()),
        };
        Some(HeldNote { target: target.to_string(), handed, entry, active, waiting })
    }

    /// Notes a failure that does not end the run without an answer.
    pub(super) async fn tell_fault(&mut self, kept: &Kept, refusal: &Refusal) {
        let fault = RunFault {
            code: refusal.code.clone().unwrap_or_else(|| "upstream_failed".to_owned()),
            message: refusal.message.clone(),
            param: refusal.param.clone(),
        };
        let mut pad = kept.pad().await;
        pad.tell(&json!({ "type": "error", "code": fault.code, "message": fault.message }));
        pad.checkpoint.progress.errors.push(fault);
        pad.touch();
    }
}

impl Said {
    fn of(called: &Called) -> Self {
        Self {
            server: called.server.clone(),
            tool: called.tool.clone(),
            is_error: called.is_error,
            text: called.text.clone(),
            took_ms: milliseconds(called.took),
            bytes: called.bytes,
        }
    }

    fn called(self) -> Called {
        Called {
            server: self.server,
            tool: self.tool,
            is_error: self.is_error,
            code: None,
            result: Value::from(self.text.as_str()),
            text: self.text,
            took: Duration::from_millis(self.took_ms),
            bytes: self.bytes,
        }
    }
}

/// The limits of what is left after earlier segments.
fn left_of(limits: Limits, before: &Spent, max_tokens: Option<u64>) -> Limits {
    let tokens = match (limits.max_tokens, max_tokens) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    Limits {
        max_turns: limits.max_turns.saturating_sub(before.turns),
        max_handoffs: limits.max_handoffs.saturating_sub(before.handoffs),
        budget: limits.budget.map(|budget| NanoUsd(budget.0.saturating_sub(before.cost.0))),
        max_tokens: tokens.map(|tokens| tokens.saturating_sub(before.tokens)),
        ..limits
    }
}

fn told_move(moved: &Move, turns: u32, who: impl Fn(usize) -> String) -> HandoffTold {
    let by = match moved.by {
        By::Model => "model",
        By::Rule => "rule",
        By::Forced => "forced",
        By::Return => "return",
    };
    HandoffTold {
        from: who(moved.from),
        to: who(moved.to),
        by: by.to_owned(),
        reason: moved.reason.clone(),
        turn: turns + moved.turn,
        decision: None,
        undone: moved.undone,
    }
}

fn tell_call(pad: &mut Pad, turn: u32, id: &str, name: &str, arguments: &str) {
    pad.tell(&json!({ "type": "tool_call_start", "turn": turn, "id": id, "name": name }));
    pad.tell(
        &json!({ "type": "tool_call_done", "turn": turn, "id": id, "name": name, "arguments": arguments }),
    );
}

fn as_chat(call: &PendingCall) -> Value {
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": call.arguments } })
}

/// What a call is known by in its run, whatever id its model gave it.
fn mark_of(segment: u32, turn: u32, at: usize, call: &ToolCall) -> String {
    format!("{segment}/{turn}/{at}/{}", call.id)
}

fn unknown(call: &ToolCall) -> Called {
    Called {
        server: String::new(),
        tool: call.name.clone(),
        is_error: true,
        code: None,
        text: OUTCOME_UNKNOWN.to_owned(),
        result: Value::from(OUTCOME_UNKNOWN),
        took: Duration::ZERO,
        bytes: 0,
    }
}

fn told_called(told: &ToolTold) -> Called {
    Called {
        server: told.server.clone(),
        tool: told.tool.clone(),
        is_error: told.is_error,
        code: None,
        text: told.result.clone(),
        result: Value::from(told.result.as_str()),
        took: Duration::from_millis(told.duration_ms),
        bytes: told.result.len(),
    }
}

fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().concat()
}

/// The run stops where it is: who holds it knows why.
fn halted() -> Refusal {
    let mut refusal = Refusal::new(RefusalKind::Unmet, "the run was stopped");
    refusal.code = Some("stopped".to_owned());
    refusal
}

fn not_written(error: &StepError) -> Refusal {
    tracing::warn!(error = %error, "a step of a run was not written, and the run stops here");
    let mut refusal = Refusal::new(RefusalKind::NotRecordable, "the run cannot be written down any further");
    refusal.code = Some("run_not_written".to_owned());
    refusal
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
