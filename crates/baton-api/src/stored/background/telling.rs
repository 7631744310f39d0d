//! The events of a response in the background, and its object as its caller sees it.
//!
//! What a model answers comes as a stream of this dialect with numbers of its own. Here it gets the numbers under which
//! it is stored, and the response in it is the one that was queued.
//!
//! - Start with [`Telling`].
//! - **Invariant:** the members of a response that its caller has seen do not change: its id, and when it was made.

use std::borrow::Cow;
use std::sync::Arc;

use baton_dialect::{AnswerContext, encode_answer, repeated};
use baton_engine::{Ask, Kept, RunFault};
use baton_model::{Answer, FinishReason, RawJson, RawObject};
use baton_state::responses::{ResponseId, ResponseStatus};
use baton_state::runs::StepError;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

/// How many events stand in front of the first that has content.
pub(super) const HEAD: u64 = 3;

/// What an event said.
#[derive(Debug)]
pub(super) enum Heard {
    /// That there is more.
    More,
    /// That this is the response.
    End(RawObject),
}

/// Tells events, where somebody wants to hear them.
#[derive(Debug)]
pub(super) struct Telling {
    kept: Arc<Kept>,
    is_wanted: bool,
    /// The number of the next event.
    next: u64,
    waiting: Vec<RawJson>,
    /// The items that are whole.
    items: Vec<RawJson>,
}

impl Telling {
    /// Goes on behind so many events.
    pub(super) const fn new(kept: Arc<Kept>, told: u64, is_wanted: bool) -> Self {
        Self { kept, is_wanted, next: told, waiting: Vec::new(), items: Vec::new() }
    }

    /// Whether content was told.
    pub(super) const fn has_content(&self) -> bool {
        self.next > HEAD
    }

    /// The items that are whole.
    pub(super) fn items(&self) -> &[RawJson] {
        &self.items
    }

    /// Tells that it was queued and is begun, unless somebody has.
    pub(super) fn begin(&mut self, queued: &RawJson, in_progress: &RawJson) {
        if self.next == 0 {
            self.stands("response.created", queued);
            self.stands("response.queued", queued);
            self.stands("response.in_progress", in_progress);
        }
    }

    /// Takes an event of the answer.
    pub(super) fn hear(&mut self, data: &Bytes) -> Heard {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(rename = "type", borrow)]
            kind: Cow<'a, str>,
        }
        let Ok(event) = RawObject::parse(data.clone()) else { return Heard::More };
        let Ok(Kind { kind }) = serde_json::from_slice::<Kind<'_>>(data) else { return Heard::More };
        match &*kind {
            // Told already, of the one that was queued.
            "response.created" | "response.queued" | "response.in_progress" => return Heard::More,
            "response.completed" | "response.incomplete" | "response.failed" => {
                let object = event.get_bytes("response").and_then(|object| RawObject::parse(object).ok());
                return object.map_or(Heard::More, Heard::End);
            }
            "response.output_item.done" => self.items.extend(event.read::<RawJson>("item").ok().flatten()),
            _ => {}
        }
        let number = Bytes::from(self.next.to_string());
        self.tell(event.rewritten(&[("sequence_number", Some(number))]));
        Heard::More
    }

    /// Tells what went wrong.
    pub(super) fn error(&mut self, fault: &RunFault) {
        let event = json!({
            "type": "error", "sequence_number": self.next,
            "code": fault.code, "message": fault.message, "param": fault.param,
        });
        self.tell(event.to_string().into_bytes());
    }

    /// Tells how it ended. One that was cancelled has no event of its own among those that are published: it ends as
    /// one that failed, and its status says what it was.
    pub(super) fn end(&mut self, status: ResponseStatus, object: &RawJson) {
        let name = match status {
            ResponseStatus::Completed => "response.completed",
            ResponseStatus::Incomplete => "response.incomplete",
            _ => "response.failed",
        };
        self.stands(name, object);
    }

    /// Hands what waits to the next step.
    pub(super) async fn hand_over(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.kept.note(|_| {}, waiting).await;
    }

    /// Writes what waits.
    pub(super) async fn write(&mut self) -> Result<(), StepError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.hand_over().await;
        self.kept.flush().await
    }

    fn stands(&mut self, name: &str, object: &RawJson) {
        let number = self.next;
        let object = object.get();
        let event = format!("{{\"type\":\"{name}\",\"sequence_number\":{number},\"response\":{object}}}");
        self.tell(event.into_bytes());
    }

    fn tell(&mut self, event: Vec<u8>) {
        if !self.is_wanted {
            return;
        }
        let event = String::from_utf8(event).ok().and_then(|event| RawJson::parse(event).ok());
        if let Some(event) = event {
            self.waiting.push(event);
            self.next += 1;
        }
    }
}

/// An event as it stands on the stream. Its number is in it.
pub(super) fn frame(_number: u64, event: &RawJson, out: &mut Vec<u8>) {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    let kind = event.read::<Kind<'_>>();
    let kind = kind.as_ref().map_or("error", |typed| typed.kind.as_ref());
    out.extend_from_slice(format!("event: {kind}\ndata: ").as_bytes());
    out.extend_from_slice(event.get().as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// The response that is made for this request, before anybody has begun it.
pub(super) fn queued(ask: &Ask, id: ResponseId, previous: Option<ResponseId>) -> Option<RawJson> {
    let model = ask.models.names.first().cloned().unwrap_or_default();
    let created = i64::try_from(ask.request.unix_ms() / 1_000).unwrap_or(i64::MAX);
    let context = AnswerContext { model: &model, created, request: repeated(ask.dialect, &ask.body) };
    let answer = Answer {
        id: id.to_string(),
        model: model.clone(),
        created: Some(created),
        parts: Vec::new(),
        finish: FinishReason::Stop,
        stop_sequence: None,
        usage: None,
        logprobs: None,
    };
    let object = RawObject::parse(encode_answer(ask.dialect, &answer, &context).into()).ok()?;
    let mut edits = vec![
        ("status", Some(quoted(ResponseStatus::Queued))),
        ("output", Some(Bytes::from_static(b"[]"))),
        ("usage", Some(Bytes::from_static(b"null"))),
        ("background", Some(Bytes::from_static(b"true"))),
        ("store", Some(Bytes::from_static(b"true"))),
    ];
    if let Some(previous) = previous {
        edits.push(("previous_response_id", Some(format!("\"{previous}\"").into())));
    }
    text(object.rewritten(&edits))
}

/// The same response with another status.
pub(super) fn with_status(object: &RawJson, status: ResponseStatus) -> Option<RawJson> {
    let object = RawObject::parse(object.get().to_owned().into()).ok()?;
    text(object.rewritten(&[("status", Some(quoted(status)))]))
}

/// The same response, which failed.
pub(super) fn failed(object: &RawJson, fault: &RunFault, items: &[RawJson]) -> Option<RawJson> {
    let object = RawObject::parse(object.get().to_owned().into()).ok()?;
    let error = json!({ "code": reason(&fault.code), "message": fault.message }).to_string();
    text(object.rewritten(&[
        ("status", Some(quoted(ResponseStatus::Failed))),
        ("error", Some(error.into())),
        ("output", Some(serde_json::to_vec(items).ok()?.into())),
    ]))
}

/// The response object of an answer as its caller sees it, and how it stands.
pub(super) fn own(object: &RawObject, queued: &RawJson, now: u64) -> (ResponseStatus, Option<RawJson>) {
    let status = object.read::<Cow<'_, str>>("status").ok().flatten();
    let status = status.and_then(|status| status.parse::<ResponseStatus>().ok());
    let status = status.filter(|status| status.is_end()).unwrap_or(ResponseStatus::Failed);
    (status, owned(object, queued, status, now))
}

/// The response of an answer as the one that was queued.
fn owned(object: &RawObject, queued: &RawJson, status: ResponseStatus, now: u64) -> Option<RawJson> {
    let queued = RawObject::parse(queued.get().to_owned().into()).ok()?;
    let mut edits =
        vec![("background", Some(Bytes::from_static(b"true"))), ("store", Some(Bytes::from_static(b"true")))];
    for key in ["id", "created_at", "previous_response_id"] {
        let seen = queued.get_bytes(key).unwrap_or(Bytes::from_static(b"null"));
        edits.push((key, Some(seen)));
    }
    if status == ResponseStatus::Completed {
        edits.push(("completed_at", Some(now.to_string().into())));
    }
    text(object.rewritten(&edits))
}

/// A word among those that the published schema has for why a response failed.
fn reason(code: &str) -> &'static str {
    match code {
        "rate_limit_exceeded" | "insufficient_quota" => "rate_limit_exceeded",
        "invalid_request_error" | "context_length_exceeded" | "content_filter" | "request_too_large" => {
            "invalid_prompt"
        }
        _ => "server_error",
    }
}

fn quoted(status: ResponseStatus) -> Bytes {
    format!("\"{}\"", status.as_str()).into()
}

fn text(object: Vec<u8>) -> Option<RawJson> {
    RawJson::parse(String::from_utf8(object).ok()?).ok()
}

#[cfg(test)]
mod tests;
