//! Asks a step: a request of its own within the run, and what there is to tell of its answer.

use std::sync::{Arc, Mutex, PoisonError};

use baton_model::{Dialect, RawJson, RawObject};
use baton_run::{
    AskedStep, Asks, CheckedStep, Guard, HandoffWishes, Inquiry, Limits, StepAnswer, StepFailure, StepRecord,
};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::check::look;
use super::drive::{Said, Steps};
use super::{Looked, Within};
use crate::course::Purse;
use crate::runs::{Ending, Kept, StepNote};
use crate::{Ask, Engine, Explain, ModelSpec, Refusal};

/// How a run ends whose time is over.
const LATE: &str = "max_seconds";

/// Who asks for a workflow, and in which run.
#[derive(Clone)]
pub(super) struct Asking {
    engine: Arc<Engine>,
    client: Arc<Ask>,
    kept: Arc<Kept>,
    purse: Arc<Purse>,
    /// The limit of the run that a step came to first.
    reached: Arc<Mutex<Option<String>>>,
}

/// Where a step is written down, and under which name it is told.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) key: String,
    pub(super) name: String,
    /// Whether nobody but the gateway sees what is said.
    pub(super) aside: bool,
}

/// What an attempt of a step is known by in its run.
pub(super) fn key(step: usize, attempt: u32, is_checked: bool) -> String {
    let part = if is_checked { "check" } else { "ask" };
    format!("{step}.{attempt}.{part}")
}

impl Steps for Asking {
    fn ask(&self, asked: AskedStep) -> BoxFuture<'static, Said> {
        let asking = self.clone();
        let place =
            Place { key: key(asked.step, asked.attempt, false), name: asked.name.clone(), aside: false };
        Box::pin(async move { asking.answer(place, &asked.inquiry, messages(&asked)).await })
    }

    fn check(&self, checked: CheckedStep) -> BoxFuture<'static, (Looked, StepRecord)> {
        let asking = self.clone();
        let place = Place {
            key: key(checked.step, checked.attempt, true),
            name: format!("{}/validation", checked.name),
            aside: true,
        };
        Box::pin(async move { look(&asking, place, &checked.validation, &checked.output).await })
    }
}

/// What a step is asked with. One whose answer was not right sees that answer, and why.
fn messages(asked: &AskedStep) -> Vec<Value> {
    let told = asked.inquiry.instructions.as_ref().map(|told| json!({ "role": "system", "content": told }));
    let mut messages: Vec<Value> = told.into_iter().collect();
    messages.push(json!({ "role": "user", "content": asked.input }));
    if let Some((before, why)) = &asked.wrong {
        messages.push(json!({ "role": "assistant", "content": before }));
        messages.push(json!({ "role": "user", "content": once_more(why) }));
    }
    messages
}

/// What somebody is told whose answer was not right.
pub(super) fn once_more(why: &str) -> String {
    format!("This answer cannot be taken: {why}. Answer once more.")
}

impl Asking {
    pub(super) async fn new(engine: &Arc<Engine>, client: &Ask, kept: &Arc<Kept>) -> Self {
        let wishes = &client.handoff;
        let limits = Limits {
            max_turns: wishes.max_turns.unwrap_or(u32::MAX),
            budget: wishes.budget,
            max_tokens: kept.terms().max_tokens,
            ..Limits::default()
        };
        let (turns, tokens, cost) = kept.pad().await.checkpoint.used();
        Self {
            engine: Arc::clone(engine),
            client: Arc::new(Ask { kept: None, ..client.clone() }),
            kept: Arc::clone(kept),
            purse: Arc::new(Purse::begun(&limits, turns, tokens, cost)),
            reached: Arc::default(),
        }
    }

    /// The limit of the run that a step came to, if one did.
    pub(super) fn reached(&self) -> Option<String> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks somebody within the run.
    pub(super) async fn answer(&self, place: Place, inquiry: &Inquiry, messages: Vec<Value>) -> Said {
        let note = StepNote { name: place.name, began_ms: self.engine.ids().now_ms(), aside: place.aside };
        let kept = self.kept.step(&place.key, note, self.purse.shared()).await;
        let within = Arc::new(Within::new(self.kept.run()));
        let asked = request(&self.engine, &self.client, inquiry, messages, &within, Some(Arc::clone(&kept)));
        let Some(ask) = asked else {
            let failure = StepFailure::new("invalid_step", "the step's request cannot be written");
            return Said::Nothing(failure, StepRecord::default());
        };
        // Boxed: what answers a request may carry a workflow.
        let answered = Box::pin(self.engine.answer(ask)).await;
        if self.kept.is_halted() {
            // Whoever goes on with the run asks again: that it was stopped here is no failure of the step.
            std::future::pending::<()>().await;
        }
        kept.hand_over().await;
        let checkpoint = kept.checkpoint().await;
        let progress = checkpoint.progress;
        let last = progress.turns.iter().rev().find(|turn| !turn.task);
        let mut decisions: Vec<_> = progress.turns.iter().map(|turn| turn.decision).collect();
        decisions.extend(within.decisions());
        let mut seen = std::collections::BTreeSet::new();
        decisions.retain(|decision| seen.insert(decision.to_string()));
        let record = StepRecord {
            model: last.map(|turn| turn.model.clone()),
            decisions,
            cost: progress.is_priced.then_some(progress.cost),
            began_ms: checkpoint.step.map(|step| step.began_ms),
            ended_ms: Some(self.engine.ids().now_ms()),
            ..StepRecord::default()
        };
        let text = progress.text();
        let failure = match (answered, progress.ending) {
            (Err(refusal), _) => self.failure(&refusal),
            (Ok(_), Some(Ending::RequiresAction)) if !progress.approvals.is_empty() => {
                // Who goes on with the run finds it so.
                return match kept.flush().await {
                    Ok(()) => Said::Waits,
                    Err(_lost) => std::future::pending().await,
                };
            }
            (Ok(_), Some(Ending::Incomplete(why))) if why != "max_output_tokens" => self.stopped(&why),
            (Ok(_), Some(Ending::Completed | Ending::Incomplete(_))) if !text.is_empty() => {
                return Said::Answer(StepAnswer { output: text, record });
            }
            _ => StepFailure::new("no_text", "the answer has no text"),
        };
        Said::Nothing(failure, record)
    }

    /// A step ended early.
    fn stopped(&self, why: &str) -> StepFailure {
        let wishes = &self.client.handoff;
        let is_of_run = why == LATE
            || why == Guard::Budget.as_str()
            || why == Guard::MaxTurns.as_str() && wishes.max_turns.is_some();
        if is_of_run {
            self.note_limit(why);
        }
        StepFailure::new(why, "the step ended before it had an answer")
    }

    fn failure(&self, refusal: &Refusal) -> StepFailure {
        let until = self.kept.terms().until_ms;
        if until.is_some_and(|until| self.engine.ids().now_ms() >= until) {
            self.note_limit(LATE);
        }
        let code = refusal.code.clone().unwrap_or_else(|| "failed".to_owned());
        StepFailure { code, message: refusal.message.clone() }
    }

    fn note_limit(&self, why: &str) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.get_or_insert_with(|| why.to_owned());
    }
}

/// The request of a step.
pub(super) fn request(
    engine: &Engine,
    client: &Ask,
    inquiry: &Inquiry,
    messages: Vec<Value>,
    within: &Arc<Within>,
    kept: Option<Arc<Kept>>,
) -> Option<Ask> {
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
    let wishes = &client.handoff;
    Some(Ask {
        request: engine.ids().request(),
        dialect: Dialect::OpenaiChat,
        body: RawObject::parse(Value::Object(body).to_string().into()).ok()?,
        models: ModelSpec { names, list, members },
        handoff: HandoffWishes {
            budget: wishes.budget,
            max_turns: wishes.max_turns,
            max_handoffs: wishes.max_handoffs,
            ..HandoffWishes::default()
        },
        mcp_servers: servers.flatten(),
        run_tools: true,
        stream: false,
        forward: HeaderMap::new(),
        query: None,
        byok: None,
        ignored: Vec::new(),
        explain: Explain::None,
        kept,
        within: Some(Arc::clone(within)),
        ..client.clone()
    })
}
