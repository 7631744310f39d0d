//! Fixtures in, snapshots out; one `check` for each direction.

use baton_model::{RawObject, Request, StreamEvent};
use bytes::Bytes;

use self::show::{one_line, show, show_part, show_usage};
use super::*;
use crate::{EncodeTarget, StreamDecoder};

mod answer;
mod encode;
mod error;
mod observe;
mod property;
mod repair;
mod request;
mod schema;
mod show;
mod stream;

/// A fixture's text.
macro_rules! fixture {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/anthropic_messages/", $path))
    };
}
use fixture;

const TARGET: EncodeTarget<'static> = EncodeTarget {
    model: "claude-sonnet-4-5",
    stream: false,
    default_max_tokens: 4_096,
    shared_members: false,
};

#[track_caller]
fn object(json: &str) -> RawObject {
    RawObject::parse(Bytes::from(json.to_owned())).unwrap()
}

#[track_caller]
fn decode(json: &str) -> Request {
    decode_request(&object(json)).unwrap()
}

/// Splits a fixture into SSE events: name (or nothing) and data.
fn events(stream: &str) -> impl Iterator<Item = (&str, &str)> {
    stream.split("\n\n").filter(|frame| !frame.is_empty()).map(|frame| {
        let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
        (field("event: ").unwrap_or_default(), field("data: ").unwrap_or_default())
    })
}

#[track_caller]
fn decode_stream(stream: &str) -> Vec<StreamEvent> {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    for (event, data) in events(stream) {
        decoder.decode(event, data.as_bytes(), &mut out).unwrap();
    }
    out
}
