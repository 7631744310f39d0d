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

/// A request of nobody's, with this body.
#[cfg(test)]
pub(crate) fn ask_for_tests(body: &Value) -> Ask {
    use baton_model::RequestId;

    Ask {
        request: RequestId::from_parts(1, [0; 10]),
        dialect: Dialect::OpenaiChat,
        surface: "/v1/chat/completions",
        caller: crate::Caller { principal: "anonymous".to_owned(), models: None },
        body: RawObject::parse(body.to_string().into()).unwrap(),
        models: ModelSpec { names: vec!["a/b".to_owned()], list: false, members: 0 },
        stream: true,
        forward: HeaderMap::new(),
        query: None,
        labels: baton_audit::Labels::default(),
        providers: baton_policy::ProviderPreferences::default(),
        policy: None,
        wishes: baton_policy::Wishes::default(),
        handoff: HandoffWishes::default(),
        mcp_servers: None,
        run_tools: false,
        task: None,
        variables: std::collections::BTreeMap::new(),
        context: serde_json::Map::new(),
        strict: false,
        byok: None,
        ignored: Vec::new(),
        explain: Explain::None,
        kept: None,
        within: None,
    }
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
