//! Gives out decisions as they were recorded, for who derives them again.
#![expect(unused_qualifications, reason = "`params(PlansQuery)` becomes a qualified path in the derive")]

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use baton_audit::{DecisionView, DecisionsError, ListQuery, Lookup, OutcomeView, PageStart, Replayer};
use baton_model::DecisionId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Control, Refused};
use crate::plans::{Planned, Plans};

/// The most decisions that are given out at once.
const MOST: u32 = 500;

/// The routes.
pub(super) fn router() -> axum::Router<Control> {
    axum::Router::new().route("/plans", get(list)).route("/plans/{id}", get(one))
}

/// Which decisions, newest first.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PlansQuery {
    /// How many, 1 to 500.
    #[serde(default = "usual_limit")]
    limit: u32,
    /// Older than this decision.
    #[param(pattern = "^dec_[0-9a-f]{32}$")]
    starting_after: Option<String>,
}

const fn usual_limit() -> u32 {
    20
}

/// Lists decisions as they were recorded, newest first, with the policies and prices that they were derived from.
///
/// What `baton policy replay` and `baton policy what-if` derive decisions again from.
#[utoipa::path(
    get,
    path = "/admin/v1/plans",
    operation_id = "admin.plans.list",
    tag = "admin",
    params(PlansQuery),
    responses((status = 200, description = "A page", body = Plans, example = json!({"object": "list", "data": [], "documents": {}, "has_more": false}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(super) async fn list(
    State(control): State<Control>,
    Query(query): Query<PlansQuery>,
) -> Result<Json<Plans>, Refused> {
    if !(1..=MOST).contains(&query.limit) {
        let why = format!("`limit` is {}, it must be 1 to {MOST}", query.limit);
        return Err(Refused(StatusCode::BAD_REQUEST, why));
    }
    let start = match query.starting_after {
        Some(id) => PageStart::After(decision_id(&id)?),
        None => PageStart::Newest,
    };
    let query = ListQuery { start, limit: query.limit, ..ListQuery::default() };
    let page = control.decisions.list(&query).await.map_err(unreadable)?;
    plans(&control, page.decisions, page.has_more).await
}

/// Shows a decision as it was recorded, with the policy and the prices that it was derived from.
#[utoipa::path(
    get,
    path = "/admin/v1/plans/{id}",
    operation_id = "admin.plans.retrieve",
    tag = "admin",
    params(("id" = String, Path, description = "The id of a decision", example = "dec_019356aa00007000800000000000000a")),
    responses((status = 200, description = "A list of that decision alone", body = Plans, example = json!({"object": "list", "data": [], "documents": {}, "has_more": false}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(super) async fn one(
    State(control): State<Control>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Plans>, Refused> {
    match control.decisions.get(decision_id(&id)?).await.map_err(unreadable)? {
        Lookup::Found(view) => plans(&control, vec![view], false).await,
        Lookup::NotYetVisible | Lookup::NotFound => {
            Err(Refused(StatusCode::NOT_FOUND, format!("there is no `{id}`")))
        }
    }
}

/// Decisions with the documents that they refer to.
async fn plans(control: &Control, views: Vec<DecisionView>, has_more: bool) -> Result<Json<Plans>, Refused> {
    let mut documents = BTreeMap::new();
    for hash in views.iter().flat_map(|view| Replayer::needs(&view.decision)) {
        if !documents.contains_key(hash)
            && let Some(document) = control.decisions.document(hash).await.map_err(unreadable)?
        {
            documents.insert(hash.to_owned(), document.body);
        }
    }
    let data = views
        .into_iter()
        .map(|view| Planned {
            used: match view.outcome {
                OutcomeView::Recorded(outcome) => outcome.usage,
                OutcomeView::NotExpected | OutcomeView::Running | OutcomeView::Crashed => None,
            },
            decision: view.decision,
        })
        .collect();
    Ok(Json(Plans::new(data, documents, has_more)))
}

fn decision_id(text: &str) -> Result<DecisionId, Refused> {
    text.parse().map_err(|_error| {
        Refused(StatusCode::BAD_REQUEST, format!("`{text}` is not a decision's id (`dec_…`)"))
    })
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to `map_err`")]
fn unreadable(error: DecisionsError) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
