//! `baton audit --url`: the commands that a gateway elsewhere answers, on the routes of its admin API.
//!
//! What is shown is what the API shows of a decision. What needs the store or the data directory is not there.

use std::process::ExitCode;

use anyhow::{Context, bail};
use baton_audit::{Clock as _, SystemClock};
use http_body_util::BodyExt;
use serde_json::Value;

use super::list;
use super::{LOOK_EVERY, Output, segment, text};
use crate::cli::AuditCommand;
use crate::control::Client;
use crate::control::remote::{Gateway, Remote};
use crate::output::{json as print_json, line, note, table};
use crate::plans;

/// The most decisions that the API gives out at once.
const PAGE: u64 = 100;

/// Carries out a command.
pub(super) async fn run(gateway: &Gateway, command: AuditCommand, json: bool) -> anyhow::Result<ExitCode> {
    let remote = Remote::new(gateway)?;
    match command {
        AuditCommand::Tail { last, follow } => tail(&remote, last, follow, json).await?,
        AuditCommand::List { filters, limit } => {
            let query = filters.to_query(SystemClock.now_ms())?;
            let rows = newest(&remote, &query, limit).await?;
            match (json, rows.is_empty()) {
                (true, _) => print_json(&Value::Array(rows)),
                (false, true) => note("no decision was found"),
                (false, false) => show(&rows),
            }
        }
        AuditCommand::Show { id, content: true } => {
            let answer = remote.get(&format!("/admin/v1/decisions/{}/content", segment(&id)?)).await?;
            if json {
                print_json(&answer);
            } else {
                list::content(&answer);
            }
        }
        AuditCommand::Show { id, content: false } => print_json(&recorded(&remote, &id).await?),
        AuditCommand::Export { out, csv, ndjson, filters } if csv || ndjson => {
            let format = if csv { "csv" } else { "ndjson" };
            let query = filters.to_query(SystemClock.now_ms())?;
            let mut body = remote.file(&format!("/admin/v1/decisions/export?format={format}{query}")).await?;
            let mut file = Output::open(out.as_deref())?;
            while let Some(frame) = body.frame().await {
                let frame = frame.context("the export broke off: this is not all of it")?;
                if let Ok(piece) = frame.into_data()
                    && !file.write(&piece)?
                {
                    break;
                }
            }
            file.finish()?;
        }
        AuditCommand::Explain { id } => {
            plans::explain_id(&Client::Remote(Box::new(remote)), &id, json).await?;
        }
        AuditCommand::Replay { id, last } => {
            let which = id.map_or_else(|| plans::Which::Last(last.unwrap_or_default()), plans::Which::One);
            return plans::replay(&Client::Remote(Box::new(remote)), which, json).await;
        }
        AuditCommand::Key => {
            let answer = remote.get("/admin/v1/audit/keys").await?;
            if json {
                print_json(&answer);
            } else {
                let keys = answer.get("data").and_then(Value::as_array).into_iter().flatten();
                keys.filter_map(Value::as_str).for_each(line);
            }
        }
        _ => bail!("this needs the store or the data directory: run it where the gateway runs"),
    }
    Ok(ExitCode::SUCCESS)
}

/// The decision of an id, or all of a run.
async fn recorded(remote: &Remote, id: &str) -> anyhow::Result<Value> {
    let kind = if id.starts_with("run_") { "runs" } else { "decisions" };
    let run = remote.get(&format!("/admin/v1/{kind}/{}", segment(id)?)).await?;
    let all = run.get("decisions").and_then(Value::as_array).cloned().unwrap_or_default();
    if kind == "runs" {
        return Ok(Value::Array(all));
    }
    let one = all.into_iter().filter(|decision| text(decision, "id") == id).collect();
    Ok(Value::Array(one))
}

/// The newest decisions, page by page, until there are so many.
async fn newest(remote: &Remote, query: &str, limit: u64) -> anyhow::Result<Vec<Value>> {
    let mut rows: Vec<Value> = Vec::new();
    let mut after = String::new();
    loop {
        let left = limit.saturating_sub(rows.len() as u64);
        if left == 0 {
            return Ok(rows);
        }
        let page = page(remote, &format!("limit={}{query}{after}", left.min(PAGE))).await?;
        let has_more = page.get("has_more") == Some(&Value::Bool(true));
        rows.extend(data(page));
        match rows.last() {
            Some(last) if has_more => after = format!("&starting_after={}", text(last, "id")),
            Some(_) | None => return Ok(rows),
        }
    }
}

/// Shows the newest decisions, and then what comes.
async fn tail(remote: &Remote, last: u32, follow: bool, json: bool) -> anyhow::Result<()> {
    let mut rows = newest(remote, "", u64::from(last.max(1))).await?;
    rows.reverse();
    if !follow {
        if json {
            print_json(&Value::Array(rows));
        } else {
            show(&rows);
        }
        return Ok(());
    }
    let mut seen = String::new();
    loop {
        if let Some(newest) = rows.last() {
            seen = format!("&ending_before={}", text(newest, "id"));
        }
        if json {
            rows.iter().for_each(|row| line(&row.to_string()));
        } else {
            show(&rows);
        }
        rows = data(page(remote, &format!("limit={PAGE}{seen}")).await?);
        rows.reverse();
        if rows.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

async fn page(remote: &Remote, query: &str) -> anyhow::Result<Value> {
    remote.get(&format!("/admin/v1/decisions?{query}")).await
}

fn data(mut page: Value) -> Vec<Value> {
    match page.get_mut("data").map(Value::take) {
        Some(Value::Array(rows)) => rows,
        _ => Vec::new(),
    }
}

/// Prints decisions under each other, in the columns of `baton audit list`.
fn show(rows: &[Value]) {
    let none = || "-".to_owned();
    let said = |row: &Value, pointer: &str| {
        row.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let number = |row: &Value, pointer: &str| row.pointer(pointer).and_then(Value::as_u64);
    let cells: Vec<[String; 9]> = rows
        .iter()
        .map(|row| {
            let tokens = number(row, "/outcome/usage/input_tokens")
                .zip(number(row, "/outcome/usage/output_tokens"))
                .map(|(input, output)| format!("{input}+{output}"));
            let cost = said(row, "/outcome/cost_usd").filter(|cost| cost != "unknown");
            let took = number(row, "/outcome/total_us").map(|us| format!("{} ms", us / 1_000));
            [
                said(row, "/at").unwrap_or_else(none),
                said(row, "/id").unwrap_or_else(none),
                said(row, "/kind").unwrap_or_else(none),
                said(row, "/to").unwrap_or_else(none),
                said(row, "/reason/code").unwrap_or_else(none),
                said(row, "/outcome/status").unwrap_or_else(none),
                tokens.unwrap_or_else(none),
                cost.map_or_else(none, |cost| format!("${cost}")),
                took.unwrap_or_else(none),
            ]
        })
        .collect();
    table(&cells);
}
