//! `baton audit`: shows, checks and hands out what was recorded.
//!
//! - Start with [`run`]; [`router`] is the part that needs what the server holds.
//! - **Invariant:** a check happens in the process of the command, on what the store has. The server
//!   gives out its public keys and waits for its relay, never a result.

pub(crate) mod check;
mod lessons;
mod list;
mod moment;
mod recompute;
mod remote;
pub(crate) mod routes;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use axum::http::Method;
use baton_audit::{AuditStore, CSV_HEADER, Exporter, VerifyReport};
use baton_config::{Config, Sources};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::AuditCommand;
use crate::control::Client;
use crate::control::remote::Gateway;
use crate::output::{json as print_json, line, note};
use crate::plans;

pub(crate) use list::Filters;
pub(crate) use routes::{remote_router, router};

use list::Page;

/// How long the store may take to get what waits in the journal.
const SETTLING: Duration = Duration::from_secs(10);
/// How many decisions are asked for at once.
const PAGE: u32 = 500;
/// What an erasing counts.
const ERASED: [(&str, &str); 5] = [
    ("contents", "captured requests and answers"),
    ("keys", "keys to them"),
    ("responses", "stored responses"),
    ("runs", "runs"),
    ("answers", "answers for repeats (of all callers)"),
];
/// How often `tail --follow` looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Carries out a command, here or at a gateway elsewhere. The runtime is the caller's.
pub(crate) async fn run(
    sources: &Sources,
    url: Option<&Gateway>,
    command: AuditCommand,
    json: bool,
) -> anyhow::Result<ExitCode> {
    if let Some(gateway) = url {
        return remote::run(gateway, command, json).await;
    }
    // An export is checked without a configuration: whoever checks it may have nothing else.
    if let AuditCommand::Verify { export: Some(export), checkpoints, keys } = &command {
        return check::export(export, checkpoints.as_deref(), keys, json).map(exit);
    }
    let config = match Config::load(sources) {
        Ok(config) => config,
        Err(error) => {
            note(error.to_string().trim_end());
            return Ok(ExitCode::FAILURE);
        }
    };
    let client = Client::open(&config).await?;
    let result = with_client(&client, &config, command, json).await;
    client.close().await?;
    result
}

async fn with_client(
    client: &Client,
    config: &Config,
    command: AuditCommand,
    json: bool,
) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Tail { last, follow } => tail(client, last, follow, json).await?,
        AuditCommand::List { filters, limit } => {
            let mut listed = Listed::new(json);
            each_page(client, &filters, limit, |page| listed.show(page)).await?;
            listed.end();
        }
        AuditCommand::Show { id, content: true } => {
            let path = format!("/audit/content/{}", segment(&id)?);
            let answer = client.call(Method::GET, &path, &Value::Null).await?;
            if json {
                print_json(&answer);
            } else {
                list::content(&answer);
            }
        }
        AuditCommand::Erase { subject } => {
            let answer = client.call(Method::POST, "/audit/erase", &json!({"subject": subject})).await?;
            if json {
                print_json(&answer);
            } else {
                for (name, what) in ERASED {
                    let count = answer.get(name).and_then(Value::as_u64).unwrap_or_default();
                    line(&format!("{count:>8}  {what}"));
                }
                note(&format!("{} is erased, and the log says so", text(&answer, "subject")));
            }
        }
        AuditCommand::Show { id, content: false } => {
            let path = format!("/audit/records/{}", segment(&id)?);
            let answer = client.call(Method::GET, &path, &Value::Null).await?;
            if json {
                print_json(&answer);
            } else {
                list::records(&answer);
            }
        }
        AuditCommand::Explain { id } => plans::explain_id(client, &id, json).await?,
        AuditCommand::Verify { checkpoints, keys, .. } => {
            let settled = client.call(Method::POST, "/audit/settle", &json!({})).await?;
            let store = store(client, config).await?;
            let alerts = config.audit.alerts.as_ref();
            let replicas = matches!(client, Client::Server(_));
            let held = check::held_in(checkpoints.as_deref(), &settled, replicas)?;
            return check::store(&*store, &settled, &held, &keys, json, alerts).await.map(exit);
        }
        AuditCommand::Export { out, csv, ndjson, filters } => {
            let mut file = Output::open(out.as_deref())?;
            if csv || ndjson {
                file.write(if csv { CSV_HEADER.as_bytes() } else { b"" })?;
                each_page(client, &filters, u64::MAX, |page| page.write(csv, &mut file)).await?;
            } else {
                filters.refuse("the evidence is one whole: filters go with `--csv` and `--ndjson`")?;
                client.call(Method::POST, "/audit/settle", &json!({})).await?;
                let mut exporter = Exporter::new(store(client, config).await?);
                while let Some(line) = exporter.next_line().await? {
                    if !file.write(&line)? {
                        break;
                    }
                }
            }
            file.finish()?;
        }
        AuditCommand::Replay { id, last } => {
            let which = id.map_or_else(|| plans::Which::Last(last.unwrap_or_default()), plans::Which::One);
            return plans::replay(client, which, json).await;
        }
        AuditCommand::Lessons => lessons::run(client).await?,
        AuditCommand::Recompute(command) => recompute::run(client, &command, json).await?,
        AuditCommand::Reproject { chain } => reproject(client, chain, json).await?,
        AuditCommand::RotateKey => {
            let answer = client.call(Method::POST, "/audit/rotate-key", &json!({})).await?;
            if json {
                print_json(&answer);
            } else {
                line(text(&answer, "public"));
                note("this key signs from now on; the one before it says so in the log");
            }
        }
        AuditCommand::Key => {
            let answer = client.call(Method::GET, "/audit/keys", &Value::Null).await?;
            if json {
                print_json(&answer);
            } else {
                let keys = answer.get("data").and_then(Value::as_array).into_iter().flatten();
                keys.filter_map(Value::as_str).for_each(line);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to `map`")]
fn exit(report: VerifyReport) -> ExitCode {
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The store of the log: the one that is open, else a connection of the command's own.
async fn store(client: &Client, config: &Config) -> anyhow::Result<Arc<dyn AuditStore>> {
    match client {
        Client::Own(_, core) => Ok(Arc::clone(&core.store)),
        Client::Server(_) => Ok(crate::core::stores(config).await?.audit),
        Client::Remote(_) => bail!("the store of a gateway elsewhere is not at hand"),
    }
}

/// Shows the newest decisions, and then what comes.
async fn tail(client: &Client, last: u32, follow: bool, json: bool) -> anyhow::Result<()> {
    let mut newest = list::ask(client, &Filters::default(), None, None, last.clamp(1, PAGE)).await?;
    newest.data.reverse();
    let mut listed = Listed::new(json);
    let mut seen = newest.data.last().map(|it| it.decision.id);
    listed.show(&newest)?;
    if !follow {
        listed.end();
        return Ok(());
    }
    if matches!(client, Client::Own(..)) {
        bail!("no server is running here: nothing would come");
    }
    listed.stream();
    loop {
        let mut page = list::ask(client, &Filters::default(), None, seen, PAGE).await?;
        if page.data.is_empty() {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        page.data.reverse();
        seen = page.data.last().map(|it| it.decision.id);
        listed.show(&page)?;
    }
}

/// Shows decisions page by page, as a table or as JSON.
struct Listed {
    json: bool,
    streams: bool,
    kept: Vec<Value>,
    shown: u64,
}

impl Listed {
    const fn new(json: bool) -> Self {
        Self { json, streams: false, kept: Vec::new(), shown: 0 }
    }

    /// From now on, JSON is printed as it comes: one object for each line.
    fn stream(&mut self) {
        self.streams = true;
        for row in std::mem::take(&mut self.kept) {
            line(&row.to_string());
        }
    }

    fn show(&mut self, page: &Page) -> anyhow::Result<bool> {
        self.shown += page.data.len() as u64;
        if !self.json {
            list::table(&page.data);
        } else if self.streams {
            for row in &page.data {
                line(&serde_json::to_string(row)?);
            }
        } else {
            for row in &page.data {
                self.kept.push(serde_json::to_value(row)?);
            }
        }
        Ok(true)
    }

    fn end(self) {
        if self.json {
            print_json(&Value::Array(self.kept));
        } else if self.shown == 0 {
            note("no decision was found");
        }
    }
}

/// Goes through the decisions, newest first, until there are no more, or nobody wants more.
async fn each_page(
    client: &Client,
    filters: &Filters,
    limit: u64,
    mut visit: impl FnMut(&Page) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    if let Client::Own(_, core) = client
        && !core.relay.drain(SETTLING).await
    {
        note("the store does not have everything yet; what only the journal has is not looked at");
    }
    let mut left = limit;
    let mut after = None;
    while left > 0 {
        let at_once = u32::try_from(left.min(u64::from(PAGE)))?;
        let page = list::ask(client, filters, after, None, at_once).await?;
        let Some(last) = page.data.last() else { break };
        after = Some(last.decision.id);
        left = left.saturating_sub(page.data.len() as u64);
        if !visit(&page)? || !page.has_more {
            break;
        }
    }
    Ok(())
}

/// Makes the derived rows of every chain again, or of one.
async fn reproject(client: &Client, chain: Option<String>, json: bool) -> anyhow::Result<()> {
    client.call(Method::POST, "/audit/settle", &json!({})).await?;
    let chains = match chain {
        Some(chain) => vec![chain],
        None => {
            let answer = client.call(Method::GET, "/audit/chains", &Value::Null).await?;
            let chains = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            chains.iter().filter_map(|chain| Some(chain.get("boot")?.as_str()?.to_owned())).collect()
        }
    };
    let mut rows = 0;
    let mut done = Vec::new();
    for chain in chains {
        let path = format!("/audit/reproject/{}", segment(&chain)?);
        let answer = client.call(Method::POST, &path, &json!({})).await?;
        let made = answer.get("rows").and_then(Value::as_u64).unwrap_or_default();
        rows += made;
        if !json {
            line(&format!("{chain}  {made} rows"));
        }
        done.push(json!({"chain": chain, "rows": made}));
    }
    if json {
        print_json(&json!({"chains": done, "rows": rows}));
    } else {
        line(&format!("{rows} rows were made again from the evidence of {} chains", done.len()));
    }
    Ok(())
}

/// Where an export goes. Half a file never stands under the name that was asked for.
struct Output {
    to: Box<dyn Write + Send>,
    names: Option<(PathBuf, PathBuf)>,
}

impl Output {
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        match path.filter(|path| path.as_os_str() != "-") {
            None => Ok(Self { to: Box::new(std::io::BufWriter::new(std::io::stdout())), names: None }),
            Some(path) => {
                let mut beside = path.as_os_str().to_owned();
                beside.push(".part");
                let beside = PathBuf::from(beside);
                let file = std::fs::File::create(&beside)
                    .with_context(|| format!("cannot write `{}`", beside.display()))?;
                let to = Box::new(std::io::BufWriter::new(file));
                Ok(Self { to, names: Some((beside, path.to_owned())) })
            }
        }
    }

    /// `false` when nobody reads any more (`baton audit export | head`).
    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        match self.to.write_all(bytes) {
            Ok(()) => Ok(true),
            Err(error) if self.names.is_none() && error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error).context("the export cannot be written"),
        }
    }

    fn finish(mut self) -> anyhow::Result<()> {
        match self.to.flush() {
            Err(error) if self.names.is_some() => return Err(error).context("the export cannot be written"),
            Ok(()) | Err(_) => {}
        }
        if let Some((beside, path)) = self.names {
            std::fs::rename(&beside, &path).with_context(|| format!("cannot write `{}`", path.display()))?;
            note(&format!("written to {}", path.display()));
        }
        Ok(())
    }
}

/// An id that is safe in a path.
fn segment(id: &str) -> anyhow::Result<&str> {
    anyhow::ensure!(
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        "`{id}` is no id"
    );
    Ok(id)
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}
