//! Every other `/v1/*`: passed on to the one provider it names.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::Response;
use baton_engine::{Engine, Pass};
use baton_model::{Dialect, ProviderName, RawObject, RequestId};
use baton_upstream::RawPath;
use bytes::Bytes;

use crate::ask;
use crate::error::ApiError;
use crate::gate::{Gate, text};
use crate::reply::respond;
use crate::router::request_id;
use crate::surface::by_headers;

/// What the record calls the path of a passed request; the rest is in the reason.
const SURFACE: &str = "/v1/*";

/// The path as it is documented. It stands for any depth, which `OpenAPI` cannot say.
pub(crate) const PATH: &str = "/v1/{path}";

/// Passes any other path to the one provider that it names.
///
/// Any method, any depth below `/v1`, any body. The provider is the one of `x-baton-provider`, else
/// the one in front of the body's `model` (`provider/model`), else `default_provider`. The answer is
/// the provider's own, byte for byte, and the decision is recorded like every other.
#[utoipa::path(
    post,
    path = "/v1/{path}",
    operation_id = "pass.post",
    tag = "passed on",
    params(
        ("path" = String, Path, description = "Any path, slashes included", example = "embeddings"),
        ("x-baton-provider" = Option<String>, Header, pattern = "^[A-Za-z0-9._-]{1,256}$", description = "The provider that should take it", example = "openai"),
    ),
    request_body(content = serde_json::Value, content_type = "*/*", description = "Whatever the provider takes"),
    responses(
        (status = "2XX", description = "The provider's answer", content_type = "*/*", body = serde_json::Value, example = json!("{\"object\":\"list\",\"data\":[]}")),
        (status = "4XX", description = "The provider's answer", content_type = "*/*", body = serde_json::Value),
        (status = "5XX", description = "The provider's answer", content_type = "*/*", body = serde_json::Value),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn forward(
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    let dialect = by_headers(request.headers());
    match carry(dialect, id, &engine, &gate, request).await {
        Ok(response) => response,
        Err(error) => error.into_response_as(dialect, id),
    }
}

async fn carry(
    dialect: Dialect,
    id: RequestId,
    engine: &Engine,
    gate: &Gate,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let admitted = gate.admit(&parts.headers)?;
    let path = below_v1(&parts)?;
    let body = gate.read(&parts.headers, body).await?;
    let json = is_json(&parts).then(|| RawObject::parse(body.clone()).ok()).flatten();
    let model = json.as_ref().and_then(|json| json.read::<String>("model").ok().flatten());
    let provider = provider(engine, &parts, model.as_deref(), &path)?;
    let byok = match &json {
        Some(json) => ask::byok(json, &admitted.principal, &parts.headers)?,
        None => ask::byok(&RawObject::empty(), &admitted.principal, &parts.headers)?,
    };
    let pass = Pass {
        request: id,
        surface: SURFACE,
        caller: ask::caller(&admitted.principal),
        method: parts.method.clone(),
        path,
        query: parts.uri.query().map(ToOwned::to_owned),
        body: body_for(&provider, json.as_ref(), model.as_deref(), body),
        provider,
        model,
        content_type: parts.headers.get(CONTENT_TYPE).cloned(),
        forward: ask::forwarded(&parts.headers),
        labels: ask::header_labels(&parts.headers),
        byok,
    };
    Ok(respond(dialect, id, engine.pass(pass).await?, admitted.permit).await)
}

/// The path below `/v1`, kept as it was sent, if it cannot climb out of it.
fn below_v1(parts: &Parts) -> Result<RawPath, ApiError> {
    let below = parts.uri.path().strip_prefix("/v1").unwrap_or_default();
    if below == "/v1" || below.starts_with("/v1/") {
        return Err(ApiError::not_found(
            "the path has `/v1` twice: set the client's base URL with one `/v1`, or with none",
        ));
    }
    below.parse().map_err(|_error| ApiError::not_found("there is nothing at this path"))
}

fn is_json(parts: &Parts) -> bool {
    text(&parts.headers, "content-type")
        .is_some_and(|value| value.trim_start().starts_with("application/json"))
}

/// The provider that the header, the body's model or the configuration names.
fn provider(
    engine: &Engine,
    parts: &Parts,
    model: Option<&str>,
    path: &RawPath,
) -> Result<ProviderName, ApiError> {
    let settings = engine.settings();
    let catalog = &settings.catalog;
    if let Some(named) = text(&parts.headers, "x-baton-provider") {
        let provider: ProviderName = named.parse().map_err(|error| {
            ApiError::invalid(
                format!("`x-baton-provider` is not a provider's name: {error}"),
                Some("x-baton-provider"),
            )
        })?;
        if catalog.upstream(&provider).is_none() {
            return Err(ApiError::not_found(format!(
                "the provider `{provider}` of `x-baton-provider` is not configured"
            )));
        }
        return Ok(provider);
    }
    let by_model = model.and_then(|model| catalog.model(model)).map(|entry| entry.target.provider);
    by_model.or_else(|| catalog.default_provider().cloned()).ok_or_else(|| {
        let path: String = path.as_str().chars().take(120).collect();
        ApiError::not_found(format!(
            "`/v1{path}` has no surface here, and nothing says which provider should take it: send `x-baton-provider`, name a model as `provider/model`, or configure `default_provider`"
        ))
    })
}

/// The body, with the provider's prefix taken off the model's name.
fn body_for(
    provider: &ProviderName,
    json: Option<&RawObject>,
    model: Option<&str>,
    body: Bytes,
) -> Vec<Bytes> {
    let bare =
        model.and_then(|model| model.strip_prefix(provider.as_str())).and_then(|rest| rest.strip_prefix('/'));
    match (json, bare.and_then(|bare| serde_json::to_vec(bare).ok())) {
        (Some(json), Some(name)) => json.rewrite(&[("model", Some(name.into()))]),
        _ => vec![body],
    }
}
