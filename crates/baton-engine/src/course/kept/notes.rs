//! What the caller of a run is told: turns, hand-overs, calls, and how it ended.
//!
//! - **Invariant:** an event and what it tells of are written in one step.

use std::sync::Arc;

use baton_dialect::{Additions, extend_request};
use baton_model::{FinishReason, Message, NanoUsd, Part, PartKind, RawJson, Role};
use baton_run::{By, Effect, Move, TurnEnd};
use bytes::Bytes;
use serde_json::{Value, json};

use super::super::Way;
use super::{Seen, text_of};
use crate::Refusal;
use crate::engine::internal;
use crate::runs::{Ending, HandoffTold, HeldNote, Kept, Pad, PendingCall, RunFault, TurnTold};

impl Way {
    /// Tells of a turn: who took it, what was said, what was called, what it cost.
    pub(super) fn tell_turn(&self, pad: &mut Pad, seen: &Seen, end: &TurnEnd, effect: &Effect) {
        let Some(decision) = self.keeping.decision else { return };
        let model = self.report.last_target().map(|target| target.to_string()).unwrap_or_default();
        let turn = pad.checkpoint.before.turns + seen.turn;
        let told = TurnTold {
            turn,
            step: None,
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
    pub(super) fn name_decisions(&self, pad: &mut Pad) {
        let first = pad.checkpoint.before.moves;
        let told = pad.checkpoint.progress.handoffs.iter_mut().skip(first);
        for (told, decision) in told.filter(|told| told.by != "return").zip(&self.run.handoffs) {
            told.decision = Some(*decision);
        }
    }

    /// Tells of the hand-overs since it was last done.
    pub(super) fn tell_moves(&self, pad: &mut Pad) {
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

    /// Notes how the run ended, for its caller and for who goes on with the conversation.
    pub(super) async fn conclude(&mut self, kept: &Arc<Kept>, finish: FinishReason) -> Result<(), Refusal> {
        self.sync().await?;
        let mut pad = kept.pad().await;
        if self.keeping.awaits_word {
            // The turn is not over: it goes on with its calls.
            pad.checkpoint.progress.ending = Some(Ending::RequiresAction);
            pad.touch();
            return Ok(());
        }
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
    pub(in crate::course) async fn tell_fault(&mut self, kept: &Kept, refusal: &Refusal) {
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
        step: None,
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
