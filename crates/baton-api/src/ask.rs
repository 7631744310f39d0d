//! Reads a request body and its headers into what the engine is asked.
//!
//! - **Invariant:** every key is read into a type with listed fields; what Baton knows and does not
//!   follow is named in `ignored`, never dropped in silence.

use axum::http::{HeaderMap, HeaderName};
use baton_access::Principal;
use baton_audit::Labels;
use baton_engine::{Ask, Byok, Caller, Explain, ModelSpec};
use baton_model::{Dialect, JsonError, ProviderName, RawJson, RawObject, RequestId, Secret};
use bytes::Bytes;
use serde::Deserialize;

use crate::error::ApiError;
use crate::gate::text;
use crate::handoff;
use crate::surface::Surface;
use crate::wishes::{Own, own, wishes};

/// The longest text of a client's that is recorded.
const MAX_LABEL: usize = 256;
/// The most tags and metadata pairs that are recorded.
const MAX_LABELS: usize = 16;

/// Client headers that providers give a meaning.
const FORWARDED: [&str; 3] = ["anthropic-version", "anthropic-beta", "openai-beta"];

/// Keys that other gateways and later versions follow; named in the record where they say something.
const NOT_FOLLOWED: [&str; 4] = ["credentials", "deferred_calls", "guardrails", "deferred"];

/// Reads a body for a surface.
pub(crate) fn read(
    surface: Surface,
    request: RequestId,
    principal: &Principal,
    headers: &HeaderMap,
    query: Option<&str>,
    body: Bytes,
) -> Result<Ask, ApiError> {
    let body = RawObject::parse(body)?;
    let byok = byok(&body, principal, headers)?;
    read_as(surface, request, caller(principal), byok, headers, query, body)
}

/// Reads a body that this caller sent, be it long ago.
pub(crate) fn read_as(
    surface: Surface,
    request: RequestId,
    caller: Caller,
    byok: Option<Byok>,
    headers: &HeaderMap,
    query: Option<&str>,
    body: RawObject,
) -> Result<Ask, ApiError> {
    let mut ignored = not_followed(&body);
    let mut own = own(&body, headers, &mut ignored)?;
    let (mut providers, mut wishes) = wishes(&body, &mut own, &mut ignored)?;
    let Named { models, settings } = models(&body, byok.as_ref())?;
    handoff::respell(&models.names, &mut wishes);
    let handoff = handoff::read(surface.dialect, &body, settings, &mut wishes, &mut ignored)?;
    let stream = body.read::<bool>("stream")?.unwrap_or(false);
    let strict = own.strict
        || providers.require_parameters.take().unwrap_or(false)
        || text(headers, "x-baton-strict").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    Ok(Ask {
        request,
        dialect: surface.dialect,
        surface: surface.path,
        caller,
        models,
        stream,
        forward: forwarded(headers),
        query: (surface.dialect == Dialect::AnthropicMessages).then(|| beta(query)).flatten(),
        labels: labels(&body, headers, &own),
        providers,
        policy: own.policy,
        wishes,
        handoff,
        mcp_servers: said(&body, "mcp_servers").map(RawJson::parse).transpose()?,
        run_tools: runs_tools(&body)?,
        task: own.task,
        variables: own.variables,
        context: own.context,
        strict,
        byok,
        ignored,
        explain: explain(headers),
        kept: None,
        within: None,
        body,
    })
}

pub(crate) fn caller(principal: &Principal) -> Caller {
    Caller { principal: principal.id().to_string(), models: principal.models().map(<[String]>::to_vec) }
}

/// The one query parameter that the Messages dialect gives a meaning.
fn beta(query: Option<&str>) -> Option<String> {
    query?.split('&').any(|pair| pair == "beta=true").then(|| "beta=true".to_owned())
}

/// The models a request names, and what it sets for each while that one answers.
struct Named {
    models: ModelSpec,
    settings: Vec<(String, RawJson)>,
}

/// A model with what the request sets for it.
#[derive(Deserialize)]
struct WithSettings {
    model: String,
    #[serde(default)]
    settings: Option<RawJson>,
}

fn models(body: &RawObject, byok: Option<&Byok>) -> Result<Named, ApiError> {
    let wrong = |_error| {
        ApiError::invalid("`model` must be a name, an object with `model`, or a list of those", Some("model"))
    };
    let mut settings = Vec::new();
    let mut one = |raw: &RawJson| -> Result<String, JsonError> {
        // From a list, serde would read the object too.
        if !raw.get().starts_with('{') {
            return raw.read();
        }
        let WithSettings { model, settings: given } = raw.read()?;
        settings.extend(given.map(|given| (model.clone(), given)));
        Ok(model)
    };
    let mut list = body.get("model").is_some_and(|model| model.starts_with(b"["));
    let mut names = if list {
        let many: Vec<RawJson> = body.read("model").map_err(wrong)?.unwrap_or_default();
        many.iter().map(&mut one).collect::<Result<_, _>>().map_err(wrong)?
    } else {
        let name: Option<RawJson> = body.read("model").map_err(wrong)?;
        name.iter().map(&mut one).collect::<Result<Vec<_>, _>>().map_err(wrong)?
    };
    let members = if list { names.len() } else { 0 };
    for key in ["models", "fallbacks"] {
        let more: Option<Vec<String>> = body.read(key).map_err(|_error| {
            ApiError::invalid(format!("`{key}` must be a list of model names"), Some(key))
        })?;
        if let Some(more) = more {
            list = true;
            names.extend(more);
        }
    }
    if names.is_empty()
        && let Some(model) = byok.and_then(|byok| byok.model.clone())
    {
        names.push(model);
    }
    match names.first() {
        None if list => Err(ApiError::invalid("the list of models is empty", Some("model"))),
        None => Err(ApiError::invalid("you must name a model in `model`", Some("model"))),
        Some(_) if names.iter().any(|name| name.trim().is_empty()) => {
            Err(ApiError::invalid("a model's name cannot be empty", Some("model")))
        }
        // A list of one is still a list: it is answered with the target's full name.
        Some(_) => Ok(Named { models: ModelSpec { names, list, members }, settings }),
    }
}

/// Whether tools of MCP servers are run here, by the key's present or its former name.
fn runs_tools(body: &RawObject) -> Result<bool, ApiError> {
    let wish = match body.read::<bool>("automatic_tool_execution")? {
        None => body.read::<bool>("auto_execute_tools")?,
        wish => wish,
    };
    Ok(wish.unwrap_or(true))
}

/// The text of a member that says something.
fn said<'a>(body: &'a RawObject, key: &str) -> Option<&'a str> {
    let value = body.get(key).filter(|value| !matches!(*value, b"[]" | b"{}" | b"\"\"" | b"false"))?;
    std::str::from_utf8(value).ok()
}

fn not_followed(body: &RawObject) -> Vec<String> {
    // `fallback` is the one route that there is, and what happens anyway.
    let route = said(body, "route").filter(|value| *value != "\"fallback\"").map(|_| "route".to_owned());
    // A text is the session's name where no other is given.
    let correlation = said(body, "correlation_id").filter(|value| !value.starts_with('"'));
    let correlation = correlation.map(|_| "correlation_id".to_owned());
    let keys = NOT_FOLLOWED.iter().filter(|key| said(body, key).is_some()).map(|key| (*key).to_owned());
    route.into_iter().chain(correlation).chain(keys).collect()
}

/// The provider key that came with the request, where the caller may bring one.
pub(crate) fn byok(
    body: &RawObject,
    principal: &Principal,
    headers: &HeaderMap,
) -> Result<Option<Byok>, ApiError> {
    let Some(key) = text(headers, "x-provider-key").filter(|key| !key.is_empty()) else { return Ok(None) };
    if !principal.byok() {
        return Err(ApiError::forbidden(
            "this key may not bring provider keys of its own (`x-provider-key`)",
        ));
    }
    let model = text(headers, "x-provider-model").map(ToOwned::to_owned);
    let named = match text(headers, "x-provider") {
        Some(provider) => Some(provider.to_owned()),
        None => body
            .read::<String>("model")
            .ok()
            .flatten()
            .and_then(|model| model.split_once('/').map(|(provider, _)| provider.to_owned())),
    };
    let provider: ProviderName = named
        .ok_or_else(|| {
            ApiError::invalid(
                "`x-provider-key` needs `x-provider` to say whose key it is",
                Some("x-provider"),
            )
        })?
        .parse()
        .map_err(|error| {
            ApiError::invalid(format!("`x-provider` is not a provider's name: {error}"), Some("x-provider"))
        })?;
    Ok(Some(Byok { provider, key: Secret::new(key.to_owned()), model }))
}

pub(crate) fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut forward = HeaderMap::new();
    for name in FORWARDED {
        if let Some(value) = headers.get(name) {
            forward.insert(HeaderName::from_static(name), value.clone());
        }
    }
    forward
}

fn explain(headers: &HeaderMap) -> Explain {
    match text(headers, "x-baton-explain") {
        Some("full") => Explain::Full,
        Some("summary") => Explain::Summary,
        _ => Explain::None,
    }
}

fn labels(body: &RawObject, headers: &HeaderMap, own: &Own) -> Labels {
    let string = |key: &str| body.read::<String>(key).ok().flatten();
    let session = text(headers, "x-baton-session")
        .map(ToOwned::to_owned)
        .or_else(|| own.session.clone())
        .or_else(|| text(headers, "x-claude-code-session-id").map(ToOwned::to_owned))
        .or_else(|| string("correlation_id"));
    let metadata: Vec<(String, String)> = body
        .read::<std::collections::BTreeMap<String, serde_json::Value>>("metadata")
        .ok()
        .flatten()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(key, value)| Some((label(&key), label(value.as_str()?))))
        .take(MAX_LABELS)
        .collect();
    let user = string("safety_identifier")
        .or_else(|| string("user"))
        .or_else(|| metadata.iter().find(|(key, _)| key == "user_id").map(|(_, value)| value.clone()));
    let mut tags: Vec<String> = own.tags.iter().map(|tag| label(tag)).collect();
    tags.extend(
        text(headers, "x-baton-tags")
            .into_iter()
            .flat_map(|list| list.split(','))
            .map(|tag| label(tag.trim())),
    );
    tags.retain(|tag| !tag.is_empty());
    tags.truncate(MAX_LABELS);
    Labels {
        session: session.as_deref().map(label),
        user: user.as_deref().map(label),
        tags,
        metadata,
        client_retry: text(headers, "x-stainless-retry-count").and_then(|count| count.parse().ok()),
    }
}

/// The labels of a request that has no body to read.
pub(crate) fn header_labels(headers: &HeaderMap) -> Labels {
    Labels {
        session: text(headers, "x-baton-session").map(label),
        tags: text(headers, "x-baton-tags")
            .into_iter()
            .flat_map(|list| list.split(','))
            .map(|tag| label(tag.trim()))
            .filter(|tag| !tag.is_empty())
            .take(MAX_LABELS)
            .collect(),
        client_retry: text(headers, "x-stainless-retry-count").and_then(|count| count.parse().ok()),
        ..Labels::default()
    }
}

/// A client's text, short enough for a record.
fn label(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_LABEL)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
