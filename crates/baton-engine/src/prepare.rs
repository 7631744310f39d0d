//! Makes the upstream's body from the client's: spliced when both speak one dialect, converted when not.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use baton_dialect::{
    Additions, CallTaste, DecodeError, EncodeTarget, decode_request, encode_request, extend_request,
    repair_request, stream_usage,
};
use baton_model::{Dialect, Message, Part, ProviderName, RawJson, RawObject, Request, Target, Tool};
use baton_run::{History, view};
use baton_upstream::Upstream;
use bytes::Bytes;

use crate::Ask;
use crate::leg::Leg;

/// A body ready for one target.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The slices of the body.
    pub(crate) body: Vec<Bytes>,
    /// What the target cannot carry.
    pub(crate) dropped: Vec<String>,
    /// How many thinking parts of the conversation only their origin can read.
    pub(crate) left_out: usize,
    /// Whether the answer needs converting.
    pub(crate) lane: Lane,
    /// Whether the client asked for usage on its stream.
    pub(crate) client_wants_usage: bool,
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Same dialect on both sides: bytes pass.
    Fast,
    /// Through the conversation model.
    Slow,
}

/// The client's request, converted at most once however many targets are tried.
#[derive(Debug, Default)]
pub(crate) struct Converted(OnceLock<Request>);

impl Converted {
    pub(crate) fn request(&self, ask: &Ask) -> Result<&Request, DecodeError> {
        match self.0.get() {
            Some(request) => Ok(request),
            None => {
                let request = decode_request(ask.dialect, &ask.body)?;
                Ok(self.0.get_or_init(|| request))
            }
        }
    }
}

pub(crate) fn prepare(
    ask: &Ask,
    converted: &Converted,
    upstream: &Upstream,
    target: &Target,
    max_output_tokens: Option<u64>,
    leg: Option<&Leg>,
) -> Result<Prepared, DecodeError> {
    let dialect = upstream.dialect();
    let quirks = upstream.quirks();
    // They are known of the chat dialect alone.
    let calls = if dialect == Dialect::OpenaiChat { quirks.calls } else { CallTaste::AsSent };
    let most =
        max_output_tokens.map_or(quirks.default_max_tokens, |most| most.min(quirks.default_max_tokens));
    let to = EncodeTarget {
        model: target.model.as_str(),
        stream: ask.stream,
        default_max_tokens: most,
        shared_members: quirks.shared_members,
    };
    let more = leg.map(|leg| More::of(ask, leg, target));
    let left_out = more.as_ref().map_or(0, |more| more.left_out);
    let mut prepared = match more {
        Some(more) if ask.dialect == dialect && more.can_be_spliced() => spliced(ask, target, &more, calls)?,
        Some(more) => rewritten(ask, converted, dialect, &to, more, calls)?,
        None if ask.dialect == dialect => fast(ask, target, calls)?,
        None => encoded(converted.request(ask)?, dialect, &to),
    };
    prepared.left_out += left_out;
    if dialect == Dialect::OpenaiChat && !quirks.is_none() {
        let body = RawObject::parse(prepared.body.concat().into())?;
        let edits = quirks.edits(&body)?;
        if !edits.is_empty() {
            prepared.body = body.rewrite(&edits);
        }
    }
    Ok(prepared)
}

/// What a turn of a longer run adds.
struct More {
    tools: Vec<Tool>,
    messages: Vec<Message>,
    settings: Vec<(String, RawJson)>,
    history: History,
    summary: Option<Arc<str>>,
    /// How many of the messages come with the hop itself, and after it.
    kept: usize,
    /// How many of their calls were signed by somebody else.
    left_out: usize,
}

impl More {
    fn of(ask: &Ask, leg: &Leg, target: &Target) -> Self {
        let member = leg.member(target);
        let mut messages = leg.machine.added(member.unwrap_or(usize::MAX));
        let left_out =
            without_signatures(&mut messages, |maker| maker.is_some_and(|maker| *maker != target.provider));
        let mut settings = member.map(|member| leg.settings(member, target).to_vec()).unwrap_or_default();
        if leg.called && demands_a_call(ask) {
            // It was made. To go on demanding one would never let the model answer.
            let free = match ask.dialect {
                Dialect::OpenaiChat | Dialect::OpenaiResponses => "\"auto\"",
                Dialect::AnthropicMessages => "{\"type\":\"auto\"}",
            };
            settings.retain(|(key, _)| key != "tool_choice");
            settings.extend(RawJson::parse(free).ok().map(|free| ("tool_choice".to_owned(), free)));
        }
        Self {
            tools: member.map(|member| leg.tools(member)).unwrap_or_default(),
            kept: messages.len() - leg.machine.handed_at().unwrap_or(0).min(messages.len()),
            messages,
            settings,
            history: leg.history(),
            summary: leg.summary.clone(),
            left_out,
        }
    }

    /// Whether the client's bytes can stay as they are, with the additions behind them.
    fn can_be_spliced(&self) -> bool {
        self.history == History::Full
    }
}

/// Takes from the calls what these makers put beside them; how many there were.
fn without_signatures(messages: &mut [Message], whose: impl Fn(Option<&ProviderName>) -> bool) -> usize {
    let parts = messages.iter_mut().flat_map(|message| &mut message.parts);
    let signed =
        |part: &&mut Part| part.attached.as_ref().is_some_and(|attached| whose(attached.maker.as_ref()));
    parts.filter(signed).map(|part| part.attached = None).count()
}

/// Whether the client wants some tool to be called, whichever.
fn demands_a_call(ask: &Ask) -> bool {
    let Some(choice) = ask.body.get("tool_choice") else { return false };
    let word = match ask.dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => "\"required\"",
        Dialect::AnthropicMessages => "\"any\"",
    };
    memchr::memmem::find(choice, word.as_bytes()).is_some()
}

/// A turn of a longer run in the client's own dialect.
fn spliced(ask: &Ask, target: &Target, more: &More, calls: CallTaste) -> Result<Prepared, DecodeError> {
    let More { tools, messages, settings, .. } = more;
    let additions = Additions { tools, messages, settings, calls };
    Ok(edited(ask, target, extend_request(ask.dialect, &ask.body, &additions)?))
}

/// A turn of a longer run, through the conversation model.
fn rewritten(
    ask: &Ask,
    converted: &Converted,
    dialect: Dialect,
    to: &EncodeTarget<'_>,
    more: More,
    calls: CallTaste,
) -> Result<Prepared, DecodeError> {
    let mut request = if more.settings.is_empty() {
        converted.request(ask)?.clone()
    } else {
        let edits: Vec<(&str, Option<Bytes>)> = more
            .settings
            .iter()
            .map(|(key, value)| (key.as_str(), Some(Bytes::copy_from_slice(value.get().as_bytes()))))
            .collect();
        decode_request(ask.dialect, &RawObject::parse(ask.body.rewrite(&edits).concat().into())?)?
    };
    request.messages.extend(more.messages);
    if calls == CallTaste::Plain {
        without_signatures(&mut request.messages, |_anybody| true);
    }
    request.messages = view(request.messages, more.kept, more.history, more.summary.as_deref());
    request.tools.extend(more.tools);
    Ok(encoded(&request, dialect, to))
}

fn fast(ask: &Ask, target: &Target, calls: CallTaste) -> Result<Prepared, DecodeError> {
    if calls == CallTaste::Plain || has_calls_without_tools(ask) {
        let edits = extend_request(ask.dialect, &ask.body, &Additions { calls, ..Additions::default() })?;
        return Ok(edited(ask, target, edits));
    }
    Ok(edited(ask, target, repair_request(ask.dialect, &ask.body)?))
}

/// Whether an Anthropic history has calls of tools that are not on offer any more: they have to be declared.
fn has_calls_without_tools(ask: &Ask) -> bool {
    let offered = || ask.body.get("tools").is_some_and(|tools| tools != b"[]" && tools != b"null");
    let calls = || memchr::memmem::find(ask.body.get("messages").unwrap_or_default(), b"\"tool_use\"");
    ask.dialect == Dialect::AnthropicMessages && !offered() && calls().is_some()
}

/// The client's own body with these edits, and with those that every target needs.
fn edited<'b>(ask: &'b Ask, target: &Target, mut edits: Vec<(&'b str, Option<Bytes>)>) -> Prepared {
    let body = &ask.body;
    let usage = if ask.stream { Some(stream_usage(ask.dialect, body)) } else { None };
    let quoted = json_string(target.model.as_str());
    if body.get("model") != Some(quoted.as_bytes()) {
        edits.push(("model", Some(Bytes::from(quoted.into_owned()))));
    }
    for member in body.members() {
        if baton_dialect::OWN_KEYS.contains(&member.key) && !edits.iter().any(|(key, _)| *key == member.key) {
            edits.push((member.key, None));
        }
    }
    let client_wants_usage = usage.as_ref().is_none_or(|usage| usage.client_asked);
    if let Some((key, value)) = usage.and_then(|usage| usage.edit) {
        edits.retain(|(other, _)| *other != key);
        edits.push((key, Some(value)));
    }
    let slices = if edits.is_empty() { vec![body.body().clone()] } else { body.rewrite(&edits) };
    Prepared { body: slices, dropped: Vec::new(), left_out: 0, lane: Lane::Fast, client_wants_usage }
}

fn encoded(request: &Request, dialect: Dialect, to: &EncodeTarget<'_>) -> Prepared {
    let encoded = encode_request(dialect, request, to);
    Prepared {
        body: vec![Bytes::from(encoded.body)],
        dropped: encoded.dropped,
        left_out: encoded.left_out,
        lane: Lane::Slow,
        client_wants_usage: request.stream_usage,
    }
}

/// A text as JSON; names need no escaping but for quotes, backslashes and what is not printable.
fn json_string(text: &str) -> Cow<'static, str> {
    serde_json::to_string(text).map_or(Cow::Borrowed("\"\""), Cow::Owned)
}
