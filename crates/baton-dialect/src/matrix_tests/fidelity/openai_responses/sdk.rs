//! Puts events together as `openai-python` does (`ResponseStreamState`).
//!
//! The SDK grows the items from their pieces and hands out the last event's answer. Where the two differ, a client
//! that shows the pieces and one that reads the end see different things, so that is an error here.

use serde_json::Value;

use crate::openai_responses::tests::accumulate_response;

pub(super) fn accumulate(events: &[(String, Vec<u8>)]) -> Result<Value, Value> {
    for (name, data) in events {
        if name == "error" {
            return Err(serde_json::from_slice(data).unwrap());
        }
    }
    Ok(accumulate_response(events))
}
