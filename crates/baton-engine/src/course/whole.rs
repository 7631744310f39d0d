//! A run whose answer is given whole.

use baton_model::{Dialect, PartKind, RawJson, Target};

use super::{
    AnswerContext, Body, Bytes, Effect, Event, FinishReason, JoinEnd, Opened, Refusal, Reply, ReplyBody,
    Stage, TurnAnswer, Way, WholeTurn, answer_id, created, internal, join_answers, not_recordable, repeated,
    turn_end,
};
use crate::{ComingAnswer, Head};

/// The turns that are done.
#[derive(Default)]
struct Done {
    turns: Vec<WholeTurn>,
    /// Of the last one.
    head: Option<Head>,
    target: Option<Target>,
}

impl Way {
    /// Answers once all turns are done. Where more than one turn is needed, that can take long, so the client
    /// is told as soon as the first is there that an answer is coming.
    pub(super) async fn whole(mut self) -> Result<Reply, Refusal> {
        let mut done = Done::default();
        let event = match self.advance(Event::Begin).await {
            Stage::Turn(opened) => self.ended(*opened, &mut done)?,
            Stage::End(_) => return Err(self.without_a_turn()),
            Stage::Failed(refusal) => return Err(*refusal),
        };
        let effect = self.machine.step(event);
        let head = done.head.clone().unwrap_or_else(|| self.no_head());
        if matches!(effect, Effect::Finish(_) | Effect::Stop(_)) {
            return match self.follow(effect).await {
                Stage::End(finish) => self.reply(done, finish).await,
                Stage::Turn(_) => Err(Refusal::failed(internal("a turn after the end"), head)),
                Stage::Failed(refusal) => Err(*refusal),
            };
        }
        let rest = async move { self.rest(done, effect).await.map_err(Box::new) };
        Ok(Reply { head, body: ReplyBody::Coming(ComingAnswer::new(rest)) })
    }

    async fn rest(mut self, mut done: Done, effect: Effect) -> Result<(Head, Bytes), Refusal> {
        let mut stage = self.follow(effect).await;
        loop {
            let event = match stage {
                Stage::Turn(opened) => self.ended(*opened, &mut done)?,
                Stage::End(finish) => return self.answer(done, finish).await,
                Stage::Failed(refusal) => return Err(*refusal),
            };
            stage = self.advance(event).await;
        }
    }

    /// Notes a turn that is done.
    fn ended(&mut self, opened: Opened, done: &mut Done) -> Result<Event, Refusal> {
        let Opened { head, target, body: Body::Turn(turn), receipt } = opened else {
            return Err(Refusal::failed(internal("a turn in pieces"), self.no_head()));
        };
        self.report.turn(&self.machine, &target, &turn.ended, receipt);
        self.report.heard(&turn.answer.parts);
        let event = Event::Ended(turn_end(&target, &turn, turn.answer.parts.clone()));
        done.head = Some(head);
        done.target = Some(target);
        done.turns.push(*turn);
        Ok(event)
    }

    async fn reply(self, done: Done, finish: FinishReason) -> Result<Reply, Refusal> {
        let (head, bytes) = self.answer(done, finish).await?;
        Ok(Reply { head, body: ReplyBody::Whole(bytes) })
    }

    async fn answer(mut self, done: Done, finish: FinishReason) -> Result<(Head, Bytes), Refusal> {
        let Done { turns, head: Some(head), target: Some(target) } = done else {
            // A guard that lets no turn happen at all.
            return Err(Refusal::failed(internal("the run ended before its first turn"), self.no_head()));
        };
        let hidden = self.hidden(&turns);
        let shown = turns.last().map(|turn| turn.answer.parts.as_slice()).unwrap_or_default();
        self.report.emitted(shown, hidden.last().map(Vec::as_slice).unwrap_or_default());
        self.remember();
        let name = target.to_string();
        let extras = self.report.extras(&self.run, &self.machine, &self.legs, &head);
        let extras: Vec<(&str, RawJson)> = extras.iter().map(|(key, value)| (*key, value.clone())).collect();
        let ask = &self.client;
        let end = JoinEnd {
            finish,
            stop_sequence: turns.last().and_then(|turn| turn.answer.stop_sequence.as_deref()),
            usage: Some(self.report.usage(&self.machine)).filter(|_| self.report.knows_usage()),
            extras: &extras,
        };
        let request = repeated(ask.dialect, &ask.body);
        let context = AnswerContext { model: &name, created: created(ask.request), request };
        let joined: Vec<TurnAnswer<'_>> = turns
            .iter()
            .zip(&hidden)
            .map(|(turn, hidden)| TurnAnswer {
                dialect: turn.dialect,
                raw: &turn.raw,
                answer: &turn.answer,
                hidden,
            })
            .collect();
        // The id of the first turn that the client sees, as a stream has it.
        let first = turns.iter().zip(&hidden).find(|(turn, hidden)| shows(turn, hidden));
        let first = first.map(|(turn, _)| turn).or(turns.last());
        let id = first
            .filter(|_| ask.dialect != Dialect::OpenaiResponses)
            .filter(|turn| turn.dialect == ask.dialect && !turn.answer.id.is_empty())
            .map_or_else(|| answer_id(ask.dialect, ask.request), |turn| turn.answer.id.clone());
        let bytes = join_answers(ask.dialect, self.legs.lane, &joined, &end, &context, &id)
            .map_err(|fault| Refusal::failed(fault, head.clone()))?;
        if let Some(receipt) = self.report.receipt {
            self.engine.journal.synced(&receipt).await.map_err(|error| not_recordable(&error))?;
        }
        let head = Head { handoffs: self.run.handoffs.len(), ..head };
        Ok((head, Bytes::from(bytes)))
    }

    /// Of each turn, the ids of the calls that the client does not see: all where the run went on after it, and
    /// of the last one those that are not the client's.
    fn hidden(&self, turns: &[WholeTurn]) -> Vec<Vec<String>> {
        let last = turns.len().saturating_sub(1);
        let of = |(at, turn): (usize, &WholeTurn)| {
            let mut gate = self.machine.gate();
            let ids = turn.answer.parts.iter().filter_map(|part| match &part.kind {
                PartKind::ToolCall { id, name, .. } if at < last || !gate.may_see(name) => Some(id.clone()),
                _ => None,
            });
            ids.collect()
        };
        turns.iter().enumerate().map(of).collect()
    }
}

/// Whether a client sees anything of a turn.
fn shows(turn: &WholeTurn, hidden: &[String]) -> bool {
    turn.answer.parts.iter().any(|part| match &part.kind {
        PartKind::ToolCall { id, .. } => !hidden.contains(id),
        PartKind::Text(text) => !text.is_empty(),
        _ => true,
    })
}
