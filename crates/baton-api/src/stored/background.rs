//! Responses that are made in the background: taken in, carried out, followed, stopped.
//!
//! ```text
//! POST ─ response stored as queued ─ its run queued ─ answered at once
//!            └ whoever claims the run: response in progress ─ step written ─ model asked ─ response ended ─ run ended
//! ```
//!
//! A run whose holder died is taken by another one. Nothing says then whether the provider answered. The model is
//! asked again, under the same run and with a decision of its own, because a question that nobody heard the answer of
//! does no harm but its price. Two things are not begun anew, and end as failed: what runs tools here, because those
//! may have had their effect; and a stream of which content was told, because it cannot be taken back.
//!
//! - Start with [`begin`]; [`take`] carries out what was claimed.
//! - **Invariant:** nothing is asked before the step that says so is written.
//! - **Invariant:** the number of an event is the number under which it is stored, and it is told under no other.
//! - **Invariant:** the first end of a response stays; its run ends after it, and as it did.

mod order;
mod telling;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use baton_dialect::decode_request;
use baton_engine::{AnswerStream, Ask, Checkpoint, Engine, Kept, ReplyBody, RunFault, RunTerms, Within};
use baton_model::{RawJson, RawObject, RunId};
use baton_net::sse::{DEFAULT_EVENT_LIMIT, SseDecoder};
use baton_state::responses::{NewResponse, ResponseId, ResponseStatus, StoredResponse, Updated, items};
use baton_state::runs::{Claimed, KnownCalls, NewRun, RunKind, RunStatus, StepError};
use baton_state::{Responses, StateError, StateErrorKind};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use self::order::Order;
use self::telling::{Heard, Telling, failed, own, queued, with_status};
use super::{Keep, failed as unreadable_store, one_provider};
use crate::error::ApiError;
use crate::reply::RUN_ID;
use crate::runs::RunDesk;
use crate::runs::events::{Reading, frames_as};

/// After so many beginnings it is given up: each is a question that is paid for, and it may be what kills its holders.
const MOST_BEGINNINGS: u64 = 8;
/// The longest pause between two tries to write an end that the store did not take.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// So much of a stream is written in one step at most, if more has come.
const STEP_BYTES: usize = 256 * 1024;

/// Stores a response that is to be made, and answers with it as it is queued, or with its events.
pub(super) async fn begin<P: Send + Unpin + 'static>(
    desk: &RunDesk,
    engine: &Engine,
    mut ask: Ask,
    keep: Keep,
    place: P,
) -> Result<Response, ApiError> {
    if !keep.is_wanted {
        let message = "a response that is made in the background is stored: leave out `store: false`";
        return Err(ApiError::invalid(message, Some("store")));
    }
    if ask.byok.is_some() {
        let message =
            "a response that is made in the background outlives its request, and a key is not kept for it";
        return Err(ApiError::invalid(message, Some("x-provider-key")));
    }
    // Done here, and so nothing that a target could lose.
    ask.body = RawObject::parse(ask.body.rewritten(&[("background", None)]).into())?;
    // What can be known to be wrong is told before anything is stored.
    engine.dry_run(&ask)?;
    if one_provider(engine, &ask).is_none() {
        // It is converted for somebody, and what cannot be is told now.
        drop(decode_request(ask.dialect, &ask.body)?);
    }
    let run = engine.ids().run();
    let order = Order::of(engine, &ask)?;
    let unwritable = |error: &dyn std::error::Error| {
        tracing::error!(error = %error, "a response for the background cannot be written down");
        ApiError::internal()
    };
    let request = RawJson::of(&order).map_err(|error| unwritable(&error))?;
    let body = queued(&ask, keep.id, keep.previous).ok_or_else(ApiError::internal)?;
    let input = items::of_request(keep.id, &keep.input)
        .map_err(|error| ApiError::invalid(error.to_string(), Some(error.path())))?;
    let new = NewResponse {
        id: keep.id,
        principal: &keep.principal,
        subject: &keep.subject,
        run: Some(run),
        previous: keep.previous,
        status: ResponseStatus::Queued,
        input: &input,
        body: &body,
    };
    let responses = keep.stored_in().ok_or_else(ApiError::internal)?;
    responses.create(&new).await.map_err(|error| unreadable_store(&error))?;
    let new = NewRun {
        id: run,
        kind: RunKind::Response,
        principal: &keep.principal,
        subject: &keep.subject,
        request: &request,
    };
    if let Err(error) = desk.queue_as(&new).await {
        // Nobody has its id yet.
        drop(responses.delete(&keep.principal, keep.id).await);
        return Err(unreadable_store(&error));
    }
    let mut response = if order.stream {
        follow(desk, keep.principal, run, 0, place)
    } else {
        let mut response = Response::new(Body::from(body.get().to_owned()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    if let Ok(run) = HeaderValue::try_from(run.to_string()) {
        response.headers_mut().insert(RUN_ID.clone(), run);
    }
    Ok(response)
}

/// Whether the events of this run are told as they come; nothing where it is not there any more.
pub(super) async fn is_streamed(
    desk: &RunDesk,
    principal: &str,
    run: RunId,
) -> Result<Option<bool>, StateError> {
    let stored = desk.runs().get(principal, run).await?;
    Ok(stored.map(|stored| stored.request.read::<Order>().is_ok_and(|order| order.stream)))
}

/// The events of a response from this number on, each once it is written.
pub(super) fn follow<P: Send + 'static>(
    desk: &RunDesk,
    principal: String,
    run: RunId,
    from: u64,
    place: P,
) -> Response {
    let reading = Reading { desk: desk.clone(), principal, run, from, ends_at_rest: false };
    let frames = frames_as(telling::frame, reading, None, place).map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Ends a response that nobody wants any more, and lets go of whoever makes it. As it is then; nothing where it is
/// not there.
pub(super) async fn cancel(
    desk: &RunDesk,
    responses: &Responses,
    principal: &str,
    stored: StoredResponse,
    run: RunId,
) -> Result<Option<StoredResponse>, StateError> {
    if stored.status.is_end() {
        return Ok(Some(stored));
    }
    let cancelled = with_status(&stored.body, ResponseStatus::Cancelled)
        .ok_or_else(|| StateError::new(StateErrorKind::Corrupt, "a stored response is no object"))?;
    let status = ResponseStatus::Cancelled;
    responses.update(principal, &stored.subject, stored.id, status, &cancelled).await?;
    desk.cancel(principal, run).await?;
    responses.get(principal, stored.id).await
}

/// Carries out a run that was claimed.
pub(crate) async fn take(desk: &RunDesk, claimed: Claimed, place: Option<OwnedSemaphorePermit>) {
    // None are claimed where none are stored.
    let Some(responses) = desk.responses().cloned() else { return };
    let checkpoint = claimed.checkpoint.as_ref().map(RawJson::read::<Checkpoint>).transpose();
    let order = claimed.request.read::<Order>();
    let Claimed { mut lease, cancelled, .. } = claimed;
    let run = lease.run();
    let (Ok(order), Ok(checkpoint)) = (order, checkpoint) else {
        tracing::error!(run = %run, "a stored run cannot be read, and is ended");
        if let Ok(result) = RawJson::of(&serde_json::json!({})) {
            let step = baton_state::runs::Step::default();
            drop(desk.runs().finish(&mut lease, &step, RunStatus::Failed, &result).await);
        }
        return;
    };
    let (row, beginnings, told) = (lease.row(), lease.epoch(), lease.events());
    let has_begun = checkpoint.is_some();
    let terms = RunTerms { max_tokens: None, until_ms: None, follow_handoffs: true, approvals: None };
    let pause = desk.tasks().stop_token().child_token();
    let runs = Arc::clone(desk.runs());
    let checkpoint = checkpoint.unwrap_or_default();
    let kept = Arc::new(Kept::new(runs, lease, KnownCalls::default(), checkpoint, terms, pause));
    let making = Making {
        desk: desk.clone(),
        telling: Telling::new(Arc::clone(&kept), told, order.stream),
        kept: Arc::clone(&kept),
        responses,
        order,
        is_cancelled: cancelled,
        has_begun,
        beginnings,
    };
    desk.hold_while(kept, row, place, making.carry());
}

/// A response that is being made.
struct Making {
    desk: RunDesk,
    responses: Arc<Responses>,
    order: Order,
    kept: Arc<Kept>,
    telling: Telling,
    is_cancelled: bool,
    /// Whether an earlier holder may have asked already.
    has_begun: bool,
    beginnings: u64,
}

/// How asking went.
enum Over {
    /// With this response object, whoever wrote it.
    Answered(RawObject),
    /// With an error.
    Failed(RunFault),
    /// Nobody wants it any more.
    Cancelled,
    /// This process stops.
    Paused,
}

impl Making {
    async fn carry(mut self) -> Result<(), StepError> {
        let id = ResponseId::of(self.order.request);
        let Some(stored) = self.responses.get(&self.order.principal, id).await? else {
            // It was deleted.
            return self.finish(RunStatus::Cancelled).await;
        };
        if stored.status.is_end() {
            return self.end_as(&stored).await;
        }
        if self.is_cancelled {
            return self.end(&stored, Over::Cancelled).await;
        }
        if let Some(fault) = self.why_not() {
            return self.end(&stored, Over::Failed(fault)).await;
        }
        let in_progress = with_status(&stored.body, ResponseStatus::InProgress).ok_or_else(no_object)?;
        let status = ResponseStatus::InProgress;
        let principal = &self.order.principal;
        match self.responses.update(principal, &stored.subject, id, status, &in_progress).await? {
            Updated::Done => {}
            Updated::Ended | Updated::Gone => return self.end_as_it_is(&stored).await,
        }
        self.telling.begin(&stored.body, &in_progress);
        // Written before anybody is asked: whoever comes next knows that somebody may have been.
        self.telling.hand_over().await;
        self.kept.flush().await?;
        let over = Box::pin(self.ask()).await?;
        if self.kept.is_lost() {
            return Err(StepError::Lost);
        }
        self.end(&stored, over).await
    }

    /// Why it is not begun, or not once more.
    fn why_not(&self) -> Option<RunFault> {
        let fault = |code: &str, message: &str| {
            Some(RunFault { code: code.to_owned(), message: message.to_owned(), param: None })
        };
        if self.desk.gate().recall(&self.order.principal).is_err() {
            return fault("key_not_valid", "the API key that asked for the response is not valid any more");
        }
        if self.beginnings > MOST_BEGINNINGS {
            return fault("given_up", "the response was begun too often without an end");
        }
        if self.has_begun && self.order.acts {
            return fault(
                "outcome_unknown",
                "what made the response ended, and may have run tools: it is not begun anew",
            );
        }
        if self.telling.has_content() {
            return fault(
                "interrupted",
                "what made the response ended when a part of it was told: it is not begun anew",
            );
        }
        None
    }

    /// Asks, and tells what comes as it comes.
    async fn ask(&mut self) -> Result<Over, StepError> {
        let mut ask = match self.order.ask() {
            Ok(ask) => ask,
            Err(error) => return Ok(Over::Failed(error.into_fault())),
        };
        ask.within = Some(Arc::new(Within::new(self.kept.run())));
        let engine = Arc::clone(self.desk.engine());
        let may_pause = !self.order.acts;
        let reply = tokio::select! {
            biased;
            over = self.halted(may_pause) => return Ok(over),
            reply = Box::pin(engine.answer(ask)) => reply,
        };
        let body = match reply {
            Ok(reply) => reply.body,
            Err(refusal) => return Ok(Over::Failed(ApiError::from(refusal).into_fault())),
        };
        match body {
            ReplyBody::Whole(bytes) => Ok(answered(bytes)),
            ReplyBody::Stream(stream) => self.hear(stream, may_pause).await,
            ReplyBody::Coming(coming) => {
                let coming = tokio::select! {
                    biased;
                    over = self.halted(may_pause) => return Ok(over),
                    coming = coming => coming,
                };
                Ok(match coming {
                    Ok((_, bytes)) => answered(bytes),
                    Err(refusal) => Over::Failed(ApiError::from(*refusal).into_fault()),
                })
            }
        }
    }

    /// Waits until it is to stop. What can be begun anew is let go when the process is about to end, all else when
    /// the tasks are to stop.
    async fn halted(&self, may_pause: bool) -> Over {
        let stopping: &CancellationToken =
            if may_pause { self.desk.stopping() } else { self.desk.tasks().stop_token() };
        tokio::select! {
            biased;
            () = self.kept.cancel.cancelled() => Over::Cancelled,
            () = self.kept.pause.cancelled() => Over::Paused,
            () = stopping.cancelled() => Over::Paused,
        }
    }

    /// Takes a stream down, event by event. What has come meanwhile is written in one step.
    async fn hear(&mut self, mut stream: AnswerStream, may_pause: bool) -> Result<Over, StepError> {
        let broken = |message: String| {
            Ok(Over::Failed(RunFault { code: "upstream_error".to_owned(), message, param: None }))
        };
        let mut decoder = SseDecoder::new(DEFAULT_EVENT_LIMIT);
        // What has come already, and how much since the last step.
        let (mut ahead, mut taken) = (None, 0);
        loop {
            let may_pause = may_pause && !self.telling.has_content();
            let next = match ahead.take() {
                Some(next) => next,
                None => tokio::select! {
                    biased;
                    over = self.halted(may_pause) => return Ok(over),
                    next = stream.next() => next,
                },
            };
            let data = match next {
                Some(Ok(data)) => data,
                Some(Err(fault)) => return broken(fault.message),
                None => return broken("the answer ended without its end".to_owned()),
            };
            taken += data.len();
            decoder.push(data);
            while let Some(event) = match decoder.next_event() {
                Ok(event) => event,
                Err(error) => return broken(error.to_string()),
            } {
                if let Heard::End(object) = self.telling.hear(&event.data) {
                    return Ok(Over::Answered(object));
                }
            }
            if taken < STEP_BYTES {
                ahead = stream.next().now_or_never();
            }
            if ahead.is_none() {
                self.telling.write().await?;
                taken = 0;
            }
        }
    }

    /// Writes how it ended: the response first, its run then.
    async fn end(&mut self, stored: &StoredResponse, over: Over) -> Result<(), StepError> {
        let (status, body) = match over {
            Over::Paused => {
                // Somebody else goes on at once.
                return self.kept.rest(RunStatus::InProgress, Some(self.now_ms())).await;
            }
            Over::Answered(object) => own(&object, &stored.body, self.now_ms() / 1_000),
            Over::Cancelled => {
                (ResponseStatus::Cancelled, with_status(&stored.body, ResponseStatus::Cancelled))
            }
            Over::Failed(fault) => {
                self.telling.error(&fault);
                (ResponseStatus::Failed, failed(&stored.body, &fault, self.telling.items()))
            }
        };
        let body = body.ok_or_else(no_object)?;
        let mut pause = Duration::from_millis(50);
        let updated = loop {
            let principal = &self.order.principal;
            match self.responses.update(principal, &stored.subject, stored.id, status, &body).await {
                Err(error) if error.kind() == StateErrorKind::Unavailable && !self.kept.is_halted() => {
                    tracing::warn!(error = %error, response = %stored.id, "the end of a response was not written; it is sent again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                updated => break updated?,
            }
        };
        match updated {
            Updated::Done => {
                self.telling.end(status, &body);
                self.finish(run_status(status)).await
            }
            Updated::Ended | Updated::Gone => self.end_as_it_is(stored).await,
        }
    }

    /// Ends the run of a response that has ended otherwise, or is gone.
    async fn end_as_it_is(&mut self, stored: &StoredResponse) -> Result<(), StepError> {
        match self.responses.get(&self.order.principal, stored.id).await? {
            Some(stored) => self.end_as(&stored).await,
            None => self.finish(RunStatus::Cancelled).await,
        }
    }

    async fn end_as(&mut self, ended: &StoredResponse) -> Result<(), StepError> {
        self.telling.end(ended.status, &ended.body);
        self.finish(run_status(ended.status)).await
    }

    async fn finish(&mut self, status: RunStatus) -> Result<(), StepError> {
        let result = RawJson::of(&serde_json::json!({})).map_err(|_no_json| no_object())?;
        self.telling.hand_over().await;
        self.kept.finish(status, &result).await
    }

    fn now_ms(&self) -> u64 {
        self.desk.engine().ids().now_ms()
    }
}

fn answered(bytes: Bytes) -> Over {
    match RawObject::parse(bytes) {
        Ok(object) => Over::Answered(object),
        Err(_not_shown) => {
            let message = "the answer is no response".to_owned();
            Over::Failed(RunFault { code: "upstream_malformed".to_owned(), message, param: None })
        }
    }
}

const fn run_status(status: ResponseStatus) -> RunStatus {
    match status {
        ResponseStatus::Completed => RunStatus::Completed,
        ResponseStatus::Incomplete => RunStatus::Incomplete,
        ResponseStatus::Cancelled => RunStatus::Cancelled,
        // A response has ended when its run does.
        ResponseStatus::Failed | ResponseStatus::Queued | ResponseStatus::InProgress => RunStatus::Failed,
    }
}

fn no_object() -> StateError {
    StateError::new(StateErrorKind::Corrupt, "a stored response is no object")
}
