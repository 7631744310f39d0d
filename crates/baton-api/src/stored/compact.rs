//! `POST /v1/responses/compact`: a conversation as its user's messages and one sealed summary, and that summary opened
//! where a request has it.
//!
//! A model sums up what was said. The summary is sealed for who asked, and nothing is stored: the client sends it back
//! in the place of what it stands for, to any model. Where the only model is one of a provider that speaks this dialect
//! itself, that provider compacts in its own way, and alone can open what it made.
//!
//! - Start with [`create`]; [`open`] is the way back.
//! - **Invariant:** a summary of another caller is refused with its path, never left out.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use baton_dialect::{answer_of_item, refuse_what_is_kept};
use baton_engine::{Ask, ComingAnswer, Engine, Head, Refusal, RefusalKind, Reply, ReplyBody};
use baton_model::{Dialect, FaultKind, RawJson, RawObject};
use baton_run::HandoffMode;
use baton_state::Compactions;
use baton_state::responses::items::{self, Item};
use baton_state::responses::{ResponseId, StoredResponse};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Begun, Shelf, one_provider};
use crate::ask;
use crate::error::ApiError;
use crate::gate::{Gate, text};
use crate::pass;
use crate::reply::respond;
use crate::router::request_id;
use crate::surface::COMPACT;

/// What an item with a summary is.
const KIND: &str = "compaction";
/// What a summary that was sealed here begins with.
const OURS: &str = "baton1_";

/// What the model is told to do, behind the conversation.
const TASK: &str = "Sum up the conversation above, so that it can go on without its text. Write down what was asked \
    and what was answered, every decision and its reason, what tools were called with and what they returned as far \
    as it still matters, names, numbers, paths and identifiers exactly as they are, and what is open. Answer with the \
    summary alone.";
/// What a model is told in front of a summary.
const BEFORE: &str = "What was said before was summed up. This is the summary:\n\n";

/// The members of a request that make no difference to a summary, or would spoil it.
const NOT_ASKED: [&str; 14] = [
    "background",
    "context_management",
    "conversation",
    "include",
    "max_tool_calls",
    "mcp_servers",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "store",
    "stream",
    "stream_options",
    "tool_choice",
    "tools",
];

/// An input whose summaries were opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Opened {
    /// The input with what was summed up; nothing where nothing was opened.
    pub(super) input: Option<Bytes>,
    /// The place of a summary that was not made here.
    pub(super) foreign: Option<usize>,
}

/// Opens the summaries in an input. What is no list of items is left to the engine, which says what is wrong with it.
pub(super) fn open(compactions: &Compactions, principal: &str, input: &Bytes) -> Result<Opened, ApiError> {
    let mut opened = Opened::default();
    let has_some = str::from_utf8(input).is_ok_and(|input| input.contains("\"compaction\""));
    let list = has_some.then(|| serde_json::from_slice::<Vec<&RawValue>>(input).ok()).flatten();
    let Some(list) = list else { return Ok(opened) };
    let mut whole: Vec<Cow<'_, str>> = Vec::with_capacity(list.len());
    let mut has_changed = false;
    for (i, raw) in list.into_iter().enumerate() {
        let Some(sealed) = sealed(raw) else {
            whole.push(raw.get().into());
            continue;
        };
        let Some(ours) = sealed.strip_prefix(OURS) else {
            opened.foreign.get_or_insert(i);
            whole.push(raw.get().into());
            continue;
        };
        let ours = BASE64_URL_SAFE_NO_PAD.decode(ours).ok();
        let summary = ours.and_then(|ours| compactions.open(principal, &ours).ok());
        let summary = summary.ok_or_else(|| ApiError::no_compaction(i))?;
        let message = json!({
            "type": "message", "role": "user",
            "content": [{"type": "input_text", "text": format!("{BEFORE}{summary}")}],
        });
        whole.push(message.to_string().into());
        has_changed = true;
    }
    opened.input = has_changed.then(|| format!("[{}]", whole.join(",")).into());
    Ok(opened)
}

/// The sealed summary of an item, if it has one.
fn sealed(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Sealed<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        encrypted_content: Cow<'a, str>,
    }
    let Sealed { kind, encrypted_content } = serde_json::from_str(raw.get()).ok()?;
    (kind == KIND).then_some(encrypted_content)
}

/// Compacts a conversation.
///
/// The output is the user's messages and one item with what was said, summed up by the model and sealed for this key.
/// It is the next input's beginning, for any model. Where the only model is one of a provider that speaks this dialect
/// itself, that provider compacts, and alone can open what it made.
#[utoipa::path(
    post,
    path = "/v1/responses/compact",
    operation_id = "responses.compact",
    tag = "answers",
    request_body(content = crate::docs::ResponsesRequest, content_type = "application/json", example = json!({"model": "echo/hello", "input": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello!"}]})),
    responses(
        (status = 200, description = "The conversation, compacted", body = serde_json::Value, content_type = "application/json", example = json!({"id": "resp_019356aa00007000800000000000000a", "object": "response.compaction", "created_at": 1_790_000_000, "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}, {"type": "compaction", "id": "cmp_1", "encrypted_content": "baton1_AAAA"}], "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 12}})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn create(
    State(shelf): State<Shelf>,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    let answered = Box::pin(carry(&shelf, engine, gate, request)).await;
    answered.unwrap_or_else(|error| error.into_response_as(Dialect::OpenaiResponses, id))
}

async fn carry(
    shelf: &Shelf,
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = request_id(&request);
    let (mut parts, body) = request.into_parts();
    let admitted = gate.admit(&parts.headers)?;
    engine.admit()?;
    let body = gate.read(&parts.headers, body).await?;
    let mut ask = ask::read(COMPACT, id, &admitted.principal, &parts.headers, None, body.clone())?;
    let is_named = text(&parts.headers, "x-baton-provider").is_some();
    let keeps = one_provider(&engine, &ask).filter(|upstream| upstream.dialect() == ask.dialect);
    if is_named || keeps.is_some() && !names_ours(&ask.body) {
        drop(admitted);
        parts.headers.remove(CONTENT_ENCODING);
        parts.headers.remove(CONTENT_LENGTH);
        parts.uri = Uri::from_static(COMPACT.path);
        let request = Request::from_parts(parts, Body::from(body));
        return Ok(pass::forward(State(engine), State(gate), request).await);
    }
    if ask.body.get("input").is_none() {
        if ask.body.get("previous_response_id").is_none() {
            let message = "there is nothing to compact: send an `input`, or a `previous_response_id`";
            return Err(ApiError::invalid(message, Some("input")));
        }
        // What is gone on from is all of it.
        ask.body =
            RawObject::parse(ask.body.rewritten(&[("input", Some(Bytes::from_static(b"[]")))]).into())?;
    }
    let principal = ask.caller.principal.clone();
    let said = shelf.said(&ask).await?;
    let Begun { before, .. } = shelf.begin(&engine, &mut ask).await?;
    // What one provider keeps would be missing in a summary that another one makes.
    refuse_what_is_kept(ask.dialect, &ask.body).map_err(|error| ApiError::from(error).behind(before))?;
    let wrong = |error: items::ItemError| ApiError::invalid(error.to_string(), Some(error.path()));
    let input = ask.body.get_bytes("input").unwrap_or_default();
    let conversation = items::of_request(ResponseId::of(id), &input).map_err(wrong);
    let conversation = conversation.map_err(|error| error.behind(before))?;
    for_a_summary(&mut ask, &conversation)?;
    let maker =
        Maker { compactions: Arc::clone(&shelf.compactions), principal, id: ResponseId::of(id), said };
    let reply = engine.answer(ask).await.map_err(|refusal| ApiError::from(refusal).behind(before))?;
    let Reply { head, body } = reply;
    let body = match body {
        ReplyBody::Whole(bytes) => {
            ReplyBody::Whole(maker.compacted(&head, &bytes).map_err(|refusal| ApiError::from(*refusal))?)
        }
        ReplyBody::Coming(coming) => ReplyBody::Coming(ComingAnswer::new(async move {
            let (head, bytes) = coming.await?;
            let compacted = maker.compacted(&head, &bytes)?;
            Ok((head, compacted))
        })),
        // It was asked for as a whole.
        ReplyBody::Stream(_) => return Err(ApiError::internal()),
    };
    Ok(respond(Dialect::OpenaiResponses, id, Reply { head, body }, admitted.permit).await)
}

/// Whether a request names something that only Baton knows.
fn names_ours(body: &RawObject) -> bool {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        id: Option<Cow<'a, str>>,
    }
    let previous = body.read::<Cow<'_, str>>("previous_response_id").ok().flatten();
    if previous.is_some_and(|previous| previous.parse::<ResponseId>().is_ok()) {
        return true;
    }
    let input = body.get("input").unwrap_or_default();
    let list = serde_json::from_slice::<Vec<&RawValue>>(input).unwrap_or_default();
    list.into_iter().any(|raw| {
        let named = serde_json::from_str::<Named<'_>>(raw.get()).ok().and_then(|named| named.id);
        let is_reference = raw.get().contains("item_reference");
        is_reference && named.is_some_and(|id| answer_of_item(&id).is_some())
            || sealed(raw).is_some_and(|sealed| sealed.starts_with(OURS))
    })
}

/// Makes the request for an answer one for a summary.
fn for_a_summary(ask: &mut Ask, conversation: &[Item]) -> Result<(), ApiError> {
    let task = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": TASK}]});
    let mut input: Vec<Cow<'_, str>> = conversation.iter().map(|item| item.json().get().into()).collect();
    input.push(task.to_string().into());
    let mut edits: Vec<(&str, Option<Bytes>)> = NOT_ASKED.into_iter().map(|key| (key, None)).collect();
    edits.push(("input", Some(format!("[{}]", input.join(",")).into())));
    edits.push(("text", None));
    ask.body = RawObject::parse(ask.body.rewritten(&edits).into())?;
    ask.stream = false;
    ask.mcp_servers = None;
    ask.handoff.mode = Some(HandoffMode::Off);
    Ok(())
}

impl Shelf {
    /// The messages of the user in a conversation, the oldest first, as they were sent.
    async fn said(&self, ask: &Ask) -> Result<Vec<RawJson>, ApiError> {
        let id = ResponseId::of(ask.request);
        let input = ask.body.get_bytes("input").unwrap_or_default();
        let own = items::of_request(id, &input)
            .map_err(|error| ApiError::invalid(error.to_string(), Some(error.path())))?;
        let previous = ask.body.read::<Cow<'_, str>>("previous_response_id").ok().flatten();
        let previous = previous.and_then(|previous| previous.parse::<ResponseId>().ok());
        let mut all: Vec<Item> = Vec::new();
        if let (Some(responses), Some(previous)) = (&self.responses, previous) {
            let conversation = responses.conversation(&ask.caller.principal, previous).await;
            for StoredResponse { input, .. } in conversation.map_err(super::refused)? {
                all.extend(input);
            }
        }
        all.extend(own);
        Ok(all.into_iter().filter(is_of_the_user).map(|item| item.json().clone()).collect())
    }
}

fn is_of_the_user(item: &Item) -> bool {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        role: Option<Cow<'a, str>>,
    }
    let said = item.json().read::<Said<'_>>();
    said.is_ok_and(|said| said.kind == "message" && said.role.as_deref() == Some("user"))
}

/// Makes a compacted conversation of a summary.
struct Maker {
    compactions: Arc<Compactions>,
    principal: String,
    id: ResponseId,
    /// What the user said.
    said: Vec<RawJson>,
}

/// What is read of the answer.
#[derive(Deserialize)]
struct Summed {
    status: String,
    #[serde(default)]
    created_at: Value,
    output: Vec<Value>,
    #[serde(default)]
    usage: Value,
}

/// A conversation that was compacted.
#[derive(Serialize)]
struct Compacted {
    id: String,
    object: &'static str,
    created_at: Value,
    output: Vec<RawJson>,
    usage: Value,
}

impl Maker {
    fn compacted(&self, head: &Head, answer: &Bytes) -> Result<Bytes, Box<Refusal>> {
        let refused = |message: &str| {
            let mut refusal = Refusal::new(RefusalKind::Failed(FaultKind::MalformedAnswer), message);
            refusal.head = Some(Box::new(head.clone()));
            Box::new(refusal)
        };
        let summed: Summed =
            serde_json::from_slice(answer).map_err(|_not_shown| refused("the summary is no response"))?;
        let summary = summary(&summed.output);
        // Half a summary would lose the other half without a word.
        if summed.status != "completed" || summary.trim().is_empty() {
            return Err(refused("the model gave no whole summary"));
        }
        let sealed = self.compactions.seal(&self.principal, &summary).map_err(|error| {
            tracing::error!(error = %error, "a summary cannot be sealed");
            refused("the summary cannot be sealed")
        })?;
        let digits = self.id.to_string();
        let digits = digits.trim_start_matches(ResponseId::PREFIX);
        let item = json!({
            "id": format!("cmp_{digits}"), "type": KIND,
            "encrypted_content": format!("{OURS}{}", BASE64_URL_SAFE_NO_PAD.encode(sealed)),
        });
        let mut output = self.said.clone();
        output.extend(RawJson::of(&item).ok());
        let compacted = Compacted {
            id: self.id.to_string(),
            object: "response.compaction",
            created_at: summed.created_at,
            output,
            usage: summed.usage,
        };
        let compacted = serde_json::to_vec(&compacted);
        compacted.map(Bytes::from).map_err(|_no_json| refused("the summary has no JSON form"))
    }
}

/// The text of an answer.
fn summary(output: &[Value]) -> String {
    let messages = output.iter().filter(|item| item.get("type").is_some_and(|kind| kind == "message"));
    let parts = messages.filter_map(|item| item.get("content")?.as_array()).flatten();
    parts.filter_map(|part| part.get("text")?.as_str()).collect()
}

#[cfg(test)]
mod tests;
