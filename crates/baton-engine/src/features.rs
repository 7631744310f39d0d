//! Reads off a body what a decision needs to know, without reading what it says.

use baton_model::{JsonError, RawObject};
use baton_policy::Features;
use memchr::memmem;
use serde::de::IgnoredAny;

/// Bytes of text that make one token, roughly, over languages and code.
const BYTES_PER_TOKEN: u64 = 4;

/// What the body asks for.
///
/// # Errors
/// When a member that is read has the wrong type.
pub(crate) fn features(body: &RawObject, stream: bool) -> Result<Features, JsonError> {
    let messages = body.get("messages").unwrap_or_default();
    let system = body.get("system").unwrap_or_default();
    let tools = body.get("tools").unwrap_or_default();
    let has = |needle: &[u8]| memmem::find(messages, needle).is_some();
    let limit = match body.read::<u64>("max_completion_tokens")? {
        Some(limit) => Some(limit),
        None => body.read::<u64>("max_tokens")?,
    };
    Ok(Features {
        input_tokens: estimate(messages.len() + system.len() + tools.len()),
        max_output_tokens: limit,
        tools: body
            .read::<Vec<IgnoredAny>>("tools")?
            .map_or(0, |tools| u32::try_from(tools.len()).unwrap_or(u32::MAX)),
        images: has(b"\"image_url\"") || has(b"\"image\""),
        audio: has(b"\"input_audio\""),
        structured_output: body
            .get("response_format")
            .is_some_and(|format| memmem::find(format, b"json_schema").is_some()),
        logprobs: body.get("logprobs").is_some_and(|value| value == b"true"),
        stream,
    })
}

/// A count of tokens from a count of bytes.
pub(crate) fn estimate(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN)
}
