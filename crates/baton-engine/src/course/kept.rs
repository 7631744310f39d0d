//! A run that is written down as it goes: after a crash, another process goes on with it.
//!
//! What happened is told to the machine, and then written with what follows from it for the caller, before the
//! next effect begins. A run that was begun elsewhere is played to where it was; the first effect without an
//! event is carried out, a model's answer that was not written is asked for again.
//!
//! - Start with [`Way::kept`]. `calls.rs` makes the calls of tools, `notes.rs` writes what the caller is told.
//! - **Invariant:** of what a caller is told, the decisions are synced.
//! - **Never here:** leases, and what becomes of a run at its end.

use std::sync::Arc;
use std::time::Duration;

use baton_audit::DecisionKind;
use baton_model::{NanoUsd, Part, PartKind};
use baton_policy::{Reason, ReasonCode, ReasonSource};
use baton_run::{Cause, Effect, Entry, Event, Limits, Start, Tape, ToolCall, TurnEnd};
use baton_state::runs::StepError;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::calls::told_called;
use super::{Body, FinishReason, Purse, Stage, Way, tool_note, turn_end};
use crate::attempt::{NoAnswer, Opened};
use crate::engine::{internal, not_recordable};
use crate::run::Choice;
use crate::runs::{Kept, Pad, Spent, ToolTold};
use crate::{Refusal, RefusalKind, Reply, ReplyBody};

mod calls;
mod notes;

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
    /// What its turns are taken of, where others draw on the same.
    pub(super) purse: Option<Purse>,
    /// Whether calls wait for a word of the caller's.
    awaits_word: bool,
}

/// Where a turn stands in its run.
struct Seen {
    turn: u32,
    hop: u32,
    agent: Option<String>,
    aside: bool,
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
        checkpoint.progress.ending = None;
        if self.agents.is_none() {
            self.keeping.purse = kept.purse();
        }
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
        self.resume_purse();
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

    /// Waits until the decisions are safe that stand behind what is told.
    pub(super) async fn sync(&self) -> Result<(), Refusal> {
        match &self.report.receipt {
            Some(receipt) => {
                self.engine.journal.synced(receipt).await.map_err(|error| not_recordable(&error))
            }
            None => Ok(()),
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
