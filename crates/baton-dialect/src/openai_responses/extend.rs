//! Adds tools and items to a request that is passed on as it is.

use baton_model::RawObject;

use super::encode::{encode_items, encode_tools};
use super::repair::{item_list, repair_request};
use crate::additions::{Edits, edited, longer_list, set};
use crate::{Additions, DecodeError};

pub(crate) fn extend_request<'b>(
    body: &'b RawObject,
    additions: &Additions<'b>,
) -> Result<Edits<'b>, DecodeError> {
    let mut edits = repair_request(body)?;
    if !additions.tools.is_empty() {
        // This is repaired away where there are no tools; now there are some.
        edits.retain(|(key, _)| *key != "tool_choice" || body.get(key).is_none());
        let tools = edited(&edits, body, "tools");
        set(&mut edits, "tools", Some(longer_list(tools.as_deref(), &encode_tools(additions.tools))));
    }
    if !additions.messages.is_empty() {
        let items = item_list(&mut edits, body);
        set(&mut edits, "input", Some(longer_list(Some(&items), &encode_items(additions.messages))));
    }
    Ok(edits)
}
