//! Makes, lists, rotates and revokes keys.
//!
//! - **Invariant:** a change is in the journal before it takes effect, with who made it.

use axum::Json;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use baton_access::{Grant, IssueError, IssuedKey, KeyRecord, NewKey, Role, UNLIMITED};
use baton_model::KeyId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Actor, Control, Refused, record};

/// The routes.
pub(super) fn router() -> axum::Router<Control> {
    axum::Router::new()
        .route("/keys", get(list).post(create))
        .route("/keys/{id}/rotate", post(rotate))
        .route("/keys/{id}/revoke", post(revoke))
}

impl From<IssueError> for Refused {
    fn from(error: IssueError) -> Self {
        let status = match error {
            IssueError::Store(_) | IssueError::NoRandom(_) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

/// What a new key should be.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKey {
    /// What people call it.
    pub(crate) name: String,
    /// `use`, `viewer` or `admin`; `use` without.
    #[serde(default = "usual_role")]
    pub(crate) role: String,
    /// The models it may use, which may end in `*`; without, all.
    #[serde(default)]
    pub(crate) models: Option<Vec<String>>,
    /// How many requests it may have open at once; without, any number.
    #[serde(default)]
    pub(crate) concurrency: Option<u32>,
    /// For how many days it is valid; without, for ever.
    #[serde(default)]
    pub(crate) expires_in_days: Option<u32>,
    /// Whether its requests may bring provider keys of their own.
    #[serde(default)]
    pub(crate) byok: bool,
}

fn usual_role() -> String {
    "use".to_owned()
}

/// How a rotation should be done.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateKey {
    /// For how many minutes the old secret stays valid.
    #[serde(default)]
    pub(crate) grace_minutes: u32,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyBody {
    id: String,
    name: String,
    #[schema(value_type = String, example = "use")]
    role: Role,
    /// The last characters of its secret.
    last4: String,
    models: Option<Vec<String>>,
    concurrency: Option<u32>,
    byok: bool,
    created_ms: u64,
    expires_ms: Option<u64>,
    revoked_ms: Option<u64>,
    /// `valid`, `revoked` or `expired`.
    state: &'static str,
    /// The key itself, where it has just been made. It is not shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl KeyBody {
    fn new(record: &KeyRecord, now: u64) -> Self {
        let state = if record.revoked_ms.is_some_and(|at| at <= now) {
            "revoked"
        } else if record.expires_ms.is_some_and(|at| at <= now) {
            "expired"
        } else {
            "valid"
        };
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            role: record.role,
            last4: record.last4.clone(),
            models: record.models.clone(),
            concurrency: record.concurrency,
            byok: record.byok,
            created_ms: record.created_ms,
            expires_ms: record.expires_ms,
            revoked_ms: record.revoked_ms,
            state,
            secret: None,
        }
    }

    /// A key with its secret: the only time that it is shown.
    fn once(issued: &IssuedKey, now: u64) -> Self {
        Self { secret: Some(issued.secret.expose().to_owned()), ..Self::new(&issued.record, now) }
    }
}

/// All keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<KeyBody>,
    has_more: bool,
}

/// Lists all keys, without their secrets.
#[utoipa::path(
    get,
    path = "/admin/v1/keys",
    operation_id = "admin.keys.list",
    tag = "admin",
    responses((status = 200, description = "The keys", body = KeyList, example = json!({"object": "list", "data": [{"id": "key_019356aa00007000800000000000000d", "name": "batch", "role": "use", "last4": "9f3c", "models": ["echo/*"], "concurrency": 4, "byok": false, "created_ms": 1_763_726_400_000_u64, "expires_ms": null, "revoked_ms": null, "state": "valid"}], "has_more": false}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(super) async fn list(State(control): State<Control>) -> Json<KeyList> {
    let now = control.ids.now_ms();
    let data = control.keys.records().iter().map(|record| KeyBody::new(record, now)).collect();
    Json(KeyList { object: "list", data, has_more: false })
}

/// Makes a key and shows it, once.
#[utoipa::path(
    post,
    path = "/admin/v1/keys",
    operation_id = "admin.keys.create",
    tag = "admin",
    request_body(content = CreateKey, example = json!({"name": "batch", "models": ["echo/*"], "concurrency": 4})),
    responses((status = 200, description = "The key with its secret", body = KeyBody, example = json!({"id": "key_019356aa00007000800000000000000d", "name": "batch", "role": "use", "last4": "9f3c", "models": ["echo/*"], "concurrency": 4, "byok": false, "created_ms": 1_763_726_400_000_u64, "expires_ms": null, "revoked_ms": null, "state": "valid", "secret": "bk_…9f3c"}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(super) async fn create(
    State(control): State<Control>,
    actor: Actor,
    Json(wanted): Json<CreateKey>,
) -> Result<Json<KeyBody>, Refused> {
    let now = control.ids.now_ms();
    let role: Role = wanted
        .role
        .parse()
        .map_err(|error: baton_access::UnknownRole| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    let days = |days: u32| now.saturating_add(u64::from(days) * 86_400_000);
    let grant = Grant {
        role,
        models: wanted.models,
        byok: wanted.byok,
        concurrency: wanted.concurrency,
        expires_ms: wanted.expires_in_days.map(days),
    };
    record(&control, &actor, "key.create", &wanted.name, Value::Null).await?;
    let issued = control.keys.create(NewKey { name: wanted.name, grant }, &UNLIMITED, now).await?;
    Ok(Json(KeyBody::once(&issued, now)))
}

/// Gives a key a new secret and shows it, once.
#[utoipa::path(
    post,
    path = "/admin/v1/keys/{id}/rotate",
    operation_id = "admin.keys.rotate",
    tag = "admin",
    params(("id" = String, Path, description = "The id of a key", example = "key_019356aa00007000800000000000000d")),
    request_body(content = RotateKey, example = json!({"grace_minutes": 60})),
    responses((status = 200, description = "The key with its new secret", body = KeyBody, example = json!({"id": "key_019356aa00007000800000000000000d", "name": "batch", "role": "use", "last4": "07be", "models": null, "concurrency": null, "byok": false, "created_ms": 1_763_726_400_000_u64, "expires_ms": null, "revoked_ms": null, "state": "valid", "secret": "bk_…07be"}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(super) async fn rotate(
    State(control): State<Control>,
    actor: Actor,
    UrlPath(id): UrlPath<String>,
    Json(how): Json<RotateKey>,
) -> Result<Json<KeyBody>, Refused> {
    let id = key_id(&id)?;
    record(&control, &actor, "key.rotate", &id.to_string(), Value::Null).await?;
    let now = control.ids.now_ms();
    let issued = control.keys.rotate(id, u64::from(how.grace_minutes) * 60_000, &UNLIMITED, now).await?;
    Ok(Json(KeyBody::once(&issued, now)))
}

/// Ends a key.
#[utoipa::path(
    post,
    path = "/admin/v1/keys/{id}/revoke",
    operation_id = "admin.keys.revoke",
    tag = "admin",
    params(("id" = String, Path, description = "The id of a key", example = "key_019356aa00007000800000000000000d")),
    responses((status = 200, description = "The key as it is now", body = KeyBody, example = json!({"id": "key_019356aa00007000800000000000000d", "name": "batch", "role": "use", "last4": "9f3c", "models": null, "concurrency": null, "byok": false, "created_ms": 1_763_726_400_000_u64, "expires_ms": null, "revoked_ms": 1_763_730_000_000_u64, "state": "revoked"}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(super) async fn revoke(
    State(control): State<Control>,
    actor: Actor,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<KeyBody>, Refused> {
    let id = key_id(&id)?;
    record(&control, &actor, "key.revoke", &id.to_string(), Value::Null).await?;
    let now = control.ids.now_ms();
    let revoked = control.keys.revoke(id, &UNLIMITED, now).await?;
    Ok(Json(KeyBody::new(&revoked, now)))
}

fn key_id(text: &str) -> Result<KeyId, Refused> {
    text.parse().map_err(|error: baton_model::IdError| Refused(StatusCode::BAD_REQUEST, error.to_string()))
}
