//! Stored responses: a request goes on from an earlier one, and its answer can be asked for again.
//!
//! Before the engine, the conversation behind `previous_response_id` is put in front of the request's own
//! `input`, items of stored responses where it names them, and what was summed up where it has a sealed summary.
//! Behind it, what Baton wrote is stored before the client sees its end. What a provider wrote is passed on untouched:
//! that provider keeps it, and its ids are not ours.
//!
//! - Start with [`Shelf::answer`].
//! - **Invariant:** a client that has the end of an answer that says `"store": true` can ask for it.
//! - **Invariant:** an end does not wait for the store beyond [`STORE_PATIENCE`]. What is late is not stored, and the
//!   response says so.
//! - **Invariant:** of a stream nothing is held back but the events that say how the response stands.
//! - **Never here:** how long responses are kept, and how they are sealed.

pub(crate) mod background;
pub(crate) mod compact;
mod events;
mod references;
pub(crate) mod routes;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use baton_engine::{AnswerStream, Ask, ComingAnswer, Engine, Reply, ReplyBody};
use baton_model::{Dialect, Fault, RawJson, RawObject};
use baton_net::tasks::Tasks;
use baton_run::HandoffMode;
use baton_state::responses::{ChainError, NewResponse, ResponseId, ResponseStatus, StoredResponse, items};
use baton_state::{Compactions, Responses, StateError, StateErrorKind, Subject};
use baton_upstream::Upstream;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::oneshot;

use self::events::{Events, Piece};
use crate::error::ApiError;
use crate::reply::respond;
use crate::runs::RunDesk;

/// The longest that the end of an answer waits for the store.
const STORE_PATIENCE: Duration = Duration::from_secs(1);

/// The stored responses, where any are stored, and what opens what clients keep for themselves.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    responses: Option<Arc<Responses>>,
    compactions: Arc<Compactions>,
    desk: RunDesk,
}

impl Shelf {
    pub(crate) const fn new(
        responses: Option<Arc<Responses>>,
        compactions: Arc<Compactions>,
        desk: RunDesk,
    ) -> Self {
        Self { responses, compactions, desk }
    }

    /// Carries a request out. One for a response may go on from a stored one, and is stored itself.
    pub(crate) async fn answer<P: Send + Unpin + 'static>(
        &self,
        engine: &Arc<Engine>,
        mut ask: Ask,
        place: P,
    ) -> Result<Response, ApiError> {
        let (id, dialect) = (ask.request, ask.dialect);
        if dialect != Dialect::OpenaiResponses {
            return Ok(respond(dialect, id, engine.answer(ask).await?, place).await);
        }
        let Begun { keep, before } = self.begin(engine, &mut ask).await?;
        if self.takes_to_background(engine, &ask) {
            let begun = Box::pin(background::begin(&self.desk, engine, ask, keep, place)).await;
            return begun.map_err(|error| error.behind(before));
        }
        let reply = engine.answer(ask).await.map_err(|refusal| ApiError::from(refusal).behind(before))?;
        Ok(respond(dialect, id, keep.of(reply).await, place).await)
    }

    /// Whether a request is made in the background here. A provider that keeps its responses itself does that itself
    /// where nobody else is named, and where none are stored here nobody does.
    fn takes_to_background(&self, engine: &Engine, ask: &Ask) -> bool {
        ask.body.get("background") == Some(b"true")
            && self.responses.is_some()
            && one_provider(engine, ask).is_none_or(|upstream| upstream.dialect() != ask.dialect)
    }

    /// Puts the conversation that a request goes on from in front of its input.
    async fn begin(&self, engine: &Engine, ask: &mut Ask) -> Result<Begun, ApiError> {
        let body = &ask.body;
        let text = |key| body.read::<Cow<'_, str>>(key).ok().flatten();
        let principal = ask.caller.principal.clone();
        let mut keep = Keep {
            responses: self.responses.clone(),
            tasks: self.desk.tasks().clone(),
            id: ResponseId::of(ask.request),
            subject: Subject::of(&principal, text("safety_identifier").as_deref(), text("user").as_deref()),
            previous: None,
            input: body.get_bytes("input").unwrap_or_default(),
            is_wanted: self.responses.is_some() && body.get("store").is_none_or(|store| store == b"true"),
            principal,
        };
        let mut edits = Vec::new();
        let mut before = 0;
        let mut input = None;
        if let Some(responses) = &self.responses {
            keep.previous = text("previous_response_id").and_then(|id| id.parse().ok());
            input = references::resolve(responses, &keep.principal, &keep.input).await?;
            if let Some(input) = &input {
                keep.input = input.clone();
            }
            if let Some(previous) = keep.previous {
                let conversation =
                    responses.conversation(&keep.principal, previous).await.map_err(refused)?;
                let (count, whole) = continued(&conversation, &keep.input)?;
                before = count;
                input = Some(whole);
                edits.push(("previous_response_id", None));
            }
        }
        let opened = compact::open(&self.compactions, &keep.principal, input.as_ref().unwrap_or(&keep.input));
        let opened = opened.map_err(|error| error.behind(before))?;
        if let Some(foreign) = opened.foreign
            && one_provider(engine, ask).is_none()
        {
            return Err(ApiError::no_compaction(foreign).behind(before));
        }
        input = opened.input.or(input);
        if let Some(input) = input {
            edits.push(("input", Some(input)));
        }
        // Done here, and so nothing that a target could lose. A provider of the same dialect is told.
        let is_told = || is_for_its_own_dialect(engine, ask);
        if self.responses.is_some() && body.get("store") == Some(b"true") && !is_told() {
            edits.push(("store", None));
        }
        if !edits.is_empty() {
            ask.body = RawObject::parse(ask.body.rewritten(&edits).into())?;
        }
        Ok(Begun { keep, before })
    }
}

/// A request that can be carried out.
struct Begun {
    keep: Keep,
    /// How many items stand in front of its own.
    before: usize,
}

/// The one provider that a request can go to, where that speaks its dialect.
fn one_provider(engine: &Engine, ask: &Ask) -> Option<Arc<Upstream>> {
    let settings = engine.settings();
    let catalog = &settings.catalog;
    let speaks = |upstream: &&Arc<Upstream>| upstream.speaks(ask.dialect);
    if let Some(byok) = &ask.byok {
        return catalog.upstream(&byok.provider).filter(speaks).cloned();
    }
    let pool = catalog.resolve(&ask.models, ask.policy.as_deref()).ok()?;
    let mut providers = pool.candidates.iter().map(|candidate| &candidate.target.provider);
    let first = providers.next()?;
    let is_one = pool.handoff == HandoffMode::Off && !ask.models.hands_off();
    catalog
        .upstream(first)
        .filter(speaks)
        .filter(|_| is_one && providers.all(|other| other == first))
        .cloned()
}

/// Whether all that the request names are models of providers that speak its dialect.
fn is_for_its_own_dialect(engine: &Engine, ask: &Ask) -> bool {
    let settings = engine.settings();
    let catalog = &settings.catalog;
    ask.models.names.iter().all(|name| {
        let provider = catalog.model(name).map(|entry| entry.target.provider);
        let upstream = provider.and_then(|provider| catalog.upstream(&provider));
        upstream.is_some_and(|upstream| upstream.speaks(ask.dialect))
    })
}

/// How many items a conversation has, and those with the request's own input behind them. An input that
/// is none stays: the engine says what is wrong with it.
fn continued(conversation: &[StoredResponse], own: &Bytes) -> Result<(usize, Bytes), ApiError> {
    let mut given = Vec::new();
    for response in conversation {
        given.extend(response.input.iter().cloned());
        given.extend(items::of_output(response.id, &response.body).map_err(|error| unreadable(&error))?);
    }
    let own = own.trim_ascii();
    let own = match own.first() {
        Some(b'"') => [b"{\"role\":\"user\",\"content\":".as_slice(), own, b"}"].concat(),
        Some(b'[') => {
            own.strip_prefix(b"[").and_then(|own| own.strip_suffix(b"]")).unwrap_or_default().to_vec()
        }
        _ => return Ok((0, Bytes::copy_from_slice(own))),
    };
    let mut list: Vec<&[u8]> = given.iter().map(|item| item.json().get().as_bytes()).collect();
    if !own.trim_ascii().is_empty() {
        list.push(&own);
    }
    Ok((given.len(), [b"[".as_slice(), &list.join(&b','), b"]"].concat().into()))
}

/// What is stored of an answer, once it is there.
struct Keep {
    /// Where it is stored; nowhere where none are.
    responses: Option<Arc<Responses>>,
    tasks: Tasks,
    id: ResponseId,
    principal: String,
    subject: Subject,
    previous: Option<ResponseId>,
    /// The request's own, as it was sent.
    input: Bytes,
    is_wanted: bool,
}

impl Keep {
    /// The reply, stored before its end.
    async fn of(self, reply: Reply) -> Reply {
        let Reply { head, body } = reply;
        let body = match body {
            ReplyBody::Whole(bytes) => ReplyBody::Whole(self.whole(bytes).await),
            ReplyBody::Coming(coming) => ReplyBody::Coming(ComingAnswer::new(async move {
                let (head, bytes) = coming.await?;
                Ok((head, self.whole(bytes).await))
            })),
            ReplyBody::Stream(stream) => ReplyBody::Stream(self.stream(stream)),
        };
        Reply { head, body }
    }

    async fn whole(&self, bytes: Bytes) -> Bytes {
        match RawObject::parse(bytes.clone()) {
            Ok(object) if self.is_ours(&object) => self.kept(&object).await.into(),
            _ => bytes,
        }
    }

    fn stream(self, stream: AnswerStream) -> AnswerStream {
        let flow = Flow {
            stream,
            keep: self,
            events: Events::default(),
            pieces: VecDeque::new(),
            has_ended: false,
            fault: None,
        };
        AnswerStream::new(stream::unfold(flow, async |mut flow| Some((flow.next().await?, flow))))
    }

    /// Whether Baton wrote this response.
    fn is_ours(&self, object: &RawObject) -> bool {
        object.read::<Cow<'_, str>>("id").ok().flatten().is_some_and(|id| *id == *self.id.to_string())
    }

    /// The event as the client sees it, if it is one of a response that Baton wrote. An end is stored.
    async fn event(&self, event: &[u8]) -> Option<Vec<u8>> {
        let at = event.windows(DATA.len()).position(|window| window == DATA)? + DATA.len();
        let (name, data) = event.split_at_checked(at)?;
        let outer = RawObject::parse(Bytes::copy_from_slice(data.trim_ascii())).ok()?;
        let object =
            RawObject::parse(outer.get_bytes("response")?).ok().filter(|object| self.is_ours(object))?;
        let object = if object.get("status") == Some(b"\"in_progress\"") {
            self.told(&object, self.is_wanted)
        } else {
            self.kept(&object).await
        };
        Some([name, &outer.rewritten(&[("response", Some(object.into()))]), b"\n\n"].concat())
    }

    /// The response with what is true of it, stored if it is to be.
    async fn kept(&self, object: &RawObject) -> Vec<u8> {
        if let Some(responses) = self.stored_in() {
            let told = self.told(object, true);
            match self.store(responses, object, &told).await {
                Ok(()) => return told,
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(error = %error, cause, response = %self.id, "a response was answered and not stored");
                }
            }
        }
        self.told(object, false)
    }

    /// Where it is stored, if it is to be.
    fn stored_in(&self) -> Option<&Arc<Responses>> {
        self.responses.as_ref().filter(|_| self.is_wanted)
    }

    fn told(&self, object: &RawObject, is_stored: bool) -> Vec<u8> {
        let stored = if is_stored { b"true".as_slice() } else { b"false" };
        let mut edits = vec![("store", Some(Bytes::from_static(stored)))];
        if let Some(previous) = self.previous {
            edits.push(("previous_response_id", Some(format!("\"{previous}\"").into())));
        }
        object.rewritten(&edits)
    }

    /// Stores it, unless that takes too long: then it is taken away again as soon as it is there.
    async fn store(
        &self,
        responses: &Arc<Responses>,
        object: &RawObject,
        told: &[u8],
    ) -> Result<(), StateError> {
        let rejected = |what: &str| StateError::new(StateErrorKind::Rejected, what);
        let status = object.read::<Cow<'_, str>>("status").ok().flatten();
        let status: ResponseStatus = status.ok_or_else(|| rejected("the response has no status"))?.parse()?;
        let input = items::of_request(self.id, &self.input)
            .map_err(|error| rejected("the input has no items").with_source(error))?;
        let body = String::from_utf8(told.to_vec()).ok().and_then(|text| RawJson::parse(text).ok());
        let body = body.ok_or_else(|| rejected("the response is no JSON"))?;
        let responses = Arc::clone(responses);
        let (id, previous) = (self.id, self.previous);
        let (principal, subject) = (self.principal.clone(), self.subject.clone());
        let (tell, mut told) = oneshot::channel();
        drop(self.tasks.spawn(async move {
            let (principal, subject) = (&principal, &subject);
            let new =
                NewResponse { id, principal, subject, run: None, previous, status, input: &input, body: &body };
            let stored = responses.create(&new).await;
            // Nobody waits any more: its caller has it as one that is not stored.
            if let Err(Ok(())) = tell.send(stored)
                && let Err(error) = responses.delete(principal, id).await
            {
                tracing::warn!(error = %error, response = %id, "a response is stored that its caller was told is not");
            }
        }));
        match tokio::time::timeout(STORE_PATIENCE, &mut told).await {
            Ok(stored) => stored.unwrap_or_else(|_gone| Err(rejected("the response was not stored"))),
            Err(_elapsed) => {
                told.close();
                let late = "the store did not take the response in time";
                // It may have come at the last moment.
                told.try_recv()
                    .unwrap_or_else(|_not_come| Err(StateError::new(StateErrorKind::Unavailable, late)))
            }
        }
    }
}

/// What stands in front of an event's data.
const DATA: &[u8] = b"\ndata: ";

/// A stream on its way through. Dropped, it closes the upstream.
struct Flow {
    stream: AnswerStream,
    keep: Keep,
    events: Events,
    pieces: VecDeque<Piece>,
    /// Whether nothing comes any more.
    has_ended: bool,
    /// What it ended with, if it broke.
    fault: Option<Fault>,
}

impl Flow {
    async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        loop {
            match self.pieces.pop_front() {
                Some(Piece::Passing(bytes)) => return Some(Ok(bytes)),
                Some(Piece::Event(event)) => {
                    let told = self.keep.event(&event).await.unwrap_or_else(|| {
                        // The first such event tells whose response it is.
                        self.events.stop();
                        event
                    });
                    return Some(Ok(told.into()));
                }
                None => {}
            }
            if self.has_ended {
                return self.fault.take().map(Err);
            }
            match self.stream.next().await {
                Some(Ok(data)) => self.events.split(data, &mut self.pieces),
                ended => {
                    self.pieces.extend(self.events.rest());
                    self.has_ended = true;
                    self.fault = ended.and_then(Result::err);
                }
            }
        }
    }
}

/// Why a request cannot go on from what it names.
fn refused(error: ChainError) -> ApiError {
    match error {
        ChainError::NotFound(_) | ChainError::Gone { .. } => ApiError::no_previous(error.to_string()),
        ChainError::State(error) => failed(&error),
        ChainError::NoSuchItem(error) => ApiError::invalid(error.to_string(), Some("after")),
        other => ApiError::invalid(other.to_string(), Some("previous_response_id")),
    }
}

fn failed(error: &StateError) -> ApiError {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(error = %error, cause, "stored responses cannot be read or changed");
    unavailable()
}

fn unreadable(error: &items::ItemError) -> ApiError {
    tracing::error!(error = %error, "a stored response cannot be read");
    unavailable()
}

fn unavailable() -> ApiError {
    ApiError::unavailable("stored responses cannot be had at the moment", "store_unavailable")
}

#[cfg(test)]
mod tests;
