//! Makes the upstream's body from the client's: spliced when both speak one dialect, converted when not.

use std::borrow::Cow;
use std::sync::OnceLock;

use baton_dialect::{
    DecodeError, EncodeTarget, decode_request, encode_request, repair_request, stream_usage,
};
use baton_model::{Dialect, RawObject, Request, Target};
use baton_upstream::Upstream;
use bytes::Bytes;

use crate::Ask;

/// A body ready for one target.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The slices of the body.
    pub(crate) body: Vec<Bytes>,
    /// What the target cannot carry.
    pub(crate) dropped: Vec<String>,
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

pub(crate) fn prepare(
    ask: &Ask,
    converted: &Converted,
    upstream: &Upstream,
    target: &Target,
    max_output_tokens: Option<u64>,
) -> Result<Prepared, DecodeError> {
    let dialect = upstream.dialect();
    let quirks = upstream.quirks();
    let mut prepared = if ask.dialect == dialect {
        fast(ask, target)?
    } else {
        let most =
            max_output_tokens.map_or(quirks.default_max_tokens, |most| most.min(quirks.default_max_tokens));
        slow(ask, converted, dialect, target, most)?
    };
    if dialect == Dialect::OpenaiChat && !quirks.is_none() {
        let body = RawObject::parse(prepared.body.concat().into())?;
        let edits = quirks.edits(&body)?;
        if !edits.is_empty() {
            prepared.body = body.rewrite(&edits);
        }
    }
    Ok(prepared)
}

fn fast(ask: &Ask, target: &Target) -> Result<Prepared, DecodeError> {
    let body = &ask.body;
    let usage = if ask.stream { Some(stream_usage(ask.dialect, body)) } else { None };
    let mut edits = repair_request(ask.dialect, body)?;
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
    Ok(Prepared { body: slices, dropped: Vec::new(), lane: Lane::Fast, client_wants_usage })
}

fn slow(
    ask: &Ask,
    converted: &Converted,
    dialect: Dialect,
    target: &Target,
    default_max_tokens: u64,
) -> Result<Prepared, DecodeError> {
    let request = match converted.0.get() {
        Some(request) => request,
        None => {
            let request = decode_request(ask.dialect, &ask.body)?;
            converted.0.get_or_init(|| request)
        }
    };
    let encoded = encode_request(
        dialect,
        request,
        &EncodeTarget { model: target.model.as_str(), stream: ask.stream, default_max_tokens },
    );
    Ok(Prepared {
        body: vec![Bytes::from(encoded.body)],
        dropped: encoded.dropped,
        lane: Lane::Slow,
        client_wants_usage: request.stream_usage,
    })
}

/// A text as JSON; names need no escaping but for quotes, backslashes and what is not printable.
fn json_string(text: &str) -> Cow<'static, str> {
    serde_json::to_string(text).map_or(Cow::Borrowed("\"\""), Cow::Owned)
}
