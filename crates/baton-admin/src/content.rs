//! `GET /admin/v1/decisions/{id}/content`: what was asked and answered, where it is captured.
//!
//! - **Invariant:** nobody reads content without the role `admin`, and without a record of it.

use std::fmt;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use baton_access::{Principal, Role};
use baton_audit::{ContentRow, StoreError, utc};
use baton_model::DecisionId;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::AdminError;
use crate::state::AdminState;

/// Opens captured content, and records who had it opened.
pub trait ContentDesk: fmt::Debug + Send + Sync + 'static {
    /// The content of a decision; empty where nothing was captured.
    ///
    /// # Errors
    /// When reading cannot be recorded, or the store fails.
    fn read<'a>(
        &'a self,
        decision: DecisionId,
        reader: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ContentBody>, ContentError>>;
}

/// Why content is not read.
#[derive(Debug)]
pub enum ContentError {
    /// That somebody reads it cannot be recorded.
    Unrecorded(String),
    /// The store does not give it.
    Store(StoreError),
}

impl From<StoreError> for ContentError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether content can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentState {
    /// It is here.
    Open,
    /// Its key was destroyed: the subject was erased, or its time was over.
    Erased,
    /// Its evidence is not in the store yet, cannot be read, or does not fit its key.
    Unavailable,
}

/// What was asked, or what an attempt answered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContentBody {
    #[schema(example = "content")]
    object: &'static str,
    decision: String,
    /// `request` or `answer`.
    part: &'static str,
    /// When, RFC 3339.
    at: String,
    /// Whose it is, as `baton audit erase` takes it.
    subject: String,
    state: ContentState,
    /// What was said, without what was redacted: of a request `surface` and `body`, of an answer `status` and
    /// `parts`. `null` when it cannot be opened.
    content: Value,
}

impl ContentBody {
    /// Content as it is shown; or why it is not.
    #[must_use]
    pub fn new(row: &ContentRow, plain: Result<Value, ContentState>) -> Self {
        let (state, content) = match plain {
            Ok(content) => (ContentState::Open, content),
            Err(state) => (state, Value::Null),
        };
        Self {
            object: "content",
            decision: row.decision.to_string(),
            part: row.part.as_str(),
            at: utc(row.at_ms),
            subject: row.subject.clone(),
            state,
            content,
        }
    }
}

/// All that was captured of a decision.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ContentList {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<ContentBody>,
    has_more: bool,
}

/// Shows what was asked and answered, where `audit.capture` keeps it.
///
/// For keys of the role `admin`; that it was read is recorded. Normally within a second after the answer's end. A
/// request stands with the first attempt of its run.
#[utoipa::path(
    get,
    path = "/admin/v1/decisions/{id}/content",
    operation_id = "admin.decisions.content",
    tag = "admin",
    params(("id" = String, Path, description = "The id of a decision", example = "dec_019356aa00007000800000000000000a")),
    responses(
        (status = 200, description = "The content; an empty list where nothing was captured", body = ContentList, example = json!({"object": "list", "data": [{"object": "content", "decision": "dec_019356aa00007000800000000000000a", "part": "answer", "at": "2026-11-21T12:00:00.000Z", "subject": "key_019356aa00007000800000000000000d", "state": "open", "content": {"status": "ok", "cut": false, "parts": [{"type": "text", "text": "Hello!"}]}}], "has_more": false})),
    ),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn retrieve(
    State(state): State<AdminState>,
    Extension(principal): Extension<Principal>,
    named: Result<Path<String>, PathRejection>,
) -> Result<Json<ContentList>, AdminError> {
    if principal.role() < Role::Admin {
        return Err(AdminError::admins_only());
    }
    let id: Option<DecisionId> = named.ok().and_then(|Path(id)| id.parse().ok());
    let id = id.ok_or_else(|| AdminError::unknown("decision"))?;
    let data = match &state.contents {
        Some(desk) => read(&**desk, id, &principal).await?,
        None => Vec::new(),
    };
    Ok(Json(ContentList { object: "list", data, has_more: false }))
}

async fn read(
    desk: &dyn ContentDesk,
    id: DecisionId,
    principal: &Principal,
) -> Result<Vec<ContentBody>, AdminError> {
    desk.read(id, &principal.id().to_string()).await.map_err(|error| match error {
        ContentError::Unrecorded(why) => {
            tracing::error!(error = why, "reading content cannot be recorded");
            AdminError::unrecorded()
        }
        ContentError::Store(error) => AdminError::from(error),
    })
}
