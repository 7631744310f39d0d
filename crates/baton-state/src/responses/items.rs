//! The items of a stored response: made out of the request's `input`, and listed in pages.
//!
//! What a request sends short is written out, because it is read back as a list of whole items: a text is
//! one message, a message may come without `type`, and every item has an id. Members that are there stay
//! byte for byte.
//!
//! - Start with [`of_request`].
//! - **Invariant:** an item has the same id whenever it is read.
//! - **Never here:** what an item means; those of a kind that is not known pass.

use std::borrow::Cow;
use std::fmt;

use baton_model::{RawJson, RawObject};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ResponseId;
use crate::error::{StateError, StateErrorKind};
use crate::subject::half_digest;

/// One entry of a conversation, as it is on the wire.
#[derive(Clone, PartialEq)]
pub struct Item {
    id: Box<str>,
    json: RawJson,
}

/// An `input` that has no items.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ItemError {
    path: String,
    message: &'static str,
}

/// Which items of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemPage {
    /// At most so many.
    pub limit: usize,
    /// Those behind the item of this id.
    pub after: Option<String>,
    /// From which end.
    pub order: Order,
}

/// From which end a list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The oldest first.
    Asc,
    /// The newest first.
    Desc,
}

/// A page of items, as it is on the wire.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ItemList {
    object: &'static str,
    /// The items.
    pub data: Vec<Item>,
    /// The id of the first.
    pub first_id: Option<Box<str>>,
    /// The id of the last.
    pub last_id: Option<Box<str>>,
    /// Whether there are more behind it.
    pub has_more: bool,
}

/// No item has the id that a page should begin behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`after` names no item of this list")]
pub struct NoSuchItem;

impl Item {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its JSON text.
    #[must_use]
    pub const fn json(&self) -> &RawJson {
        &self.json
    }

    fn read(json: RawJson) -> Option<Self> {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
        }
        let id = json.read::<Named<'_>>().ok()?.id.into();
        Some(Self { id, json })
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Item").field(&self.id).finish()
    }
}

impl Serialize for Item {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl ItemError {
    /// The place in the request, such as `input[3].id`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

/// The items of a request's `input`, whole and with ids.
///
/// # Errors
/// When it is neither a text nor a list of objects.
pub fn of_request(response: ResponseId, input: &[u8]) -> Result<Vec<Item>, ItemError> {
    if let Ok(text) = serde_json::from_slice::<Cow<'_, str>>(input) {
        let message = serde_json::to_vec(&Said { role: "user", content: &text });
        let message = message.map_err(|_not_possible| wrong("input", "`input` is not valid"))?;
        let message = RawObject::parse(message.into());
        let message = message.map_err(|_not_shown| wrong("input", "`input` is not valid"))?;
        return Ok(completed("input[0]", response, &message).into_iter().collect());
    }
    let items = serde_json::from_slice::<Vec<&RawValue>>(input)
        .map_err(|_not_shown| wrong("input", "`input` must be a string or a list of items"))?;
    items_at(response, "input", &items)
}

/// The items of a response object's `output`, which may be missing. Those that came without an id get one.
///
/// # Errors
/// When it is no list of objects.
pub fn of_output(response: ResponseId, body: &RawJson) -> Result<Vec<Item>, ItemError> {
    #[derive(Deserialize)]
    struct WithOutput<'a> {
        #[serde(borrow, default)]
        output: Option<Vec<&'a RawValue>>,
    }
    let body = body.read::<WithOutput<'_>>();
    let body = body.map_err(|_not_shown| wrong("output", "`output` must be a list of items"))?;
    items_at(response, "output", &body.output.unwrap_or_default())
}

impl ItemPage {
    /// As many as a page has where nobody says.
    pub const USUAL: usize = 20;

    /// This page of these items, of which the oldest is first. Where an id stands more than once, the
    /// page begins behind the last one: so a reader who goes on comes to the end.
    ///
    /// # Errors
    /// When `after` is the id of none of them.
    pub fn of(&self, mut items: Vec<Item>) -> Result<ItemList, NoSuchItem> {
        if self.order == Order::Desc {
            items.reverse();
        }
        let from = match &self.after {
            Some(after) => 1 + items.iter().rposition(|item| *item.id == **after).ok_or(NoSuchItem)?,
            None => 0,
        };
        let has_more = items.len() > from.saturating_add(self.limit);
        let data: Vec<_> = items.into_iter().skip(from).take(self.limit).collect();
        let [first_id, last_id] = [data.first(), data.last()].map(|item| item.map(|item| item.id.clone()));
        Ok(ItemList { object: "list", data, first_id, last_id, has_more })
    }
}

/// Items as they are stored.
pub(super) fn to_list(items: &[Item]) -> String {
    let mut list =
        String::with_capacity(2 + items.iter().map(|item| item.json.get().len() + 1).sum::<usize>());
    list.push('[');
    for (number, item) in items.iter().enumerate() {
        if number > 0 {
            list.push(',');
        }
        list.push_str(item.json.get());
    }
    list.push(']');
    list
}

/// Items as they were stored.
pub(super) fn from_list(list: &RawJson) -> Result<Vec<Item>, StateError> {
    let items = list.read::<Vec<RawJson>>().ok();
    let items = items.and_then(|items| items.into_iter().map(Item::read).collect());
    items.ok_or_else(|| StateError::new(StateErrorKind::Corrupt, "the store holds items that are none"))
}

fn items_at(response: ResponseId, list: &str, items: &[&RawValue]) -> Result<Vec<Item>, ItemError> {
    let items = items.iter().enumerate().map(|(number, item)| {
        let path = format!("{list}[{number}]");
        let item = RawObject::parse(Bytes::copy_from_slice(item.get().as_bytes()));
        let item = item.map_err(|_not_shown| wrong(&path, "an item must be an object with each key once"))?;
        let id = item.read::<Cow<'_, str>>("id");
        id.map_err(|_not_shown| wrong(&format!("{path}.id"), "an item's `id` must be a string"))?;
        completed(&path, response, &item).ok_or_else(|| wrong(&path, "the item is not valid"))
    });
    items.collect()
}

fn wrong(path: &str, message: &'static str) -> ItemError {
    ItemError { path: path.to_owned(), message }
}

/// The item with all that is listed of it. One that has all stays byte for byte.
fn completed(path: &str, response: ResponseId, item: &RawObject) -> Option<Item> {
    let text = |key| item.read::<Cow<'_, str>>(key).ok().flatten();
    let kind = text("type").unwrap_or(Cow::Borrowed(if item.get("role").is_some() { "message" } else { "" }));
    let given = text("id").filter(|id| !id.is_empty()).map(Cow::into_owned);
    let id = given.clone().unwrap_or_else(|| made_id(path, response, &kind));
    let mut edits = Vec::new();
    if given.is_none() {
        edits.push(("id", Some(as_json(&id)?)));
    }
    if !kind.is_empty() && item.get("type").is_none() {
        edits.push(("type", Some(as_json(&kind)?)));
    }
    if has_status(&kind) && item.get("status").is_none() {
        edits.push(("status", Some(as_json(&"completed")?)));
    }
    if kind == "message"
        && let Some(content) = text("content")
    {
        let part = match text("role").as_deref() {
            Some("assistant") => TextPart { kind: "output_text", text: &content, annotations: Some([]) },
            _ => TextPart { kind: "input_text", text: &content, annotations: None },
        };
        edits.push(("content", Some(as_json(&[part])?)));
    }
    let json = if edits.is_empty() { item.body().to_vec() } else { item.rewritten(&edits) };
    let json = String::from_utf8(json).ok()?;
    Some(Item { id: id.into(), json: RawJson::parse(json).ok()? })
}

/// A message that was sent as a text.
#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: &'a str,
}

/// The only part of a content that was sent as a text.
#[derive(Serialize)]
struct TextPart<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<[(); 0]>,
}

/// The id of an item that came without one. It follows from where the item stands.
fn made_id(path: &str, response: ResponseId, kind: &str) -> String {
    let prefix = match kind {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "custom_tool_call" => "ctc",
        "custom_tool_call_output" => "ctco",
        _ => "item",
    };
    format!("{prefix}_{}", half_digest(format!("{response}/{path}").as_bytes()))
}

fn has_status(kind: &str) -> bool {
    matches!(kind, "message" | "function_call" | "function_call_output")
}

fn as_json(value: &(impl Serialize + ?Sized)) -> Option<Bytes> {
    serde_json::to_vec(value).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests;
