//! Says why an answer came from where it came: one sentence, and the table behind it, both made
//! from the record and never by a model.

use baton_model::NanoUsd;
use baton_policy::{Rejection, Row, Verdict};

use crate::{
    DecisionKind, DecisionView, Outcome, OutcomeStatus, OutcomeView, RunView, Shadow, ShadowResult, utc,
};

/// One sentence on a run.
#[must_use]
pub fn sentence(run: &RunView) -> String {
    // A judge that was asked before is no one who served.
    let planned = run.decisions.iter().find(|view| view.decision.inputs.is_some());
    let Some(first) = planned.or(run.decisions.first()) else { return "Nothing was decided.".to_owned() };
    let served = run.decisions.iter().rev().find(|view| {
        view.decision.kind != DecisionKind::Delegate
            && matches!(&view.outcome, OutcomeView::Recorded(outcome) if outcome.status == OutcomeStatus::Ok)
    });
    let mut text = match (served, run.decisions.last()) {
        (Some(view), _) => format!("Served by {}", target(view)),
        (None, Some(last)) => unserved(last),
        (None, None) => String::new(),
    };
    text += &format!(": {}", first.decision.reason.text);
    let failures: Vec<String> = run.decisions.iter().filter_map(failure).collect();
    if !failures.is_empty() {
        text += &format!("; {}", failures.join(", then "));
    }
    text.push('.');
    text
}

/// How a run ended that no target served to its end.
fn unserved(last: &DecisionView) -> String {
    match (&last.outcome, last.decision.kind) {
        (OutcomeView::Running, _) => format!("Being served by {}", target(last)),
        (OutcomeView::Crashed, _) => format!("Cut off at {} when the process died", target(last)),
        (OutcomeView::Recorded(outcome), _) if outcome.status == OutcomeStatus::ClientCancelled => {
            format!("Left by the client while {} answered", target(last))
        }
        (_, DecisionKind::Refuse) => "Refused".to_owned(),
        _ => "Not served".to_owned(),
    }
}

fn target(view: &DecisionView) -> String {
    view.decision.to.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string)
}

/// An attempt that failed, as half a sentence.
fn failure(view: &DecisionView) -> Option<String> {
    match &view.outcome {
        OutcomeView::Recorded(outcome) if outcome.status == OutcomeStatus::Failed => {
            let fault = outcome.fault.map_or("unknown", baton_model::FaultKind::as_str);
            let status = outcome.http_status.map(|status| format!(" ({status})")).unwrap_or_default();
            Some(format!("{} failed with {fault}{status}", target(view)))
        }
        OutcomeView::Recorded(_) | OutcomeView::NotExpected | OutcomeView::Running | OutcomeView::Crashed => {
            None
        }
    }
}

/// The candidates with their verdicts, then the attempts, as text for a terminal.
#[must_use]
pub fn table(run: &RunView) -> String {
    let mut text = String::new();
    for view in &run.decisions {
        let Some(inputs) = &view.decision.inputs else { continue };
        text += &format!("candidates under policy {}@{}\n", inputs.policy.name, inputs.policy.version);
        let width =
            inputs.candidates.iter().map(|candidate| candidate.target.to_string().len()).max().unwrap_or(0);
        for (candidate, row) in inputs.candidates.iter().zip(&view.decision.table) {
            text += &format!("  {:width$}  {}\n", candidate.target.to_string(), verdict_text(row));
        }
        text += &view.decision.shadow.as_deref().map(shadow).unwrap_or_default();
    }
    text += "decisions\n";
    for view in &run.decisions {
        let decision = &view.decision;
        text += &format!(
            "  {}  {:8}  {}  {}\n      {}\n      {}\n",
            utc(decision.at_ms),
            decision.kind.as_str(),
            decision.id,
            target(view),
            decision.reason.text,
            outcome(view),
        );
    }
    text
}

/// What a version on trial came to, as a line.
fn shadow(Shadow { policy, version, result }: &Shadow) -> String {
    let result = match result {
        ShadowResult::Planned { same: true, .. } => "the same".to_owned(),
        ShadowResult::Planned { to: Some(to), .. } => to.to_string(),
        ShadowResult::Planned { to: None, .. } => "nobody".to_owned(),
        ShadowResult::Undetermined { undetermined } => format!("undetermined: {undetermined}"),
    };
    format!("beside, without effect, policy {policy}@{version}: {result}\n")
}

/// A row of a table, without its candidate.
#[must_use]
pub fn verdict_text(row: &Row) -> String {
    let score = row.score.map(|score| format!(", score {score}")).unwrap_or_default();
    match &row.verdict {
        Verdict::Selected => format!("selected{score}"),
        Verdict::Eligible { rank } => format!("eligible, fallback {rank}{score}"),
        Verdict::Rejected(Rejection { code, observed, limit, .. }) => {
            let mut text = format!("rejected: {}", code.as_str());
            if let Some(observed) = observed {
                text += &format!(", observed {observed}");
            }
            if let Some(limit) = limit {
                text += &format!(", limit {limit}");
            }
            text
        }
    }
}

fn outcome(view: &DecisionView) -> String {
    match &view.outcome {
        OutcomeView::NotExpected => "nothing was sent".to_owned(),
        OutcomeView::Running => "running".to_owned(),
        OutcomeView::Crashed => "the process died before the end, so how it ended is not known".to_owned(),
        OutcomeView::Recorded(outcome) => format!("{}, {}", recorded(outcome), cost(view)),
    }
}

/// What an attempt cost, and what it was taken to have cost at first.
fn cost(view: &DecisionView) -> String {
    let shown = |cost: Option<NanoUsd>| cost.map_or_else(|| "unknown".to_owned(), |cost| cost.to_string());
    let mut text = format!("cost {}", shown(view.cost()));
    if let Some(last) = view.corrections.last() {
        let at = utc(last.at_ms);
        text +=
            &format!(" (counted anew {at} with prices {}; first {}", last.prices, shown(view.first_cost()));
        text +=
            &last.first_prices.as_ref().map(|prices| format!(" with prices {prices}")).unwrap_or_default();
        text.push(')');
    }
    text
}

fn recorded(outcome: &Outcome) -> String {
    let mut text = outcome.status.as_str().to_owned();
    if let Some(fault) = outcome.fault {
        text += &format!(": {fault}");
    }
    if let Some(status) = outcome.http_status {
        text += &format!(", status {status}");
    }
    if let Some(first) = outcome.first_content_us {
        text += &format!(", first content {}", millis(first));
    }
    text += &format!(", total {}", millis(outcome.total_us));
    match &outcome.usage {
        Some(usage) => {
            text += &format!(", tokens {} in, {} out", usage.input_tokens, usage.output_tokens);
        }
        None => text.push_str(", tokens unknown"),
    }
    text
}

fn millis(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}
