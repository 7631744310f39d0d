//! A client's request on its way: what was decided so far, and what the next decision carries.

use std::sync::Arc;
use std::time::Duration;

use baton_audit::{Decision, DecisionKind, HandoffNote, Labels, Shadow, StepNote, ToolNote};
use baton_dialect::{Marks, Unfit};
use baton_model::{DecisionId, RunId, Target};
use baton_policy::{Candidate, Inputs, PLANNER_VERSION, Reason, Row};
use tokio::time::Instant;

use crate::capture::Wanted;
use crate::consider::{Considered, credentials, keys};
use crate::health::{Form, Keys, Picked, Probe};
use crate::leg::Leg;
use crate::prepare::Converted;
use crate::sticky::{Conversation, Key};
use crate::{Ask, Engine, Head, Pool, Settings};

/// One request on its way.
pub(crate) struct Run {
    pub(crate) ask: Arc<Ask>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: Pool,
    /// A cheap estimate from the bytes.
    pub(crate) input_tokens: u64,
    pub(crate) converted: Converted,
    pub(crate) id: RunId,
    /// When everything before the answer's content must be done.
    pub(crate) deadline: Instant,
    pub(crate) attempts: u32,
    pub(crate) parent: Option<DecisionId>,
    /// The present turn and hop, counted from 1.
    pub(crate) turn: u32,
    pub(crate) hop: u32,
    /// The hand-overs so far, by their decisions.
    pub(crate) handoffs: Vec<DecisionId>,
    /// The credentials of the present target that were tried.
    pub(crate) tried: Vec<usize>,
    /// What rules set and the client's dialect has no word for, and what of the client's wishes the
    /// policy does not follow.
    pub(crate) wordless: Vec<String>,
    /// The rights to try targets that may be well again.
    pub(crate) probes: Vec<(Target, Probe)>,
    /// What the first decision of a plan carries; taken by it.
    pub(crate) plan: Option<(Box<Inputs>, Vec<Row>)>,
    /// What a policy on trial came to; taken by the same decision.
    pub(crate) shadow: Option<Box<Shadow>>,
    /// What the present turn of a longer run adds to the request; none where one answer is all.
    pub(crate) leg: Option<Box<Leg>>,
    /// Where the conversation can be found again, if it may change hands.
    pub(crate) marks: Option<Marks>,
    /// The tools that were run since the last decision.
    pub(crate) tools_run: Vec<ToolNote>,
    /// The steps of agents that were done since the last decision.
    pub(crate) steps_run: Vec<StepNote>,
    /// Why no hand-over is offered, where there could be one.
    pub(crate) disabled: Option<&'static str>,
    /// Whether the conversation was handed over to where it is.
    pub(crate) handed: bool,
    /// Where what is asked and answered goes, if anybody wants it.
    pub(crate) capture: Option<Wanted>,
    /// The answer of the present target that did not follow its schema; its next attempt is told of it.
    pub(crate) unfit: Option<Box<Unfit>>,
    /// Whether a decision was made.
    begun: bool,
}

/// The choice that an attempt is made under.
pub(crate) struct Choice {
    pub(crate) kind: DecisionKind,
    pub(crate) candidate: Candidate,
    pub(crate) from: Option<Target>,
    pub(crate) reason: Reason,
    /// Which of the provider's credentials; none where the client brings one. Taken by the attempt.
    pub(crate) credential: Option<Picked>,
}

impl Run {
    /// A request that was considered and not yet planned.
    pub(crate) fn new(engine: &Engine, ask: Arc<Ask>, considered: Considered) -> Self {
        let Considered { settings, pool, inputs, converted, probes, marks, .. } = considered;
        let wordless = pool.ignored(&ask).collect();
        let deadline = Instant::now() + pool.policy.timeouts().total;
        let capture = engine.capture.as_ref();
        let capture = capture.and_then(|to| Wanted::by(to, &ask, &pool.policy.reference.name));
        let kept = ask.kept.as_ref().map(|kept| kept.run());
        let run = kept.or_else(|| ask.within.as_ref().map(|within| within.run()));
        let id = run.unwrap_or_else(|| engine.ids.run());
        Self {
            ask,
            settings,
            pool,
            input_tokens: inputs.features.input_tokens,
            converted,
            id,
            deadline,
            attempts: 0,
            parent: None,
            turn: 1,
            hop: 1,
            handoffs: Vec::new(),
            tried: Vec::new(),
            wordless,
            probes,
            plan: Some((inputs, Vec::new())),
            shadow: None,
            leg: None,
            marks,
            tools_run: Vec::new(),
            steps_run: Vec::new(),
            disabled: None,
            handed: false,
            capture,
            unfit: None,
            begun: false,
        }
    }

    /// Goes on from these decisions, which another process made.
    pub(crate) fn go_on(&mut self, parent: Option<DecisionId>, attempts: u32, handoffs: Vec<DecisionId>) {
        self.begun = parent.is_some();
        self.parent = parent;
        self.attempts = attempts;
        self.handoffs = handoffs;
    }

    /// What is left until the total deadline.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the client brings its own key for the target's provider.
    pub(crate) fn brings_key(&self, target: &Target) -> bool {
        self.ask.byok.as_ref().is_some_and(|byok| byok.provider == target.provider)
    }

    /// Whose key goes to the target.
    pub(crate) fn keys(&self, target: &Target) -> Keys {
        if self.brings_key(target) {
            Keys::Client
        } else {
            Keys::Own(credentials(&self.settings, &target.provider))
        }
    }

    /// In which form the answer comes.
    pub(crate) fn form(&self) -> Form {
        if self.ask.stream { Form::Stream } else { Form::Whole }
    }

    /// Whose conversation it is, where the policy looks at where conversations are.
    pub(crate) fn conversation(&self) -> Option<Conversation> {
        // A longer run notes at its end where the conversation is.
        if self.leg.is_some() {
            return None;
        }
        let keys = match &self.marks {
            Some(marks) => self.keys_from_now_on(marks),
            None => {
                let wanted = self.pool.policy.needs(&self.ask.wishes).conversation;
                self.ask.labels.session.iter().filter(|_| wanted).cloned().map(Key::Session).collect()
            }
        };
        let principal = self.ask.caller.principal.clone();
        (!keys.is_empty()).then_some(Conversation { principal, keys, handed: self.handed })
    }

    /// By what the conversation is known when the client goes on with it.
    pub(crate) fn keys_from_now_on(&self, marks: &Marks) -> Vec<Key> {
        let marks = Marks { answered: Vec::new(), before: marks.now, now: None };
        keys(&self.ask, &marks).collect()
    }

    /// The right to try a target that may be well again, if this request has it.
    pub(crate) fn take_probe(&mut self, target: &Target) -> Option<Probe> {
        let at = self.probes.iter().position(|(of, _)| of == target)?;
        Some(self.probes.swap_remove(at).1)
    }

    /// A request of the gateway's own within this one.
    pub(crate) fn beside(&self, ask: Ask, within: Duration) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            pool: Pool { candidates: Vec::new(), named_many: false, ..self.pool.clone() },
            input_tokens: crate::features::estimate(ask.body.body().len()),
            ask: Arc::new(ask),
            converted: Converted::default(),
            id: self.id,
            deadline: self.deadline.min(Instant::now() + within),
            attempts: 0,
            parent: self.parent,
            turn: self.turn,
            hop: self.hop,
            handoffs: self.handoffs.clone(),
            tried: Vec::new(),
            wordless: Vec::new(),
            probes: Vec::new(),
            plan: None,
            shadow: None,
            leg: None,
            marks: None,
            tools_run: Vec::new(),
            steps_run: Vec::new(),
            disabled: None,
            handed: false,
            capture: None,
            unfit: None,
            begun: true,
        }
    }

    /// The next decision of the run. The first one of each plan carries inputs and table.
    pub(crate) fn decision(
        &mut self,
        engine: &Engine,
        kind: DecisionKind,
        to: Option<&Candidate>,
        from: Option<Target>,
        reason: Reason,
    ) -> Decision {
        let (inputs, table) =
            self.plan.take().map_or((None, Vec::new()), |(inputs, table)| (Some(inputs), table));
        // What the client's own loop did was before this request.
        let first = kind != DecisionKind::Observe && !std::mem::replace(&mut self.begun, true);
        let id = engine.ids.decision();
        if let Some(within) = &self.ask.within {
            within.note(id);
        }
        if kind == DecisionKind::Handoff {
            self.handoffs.push(id);
        }
        Decision {
            id,
            run: self.id,
            request: self.ask.request,
            parent: self.parent.replace(id),
            at_ms: engine.ids.now_ms(),
            turn: self.turn,
            hop: self.hop,
            kind,
            principal: self.ask.caller.principal.clone(),
            surface: self.ask.surface.to_owned(),
            requested: self
                .ask
                .models
                .names
                .iter()
                .map(|name| crate::ledger::cut(name, 256).to_owned())
                .collect(),
            from,
            to: to.map(|candidate| candidate.target.clone()),
            to_model: to.map(|candidate| candidate.model.clone()),
            attempt: to.is_some(),
            reason,
            planner: PLANNER_VERSION,
            config: self.settings.version.clone(),
            inputs,
            table,
            shadow: if first { self.shadow.take() } else { None },
            handoff: if first {
                self.disabled.map(|why| {
                    Box::new(HandoffNote { disabled: Some(why.to_owned()), ..HandoffNote::default() })
                })
            } else {
                None
            },
            tools: std::mem::take(&mut self.tools_run),
            steps: std::mem::take(&mut self.steps_run),
            dropped_parameters: Vec::new(),
            ignored_parameters: if first {
                self.ask.ignored.iter().cloned().chain(self.wordless.drain(..)).collect()
            } else if kind == DecisionKind::Observe {
                Vec::new()
            } else {
                std::mem::take(&mut self.wordless)
            },
            labels: if first { self.ask.labels.clone() } else { Labels::default() },
        }
    }

    /// What the response headers say under this decision.
    pub(crate) fn head(&self, decision: &Decision, target: Option<&Target>) -> Head {
        let policy = &self.pool.policy.reference;
        Head {
            run: self.id,
            decision: decision.id,
            target: target.map(ToString::to_string).unwrap_or_default(),
            provider: target.map(|target| target.provider.to_string()).unwrap_or_default(),
            policy: format!("{}@{}", policy.name, policy.version),
            attempts: self.attempts,
            handoffs: self.handoffs.len(),
            reason: decision.reason.code.as_str(),
            status: 200,
            upstream: http::HeaderMap::new(),
            table: Vec::new(),
        }
    }
}
