//! Puts the item itself where a request only names one of a stored response.
//!
//! A client that leaves its answers here sends `{"type": "item_reference", "id": …}` for what it was answered.
//! The id of an item that Baton wrote tells whose answer it is of.
//!
//! - Start with [`resolve`].
//! - **Invariant:** an item of another principal's response is not there.
//! - **Never here:** items that a provider keeps. Where they are named, the name stays.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use baton_dialect::answer_of_item;
use baton_state::Responses;
use baton_state::responses::items::{self, Item};
use baton_state::responses::{Keeping, ResponseId};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{failed, unreadable};
use crate::error::ApiError;

/// What names an item.
const KIND: &str = "item_reference";

/// The input with all that it names of ours; `None` where it names nothing of ours. What is no list of items is
/// left to the engine, which says what is wrong with it.
pub(super) async fn resolve(
    responses: &Responses,
    principal: &str,
    input: &Bytes,
) -> Result<Option<Bytes>, ApiError> {
    if !names_something(input) {
        return Ok(None);
    }
    let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(input) else { return Ok(None) };
    let mut known: BTreeMap<ResponseId, Vec<Item>> = BTreeMap::new();
    let mut whole: Vec<Cow<'_, [u8]>> = Vec::with_capacity(list.len());
    let mut has_changed = false;
    // What is named is bounded like what is gone on from.
    let bounds = Keeping::STANDARD.bounds;
    let mut added = 0;
    for (i, raw) in list.into_iter().enumerate() {
        let Some((response, id)) = named(raw) else {
            whole.push(raw.get().as_bytes().into());
            continue;
        };
        let items = match known.entry(response) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(output(responses, principal, response).await?),
        };
        let item = items.iter().find(|item| *item.id() == *id);
        let item = item.ok_or_else(|| ApiError::no_item(i))?;
        let item = item.json().get().as_bytes().to_vec();
        added += item.len() as u64;
        if added > bounds.bytes || known.len() as u64 > u64::from(bounds.depth) {
            return Err(ApiError::invalid("`input` names more than a conversation can hold", Some("input")));
        }
        whole.push(item.into());
        has_changed = true;
    }
    Ok(has_changed.then(|| [b"[".as_slice(), &whole.join(b",".as_slice()), b"]"].concat().into()))
}

/// Whether it is worth reading.
fn names_something(input: &[u8]) -> bool {
    input.starts_with(b"[") && input.windows(KIND.len()).any(|window| window == KIND.as_bytes())
}

/// The response of ours whose item this names, and the item's id.
fn named(raw: &RawValue) -> Option<(ResponseId, Cow<'_, str>)> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let Named { kind, id } = serde_json::from_str(raw.get()).ok()?;
    let response = answer_of_item(&id).filter(|_| kind == KIND)?.parse().ok()?;
    Some((response, id))
}

/// The items that a response has; none for one that is not there.
async fn output(responses: &Responses, principal: &str, response: ResponseId) -> Result<Vec<Item>, ApiError> {
    let found = responses.get(principal, response).await.map_err(|error| failed(&error))?;
    let items = found.map(|found| items::of_output(found.id, &found.body)).transpose();
    Ok(items.map_err(|error| unreadable(&error))?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
