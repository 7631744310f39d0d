//! Writes decisions as lines of a table for spreadsheets.
//!
//! - **Invariant:** no cell is taken for a formula: one that begins like one gets an apostrophe.

use crate::{DecisionView, OutcomeView};

/// The names of the columns, as the first line.
pub const CSV_HEADER: &str = "id,time,run,turn,hop,kind,principal,surface,requested,from,to_model,to,reason_code,reason_source,policy,status,fault,http_status,input_tokens,cached_tokens,output_tokens,reasoning_tokens,usage_source,cost_usd,first_content_ms,total_ms,session,user,tags\r\n";

/// A decision as a line.
#[must_use]
pub fn csv_line(view: &DecisionView) -> String {
    let decision = &view.decision;
    let outcome = match &view.outcome {
        OutcomeView::Recorded(outcome) => Some(&**outcome),
        OutcomeView::NotExpected | OutcomeView::Running | OutcomeView::Crashed => None,
    };
    let usage = outcome.and_then(|outcome| outcome.usage.as_ref());
    let status = match &view.outcome {
        OutcomeView::Recorded(outcome) => outcome.status.as_str(),
        OutcomeView::NotExpected => "",
        OutcomeView::Running => "running",
        OutcomeView::Crashed => "crashed",
    };
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let inputs = decision.inputs.as_deref();
    let word = |value: Option<serde_json::Value>| {
        value.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let cells = [
        decision.id.to_string(),
        crate::clock::utc(decision.at_ms),
        decision.run.to_string(),
        decision.turn.to_string(),
        decision.hop.to_string(),
        decision.kind.as_str().to_owned(),
        decision.principal.clone(),
        decision.surface.clone(),
        decision.requested.join(" "),
        decision.from.as_ref().map(ToString::to_string).unwrap_or_default(),
        decision.to_model.as_ref().map(ToString::to_string).unwrap_or_default(),
        decision.to.as_ref().map(ToString::to_string).unwrap_or_default(),
        decision.reason.code.as_str().to_owned(),
        word(serde_json::to_value(decision.reason.source).ok()),
        inputs.map(|inputs| format!("{}@{}", inputs.policy.name, inputs.policy.version)).unwrap_or_default(),
        status.to_owned(),
        outcome.and_then(|outcome| outcome.fault).map(|fault| fault.as_str().to_owned()).unwrap_or_default(),
        number(outcome.and_then(|outcome| outcome.http_status).map(u64::from)),
        number(usage.map(|usage| usage.input_tokens)),
        number(usage.map(|usage| usage.cached_input_tokens)),
        number(usage.map(|usage| usage.output_tokens)),
        number(usage.map(|usage| usage.reasoning_tokens)),
        word(outcome.and_then(|outcome| serde_json::to_value(outcome.usage_source).ok())),
        view.cost().map(|cost| usd(cost.0)).unwrap_or_default(),
        outcome.and_then(|outcome| outcome.first_content_us).map(milliseconds).unwrap_or_default(),
        outcome.map(|outcome| milliseconds(outcome.total_us)).unwrap_or_default(),
        decision.labels.session.clone().unwrap_or_default(),
        decision.labels.user.clone().unwrap_or_default(),
        decision.labels.tags.join(" "),
    ];
    let mut line = String::new();
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            line.push(',');
        }
        push_cell(&mut line, cell);
    }
    line.push_str("\r\n");
    line
}

fn usd(nano: u64) -> String {
    format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000)
}

fn milliseconds(us: u64) -> String {
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

/// Adds a cell, in quotes where it needs them.
fn push_cell(line: &mut String, cell: &str) {
    let formula = cell
        .trim_start_matches([' ', '\u{feff}'])
        .starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%']);
    let guard = if formula { "'" } else { "" };
    if formula || cell.contains(['"', ',', '\n', '\r', ';', '\t']) || cell.starts_with(' ') {
        line.extend(["\"", guard, &cell.replace('"', "\"\""), "\""]);
    } else {
        line.push_str(cell);
    }
}

#[cfg(test)]
mod tests;
