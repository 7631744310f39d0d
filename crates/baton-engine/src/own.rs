//! Requests of the gateway's own within a client's: one question, one whole answer, as text.

use baton_model::{Dialect, RawObject};
use baton_run::HandoffWishes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use crate::{Ask, Explain, ModelSpec};

/// A request in chat's dialect to one model. Of the client's it has who asks and for whom, nothing else.
pub(crate) fn own_ask(client: &Ask, model: &str, body: &Value) -> Option<Ask> {
    Some(Ask {
        dialect: Dialect::OpenaiChat,
        body: RawObject::parse(body.to_string().into()).ok()?,
        models: ModelSpec { names: vec![model.to_owned()], list: false, members: 0 },
        handoff: HandoffWishes::default(),
        mcp_servers: None,
        stream: false,
        forward: HeaderMap::new(),
        query: None,
        strict: false,
        byok: None,
        ignored: Vec::new(),
        explain: Explain::None,
        ..client.clone()
    })
}

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

/// What the answer says.
pub(crate) fn text_of(body: &[u8]) -> Option<String> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    answer.choices.into_iter().next()?.message.content
}
