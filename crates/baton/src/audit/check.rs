//! `baton audit verify`: checks the log, and says what was not checked.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use baton_audit::{
    AuditStore, Checkpoint, CheckpointKey, VerifyOptions, VerifyReport, verify, verify_export,
};
use baton_config::Alerts;
use serde_json::{Value, json};

use super::text;
use crate::output::{json as print_json, line, note};
use crate::{alerts, checkpoints};

/// What holds of a log that was checked without a checkpoint from outside.
const CLAIM: &str = "no checkpoint from outside was given (`--checkpoints FILE`): any change by someone without the signing key was found, but a rollback, a cut tail, or a log hashed again with the key was not";
/// A replica's newest checkpoints may come before what they speak of has reached the store.
const LAG_MS: u64 = 10_000;
/// No more findings than this are printed for people.
const SHOWN: usize = 20;

/// Checks what the store has, against the keys of the command line or else the server's own.
pub(crate) async fn store(
    store: &dyn AuditStore,
    settled: &Value,
    held: &[Checkpoint],
    keys: &[String],
    json: bool,
    alerts: Option<&Alerts>,
) -> anyhow::Result<VerifyReport> {
    if settled.get("settled") != Some(&Value::Bool(true)) {
        bail!("the store does not have everything that the journal has: try again when it answers");
    }
    let given = keys.is_empty().then(|| settled.get("keys").and_then(Value::as_array)).flatten();
    let given: Vec<String> =
        given.into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
    let keys = read_keys(if keys.is_empty() { &given } else { keys })?;
    let began = Instant::now();
    let report = verify(store, VerifyOptions { held, ..VerifyOptions::new(&keys) }).await?;
    if let Some(alerts) = alerts.filter(|_| !report.is_clean()) {
        alerts::verify_failed(alerts, &report).await;
    }
    tell(&report, began, json);
    Ok(report)
}

/// Checks an exported file with nothing but public keys.
pub(super) fn export(
    path: &Path,
    held: Option<&Path>,
    keys: &[String],
    json: bool,
) -> anyhow::Result<VerifyReport> {
    if keys.is_empty() {
        bail!("say which key signed: `--key PUBLIC`, as `baton audit key` printed it where the log was made");
    }
    let keys = read_keys(keys)?;
    let held = read_held(held)?;
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let began = Instant::now();
    let options = VerifyOptions { held: &held, ..VerifyOptions::new(&keys) };
    let report = verify_export(BufReader::with_capacity(1 << 20, file), options)
        .with_context(|| format!("`{}` cannot be checked", path.display()))?;
    tell(&report, began, json);
    Ok(report)
}

/// The checkpoints of a file that can be compared now. Where replicas write beside this one, their
/// newest may speak of what is not in the store yet.
pub(super) fn held_in(
    path: Option<&Path>,
    settled: &Value,
    replicas: bool,
) -> anyhow::Result<Vec<Checkpoint>> {
    let mut held = read_held(path)?;
    if replicas {
        let now_ms = settled.get("now_ms").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let own = text(settled, "boot");
        held.retain(|it| it.head.boot.to_string() == own || it.at_ms.saturating_add(LAG_MS) < now_ms);
    }
    Ok(held)
}

fn read_held(path: Option<&Path>) -> anyhow::Result<Vec<Checkpoint>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let (checkpoints, others) = checkpoints::read(path)?;
    if others > 0 {
        note(&format!("{others} lines of `{}` are no checkpoints and were passed over", path.display()));
    }
    if checkpoints.is_empty() {
        bail!("there is no checkpoint in `{}`", path.display());
    }
    Ok(checkpoints)
}

/// Keys by their text, or by a file that holds it.
fn read_keys(keys: &[String]) -> anyhow::Result<Vec<CheckpointKey>> {
    keys.iter()
        .map(|key| match key.parse() {
            Ok(key) => Ok(key),
            Err(error) => match std::fs::read_to_string(key) {
                Ok(text) => text.parse().with_context(|| format!("`{key}`")),
                Err(_no_file) => Err(anyhow::Error::new(error).context(format!("`{key}`"))),
            },
        })
        .collect()
}

fn tell(report: &VerifyReport, began: Instant, json: bool) {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|it| json!({"chain": it.boot.to_string(), "entry": it.seq, "flaw": it.flaw.to_string()}))
        .collect();
    if json {
        print_json(&json!({
            "clean": report.is_clean(), "chains": report.chains, "blocks": report.blocks,
            "entries": report.entries, "decisions": report.decisions, "checkpoints": report.checkpoints,
            "signing_keys": report.signing_keys, "crashed": report.crashed, "shortened": report.shortened,
            "unsigned_tail": report.unsigned_tail, "outside_checkpoints": report.held,
            "findings": findings, "not_checked": (report.held == 0).then_some(CLAIM),
        }));
    } else {
        line(&format!(
            "{} in {} of {}, {}, {}, in {:.1} s",
            counted(report.entries, "entry", "entries"),
            counted(report.blocks, "block", "blocks"),
            counted(report.chains, "chain", "chains"),
            counted(report.decisions, "decision", "decisions"),
            counted(report.checkpoints, "checkpoint", "checkpoints"),
            began.elapsed().as_secs_f64(),
        ));
        let also = [
            (report.crashed, "ended with a crash", "chain", "chains"),
            (report.shortened, "cut by retention, as it signed", "chain", "chains"),
            (report.unsigned_tail, "behind the newest checkpoint: not signed yet", "entry", "entries"),
            (report.held, "from outside compared", "checkpoint", "checkpoints"),
        ];
        for (count, what, one, many) in also.into_iter().filter(|(count, ..)| *count > 0) {
            line(&format!("{} {what}", counted(count, one, many)));
        }
        for finding in findings.iter().take(SHOWN) {
            line(&format!(
                "  {} entry {}: {}",
                text(finding, "chain"),
                finding["entry"],
                text(finding, "flaw")
            ));
        }
        if findings.len() > SHOWN {
            line(&format!("  and {} more; `--json` shows all", findings.len() - SHOWN));
        }
        if report.held == 0 {
            note(CLAIM);
        }
        line(match report.first_bad() {
            None => "nothing was found",
            Some(_) => "THE LOG IS NOT WHAT WAS RECORDED; the first bad place is the first one above",
        });
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
