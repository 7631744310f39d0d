//! Writes a configuration down as it is recorded, and hashes it.
//!
//! - Start with [`document`].
//! - **Invariant:** equal content gives equal text, whatever the order of its keys in the file.
//! - **Invariant:** the recorded form and the version hold no secret, nor anything made from one.

use std::time::Duration;

use baton_access::sha256_hex;
use baton_model::Secret;
use baton_policy::{Policy, PolicyDocument};
use baton_tools::{Server, Transport, UrlPattern};
use baton_upstream::{AuthScheme, ModelNames};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::config::Digests;
use crate::{Config, Database, LogFormat, Provider, Route, WebhookSettings};

/// What stands in the place of a secret.
const VEIL: &str = "[secret]";

/// How many hex digits name a version.
const VERSION_LEN: usize = 16;

/// The content as it is recorded.
pub(crate) fn document(config: &Config) -> Value {
    sorted(write(config, |_secret| Value::from(VEIL)))
}

/// The version of the content, and a hash of all of it.
pub(crate) fn digests(config: &Config) -> Digests {
    let whole = sorted(write(config, |secret| Value::from(secret)));
    Digests {
        version: short_hash(&document(config)),
        whole: Secret::new(sha256_hex(whole.to_string().as_bytes())),
    }
}

/// The version of a policy: sixteen hex digits of the hash of its content, without its name.
#[must_use]
pub fn policy_version(document: &PolicyDocument) -> String {
    version(document)
}

/// The version of anything that can be written down.
pub(crate) fn version(content: &impl Serialize) -> String {
    short_hash(&sorted(value(content)))
}

/// Plain data with text for keys: there is none that cannot be written as JSON.
fn value(content: &impl Serialize) -> Value {
    serde_json::to_value(content).unwrap_or_default()
}

fn short_hash(value: &Value) -> String {
    let mut digits = sha256_hex(value.to_string().as_bytes());
    digits.truncate(VERSION_LEN);
    digits
}

/// Every map in the order of its keys: the map type of `serde_json` depends on its features.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> = map.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

fn write(config: &Config, secret: impl Fn(&str) -> Value) -> Value {
    json!({
        "listen": config.listen.to_string(),
        "data_dir": config.data_dir.to_string_lossy(),
        "database": match &config.database {
            Database::Sqlite => Value::from("sqlite"),
            Database::Postgres(url) => json!({ "postgres": secret(url.expose()) }),
        },
        "auth": { "required": config.auth.required },
        "providers": named(config.providers.iter().map(|it| (it.upstream.name.to_string(), provider(it, &secret)))),
        "default_provider": config.default_provider.as_ref().map(ToString::to_string),
        "models": named(config.models.iter().map(|it| (it.target.to_string(), value(&it.facts)))),
        "routes": named(config.routes.iter().map(|it| (it.name.to_string(), route(it)))),
        "policies": named(config.policies.iter().map(|it| (it.reference.name.clone(), policy(it)))),
        "cors": { "origins": config.cors.origins },
        "limits": {
            "max_body_bytes": config.limits.max_body_bytes,
            "max_connections": config.limits.max_connections,
            "header_timeout_ms": ms(config.limits.header_timeout),
            "drain_timeout_ms": ms(config.limits.drain_timeout),
        },
        "telemetry": {
            "otlp_endpoint": config.telemetry.otlp_endpoint,
            "log_format": match config.telemetry.log_format {
                LogFormat::Auto => "auto",
                LogFormat::Json => "json",
                LogFormat::Pretty => "pretty",
            },
            "log_filter": config.telemetry.log_filter,
        },
        "journal": { "max_bytes": config.journal.max_bytes },
        "responses": { "store": if config.stores_responses { "30d" } else { "never" } },
        "runs": { "webhook": config.runs.webhook.as_ref().map(|it| webhook(it, &secret)) },
        "audit": {
            "retention_days": config.audit.retention.map(|time| time.as_secs() / 86_400),
            "checkpoints": {
                "file": config.audit.checkpoints.file.as_ref().map(|file| file.to_string_lossy()),
                "webhook": config.audit.checkpoints.webhook.as_ref().map(|it| webhook(it, &secret)),
            },
            "export": config.audit.export.as_ref().map(|dir| json!({ "dir": dir.to_string_lossy() })),
            "alerts": config.audit.alerts.as_ref().map(|alerts| json!({
                "webhook": webhook(&alerts.webhook, &secret),
                "relay_lag_ms": u64::try_from(alerts.relay_lag.as_millis()).unwrap_or(u64::MAX),
                "disk_free": alerts.disk_free,
            })),
            "capture": config.audit.capture.as_ref().map(|capture| json!({
                "keys": capture.keys, "routes": capture.routes, "policies": capture.policies,
                "redact": capture.redact.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
                "patterns": capture.patterns, "max_bytes": capture.max_bytes,
                "keep_days": capture.keep.map(|time| time.as_secs() / 86_400),
            })),
        },
        "mcp_servers": named(config.tools.servers.iter().map(|it| (it.name.clone(), tool_server(it, &secret)))),
        "mcp_endpoint": config.mcp_endpoint,
        "workflows": named(config.workflows.iter().cloned()),
        "agents": crate::read::agent::shown(&config.agents),
        "mcp_allow_urls": config.tools.allow_urls.iter().map(UrlPattern::as_str).collect::<Vec<_>>(),
    })
}

fn named(entries: impl Iterator<Item = (String, Value)>) -> Value {
    Value::Object(entries.collect::<Map<_, _>>())
}

fn webhook(webhook: &WebhookSettings, secret: impl Fn(&str) -> Value) -> Value {
    json!({ "url": webhook.url, "secret": secret(webhook.secret.expose()) })
}

fn provider(provider: &Provider, secret: impl Fn(&str) -> Value) -> Value {
    let upstream = &provider.upstream;
    let headers = upstream
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), secret(&String::from_utf8_lossy(value.as_bytes()))));
    json!({
        "dialect": upstream.dialect.as_str(),
        "responses": upstream.responses,
        "base_url": upstream.base_url.to_string(),
        "api_keys": upstream.credentials.iter().map(|key| secret(key.expose())).collect::<Vec<_>>(),
        "auth": auth(&upstream.auth),
        "models": match &upstream.models {
            ModelNames::Any => json!(["*"]),
            ModelNames::Listed(names) => json!(names),
        },
        "headers": named(headers),
        "proxy": provider.proxy.as_ref().map(|url| secret(url.expose())),
        "ca_file": provider.ca_file.as_ref().map(|file| json!({
            "path": file.path.to_string_lossy(),
            "sha256": sha256_hex(file.pem.as_bytes()),
        })),
    })
}

fn tool_server(server: &Server, secret: impl Fn(&str) -> Value) -> Value {
    let mut shown = match &server.transport {
        Transport::Http { url, headers } => {
            let value = |value: &http::HeaderValue| secret(&String::from_utf8_lossy(value.as_bytes()));
            let headers = headers.iter().map(|(name, it)| (name.to_string(), value(it)));
            json!({ "url": url.as_str(), "headers": named(headers) })
        }
        // An argument may be a token.
        Transport::Stdio { command, env } => json!({
            "command": command.first(),
            "arguments": command.iter().skip(1).map(|it| secret(it)).collect::<Vec<_>>(),
            "env": named(env.iter().map(|(name, it)| (name.clone(), secret(it.expose())))),
        }),
    };
    if let Value::Object(members) = &mut shown {
        members.insert("tools".to_owned(), json!(server.tools));
        members.insert(
            "limits".to_owned(),
            json!({
                "connect_timeout_ms": ms(server.limits.connect_timeout),
                "call_timeout_ms": ms(server.limits.call_timeout),
                "max_result": server.limits.max_result,
                "max_calls": server.limits.max_calls,
            }),
        );
    }
    shown
}

fn auth(scheme: &AuthScheme) -> &str {
    match scheme {
        AuthScheme::Bearer => "bearer",
        AuthScheme::XApiKey => "x-api-key",
        AuthScheme::Header(name) => name.as_str(),
    }
}

fn route(route: &Route) -> Value {
    json!({ "pool": route.pool, "policy": route.policy, "handoff": route.handoff })
}

fn policy(policy: &Policy) -> Value {
    json!({ "version": policy.reference.version, "document": value(&policy.document) })
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
