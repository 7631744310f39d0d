//! Answers a request that carries an `Idempotency-Key` once, however often it comes.
//!
//! Such a request runs in a task of its own, and whoever sent it listens. So it goes on when the one
//! who sent it first is gone and another one has come for it; when all are gone, it ends.
//!
//! - Start with [`Repeats::answer`].
//! - **Invariant:** an answer that a client library would ask for again is not kept.
//! - **Invariant:** a request that was refused before anything was decided leaves its key free.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use baton_engine::{Ask, Engine};
use baton_model::{Dialect, RequestId};
use baton_net::tasks::Tasks;
use baton_state::Idempotency;
use baton_state::idempotency::{Answer, Asked, Begun, Head, IdempotencyKey, Listener, Recording, Verdict};
use bytes::Bytes;
use futures_util::stream;
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::ahead::FailedLate;
use crate::error::ApiError;
use crate::gate::Admitted;
use crate::reply::DECISION_ID;
use crate::stored::Shelf;
use crate::surface::Surface;

static KEY: HeaderName = HeaderName::from_static("idempotency-key");
static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// As much of the end of a stream as is looked at, to know how it ended.
const TAIL: usize = 512;

/// The keys of clients, and the tasks of the requests that carry one.
#[derive(Clone, Debug)]
pub(crate) struct Repeats {
    keys: Arc<Idempotency>,
    tasks: Tasks,
    shelf: Shelf,
}

/// The key that a request carries.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all(&KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |what: &str| {
        ApiError::invalid(format!("`Idempotency-Key` cannot be used: {what}"), Some("idempotency-key"))
    };
    if values.next().is_some() {
        return Err(wrong("it stands twice in the request"));
    }
    let text = value.to_str().map_err(|_error| wrong("it may have printable ASCII characters only"))?;
    text.parse().map(Some).map_err(|error: baton_state::idempotency::KeyError| wrong(&error.to_string()))
}

impl Repeats {
    pub(crate) const fn new(keys: Arc<Idempotency>, tasks: Tasks, shelf: Shelf) -> Self {
        Self { keys, tasks, shelf }
    }

    /// The answer to this request: its own, or that of an earlier one of the same key.
    pub(crate) async fn answer(
        &self,
        engine: &Arc<Engine>,
        surface: Surface,
        key: &IdempotencyKey,
        ask: Ask,
        admitted: Admitted,
    ) -> Result<Response, ApiError> {
        let asked =
            Asked { principal: &ask.caller.principal, surface: surface.path, key, body: ask.body.body() };
        let begun = self.keys.begin(&asked).map_err(|error| {
            tracing::error!(error = %error, cause = ?std::error::Error::source(&error).map(ToString::to_string), "a request was not taken");
            ApiError::key_not_recorded()
        })?;
        match begun {
            Begun::New(recording, listener) => {
                self.spawn(Arc::clone(engine), surface, ask, recording);
                hear(listener, admitted).await
            }
            Begun::Running(listener) => hear(listener, admitted).await.map(as_replayed),
            Begun::Answered(answer) => Ok(as_replayed(response(answer.head, Body::from(answer.body)))),
            Begun::OtherRequest => Err(ApiError::key_reused()),
            Begun::Unknown => Err(ApiError::outcome_unknown()),
        }
    }

    /// Carries a request out for as long as somebody wants its answer.
    fn spawn(&self, engine: Arc<Engine>, surface: Surface, ask: Ask, recording: Recording) {
        let left = recording.left();
        let stopped = self.tasks.stop_token().clone().cancelled_owned();
        let shelf = self.shelf.clone();
        drop(self.tasks.spawn(async move {
            let (id, dialect) = (ask.request, surface.dialect);
            tokio::select! {
                // Dropped, the request is closed and recorded like any other whose client left.
                () = left => {}
                // All connections are closed by then.
                () = stopped => {}
                () = record(engine, shelf, dialect, id, ask, recording) => {}
            }
        }));
    }
}

/// Carries a request out and records what is answered.
async fn record(
    engine: Arc<Engine>,
    shelf: Shelf,
    dialect: Dialect,
    id: RequestId,
    ask: Ask,
    recording: Recording,
) {
    let response = match Box::pin(shelf.answer(&engine, ask, ())).await {
        Ok(response) => response,
        Err(error) => error.into_response_as(dialect, id),
    };
    write(dialect, response, recording).await;
}

async fn write(dialect: Dialect, response: Response, recording: Recording) {
    let (parts, mut body) = response.into_parts();
    let failed = parts.extensions.get::<FailedLate>().cloned();
    let head = Head { status: parts.status, headers: parts.headers };
    let verdict = verdict(&head);
    if body.size_hint().exact().is_some() {
        // Nothing is waited for: it is all there. Dropped, a recording is an answer that broke off.
        if let Ok(body) = body.collect().await {
            recording.whole(Answer { head, body: body.to_bytes() }, verdict);
        }
        return;
    }
    let is_stream = head.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/json");
    recording.head(head);
    let mut ending = Ending::new(dialect);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return };
        if let Ok(data) = frame.into_data() {
            ending.add(&data);
            recording.push(data).await;
        }
    }
    let ended_well =
        if is_stream { ending.ended_well() } else { !failed.is_some_and(|failed| failed.has_failed()) };
    recording.end(if ended_well { verdict } else { Verdict::Forget });
}

/// Whether an answer is given again. What client libraries ask for again by themselves is not, so
/// that a repeat really tries; and before a decision nothing was done that could be done twice.
fn verdict(head: &Head) -> Verdict {
    let decided = head.headers.contains_key(&DECISION_ID);
    let again = matches!(
        head.status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
    );
    let is_final = head.status.is_success() || head.status.is_client_error();
    if decided && is_final && !again { Verdict::Keep } else { Verdict::Forget }
}

/// Watches how a stream ends.
enum Ending {
    /// By its last bytes, where the end mark stands alone.
    Tail(Dialect, Vec<u8>),
    /// By the names of its events, where the last one has the whole answer behind its name.
    Names { line: Vec<u8>, ended: Option<bool> },
}

impl Ending {
    const fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenaiChat | Dialect::AnthropicMessages => Self::Tail(dialect, Vec::new()),
            Dialect::OpenaiResponses => Self::Names { line: Vec::new(), ended: None },
        }
    }

    fn add(&mut self, data: &Bytes) {
        match self {
            Self::Tail(_, tail) => {
                let data = data.get(data.len().saturating_sub(TAIL)..).unwrap_or_default();
                let surplus = (tail.len() + data.len()).saturating_sub(TAIL);
                tail.drain(..surplus);
                tail.extend_from_slice(data);
            }
            Self::Names { line, ended } => {
                for (at, piece) in data.split(|byte| *byte == b'\n').enumerate() {
                    if at > 0 {
                        *ended = end_of(line).or(*ended);
                        line.clear();
                    }
                    let room = LINE.saturating_sub(line.len()).min(piece.len());
                    line.extend_from_slice(piece.get(..room).unwrap_or_default());
                }
            }
        }
    }

    /// Whether the stream's end mark came, and not an error instead.
    fn ended_well(&self) -> bool {
        match self {
            Self::Tail(dialect, tail) => {
                let has = |needle: &[u8]| tail.windows(needle.len()).any(|window| window == needle);
                let mark: &[u8] =
                    if *dialect == Dialect::AnthropicMessages { b"message_stop" } else { b"[DONE]" };
                has(mark) && !has(b"event: error")
            }
            Self::Names { ended, .. } => *ended == Some(true),
        }
    }
}

/// As much of the beginning of a line as can name an event.
const LINE: usize = 64;

/// What the beginning of a line says of the end of a response: whether it is good, if it says anything.
fn end_of(line: &[u8]) -> Option<bool> {
    let line = str::from_utf8(line.trim_ascii()).ok()?;
    // Some servers name an event in its data alone.
    let name = match line.strip_prefix("event:") {
        Some(name) => name.trim(),
        None => line.strip_prefix("data:")?.trim_start().strip_prefix("{\"type\":\"")?.split('"').next()?,
    };
    match name {
        "response.completed" | "response.incomplete" => Some(true),
        "response.failed" | "error" => Some(false),
        _ => None,
    }
}

/// The answer that is being recorded. The caller's place is held until its last byte.
async fn hear(mut listener: Listener, admitted: Admitted) -> Result<Response, ApiError> {
    let head = listener.head().await.map_err(|_broken| ApiError::internal())?;
    let body = match listener.rest() {
        Some(whole) => Body::from(whole),
        None => Body::from_stream(stream::unfold(Some((listener, admitted.permit)), |heard| async {
            let (mut listener, permit) = heard?;
            match listener.next().await {
                Ok(piece) => Some((Ok(piece?), Some((listener, permit)))),
                Err(broken) => Some((Err(broken), None)),
            }
        })),
    };
    Ok(response(head, body))
}

fn response(head: Head, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

fn as_replayed(mut response: Response) -> Response {
    response.headers_mut().insert(&REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests;
