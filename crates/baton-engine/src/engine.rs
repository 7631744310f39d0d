//! Drives one request from its plan to its answer, decision by decision.

use std::sync::Arc;

use arc_swap::ArcSwap;
use baton_audit::{Decision, DecisionKind, IdSource, Journal, JournalError, Record, Shadow};
use baton_model::{DecisionId, Fault, FaultKind, RunId, Target};
use baton_policy::{
    Candidate, History, Inputs, Next, PLANNER_VERSION, Plan, Planned, Reason, ReasonCode, ReasonSource,
    Rejection, Row, Stage, Verdict, next, plan, reaction,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Failed, Failure, attempt};
use crate::consider::{Considered, Outlook, Purpose, credentials};
use crate::effects::changed;
use crate::health::{Form, HealthBoard, Keys, Picked, Probe};
use crate::prepare::Converted;
use crate::versions::{StoredPolicies, beside};
use crate::{Ask, Head, Pool, Refusal, RefusalKind, Reply, Settings, Unresolved};

/// A sync that is late by more than this stops new requests: an answer could not be recorded in time.
const SYNC_LATE_MS: u64 = 500;

/// Carries out requests. One for the process; configurations come and go inside.
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) outlook: Outlook,
    pub(crate) ids: IdSource,
    pub(crate) stopping: CancellationToken,
}

/// One request on its way.
pub(crate) struct Run<'a> {
    pub(crate) ask: &'a Ask,
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
    /// The credentials of the present target that were tried.
    tried: Vec<usize>,
    /// What rules set and the client's dialect has no word for, and what of the client's wishes the
    /// policy does not follow.
    wordless: Vec<String>,
    /// The rights to try targets that may be well again.
    probes: Vec<(Target, Probe)>,
    /// What the first decision of the plan carries; taken by it.
    plan: Option<(Box<Inputs>, Vec<Row>)>,
    /// What a policy on trial came to; taken by the same decision.
    shadow: Option<Box<Shadow>>,
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

impl Engine {
    /// An engine that writes to this journal. When `stopping` is cancelled, open streams end with
    /// an error event and their outcome.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        journal: Arc<Journal>,
        ids: IdSource,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            settings: ArcSwap::new(settings),
            journal,
            outlook: Outlook { ids: ids.clone(), ..Outlook::default() },
            ids,
            stopping,
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Puts a configuration in force for requests that begin from now on.
    pub fn apply(&self, settings: Arc<Settings>) {
        self.settings.store(settings);
    }

    /// Lets these policies of the store be named by requests that begin from now on.
    pub fn apply_stored(&self, stored: StoredPolicies) {
        self.outlook.stored.store(Arc::new(stored));
    }

    /// How every target is.
    #[must_use]
    pub fn health(&self) -> &HealthBoard {
        &self.outlook.health
    }

    /// Makes ids for surfaces.
    #[must_use]
    pub const fn ids(&self) -> &IdSource {
        &self.ids
    }

    /// Whether a new request can be recorded; the reason when not.
    ///
    /// # Errors
    /// A refusal of the kind `NotRecordable`.
    pub fn admit(&self) -> Result<(), Refusal> {
        let age = self.journal.sync_age();
        if age.as_millis() > u128::from(SYNC_LATE_MS) {
            let mut refusal = Refusal::new(
                RefusalKind::NotRecordable,
                "the audit log is late, so no request is taken for a moment",
            );
            refusal.code = Some("audit_late".to_owned());
            refusal.retry_after = Some(std::time::Duration::from_secs(1));
            return Err(refusal);
        }
        Ok(())
    }

    /// Answers a request.
    ///
    /// # Errors
    /// [`Refusal`], with the decision behind it where one was made.
    pub async fn answer(&self, ask: &Ask) -> Result<Reply, Refusal> {
        self.admit()?;
        let Considered { settings, pool, mut inputs, converted, probes, shadow } =
            self.outlook.consider(self.settings(), ask, Purpose::Answer)?;
        let wordless = pool.ignored(ask).collect();
        let deadline = Instant::now() + pool.policy.timeouts().total;
        let mut run = Run {
            ask,
            settings,
            pool,
            input_tokens: inputs.features.input_tokens,
            converted,
            id: self.ids.run(),
            deadline,
            attempts: 0,
            parent: None,
            tried: Vec::new(),
            wordless,
            probes,
            plan: None,
            shadow: None,
        };
        let Plan { order, table, reason, rule, stays, last_resort } = loop {
            match plan(&run.pool.policy, run.settings.catalog.knowledge(), &inputs) {
                Planned::Plan(plan) => break plan,
                // Asked once: with an answer among the inputs, the next call gives a plan.
                Planned::Ask(question) => {
                    inputs.judged = Some(self.ask_judge(&mut run, &inputs, &question).await);
                }
            }
        };
        let candidates: Vec<Candidate> = order
            .iter()
            .filter_map(|at| inputs.candidates.get(usize::try_from(*at).ok()?).cloned())
            .collect();
        run.shadow = shadow.map(|trial| {
            let knowledge = run.settings.catalog.knowledge();
            Box::new(beside(&trial, &run.pool.policy, knowledge, ask, &inputs, candidates.first()))
        });
        run.plan = Some((inputs, table));
        let policy = Arc::clone(&run.pool.policy);
        let rule = rule.and_then(|at| policy.document.rules.get(usize::try_from(at).ok()?));
        let effects = rule.map(|rule| changed(ask, &rule.then)).transpose();
        let effects = effects.map_err(baton_dialect::DecodeError::from)?.flatten();
        if let Some((ask, wordless)) = &effects {
            run.ask = ask;
            run.wordless.extend(wordless.iter().cloned());
            run.converted = Converted::default();
        }
        let mut candidates = candidates.into_iter();
        let Some(candidate) = candidates.next() else {
            return Err(self.refuse(&mut run, reason).await);
        };
        // Those who are tried later ask again then.
        run.probes.retain(|(target, _)| *target == candidate.target);
        let kind = if stays { DecisionKind::Stay } else { DecisionKind::Select };
        let credential = self.first_credential(&run, &candidate.target);
        let choice = Choice { kind, candidate, from: None, reason, credential };
        let retries = if last_resort { 0 } else { policy.document.fallback.retries };
        self.drive(&mut run, choice, candidates, retries).await
    }

    async fn drive(
        &self,
        run: &mut Run<'_>,
        mut choice: Choice,
        mut others: std::vec::IntoIter<Candidate>,
        retries: u32,
    ) -> Result<Reply, Refusal> {
        let mut attempts_on_target = 0;
        loop {
            attempts_on_target += 1;
            run.tried.extend(choice.credential.as_ref().map(|picked| picked.index));
            let failed = match attempt(self, run, &mut choice).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Refused(refusal)) => return Err(*refusal),
                Err(Failure::Failed(failed)) => failed,
            };
            let target = choice.candidate.target.clone();
            let wants_other = reaction(failed.fault.kind).other_credential;
            let mut credential = wants_other.then(|| self.another_credential(run, &target)).flatten();
            let history = History {
                attempts_on_target,
                retries,
                credentials_left: credential.is_some(),
                others_left: others.len() > 0,
                budget: true,
                random: rand::random(),
                time_left: run.time_left(),
            };
            let after = |history: &History| next(failed.fault.kind, failed.fault.retry_after, history);
            let next = match after(&history) {
                Next::Retry { .. } if !self.outlook.health.claim_retry(&target.provider) => {
                    after(&History { budget: false, ..history })
                }
                next => next,
            };
            let next = match next {
                Next::Retry { after } => {
                    tokio::time::sleep(after).await;
                    // Others may have found meanwhile that it is down.
                    if others.len() > 0 && !self.is_up(run, &target) { Next::Fallback } else { next }
                }
                Next::Credential | Next::Fallback | Next::Stop => next,
            };
            let again = |choice: Choice, credential: Option<Picked>| Choice {
                kind: DecisionKind::Retry,
                from: Some(target.clone()),
                reason: retry_reason(&choice.candidate, &failed.fault),
                credential,
                candidate: choice.candidate,
            };
            choice = match next {
                Next::Retry { .. } => {
                    run.tried.clear();
                    let credential = self.first_credential(run, &target);
                    again(choice, credential)
                }
                Next::Credential => again(choice, credential.take()),
                Next::Fallback => match self.next_candidate(run, &mut others) {
                    Some(candidate) => {
                        attempts_on_target = 0;
                        run.tried.clear();
                        Choice {
                            kind: DecisionKind::Fallback,
                            reason: Reason::after_fault(
                                ReasonCode::FallbackAfterFault,
                                &target.to_string(),
                                &candidate.target.to_string(),
                                failed.fault.kind,
                            ),
                            from: Some(target),
                            credential: self.first_credential(run, &candidate.target),
                            candidate,
                        }
                    }
                    None => return Err(self.stop(run, &target, *failed)),
                },
                Next::Stop => return Err(self.stop(run, &target, *failed)),
            };
        }
    }

    /// The next candidate of the plan. One that is not well any more is passed over, unless it is the
    /// last.
    fn next_candidate(
        &self,
        run: &mut Run<'_>,
        others: &mut std::vec::IntoIter<Candidate>,
    ) -> Option<Candidate> {
        loop {
            let candidate = others.next()?;
            let keys = run.keys(&candidate.target);
            let now = self.outlook.health.snapshot(&candidate.target, keys, None, Instant::now());
            if others.len() == 0 || now.health.down.is_none() {
                run.probes.extend(now.probe.map(|probe| (candidate.target.clone(), probe)));
                return Some(candidate);
            }
        }
    }

    pub(crate) fn is_up(&self, run: &Run<'_>, target: &Target) -> bool {
        self.outlook.health.view(target, run.keys(target), None, Instant::now()).down.is_none()
    }

    /// The credential to begin with; none where the client brings one.
    fn first_credential(&self, run: &Run<'_>, target: &Target) -> Option<Picked> {
        let count = credentials(&run.settings, &target.provider);
        (!run.brings_key(target)).then(|| self.credential(target, count))
    }

    /// The credential whose turn it is; whichever it is where all rest.
    pub(crate) fn credential(&self, target: &Target, count: usize) -> Picked {
        let picked = self.outlook.health.pick(target, count, &[], Instant::now());
        picked.unwrap_or_else(|| self.outlook.health.last_resort(target, count))
    }

    /// A credential that this request has not tried with the target.
    fn another_credential(&self, run: &Run<'_>, target: &Target) -> Option<Picked> {
        if run.brings_key(target) {
            return None;
        }
        let count = credentials(&run.settings, &target.provider);
        self.outlook.health.pick(target, count, &run.tried, Instant::now())
    }

    /// Records that nothing is left to try, and says so.
    fn stop(&self, run: &mut Run<'_>, target: &Target, failure: Failed) -> Refusal {
        let code = if reaction(failure.fault.kind).is_final() {
            ReasonCode::NotRetryable
        } else {
            ReasonCode::Exhausted
        };
        let text = match code {
            ReasonCode::NotRetryable => {
                format!("{target} failed with {}, which no other target would take", failure.fault.kind)
            }
            _ => format!("nothing is left to try after {target} failed with {}", failure.fault.kind),
        };
        let reason = Reason { code, text, source: ReasonSource::Fault };
        let decision = run.decision(self, DecisionKind::Stop, None, Some(target.clone()), reason);
        // Nothing takes effect after a stop but the error itself, which must not wait for a disk
        // that may be the very fault: a stop that cannot be written is logged.
        if let Err(error) = self.journal.append(&Record::Decision(Box::new(decision))) {
            tracing::error!(run_id = %run.id, error = %error, "stop could not be written");
        }
        let upstream_body = failure.body;
        let mut refusal = Refusal::failed(failure.fault, failure.head);
        refusal.upstream_body = upstream_body;
        refusal
    }

    /// Records that no candidate was eligible, and says why.
    async fn refuse(&self, run: &mut Run<'_>, reason: Reason) -> Refusal {
        let table: Vec<(Candidate, Row)> = run
            .plan
            .iter()
            .flat_map(|(inputs, table)| inputs.candidates.iter().cloned().zip(table.iter().cloned()))
            .collect();
        let rejections: Vec<Rejection> = table
            .iter()
            .filter_map(|(_, row)| match &row.verdict {
                Verdict::Rejected(rejection) => Some(rejection.clone()),
                Verdict::Selected | Verdict::Eligible { .. } => None,
            })
            .collect();
        let mut refusal = Refusal::new(refusal_kind(&reason, &rejections), reason.text.clone());
        refusal.code = match refusal.kind {
            RefusalKind::Forbidden => Some(reason.code),
            RefusalKind::Unmet => {
                rejections.iter().find(|it| it.stage == Stage::Constraints).map(|it| it.code)
            }
            _ => rejections.first().map(|rejection| rejection.code),
        }
        .map(|code| code.as_str().to_owned());
        if let Some(rejection) = rejections.iter().find(|rejection| rejection.stage == Stage::Capability) {
            refusal.param = match (rejection.code, &rejection.observed) {
                (ReasonCode::UnsupportedParameter, Some(names)) => {
                    refusal.message = format!("{}: `{}`", refusal.message, names.replace(", ", "`, `"));
                    names.split(", ").next().map(ToOwned::to_owned)
                }
                (code, _) => capability_param(code).map(ToOwned::to_owned),
            };
        }
        let decision = run.decision(self, DecisionKind::Refuse, None, None, reason);
        let head = Head { table, ..run.head(&decision, None) };
        match self.journal.append(&Record::Decision(Box::new(decision))) {
            Ok(receipt) => match self.journal.synced(&receipt).await {
                Ok(()) => {}
                Err(error) => return not_recordable(&error),
            },
            Err(error) => return not_recordable(&error),
        }
        refusal.head = Some(Box::new(head));
        refusal
    }
}

impl Run<'_> {
    /// What is left until the total deadline.
    pub(crate) fn time_left(&self) -> std::time::Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether the client brings its own key for the target's provider.
    pub(crate) fn brings_key(&self, target: &Target) -> bool {
        self.ask.byok.as_ref().is_some_and(|byok| byok.provider == target.provider)
    }

    /// Whose key goes to the target.
    fn keys(&self, target: &Target) -> Keys {
        if self.brings_key(target) {
            Keys::Client
        } else {
            Keys::Own(credentials(&self.settings, &target.provider))
        }
    }

    /// In which form the answer comes.
    pub(crate) const fn form(&self) -> Form {
        if self.ask.stream { Form::Stream } else { Form::Whole }
    }

    /// Whose conversation it is, where the policy looks at where conversations are.
    pub(crate) fn conversation(&self) -> Option<(String, String)> {
        let needs = self.pool.policy.needs(&self.ask.wishes);
        let session = self.ask.labels.session.as_ref().filter(|_| needs.conversation)?;
        Some((self.ask.caller.principal.clone(), session.clone()))
    }

    /// The right to try a target that may be well again, if this request has it.
    pub(crate) fn take_probe(&mut self, target: &Target) -> Option<Probe> {
        let at = self.probes.iter().position(|(of, _)| of == target)?;
        Some(self.probes.swap_remove(at).1)
    }

    /// A request of the gateway's own within this one.
    pub(crate) fn beside<'b>(&self, ask: &'b Ask, within: std::time::Duration) -> Run<'b> {
        Run {
            ask,
            settings: Arc::clone(&self.settings),
            pool: Pool { candidates: Vec::new(), policy: Arc::clone(&self.pool.policy), named_many: false },
            input_tokens: crate::features::estimate(ask.body.body().len()),
            converted: Converted::default(),
            id: self.id,
            deadline: self.deadline.min(Instant::now() + within),
            attempts: 0,
            parent: self.parent,
            tried: Vec::new(),
            wordless: Vec::new(),
            probes: Vec::new(),
            plan: None,
            shadow: None,
        }
    }

    /// The next decision of the run. The first one carries inputs and table.
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
        let first = inputs.is_some();
        let id = engine.ids.decision();
        Decision {
            id,
            run: self.id,
            request: self.ask.request,
            parent: self.parent.replace(id),
            at_ms: engine.ids.now_ms(),
            turn: 1,
            hop: 1,
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
            dropped_parameters: Vec::new(),
            ignored_parameters: if first {
                self.ask.ignored.iter().chain(&self.wordless).cloned().collect()
            } else {
                Vec::new()
            },
            labels: if first { self.ask.labels.clone() } else { baton_audit::Labels::default() },
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
            reason: decision.reason.code.as_str(),
            status: 200,
            upstream: http::HeaderMap::new(),
            table: Vec::new(),
        }
    }
}

/// What a surface is told where no candidate is left.
fn refusal_kind(reason: &Reason, rejections: &[Rejection]) -> RefusalKind {
    let any = |stage| rejections.iter().any(|rejection| rejection.stage == stage);
    if matches!(reason.code, ReasonCode::RefusedByRule | ReasonCode::StoppedByRule) {
        RefusalKind::Forbidden
    } else if !rejections.is_empty()
        && rejections.iter().all(|rejection| rejection.code == ReasonCode::KeyNotAllowed)
    {
        RefusalKind::NotAllowed
    } else if any(Stage::Constraints) {
        RefusalKind::Unmet
    } else if any(Stage::Health) {
        RefusalKind::Unwell
    } else {
        RefusalKind::NotEligible
    }
}

pub(crate) fn not_recordable(error: &JournalError) -> Refusal {
    tracing::error!(error = %error, "a decision could not be recorded, the request is refused");
    let mut refusal = Refusal::new(
        RefusalKind::NotRecordable,
        "the audit log cannot take a record, so the request was not carried out",
    );
    refusal.code = Some("audit_unavailable".to_owned());
    refusal.retry_after = Some(std::time::Duration::from_secs(5));
    refusal
}

fn retry_reason(candidate: &Candidate, fault: &Fault) -> Reason {
    let target = candidate.target.to_string();
    Reason::after_fault(ReasonCode::RetryAfterFault, &target, &target, fault.kind)
}

pub(crate) fn unresolved(unresolved: Unresolved) -> Refusal {
    let did_you_mean = |nearest: &[String], otherwise: &str| match nearest {
        [] => otherwise.to_owned(),
        names => format!("; did you mean `{}`?", names.join("`, `")),
    };
    let (kind, message, param, code) = match unresolved {
        Unresolved::Model(unknown) => {
            let hint = did_you_mean(&unknown.nearest, "; `GET /v1/models` lists what this key may use");
            let message = format!("the model `{}` does not exist here{hint}", unknown.name);
            (RefusalKind::UnknownModel, message, "model", "model_not_found")
        }
        Unresolved::Policy(unknown) => {
            let hint = did_you_mean(&unknown.nearest, "");
            let message = format!("the policy `{}` does not exist here{hint}", unknown.name);
            (RefusalKind::UnknownModel, message, "baton.policy", "policy_not_found")
        }
        Unresolved::NoPool(name) => {
            let message = format!(
                "the policy `{name}` names no models: give it a `pool`, or name models beside it with `x-baton-policy`"
            );
            (RefusalKind::Invalid, message, "model", "policy_without_pool")
        }
    };
    let mut refusal = Refusal::new(kind, message);
    refusal.param = Some(param.to_owned());
    refusal.code = Some(code.to_owned());
    refusal
}

/// The request member that a capability is about.
const fn capability_param(code: ReasonCode) -> Option<&'static str> {
    match code {
        ReasonCode::WindowTooSmall | ReasonCode::NoVision | ReasonCode::NoAudio => Some("messages"),
        ReasonCode::OutputLimitTooSmall => Some("max_tokens"),
        ReasonCode::NoTools => Some("tools"),
        ReasonCode::NoStructuredOutput => Some("response_format"),
        ReasonCode::NoLogprobs => Some("logprobs"),
        ReasonCode::NoReasoning => Some("reasoning_effort"),
        _ => None,
    }
}

/// A fault of Baton's own that a client may be told.
pub(crate) fn internal(message: &'static str) -> Fault {
    Fault::new(FaultKind::Internal, message)
}
