//! What the fixtures do not show.

mod client;
mod requests;
mod small;
mod streams;

use baton_model::RawObject;
use serde_json::Value;

pub(crate) use client::accumulate_response;

fn object(json: &str) -> RawObject {
    RawObject::parse(json.to_owned().into()).unwrap()
}

fn value(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap()
}
