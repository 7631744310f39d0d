//! Asks a step: a request of its own within the run, and what there is to tell of its answer.

use std::sync::Arc;

use baton_dialect::observe_answer;
use baton_model::{Dialect, NanoUsd, RawJson, RawObject, RunId, Target, Usage};
use baton_run::{AskedStep, Asks, CheckedStep, HandoffWishes, Inquiry, StepAnswer, StepFailure, StepRecord};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Within;
use super::check::look;
use super::drive::Steps;
use crate::own::text_of;
use crate::{Ask, Engine, Explain, Head, ModelSpec, Refusal, ReplyBody};

/// Who asks for a workflow, and in which run.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) engine: Arc<Engine>,
    pub(super) client: Arc<Ask>,
    pub(super) run: RunId,
}

impl Steps for Asking {
    fn ask(&self, asked: AskedStep) -> BoxFuture<'static, Result<StepAnswer, (StepFailure, StepRecord)>> {
        let asking = self.clone();
        Box::pin(async move { asking.answer(&asked.inquiry, messages(&asked)).await })
    }

    fn check(&self, checked: CheckedStep) -> BoxFuture<'static, (Option<String>, StepRecord)> {
        let asking = self.clone();
        Box::pin(async move { look(&asking, &checked).await })
    }
}

/// What a step is asked with. One whose answer was not right sees that answer, and why.
fn messages(asked: &AskedStep) -> Vec<Value> {
    let told = asked.inquiry.instructions.as_ref().map(|told| json!({ "role": "system", "content": told }));
    let mut messages: Vec<Value> = told.into_iter().collect();
    messages.push(json!({ "role": "user", "content": asked.input }));
    if let Some((before, why)) = &asked.wrong {
        messages.push(json!({ "role": "assistant", "content": before }));
        let again = format!("This answer cannot be taken: {why}. Answer once more.");
        messages.push(json!({ "role": "user", "content": again }));
    }
    messages
}

impl Asking {
    /// Asks somebody within the run.
    pub(super) async fn answer(
        &self,
        inquiry: &Inquiry,
        messages: Vec<Value>,
    ) -> Result<StepAnswer, (StepFailure, StepRecord)> {
        let within = Arc::new(Within::new(self.run));
        let began_ms = Some(self.engine.ids().now_ms());
        let said = match self.request(inquiry, messages, &within) {
            Some(ask) => self.whole(ask).await,
            None => Err(StepFailure::new("invalid_step", "the step's request cannot be written")),
        };
        let mut record = StepRecord {
            decisions: within.decisions(),
            began_ms,
            ended_ms: Some(self.engine.ids().now_ms()),
            ..StepRecord::default()
        };
        match said {
            Ok((head, body)) => {
                record.model = Some(head.target.clone());
                record.cost = self.cost(&head, &body);
                match text_of(&body).filter(|text| !text.is_empty()) {
                    Some(output) => Ok(StepAnswer { output, record }),
                    None => Err((StepFailure::new("no_text", "the answer has no text"), record)),
                }
            }
            Err(failure) => Err((failure, record)),
        }
    }

    fn request(&self, inquiry: &Inquiry, messages: Vec<Value>, within: &Arc<Within>) -> Option<Ask> {
        let names = inquiry.asks.names();
        let (list, members) = match &inquiry.asks {
            Asks::Model(_) | Asks::Agent(_) => (false, 0),
            Asks::Pool(_) => (true, names.len()),
            Asks::Models(_) => (true, 0),
        };
        let mut body: Map<String, Value> = inquiry.settings.clone();
        body.insert("model".to_owned(), if list { json!(names) } else { json!(names.first()) });
        body.insert("messages".to_owned(), Value::Array(messages));
        let servers = inquiry.mcp_servers.as_ref().map(|servers| RawJson::parse(servers.to_string()).ok());
        Some(Ask {
            request: self.engine.ids().request(),
            dialect: Dialect::OpenaiChat,
            body: RawObject::parse(Value::Object(body).to_string().into()).ok()?,
            models: ModelSpec { names, list, members },
            handoff: HandoffWishes::default(),
            mcp_servers: servers.flatten(),
            run_tools: true,
            stream: false,
            forward: HeaderMap::new(),
            query: None,
            byok: None,
            ignored: Vec::new(),
            explain: Explain::Summary,
            kept: None,
            within: Some(Arc::clone(within)),
            ..Ask::clone(&self.client)
        })
    }

    /// The whole answer, however long it is in coming.
    async fn whole(&self, ask: Ask) -> Result<(Head, Bytes), StepFailure> {
        let reply = self.engine.answer(ask).await.map_err(|refusal| failure(&refusal))?;
        match reply.body {
            ReplyBody::Whole(body) => Ok((reply.head, body)),
            ReplyBody::Coming(coming) => coming.await.map_err(|refusal| failure(&refusal)),
            ReplyBody::Stream(_) => {
                Err(StepFailure::new("internal", "an answer came in pieces that nobody asked for"))
            }
        }
    }

    /// What an answer cost: the sum of its turns, where there were several.
    fn cost(&self, head: &Head, body: &[u8]) -> Option<NanoUsd> {
        let settings = self.engine.settings();
        let price = |target: &str, usage: &Usage| {
            let target: Target = target.parse().ok()?;
            Some(settings.catalog.knowledge().models.get(&target)?.price?.cost(usage))
        };
        let turns =
            serde_json::from_slice::<Told>(body).ok().and_then(|told| told.baton).unwrap_or_default().turns;
        if turns.is_empty() {
            return price(&head.target, &observe_answer(Dialect::OpenaiChat, body).ok()?.usage?);
        }
        turns.iter().map(|turn| price(&turn.model, turn.usage.as_ref()?)).sum()
    }
}

/// What an answer tells of its run, as far as cost needs it.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    baton: Option<ToldRun>,
}

#[derive(Default, Deserialize)]
struct ToldRun {
    #[serde(default)]
    turns: Vec<ToldTurn>,
}

#[derive(Deserialize)]
struct ToldTurn {
    model: String,
    #[serde(default)]
    usage: Option<Usage>,
}

fn failure(refusal: &Refusal) -> StepFailure {
    let code = refusal.code.clone().unwrap_or_else(|| "failed".to_owned());
    StepFailure { code, message: refusal.message.clone() }
}
