//! `GET /v1/models` and `GET /v1/models/{id}`: what the caller may use.
//!
//! One object serves OpenAI's, Anthropic's and Dedalus' clients: each finds its own fields.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use baton_access::Principal;
use baton_engine::{Engine, ModelEntry, Settings};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::gate::Gate;
use crate::router::request_id;
use crate::surface::by_headers;

/// When a model was added is not known; every client demands a time.
const CREATED: i64 = 1_735_689_600;
const CREATED_AT: &str = "2025-01-01T00:00:00Z";

/// A model that the caller may name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Model {
    /// What to send as `model`.
    id: String,
    /// `model`.
    object: &'static str,
    /// `model`, as Anthropic's clients read it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Seconds since 1970.
    created: i64,
    /// The same, as text.
    created_at: &'static str,
    /// Whose it is.
    owned_by: String,
    /// The provider that serves it.
    provider: String,
    /// A name for people.
    display_name: String,
    /// Other names for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    /// What it can do, where known.
    capabilities: Capabilities,
    /// What it costs in US dollars per million tokens, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<Pricing>,
}

/// What a model can do; absent is unknown.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Capabilities {
    text: bool,
    streaming: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    vision: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_output: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<bool>,
    /// `reasoning`, as Dedalus' clients read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_token_limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_token_limit: Option<u64>,
}

/// US dollars per million tokens.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's names")]
pub(crate) struct Pricing {
    input_per_million: f64,
    output_per_million: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cached_input_per_million: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_per_million: Option<f64>,
}

/// A list of models.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    /// `list`.
    object: &'static str,
    /// The models.
    data: Vec<Model>,
    /// Always false: the list is whole.
    has_more: bool,
    /// The first id, as Anthropic's clients read it.
    first_id: Option<String>,
    /// The last id.
    last_id: Option<String>,
}

/// Lists the models that the caller may use.
#[utoipa::path(
    get,
    path = "/v1/models",
    operation_id = "models.list",
    tag = "models",
    responses(
        (status = 200, description = "The models", body = ModelList, example = json!({"object": "list", "data": [{"id": "echo/hello", "object": "model", "type": "model", "created": 1_735_689_600, "created_at": "2025-01-01T00:00:00Z", "owned_by": "echo", "provider": "echo", "display_name": "hello", "capabilities": {"text": true, "streaming": true}}], "has_more": false, "first_id": "echo/hello", "last_id": "echo/hello"})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn list(
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    match gate.authenticate(request.headers()) {
        Err(error) => error.into_response_as(by_headers(request.headers()), id),
        Ok(principal) => {
            let data = visible(&engine, &principal);
            let first_id = data.first().map(|model| model.id.clone());
            let last_id = data.last().map(|model| model.id.clone());
            Json(ModelList { object: "list", data, has_more: false, first_id, last_id }).into_response()
        }
    }
}

/// Shows one model. The id may hold a slash, raw or encoded, or be an alias.
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    operation_id = "models.retrieve",
    tag = "models",
    params(("id" = String, Path, description = "The model's id or an alias", example = "echo/hello")),
    responses(
        (status = 200, description = "The model", body = Model, example = json!({"id": "echo/hello", "object": "model", "type": "model", "created": 1_735_689_600, "created_at": "2025-01-01T00:00:00Z", "owned_by": "echo", "provider": "echo", "display_name": "hello", "capabilities": {"text": true, "streaming": true}})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn retrieve(
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    let found = gate.authenticate(request.headers()).and_then(|principal| {
        let Path(name) = name.map_err(|_not_text| unknown(""))?;
        find(&engine, &principal, &name)
    });
    match found {
        Ok(model) => Json(model).into_response(),
        Err(error) => error.into_response_as(by_headers(request.headers()), id),
    }
}

fn find(engine: &Engine, principal: &Principal, name: &str) -> Result<Model, ApiError> {
    let settings = engine.settings();
    if let Some(entry) = settings.catalog.model(name)
        && allowed(principal, &entry)
    {
        return Ok(described(&entry));
    }
    if settings.catalog.routes().iter().any(|(route, _)| route.as_str() == name) && names(principal, name) {
        return Ok(route(name));
    }
    if agents(&settings).any(|agent| agent == name) && names(principal, name) {
        return Ok(route(name));
    }
    Err(unknown(name))
}

fn unknown(name: &str) -> ApiError {
    let short: String = name.chars().take(128).collect();
    ApiError::model_not_found(format!(
        "the model `{short}` does not exist here; `GET /v1/models` lists what this key may use"
    ))
}

fn visible(engine: &Engine, principal: &Principal) -> Vec<Model> {
    let settings = engine.settings();
    let mut models: Vec<Model> = settings
        .catalog
        .models()
        .into_iter()
        .filter(|entry| allowed(principal, entry))
        .map(|entry| described(&entry))
        .collect();
    models.extend(
        settings
            .catalog
            .routes()
            .iter()
            .filter(|(name, _)| names(principal, name.as_str()))
            .map(|(name, _)| route(name.as_str())),
    );
    models.extend(agents(&settings).filter(|name| names(principal, name)).map(|name| route(&name)));
    models
}

/// The agents, as clients name them.
fn agents(settings: &Settings) -> impl Iterator<Item = String> {
    settings.catalog.crew().agents.iter().map(|agent| format!("agent/{}", agent.name))
}

/// Whether the caller's key covers a model under any of its names.
fn allowed(principal: &Principal, entry: &ModelEntry) -> bool {
    names(principal, &entry.target.to_string())
        || entry.facts.aliases.iter().any(|alias| names(principal, alias.as_str()))
}

fn names(principal: &Principal, name: &str) -> bool {
    principal.models().is_none_or(|models| models.iter().any(|pattern| baton_policy::covers(pattern, name)))
}

fn described(entry: &ModelEntry) -> Model {
    let provider = entry.target.provider.to_string();
    let can = entry.facts.capabilities;
    let usd = |amount: baton_model::NanoUsd| std::time::Duration::from_nanos(amount.0).as_secs_f64();
    Model {
        id: entry.target.to_string(),
        object: "model",
        kind: "model",
        created: CREATED,
        created_at: CREATED_AT,
        owned_by: provider.clone(),
        display_name: entry.target.model.to_string(),
        provider,
        aliases: entry.facts.aliases.iter().map(ToString::to_string).collect(),
        capabilities: Capabilities {
            text: true,
            streaming: true,
            vision: can.vision,
            audio: can.audio,
            tools: can.tools,
            structured_output: can.structured_output,
            logprobs: can.logprobs,
            reasoning: can.reasoning,
            thinking: can.reasoning,
            input_token_limit: can.context_window,
            output_token_limit: can.max_output_tokens,
        },
        pricing: entry.facts.price.map(|price| Pricing {
            input_per_million: usd(price.input),
            output_per_million: usd(price.output),
            cached_input_per_million: price.cached_input.map(usd),
            cache_write_per_million: price.cache_write.map(usd),
        }),
    }
}

fn route(name: &str) -> Model {
    Model {
        id: name.to_owned(),
        object: "model",
        kind: "model",
        created: CREATED,
        created_at: CREATED_AT,
        owned_by: "baton".to_owned(),
        provider: "baton".to_owned(),
        display_name: name.to_owned(),
        aliases: Vec::new(),
        capabilities: Capabilities {
            text: true,
            streaming: true,
            vision: None,
            audio: None,
            tools: None,
            structured_output: None,
            logprobs: None,
            reasoning: None,
            thinking: None,
            input_token_limit: None,
            output_token_limit: None,
        },
        pricing: None,
    }
}
