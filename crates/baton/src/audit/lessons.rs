//! `baton audit lessons`: what was said of decisions, as rows that `cargo xtask routing-train` learns from.
//!
//! A row has the kind of task, which models were right, and the request's text where it was captured; reading it is
//! recorded. Of a decision, what was said last counts.
//!
//! - Start with [`run`].
//! - **Never here:** whether there is enough to learn from; the trainer says that.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use baton_audit::{ContentPart, CorrectTarget, FeedbackPlace, FeedbackQuery, Lookup, RunView};
use baton_model::{DecisionId, Target};
use baton_policy::Knowledge;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::routes::{away, unreadable};
use super::{PAGE, text};
use crate::control::{Actor, Client, Control, Refused, record};
use crate::output::{line, note};

/// So many decisions are looked up at once.
const AT_ONCE: usize = 50;
/// The scorer looks at no more of a request's text.
const TEXT: usize = 8 << 10;

/// Where a page of feedback begins.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    place: Option<(u64, String, u64)>,
}

/// What was said last of a decision.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    decision: DecisionId,
    correct_target: CorrectTarget,
}

/// A page of feedback, and where the next one begins.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Page {
    data: Vec<Said>,
    next: Option<(u64, String, u64)>,
}

/// A row, as the trainer reads it.
#[derive(Debug, Deserialize, Serialize)]
struct Lesson {
    id: DecisionId,
    /// `audit:` and the kind of task; nothing behind it where that is not known.
    task: String,
    prompt: String,
    in_tok: u64,
    /// By the name that the scorer knows the model by: 1 where it was right, 0 where it was not.
    m: BTreeMap<String, [u8; 1]>,
}

/// Prints the lessons, one in a line, and says what is missing for more.
pub(super) async fn run(client: &Client) -> anyhow::Result<()> {
    client.call(Method::POST, "/audit/settle", &json!({})).await?;
    let mut said: HashMap<DecisionId, CorrectTarget> = HashMap::new();
    let mut after = After { place: None };
    loop {
        let answer = client.call(Method::POST, "/audit/feedback", &serde_json::to_value(&after)?).await?;
        let page: Page = serde_json::from_value(answer)?;
        said.extend(page.data.into_iter().map(|said| (said.decision, said.correct_target)));
        after.place = page.next;
        if after.place.is_none() {
            break;
        }
    }
    let mut said: Vec<Said> =
        said.into_iter().map(|(decision, correct_target)| Said { decision, correct_target }).collect();
    said.sort_unstable_by_key(|said| said.decision);
    let (mut told, mut with_text, mut without_kind) = (0, 0, 0);
    for some in said.chunks(AT_ONCE) {
        let answer = client.call(Method::POST, "/audit/lessons", &serde_json::to_value(some)?).await?;
        let rows = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for row in rows {
            told += 1;
            with_text += u64::from(!text(row, "prompt").is_empty());
            without_kind += u64::from(text(row, "task") == TASK);
            line(&row.to_string());
        }
    }
    note(&format!(
        "{told} decisions with feedback that names what was right; {with_text} of them have their text \
         (`audit.capture.content`), and of {without_kind} nobody knows the kind of task"
    ));
    Ok(())
}

const TASK: &str = "audit:";

/// A page of what was said of whether a choice was right.
pub(super) async fn feedback(
    State(control): State<Control>,
    Json(after): Json<After>,
) -> Result<Json<Page>, Refused> {
    let place = after
        .place
        .and_then(|(at_ms, boot, seq)| Some(FeedbackPlace { at_ms, boot: boot.parse().ok()?, seq }));
    let query = FeedbackQuery { decisions: Vec::new(), after: place, limit: PAGE };
    let rows = control.queries.feedback(&query).await.map_err(away)?;
    let is_full = rows.len() >= usize::try_from(PAGE).unwrap_or(usize::MAX);
    let next = rows.last().filter(|_| is_full).map(|row| (row.at_ms, row.boot.to_string(), row.seq));
    let data = rows.into_iter().filter_map(|row| {
        let named = row.correct_target.map(CorrectTarget::Named);
        let correct_target = row.correct.map(CorrectTarget::Chosen).or(named)?;
        Some(Said { decision: row.decision, correct_target })
    });
    Ok(Json(Page { data: data.collect(), next }))
}

/// The lessons of these decisions. That their content was looked at is recorded.
pub(super) async fn lessons(
    State(control): State<Control>,
    actor: Actor,
    Json(said): Json<Vec<Said>>,
) -> Result<Json<Value>, Refused> {
    let ids: Vec<DecisionId> = said.iter().map(|said| said.decision).collect();
    record(&control, &actor, "content.read", "lessons", json!({"decisions": ids})).await?;
    let settings = control.engine.settings();
    let knowledge = settings.catalog.knowledge();
    let mut data = Vec::with_capacity(said.len());
    for Said { decision, correct_target } in said {
        // One that retention dropped teaches nothing.
        if let Lookup::Found(run) = control.decisions.chain_of(decision).await.map_err(unreadable)? {
            let prompt = prompt(&control, &run).await?;
            data.extend(lesson(&run, decision, &correct_target, prompt, knowledge));
        }
    }
    Ok(Json(json!({"object": "list", "data": data, "has_more": false})))
}

fn lesson(
    run: &RunView,
    id: DecisionId,
    correct: &CorrectTarget,
    prompt: String,
    knowledge: &Knowledge,
) -> Option<Lesson> {
    let view = run.decisions.iter().find(|view| view.decision.id == id)?;
    let inputs = view.decision.inputs.as_ref();
    let inputs = inputs.or_else(|| run.decisions.iter().find_map(|view| view.decision.inputs.as_ref()))?;
    let chosen = view.decision.to.as_ref()?;
    let own = scored_as(chosen, knowledge);
    let m = match correct {
        CorrectTarget::Chosen(right) => BTreeMap::from([(own, [u8::from(*right)])]),
        CorrectTarget::Named(name) => {
            let is_chosen = *name == chosen.to_string()
                || view.decision.to_model.as_ref().is_some_and(|model| model.as_str() == name);
            let right = if is_chosen { own.clone() } else { named(name, knowledge) };
            BTreeMap::from([(own, [0]), (right, [1])])
        }
    };
    let kind = inputs.features.task_kind().map(|kind| kind.to_string()).unwrap_or_default();
    Some(Lesson { id, task: format!("{TASK}{kind}"), prompt, in_tok: inputs.features.input_tokens, m })
}

/// The name that the scorer knows a target by, else its own.
fn scored_as(target: &Target, knowledge: &Knowledge) -> String {
    let facts = knowledge.models.get(target);
    facts.and_then(|facts| facts.scored_as.clone()).unwrap_or_else(|| target.model.to_string())
}

/// The same of a target, a model or an alias that somebody wrote.
fn named(name: &str, knowledge: &Knowledge) -> String {
    if let Ok(target) = name.parse::<Target>() {
        return scored_as(&target, knowledge);
    }
    let is_meant = |alias: &baton_model::ModelName| alias.as_str() == name;
    let known = knowledge.models.iter().find(|(_, facts)| facts.aliases.iter().any(is_meant));
    known.map_or_else(|| name.to_owned(), |(target, _)| scored_as(target, knowledge))
}

/// What the request asked last, where it was captured and can be opened.
async fn prompt(control: &Control, run: &RunView) -> Result<String, Refused> {
    for view in run.decisions.iter().filter(|view| view.decision.inputs.is_some()) {
        let pieces = control.contents.plain(view.decision.id, ContentPart::Request).await.map_err(away)?;
        if let Some(asked) = pieces.iter().find_map(|content| last_asked(content.get("body")?)) {
            return Ok(asked.get(..asked.floor_char_boundary(TEXT)).unwrap_or_default().to_owned());
        }
    }
    Ok(String::new())
}

/// The text of the last message of the user, in the body of any surface.
fn last_asked(body: &Value) -> Option<String> {
    let messages = body.get("messages").or_else(|| body.get("input"))?;
    let last = match messages {
        Value::Array(messages) => {
            let is_user = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
            messages.iter().rev().find(is_user)?.get("content")?
        }
        text => text,
    };
    let texts: Vec<&str> = match last {
        Value::String(text) => vec![text],
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).collect(),
        _ => Vec::new(),
    };
    let joined = texts.join("\n");
    (!joined.is_empty()).then_some(joined)
}

#[cfg(test)]
mod tests;
