//! Reads the top level of the file, key by key.
//!
//! Providers, models, routes and policies have modules of their own. What names what is checked
//! once all names are known.

use std::net::IpAddr;

use baton_model::Secret;

use crate::config::{DEFAULT_POLICY, Digests};
use crate::document;
use crate::load::Overrides;
use crate::reader::{At, Reader, Section};
use crate::tree::{Node, Value};
use crate::value::{Wrong, duration, listen, origin, path, size};
use crate::{Auth, Config, Cors, Database, Journal, Limits, LogFormat, Model, RunSettings, Telemetry};

pub(crate) mod agent;
mod audit;
mod mcp;
mod model;
mod names;
mod policy;
mod provider;
mod route;
mod workflow;

/// Where a gateway serves that is told nothing.
const DEFAULT_LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

/// Where it keeps its data then.
const DEFAULT_DATA_DIR: &str = "./baton-data";

/// Reads everything; `None` when what was noted leaves nothing to go on with.
pub(crate) fn config(reader: &mut Reader<'_>, at: &At<'_>, over: Overrides) -> Option<Config> {
    let empty = Node::of(Value::Map(Vec::new()));
    let empty = At { node: &empty, path: String::new() };
    let at = if matches!(at.node.value, Value::Null) { &empty } else { at };
    let mut top = reader.section(at)?;

    let address = reader.take(&mut top, "listen").and_then(|at| reader.read(&at, listen));
    let listen = over.listen.or(address).unwrap_or_else(|| DEFAULT_LISTEN.into());
    let data_dir = reader.take(&mut top, "data_dir").and_then(|at| reader.read(&at, path));
    let file_database = reader.take(&mut top, "database").and_then(|at| read_database(reader, &at));
    let auth = read_auth(reader, &mut top, listen.ip());
    let providers = provider::providers(reader, &mut top);
    let default_provider = provider::default_provider(reader, &mut top, &providers);
    let mut notes = agent::note::Notes::default();
    let (mut models, aliases) = model::models(reader, &mut top, &providers, &mut notes);
    let names = names::Names {
        providers: &providers,
        default_provider: default_provider.as_ref(),
        models: &models,
        servers: &names_under(at, "mcp_servers"),
    };
    let policies = policy::policies(reader, &mut top, &names);
    let routes = route::routes(reader, &mut top, &names, &policies);
    let known: Vec<Model> = models.iter().map(|entry| entry.model.clone()).collect();
    let around = agent::Around {
        names: &names,
        aliases: &aliases,
        models: &known,
        routes: &routes,
        policies: &policies,
    };
    let agents = agent::agents(reader, &mut top, &around, notes);
    let known = mcp::Nameable { names: &names, routes: &routes, policies: &policies, agents: &agents };
    let mcp_endpoint = mcp::endpoint(reader, &mut top, &known);
    let workflows = workflow::workflows(reader, &mut top, &known);
    let audit = audit::audit(reader, &mut top, &known);
    model::settle_aliases(&mut models, &routes);
    let cors = read_cors(reader, &mut top);
    let limits = read_limits(reader, &mut top);
    let telemetry = read_telemetry(reader, &mut top);
    let journal = read_journal(reader, &mut top);
    let stores_responses = read_stores_responses(reader, &mut top);
    let runs = read_runs(reader, &mut top);
    let tools = mcp::tools(reader, &mut top);
    reader.finish(top);

    let mut config = Config {
        listen,
        data_dir: over.data_dir.or(data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
        database: over.database.or(file_database).unwrap_or(Database::Sqlite),
        auth,
        providers: providers.into_iter().filter_map(|entry| entry.provider).collect(),
        default_provider,
        models: models.into_iter().map(|entry| entry.model).collect(),
        routes,
        policies: policies.into_iter().filter_map(|entry| entry.policy).collect(),
        cors,
        limits,
        telemetry,
        journal,
        stores_responses,
        runs,
        audit,
        tools,
        mcp_endpoint,
        workflows,
        agents,
        digests: Digests { version: String::new(), whole: Secret::new(String::new()) },
    };
    if config.policy(DEFAULT_POLICY).is_none() {
        config.policies.insert(0, policy::default_policy());
    }
    config.digests = document::digests(&config);
    Some(config)
}

/// The names that a key of the top level has entries for, before that key is read.
fn names_under<'t>(top: &At<'t>, key: &str) -> Vec<&'t str> {
    let map = |node: &'t Node| match &node.value {
        Value::Map(entries) => entries.as_slice(),
        Value::Null | Value::Text(_) | Value::List(_) => &[],
    };
    let found = map(top.node).iter().find(|(name, _)| name.text == key);
    found.map(|(_, node)| map(node)).unwrap_or_default().iter().map(|(name, _)| name.text.as_str()).collect()
}

/// `sqlite`, or the URL of a server.
pub(crate) fn database(text: &str) -> Result<Database, Wrong> {
    let wrong = || Wrong::new("expected `sqlite` or `postgres://...`");
    if text == "sqlite" {
        return Ok(Database::Sqlite);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(wrong());
    };
    match scheme {
        "postgres" | "postgresql" if !rest.is_empty() && !text.chars().any(char::is_whitespace) => {
            Ok(Database::Postgres(Secret::new(text.to_owned())))
        }
        "sqlite" => Err(wrong().hint("the embedded store is always `data_dir/baton.db`; write `sqlite`")),
        _ => Err(wrong()),
    }
}

fn read_database(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Database> {
    let url = reader.secret(at)?;
    database(url.expose()).map_err(|wrong| reader.wrong_secret(at, wrong)).ok()
}

fn read_auth(reader: &mut Reader<'_>, top: &mut Section<'_>, ip: IpAddr) -> Auth {
    let default = Auth { required: !ip.is_loopback() };
    let Some(mut section) = reader.take(top, "auth").and_then(|at| reader.section(&at)) else {
        return default;
    };
    let required = reader.take(&mut section, "required").and_then(|at| reader.boolean(&at));
    reader.finish(section);
    Auth { required: required.unwrap_or(default.required) }
}

fn read_cors(reader: &mut Reader<'_>, top: &mut Section<'_>) -> Cors {
    let Some(mut section) = reader.take(top, "cors").and_then(|at| reader.section(&at)) else {
        return Cors::default();
    };
    let items = reader.take(&mut section, "origins").and_then(|at| reader.list(&at)).unwrap_or_default();
    let origins = items.iter().filter_map(|at| reader.read(at, origin)).collect();
    reader.finish(section);
    Cors { origins }
}

fn read_limits(reader: &mut Reader<'_>, top: &mut Section<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut section) = reader.take(top, "limits").and_then(|at| reader.section(&at)) else {
        return limits;
    };
    if let Some(bytes) =
        reader.take(&mut section, "max_body_bytes").and_then(|at| read_size(reader, &at, 1_024..=1 << 30))
    {
        limits.max_body_bytes = bytes;
    }
    if let Some(number) =
        reader.take(&mut section, "max_connections").and_then(|at| reader.number(&at, 1..=1_000_000))
    {
        limits.max_connections = u32::try_from(number).unwrap_or(u32::MAX);
    }
    if let Some(time) = reader.take(&mut section, "header_timeout").and_then(|at| reader.read(&at, duration))
    {
        limits.header_timeout = time;
    }
    if let Some(time) = reader.take(&mut section, "drain_timeout").and_then(|at| reader.read(&at, duration)) {
        limits.drain_timeout = time;
    }
    reader.finish(section);
    limits
}

fn read_telemetry(reader: &mut Reader<'_>, top: &mut Section<'_>) -> Telemetry {
    let mut telemetry = Telemetry::default();
    let Some(mut section) = reader.take(top, "telemetry").and_then(|at| reader.section(&at)) else {
        return telemetry;
    };
    if let Some(at) = reader.take(&mut section, "otlp_endpoint") {
        // The rules of a provider's base URL hold here too: a scheme, a host, no password.
        telemetry.otlp_endpoint = provider::base_url(reader, &at).map(|url| url.to_string());
    }
    let formats = [("auto", LogFormat::Auto), ("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];
    if let Some(format) = reader.take(&mut section, "log_format").and_then(|at| reader.word(&at, &formats)) {
        telemetry.log_format = format;
    }
    if let Some(filter) =
        reader.take(&mut section, "log_filter").and_then(|at| reader.read(&at, |text| Ok(text.to_owned())))
    {
        telemetry.log_filter = filter;
    }
    reader.finish(section);
    telemetry
}

fn read_stores_responses(reader: &mut Reader<'_>, top: &mut Section<'_>) -> bool {
    let Some(mut section) = reader.take(top, "responses").and_then(|at| reader.section(&at)) else {
        return true;
    };
    let store = reader.take(&mut section, "store");
    let store = store.and_then(|at| reader.word(&at, &[("30d", true), ("never", false)]));
    reader.finish(section);
    store.unwrap_or(true)
}

fn read_runs(reader: &mut Reader<'_>, top: &mut Section<'_>) -> RunSettings {
    let Some(mut section) = reader.take(top, "runs").and_then(|at| reader.section(&at)) else {
        return RunSettings::default();
    };
    let webhook = reader.take(&mut section, "webhook").and_then(|at| audit::webhook(reader, &at));
    reader.finish(section);
    RunSettings { webhook }
}

fn read_journal(reader: &mut Reader<'_>, top: &mut Section<'_>) -> Journal {
    let mut journal = Journal::default();
    let Some(mut section) = reader.take(top, "journal").and_then(|at| reader.section(&at)) else {
        return journal;
    };
    if let Some(bytes) =
        reader.take(&mut section, "max_bytes").and_then(|at| read_size(reader, &at, 1 << 20..=1 << 50))
    {
        journal.max_bytes = bytes;
    }
    reader.finish(section);
    journal
}

fn read_size(reader: &mut Reader<'_>, at: &At<'_>, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    reader.read(at, |text| {
        let bytes = size(text)?;
        if range.contains(&bytes) {
            return Ok(bytes);
        }
        Err(Wrong::new(format!("expected {} to {} bytes", range.start(), range.end())))
    })
}
