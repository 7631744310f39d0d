//! Does what agents want done before a hand-over and at their end.

use std::sync::Arc;

use baton_audit::DecisionKind;
use baton_model::{Message, PartKind, Role};
use baton_policy::{Reason, ReasonCode, ReasonSource};
use baton_run::Event;
use serde_json::{Value, json};

use super::{Agent, Agents, Station, Way};
use crate::steps::{Doing, Done, Moment, Point, Step, variables};
use crate::{Ask, Refusal};

impl Agents {
    /// The request with what conditions see of the context now.
    pub(super) fn with_variables(&self, base: Arc<Ask>) -> Arc<Ask> {
        if base.context == self.context {
            return base;
        }
        let mut seen = base.variables.clone();
        seen.retain(|name, _| !base.context.contains_key(name));
        seen.extend(variables(&self.context));
        Arc::new(Ask { variables: seen, context: self.context.clone(), ..(*base).clone() })
    }

    /// Takes an agent out of the present conversation.
    pub(super) fn take_out(&mut self, at: usize) -> Option<Station> {
        self.scenes.last_mut()?.stations.remove(&at)
    }

    /// Those whose texts or targets are others now work anew when it is their turn again.
    fn forget_stale(&mut self, active: usize) {
        let crew = Arc::clone(&self.crew);
        let is_stale = |at: usize| crew.agents.get(at).is_some_and(Agent::looks_at_context);
        let last = self.scenes.len().saturating_sub(1);
        for (number, scene) in self.scenes.iter_mut().enumerate() {
            scene.stations.retain(|at, _| number == last && *at == active || !is_stale(*at));
        }
    }
}

impl Way {
    /// Whether a hand-over to this agent has steps before it. One that is to take effect with the next request
    /// does not happen then: they could not forbid it any more.
    pub(in crate::course) fn has_steps_before(&self, to: usize) -> bool {
        let agent = self.agents.as_ref().and_then(|agents| agents.agent(to));
        agent.is_some_and(|agent| !agent.before_handoff.is_empty())
    }

    /// Does the steps before a hand-over to this agent; none where it has none.
    pub(super) async fn before_handoff(&mut self, to: usize) -> Option<Done> {
        let crew = Arc::clone(&self.agents.as_ref()?.crew);
        let agent = crew.agents.get(to).filter(|agent| !agent.before_handoff.is_empty())?;
        let from = crew.agents.get(self.machine.active()).map_or("", |agent| agent.name.as_str());
        let reason = self.machine.asked_because();
        let moment = Moment { from, to: &agent.name, reason: reason.as_deref(), ..self.moment(agent) };
        Some(self.do_steps(&agent.before_handoff, moment).await)
    }

    /// Does the steps at the end of an agent that has given this answer.
    pub(in crate::course) async fn at_end(&mut self, member: usize, text: &str) -> Event {
        let Some(crew) = self.agents.as_ref().map(|agents| Arc::clone(&agents.crew)) else {
            return Event::Noted;
        };
        if let Some(agent) = crew.agents.get(member) {
            let moment = Moment { point: Point::OnEnd, answer: Some(text), ..self.moment(agent) };
            let _done = self.do_steps(&agent.on_end, moment).await;
        }
        Event::Noted
    }

    fn moment<'a>(&self, agent: &'a Agent) -> Moment<'a> {
        Moment {
            point: Point::BeforeHandoff,
            agent: &agent.name,
            run: self.run.id.to_string(),
            from: &agent.name,
            to: "",
            reason: None,
            answer: None,
            messages: None,
            about: self.engine.outlook.context(&self.run.ask),
            until: self.run.deadline,
        }
    }

    async fn do_steps(&mut self, steps: &[Step], moment: Moment<'_>) -> Done {
        let wants = steps.iter().any(|step| step.action.wants_conversation());
        let messages = wants.then(|| self.told());
        let moment = Moment { messages, ..moment };
        let engine = Arc::clone(&self.engine);
        let Some(agents) = &mut self.agents else { return Done::default() };
        let doing = Doing::new(moment, &mut agents.context, &engine.tools, &mut agents.step_tools);
        let mut done = doing.run(steps).await;
        self.run.steps_run.append(&mut done.notes);
        if done.changed {
            self.context_changed();
        }
        done
    }

    /// The conversation as a webhook is told it: who said what, without anybody's instructions.
    fn told(&self) -> Value {
        let Ok(request) = self.run.converted.request(&self.run.ask) else { return json!([]) };
        let added = self.machine.added(usize::MAX);
        let said = request.messages.iter().chain(&added).filter_map(|message| {
            let role = match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::System | Role::Developer | Role::Tool => return None,
            };
            let text = text_of(message);
            (!text.is_empty()).then(|| json!({ "role": role, "content": text }))
        });
        Value::Array(said.collect())
    }

    /// Conditions and templates see the new context from the next transfer on.
    pub(super) fn context_changed(&mut self) {
        let active = self.machine.active();
        let engine = Arc::clone(&self.engine);
        let client = Arc::clone(&self.client);
        let Some(agents) = &mut self.agents else { return };
        agents.forget_stale(active);
        let ask = agents.with_variables(client);
        let team = agents.crew.team_for(&ask, engine.outlook.context(&ask), &agents.context, agents.offered);
        self.machine.regroup(team);
    }

    /// Records what was done at the end of the last agent, which no decision follows.
    pub(in crate::course) fn note_end(&mut self) -> Result<(), Refusal> {
        if let Some(agents) = self.agents.as_ref().filter(|agents| !agents.context.is_empty()) {
            self.report.context = Some(agents.context.clone());
        }
        self.end_background()?;
        if self.run.steps_run.is_empty() {
            return Ok(());
        }
        let active = self.machine.active();
        let candidate = self.candidate(active);
        let name = self.machine.terms().members.name(active);
        let text = format!("agent `{name}` has ended, and its steps are done");
        let reason = Reason { code: ReasonCode::Ended, text, source: ReasonSource::Policy };
        let target = self.report.last_target();
        self.record(DecisionKind::Stay, candidate.as_ref(), target, reason)
    }
}

fn text_of(message: &Message) -> String {
    let texts = message.parts.iter().filter_map(|part| match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}
