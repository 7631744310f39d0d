//! Adds tools and messages to a request that is passed on as it is.

use baton_model::RawObject;

use super::encode::{encode_messages, encode_tools};
use super::repair::repair_for;
use crate::additions::{Edits, edited, longer_list, set};
use crate::{Additions, DecodeError};

pub(crate) fn extend_request<'b>(
    body: &'b RawObject,
    additions: &Additions<'b>,
) -> Result<Edits<'b>, DecodeError> {
    let mut edits = repair_for(body, additions.calls)?;
    if !additions.tools.is_empty() {
        // These are repaired away where there are no tools; now there are some.
        edits.retain(|(key, _)| {
            !matches!(*key, "tool_choice" | "parallel_tool_calls") || body.get(key).is_none()
        });
        let tools = edited(&edits, body, "tools");
        set(&mut edits, "tools", Some(longer_list(tools.as_deref(), &encode_tools(additions.tools))));
    }
    if !additions.messages.is_empty() {
        let messages = edited(&edits, body, "messages");
        let longer = longer_list(messages.as_deref(), &encode_messages(additions.messages));
        set(&mut edits, "messages", Some(longer));
    }
    Ok(edits)
}
