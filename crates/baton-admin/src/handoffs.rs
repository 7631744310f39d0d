//! `GET /admin/v1/handoffs`: who handed over to whom, how often, and how that went.
#![expect(unused_qualifications, reason = "`params(HandoffParams)` becomes a qualified path in the derive")]

use axum::Json;
use axum::extract::State;
use baton_audit::{HandoffCell, HandoffQuery, RangeParams};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::AdminError;
use crate::range::{Pairs, Stretch, USUAL_MS, params};
use crate::state::AdminState;
use crate::usage::usd;

/// Which cells of the matrix.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct HandoffParams {
    /// Only those that left this target.
    #[param(example = "openai/gpt-4o-mini")]
    from: Option<String>,
    /// Only those to this target.
    to: Option<String>,
}

/// The matrix, as its cells that are not empty.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HandoffList {
    /// `list`.
    object: &'static str,
    /// The cells, the most hand-overs first.
    data: Vec<HandoffBody>,
    /// Always false: the matrix is whole.
    has_more: bool,
}

/// Hand-overs from one target to another for one reason. A hand-over succeeded when the first attempt on its target
/// ended `ok`.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct HandoffBody {
    /// `handoff_cell`.
    object: &'static str,
    from: String,
    to: String,
    reason_code: String,
    count: u64,
    succeeded: u64,
    failed: u64,
    client_cancelled: u64,
    /// The share that succeeded of those that ended.
    #[schema(required = true)]
    success_rate: Option<f64>,
    /// What they added until the first content on average, in milliseconds.
    #[schema(required = true)]
    added_ms: Option<f64>,
    /// How many both costs are known of.
    priced: u64,
    /// What those attempts cost, in US dollars.
    cost_usd: String,
    /// What the attempts before them had cost.
    cost_before_usd: String,
    /// By how much they cost more; with a minus, less.
    cost_difference_usd: String,
    /// Feedback that says the hand-over was right.
    right: u64,
    /// Feedback that says it was not.
    wrong: u64,
    /// The share of feedback that says it was right.
    #[schema(required = true)]
    accuracy: Option<f64>,
}

/// Counts hand-overs by where from, where to and why.
///
/// Of the last 30 days, where no time is named.
#[utoipa::path(
    get,
    path = "/admin/v1/handoffs",
    operation_id = "admin.handoffs.list",
    tag = "admin",
    params(RangeParams, HandoffParams),
    responses(
        (status = 200, description = "The matrix", body = HandoffList, example = json!({"object": "list", "data": [{"object": "handoff_cell", "from": "openai/gpt-4o-mini", "to": "anthropic/claude-sonnet-4-5", "reason_code": "handoff_by_model", "count": 12, "succeeded": 11, "failed": 1, "client_cancelled": 0, "success_rate": 0.9166, "added_ms": 812.5, "priced": 12, "cost_usd": "0.120000000", "cost_before_usd": "0.020000000", "cost_difference_usd": "0.100000000", "right": 3, "wrong": 1, "accuracy": 0.75}], "has_more": false})),
    ),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn list(
    State(state): State<AdminState>,
    pairs: Pairs,
) -> Result<Json<HandoffList>, AdminError> {
    let mut params = params(pairs)?;
    let (range, cells): (RangeParams, HandoffParams) = (params.take()?, params.take()?);
    params.finish()?;
    let Stretch { from_ms, to_ms } = Stretch::of(&range, state.ids.now_ms(), USUAL_MS)?;
    let query = HandoffQuery { from_ms, to_ms, from: cells.from, to: cells.to };
    let mut data: Vec<HandoffBody> =
        state.queries.handoffs(&query).await?.into_iter().map(HandoffBody::from).collect();
    data.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.names().cmp(&other.names())));
    Ok(Json(HandoffList { object: "list", data, has_more: false }))
}

impl HandoffBody {
    fn names(&self) -> [&str; 3] {
        [&self.from, &self.to, &self.reason_code]
    }
}

impl From<HandoffCell> for HandoffBody {
    fn from(cell: HandoffCell) -> Self {
        let ended = cell.succeeded + cell.failed + cell.cancelled;
        let sign = if cell.cost_nano < cell.cost_before_nano { "-" } else { "" };
        Self {
            object: "handoff_cell",
            success_rate: share(cell.succeeded, ended),
            added_ms: share(cell.first_content_us, cell.with_content).map(|us| us / 1e3),
            cost_difference_usd: format!("{sign}{}", usd(cell.cost_nano.abs_diff(cell.cost_before_nano))),
            accuracy: share(cell.right, cell.right + cell.wrong),
            from: cell.from,
            to: cell.to,
            reason_code: cell.reason_code,
            count: cell.count,
            succeeded: cell.succeeded,
            failed: cell.failed,
            client_cancelled: cell.cancelled,
            priced: cell.priced,
            cost_usd: usd(cell.cost_nano),
            cost_before_usd: usd(cell.cost_before_nano),
            right: cell.right,
            wrong: cell.wrong,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is shown with a few digits")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
