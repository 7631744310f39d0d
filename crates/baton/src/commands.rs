//! Carries out what was said on the command line.
//!
//! Exit codes: 0 when all is well, 1 when something was found or failed, 2 for a wrong command line.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use axum::http::Method;
use baton_access::Selector;
use baton_config::{Config, ConfigError, Flags, Mistake, Sources};
use baton_engine::Manual;
use baton_model::Secret;
use clap::CommandFactory;
use serde_json::{Value, json};

use crate::cli::{
    Cli, Command, Copying, KeysCommand, McpCommand, ModelsCommand, Place, PolicyCommand, StoreCommand,
    TargetsCommand,
};
use crate::control::remote::{Gateway, Remote};
use crate::control::{Client, CreateKey, RotateKey};
use crate::models::Which;
use crate::output::{json as print_json, line, note, problem};
use crate::plans::Asked;
use crate::store::Way;
use crate::versions::{self, Act};
use crate::{mcp, models, plans, serve, telemetry, webhooks};

/// Where the configuration comes from: the named file, or `baton.yaml` where it is there.
fn sources(place: Place) -> Sources {
    let usual = std::path::PathBuf::from("baton.yaml");
    // A variable that is set to nothing, as compose files do, says nothing.
    let path = |path: Option<std::path::PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    Sources {
        file: path(place.config).or_else(|| usual.exists().then_some(usual)),
        env: Arc::new(|name| std::env::var(name).ok()),
        flags: Flags {
            listen: text(place.listen),
            data_dir: path(place.data_dir),
            database: text(place.database).map(Secret::new),
        },
    }
}

/// Runs the command.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let json = cli.place.json;
    let url = cli.place.url.clone();
    let url = url.as_ref();
    let mut sources = sources(cli.place);
    let command = cli.command.unwrap_or(Command::Serve);
    if url.is_some() && !command.may_ask_elsewhere() {
        return Ok(wrong(
            "`--url` does not go with this command: it works on this machine's files or data directory",
        ));
    }
    match command {
        Command::Openapi => {
            line(&baton_api::openapi(crate::control::openapi()).to_pretty_json()?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Store(StoreCommand::Copy(Copying { to, from })) => {
            let Some(config) = loaded(&sources) else { return Ok(ExitCode::FAILURE) };
            let way = to.map(Way::To).or(from.map(Way::From)).context("say `--to` or `--from`")?;
            runtime()?.block_on(crate::store::copy(&config, &way, json))
        }
        Command::Connect { client, model } => {
            let Some(config) = loaded(&sources) else { return Ok(ExitCode::FAILURE) };
            crate::connect::run(&config, client.as_deref(), model.as_deref(), url, json);
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "baton", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { file } => {
            sources.file = file.or(sources.file);
            Ok(check(&sources, json))
        }
        Command::Serve => {
            let Some(config) = loaded(&sources) else { return Ok(ExitCode::FAILURE) };
            let traces = telemetry::install(&config.telemetry)?;
            let result = runtime()?.block_on(serve::run(Arc::new(config), sources));
            traces.shut_down();
            result.map(|()| ExitCode::SUCCESS)
        }
        Command::Models { command } if let Some(gateway) = url => {
            let name = match command {
                Some(ModelsCommand::Show { name }) => Some(name),
                Some(ModelsCommand::List { .. }) | None => None,
            };
            let shown = models::elsewhere(gateway, name.as_deref(), json);
            runtime()?.block_on(shown).map(|()| ExitCode::SUCCESS)
        }
        Command::Models { command } => {
            let Some(config) = loaded(&sources) else { return Ok(ExitCode::FAILURE) };
            match command.unwrap_or(ModelsCommand::List { all: false }) {
                ModelsCommand::List { all } => {
                    models::list(&config, if all { Which::All } else { Which::Configured }, json)
                }
                ModelsCommand::Show { name } => models::show(&config, &name, json),
            }
        }
        Command::Doctor { live } => {
            let Some(config) = loaded(&sources) else { return Ok(ExitCode::FAILURE) };
            runtime()?.block_on(crate::doctor::run(&config, live, json))
        }
        Command::Explain { id: Some(id), .. } => with_server(&sources, url, move |client| {
            Box::pin(async move { plans::explain_id(client, &id, json).await.map(|()| ExitCode::SUCCESS) })
        }),
        Command::Explain { id: None, agent: Some(name), .. } => {
            let Some(config) = loaded(&sources) else { return Ok(ExitCode::FAILURE) };
            Ok(crate::agents::explain(&config, &name, json))
        }
        Command::Explain { id: None, agent: None, models, policy, prompt_file, task } => {
            let asked = Asked { models, policy, prompt_file, task };
            if let Some(gateway) = url {
                let there = plans::explain_there(gateway, &asked, json);
                return runtime()?.block_on(there).map(|()| ExitCode::SUCCESS);
            }
            let Some(config) = loaded(&sources) else { return Ok(ExitCode::FAILURE) };
            runtime()?.block_on(plans::explain(&config, &asked, json)).map(|()| ExitCode::SUCCESS)
        }
        Command::Audit(command) => runtime()?.block_on(crate::audit::run(&sources, url, *command, json)),
        Command::Policy(PolicyCommand::Replay { id, last }) => {
            let which = id.map_or_else(|| plans::Which::Last(last.unwrap_or_default()), plans::Which::One);
            with_server(&sources, url, move |client| Box::pin(plans::replay(client, which, json)))
        }
        Command::Policy(PolicyCommand::WhatIf { file, name, last }) => {
            let policy = plans::policy_of(&sources, &file, name.as_deref())?;
            with_server(&sources, url, move |client| {
                Box::pin(async move {
                    plans::what_if(client, &policy, last, json).await.map(|()| ExitCode::SUCCESS)
                })
            })
        }
        Command::Policy(PolicyCommand::Test { file }) => {
            let Some(config) = loaded(&sources) else { return Ok(ExitCode::FAILURE) };
            plans::test(&config, &file, json)
        }
        Command::Policy(PolicyCommand::Put { file, name }) => {
            let policy = plans::policy_to_put(&sources, &file, &name)?;
            with_server(&sources, url, move |client| {
                Box::pin(async move {
                    versions::put(client, &name, &policy, json).await.map(|()| ExitCode::SUCCESS)
                })
            })
        }
        Command::Policy(PolicyCommand::List) => with_server(&sources, url, move |client| {
            Box::pin(async move { versions::list(client, json).await.map(|()| ExitCode::SUCCESS) })
        }),
        Command::Policy(PolicyCommand::Show { policy }) => with_server(&sources, url, move |client| {
            Box::pin(async move { versions::show(client, &policy, json).await.map(|()| ExitCode::SUCCESS) })
        }),
        Command::Policy(PolicyCommand::Activate { version: Selector { name, version } }) => {
            carry_out(&sources, url, Act::Activate { name, version }, json)
        }
        Command::Policy(PolicyCommand::Canary { version: Selector { name, version }, percent }) => {
            carry_out(&sources, url, Act::Canary { name, version, percent }, json)
        }
        Command::Policy(PolicyCommand::Shadow { version: Selector { name, version } }) => {
            carry_out(&sources, url, Act::Shadow { name, version }, json)
        }
        Command::Policy(PolicyCommand::Rollback { name }) => {
            carry_out(&sources, url, Act::Rollback { name }, json)
        }
        Command::Policy(PolicyCommand::Off { name }) => carry_out(&sources, url, Act::Off { name }, json),
        Command::Targets { command } => {
            let switch = match command.unwrap_or(TargetsCommand::List) {
                TargetsCommand::List => None,
                TargetsCommand::Drain { scope } => Some((scope, Manual::Drained)),
                TargetsCommand::Disable { scope } => Some((scope, Manual::Disabled)),
                TargetsCommand::Enable { scope } => Some((scope, Manual::On)),
            };
            with_server(&sources, url, move |client| {
                Box::pin(
                    async move { plans::targets(client, switch, json).await.map(|()| ExitCode::SUCCESS) },
                )
            })
        }
        Command::Mcp { command } => match command.unwrap_or(McpCommand::List) {
            McpCommand::List => with_server(&sources, url, move |client| {
                Box::pin(async move { mcp::show(client, json).await.map(|()| ExitCode::SUCCESS) })
            }),
            McpCommand::Approve { server } => with_server(&sources, url, move |client| {
                Box::pin(async move { mcp::take(client, server, json).await.map(|()| ExitCode::SUCCESS) })
            }),
        },
        Command::Keys(command) => with_server(&sources, url, move |client| {
            Box::pin(async move { keys(client, command, json).await.map(|()| ExitCode::SUCCESS) })
        }),
    }
}

/// What stands on the command line does not go together: told as the parser tells it, with its exit code.
fn wrong(why: &str) -> ExitCode {
    let error = Cli::command().error(clap::error::ErrorKind::ArgumentConflict, why);
    note(error.render().to_string().trim_end());
    ExitCode::from(2)
}

/// Changes which versions of a policy are in force.
fn carry_out(sources: &Sources, url: Option<&Gateway>, act: Act, json: bool) -> anyhow::Result<ExitCode> {
    with_server(sources, url, move |client| {
        Box::pin(async move { versions::carry_out(client, &act, json).await.map(|()| ExitCode::SUCCESS) })
    })
}

/// The configuration, or its mistakes on standard error.
fn loaded(sources: &Sources) -> Option<Config> {
    match Config::load(sources) {
        Ok(config) => Some(config),
        Err(error) => {
            note(error.to_string().trim_end());
            None
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime did not start")
}

/// Checks the file, and what only shows when clients are made of it: proxies and certificates.
fn check(sources: &Sources, json: bool) -> ExitCode {
    match Config::load(sources) {
        Ok(config) => {
            let built = crate::settings::settings(&config).map(drop);
            if let Err(error) = built.and_then(|()| webhooks::check(&config)) {
                let text = format!("{error:#}");
                if json {
                    print_json(&json!({"ok": false, "mistakes": [{"message": text}]}));
                } else {
                    problem(&text);
                }
                return ExitCode::FAILURE;
            }
            if json {
                print_json(&json!({
                    "ok": true, "version": config.version(), "config": config.document(),
                    "agents": crate::agents::report(&config),
                }));
            } else {
                line(&match &sources.file {
                    Some(file) => format!("{}: good, version {}", file.display(), config.version()),
                    None => format!(
                        "there is no `baton.yaml` here: what holds without one is good, version {}",
                        config.version()
                    ),
                });
                crate::agents::remarks(&config).for_each(|remark| line(&format!("  {remark}")));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            if json {
                print_json(&json!({"ok": false, "mistakes": mistakes(&error)}));
            } else {
                note(error.to_string().trim_end());
            }
            ExitCode::FAILURE
        }
    }
}

fn mistakes(error: &ConfigError) -> Vec<Value> {
    let row = |mistake: &Mistake| {
        json!({
            "line": mistake.line(),
            "column": mistake.column(),
            "path": mistake.path,
            "message": mistake.message,
            "seen": mistake.seen,
            "hint": mistake.hint,
        })
    };
    error.mistakes.iter().map(row).collect()
}

type Task<'a> = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<ExitCode>> + 'a>>;

/// Runs a command against the gateway that is named, else the server here, else the data directory.
fn with_server(
    sources: &Sources,
    url: Option<&Gateway>,
    task: impl FnOnce(&Client) -> Task<'_>,
) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    if let Some(gateway) = url {
        let client = Client::Remote(Box::new(Remote::new(gateway)?));
        return runtime.block_on(task(&client));
    }
    let Some(config) = loaded(sources) else { return Ok(ExitCode::FAILURE) };
    runtime.block_on(async {
        let client = Client::open(&config).await?;
        let result = task(&client).await;
        client.close().await?;
        result
    })
}

async fn keys(client: &Client, command: KeysCommand, json: bool) -> anyhow::Result<()> {
    let answer = match command {
        KeysCommand::List => {
            let answer = client.call(Method::GET, "/keys", &Value::Null).await?;
            let keys = answer.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            if json {
                print_json(&Value::Array(keys));
            } else if keys.is_empty() {
                note("no keys yet: `baton keys create NAME` makes one");
            } else {
                keys.iter().for_each(|key| line(&key_line(key)));
            }
            return Ok(());
        }
        KeysCommand::Create { name, role, models, concurrency, expires_in_days, byok } => {
            let wanted = CreateKey {
                name,
                role: role.as_str().to_owned(),
                models: (!models.is_empty()).then_some(models),
                concurrency,
                expires_in_days,
                byok,
            };
            client.call(Method::POST, "/keys", &serde_json::to_value(wanted)?).await?
        }
        KeysCommand::Rotate { id, grace_minutes } => {
            let how = serde_json::to_value(RotateKey { grace_minutes })?;
            client.call(Method::POST, &format!("/keys/{}/rotate", segment(&id)?), &how).await?
        }
        KeysCommand::Revoke { id } => {
            client.call(Method::POST, &format!("/keys/{}/revoke", segment(&id)?), &json!({})).await?
        }
    };
    if json {
        print_json(&answer);
        return Ok(());
    }
    if let Some(secret) = answer.get("secret").and_then(Value::as_str) {
        note("keep this secret now: it is not shown again");
        line(secret);
    }
    note(&key_line(&answer));
    Ok(())
}

/// An id that is safe in a path.
fn segment(id: &str) -> anyhow::Result<&str> {
    anyhow::ensure!(
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
        "`{id}` is not a key's id; `baton keys list` shows them"
    );
    Ok(id)
}

fn key_line(key: &Value) -> String {
    let text = |member: &str| key.get(member).and_then(Value::as_str).unwrap_or("-").to_owned();
    let models = match key.get("models").and_then(Value::as_array) {
        None => "all models".to_owned(),
        Some(models) => models.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
    };
    format!(
        "{}  {:8}  {:6}  …{}  {}  {models}",
        text("id"),
        text("state"),
        text("role"),
        text("last4"),
        text("name")
    )
}
