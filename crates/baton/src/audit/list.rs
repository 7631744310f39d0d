//! Asks for decisions, and shows them.

mod query;

use std::io::Write as _;

use axum::http::Method;
use baton_audit::{
    CorrectionRow, Decision, DecisionKind, DecisionView, ListQuery, Outcome, OutcomeStatus, OutcomeView,
    PageStart, PolicyFilter, Range, StatusFilter, csv_line, utc, verdict_text,
};
use baton_model::{DecisionId, RunId};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::moment::moment;
use super::{Output, text};
use crate::control::Client;
use crate::output::{line, note, table as print_table};

/// Which decisions. All that is said must hold.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Filters {
    /// Made then or later: `2h` ago, `2026-11-21`, `2026-11-21T20:36:29Z`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Made before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Of this kind (`select`, `fallback`, `handoff`, ...); repeat for more
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// With this reason code
    #[arg(long, value_name = "CODE")]
    reason: Option<String>,
    /// Planned under this policy, as `NAME` or `NAME@VERSION`
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// For this model: chosen, its target, or the only one asked for
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Where this model was asked for, alone or among others
    #[arg(long, value_name = "MODEL")]
    requested: Option<String>,
    /// Where this model or target was chosen
    #[arg(long, value_name = "MODEL")]
    served: Option<String>,
    /// That left this target
    #[arg(long, value_name = "TARGET")]
    from: Option<String>,
    /// For this target
    #[arg(long, value_name = "TARGET")]
    to: Option<String>,
    /// For a target of this provider
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Of this key's requests, or `anonymous`
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Of this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Of this session
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// With this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// `ok`, `failed`, `client_cancelled`, `running`, `crashed`, or `none`: without an attempt
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// That ended with this fault
    #[arg(long, value_name = "CLASS")]
    error: Option<String>,
    /// Of this hop of their run or a later one
    #[arg(long, value_name = "N")]
    min_hop: Option<u32>,
    /// That cost at least so many US dollars
    #[arg(long, value_name = "USD")]
    min_cost: Option<String>,
    /// That cost at most so many US dollars
    #[arg(long, value_name = "USD")]
    max_cost: Option<String>,
    /// That took at least so many milliseconds
    #[arg(long, value_name = "MS")]
    min_ms: Option<u64>,
    /// That took at most so many milliseconds
    #[arg(long, value_name = "MS")]
    max_ms: Option<u64>,
}

impl Filters {
    /// An error when anything is said.
    pub(super) fn refuse(&self, why: &'static str) -> anyhow::Result<()> {
        anyhow::ensure!(*self == Self::default(), "{why}");
        Ok(())
    }
}

/// A page that is asked for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    filters: Filters,
    after: Option<DecisionId>,
    before: Option<DecisionId>,
    limit: u32,
}

/// The most that are given out at once.
const MOST: u32 = 500;

impl Ask {
    /// The query, or what is wrong with it.
    pub(super) fn query(self, now_ms: u64) -> Result<ListQuery, String> {
        let Filters { since, until, kinds, status, policy, run, .. } = &self.filters;
        let time = |name: &str, text: &Option<String>| match text {
            Some(text) => moment(text, now_ms).map(Some).map_err(|why| format!("`--{name}`: {why}")),
            None => Ok(None),
        };
        let (from_ms, to_ms) = (time("since", since)?, time("until", until)?);
        if let (Some(from), Some(to)) = (from_ms, to_ms)
            && from >= to
        {
            return Err("`--since` is not before `--until`".to_owned());
        }
        let cost = |name: &str, text: &Option<String>| match text {
            Some(text) => {
                nano_usd(text).map(Some).ok_or_else(|| format!("`--{name}`: write dollars, as `0.02`"))
            }
            None => Ok(None),
        };
        let us = |ms: Option<u64>| ms.map(|ms| ms.saturating_mul(1_000));
        let start = match (self.after, self.before) {
            (Some(id), _) => PageStart::After(id),
            (None, Some(id)) => PageStart::Before(id),
            (None, None) => PageStart::Newest,
        };
        Ok(ListQuery {
            from_ms,
            to_ms,
            kinds: kinds.iter().map(|kind| kind_of(kind)).collect::<Result<_, _>>()?,
            status: status.as_deref().map(status_of).transpose()?,
            policy: policy.as_deref().map(policy_of),
            run: run
                .as_deref()
                .map(|run| run.parse::<RunId>().map_err(|_error| format!("`{run}` is no run (`run_…`)")))
                .transpose()?,
            cost_nano: Range {
                at_least: cost("min-cost", &self.filters.min_cost)?,
                at_most: cost("max-cost", &self.filters.max_cost)?,
            },
            total_us: Range { at_least: us(self.filters.min_ms), at_most: us(self.filters.max_ms) },
            reason_code: self.filters.reason,
            model: self.filters.model,
            requested: self.filters.requested,
            served: self.filters.served,
            from: self.filters.from,
            to: self.filters.to,
            provider: self.filters.provider,
            principal: self.filters.key,
            session: self.filters.session,
            tag: self.filters.tag,
            fault: self.filters.error,
            min_hop: self.filters.min_hop,
            start,
            limit: self.limit.clamp(1, MOST),
            ..ListQuery::default()
        })
    }
}

fn kind_of(word: &str) -> Result<DecisionKind, String> {
    serde_json::from_value(Value::from(word)).map_err(|_error| format!("`{word}` is no kind of decision"))
}

fn status_of(word: &str) -> Result<StatusFilter, String> {
    Ok(match word {
        "ok" => StatusFilter::Ended(OutcomeStatus::Ok),
        "failed" => StatusFilter::Ended(OutcomeStatus::Failed),
        "client_cancelled" => StatusFilter::Ended(OutcomeStatus::ClientCancelled),
        "running" => StatusFilter::Running,
        "crashed" => StatusFilter::Crashed,
        "none" => StatusFilter::NoAttempt,
        _ => {
            return Err(format!(
                "`{word}` is no status: one of `ok`, `failed`, `client_cancelled`, `running`, `crashed`, `none`"
            ));
        }
    })
}

fn policy_of(text: &str) -> PolicyFilter {
    match text.split_once('@') {
        Some((name, version)) => PolicyFilter { name: name.to_owned(), version: Some(version.to_owned()) },
        None => PolicyFilter { name: text.to_owned(), version: None },
    }
}

/// Dollars as nano-dollars, digit by digit.
fn nano_usd(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > 9 {
        return None;
    }
    let nano: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nano)
}

/// A decision and what became of it, as recorded.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) decision: Decision,
    pub(super) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<Box<Outcome>>,
    /// What its attempt cost, where that was counted anew; the last one counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) corrections: Vec<CorrectionRow>,
}

/// A page of them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) data: Vec<Row>,
    pub(super) has_more: bool,
}

impl Page {
    /// Writes the page to a file. `false` when nobody reads any more.
    pub(super) fn write(&self, csv: bool, to: &mut Output) -> anyhow::Result<bool> {
        for row in &self.data {
            let line = if csv {
                csv_line(&row.view()).into_bytes()
            } else {
                let mut line = serde_json::to_vec(row)?;
                line.write_all(b"\n")?;
                line
            };
            if !to.write(&line)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Row {
    fn view(&self) -> DecisionView {
        let outcome = match (&self.outcome, self.status.as_str()) {
            (Some(outcome), _) => OutcomeView::Recorded(outcome.clone()),
            (None, "running") => OutcomeView::Running,
            (None, "crashed") => OutcomeView::Crashed,
            (None, _) => OutcomeView::NotExpected,
        };
        DecisionView { decision: self.decision.clone(), outcome, corrections: self.corrections.clone() }
    }

    fn tokens(&self) -> Option<(u64, u64)> {
        let usage = self.outcome.as_ref()?.usage.as_ref()?;
        Some((usage.input_tokens, usage.output_tokens))
    }

    fn cost(&self) -> Option<String> {
        let corrected = self.corrections.last().map(|row| row.cost_nano);
        corrected.or_else(|| self.first_cost()).map(dollars)
    }

    fn first_cost(&self) -> Option<u64> {
        Some(self.outcome.as_ref()?.cost?.0)
    }
}

fn dollars(nano: u64) -> String {
    format!("${}.{:06}", nano / 1_000_000_000, nano % 1_000_000_000 / 1_000)
}

pub(super) async fn ask(
    client: &Client,
    filters: &Filters,
    after: Option<DecisionId>,
    before: Option<DecisionId>,
    limit: u32,
) -> anyhow::Result<Page> {
    let ask = serde_json::to_value(Ask { filters: filters.clone(), after, before, limit })?;
    Ok(serde_json::from_value(client.call(Method::POST, "/audit/list", &ask).await?)?)
}

/// Prints decisions under each other.
pub(super) fn table(rows: &[Row]) {
    let none = || "-".to_owned();
    let cells: Vec<[String; 9]> = rows
        .iter()
        .map(|row| {
            let decision = &row.decision;
            [
                utc(decision.at_ms),
                decision.id.to_string(),
                decision.kind.as_str().to_owned(),
                decision.to.as_ref().map_or_else(none, ToString::to_string),
                decision.reason.code.as_str().to_owned(),
                row.status.clone(),
                row.tokens().map_or_else(none, |(input, output)| format!("{input}+{output}")),
                row.cost().unwrap_or_else(none),
                row.outcome.as_ref().map_or_else(none, |outcome| format!("{} ms", outcome.total_us / 1_000)),
            ]
        })
        .collect();
    print_table(&cells);
}

/// Prints records member by member.
pub(super) fn records(answer: &Value) {
    let Ok(rows) = serde_json::from_value::<Vec<Row>>(answer.clone()) else { return };
    for (at, row) in rows.iter().enumerate() {
        if at > 0 {
            line("");
        }
        print_table(&members(row));
        let names =
            row.decision.inputs.as_ref().map(|inputs| inputs.candidates.as_slice()).unwrap_or_default();
        let candidates: Vec<[String; 2]> = row
            .decision
            .table
            .iter()
            .map(|it| {
                let named = usize::try_from(it.candidate).ok().and_then(|at| names.get(at));
                let name = named.map(|candidate| candidate.model.to_string()).unwrap_or_default();
                [format!("  {name}"), verdict_text(it)]
            })
            .collect();
        print_table(&candidates);
    }
}

/// What was asked and answered under a decision.
pub(super) fn content(answer: &Value) {
    let pieces = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if pieces.is_empty() {
        note("nothing was captured of it");
    }
    for piece in pieces {
        let [part, at, subject, state] = ["part", "at", "subject", "state"].map(|name| text(piece, name));
        line(&format!("{part}  {at}  {subject}  {state}"));
        if let Some(content) = piece.get("content").filter(|content| !content.is_null()) {
            line(&format!("{content:#}"));
        }
    }
}

fn members(row: &Row) -> Vec<[String; 2]> {
    let decision = &row.decision;
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let policy = decision.inputs.as_ref().map(|it| format!("{}@{}", it.policy.name, it.policy.version));
    let mut members = vec![
        ("decision", decision.id.to_string()),
        ("run", format!("{}, turn {}, hop {}", decision.run, decision.turn, decision.hop)),
        ("time", utc(decision.at_ms)),
        ("kind", decision.kind.as_str().to_owned()),
        ("key", decision.principal.clone()),
        ("surface", decision.surface.clone()),
        ("requested", decision.requested.join(", ")),
        ("from", shown(decision.from.as_ref().map(ToString::to_string))),
        ("to", shown(decision.to.as_ref().map(ToString::to_string))),
        ("reason", format!("{}: {}", decision.reason.code.as_str(), decision.reason.text)),
        ("policy", shown(policy)),
        ("configuration", decision.config.clone()),
        ("status", row.status.clone()),
    ];
    if let Some(outcome) = &row.outcome {
        members.extend(outcome.fault.map(|fault| ("fault", fault.as_str().to_owned())));
        members.extend(outcome.http_status.map(|status| ("http status", status.to_string())));
        members.extend(row.tokens().map(|(input, output)| ("tokens", format!("{input} in, {output} out"))));
        members.push(("cost", shown(row.cost())));
        if let Some(last) = row.corrections.last() {
            members.push(("first cost", shown(row.first_cost().map(dollars))));
            members.push(("counted anew", format!("{} with prices {}", utc(last.at_ms), last.prices)));
        }
        members.push(("took", format!("{}.{:03} ms", outcome.total_us / 1_000, outcome.total_us % 1_000)));
    }
    members.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
}

#[cfg(test)]
mod tests;
