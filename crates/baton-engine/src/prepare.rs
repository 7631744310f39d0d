//! Makes the upstream's body from the client's: spliced when both speak one dialect, converted when not.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use baton_dialect::{
    Additions, CallTaste, Changed, DecodeError, EncodeTarget, JoinLane, Unfit, by_tool, decode_request,
    encode_request, extend_request, fitting_names, refuse_what_is_kept, repair_request, schema_path,
    stream_usage,
};
use baton_model::{
    Dialect, Message, OutputFormat, Part, ProviderName, RawJson, RawObject, Request, Target, Tool,
};
use baton_policy::Capabilities;
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
    /// What the target is spoken to in.
    pub(crate) dialect: Dialect,
    /// Whether the answer gets an id of the gateway's, though it passes: the provider's main API knows no such ids.
    pub(crate) own_id: bool,
    /// What was changed that the answer has to be changed back for.
    pub(crate) changed: Changed,
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

/// `unfit` is the target's last answer, where that did not follow its schema.
pub(crate) fn prepare(
    ask: &Ask,
    converted: &Converted,
    upstream: &Upstream,
    target: &Target,
    can: &Capabilities,
    leg: Option<&Leg>,
    unfit: Option<&Unfit>,
) -> Result<Prepared, DecodeError> {
    let dialect = upstream.dialect_for(ask.dialect);
    let quirks = upstream.quirks();
    // They are known of the chat dialect alone.
    let calls = if dialect == Dialect::OpenaiChat { quirks.calls } else { CallTaste::AsSent };
    let most =
        can.max_output_tokens.map_or(quirks.default_max_tokens, |most| most.min(quirks.default_max_tokens));
    let to = EncodeTarget {
        model: target.model.as_str(),
        stream: ask.stream,
        default_max_tokens: most,
        shared_members: quirks.shared_members,
    };
    let more = leg.map(|leg| More::of(ask, leg, target));
    let left_out = more.as_ref().map_or(0, |more| more.left_out);
    let terms = Terms { by_tool: takes_no_schema(can, leg), unfit, most: can.max_output_tokens, ask };
    let asked = more.as_ref().is_some_and(More::asks_for_schema) || asks_for_schema(ask);
    let rewrites = terms.by_tool && asked;
    let mut prepared = match more {
        Some(more) if ask.dialect == dialect && more.can_be_spliced() && !rewrites => {
            spliced(ask, target, &more, calls, can.max_output_tokens)?
        }
        Some(more) => encoded(&rewritten(ask, converted, more, calls)?, dialect, &to, &terms),
        None if ask.dialect == dialect && !rewrites => fast(ask, target, calls, can.max_output_tokens)?,
        None => encoded(converted.request(ask)?, dialect, &to, &terms),
    };
    prepared.left_out += left_out;
    prepared.dialect = dialect;
    // What the provider keeps under its own ids stays with it.
    prepared.own_id = prepared.lane == Lane::Fast
        && dialect == Dialect::OpenaiResponses
        && upstream.dialect() != dialect
        && refuse_what_is_kept(dialect, &ask.body).is_ok();
    if dialect == Dialect::OpenaiChat && !quirks.is_none() {
        let body = RawObject::parse(prepared.body.concat().into())?;
        let edits = quirks.edits(&body)?;
        if !edits.is_empty() {
            prepared.body = body.rewrite(&edits);
        }
    }
    Ok(prepared)
}

/// What a target does not take, as far as that is known.
struct Terms<'u> {
    /// Schemas of answers, so that they are asked for by a tool.
    by_tool: bool,
    unfit: Option<&'u Unfit>,
    /// More output than so much.
    most: Option<u64>,
    ask: &'u Ask,
}

/// The members that limit the output, in any dialect.
const LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// What is put down of a limit that was lowered.
fn lowered_limit(key: &str, most: u64) -> String {
    format!("{key}>{most}")
}

/// Whether a target is asked for an answer of a schema by a tool. Frames that are edited cannot show one as a text.
fn takes_no_schema(can: &Capabilities, leg: Option<&Leg>) -> bool {
    can.structured_output == Some(false) && leg.is_none_or(|leg| leg.terms.lane == JoinLane::Model)
}

/// Whether a request has the word that asks for an answer of a schema, in the member where its dialect has it.
fn asks_for_schema(ask: &Ask) -> bool {
    schema_members(ask.dialect).iter().any(|key| ask.body.get(key).is_some_and(names_schema))
}

fn names_schema(value: &[u8]) -> bool {
    memchr::memmem::find(value, b"json_schema").is_some()
}

const fn schema_members(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::OpenaiChat => &["response_format"],
        Dialect::OpenaiResponses => &["text"],
        Dialect::AnthropicMessages => &["output_config", "output_format"],
    }
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

    /// Whether the turn's own settings ask for an answer of a schema.
    fn asks_for_schema(&self) -> bool {
        self.settings.iter().any(|(_, value)| names_schema(value.get().as_bytes()))
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
fn spliced(
    ask: &Ask,
    target: &Target,
    more: &More,
    calls: CallTaste,
    most: Option<u64>,
) -> Result<Prepared, DecodeError> {
    let More { tools, messages, settings, .. } = more;
    let additions = Additions { tools, messages, settings, calls };
    Ok(edited(ask, target, extend_request(ask.dialect, &ask.body, &additions)?, most))
}

/// A turn of a longer run, through the conversation model.
fn rewritten(ask: &Ask, converted: &Converted, more: More, calls: CallTaste) -> Result<Request, DecodeError> {
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
    Ok(request)
}

fn fast(ask: &Ask, target: &Target, calls: CallTaste, most: Option<u64>) -> Result<Prepared, DecodeError> {
    if calls == CallTaste::Plain || has_calls_without_tools(ask) {
        let edits = extend_request(ask.dialect, &ask.body, &Additions { calls, ..Additions::default() })?;
        return Ok(edited(ask, target, edits, most));
    }
    Ok(edited(ask, target, repair_request(ask.dialect, &ask.body)?, most))
}

/// Whether an Anthropic history has calls of tools that are not on offer any more: they have to be declared.
fn has_calls_without_tools(ask: &Ask) -> bool {
    let offered = || ask.body.get("tools").is_some_and(|tools| tools != b"[]" && tools != b"null");
    let calls = || memchr::memmem::find(ask.body.get("messages").unwrap_or_default(), b"\"tool_use\"");
    ask.dialect == Dialect::AnthropicMessages && !offered() && calls().is_some()
}

/// The client's own body with these edits, and with those that every target needs.
fn edited<'b>(
    ask: &'b Ask,
    target: &Target,
    mut edits: Vec<(&'b str, Option<Bytes>)>,
    most: Option<u64>,
) -> Prepared {
    let body = &ask.body;
    let dropped = most.map(|most| lower_limits(body, &mut edits, most)).unwrap_or_default();
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
    Prepared {
        body: slices,
        dropped,
        left_out: 0,
        lane: Lane::Fast,
        dialect: ask.dialect,
        own_id: false,
        changed: Changed::default(),
        client_wants_usage,
    }
}

/// Lowers the limits of output to the most that the target gives; what is put down of that.
fn lower_limits(body: &RawObject, edits: &mut Vec<(&str, Option<Bytes>)>, most: u64) -> Vec<String> {
    let mut lowered = Vec::new();
    for key in LIMITS {
        let edit = edits.iter_mut().find(|(edited, _)| *edited == key);
        let value = edit.as_ref().map_or_else(|| body.get(key), |(_, value)| value.as_deref());
        if value.and_then(|value| serde_json::from_slice::<u64>(value).ok()).is_none_or(|asked| asked <= most)
        {
            continue;
        }
        let value = Some(Bytes::from(most.to_string()));
        match edit {
            Some((_, edited)) => *edited = value,
            None => edits.push((key, value)),
        }
        lowered.push(lowered_limit(key, most));
    }
    lowered
}

fn encoded(request: &Request, dialect: Dialect, to: &EncodeTarget<'_>, terms: &Terms<'_>) -> Prepared {
    let client_wants_usage = request.stream_usage;
    let mut request = Cow::Borrowed(request);
    let mut changed = Changed::default();
    let mut lost = Vec::new();
    if let Some((fitting, names)) = fitting_names(&request, dialect) {
        request = Cow::Owned(fitting);
        changed.names = names;
    }
    if terms.by_tool && matches!(request.output, OutputFormat::JsonSchema { .. }) {
        match by_tool(&request) {
            Some((asked, tool)) => {
                request = Cow::Owned(match terms.unfit {
                    Some(unfit) => tool.repair(&asked, unfit),
                    None => asked,
                });
                changed.answer_tool = Some(tool);
            }
            None => {
                // The client wants a call of its own: then there is no answer that could follow a schema.
                lost.push(schema_path(request.origin).to_owned());
                request.to_mut().output = OutputFormat::Text;
            }
        }
    }
    if let Some(most) = terms.most
        && request.sampling.max_output_tokens.is_some_and(|asked| asked > most)
    {
        let key = LIMITS.iter().find(|key| terms.ask.body.get(key).is_some()).unwrap_or(&"max_tokens");
        lost.push(lowered_limit(key, most));
        request.to_mut().sampling.max_output_tokens = Some(most);
    }
    let mut encoded = encode_request(dialect, &request, to);
    encoded.dropped.append(&mut lost);
    Prepared {
        body: vec![Bytes::from(encoded.body)],
        dropped: encoded.dropped,
        left_out: encoded.left_out,
        lane: Lane::Slow,
        dialect,
        own_id: false,
        changed,
        client_wants_usage,
    }
}

/// A text as JSON; names need no escaping but for quotes, backslashes and what is not printable.
fn json_string(text: &str) -> Cow<'static, str> {
    serde_json::to_string(text).map_or(Cow::Borrowed("\"\""), Cow::Owned)
}
