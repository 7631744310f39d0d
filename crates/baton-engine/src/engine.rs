//! Drives one request from its plan to its answer, decision by decision.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use baton_access::Sealer;
use baton_audit::{Decision, DecisionKind, HandoffNote, IdSource, Journal, JournalError, Record};
use baton_dialect::{observed_transfers, schema_path};
use baton_model::{Dialect, Fault, FaultKind, Target};
use baton_policy::{
    Candidate, History, Next, Plan, Planned, Policy, Reason, ReasonCode, ReasonSource, Rejection, Row,
    RunEvent, Stage, Verdict, next, plan, reaction,
};
use baton_run::CallsTold;
use baton_tools::Registry;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Body, Failed, Failure, NoAnswer, Opened, attempt};
use crate::capture::Capture;
use crate::consider::{Outlook, Purpose, credentials};
use crate::course::Course;
use crate::effects::changed;
use crate::features::list_name;
use crate::health::{HealthBoard, Picked};
use crate::prepare::{Converted, Prepared};
use crate::run::{Choice, Run};
use crate::tooling::brought;
use crate::versions::{StoredPolicies, beside};
use crate::{Ask, Head, Refusal, RefusalKind, Reply, ReplyBody, Settings, Unresolved};

/// A sync that is late by more than this stops new requests: an answer could not be recorded in time.
const SYNC_LATE_MS: u64 = 500;

/// Carries out requests. One for the process; configurations come and go inside.
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) journal: Arc<Journal>,
    sealer: Sealer,
    pub(crate) tools: Registry,
    /// Who wants what is asked and answered.
    pub(crate) capture: Option<Arc<dyn Capture>>,
    pub(crate) outlook: Outlook,
    pub(crate) ids: IdSource,
    pub(crate) stopping: CancellationToken,
}

impl Engine {
    /// An engine that writes to this journal. When `stopping` is cancelled, open streams end with
    /// an error event and their outcome.
    #[must_use]
    pub fn new(
        settings: Arc<Settings>,
        journal: Arc<Journal>,
        sealer: Sealer,
        tools: Registry,
        ids: IdSource,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            settings: ArcSwap::new(settings),
            journal,
            sealer,
            tools,
            capture: None,
            outlook: Outlook { ids: ids.clone(), ..Outlook::default() },
            ids,
            stopping,
        }
    }

    /// Hands what is asked and answered to this one too, as far as it wants it.
    #[must_use]
    pub fn with_capture(mut self, capture: Arc<dyn Capture>) -> Self {
        self.capture = Some(capture);
        self
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

    /// Every policy in force: those of the file, and of the store the active versions and canaries.
    #[must_use]
    pub fn policies(&self) -> Vec<Arc<Policy>> {
        let settings = self.settings();
        let stored = self.outlook.stored.load();
        settings.catalog.policies().chain(stored.planning()).cloned().collect()
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
    pub async fn answer(self: &Arc<Self>, ask: Ask) -> Result<Reply, Refusal> {
        self.admit()?;
        let ask = Arc::new(ask);
        let settings = self.settings();
        if let Some(entry) = settings.catalog.entry(&ask) {
            return Box::pin(self.answer_as_agent(settings, ask, entry)).await;
        }
        let mut considered = self.outlook.consider(settings, &ask, Purpose::Answer)?;
        let sent = Arc::clone(&ask);
        let ask = if considered.marks.is_some() { self.outlook.given.restored(ask)? } else { ask };
        if !Arc::ptr_eq(&sent, &ask) {
            considered.converted = Converted::default();
        }
        let mut ignored = Vec::new();
        let tools = match &ask.mcp_servers {
            Some(named) => Some(self.open_tools(named, &mut ignored).await?),
            None => None,
        };
        if let Some(tools) = &tools {
            // A model that calls no tools is of no use then.
            let more = u32::try_from(tools.tools().len()).unwrap_or(u32::MAX);
            considered.inputs.features.tools = considered.inputs.features.tools.saturating_add(more);
        }
        let shadow = considered.shadow.take();
        let mut run = Run::new(self, Arc::clone(&ask), considered);
        run.wordless.append(&mut ignored);
        let unseen =
            ask.context.iter().filter(|(name, value)| !value.is_null() && !ask.variables.contains_key(*name));
        run.wordless.extend(unseen.map(|(name, _)| format!("baton.context.{name}")));
        let (mut inputs, _) = run.plan.take().unwrap_or_default();
        let planned = loop {
            match plan(&run.pool.policy, run.settings.catalog.knowledge(), &inputs) {
                Planned::Plan(plan) => break plan,
                // Asked once: with an answer among the inputs, the next call gives a plan.
                Planned::Ask(question) => {
                    // Apart, as is a refusal below: most requests should not be larger for what few need.
                    inputs.judged = Some(Box::pin(self.ask_judge(&mut run, &inputs, &question)).await);
                }
            }
        };
        let (planned, tools) = if brought(&run.pool.policy, &planned).is_empty() {
            (planned, tools)
        } else {
            Box::pin(self.bring_tools(&run, &mut inputs, planned, tools)).await
        };
        let Plan { order, table, reason, rule, handoff, stays, last_resort } = planned;
        let candidates: Vec<Candidate> = order
            .iter()
            .filter_map(|at| inputs.candidates.get(usize::try_from(*at).ok()?).cloned())
            .collect();
        run.shadow = shadow.map(|trial| {
            let knowledge = run.settings.catalog.knowledge();
            Box::new(beside(&trial, &run.pool.policy, knowledge, &ask, &inputs, candidates.first()))
        });
        let policy = Arc::clone(&run.pool.policy);
        let rule = rule.and_then(|at| policy.document.rules.get(usize::try_from(at).ok()?));
        let effects = rule.map(|rule| changed(&ask, &rule.then)).transpose();
        let effects = effects.map_err(baton_dialect::DecodeError::from)?.flatten();
        if let Some((ask, wordless)) = effects {
            run.ask = Arc::new(ask);
            run.wordless.extend(wordless);
            run.converted = Converted::default();
        }
        // A rule hands over only where rules may.
        let handoff = handoff.filter(|_| run.pool.handoff.by_rules());
        run.handed = handoff.is_some() || inputs.run.is_some();
        let actions = rule.map(|rule| &rule.then);
        let course = match Course::of(&run, &inputs, &table, &order, actions, handoff.is_some(), tools) {
            Ok(course) => Some(course),
            Err(disabled) => {
                run.disabled = disabled;
                if ask.handoff.calls == CallsTold::Apart {
                    run.wordless.push("handoff_mode".to_owned());
                }
                None
            }
        };
        self.observe(&mut run, candidates.first())?;
        let from = handoff.and(inputs.current.as_ref()).map(|current| current.target.clone());
        run.plan = Some((inputs, table));
        let mut candidates = candidates.into_iter();
        let Some(candidate) = candidates.next() else {
            return Err(Box::pin(self.refuse(&mut run, reason)).await);
        };
        // Those who are tried later ask again then.
        run.probes.retain(|(target, _)| *target == candidate.target);
        let kind = match (handoff, stays) {
            (Some(_), _) => DecisionKind::Handoff,
            (None, true) => DecisionKind::Stay,
            (None, false) => DecisionKind::Select,
        };
        let credential = self.first_credential(&run, &candidate.target);
        let choice = Choice { kind, candidate, from, reason, credential };
        let retries = if last_resort { 0 } else { policy.document.fallback.retries };
        if let Some(course) = course {
            let others = candidates.collect();
            return Box::pin(course.begin(self, ask, run, choice, others, retries)).await;
        }
        match self.drive(&mut run, choice, candidates, retries).await {
            Ok(Opened { head, body: Body::Whole(bytes), .. }) => {
                Ok(Reply { head, body: ReplyBody::Whole(bytes) })
            }
            Ok(Opened { head, body: Body::Stream(flow), .. }) => {
                Ok(Reply { head, body: ReplyBody::Stream(flow.into_stream()) })
            }
            Ok(Opened { head, body: Body::Turn(_), .. }) => {
                Err(Refusal::failed(internal("a turn without a run"), head))
            }
            Err(NoAnswer::Refused(refusal)) => Err(*refusal),
            Err(NoAnswer::Failed { target, failed }) => Err(self.stop(&mut run, &target, *failed)),
        }
    }

    /// Makes attempts until one gives an answer, or nothing is left to try.
    pub(crate) async fn drive(
        &self,
        run: &mut Run,
        mut choice: Choice,
        mut others: std::vec::IntoIter<Candidate>,
        retries: u32,
    ) -> Result<Opened, NoAnswer> {
        let mut attempts_on_target = 0;
        run.unfit = None;
        loop {
            attempts_on_target += 1;
            run.tried.extend(choice.credential.as_ref().map(|picked| picked.index));
            let mut failed = match attempt(self, run, &mut choice).await {
                Ok(opened) => return Ok(opened),
                Err(Failure::Refused(refusal)) => return Err(NoAnswer::Refused(refusal)),
                Err(Failure::Failed(failed)) => failed,
            };
            let target = choice.candidate.target.clone();
            let unfit = failed.unfit.take();
            // Who cannot follow a schema when it is told what is wrong is not asked a third time.
            let kind = if unfit.is_some() { FaultKind::UnsupportedFeature } else { failed.fault.kind };
            if let Some(unfit) = unfit.filter(|_| run.unfit.is_none() && !run.time_left().is_zero()) {
                run.tried.clear();
                choice = Choice {
                    kind: DecisionKind::Retry,
                    from: Some(target.clone()),
                    reason: repair_reason(&target),
                    credential: self.first_credential(run, &target),
                    candidate: choice.candidate,
                };
                run.unfit = Some(unfit);
                continue;
            }
            let wants_other = reaction(kind).other_credential;
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
            let after = |history: &History| next(kind, failed.fault.retry_after, history);
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
                        run.unfit = None;
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
                    None => return Err(NoAnswer::Failed { target, failed }),
                },
                Next::Stop => return Err(NoAnswer::Failed { target, failed }),
            };
        }
    }

    /// Records the hand-overs that the client's own loop made just before this request.
    pub(crate) fn observe(&self, run: &mut Run, to: Option<&Candidate>) -> Result<(), Refusal> {
        for transfer in observed_transfers(run.ask.dialect, &run.ask.body)? {
            let name = transfer.to.as_deref().map(|name| crate::ledger::cut(name, 64));
            let reason = Reason::in_run(RunEvent::Observed { to: name });
            let mut decision = run.decision(self, DecisionKind::Observe, to, None, reason);
            decision.attempt = false;
            self.journal
                .append(&Record::Decision(Box::new(decision)))
                .map_err(|error| not_recordable(&error))?;
        }
        Ok(())
    }

    /// The note of a hand-over as it is recorded: what the model said of it is sealed for whom it concerns.
    pub(crate) fn handed_over(
        &self,
        note: HandoffNote,
        decision: &Decision,
        prepared: &Prepared,
    ) -> Box<HandoffNote> {
        let said = note.said.as_deref().and_then(|said| self.seal_said(decision, said));
        Box::new(HandoffNote { said, left_out: u64::try_from(prepared.left_out).unwrap_or(u64::MAX), ..note })
    }

    /// What a model said of a decision, sealed for whom it concerns.
    pub(crate) fn seal_said(&self, decision: &Decision, said: &str) -> Option<String> {
        // Shortened afterwards: half a secret has no form to be known by.
        let said = baton_audit::redact(said);
        let said = baton_run::shortened(&said);
        let sealed = self.sealer.seal(&seal_context(decision), said.as_bytes()).ok()?;
        Some(BASE64_STANDARD.encode(sealed))
    }

    /// What a model said of its hand-over, opened.
    #[must_use]
    pub fn said(&self, decision: &Decision) -> Option<String> {
        let sealed = BASE64_STANDARD.decode(decision.handoff.as_ref()?.said.as_ref()?).ok()?;
        let opened = self.sealer.open(&seal_context(decision), &sealed).ok()?;
        String::from_utf8(opened).ok()
    }

    /// The next candidate of the plan. One that is not well any more is passed over, unless it is the
    /// last.
    fn next_candidate(&self, run: &mut Run, others: &mut std::vec::IntoIter<Candidate>) -> Option<Candidate> {
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

    pub(crate) fn is_up(&self, run: &Run, target: &Target) -> bool {
        self.outlook.health.view(target, run.keys(target), None, Instant::now()).down.is_none()
    }

    /// The credential to begin with; none where the client brings one.
    pub(crate) fn first_credential(&self, run: &Run, target: &Target) -> Option<Picked> {
        let count = credentials(&run.settings, &target.provider);
        (!run.brings_key(target)).then(|| self.credential(target, count))
    }

    /// The credential whose turn it is; whichever it is where all rest.
    pub(crate) fn credential(&self, target: &Target, count: usize) -> Picked {
        let picked = self.outlook.health.pick(target, count, &[], Instant::now());
        picked.unwrap_or_else(|| self.outlook.health.last_resort(target, count))
    }

    /// A credential that this request has not tried with the target.
    fn another_credential(&self, run: &Run, target: &Target) -> Option<Picked> {
        if run.brings_key(target) {
            return None;
        }
        let count = credentials(&run.settings, &target.provider);
        self.outlook.health.pick(target, count, &run.tried, Instant::now())
    }

    /// Records that nothing is left to try, and says so.
    pub(crate) fn stop(&self, run: &mut Run, target: &Target, failure: Failed) -> Refusal {
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
    pub(crate) async fn refuse(&self, run: &mut Run, reason: Reason) -> Refusal {
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
                (code, _) => capability_param(run.ask.dialect, code).map(ToOwned::to_owned),
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

/// Where a sealed text belongs: to this decision of this caller.
fn seal_context(decision: &Decision) -> Vec<u8> {
    format!("handoff\0{}\0{}", decision.principal, decision.id).into_bytes()
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

/// Nothing of the schema is in it: that is the client's own text.
fn repair_reason(target: &Target) -> Reason {
    let text = format!("{target} is asked once more, and told where its answer did not follow the schema");
    Reason { code: ReasonCode::SchemaRepair, text, source: ReasonSource::Fault }
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
const fn capability_param(dialect: Dialect, code: ReasonCode) -> Option<&'static str> {
    let of_responses = matches!(dialect, Dialect::OpenaiResponses);
    match code {
        ReasonCode::WindowTooSmall | ReasonCode::NoVision | ReasonCode::NoAudio => Some(list_name(dialect)),
        ReasonCode::NoTools => Some("tools"),
        ReasonCode::OutputLimitTooSmall if of_responses => Some("max_output_tokens"),
        ReasonCode::NoLogprobs if of_responses => Some("include"),
        ReasonCode::NoReasoning if of_responses => Some("reasoning.effort"),
        ReasonCode::OutputLimitTooSmall => Some("max_tokens"),
        ReasonCode::NoStructuredOutput => Some(schema_path(dialect)),
        ReasonCode::NoLogprobs => Some("logprobs"),
        ReasonCode::NoReasoning => Some("reasoning_effort"),
        _ => None,
    }
}

/// A fault of Baton's own that a client may be told.
pub(crate) fn internal(message: &'static str) -> Fault {
    Fault::new(FaultKind::Internal, message)
}
