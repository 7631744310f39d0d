//! Drives one request from its plan to its answer, decision by decision.

use std::sync::Arc;

use arc_swap::ArcSwap;
use baton_audit::{Decision, DecisionKind, IdSource, Journal, JournalError, Record};
use baton_model::{DecisionId, Fault, FaultKind, RunId, Target};
use baton_policy::{
    Candidate, Features, History, Inputs, Next, PLANNER_VERSION, Plan, Reason, ReasonCode, ReasonSource,
    Rejection, Row, Stage, Verdict, next, plan,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::attempt::{Failure, attempt};
use crate::features::features;
use crate::health::HealthBoard;
use crate::prepare::{Converted, prepare};
use crate::{Ask, Head, ModelSpec, Pool, Refusal, RefusalKind, Reply, Settings, UnknownModel};

/// A sync that is late by more than this stops new requests: an answer could not be recorded in time.
const SYNC_LATE_MS: u64 = 500;

/// Carries out requests. One for the process; configurations come and go inside.
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) health: HealthBoard,
    pub(crate) ids: IdSource,
    pub(crate) stopping: CancellationToken,
}

/// One request on its way.
pub(crate) struct Run<'a> {
    pub(crate) ask: &'a Ask,
    pub(crate) settings: Arc<Settings>,
    pub(crate) pool: Pool,
    pub(crate) features: Features,
    pub(crate) converted: Converted,
    pub(crate) id: RunId,
    pub(crate) began: Instant,
    pub(crate) attempts: u32,
    pub(crate) parent: Option<DecisionId>,
    /// Whose turn it was among the credentials when the target was first tried.
    pub(crate) credential_turn: Option<usize>,
    /// What the first decision of the plan carries; taken by it.
    plan: Option<(Box<Inputs>, Vec<Row>)>,
}

/// The choice that an attempt is made under.
pub(crate) struct Choice {
    pub(crate) kind: DecisionKind,
    pub(crate) candidate: Candidate,
    pub(crate) from: Option<Target>,
    pub(crate) reason: Reason,
    /// Which of the provider's credentials, counted from the one whose turn it is.
    pub(crate) credential_skip: usize,
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
        Self { settings: ArcSwap::new(settings), journal, health: HealthBoard::default(), ids, stopping }
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
        let settings = self.settings.load_full();
        let mut pool = Self::pool(ask, &settings)?;
        let converted = Converted::default();
        if ask.strict {
            note_what_is_not_carried(ask, &converted, &settings, &mut pool)?;
        }
        let features = features(&ask.body, ask.stream).map_err(baton_dialect::DecodeError::from)?;
        let inputs = Box::new(Inputs {
            policy: pool.policy.reference.clone(),
            features,
            candidates: pool.candidates.clone(),
            key_models: ask.caller.models.clone(),
            providers: ask.providers.clone(),
            retries: pool.policy.retries,
        });
        let Plan { order, table, reason } = plan(&inputs);
        let mut run = Run {
            ask,
            settings,
            pool,
            features,
            converted,
            id: self.ids.run(),
            began: Instant::now(),
            attempts: 0,
            parent: None,
            credential_turn: None,
            plan: Some((inputs, table)),
        };
        let mut candidates = order
            .iter()
            .filter_map(|at| run.pool.candidates.get(usize::try_from(*at).ok()?).cloned())
            .collect::<Vec<_>>()
            .into_iter();
        match candidates.next() {
            None => Err(self.refuse(&mut run, reason).await),
            Some(first) => {
                let choice = Choice {
                    kind: DecisionKind::Select,
                    candidate: first,
                    from: None,
                    reason,
                    credential_skip: 0,
                };
                self.drive(&mut run, choice, candidates).await
            }
        }
    }

    fn pool(ask: &Ask, settings: &Settings) -> Result<Pool, Refusal> {
        if let Some(byok) = &ask.byok {
            return Self::byok_pool(ask, byok, settings);
        }
        settings.catalog.resolve(&ask.models).map_err(|unknown| unknown_model(&unknown))
    }

    /// With a provider key of the client's own, the named provider is the only candidate.
    fn byok_pool(ask: &Ask, byok: &crate::Byok, settings: &Settings) -> Result<Pool, Refusal> {
        let provider = &byok.provider;
        if settings.catalog.upstream(provider).is_none() {
            let mut refusal = Refusal::new(
                RefusalKind::Invalid,
                format!("the provider `{provider}` of `x-provider` is not configured"),
            );
            refusal.param = Some("x-provider".to_owned());
            return Err(refusal);
        }
        let named = byok.model.clone().or_else(|| ask.models.names.first().cloned()).unwrap_or_default();
        let prefix = format!("{provider}/");
        let full = format!("{provider}/{}", named.strip_prefix(&prefix).unwrap_or(&named));
        let spec = ModelSpec { names: vec![full], list: ask.models.list };
        settings.catalog.resolve(&spec).map_err(|unknown| unknown_model(&unknown))
    }

    async fn drive(
        &self,
        run: &mut Run<'_>,
        mut choice: Choice,
        mut others: std::vec::IntoIter<Candidate>,
    ) -> Result<Reply, Refusal> {
        let mut attempts_on_target = 0;
        loop {
            attempts_on_target += 1;
            let failure = match attempt(self, run, &choice).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Refused(refusal)) => return Err(*refusal),
                Err(Failure::Failed(failed)) => failed,
            };
            let fault = &failure.fault;
            let target = choice.candidate.target.clone();
            if fault.kind == FaultKind::Unauthorized && Self::another_credential(run, &choice) {
                choice = Choice {
                    kind: DecisionKind::Retry,
                    from: Some(target),
                    reason: retry_reason(&choice.candidate, fault.kind),
                    credential_skip: choice.credential_skip + 1,
                    candidate: choice.candidate,
                };
                continue;
            }
            let budget = matches!(
                baton_policy::reaction(fault.kind),
                baton_policy::Action::RetrySame | baton_policy::Action::NextElseSame
            ) && attempts_on_target <= run.pool.policy.retries.min(3)
                && self.health.of(&target.provider).claim_retry();
            let history = History {
                attempts_on_target,
                retries: run.pool.policy.retries,
                others_left: others.len() > 0,
                budget,
                random: rand::random(),
                time_left: run.time_left(),
            };
            match next(fault.kind, fault.retry_after, &history) {
                Next::Retry { after } => {
                    tokio::time::sleep(after).await;
                    choice = Choice {
                        kind: DecisionKind::Retry,
                        from: Some(target),
                        reason: retry_reason(&choice.candidate, fault.kind),
                        credential_skip: choice.credential_skip,
                        candidate: choice.candidate,
                    };
                }
                Next::Fallback if !run.time_left().is_zero() => match others.next() {
                    Some(candidate) => {
                        attempts_on_target = 0;
                        run.credential_turn = None;
                        choice = Choice {
                            kind: DecisionKind::Fallback,
                            reason: Reason::after_fault(
                                ReasonCode::FallbackAfterFault,
                                &target.to_string(),
                                &candidate.target.to_string(),
                                fault.kind,
                            ),
                            from: Some(target),
                            candidate,
                            credential_skip: 0,
                        };
                    }
                    None => return Err(self.stop(run, &target, *failure)),
                },
                Next::Fallback | Next::Stop => return Err(self.stop(run, &target, *failure)),
            }
        }
    }

    /// Whether the provider has a credential that this request has not tried.
    fn another_credential(run: &Run<'_>, choice: &Choice) -> bool {
        let provider = &choice.candidate.target.provider;
        let own = run.ask.byok.as_ref().is_some_and(|byok| byok.provider == *provider);
        let count = run.settings.catalog.upstream(provider).map_or(0, |upstream| upstream.credential_count());
        !own && choice.credential_skip + 1 < count
    }

    /// Records that nothing is left to try, and says so.
    fn stop(&self, run: &mut Run<'_>, target: &Target, failure: crate::attempt::Failed) -> Refusal {
        let code = match baton_policy::reaction(failure.fault.kind) {
            baton_policy::Action::Return => ReasonCode::NotRetryable,
            _ => ReasonCode::Exhausted,
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
        let rejections: Vec<Rejection> = run
            .plan
            .iter()
            .flat_map(|(_, table)| table)
            .filter_map(|row| match &row.verdict {
                Verdict::Rejected(rejection) => Some(rejection.clone()),
                Verdict::Selected | Verdict::Eligible { .. } => None,
            })
            .collect();
        let forbidden = !rejections.is_empty()
            && rejections.iter().all(|rejection| rejection.code == ReasonCode::KeyNotAllowed);
        let kind = if forbidden { RefusalKind::NotAllowed } else { RefusalKind::NotEligible };
        let mut refusal = Refusal::new(kind, reason.text.clone());
        refusal.code = rejections.first().map(|rejection| rejection.code.as_str().to_owned());
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
        let head = run.head(&decision, None);
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
        self.pool.policy.timeouts.total.saturating_sub(self.began.elapsed())
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
            dropped_parameters: Vec::new(),
            ignored_parameters: if first { self.ask.ignored.clone() } else { Vec::new() },
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
        }
    }
}

/// Puts down for each candidate which parameters it would lose.
fn note_what_is_not_carried(
    ask: &Ask,
    converted: &Converted,
    settings: &Settings,
    pool: &mut Pool,
) -> Result<(), Refusal> {
    for candidate in &mut pool.candidates {
        let target = &candidate.target;
        let Some(upstream) = settings.catalog.upstream(&target.provider) else { continue };
        let most = candidate.capabilities.max_output_tokens;
        candidate.not_carried = prepare(ask, converted, upstream, target, most)?.dropped;
    }
    Ok(())
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

fn retry_reason(candidate: &Candidate, kind: FaultKind) -> Reason {
    let target = candidate.target.to_string();
    Reason::after_fault(ReasonCode::RetryAfterFault, &target, &target, kind)
}

pub(crate) fn unknown_model(unknown: &UnknownModel) -> Refusal {
    let hint = match unknown.nearest.as_slice() {
        [] => "; `GET /v1/models` lists what this key may use".to_owned(),
        names => format!("; did you mean `{}`?", names.join("`, `")),
    };
    let mut refusal = Refusal::new(
        RefusalKind::UnknownModel,
        format!("the model `{}` does not exist here{hint}", unknown.name),
    );
    refusal.param = Some("model".to_owned());
    refusal.code = Some("model_not_found".to_owned());
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
        _ => None,
    }
}

/// A fault of Baton's own that a client may be told.
pub(crate) fn internal(message: &'static str) -> Fault {
    Fault::new(FaultKind::Internal, message)
}
