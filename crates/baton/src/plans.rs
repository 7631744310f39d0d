//! Plans from outside a request: dry runs, replays, what-ifs and tests of policies, and the switches of
//! targets.
//!
//! - **Invariant:** a replay happens in the process of the command, from the record alone. The server
//!   gives out records and documents, never a result.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::http::Method;
use baton_audit::{Decision, NotReplayable, Replay, Replayer, WhatIf};
use baton_config::{Config, Sources};
use baton_engine::{DryRun, Manual, Outlook, Scope};
use baton_model::{DecisionId, RunId, Usage};
use baton_policy::Policy;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::control::Client;
use crate::control::remote::{Gateway, Remote, encoded};
use crate::output::{json as print_json, line, note};

/// The most decisions that are asked for at once.
const PAGE: u32 = 500;

/// Decisions as they were recorded, with the documents that they refer to.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Plans {
    #[schema(example = "list")]
    object: String,
    data: Vec<Planned>,
    /// Policies, catalogues and prices by their hash.
    #[schema(value_type = Object)]
    documents: BTreeMap<String, Value>,
    has_more: bool,
}

impl Plans {
    pub(crate) fn new(data: Vec<Planned>, documents: BTreeMap<String, Value>, has_more: bool) -> Self {
        Self { object: "list".to_owned(), data, documents, has_more }
    }
}

/// A decision, and the tokens of its answer where they are known.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub(crate) struct Planned {
    /// The record.
    #[schema(value_type = Object)]
    pub(crate) decision: Decision,
    #[schema(value_type = Option<Object>)]
    pub(crate) used: Option<Usage>,
}

/// What a dry run is asked about.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) models: Vec<String>,
    pub(crate) policy: Option<String>,
    pub(crate) prompt_file: Option<PathBuf>,
    pub(crate) task: Option<String>,
}

impl Asked {
    /// The request that the flags stand for.
    fn body(&self) -> anyhow::Result<Value> {
        let prompt = match &self.prompt_file {
            Some(file) if file.as_os_str() == "-" => std::io::read_to_string(std::io::stdin())?,
            Some(file) => {
                std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?
            }
            None => String::new(),
        };
        let mut body = match self.models.as_slice() {
            [] => match &self.policy {
                Some(policy) => json!({ "model": format!("policy/{policy}") }),
                None => bail!("say which models (`--models a,b`) or which policy (`--policy NAME`)"),
            },
            [one] => json!({ "model": one }),
            many => json!({ "models": many }),
        };
        if let Some(members) = body.as_object_mut() {
            members.insert("messages".to_owned(), json!([{ "role": "user", "content": prompt }]));
            let mut own = serde_json::Map::new();
            if let Some(policy) = self.policy.as_ref().filter(|_| !self.models.is_empty()) {
                own.insert("policy".to_owned(), json!(policy));
            }
            own.extend(self.task.as_ref().map(|task| ("task".to_owned(), json!(task))));
            members.insert("baton".to_owned(), Value::Object(own));
        }
        Ok(body)
    }
}

/// `baton explain --models ...`: asks the running server, which knows how everybody is, else plans with
/// the configuration alone.
pub(crate) async fn explain(config: &Config, asked: &Asked, json: bool) -> anyhow::Result<()> {
    let body = asked.body()?;
    let (text, shown) = if let Some(client) = Client::running(config).await {
        let answer = client.call(Method::POST, "/route", &body).await?;
        let text = answer.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        (text, answer.get("route").cloned().unwrap_or_default())
    } else {
        note("no server is running here: planned from the configuration, as if all were well");
        let run = dry_run(config, &body)?;
        (baton_api::route_text(&run), serde_json::to_value(baton_api::route_body(run))?)
    };
    if json {
        print_json(&shown);
    } else {
        line(text.trim_end());
    }
    Ok(())
}

/// The same of a gateway elsewhere.
pub(crate) async fn explain_there(gateway: &Gateway, asked: &Asked, json: bool) -> anyhow::Result<()> {
    let remote = Remote::new(gateway)?;
    let body = Bytes::from(serde_json::to_vec(&asked.body()?)?);
    if json {
        print_json(&remote.call(Method::POST, "/v1/route", body).await?);
    } else {
        line(&remote.text(Method::POST, "/v1/route", body).await?);
    }
    Ok(())
}

/// `baton explain ID`: why an answer came from where it came.
pub(crate) async fn explain_id(client: &Client, id: &str, json: bool) -> anyhow::Result<()> {
    let kind = match (id.parse::<DecisionId>(), id.parse::<RunId>()) {
        (Ok(_), _) => "decisions",
        (_, Ok(_)) => "runs",
        _ => bail!("`{id}` is neither a decision (`dec_…`) nor a run (`run_…`)"),
    };
    if let Client::Remote(remote) = client {
        let path = format!("/admin/v1/{kind}/{id}");
        if json {
            print_json(&remote.get(&path).await?);
        } else {
            line(&remote.text(Method::GET, &path, Bytes::new()).await?);
        }
        return Ok(());
    }
    let answer = client.call(Method::GET, &format!("/explain/{id}"), &Value::Null).await?;
    if json {
        print_json(answer.get("run").unwrap_or(&Value::Null));
    } else {
        line(answer.get("text").and_then(Value::as_str).unwrap_or_default().trim_end());
    }
    Ok(())
}

/// Plans a request with the configuration alone.
fn dry_run(config: &Config, body: &Value) -> anyhow::Result<DryRun> {
    let settings = Arc::new(crate::settings::settings(config)?);
    let ask = baton_api::route_ask(Bytes::from(serde_json::to_vec(body)?)).map_err(anyhow::Error::msg)?;
    Outlook::default().dry_run(settings, &ask).map_err(|refusal| anyhow::anyhow!(refusal.message))
}

/// Which decisions.
#[derive(Debug)]
pub(crate) enum Which {
    One(String),
    Last(u32),
}

/// `baton policy replay`: derives decisions again, and says which come out otherwise.
pub(crate) async fn replay(client: &Client, which: Which, json: bool) -> anyhow::Result<ExitCode> {
    let mut replayer = Replayer::default();
    let mut same = 0_u32;
    let mut without_plan = 0_u32;
    let mut differs = Vec::new();
    let mut not_replayable = Vec::new();
    let named = matches!(which, Which::One(_));
    each_plan(client, which, &mut replayer, |replayer, planned| {
        let decision = &planned.decision;
        match replayer.replay(decision) {
            Replay::Same => same += 1,
            Replay::Differs { members, plan } => differs.push(json!({
                "id": decision.id.to_string(),
                "members": members,
                "recorded": { "reason": decision.reason, "table": decision.table, "to": decision.to },
                "derived": plan,
            })),
            // What follows from a failure has no plan of its own: nothing to derive.
            Replay::NotReplayable(NotReplayable::NoPlan) if !named => without_plan += 1,
            Replay::NotReplayable(why) => {
                not_replayable.push(json!({ "id": decision.id.to_string(), "why": why.to_string() }));
            }
        }
    })
    .await?;
    let found = !differs.is_empty() || (named && !not_replayable.is_empty());
    let replayed = u64::from(same) + u64::try_from(differs.len())?;
    if json {
        print_json(&json!({
            "replayed": replayed, "same": same, "differs": differs, "not_replayable": not_replayable,
            "without_plan": without_plan,
        }));
    } else {
        line(&format!("{replayed} derived again, {same} the same, {} different", differs.len()));
        for row in &differs {
            line(&format!(
                "  {} differs in {}",
                text(row, "id"),
                row.get("members").map(ToString::to_string).unwrap_or_default()
            ));
        }
        for row in &not_replayable {
            line(&format!("  {}: {}", text(row, "id"), text(row, "why")));
        }
    }
    Ok(if found { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// `baton policy what-if`: how many decisions another policy would change, from where to where, and
/// what that would cost.
pub(crate) async fn what_if(client: &Client, policy: &Policy, last: u32, json: bool) -> anyhow::Result<()> {
    let mut replayer = Replayer::default();
    let (mut looked_at, mut same) = (0_u64, 0_u64);
    let mut changes: BTreeMap<(String, String), Change> = BTreeMap::new();
    let mut undetermined: BTreeMap<&'static str, u64> = BTreeMap::new();
    let name =
        |target: Option<baton_model::Target>| target.map_or_else(|| "nobody".to_owned(), |it| it.to_string());
    each_plan(client, Which::Last(last), &mut replayer, |replayer, planned| {
        if planned.decision.inputs.is_none() {
            return;
        }
        looked_at += 1;
        match replayer.what_if(&planned.decision, planned.used.as_ref(), policy) {
            WhatIf::Same => same += 1,
            WhatIf::Undetermined(why) => *undetermined.entry(why).or_default() += 1,
            WhatIf::Changed { from, to, cost } => {
                let change = changes.entry((name(from), name(to))).or_default();
                change.count += 1;
                match cost {
                    Some(cost) => change.cost += i128::from(cost),
                    None => change.unpriced += 1,
                }
            }
        }
    })
    .await?;
    let changed: u64 = changes.values().map(|change| change.count).sum();
    let total: i128 = changes.values().map(|change| change.cost).sum();
    if json {
        let rows: Vec<Value> = changes
            .iter()
            .map(|((from, to), change)| {
                json!({
                    "from": from, "to": to, "count": change.count,
                    "cost_difference_usd": usd(change.cost), "without_price": change.unpriced,
                })
            })
            .collect();
        print_json(&json!({
            "policy": format!("{}@{}", policy.reference.name, policy.reference.version),
            "decisions": looked_at, "same": same, "changed": changed, "changes": rows,
            "undetermined": undetermined, "cost_difference_usd": usd(total),
        }));
        return Ok(());
    }
    line(&format!(
        "{looked_at} decisions under {}@{}: {same} the same, {changed} changed, {} undetermined, cost {}",
        policy.reference.name,
        policy.reference.version,
        undetermined.values().sum::<u64>(),
        usd(total),
    ));
    for ((from, to), change) in &changes {
        let unpriced = match change.unpriced {
            0 => String::new(),
            n => format!(" ({n} without a price)"),
        };
        line(&format!("  {:6}  {from} → {to}  {}{unpriced}", change.count, usd(change.cost)));
    }
    for (why, count) in &undetermined {
        line(&format!("  {count:6}  undetermined: {why}"));
    }
    Ok(())
}

/// One line of a what-if.
#[derive(Default)]
struct Change {
    count: u64,
    /// Nano-dollars, where known.
    cost: i128,
    unpriced: u64,
}

fn usd(nano: i128) -> String {
    let sign = if nano < 0 { "-" } else { "+" };
    let amount = nano.unsigned_abs();
    format!("{sign}{}.{:09}", amount / 1_000_000_000, amount % 1_000_000_000)
}

/// How long the store may take to get what a server that was killed left in its journal.
const SETTLING: Duration = Duration::from_secs(10);

/// Goes through decisions, newest first, with the documents they need at hand.
async fn each_plan(
    client: &Client,
    which: Which,
    replayer: &mut Replayer,
    mut visit: impl FnMut(&mut Replayer, Planned),
) -> anyhow::Result<()> {
    if let Client::Own(_, core) = client
        && !core.relay.drain(SETTLING).await
    {
        note("the store does not have everything yet; what only the journal has is not looked at");
    }
    let mut known: HashSet<String> = HashSet::new();
    let mut take = |replayer: &mut Replayer, plans: Plans| {
        for (hash, body) in plans.documents {
            if known.insert(hash.clone()) {
                replayer.give(hash, body);
            }
        }
        for planned in plans.data {
            visit(replayer, planned);
        }
    };
    let mut left = match which {
        Which::One(id) => {
            let answer = client.call(Method::GET, &format!("/plans/{}", encoded(&id)), &Value::Null).await?;
            take(replayer, serde_json::from_value(answer)?);
            return Ok(());
        }
        Which::Last(last) => last,
    };
    let mut after = String::new();
    while left > 0 {
        let limit = left.min(PAGE);
        let answer = client.call(Method::GET, &format!("/plans?limit={limit}{after}"), &Value::Null).await?;
        let plans: Plans = serde_json::from_value(answer)?;
        let Some(last) = plans.data.last() else { break };
        after = format!("&starting_after={}", last.decision.id);
        left = left.saturating_sub(u32::try_from(plans.data.len())?);
        let has_more = plans.has_more;
        take(replayer, plans);
        if !has_more {
            break;
        }
    }
    Ok(())
}

/// The policy of a file to compare with: the one of this name, or the only one beside `default`.
pub(crate) fn policy_of(sources: &Sources, file: &Path, name: Option<&str>) -> anyhow::Result<Arc<Policy>> {
    let sources = Sources { file: Some(file.to_owned()), ..sources.clone() };
    let config =
        Config::load(&sources).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))?;
    if let Some(name) = name {
        return config
            .policy(name)
            .cloned()
            .with_context(|| format!("`{}` has no policy `{name}`", file.display()));
    }
    let mut named =
        config.policies.iter().filter(|policy| policy.reference.name != baton_config::DEFAULT_POLICY);
    match (named.next(), named.next()) {
        (Some(policy), None) => Ok(Arc::clone(policy)),
        (None, _) => config.default_policy().cloned().context("no policy"),
        (Some(_), Some(_)) => bail!("`{}` has several policies: say which with `--name`", file.display()),
    }
}

/// The policy of a file that is to be stored under this name: the one of that name, else the only one.
pub(crate) fn policy_to_put(sources: &Sources, file: &Path, name: &str) -> anyhow::Result<Arc<Policy>> {
    let named = policy_of(sources, file, Some(name));
    named.or_else(|why| match policy_of(sources, file, None) {
        Ok(only) if only.reference.name != baton_config::DEFAULT_POLICY => Ok(only),
        // One that is there without a word in the file was not meant.
        Ok(_) | Err(_) => Err(why),
    })
}

/// Cases of a user's own, for a user's own tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    cases: Vec<Case>,
}

/// A request, and what is expected of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    request: Value,
    /// The target or model that is tried first; `null` where the request is refused.
    expect: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

/// `baton policy test`: plans the requests of a file, and compares.
pub(crate) fn test(config: &Config, file: &Path, json: bool) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let cases: Cases =
        serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("`{}`: {error}", file.display()))?;
    let mut rows = Vec::with_capacity(cases.cases.len());
    for case in &cases.cases {
        let wrong = match dry_run(config, &case.request) {
            Ok(run) => mismatch(case, run)?,
            Err(error) => Some(format!("{error:#}")),
        };
        rows.push(json!({ "name": case.name, "ok": wrong.is_none(), "why": wrong }));
    }
    let failed = rows.iter().filter(|row| row.get("ok") != Some(&Value::Bool(true))).count();
    if json {
        print_json(&json!({ "cases": rows.len(), "failed": failed, "results": rows }));
    } else {
        for row in &rows {
            match row.get("why").and_then(Value::as_str) {
                None => line(&format!("ok      {}", text_of(row, "name"))),
                Some(why) => line(&format!("FAILED  {}: {why}", text_of(row, "name"))),
            }
        }
        line(&format!("{} cases, {failed} failed", rows.len()));
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What of a case came out otherwise.
fn mismatch(case: &Case, run: DryRun) -> anyhow::Result<Option<String>> {
    let model = match &run.planned {
        baton_policy::Planned::Plan(plan) => plan.order.first().copied(),
        baton_policy::Planned::Ask(_) => None,
    };
    let model = model.and_then(|at| run.inputs.candidates.get(usize::try_from(at).ok()?));
    let model = model.map(|candidate| candidate.model.to_string());
    let shown = serde_json::to_value(baton_api::route_body(run))?;
    let selected = shown.get("selected").and_then(Value::as_str);
    let reason = shown.pointer("/reason/code").and_then(Value::as_str).unwrap_or("asks_judge");
    let sentence = shown.pointer("/reason/text").and_then(Value::as_str).unwrap_or_default();
    if case.expect.as_deref() != selected && case.expect != model {
        return Ok(Some(format!(
            "expected {}, got {}: {sentence}",
            case.expect.as_deref().unwrap_or("nobody"),
            selected.unwrap_or("nobody")
        )));
    }
    Ok(case
        .reason
        .as_deref()
        .filter(|expected| *expected != reason)
        .map(|expected| format!("expected the reason `{expected}`, got `{reason}`: {sentence}")))
}

/// `baton targets`: how every target is, or a switch of one.
pub(crate) async fn targets(
    client: &Client,
    switch: Option<(Scope, Manual)>,
    json: bool,
) -> anyhow::Result<()> {
    if let Some((scope, manual)) = switch {
        let wanted = json!({ "scope": scope.to_string(), "state": manual.as_str() });
        let answer = client.call(Method::POST, "/targets", &wanted).await?;
        if json {
            print_json(&answer);
        } else {
            note(&format!("{scope} was {}, is {}", text(&answer, "before"), text(&answer, "state")));
        }
        return Ok(());
    }
    let answer = client.call(Method::GET, "/targets", &Value::Null).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let rows = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    if rows.is_empty() {
        note("no target was asked yet, and none is switched");
    }
    for row in rows {
        line(&format!(
            "{:10}  {:10}  {:9}  {}",
            text(&row, "state"),
            text(&row, "breaker"),
            text(&row, "p50"),
            text(&row, "target")
        ));
    }
    Ok(())
}

/// Where switches are kept over a restart.
pub(crate) fn switches_file(data_dir: &Path) -> PathBuf {
    data_dir.join("targets.json")
}

/// The switches of the last time.
pub(crate) fn switches(data_dir: &Path) -> anyhow::Result<BTreeMap<Scope, Manual>> {
    match std::fs::read(switches_file(data_dir)) {
        Ok(text) => serde_json::from_slice(&text).context("`targets.json` cannot be read"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(error).context("`targets.json` cannot be read"),
    }
}

/// Keeps the switches: written beside, then put in place.
pub(crate) fn keep_switches(data_dir: &Path, switches: &BTreeMap<Scope, Manual>) -> anyhow::Result<()> {
    let file = switches_file(data_dir);
    let beside = file.with_extension("json.new");
    std::fs::write(&beside, serde_json::to_vec_pretty(switches)?)?;
    std::fs::rename(&beside, &file)?;
    Ok(())
}

pub(crate) fn text(value: &Value, member: &str) -> String {
    text_of(value, member).to_owned()
}

fn text_of<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or("-")
}
