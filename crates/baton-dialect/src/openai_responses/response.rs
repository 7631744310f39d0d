//! Writes the Response object: what was asked for, what was answered, and how it stands.
//!
//! A client finds in an answer what it asked for, with the defaults where it did not ask. So an answer is written
//! from the answer and from the request, and the members that depend on the request alone are made once.
//!
//! - Start with [`Envelope`].
//! - **Invariant:** all members are there that OpenAI's and the Open Responses schema require.

use baton_model::{FinishReason, RawObject, Usage};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::usage::WireUsage;
use crate::convert::{ObjectWriter, hashed_id, push_json, push_line, to_json};

/// How an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status<'a> {
    InProgress,
    Completed,
    /// Cut short, and why.
    Incomplete(&'static str),
    /// Failed, with a code and a sentence.
    Failed(&'a str, &'a str),
}

impl Status<'_> {
    /// How an answer stands that ended for this reason.
    pub(super) const fn of(finish: FinishReason, refused: bool) -> Self {
        match finish {
            FinishReason::Length => Self::Incomplete("max_output_tokens"),
            FinishReason::ContentFilter => Self::Incomplete("content_filter"),
            // A refusal without a word of it can only be told as a filter's.
            FinishReason::Refusal if !refused => Self::Incomplete("content_filter"),
            _ => Self::Completed,
        }
    }

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed(..) => "failed",
        }
    }
}

/// An answer's members that do not change while it is written.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) id: String,
    created: i64,
    pub(super) model: String,
    /// The members that depend on the request, as JSON, each after a comma.
    echo: Vec<u8>,
}

/// Members of a request that an answer repeats, with the value that holds where the client gave none.
const ECHO: [(&str, &str); 18] = [
    ("background", "false"),
    ("frequency_penalty", "0.0"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "0.0"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("safety_identifier", "null"),
    ("temperature", "1.0"),
    ("tool_choice", "\"auto\""),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
    ("user", ""),
];

impl Envelope {
    pub(super) fn new(id: String, created: i64, model: &str, request: Option<&RawObject>) -> Self {
        let empty = RawObject::empty();
        Self { id, created, model: model.to_owned(), echo: echo(request.unwrap_or(&empty)) }
    }

    /// Writes the object without its last brace, on one line.
    pub(super) fn write(
        &self,
        status: Status<'_>,
        output: &[&[u8]],
        usage: Option<&Usage>,
        out: &mut Vec<u8>,
    ) {
        out.extend_from_slice(b"{\"id\":");
        push_json(out, &self.id);
        out.extend_from_slice(b",\"object\":\"response\",\"created_at\":");
        push_json(out, &self.created);
        out.extend_from_slice(b",\"status\":");
        push_json(out, status.word());
        // Nobody here has a clock.
        out.extend_from_slice(b",\"completed_at\":null,\"error\":");
        match status {
            Status::Failed(code, message) => {
                let mut error = ObjectWriter::new();
                error.member("code", code);
                error.member("message", message);
                out.extend_from_slice(&error.finish());
            }
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"incomplete_details\":");
        match status {
            Status::Incomplete(reason) => {
                let mut details = ObjectWriter::new();
                details.member("reason", reason);
                out.extend_from_slice(&details.finish());
            }
            _ => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"model\":");
        push_json(out, &self.model);
        out.extend_from_slice(b",\"output\":[");
        for (i, item) in output.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(item);
        }
        out.extend_from_slice(b"],\"usage\":");
        push_json(out, &usage.map(WireUsage::from));
        out.extend_from_slice(&self.echo);
    }
}

/// Why an answer failed, in the words that the schema of a failed one has; clients with closed types read no other.
const REASONS: [&str; 18] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
];

/// The reason that is told for a code. The event `error`, which stands before a failed answer, has the code itself.
pub(super) fn reason(code: Option<&str>) -> &'static str {
    let known = |code: &str| REASONS.into_iter().find(|reason| *reason == code);
    code.and_then(known).unwrap_or("server_error")
}

/// The id to show for an upstream's.
pub(super) fn response_id(upstream: &str) -> String {
    if upstream.starts_with("resp_") { upstream.to_owned() } else { hashed_id(upstream, "resp_") }
}

/// Whether this id holds whatever the upstream called its answer: one of a request's digits, by which clients
/// ask for a stored response again.
pub(super) fn is_asked_for(made: &str) -> bool {
    asked_for(made).is_some()
}

/// Those digits.
pub(super) fn asked_for(made: &str) -> Option<&str> {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    made.strip_prefix("resp_").filter(|digits| digits.len() == 32 && digits.bytes().all(is_digit))
}

fn echo(request: &RawObject) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, default) in ECHO {
        let value = request.get(key).unwrap_or(default.as_bytes());
        if !value.is_empty() {
            push_member(&mut out, key, value);
        }
    }
    let format = complete(&object(request, "text"), &[("format", TEXT_FORMAT)]);
    push_member(&mut out, "text", &with_format(&format));
    let reasoning = complete(&object(request, "reasoning"), &[("effort", "null"), ("summary", "null")]);
    push_member(&mut out, "reasoning", &reasoning);
    push_member(&mut out, "tools", &tools(request));
    // What was used is not known here, and nothing is kept.
    push_member(&mut out, "service_tier", b"\"default\"");
    push_member(&mut out, "store", b"false");
    out
}

const TEXT_FORMAT: &str = r#"{"type":"text"}"#;

fn push_member(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.push(b',');
    push_json(out, key);
    out.push(b':');
    push_line(out, value);
}

fn object(of: &RawObject, key: &str) -> RawObject {
    let member = of.get_bytes(key).and_then(|member| RawObject::parse(member).ok());
    member.unwrap_or_else(RawObject::empty)
}

/// The object with these members, where it has none or `null`.
fn complete(object: &RawObject, defaults: &[(&str, &'static str)]) -> Vec<u8> {
    let absent = defaults.iter().filter(|(key, _)| object.get(key).is_none());
    let edits: Vec<(&str, Option<Bytes>)> =
        absent.map(|(key, value)| (*key, Some(Bytes::from_static(value.as_bytes())))).collect();
    object.rewritten(&edits)
}

/// `text` whose format has all its members.
fn with_format(text: &[u8]) -> Vec<u8> {
    let Ok(text) = RawObject::parse(Bytes::copy_from_slice(text)) else { return text.to_vec() };
    let format = object(&text, "format");
    if format.get("type") != Some(b"\"json_schema\"") {
        return text.body().to_vec();
    }
    let format = complete(&format, &[("description", "null"), ("strict", "false")]);
    text.rewritten(&[("format", Some(format.into()))])
}

/// The client's tools, functions with all their members.
fn tools(request: &RawObject) -> Vec<u8> {
    let list: Vec<&RawValue> = request.read("tools").ok().flatten().unwrap_or_default();
    let tools = list.into_iter().map(|tool| {
        let bytes = Bytes::copy_from_slice(tool.get().as_bytes());
        match RawObject::parse(bytes) {
            Ok(tool) if tool.get("type") == Some(b"\"function\"") => {
                complete(&tool, &[("description", "null"), ("parameters", "null"), ("strict", "null")])
            }
            _ => to_json(tool),
        }
    });
    [b"[".as_slice(), &tools.collect::<Vec<_>>().join(&b','), b"]"].concat()
}
