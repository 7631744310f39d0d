//! What more than one dialect needs to turn values of the model into wire values.
//!
//! - Start with [`ObjectWriter`], which writes a body member by member.
//! - **Never here:** names of members of any dialect.

use std::borrow::Cow;

use baton_model::RawJson;
use serde::Serialize;

/// Writes a value as JSON. Wire types have text keys and go to memory, so this cannot fail; should
/// it ever, the result is empty and no peer takes it for an answer.
pub(crate) fn to_json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Writes a value as JSON behind what is there.
pub(crate) fn push_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
    }
}

/// Writes a JSON object member by member, in the order of the calls.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    out: Vec<u8>,
}

impl ObjectWriter {
    pub(crate) fn new() -> Self {
        Self { out: b"{".to_vec() }
    }

    pub(crate) fn member(&mut self, key: &str, value: &(impl Serialize + ?Sized)) {
        self.raw_member(key, &to_json(value));
    }

    /// A member whose value is JSON already.
    pub(crate) fn raw_member(&mut self, key: &str, json: &[u8]) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        push_json(&mut self.out, key);
        self.out.push(b':');
        self.out.extend_from_slice(json);
    }

    pub(crate) fn optional(&mut self, key: &str, value: Option<&(impl Serialize + ?Sized)>) {
        if let Some(value) = value {
            self.member(key, value);
        }
    }

    /// What is written so far, without the closing brace.
    pub(crate) fn unfinished(self) -> Vec<u8> {
        self.out
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.out.push(b'}');
        self.out
    }
}

/// Writes more members behind those of an object that is not closed yet. Line ends around their values would
/// end a line of a stream, so they become spaces; within strings they are escaped.
pub(crate) fn push_members(out: &mut Vec<u8>, members: &[(&str, RawJson)]) {
    for (key, value) in members {
        out.push(b',');
        push_json(out, key);
        out.push(b':');
        push_line(out, value.get().as_bytes());
    }
}

/// Writes JSON as one line.
pub(crate) fn push_line(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    if memchr::memchr2(b'\n', b'\r', json).is_some() {
        for byte in out.iter_mut().skip(start) {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}

/// An object, written here before, with more members.
pub(crate) fn with_members(mut object: Vec<u8>, members: &[(&str, RawJson)]) -> Vec<u8> {
    if object.pop() == Some(b'}') {
        push_members(&mut object, members);
    }
    object.push(b'}');
    object
}

/// A document of plain text, as a text.
pub(crate) fn titled(name: Option<&str>, text: &str) -> String {
    name.map_or_else(|| text.to_owned(), |name| format!("{name}\n\n{text}"))
}

/// Takes `data:image/png;base64,AAAA` apart into media type and data. `None` for any other address,
/// also for data that is not base64.
pub(crate) fn split_data_url(url: &str) -> Option<(&str, &str)> {
    let scheme = url.get(..5)?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let (header, data) = url.get(5..)?.split_once(',')?;
    let media_type = header.strip_suffix(";base64")?;
    // Parameters such as `;charset=` mean nothing for a picture.
    Some((media_type.split(';').next().unwrap_or(media_type), data))
}

/// An id that a vendor with narrow rules takes: the id itself if it is short and plain, else one made
/// from it. The same id always gives the same result, so calls and their results stay together.
pub(crate) fn remap_id<'a>(id: &'a str, prefix: &str, max_len: usize) -> Cow<'a, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.len() <= max_len && id.bytes().all(plain) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(hashed_id(id, prefix))
}

/// An id made from a text: the prefix and 32 hexadecimal digits.
pub(crate) fn hashed_id(text: &str, prefix: &str) -> String {
    format!("{prefix}{:032x}", hash_on(HASH_OF_NOTHING, text))
}

/// The hash of no text.
pub(crate) const HASH_OF_NOTHING: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;

/// The hash of a text, behind what was hashed so far.
pub(crate) fn hash_on(so_far: u128, text: &str) -> u128 {
    // FNV-1a with 128 bits: stable over versions and machines, which `DefaultHasher` does not promise.
    text.bytes().fold(so_far, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

/// The effort that comes nearest to a thinking budget.
pub(crate) const fn effort_of_budget(tokens: u64) -> &'static str {
    match tokens {
        0 => "none",
        1..=2_047 => "low",
        2_048..=8_191 => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests;
