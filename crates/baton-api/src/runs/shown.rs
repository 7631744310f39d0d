//! A run as its caller sees it.
//!
//! - **Never here:** what only another process needs: tapes, and the conversation with hidden calls.

use baton_engine::{Checkpoint, Ending, PendingApproval, PendingCall, Progress, RunFault};
use baton_run::StepReport;
use baton_state::runs::{RunRow, RunStatus, StoredRun};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::order::Order;

/// What is stored of an end, beside the checkpoint.
#[derive(Default, Deserialize)]
struct Outcome {
    #[serde(default)]
    error: Option<RunFault>,
}

/// A stored run.
pub(super) fn run(stored: &StoredRun) -> Value {
    let mut checkpoint: Checkpoint =
        stored.checkpoint.as_ref().and_then(|checkpoint| checkpoint.read().ok()).unwrap_or_default();
    let outcome: Outcome = stored.result.as_ref().and_then(|result| result.read().ok()).unwrap_or_default();
    let mut shown = head(&stored.run);
    if let Ok(order) = stored.request.read::<Order>() {
        let asked = order.shown;
        shown.insert("model".to_owned(), asked.model.unwrap_or_default());
        shown.insert("agent".to_owned(), asked.agent.map_or(Value::Null, Value::from));
        shown.insert("workflow".to_owned(), asked.workflow.map_or(Value::Null, Value::from));
        shown.insert("background".to_owned(), Value::from(asked.background));
        let context = checkpoint.progress.context.clone().unwrap_or(asked.context);
        shown.insert("context".to_owned(), Value::Object(context));
        shown.insert("metadata".to_owned(), asked.metadata.unwrap_or_else(|| json!({})));
        let previous = asked.previous_run.map_or(Value::Null, |previous| Value::from(previous.to_string()));
        shown.insert("previous_run".to_owned(), previous);
    }
    let waits = stored.run.status == RunStatus::RequiresAction;
    let action = waits.then(|| action(&checkpoint));
    if let Some(flow) = &checkpoint.flow {
        let report = flow.report();
        shown.insert("steps".to_owned(), report.steps.iter().map(step).collect());
        shown.insert("choice".to_owned(), report.choice.map_or(Value::Null, |choice| json!(choice)));
    }
    shown.insert("checks".to_owned(), json!(checkpoint.checks));
    // What steps under way came to so far is the run's.
    checkpoint.close();
    shown.extend(came_to(&checkpoint.progress, action.as_ref(), outcome.error.as_ref()));
    Value::Object(shown)
}

/// What the caller of a run is waited for.
pub(super) fn action(checkpoint: &Checkpoint) -> Value {
    let approvals: Vec<&PendingApproval> = checkpoint.approvals().collect();
    if approvals.is_empty() {
        return json!({ "type": "tool_outputs", "tool_calls": calls(&checkpoint.progress.calls) });
    }
    json!({ "type": "approval", "approvals": approvals })
}

/// A step of a workflow.
fn step(step: &StepReport) -> Value {
    let record = &step.record;
    json!({
        "name": step.name,
        "kind": step.kind,
        "status": step.status,
        "attempts": step.attempts,
        "output": step.output,
        "error": step.error,
        "choice": step.choice,
        "model": record.model,
        "decisions": record.decisions,
        "cost_usd": record.cost.map(|cost| cost.to_string().replace('$', "")),
        "began_ms": record.began_ms,
        "ended_ms": record.ended_ms,
        "checks": record.checks,
    })
}

/// What is known of a run without opening anything.
pub(super) fn head(row: &RunRow) -> Map<String, Value> {
    let seconds = |ms: u64| Value::from(ms / 1_000);
    let mut shown = Map::new();
    shown.insert("id".to_owned(), Value::from(row.id.to_string()));
    shown.insert("object".to_owned(), Value::from("run"));
    shown.insert("status".to_owned(), Value::from(row.status.as_str()));
    shown.insert("created_at".to_owned(), seconds(row.created_ms));
    shown.insert("ended_at".to_owned(), row.ended_ms.map_or(Value::Null, seconds));
    shown
}

fn came_to(progress: &Progress, action: Option<&Value>, error: Option<&RunFault>) -> Map<String, Value> {
    let last = progress.turns.iter().rev().find(|turn| !turn.task);
    let target = match &progress.ending {
        Some(Ending::Handoff(to)) => Some(to.as_str()),
        _ => None,
    };
    let why = match &progress.ending {
        Some(Ending::Incomplete(why)) => Some(json!({ "reason": why })),
        _ => None,
    };
    let members = json!({
        "output": { "text": progress.text(), "messages": progress.messages },
        "ended_by": last.map(|turn| json!({ "agent": turn.agent, "model": turn.model })),
        "required_action": action,
        "target": target,
        "incomplete_details": why,
        "error": error,
        "errors": progress.errors,
        "agents_used": progress.agents_used(),
        "handoffs": progress.handoffs,
        "turns": progress.turns,
        "turns_consumed": progress.turns.len(),
        "tool_results": progress.tools,
        "usage": usage(progress),
        "cost_usd": cost(progress),
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// What all turns used.
pub(super) fn usage(progress: &Progress) -> Value {
    let total = progress.usage.input_tokens.saturating_add(progress.usage.output_tokens);
    let mut shown = serde_json::to_value(progress.usage).unwrap_or_default();
    if let Some(members) = shown.as_object_mut() {
        members.insert("total_tokens".to_owned(), Value::from(total));
    }
    shown
}

/// What all turns cost, in US dollars; nothing where the price of one is not known.
pub(super) fn cost(progress: &Progress) -> Option<String> {
    progress.is_priced.then(|| progress.cost.to_string().replace('$', ""))
}

/// The calls that the caller is to carry out, as chat has them.
pub(super) fn calls(calls: &[PendingCall]) -> Vec<Value> {
    let shown = |call: &PendingCall| {
        let function = json!({ "name": call.name, "arguments": call.arguments });
        json!({ "id": call.id, "type": "function", "function": function })
    };
    calls.iter().map(shown).collect()
}
