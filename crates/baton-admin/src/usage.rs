//! `GET /admin/v1/usage`: what was used, in buckets of time.

mod page;
mod params;

use axum::Json;
use axum::extract::State;
use baton_audit::{Dimension, RangeParams, UsageGroup, UsagePage, UsageQuery, UsageSums};
use baton_model::NanoUsd;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::AdminError;
use crate::range::{Pairs, params};
use crate::state::AdminState;

pub(crate) use params::UsageParams;

use params::Asked;

/// A page of buckets, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageBody {
    /// `page`.
    object: &'static str,
    /// The buckets, one behind the other, empty ones included.
    data: Vec<Bucket>,
    /// Whether there is another page.
    has_more: bool,
    /// What to send as `page` for it.
    #[schema(required = true)]
    next_page: Option<String>,
}

/// What was used in a stretch of time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Bucket {
    /// `bucket`.
    object: &'static str,
    /// Its beginning, in seconds since 1970.
    start_time: u64,
    /// Its end, without it.
    end_time: u64,
    /// Its groups, the most decisions first; one without `group_by`.
    results: Vec<Group>,
}

/// What one group used. A dimension that is not grouped by is null, and so is one that the decisions do not have.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Group {
    /// `usage`.
    object: &'static str,
    #[schema(required = true)]
    principal: Option<String>,
    #[schema(required = true)]
    provider: Option<String>,
    #[schema(required = true)]
    model: Option<String>,
    #[schema(required = true)]
    target: Option<String>,
    #[schema(required = true)]
    policy: Option<String>,
    #[schema(required = true)]
    policy_version: Option<String>,
    #[schema(required = true)]
    rule: Option<String>,
    #[schema(required = true)]
    reason_code: Option<String>,
    #[schema(required = true)]
    kind: Option<String>,
    #[schema(required = true)]
    status: Option<String>,
    #[serde(flatten)]
    sums: Sums,
}

/// Sums over the decisions of a group.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Sums {
    decisions: u64,
    /// Decisions with an attempt.
    attempts: u64,
    ok: u64,
    failed: u64,
    client_cancelled: u64,
    /// Cached ones included.
    input_tokens: u64,
    cached_input_tokens: u64,
    cache_write_tokens: u64,
    /// Reasoning included.
    output_tokens: u64,
    reasoning_tokens: u64,
    /// The known costs, in US dollars as a decimal.
    cost_usd: String,
    /// Attempts that ended without a known cost.
    unpriced: u64,
    /// The times of all ended attempts together.
    total_us: u64,
    /// The times to first content together.
    first_content_us: u64,
    /// The attempts that had content.
    with_content: u64,
    /// Feedback that says the choice was right.
    right: u64,
    /// Feedback that says it was not.
    wrong: u64,
}

/// Adds up what was used.
///
/// Buckets begin at whole minutes, hours or days of UTC. What can be listed is counted.
#[utoipa::path(
    get,
    path = "/admin/v1/usage",
    operation_id = "admin.usage.list",
    tag = "admin",
    params(RangeParams, UsageParams),
    responses(
        (status = 200, description = "A page", body = UsageBody, example = json!({"object": "page", "data": [{"object": "bucket", "start_time": 1_763_683_200, "end_time": 1_763_769_600, "results": [{"object": "usage", "principal": null, "provider": null, "model": "echo/hello", "target": null, "policy": null, "policy_version": null, "rule": null, "reason_code": null, "kind": null, "status": null, "decisions": 2, "attempts": 2, "ok": 2, "failed": 0, "client_cancelled": 0, "input_tokens": 10, "cached_input_tokens": 0, "cache_write_tokens": 0, "output_tokens": 48, "reasoning_tokens": 0, "cost_usd": "0.000000000", "unpriced": 2, "total_us": 2400, "first_content_us": 412, "with_content": 2, "right": 0, "wrong": 0}]}], "has_more": false, "next_page": null})),
    ),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn page(
    State(state): State<AdminState>,
    pairs: Pairs,
) -> Result<Json<UsageBody>, AdminError> {
    let mut params = params(pairs)?;
    let (range, usage): (RangeParams, UsageParams) = (params.take()?, params.take()?);
    params.finish()?;
    let asked = usage.asked(&range, state.ids.now_ms())?;
    let page = state.queries.usage(&asked.query).await?;
    Ok(Json(UsageBody::of(page, &asked)))
}

impl UsageBody {
    fn of(page: UsagePage, asked: &Asked) -> Self {
        let UsagePage { buckets, next_ms } = page;
        let UsageQuery { width, group_by, from_ms, to_ms, .. } = &asked.query;
        let end_ms = next_ms.unwrap_or(*to_ms);
        let mut found = buckets.into_iter().peekable();
        let mut data = Vec::new();
        let mut start_ms = width.start_of(*from_ms);
        while start_ms < end_ms {
            let own = found.next_if(|bucket| bucket.start_ms == start_ms);
            let groups = own.map(|bucket| bucket.groups).unwrap_or_default();
            data.push(Bucket {
                object: "bucket",
                start_time: start_ms / 1_000,
                end_time: (start_ms + width.ms()) / 1_000,
                results: groups.into_iter().map(|group| Group::of(group, group_by)).collect(),
            });
            start_ms += width.ms();
        }
        let next_page = next_ms.map(|next_ms| asked.place.token(next_ms));
        Self { object: "page", data, has_more: next_page.is_some(), next_page }
    }
}

impl Group {
    fn of(group: UsageGroup, group_by: &[Dimension]) -> Self {
        let mut shown = Self { object: "usage", sums: Sums::from(group.sums), ..Self::default() };
        for (dimension, value) in group_by.iter().zip(group.by) {
            *shown.member(*dimension) = value;
        }
        shown
    }

    const fn member(&mut self, dimension: Dimension) -> &mut Option<String> {
        match dimension {
            Dimension::Principal => &mut self.principal,
            Dimension::Provider => &mut self.provider,
            Dimension::Model => &mut self.model,
            Dimension::Target => &mut self.target,
            Dimension::Policy => &mut self.policy,
            Dimension::PolicyVersion => &mut self.policy_version,
            Dimension::Rule => &mut self.rule,
            Dimension::ReasonCode => &mut self.reason_code,
            Dimension::Kind => &mut self.kind,
            Dimension::Status => &mut self.status,
        }
    }
}

impl From<UsageSums> for Sums {
    fn from(sums: UsageSums) -> Self {
        Self {
            decisions: sums.decisions,
            attempts: sums.attempts,
            ok: sums.ok,
            failed: sums.failed,
            client_cancelled: sums.cancelled,
            input_tokens: sums.input_tokens,
            cached_input_tokens: sums.cached_tokens,
            cache_write_tokens: sums.cache_write_tokens,
            output_tokens: sums.output_tokens,
            reasoning_tokens: sums.reasoning_tokens,
            cost_usd: usd(sums.cost_nano),
            unpriced: sums.unpriced,
            total_us: sums.total_us,
            first_content_us: sums.first_content_us,
            with_content: sums.with_content,
            right: sums.right,
            wrong: sums.wrong,
        }
    }
}

/// Nano-dollars as a decimal of dollars.
pub(crate) fn usd(nano: u64) -> String {
    NanoUsd(nano).to_string().replace('$', "")
}

#[cfg(test)]
mod tests;
