//! One attempt at one target, from its decision to its first content, and the stream after it.

use baton_audit::{DecisionKind, Receipt};
use baton_dialect::{
    AnswerContext, StreamOptions, Unfit, decode_answer, encode_answer, observe_answer, param_for_client,
    rename_answer, repeated, response_with_id,
};
use baton_model::{Answer, Dialect, Fault, FaultKind, RequestId, Target};
use baton_net::body::{ReadError, read_to_end};
use baton_telemetry::genai::attempt_span;
use baton_upstream::{Call, Credential, Upstream, UpstreamBody, UpstreamResponse};
use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::engine::{internal, not_recordable};
use crate::explain::{annotate_whole, explanation};
use crate::flow::Flow;
use crate::health::Attempted;
use crate::ledger::{Ended, OpenAttempt, Terms};
use crate::plot::tool_names;
use crate::prepare::{Lane, Prepared, prepare};
use crate::pump::Pump;
use crate::run::{Choice, Run};
use crate::{Engine, Head, Refusal, RefusalKind};

/// The largest whole answer that is taken in.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;
/// As much of an error answer as is read.
pub(crate) const ERROR_LIMIT: usize = 256 * 1024;

/// An answer on its way, or a turn of a longer run.
pub(crate) struct Opened {
    pub(crate) head: Head,
    pub(crate) target: Target,
    pub(crate) body: Body,
    /// Where the decision stands in the journal.
    pub(crate) receipt: Receipt,
}

pub(crate) enum Body {
    /// The client's answer.
    Whole(Bytes),
    /// The client's answer, or a turn of it, in pieces.
    Stream(Box<Flow>),
    /// A turn of a longer run.
    Turn(Box<WholeTurn>),
}

/// A whole turn of a longer run.
pub(crate) struct WholeTurn {
    pub(crate) dialect: Dialect,
    pub(crate) raw: Bytes,
    pub(crate) answer: Answer,
    pub(crate) ended: Ended,
}

/// Why no attempt gave an answer.
pub(crate) enum NoAnswer {
    /// The last one failed, and nothing is left to try.
    Failed { target: Target, failed: Box<Failed> },
    /// None was made, and none should be.
    Refused(Box<Refusal>),
}

/// Why an attempt gave no answer.
pub(crate) enum Failure {
    /// It failed; another may not.
    Failed(Box<Failed>),
    /// It was not made, and no other should be.
    Refused(Box<Refusal>),
}

pub(crate) struct Failed {
    pub(crate) fault: Fault,
    pub(crate) head: Head,
    /// The upstream's error body, where the client speaks its dialect and the error is the client's own.
    pub(crate) body: Option<Bytes>,
    /// The answer, where it is one that does not follow its schema.
    pub(crate) unfit: Option<Box<Unfit>>,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// A fault, with the error body to pass on if there is one.
type Failing = (Fault, Option<Bytes>);

pub(crate) async fn attempt(engine: &Engine, run: &mut Run, choice: &mut Choice) -> Result<Opened, Failure> {
    let target = &choice.candidate.target;
    let Some(upstream) = run.settings.catalog.upstream(&target.provider).cloned() else {
        return Err(
            Refusal::new(RefusalKind::NoProvider, format!("no provider `{}`", target.provider)).into()
        );
    };
    let can = &choice.candidate.facts.capabilities;
    let leg = run.leg.take();
    let unfit = run.unfit.as_deref();
    let prepared = prepare(&run.ask, &run.converted, &upstream, target, can, leg.as_deref(), unfit)
        .map_err(Refusal::from);
    run.leg = leg;
    let prepared = prepared?;
    run.attempts += 1;
    let mut decision = run.decision(
        engine,
        choice.kind,
        Some(&choice.candidate),
        choice.from.clone(),
        choice.reason.clone(),
    );
    decision.dropped_parameters.clone_from(&prepared.dropped);
    let is_first = !matches!(choice.kind, DecisionKind::Retry);
    if let Some(mut note) = run.leg.as_ref().filter(|_| is_first).and_then(|leg| leg.note.clone()) {
        note.disabled = decision.handoff.take().and_then(|note| note.disabled);
        decision.handoff = Some(engine.handed_over(*note, &decision, &prepared));
    }
    let head = run.head(&decision, Some(target));
    let note = if run.leg.is_some() {
        // A longer run says it at its end.
        None
    } else {
        explanation(run.ask.explain, run.pool.named_many, &decision, &head)
    };
    let credential = choice.credential.take();
    let index = credential.as_ref().map_or(0, |credential| credential.index);
    let span = attempt_span(target, target.provider.as_str(), run.ask.stream, &decision.id);
    let mut open = OpenAttempt::begin(
        engine,
        decision,
        target.clone(),
        Terms {
            price: choice.candidate.facts.price,
            input_estimate: run.input_tokens,
            attempted: Attempted { credential, probe: run.take_probe(target) },
            form: run.form(),
            cooldown: run.pool.policy.cooldown(),
            conversation: run.conversation(),
        },
        span.clone(),
    )
    .map_err(|error| not_recordable(&error))?;
    if let Some(wanted) = &run.capture {
        let is_first = run.attempts == 1;
        open.seen.capturing = Some(wanted.begin(head.decision, &run.ask, prepared.dialect, is_first));
    }
    engine.outlook.health.note_request(&target.provider);
    let credential = match &run.ask.byok {
        Some(byok) if byok.provider == target.provider => Credential::Byok(byok.key.clone()),
        _ => Credential::Own(index),
    };
    let call = Call {
        path: upstream.answers_in(prepared.dialect),
        body: prepared.body.clone(),
        stream: run.ask.stream,
        forward: run.ask.forward.clone(),
        query: run.ask.query.clone(),
        credential,
        connect: Some(run.pool.policy.timeouts().connect),
    };
    let sent = Sent {
        run,
        upstream: &upstream,
        prepared: &prepared,
        head,
        to: target.clone(),
        target: target.to_string(),
        note,
        stopping: engine.stopping.clone(),
        unfit: None,
    };
    sent.carry(call, open).instrument(span).await
}

/// An attempt whose decision is written.
struct Sent<'a> {
    run: &'a Run,
    upstream: &'a Upstream,
    prepared: &'a Prepared,
    head: Head,
    to: Target,
    target: String,
    /// What the answer is to say of the decision.
    note: Option<Bytes>,
    stopping: CancellationToken,
    /// The answer, once it is known not to follow its schema.
    unfit: Option<Box<Unfit>>,
}

impl Sent<'_> {
    async fn carry(mut self, call: Call, mut open: OpenAttempt) -> Result<Opened, Failure> {
        let result = if self.run.ask.stream {
            self.streamed(call, &mut open).await.map(Box::new).map(Carried::Stream)
        } else {
            self.whole(call, &mut open).await
        };
        let carried = match result {
            Err((fault, body)) => {
                if self.unfit.is_some() {
                    open.misfit(&fault);
                } else {
                    open.fail(&fault);
                }
                let unfit = self.unfit;
                return Err(Failure::Failed(Box::new(Failed { fault, head: self.head, body, unfit })));
            }
            Ok(carried) => carried,
        };
        let receipt = *open.receipt();
        let shown = match &carried {
            Carried::Whole(_) => true,
            // A turn that the client sees nothing of need not wait for the disk: what follows it does.
            Carried::Turn(..) => false,
            Carried::Stream(flow) => self.run.leg.is_none() || flow.0.committed(),
        };
        // The upstream worked while the disk did; mostly there is nothing left to wait for.
        if shown && let Err(error) = open.synced().await {
            open.fail(&internal("the decision could not be synced"));
            return Err(not_recordable(&error).into());
        }
        open.seen.content_sent = shown;
        let body = match carried {
            Carried::Turn(raw, answer) => {
                open.seen.content_sent = true;
                open.seen.bytes = u64::try_from(raw.len()).unwrap_or(u64::MAX);
                let ended = open.succeed();
                let dialect = self.prepared.dialect;
                Body::Turn(Box::new(WholeTurn { dialect, raw, answer: *answer, ended }))
            }
            Carried::Whole(bytes) => {
                let bytes =
                    self.note.as_deref().and_then(|note| annotate_whole(&bytes, note)).unwrap_or(bytes);
                open.seen.bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                open.succeed();
                Body::Whole(bytes)
            }
            Carried::Stream(flow) => Body::Stream(Box::new(self.flow(*flow, open))),
        };
        Ok(Opened { head: self.head, target: self.to, body, receipt })
    }

    /// Sends, and turns an answer that is an error into a fault.
    async fn send(
        &mut self,
        call: Call,
        open: &mut OpenAttempt,
        deadline: Instant,
    ) -> Result<UpstreamResponse, Failing> {
        let credential = call.credential.clone();
        let response = timeout_at(deadline, self.upstream.send(call))
            .await
            .map_err(|_elapsed| late("the upstream did not answer in time"))?
            .map_err(|fault| (fault, None))?;
        open.seen.http_status = Some(response.status.as_u16());
        open.note_limits(&response.headers);
        if response.status.is_success() {
            self.head.upstream = shown(&response.headers);
            return Ok(response);
        }
        let body = timeout_at(deadline, read_to_end(response.body, ERROR_LIMIT)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        let mut fault = self.upstream.fault(&credential, response.status, &response.headers, &body);
        if self.prepared.lane == Lane::Slow {
            // The client's body has other places than the one that was sent.
            let by_tool = self.prepared.changed.answer_tool.is_some();
            let ask = &self.run.ask;
            let tools = tool_names(&ask.body).len();
            fault.param = param_for_client(ask.dialect, &ask.body, &fault, tools, by_tool);
        }
        let own = matches!(
            fault.kind,
            FaultKind::InvalidRequest
                | FaultKind::TooLarge
                | FaultKind::ContentFiltered
                | FaultKind::ContextTooLong
        );
        let unchanged = own
            && self.prepared.lane == Lane::Fast
            && !self.upstream.repeats_key(&credential, &body)
            && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
        self.head.status = response.status.as_u16();
        Err((fault, unchanged.then_some(body)))
    }

    async fn whole(&mut self, call: Call, open: &mut OpenAttempt) -> Result<Carried, Failing> {
        let deadline = Instant::now() + self.run.time_left();
        let response = self.send(call, open, deadline).await?;
        let body = timeout_at(deadline, read_to_end(response.body, ANSWER_LIMIT))
            .await
            .map_err(|_elapsed| late("the upstream did not finish its answer in time"))?
            .map_err(|error| (cut_short(error), None))?;
        open.seen.upstream_done = true;
        if let Some(capturing) = &mut open.seen.capturing {
            capturing.whole(&body);
        }
        match self.prepared.lane {
            _ if self.run.leg.is_some() => {
                self.read(&body, open).map(|answer| Carried::Turn(body, Box::new(answer)))
            }
            Lane::Fast => self.passed(body, open).map(Carried::Whole),
            Lane::Slow => self.converted(&body, open).map(Carried::Whole),
        }
        .map_err(|fault| (fault, None))
    }

    fn passed(&self, body: Bytes, open: &mut OpenAttempt) -> Result<Bytes, Fault> {
        let observed = observe_answer(self.prepared.dialect, &body)?;
        open.note_content();
        if let Some(usage) = &observed.usage {
            open.seen.absorb_usage(usage);
        }
        open.seen.finish = observed.finish;
        open.seen.note_origin(observed.id.as_deref(), observed.model.as_deref());
        let body = match self.own_id() {
            Some(id) => response_with_id(&body, &id).unwrap_or(body),
            None => body,
        };
        if self.run.pool.named_many
            && let Some(renamed) = rename_answer(self.prepared.dialect, &body, &self.target)
        {
            return Ok(renamed);
        }
        Ok(body)
    }

    /// The id of a response that passes and is kept here all the same.
    fn own_id(&self) -> Option<String> {
        let ask = &self.run.ask;
        self.prepared.own_id.then(|| answer_id(ask.dialect, ask.request))
    }

    /// Reads a whole answer, and notes what it says of itself.
    fn read(&mut self, body: &[u8], open: &mut OpenAttempt) -> Result<Answer, Fault> {
        let answer = decode_answer(self.prepared.dialect, body)?;
        open.note_content();
        if let Some(usage) = &answer.usage {
            open.seen.absorb_usage(usage);
        }
        open.seen.finish = Some(answer.finish);
        open.seen.note_origin(Some(&answer.id), Some(&answer.model));
        let answer = self.prepared.changed.answer(answer).map_err(|unfit| {
            let fault = unfit.fault();
            self.unfit = Some(Box::new(unfit));
            fault
        })?;
        // What the client is told: a call of the tool that an answer is given by is its end.
        open.seen.finish = Some(answer.finish);
        Ok(answer)
    }

    fn converted(&mut self, body: &[u8], open: &mut OpenAttempt) -> Result<Bytes, Fault> {
        let mut answer = self.read(body, open)?;
        let ask = &self.run.ask;
        if ask.dialect == Dialect::OpenaiResponses {
            // Clients ask for it again by this id.
            answer.id = answer_id(ask.dialect, ask.request);
        }
        let model = if self.run.pool.named_many { &self.target } else { &answer.model };
        let request = repeated(ask.dialect, &ask.body);
        let context = AnswerContext { model, created: self.created(), request };
        Ok(encode_answer(ask.dialect, &answer, &context).into())
    }

    /// Seconds since 1970, as the request's id tells them: no clock is read twice for one answer.
    fn created(&self) -> i64 {
        created(self.run.ask.request)
    }

    /// Reads until there is content; what came before it is held back, so that a failure up to
    /// here stays unseen.
    async fn streamed(
        &mut self,
        call: Call,
        open: &mut OpenAttempt,
    ) -> Result<(Pump, UpstreamBody), Failing> {
        let patience = self.run.time_left().min(self.run.pool.policy.timeouts().first_content);
        let deadline = Instant::now() + patience;
        let response = self.send(call, open, deadline).await?;
        if !is_event_stream(&response.headers) {
            return Err((self.not_a_stream(response, deadline).await, None));
        }
        let mut pump = self.pump();
        let mut body = response.body;
        let mut deadline = deadline;
        while !pump.committed() && !pump.ended() {
            let frame = timeout_at(deadline, body.frame())
                .await
                .map_err(|_elapsed| late("the upstream sent no content in time"))?;
            if pump.began() {
                // It speaks, though not yet to the client: from here on only silence counts.
                let patience = self.run.time_left().min(self.run.pool.policy.timeouts().idle);
                deadline = Instant::now() + patience;
            }
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        let fed = pump.feed(data, &mut open.seen);
                        self.unfit = pump.unfit().cloned().map(Box::new);
                        fed.map_err(|fault| (fault, None))?;
                    }
                }
                Some(Err(fault)) => return Err((fault, None)),
                None => pump.close(&mut open.seen).map_err(|fault| (fault, None))?,
            }
        }
        open.note_content();
        Ok((pump, body))
    }

    /// What a 200 says that is no stream: an error body, or nothing of use.
    async fn not_a_stream(&self, response: UpstreamResponse, deadline: Instant) -> Fault {
        let body = timeout_at(deadline, read_to_end(response.body, ERROR_LIMIT)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        observe_answer(self.prepared.dialect, &body).err().unwrap_or_else(|| {
            Fault::new(
                FaultKind::MalformedAnswer,
                "a stream was asked for, and the upstream sent something else",
            )
        })
    }

    fn pump(&self) -> Pump {
        let ask = &self.run.ask;
        let (dialect, changed) = (self.prepared.dialect, &self.prepared.changed);
        let joins = self.run.leg.as_ref().and_then(|leg| leg.joins(dialect, &self.target, changed));
        if let Some(joins) = joins {
            return Pump::joined(ask.dialect, joins);
        }
        match self.prepared.lane {
            Lane::Fast => {
                let rename = self.run.pool.named_many.then(|| self.target.clone());
                Pump::fast(ask.dialect, !self.prepared.client_wants_usage, rename, self.own_id())
            }
            Lane::Slow => {
                let options = StreamOptions {
                    model: self.run.pool.named_many.then(|| self.target.clone()),
                    id: answer_id(ask.dialect, ask.request),
                    created: self.created(),
                    include_usage: self.prepared.client_wants_usage,
                    request: repeated(ask.dialect, &ask.body).cloned(),
                };
                Pump::slow(ask.dialect, dialect, options, changed)
            }
        }
    }

    fn flow(&mut self, (pump, body): (Pump, UpstreamBody), open: OpenAttempt) -> Flow {
        Flow {
            pump,
            body,
            open: Some(open),
            idle: self.run.pool.policy.timeouts().idle,
            waiting_since: None,
            request: self.run.ask.request,
            dialect: self.run.ask.dialect,
            pending: Vec::new().into_iter(),
            note: self.note.take(),
            stopping: self.stopping.clone(),
            ended: None,
        }
    }
}

enum Carried {
    Whole(Bytes),
    /// A turn of a longer run, as it came and as it reads.
    Turn(Bytes, Box<Answer>),
    Stream(Box<(Pump, UpstreamBody)>),
}

/// Seconds since 1970, as a request's id tells them.
pub(crate) fn created(request: RequestId) -> i64 {
    i64::try_from(request.unix_ms() / 1_000).unwrap_or(i64::MAX)
}

fn late(message: &'static str) -> Failing {
    (Fault::new(FaultKind::Timeout, message), None)
}

fn cut_short(error: ReadError) -> Fault {
    match error {
        ReadError::TooLarge { .. } => internal("the upstream's answer is larger than Baton takes"),
        ReadError::Stalled(_) => Fault::new(FaultKind::Timeout, "the upstream's answer stopped coming"),
        ReadError::Broken(source) => {
            source.downcast::<Fault>().map_or_else(|_other| ended_early(), |fault| *fault)
        }
        _ => ended_early(),
    }
}

fn ended_early() -> Fault {
    Fault::new(FaultKind::Truncated, "the upstream's answer ended before its end")
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/event-stream"))
}

/// An answer's id in the client's dialect, for an upstream whose own id has another form.
pub(crate) fn answer_id(dialect: Dialect, request: RequestId) -> String {
    let digits = request.uuid().simple();
    match dialect {
        Dialect::OpenaiChat => format!("chatcmpl-{digits}"),
        Dialect::AnthropicMessages => format!("msg_{digits}"),
        Dialect::OpenaiResponses => format!("resp_{digits}"),
    }
}

/// The upstream headers that a client may see.
pub(crate) fn shown(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| is_shown(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn is_shown(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-ratelimit-")
        || name.starts_with("anthropic-ratelimit-")
        || matches!(name, "openai-processing-ms" | "openai-version")
}
